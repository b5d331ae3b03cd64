package cluster

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"dkv/cluster/consensus"
	"dkv/cluster/transport"
)

// Messages are what nodes tell each other beside the data: PUBLISH. They are not
// logged: a node that is down does not get them later, and one that is too slow loses
// some. What one node sends to another arrives in order, at most once.
const (
	// messageQueueBytes bounds what waits for one member. What is more is lost.
	messageQueueBytes = 32 << 20
	// messageBatchBytes is how much goes into one call, but at least one message.
	messageBatchBytes = 1 << 20
	// lossLogInterval is how often a loss is logged for one member.
	lossLogInterval = 10 * time.Second
)

// messenger sends messages to the other members.
//
// A call is answered when the other node has delivered what was in it, and the next
// one is made then: so the order is kept, and what comes meanwhile goes along in one
// call.
type messenger struct {
	receive atomic.Pointer[func(messages []byte)]
	lost    atomic.Uint64
	mu      struct {
		sync.Mutex
		to map[consensus.NodeID]*messageQueue
	}
}

// messageQueue is what waits for one member.
type messageQueue struct {
	wake chan struct{}
	mu   struct {
		sync.Mutex
		list  [][]byte
		bytes int
		ended bool
	}
	loggedAt time.Time // of its goroutine
}

// SetReceiver gives the function that is called with the messages of other members, or
// of the source of a replica: any number of what was given to Publish, one behind the
// other. It must not block, and does not keep them.
func (n *Node) SetReceiver(f func(messages []byte)) { n.messenger.receive.Store(&f) }

// Publish tells the other members and the replicas of this node. The message must say
// itself where it ends; it is not changed afterwards. Publish never blocks. A replica
// tells nobody, as in Redis: what its source says does not come from here.
func (n *Node) Publish(message []byte) {
	if n.transport != nil {
		n.messenger.send(message)
	}
	if !n.Follows() {
		n.source.Publish(message)
	}
}

// Published says whether anybody is there to be told by Publish.
func (n *Node) Published() bool {
	return n.transport != nil && n.messenger.any() || !n.Follows() && n.source.Listens()
}

// LostMessages is how many messages this node could not pass on.
func (n *Node) LostMessages() uint64 {
	return n.messenger.lost.Load() + n.source.Metrics().LostMessages
}

// takeMessages delivers what another node has sent, here and to the replicas.
func (n *Node) takeMessages(messages []byte) {
	if f := n.messenger.receive.Load(); f != nil {
		(*f)(messages)
	}
	n.source.Publish(messages)
}

func (m *messenger) any() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.mu.to) > 0
}

func (m *messenger) send(message []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, q := range m.mu.to {
		if !q.push(message) {
			m.lost.Add(1)
		}
	}
}

// push queues a message; false: there is no room.
func (q *messageQueue) push(message []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.ended || q.mu.bytes > 0 && q.mu.bytes+len(message) > messageQueueBytes {
		return false
	}
	q.mu.list = append(q.mu.list, message)
	q.mu.bytes += len(message)
	kick(q.wake)
	return true
}

// take returns what is to be sent next, nil: nothing waits.
func (q *messageQueue) take() (batch []byte, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for n < len(q.mu.list) && (n == 0 || len(batch)+len(q.mu.list[n]) <= messageBatchBytes) {
		batch = append(batch, q.mu.list[n]...)
		n++
	}
	q.mu.list = slices.Delete(q.mu.list, 0, n)
	q.mu.bytes -= len(batch)
	return batch, n
}

// messagesUp is called when calls to a member flow, messagesDown when they do not.
func (n *Node) messagesUp(id consensus.NodeID) {
	q := &messageQueue{wake: make(chan struct{}, 1)}
	m := &n.messenger
	m.mu.Lock()
	if old := m.mu.to[id]; old != nil {
		old.end()
	}
	if m.mu.to == nil {
		m.mu.to = make(map[consensus.NodeID]*messageQueue)
	}
	m.mu.to[id] = q
	m.mu.Unlock()
	if !n.goes(func(ctx context.Context) { n.sendMessages(ctx, id, q) }) {
		q.end()
	}
}

func (n *Node) messagesDown(id consensus.NodeID) {
	m := &n.messenger
	m.mu.Lock()
	defer m.mu.Unlock()
	if q := m.mu.to[id]; q != nil {
		q.end()
		delete(m.mu.to, id)
	}
}

// messagesOnlyTo ends the queues of nodes that are no members any more.
func (n *Node) messagesOnlyTo(members map[consensus.NodeID]transport.Peer) {
	m := &n.messenger
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.mu.to, func(id consensus.NodeID, q *messageQueue) bool {
		_, member := members[id]
		if !member {
			q.end()
		}
		return !member
	})
}

func (q *messageQueue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.ended, q.mu.list, q.mu.bytes = true, nil, 0
	kick(q.wake)
}

func (q *messageQueue) ended() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.mu.ended
}

// sendMessages empties a queue until it ends.
func (n *Node) sendMessages(ctx context.Context, id consensus.NodeID, q *messageQueue) {
	for ctx.Err() == nil && !q.ended() {
		batch, count := q.take()
		if count == 0 {
			select {
			case <-q.wake:
			case <-ctx.Done():
			}
			continue
		}
		if err := n.callMessages(ctx, id, batch); err != nil && ctx.Err() == nil {
			n.messenger.lost.Add(uint64(count))
			if now := n.o.Clock(); now.Sub(q.loggedAt) >= lossLogInterval {
				q.loggedAt = now
				n.o.Logger.Warn("published messages are lost", "node", uint64(id), "messages", count, "err", err)
			}
		}
	}
}

// messageTimeout bounds how long a member may take to deliver a call's messages.
const messageTimeout = 10 * time.Second

var errMessagesRefused = errors.New("cluster: the member does not take messages")

func (n *Node) callMessages(ctx context.Context, id consensus.NodeID, batch []byte) error {
	ctx, cancel := context.WithTimeout(ctx, messageTimeout)
	defer cancel()
	_, err := n.transport.Call(ctx, id, callMessages, 0, batch)
	var remote *transport.RemoteError
	if errors.As(err, &remote) {
		return errors.Join(errMessagesRefused, err)
	}
	return err
}
