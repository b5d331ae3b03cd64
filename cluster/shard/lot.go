package shard

import (
	"errors"
	"sync"
	"sync/atomic"

	"dkv/engine/keyspace"
)

// lot is where parked tasks wait: in a queue for each key that one wishes for, the one
// that was parked first in front. A change of a key that nobody waits for costs a look
// at count, or at a map; one that somebody waits for looks the key up, and tries the
// first of those that want its type, and the next as long as there is something for
// them. So it does not matter how many wait behind them, or for other keys.
type lot struct {
	count atomic.Int64 // of parked tasks
	mu    struct {
		sync.Mutex
		places map[placeKey]*place
		last   uint64 // number of the last task that was parked
		// trying: the queues are the writer's, which tries those who stand in them.
		// Who wants to leave, or to clear them, says so here meanwhile.
		trying  bool
		leaving []*Task
		cleared error
	}

	// What follows is the writer's.

	// ready are the places whose keys were changed and not looked at since, in that
	// order.
	ready []placeKey
	// more: a batch was too full for all who were ready.
	more bool
	// fresh are the tasks that this batch has parked: what they have seen may come to
	// nothing with it.
	fresh []*Task
	// held says that nothing can be written, so that nobody is tried.
	held bool
}

// placeKey is a key by its hash: two of one hash only cost a look too many.
type placeKey struct {
	db   int
	hash uint64
}

// place is the queue of a key.
type place struct {
	first, last *spot
	wants       [keyspace.TypeStream + 1]int // how many want a type
	any         int                          // how many are tried in any case
	ready       bool                         // it is in lot.ready
}

// spot is where a task stands in the queue of one of its wishes.
type spot struct {
	task       *Task
	wish       *Wish
	at         placeKey
	prev, next *spot
}

// KeyChanged is keyspace.Observer's.
func (l *lot) KeyChanged(db int, hash uint64) {
	if l.count.Load() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	at := placeKey{db, hash}
	if p := l.mu.places[at]; p != nil && !p.ready {
		p.ready = true
		l.ready = append(l.ready, at)
	}
}

// DatabaseChanged is keyspace.Observer's.
func (l *lot) DatabaseChanged(db int) {
	if l.count.Load() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for at, p := range l.mu.places {
		if at.db == db && !p.ready {
			p.ready = true
			l.ready = append(l.ready, at)
		}
	}
}

// addLocked puts a task behind those that were parked before it. One that had its
// turn for nothing stands where it stood.
func (l *lot) addLocked(t *Task, hash func(key []byte) uint64) {
	if l.mu.places == nil {
		l.mu.places = make(map[placeKey]*place)
	}
	if t.number == 0 {
		l.mu.last++
		t.number = l.mu.last
	}
	t.parked = true
	t.spots = make([]spot, len(t.wishes))
	for i := range t.wishes {
		w := &t.wishes[i]
		sp := &t.spots[i]
		*sp = spot{task: t, wish: w, at: placeKey{w.DB, hash(w.Key)}}
		p := l.mu.places[sp.at]
		if p == nil {
			p = new(place)
			l.mu.places[sp.at] = p
		}
		p.insert(sp)
	}
	l.count.Add(1)
}

// insert puts a spot where its task's number says.
func (p *place) insert(sp *spot) {
	before := p.last
	for before != nil && before.task.number > sp.task.number {
		before = before.prev
	}
	sp.prev = before
	if before == nil {
		sp.next, p.first = p.first, sp
	} else {
		sp.next, before.next = before.next, sp
	}
	if sp.next == nil {
		p.last = sp
	} else {
		sp.next.prev = sp
	}
	p.count(sp.wish, 1)
}

func (p *place) count(w *Wish, by int) {
	p.wants[w.Type] += by
	if w.Any {
		p.any += by
	}
}

// removeLocked takes a task out of all its queues.
func (l *lot) removeLocked(t *Task) {
	for i := range t.spots {
		sp := &t.spots[i]
		p := l.mu.places[sp.at]
		if sp.prev == nil {
			p.first = sp.next
		} else {
			sp.prev.next = sp.next
		}
		if sp.next == nil {
			p.last = sp.prev
		} else {
			sp.next.prev = sp.prev
		}
		p.count(sp.wish, -1)
		if p.first == nil {
			delete(l.mu.places, sp.at)
		}
	}
	t.spots, t.parked = nil, false
	l.count.Add(-1)
}

// endLocked ends the wait of a task, if it is parked.
func (l *lot) endLocked(t *Task, err error) {
	if t.parked {
		l.removeLocked(t)
		t.waited = false
		t.finish(err)
	}
}

// clear ends the waits of all tasks.
func (l *lot) clear(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.trying {
		l.mu.cleared = err
		return
	}
	l.clearLocked(err)
}

func (l *lot) clearLocked(err error) {
	for _, p := range l.mu.places {
		for p.first != nil { // the last one takes the place with it
			l.endLocked(p.first.task, err)
		}
	}
}

// beginTrying makes the queues the writer's.
func (l *lot) beginTrying() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.trying = true
}

// endTrying does what was asked for meanwhile.
func (l *lot) endTrying() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.trying = false
	for _, t := range l.mu.leaving {
		l.endLocked(t, ErrWithdrawn)
	}
	l.mu.leaving = nil
	if l.mu.cleared != nil {
		l.clearLocked(l.mu.cleared)
		l.mu.cleared = nil
	}
}

// unpark ends the waits of the tasks that a batch has parked which came to nothing
// for that reason.
func (l *lot) unpark(reason error) {
	if errors.Is(reason, ErrUncertain) {
		reason = ErrNotLeader // these have certainly done nothing
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.fresh {
		l.endLocked(t, reason)
	}
}
