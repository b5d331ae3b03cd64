package replica

import (
	"sync"

	"dkv/cluster/raftlog"
)

// maxMessageBytes bounds what is published and waits for one replica. What is more is
// lost for it.
const maxMessageBytes = 16 << 20

// messages are what was published and is to be sent to one replica.
type messages struct {
	wake chan struct{}
	mu   struct {
		sync.Mutex
		list  []published
		bytes int
	}
}

// published is a message, and how far the shard was when it came: the replica gets it
// when it has been sent that.
type published struct {
	data  []byte
	after raftlog.Index
}

func newMessages() *messages { return &messages{wake: make(chan struct{}, 1)} }

// Publish sends a message to all replicas that take them, behind the entries of shard
// 0 that had been applied. It does not block, and the message is not changed
// afterwards. It goes with the sessions of one shard only, so that it comes once.
func (s *Source) Publish(message []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ss := range s.mu.sessions {
		if ss.takesMessages() && !ss.messages.push(message, ss.shard.Applied()) {
			s.mu.metrics.LostMessages++
		}
	}
}

// Listens says whether there is a replica that takes messages.
func (s *Source) Listens() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ss := range s.mu.sessions {
		if ss.takesMessages() {
			return true
		}
	}
	return false
}

func (ss *Session) takesMessages() bool { return ss.req.Messages && ss.req.Shard == 0 }

// push queues a message; false: there is no room.
func (m *messages) push(data []byte, after raftlog.Index) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.bytes > 0 && m.mu.bytes+len(data) > maxMessageBytes {
		return false
	}
	m.mu.list = append(m.mu.list, published{data, after})
	m.mu.bytes += len(data)
	m.kick()
	return true
}

// kick has the session look at what there is to do.
func (m *messages) kick() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// take appends to dst what waits and is due when entries up to at have been sent.
func (m *messages) take(dst []byte, at raftlog.Index) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for n < len(m.mu.list) && m.mu.list[n].after <= at && (n == 0 || len(dst) < frameBytes) {
		dst = append(dst, m.mu.list[n].data...)
		m.mu.bytes -= len(m.mu.list[n].data)
		n++
	}
	rest := copy(m.mu.list, m.mu.list[n:])
	clear(m.mu.list[rest:])
	m.mu.list = m.mu.list[:rest]
	return dst
}

// sendMessages sends a frame of what has been published, if it is due.
func (ss *Session) sendMessages() (sent bool, err error) {
	data := ss.messages.take(nil, ss.at.Index)
	if len(data) == 0 {
		return false, nil
	}
	return true, ss.sendFrame(&Frame{Type: FrameMessages, At: ss.at, Prev: ss.at.Index, Messages: data})
}
