package server

import (
	"bytes"
	"strconv"
	"strings"
	"sync"

	"dkv/engine/keyspace"
)

// notifyQueueBytes bounds the noted events that wait to be published. What is more is
// lost: where entries are applied nobody waits for subscribers.
const notifyQueueBytes = 32 << 20

// noteClasses are the letters of notify-keyspace-events.
var noteClasses = map[rune]keyspace.Class{
	'A': keyspace.ClassAll, 'g': keyspace.ClassGeneric, '$': keyspace.ClassString, 'l': keyspace.ClassList,
	's': keyspace.ClassSet, 'h': keyspace.ClassHash, 'z': keyspace.ClassZSet, 'x': keyspace.ClassExpired,
	'e': keyspace.ClassEvicted, 't': keyspace.ClassStream, 'd': keyspace.ClassModule, 'm': keyspace.ClassMiss,
	'n': keyspace.ClassNew,
}

// notifications publishes the events of keys that this node applies, to its own
// subscribers: every node of a cluster, and every replica, applies all of them.
type notifications struct {
	srv  *Server
	wake chan struct{}
	mu   struct {
		sync.Mutex
		classes  keyspace.Class
		keyspace bool // K: by key
		keyevent bool // E: by event
		queue    [][]byte
		bytes    int
		lost     uint64
	}
}

func (n *notifications) init(s *Server) {
	n.srv, n.wake = s, make(chan struct{}, 1)
	s.node.Notifier().OnMiss(n.miss)
	s.node.OnNotes(n.take)
	n.configure(s.config.String("notify-keyspace-events"))
	s.config.OnChange("notify-keyspace-events", n.configure)
}

// configure takes a new value of notify-keyspace-events. Nothing is noted without
// both a class and a way to publish it.
func (n *notifications) configure(value string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.keyspace, n.mu.keyevent = strings.Contains(value, "K"), strings.Contains(value, "E")
	n.mu.classes = 0
	for _, letter := range value {
		n.mu.classes |= noteClasses[letter]
	}
	if !n.mu.keyspace && !n.mu.keyevent {
		n.mu.classes = 0
	}
	n.srv.node.Notifier().Set(n.mu.classes)
}

// take queues the events of a batch that has been applied.
func (n *notifications) take(notes []byte) {
	if n.srv.pubsub.subs.Load() == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.bytes > 0 && n.mu.bytes+len(notes) > notifyQueueBytes {
		n.mu.lost++
		return
	}
	n.mu.queue = append(n.mu.queue, bytes.Clone(notes))
	n.mu.bytes += len(notes)
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// run publishes what is queued until the server closes.
func (n *notifications) run() {
	for {
		select {
		case <-n.wake:
		case <-n.srv.done:
			return
		}
		n.mu.Lock()
		queue := n.mu.queue
		n.mu.queue, n.mu.bytes = nil, 0
		n.mu.Unlock()
		for _, notes := range queue {
			if err := keyspace.EachNote(notes, n.publish); err != nil {
				n.srv.log.Error("cannot publish keyspace events", "err", err)
			}
		}
	}
}

// asked returns how an event is published, if it is.
func (n *notifications) asked(c keyspace.Class) (byKey, byEvent bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.classes&c == 0 {
		return false, false
	}
	return n.mu.keyspace, n.mu.keyevent
}

// publish publishes one event, as https://redis.io/docs/latest/develop/use/keyspace-notifications
// says.
func (n *notifications) publish(e keyspace.Event) {
	switch e.Class {
	case keyspace.ClassMessage:
		n.srv.pubsub.publish(toChannel, e.Key, e.Name)
		return
	case keyspace.ClassShardMessage:
		n.srv.pubsub.publish(toShardChannel, e.Key, e.Name)
		return
	}
	byKey, byEvent := n.asked(e.Class)
	if byKey {
		n.srv.pubsub.publish(toChannel, eventChannel("__keyspace@", e.DB, e.Key), e.Name)
	}
	if byEvent {
		n.srv.pubsub.publish(toChannel, eventChannel("__keyevent@", e.DB, e.Name), e.Key)
	}
}

func eventChannel(prefix string, db int, name []byte) []byte {
	b := strconv.AppendInt(append(make([]byte, 0, len(prefix)+len(name)+5), prefix...), int64(db), 10)
	return append(append(b, "__:"...), name...)
}

// miss publishes that a key was not found. It is told on the node that has looked.
func (n *notifications) miss(db int, key []byte) {
	if n.srv.pubsub.subs.Load() != 0 {
		n.publish(keyspace.Event{Class: keyspace.ClassMiss, DB: db, Name: []byte("keymiss"), Key: key})
	}
}

// lost is how many batches' events were too much.
func (n *notifications) lost() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mu.lost
}
