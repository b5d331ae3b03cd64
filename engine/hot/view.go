package hot

import (
	"errors"
	"hash/maphash"
	"sync"

	"dkv/engine"
	"dkv/engine/layer"
)

// view is one state of a Layer: a number, the generations and the engine below as
// of one moment.
//
// Invariant: while base is nil, the engine has nothing newer than the view's frozen
// generation. Before a checkpoint changes that, it gives a base to all open views
// that have none.
type view struct {
	e    *epoch
	seq  uint64
	base *base // guarded by viewList.mu; nil: not asked for yet, or not needed
	// own says that who made the view has the engine's state already, or needs none.
	// Guarded by viewList.mu.
	own bool
	// settled is Layer.settled as the view was made.
	settled uint64

	prev, next *view // in the list, in the order of seq
}

// base is a snapshot of the engine that several views may share.
type base struct {
	engine.Snapshot
	refs int // guarded by viewList.mu
	// through is a generation that the snapshot has; it may have a newer one.
	through uint64
}

// viewList is the open views, in the order of their numbers.
type viewList struct {
	mu          sync.Mutex
	first, last *view
	count       int
}

// horizon returns what the writer needs to know of the views that see a generation
// whose numbers are above since. Older ones, of long reads, come first.
func (vl *viewList) horizon(visible, since uint64) horizon {
	vl.mu.Lock()
	defer vl.mu.Unlock()
	h := horizon{visible: visible}
	v := vl.first
	for v != nil && v.seq <= since {
		v = v.next
	}
	if v != nil {
		h.open, h.lowest, h.highest = true, v.seq, vl.last.seq
	}
	return h
}

// openView registers a view of what has been applied so far.
func (l *Layer) openView(v *view) {
	vl := &l.views
	vl.mu.Lock()
	defer vl.mu.Unlock()
	v.e, v.seq, v.settled = l.current.Load(), l.visible.Load(), l.settled.Load()
	if v.prev = vl.last; v.prev == nil {
		vl.first = v
	} else {
		v.prev.next = v
	}
	vl.last = v
	vl.count++
}

// closeView gives a view back.
func (l *Layer) closeView(v *view) error {
	vl := &l.views
	vl.mu.Lock()
	if v.prev == nil {
		vl.first = v.next
	} else {
		v.prev.next = v.next
	}
	if v.next == nil {
		vl.last = v.prev
	} else {
		v.next.prev = v.prev
	}
	v.prev, v.next = nil, nil
	vl.count--
	b := v.base
	last := b != nil && b.refs == 1
	if b != nil {
		b.refs--
	}
	vl.mu.Unlock()
	if last {
		return b.Close()
	}
	return nil
}

// baseOf returns the engine's state of a view.
func (l *Layer) baseOf(v *view) *base {
	l.views.mu.Lock()
	defer l.views.mu.Unlock()
	if v.base == nil {
		v.base = l.newBase()
		v.base.refs = 1
	}
	return v.base
}

func (l *Layer) newBase() *base {
	b := &base{through: l.written.Load()} // before the snapshot, which may have more
	b.Snapshot = l.below.NewSnapshot()
	return b
}

// settleViews gives a base to the views that have none: the engine is about to
// change. Views that are opened from now on have the generation that it is changed
// by.
func (l *Layer) settleViews() {
	l.views.mu.Lock()
	defer l.views.mu.Unlock()
	l.settled.Add(1)
	var b *base
	for v := l.views.first; v != nil; v = v.next {
		if v.base != nil || v.own {
			continue
		}
		if b == nil {
			b = l.newBase()
		}
		b.refs++
		v.base = b
	}
}

// get reads a key in the state of a view.
func (l *Layer) get(v *view, dst, key []byte) (value []byte, found bool, err error) {
	if len(key) == 0 {
		return l.baseOf(v).Get(dst, key)
	}
	tag := tagOf(maphash.Bytes(l.seed, key))
	s := &l.table[stripeOf(tag)]
	s.mu.Lock()
	// The table is of use as long as the view's generations are those that it
	// points into, or the frozen one is in the engine by now.
	st, moved, tabled := unknown, true, l.current.Load().active == v.e.active
	if tabled {
		value, st = l.lookUp(s, dst, key, tag, v.e, v.seq)
		moved = v.e.frozen != nil && v.e.frozen.number <= s.through
	}
	gone := s.gone
	s.mu.Unlock()
	if st != unknown {
		return value, st == present, nil
	}
	if tabled {
		value, found, ok, err := l.getPresent(v, dst, key)
		if ok {
			if err == nil {
				s.fillLayer(l, key, value[len(dst):], found, tag, gone)
			}
			return value, found, err
		}
	}
	b := l.baseOf(v)
	if moved && !(l.sameActive(v) && v.e.frozen != nil && v.e.frozen.number <= b.through) {
		if value, st = v.e.lookUp(dst, key, v.seq, l.locked); st != unknown {
			return value, st == present, nil
		}
	}
	return b.Get(dst, key)
}

// getPresent reads what the engine has now, without a snapshot of it. ok says that this is
// what the view is to see: the engine has not begun to change since the view was made, or
// changes by what is in the view's generations.
func (l *Layer) getPresent(v *view, dst, key []byte) (value []byte, found, ok bool, err error) {
	if l.settled.Load() != v.settled {
		return dst, false, false, nil
	}
	value, found, err = l.below.Get(dst, key)
	return value, found, l.settled.Load() == v.settled, err
}

