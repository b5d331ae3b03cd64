package shard

import (
	"fmt"
	"sync/atomic"
	"testing"

	"dkv/engine/keyspace"
)

// reader is a task that waits for a list to be there, and reads its length.
type reader struct {
	Task
	got   string
	tries atomic.Int32
}

func newReader(t *testing.T, key string) *reader {
	r := &reader{}
	r.Reads = true
	r.Eval = func(tx *keyspace.Tx) {
		r.tries.Add(1)
		l, err := tx.List(must(t, tx.Find, key))
		if err == nil && l.Exists() {
			r.got = fmt.Sprint(key, ":", l.Len())
			return
		}
		r.Park([]Wish{{Key: []byte(key), Type: keyspace.TypeList}})
	}
	return r
}

func (r *reader) submit(t *testing.T, s *Shard) *reader {
	t.Helper()
	n := s.Parked()
	s.Submit(&r.Task)
	await(t, func() bool { return s.Parked() == n+1 })
	return r
}

func (r *reader) want(t *testing.T, got string, err error) {
	t.Helper()
	if e := r.Wait(); e != err || r.got != got {
		t.Errorf("read %q, error %v, want %q, %v", r.got, e, got, err)
	}
}

// TestReadersOfReplica: while a shard follows a source, tasks that read wait and are
// served behind the entry that they wait for; those that would write are refused.
func TestReadersOfReplica(t *testing.T) {
	p := newPair(t)
	p.replica.s.Follow(true)
	p.copyAll()
	s := p.replica.s
	a, b, other := newReader(t, "a").submit(t, s), newReader(t, "a").submit(t, s), newReader(t, "other").submit(t, s)
	pops := newPopper(t, "a")
	s.Submit(&pops.Task)
	pops.want(t, "", ErrReadOnly)

	write := func(f func(tx *keyspace.Tx)) {
		t.Helper()
		if err := run(p.source.s, f); err != nil {
			t.Fatal(err)
		}
		p.follow(1 << 20)
	}
	write(put(t, "a", []byte("no list")))
	write(put(t, "unrelated", []byte("x")))
	write(func(tx *keyspace.Tx) { tx.FlushDB(0) })
	if n := s.Parked(); n != 3 {
		t.Fatalf("%d are parked", n)
	}
	for _, r := range []*reader{a, b, other} {
		if n := r.tries.Load(); n != 1 {
			t.Errorf("it was tried %d times for what is not its", n)
		}
	}
	before := s.Applied()
	write(push(t, "a", "1", "2"))
	a.want(t, "a:2", nil)
	b.want(t, "a:2", nil)
	if n := s.Applied() - before; n != 1 {
		t.Errorf("%d entries of its own log, want one for one of the source's", n)
	}

	// The database changes its number.
	if err := run(p.source.s, func(tx *keyspace.Tx) { push(t, "other", "1")(tx); tx.SwapDB(0, 1) }); err != nil {
		t.Fatal(err)
	}
	p.follow(1 << 20)
	await(t, func() bool { return s.Parked() == 1 })
	write(func(tx *keyspace.Tx) { tx.SwapDB(0, 1) })
	other.want(t, "other:1", nil)

	// A copy has who waits come again: what came with it was not told.
	if err := run(p.source.s, func(tx *keyspace.Tx) { tx.FlushDB(0) }); err != nil {
		t.Fatal(err)
	}
	p.follow(1 << 20)
	c := newReader(t, "c").submit(t, s)
	p.copyAll()
	c.want(t, "", ErrNotLeader)
	s.Submit(&c.Task)
	await(t, func() bool { return s.Parked() == 1 })

	// It waits on when the shard is a master, and not when it gets another source.
	if err := p.apply(&SourceBatch{Forget: true}); err != nil {
		t.Fatal(err)
	}
	s.Follow(false)
	if err := run(s, push(t, "c", "1")); err != nil {
		t.Fatal(err)
	}
	c.want(t, "c:1", nil)
	d := newReader(t, "d").submit(t, s)
	s.Follow(true)
	d.want(t, "", ErrForcedOut)
	e := newReader(t, "e").submit(t, s)
	s.Withdraw(&e.Task)
	e.want(t, "", ErrWithdrawn)
	if n := s.Parked(); n != 0 || len(s.lot.mu.places) != 0 {
		t.Errorf("%d tasks are parked at %d places", n, len(s.lot.mu.places))
	}
}

// TestReadersOfStep: a source's commands that come to nothing are not read.
func TestReadersOfStep(t *testing.T) {
	p := newPair(t)
	s := p.replica.s
	s.Follow(true)
	r := newReader(t, "a").submit(t, s)
	to := SourcePosition{History: "x", Position: Position{1, 1}}
	step := &SourceStep{Anew: true, To: to}
	task := Task{Step: step, Eval: func(tx *keyspace.Tx) { push(t, "a", "1")(tx); step.Err = ErrTooBig }}
	s.Submit(&task)
	if err := task.Wait(); err != ErrTooBig {
		t.Fatal(err)
	}
	if n := s.Parked(); n != 1 {
		t.Fatalf("%d are parked", n)
	}
	task.Eval = func(tx *keyspace.Tx) { push(t, "a", "2", "3")(tx) }
	s.Submit(&task)
	if err := task.Wait(); err != nil {
		t.Fatal(err)
	}
	r.want(t, "a:2", nil)
}
