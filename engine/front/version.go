package front

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"time"

	"dkv/engine"
	"dkv/engine/layer"
)

// version is what there is to read: memtables, newest first, over a view of the
// Store. A version never changes (its newest memtable grows).
type version struct {
	mems []*memtable
	view *sharedView
	refs atomic.Int64
}

// sharedView is a view that several versions may have.
type sharedView struct {
	View
	refs atomic.Int64
}

func (v *sharedView) unref() error {
	if v.refs.Add(-1) == 0 {
		return v.View.Close()
	}
	return nil
}

// newVersion returns a version with one reference.
func newVersion(mems []*memtable, view *sharedView) *version {
	v := &version{mems: mems, view: view}
	view.refs.Add(1)
	v.refs.Store(1)
	return v
}

// ref adds a reference; false when the last is gone.
func (v *version) ref() bool {
	for {
		n := v.refs.Load()
		if n == 0 {
			return false
		}
		if v.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (v *version) unref() error {
	if v.refs.Add(-1) == 0 {
		return v.view.unref()
	}
	return nil
}

// newIter returns an iterator over the state of seq; release is called when it is
// closed, and when there is an error.
func newIter(v *version, seq uint64, o engine.IterOptions, release func()) (engine.Iterator, error) {
	// A view may keep them.
	o.Lower, o.Upper = bytes.Clone(o.Lower), bytes.Clone(o.Upper)
	base, err := v.view.NewIter(o)
	if err != nil {
		release()
		return nil, err
	}
	iters := make([]memIter, len(v.mems))
	sources := make([]layer.Source, len(v.mems))
	for i, m := range v.mems {
		iters[i] = memIter{m: m, seq: seq}
		sources[i] = &iters[i]
	}
	return layer.NewIter(sources, base, o, release), nil
}

// get reads a key in the state of seq.
func (v *version) get(dst, key []byte, seq uint64) (value []byte, found bool, err error) {
	for _, m := range v.mems {
		if n, known := m.get(key, seq); n != nil {
			return append(dst, n.value...), true, nil
		} else if known {
			return dst, false, nil
		}
	}
	return v.view.Get(dst, key)
}

// usage counts what is using a DB: calls under way, open iterators, open
// snapshots. The Store must not be closed under any of them.
type usage struct {
	// n is the count, less closedBias once closed.
	n    atomic.Int64
	idle chan struct{} // has room for one; a hint to look at n again
}

const (
	closedBias = 1 << 40

	// closeWait is how long Close waits for what is still open. What has not
	// been closed by then never will be, and a process that is to end should.
	closeWait = 10 * time.Second
)

func (u *usage) init() { u.idle = make(chan struct{}, 1) }

// enter adds a user; false means that the DB is closed.
func (u *usage) enter() bool {
	if u.n.Add(1) > 0 {
		return true
	}
	u.leave()
	return false
}

func (u *usage) leave() {
	if u.n.Add(-1) == -closedBias {
		select {
		case u.idle <- struct{}{}:
		default:
		}
	}
}

// close keeps new users out and waits for those there are, for closeWait at most.
func (u *usage) close() error {
	u.n.Add(-closedBias)
	timer := time.NewTimer(closeWait)
	defer timer.Stop()
	for {
		open := u.n.Load() + closedBias
		if open == 0 {
			return nil
		}
		select {
		case <-u.idle:
		case <-timer.C:
			return fmt.Errorf("%d reads, iterators or snapshots are still open", open)
		}
	}
}

// snapshot is an engine.Snapshot.
type snapshot struct {
	db     *DB
	v      *version // nil when the DB was closed already
	seq    uint64
	closed bool
}

func (s *snapshot) Get(dst, key []byte) (value []byte, found bool, err error) {
	if s.v == nil || s.closed {
		return dst, false, engine.ErrClosed
	}
	return s.v.get(dst, key, s.seq)
}

func (s *snapshot) NewIter(o engine.IterOptions) (engine.Iterator, error) {
	if s.v == nil || s.closed {
		return nil, engine.ErrClosed
	}
	// Not enter and ref: the snapshot's own keep the DB open, also while a Close
	// waits for the snapshot.
	s.db.use.n.Add(1)
	s.v.refs.Add(1)
	return newIter(s.v, s.seq, o, s.db.releaser(s.v))
}

func (s *snapshot) Close() error {
	if s.v == nil || s.closed {
		return nil
	}
	s.closed = true
	s.db.release(s.v)
	return nil
}
