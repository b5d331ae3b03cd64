package shard

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"dkv/engine"
	"dkv/engine/keyspace"
)

// popper is a task that pops an element of a list, and waits for it.
type popper struct {
	Task
	got   string
	tries atomic.Int32
}

func newPopper(t *testing.T, keys ...string) *popper {
	p := &popper{}
	p.Eval = func(tx *keyspace.Tx) {
		p.tries.Add(1)
		p.got = ""
		var wishes []Wish
		for _, key := range keys {
			l, err := tx.List(must(t, tx.Find, key))
			if err == nil && l.Exists() {
				if err := errors.Join(l.Pop(true, 1, func(e []byte) { p.got = key + ":" + string(e) }), l.Save()); err != nil {
					t.Error(err)
				}
				return
			}
			wishes = append(wishes, Wish{Key: []byte(key), Type: keyspace.TypeList})
		}
		p.Park(wishes)
	}
	return p
}

func must(t *testing.T, find func(int, []byte) (keyspace.Entry, error), key string) keyspace.Entry {
	e, err := find(0, []byte(key))
	if err != nil {
		t.Error(err)
	}
	return e
}

func push(t *testing.T, key string, elements ...string) func(tx *keyspace.Tx) {
	return func(tx *keyspace.Tx) {
		l, err := tx.List(must(t, tx.Find, key))
		for _, e := range elements {
			err = errors.Join(err, l.Push(false, []byte(e)))
		}
		if err := errors.Join(err, l.Save()); err != nil {
			t.Error(err)
		}
	}
}

func (p *popper) submit(t *testing.T, s *Shard) *popper {
	t.Helper()
	n := s.Parked()
	s.Submit(&p.Task)
	await(t, func() bool { return s.Parked() == n+1 })
	return p
}

func await(t *testing.T, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not happen")
		}
	}
}

func (p *popper) want(t *testing.T, got string, err error) {
	t.Helper()
	if e := p.Wait(); !errors.Is(e, err) || err == nil && p.got != got {
		t.Errorf("popped %q, error %v, want %q, %v", p.got, e, got, err)
	}
}

func TestParkedInOrder(t *testing.T) {
	s, _ := openShard(t)
	first, second, third := newPopper(t, "a", "b").submit(t, s), newPopper(t, "b").submit(t, s), newPopper(t, "a", "a").submit(t, s)
	before := s.Applied()
	if err := run(s, push(t, "b", "1", "2")); err != nil {
		t.Fatal(err)
	}
	first.want(t, "b:1", nil)
	second.want(t, "b:2", nil)
	if n := s.Applied() - before; n != 1 {
		t.Errorf("%d entries, want one for the push and both pops", n)
	}
	if err := run(s, put(t, "a", []byte("a string"))); err != nil {
		t.Fatal(err)
	}
	s.Withdraw(&third.Task)
	third.want(t, "", ErrWithdrawn)
	if n := third.tries.Load(); n != 1 {
		t.Errorf("it was tried %d times", n)
	}
	if n := s.Parked(); n != 0 || len(s.lot.mu.places) != 0 {
		t.Errorf("%d tasks are parked at %d places", n, len(s.lot.mu.places))
	}
	// One that is withdrawn before it has had a try at all does not wait.
	fourth := newPopper(t, "nothing")
	fourth.withdrawn.Store(true)
	s.Submit(&fourth.Task)
	fourth.want(t, "", ErrWithdrawn)
}

