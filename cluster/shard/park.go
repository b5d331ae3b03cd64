package shard

import (
	"errors"
	"sync"
	"sync/atomic"

	"dkv/cluster/raftlog"
	"dkv/engine/keyspace"
)

// Errors of a task that was parked. In both cases nothing was written.
var (
	// ErrWithdrawn: Withdraw took it back.
	ErrWithdrawn = errors.New("ERR The command was withdrawn before it was done")
	// ErrForcedOut: the shard began to follow a source.
	ErrForcedOut = errors.New("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)")
)

// A Wish is a key that a parked task waits for.
type Wish struct {
	DB  int
	Key []byte
	// Type is what the key must hold for another try to be worth it.
	Type keyspace.Type
	// Any has the task tried after every change, also when the key is gone or holds
	// another type.
	Any bool
}

// Park is called by Eval, which has written nothing, to wait until one of the keys
// has changed and then be called again: by a task that is evaluated later, whose
// batch it joins, or by one of a batch after that. The wishes are kept until Wait
// returns.
func (t *Task) Park(wishes []Wish) { t.wishes = wishes }

// Settle is called by an Eval that runs several commands, after each that others may
// see on its own: tasks that wait for what it changed have their turn then, as they
// have after every Eval.
func (t *Task) Settle() {
	if t.settle != nil {
		t.settle()
	}
}

// Withdraw ends the wait of a task that was submitted with Submit and is parked, or
// would be: Wait then returns ErrWithdrawn. When it has had its turn, or does not want
// to wait, nothing changes. It may be called from any goroutine, before Wait has
// returned or after.
func (s *Shard) Withdraw(t *Task) {
	l := &s.lot
	t.withdrawn.Store(true)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.trying {
		l.mu.leaving = append(l.mu.leaving, t)
		return
	}
	l.endLocked(t, ErrWithdrawn)
}

// Parked is the number of tasks that wait for keys.
func (s *Shard) Parked() int { return int(s.lot.count.Load()) }

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

// park has a task wait whose Eval asked for it, unless it may not wait any more.
func (s *Shard) park(t *Task) {
	l, w := &s.lot, &s.w
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case t.withdrawn.Load():
		t.finish(ErrWithdrawn)
	case raftlog.Term(s.leads.Load()) != w.term:
		t.finish(ErrNotLeader) // what ended the waits of all others may be over
	case s.following.Load():
		t.finish(ErrForcedOut)
	default:
		l.addLocked(t, w.st.ks.Hash)
		if !t.waited {
			t.waited = true
			l.fresh = append(l.fresh, t)
			if t.OnPark != nil {
				t.OnPark()
			}
		}
	}
}

// settle tries the tasks that wait for keys that were changed. What it does for them
// may change others.
func (s *Shard) settle() {
	l, w := &s.lot, &s.w
	if len(l.ready) == 0 || l.held || l.mu.trying {
		return
	}
	noTouch, hits, misses := w.tx.NoTouch, w.tx.Hits, w.tx.Misses
	l.beginTrying()
	for len(l.ready) > 0 {
		if l.more = !s.batchHasRoom(); l.more {
			break // the next batch goes on
		}
		at := l.ready[0]
		l.ready = l.ready[1:]
		if p := l.mu.places[at]; p != nil {
			p.ready = false
			s.tryAll(at, p)
		}
	}
	if len(l.ready) == 0 {
		l.ready = nil
	}
	l.endTrying()
	w.tx.NoTouch, w.tx.Hits, w.tx.Misses = noTouch, hits, misses
}

// batchHasRoom says whether more can go into the batch.
func (s *Shard) batchHasRoom() bool {
	b := s.w.overlay.Batch()
	return b.Err() == nil && b.Len() < maxBatchBytes
}

// tryAll tries those who stand at a place, as long as there is something for them.
func (s *Shard) tryAll(at placeKey, p *place) {
	l, w := &s.lot, &s.w
	var found keyspace.Type
	var key []byte // whose type found is; nil: look
	for sp := p.first; sp != nil; {
		if key == nil || string(key) != string(sp.wish.Key) {
			e, err := w.tx.Inspect(sp.wish.DB, sp.wish.Key)
			if err != nil {
				return // who asks for the key next is told
			}
			found, key = e.Type, sp.wish.Key
		}
		if p.wants[found] == 0 && p.any == 0 {
			return
		}
		t, next := sp.task, sp.next
		if (found == sp.wish.Type || sp.wish.Any) && t.parked && !t.withdrawn.Load() {
			if !s.batchHasRoom() {
				l.KeyChanged(at.db, at.hash) // the others are tried in the next batch
				return
			}
			if s.attempt(t) {
				l.removeLocked(t) // nobody else touches the queues now
			}
			key = nil
		}
		sp = next
	}
}

// attempt evaluates a parked task again and reports whether it is done.
func (s *Shard) attempt(t *Task) bool {
	w := &s.w
	mark, wishes := w.tx.Mark(), t.wishes
	t.wishes = nil
	t.Eval(&w.tx)
	again := t.wishes != nil
	t.wishes = wishes
	if again {
		return false
	}
	if !w.fits(mark) {
		t.finish(ErrTooBig)
		return true
	}
	w.tasks = append(w.tasks, t)
	return true
}

// putBack parks tasks again that had their turn in a batch that came to nothing.
func (s *Shard) putBack(tasks []*Task) {
	for _, t := range tasks {
		s.park(t)
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