func (l *Layer) sameActive(v *view) bool { return l.current.Load().active == v.e.active }

// locked calls do with the stripe of a tag locked.
func (l *Layer) locked(tag uint32, do func()) {
	s := &l.table[stripeOf(tag)]
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

// NewSnapshot implements engine.Engine. The reads of a snapshot of a closed Layer
// return engine.ErrClosed.
func (l *Layer) NewSnapshot() engine.Snapshot {
	s := &snapshot{l: l, closed: l.closed.Load()}
	if !s.closed {
		l.openView(&s.v)
	}
	return s
}

// snapshot is an engine.Snapshot.
type snapshot struct {
	l      *Layer
	v      view
	closed bool
}

func (s *snapshot) Get(dst, key []byte) (value []byte, found bool, err error) {
	if s.closed {
		return dst, false, engine.ErrClosed
	}
	return s.l.get(&s.v, dst, key)
}

func (s *snapshot) NewIter(o engine.IterOptions) (engine.Iterator, error) {
	if s.closed {
		return nil, engine.ErrClosed
	}
	var id rangeID
	r, wanted := s.l.runs.find(&id, o.Lower, o.Upper, o.KeysOnly, s.v.seq)
	if r != nil {
		return newRunIter(r), nil
	}
	// A view of its own: it may be closed after the snapshot.
	v := &view{e: s.v.e, seq: s.v.seq}
	var it engine.Iterator = nothing{}
	var err error
	if s.l.freshRange(v.e, o.Lower, o.Upper) {
		s.l.views.insertAfter(&s.v, v, nil)
	} else {
		b := s.l.baseOf(&s.v)
		s.l.views.insertAfter(&s.v, v, b)
		it, err = b.NewIter(o)
	}
	if err != nil {
		return nil, errors.Join(err, s.l.closeView(v))
	}
	if it, err = s.l.newIter(v, it, o); err == nil && wanted {
		it = s.l.record(it, &id, s.v.seq)
	}
	return it, err
}

// insertAfter registers a view of the same state as another one. Without a base it is
// one that needs none.
func (vl *viewList) insertAfter(at, v *view, b *base) {
	vl.mu.Lock()
	defer vl.mu.Unlock()
	if v.base = b; b != nil {
		b.refs++
	}
	v.own = b == nil
	v.prev, v.next = at, at.next
	if at.next == nil {
		vl.last = v
	} else {
		at.next.prev = v
	}
	at.next = v
	vl.count++
}

func (s *snapshot) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	return s.l.closeView(&s.v)
}

// NewIter implements engine.Reader.
func (l *Layer) NewIter(o engine.IterOptions) (engine.Iterator, error) {
	if l.closed.Load() {
		return nil, engine.ErrClosed
	}
	var id rangeID
	r, wanted := l.runs.find(&id, o.Lower, o.Upper, o.KeysOnly, l.visible.Load())
	if r != nil {
		return newRunIter(r), nil
	}
	v := &view{}
	l.openView(v)
	seq := v.seq
	var it engine.Iterator
	var err error
	if l.freshRange(v.e, o.Lower, o.Upper) {
		l.views.takeOwn(v)
		it = nothing{}
	} else {
		it, err = l.below.NewIter(o)
		if err == nil {
			it, err = l.ownBase(v, it, o)
		}
	}
	if err != nil {
		return nil, errors.Join(err, l.closeView(v))
	}
	if it, err = l.newIter(v, it, o); err == nil && wanted {
		it = l.record(it, &id, seq)
	}
	return it, err
}

// ownBase notes that a view has the engine's state in it, an iterator made after
// the view; unless a checkpoint came in between, and then there is another one.
func (l *Layer) ownBase(v *view, it engine.Iterator, o engine.IterOptions) (engine.Iterator, error) {
	if l.views.takeOwn(v) {
		return it, nil
	}
	if err := it.Close(); err != nil {
		return nil, err
	}
	return v.base.NewIter(o)
}

// takeOwn notes that a view needs no state of the engine from now on, and reports
// whether it was not given one before.
func (vl *viewList) takeOwn(v *view) bool {
	vl.mu.Lock()
	defer vl.mu.Unlock()
	v.own = v.base == nil
	return v.own
}

// newIter returns an iterator of a view, over an iterator of the engine. Both are
// the iterator's, also when there is an error.
func (l *Layer) newIter(v *view, below engine.Iterator, o engine.IterOptions) (engine.Iterator, error) {
	var sources []layer.Source
	for _, g := range []*generation{v.e.active, v.e.frozen} {
		if g == nil || g.records.Load() == 0 && !g.ranges.Any() {
			continue
		}
		runs := g.index.within(g, o.Lower, o.Upper)
		if len(runs) == 0 && !g.ranges.Any() {
			continue
		}
		sources = append(sources, newGenIter(l, g, v.seq, runs))
	}
	if len(sources) == 0 && v.base == nil {
		return below, l.closeView(v)
	}
	return layer.NewIter(sources, below, o, func() {
		if err := l.closeView(v); err != nil {
			l.o.Logger.Error("the hot layer cannot close a view", "err", err)
		}
	}), nil
}