// What a change costs does not depend on how many wait for the key, or for others.
func TestManyParked(t *testing.T) {
	s, _ := openShard(t)
	const n = 10_000
	var same, others []*popper
	for i := range n {
		same = append(same, newPopper(t, "same"))
		others = append(others, newPopper(t, fmt.Sprint("key", i), fmt.Sprint("other", i)))
		s.Submit(&same[i].Task)
		s.Submit(&others[i].Task)
	}
	await(t, func() bool { return s.Parked() == 2*n })
	for i := range 100 {
		if err := run(s, push(t, "same", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
		same[i].want(t, fmt.Sprint("same:", i), nil)
	}
	tries := 0
	for _, p := range append(same[100:], others...) {
		tries += int(p.tries.Load())
	}
	if want := 2*n - 100; tries != want {
		t.Errorf("those who wait were tried %d times, want %d", tries, want)
	}
	for i := range n {
		if i >= 100 {
			s.Withdraw(&same[i].Task)
			same[i].want(t, "", ErrWithdrawn)
		}
		s.Withdraw(&others[i].Task)
		others[i].want(t, "", ErrWithdrawn)
	}
	if n := s.Parked(); n != 0 || len(s.lot.mu.places) != 0 {
		t.Errorf("%d tasks are parked at %d places", n, len(s.lot.mu.places))
	}
}

// While nothing can be written those who wait are left alone, and nobody begins to.
func TestParkedOnFullDisk(t *testing.T) {
	s, e := openShard(t)
	waiting := newPopper(t, "q").submit(t, s)
	trouble := fmt.Errorf("test: %w", engine.ErrNoSpace)
	e.trouble.Store(&trouble)
	if err := run(s, push(t, "q", "1")); !errors.Is(err, ErrNoSpace) {
		t.Errorf("push: %v", err)
	}
	late := newPopper(t, "q")
	s.Submit(&late.Task)
	late.want(t, "", ErrNoSpace)
	e.trouble.Store(nil)
	if n := s.Parked(); n != 1 {
		t.Fatalf("%d are parked", n)
	}
	if err := run(s, push(t, "q", "2")); err != nil {
		t.Fatal(err)
	}
	waiting.want(t, "q:2", nil)
}

// A batch that comes to nothing: who was served by it waits on, in its old place, and
// who was parked by it is told.
func TestParkedInLostBatch(t *testing.T) {
	s, _ := openShard(t)
	first, second := newPopper(t, "q").submit(t, s), newPopper(t, "q").submit(t, s)
	lost := newPopper(t, "other")
	err := run(s, func(tx *keyspace.Tx) {
		mark := tx.Mark()
		push(t, "q", "1")(tx)
		s.settle() // as between two commands
		if first.got != "q:1" {
			t.Errorf("popped %q", first.got)
		}
		// What follows is what evaluateOne, and then abandon, do.
		lost.done = make(chan error, 1)
		s.w.run(&lost.Task)
		s.park(&lost.Task)
		s.lot.unpark(ErrNoSpace)
		s.keepWaiting(ErrNoSpace)
		s.lot.fresh = nil
		tx.Rollback(mark)
	})
	if err != nil {
		t.Fatal(err)
	}
	lost.want(t, "", ErrNoSpace)
	if n := s.Parked(); n != 2 {
		t.Fatalf("%d are parked", n)
	}
	if err := run(s, push(t, "q", "2", "3")); err != nil {
		t.Fatal(err)
	}
	first.want(t, "q:2", nil)
	second.want(t, "q:3", nil)
}

// Following a source, and closing, end the waits.
func TestParkedEnds(t *testing.T) {
	s, _ := openShard(t)
	a := newPopper(t, "q").submit(t, s)
	s.Follow(true)
	a.want(t, "", ErrForcedOut)
	s.Follow(false)
	b := newPopper(t, "q").submit(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b.want(t, "", ErrClosed)
}

// A leader that is cut off sends those who wait away, once it knows.
func TestParkedAtDeposedLeader(t *testing.T) {
	c := newTestCluster(t, 3)
	leader := c.leader()
	waiting := newPopper(t, "q").submit(t, leader.s)
	c.isolate(leader.id, true)
	waiting.want(t, "", ErrNotLeader)
	if n := leader.s.Parked(); n != 0 {
		t.Errorf("%d are parked where nobody leads", n)
	}
}
