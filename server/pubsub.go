package server

import (
	"slices"
	"sync"
	"sync/atomic"

	"dkv/engine/keyspace"
	"dkv/resp"
)

// subKind is what is subscribed to.
type subKind uint8

const (
	toChannel subKind = iota
	toPattern
	toShardChannel
	subKinds
)

// pubsub has the subscriptions of this node's clients.
//
// Messages are delivered under its lock, so all subscribers see them in one order.
// Nothing waits there: a message goes into the outbox of a connection, and a client
// whose outbox is full is dropped.
type pubsub struct {
	subs    atomic.Int64 // subscriptions; PUBLISH looks no further when there are none
	clients atomic.Int64 // that have any
	mu      struct {
		sync.Mutex
		topics   [subKinds]map[string]*topic
		patterns []*topic // those of toPattern again, to go through
	}
}

// topic is a channel or a pattern that has subscribers.
type topic struct {
	name string
	list []*subscription
	at   int // in pubsub.patterns
}

// subscription is a connection's to a topic.
type subscription struct {
	conn  *Conn
	topic *topic
	at    int // in topic.list
}

// subscriptions are a connection's own; its goroutine alone looks at them.
type subscriptions struct {
	by    [subKinds]map[string]*subscription
	bytes int64
}

// subscriptionBytes is roughly what a subscription takes beside its name.
const subscriptionBytes = 200

func (s *subscriptions) total() int {
	return len(s.by[toChannel]) + len(s.by[toPattern]) + len(s.by[toShardChannel])
}

// counted is the number that the replies to SUBSCRIBE and its like tell.
func (s *subscriptions) counted(k subKind) int {
	if k == toShardChannel {
		return len(s.by[k])
	}
	return len(s.by[toChannel]) + len(s.by[toPattern])
}

func (p *pubsub) init() {
	for k := range p.mu.topics {
		p.mu.topics[k] = make(map[string]*topic)
	}
}

// count returns how many channels or patterns have subscribers.
func (p *pubsub) count(k subKind) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.mu.topics[k])
}

// names returns the channels that have subscribers, in no order.
func (p *pubsub) names(k subKind) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]string, 0, len(p.mu.topics[k]))
	for name := range p.mu.topics[k] {
		list = append(list, name)
	}
	return list
}

// subscribers returns how many subscribers a channel has.
func (p *pubsub) subscribers(k subKind, name []byte) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.mu.topics[k][string(name)]; t != nil {
		return len(t.list)
	}
	return 0
}

// add subscribes c.
func (p *pubsub) add(c *Conn, k subKind, name string) *subscription {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.mu.topics[k][name]
	if t == nil {
		t = &topic{name: name}
		p.mu.topics[k][name] = t
		if k == toPattern {
			t.at = len(p.mu.patterns)
			p.mu.patterns = append(p.mu.patterns, t)
		}
	}
	s := &subscription{conn: c, topic: t, at: len(t.list)}
	t.list = append(t.list, s)
	p.subs.Add(1)
	return s
}

// remove ends a subscription: when it returns, no message of it comes any more.
func (p *pubsub) remove(s *subscription, k subKind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.subs.Add(-1)
	t := s.topic
	last := t.list[len(t.list)-1]
	t.list[s.at], last.at = last, s.at
	t.list = slices.Delete(t.list, len(t.list)-1, len(t.list))
	if len(t.list) > 0 {
		return
	}
	delete(p.mu.topics[k], t.name)
	if k == toPattern {
		last := p.mu.patterns[len(p.mu.patterns)-1]
		p.mu.patterns[t.at], last.at = last, t.at
		p.mu.patterns = slices.Delete(p.mu.patterns, len(p.mu.patterns)-1, len(p.mu.patterns))
	}
}

// publish delivers a message to the subscribers on this node, of whom it returns the
// number; one that has also subscribed to patterns that match counts once for each.
// k is toChannel or toShardChannel.
func (p *pubsub) publish(k subKind, channel, message []byte) (receivers int) {
	if p.subs.Load() == 0 {
		return 0
	}
	receivers, slow := p.deliver(k, channel, message)
	for _, c := range slow {
		c.outputLimit()
	}
	return receivers
}

func (p *pubsub) deliver(k subKind, channel, message []byte) (receivers int, slow []*Conn) {
	send := func(t *topic, m *pushed) {
		for _, s := range t.list {
			if s.conn.push(m.encoded(s.conn)) {
				slow = append(slow, s.conn)
			}
		}
		receivers += len(t.list)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.mu.topics[k][string(channel)]; t != nil {
		word := "message"
		if k == toShardChannel {
			word = "smessage"
		}
		send(t, &pushed{word: word, channel: channel, message: message})
	}
	if k != toChannel {
		return receivers, slow
	}
	for _, t := range p.mu.patterns {
		if keyspace.Match([]byte(t.name), channel, false) {
			send(t, &pushed{word: "pmessage", pattern: t, channel: channel, message: message})
		}
	}
	return receivers, slow
}

// receivers returns how many subscriptions a message would meet.
func (p *pubsub) receivers(sharded bool, channel []byte) (n int) {
	if sharded {
		return p.subscribers(toShardChannel, channel)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.mu.topics[toChannel][string(channel)]; t != nil {
		n = len(t.list)
	}
	for _, t := range p.mu.patterns {
		if keyspace.Match([]byte(t.name), channel, false) {
			n += len(t.list)
		}
	}
	return n
}

// pushed is a message as clients get it, encoded once for each protocol.
type pushed struct {
	word             string
	pattern          *topic // nil: none
	channel, message []byte
	bytes            [2][]byte // in RESP2 and RESP3
}

func (m *pushed) encoded(c *Conn) []byte {
	proto := int(c.shared.proto.Load())
	b := &m.bytes[proto-2]
	if *b != nil {
		return *b
	}
	w := resp.Writer{Proto: proto, Buf: make([]byte, 0, len(m.channel)+len(m.message)+128)}
	if m.pattern != nil {
		w.Push(4)
		w.BulkString(m.word)
		w.BulkString(m.pattern.name)
	} else {
		w.Push(3)
		w.BulkString(m.word)
	}
	w.Bulk(m.channel)
	w.Bulk(m.message)
	*b = w.Buf
	return *b
}
