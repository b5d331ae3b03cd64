package front_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"dkv/engine"
	"dkv/engine/enginetest"
	"dkv/engine/front"
)

func mustOpen(t *testing.T, o front.Options) (*front.DB, *fileStore) {
	t.Helper()
	s, err := openFileStore("store", vfs.NewMem())
	if err != nil {
		t.Fatal(err)
	}
	o.Logger, o.Name = quiet(), "filestore"
	db, err := front.Open(s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db, s
}

func put(t *testing.T, db *front.DB, key, value string) {
	t.Helper()
	var b engine.Batch
	b.Put([]byte(key), []byte(value))
	if err := db.Apply(b.Repr()); err != nil {
		t.Fatal(err)
	}
}

func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
		<-tick.C
	}
}

func (s *fileStore) failWith(do func() error) { s.fail.Store(&do) }

func TestBadOptions(t *testing.T) {
	for _, o := range []front.Options{{MemtableBytes: 1}, {MemtableBytes: 2 << 30}, {MemtableCount: 1}} {
		s, err := openFileStore("store", vfs.NewMem())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := front.Open(s, o); !errors.Is(err, engine.ErrOptions) {
			t.Errorf("%+v: err %v", o, err)
		}
	}
}

// A write that fails is tried again, at a bearable rate, with the same change.
func TestFailedWrites(t *testing.T) {
	db, s := mustOpen(t, front.Options{})
	broken := errors.New("the store is broken")
	var tries atomic.Int64
	s.failWith(func() error { tries.Add(1); return broken })
	put(t, db, "k", "1")
	began := time.Now()
	if err := db.Flush(); !errors.Is(err, broken) {
		t.Errorf("Flush: %v", err)
	}
	put(t, db, "k", "2") // into the next memtable
	if err := db.Writable(); !errors.Is(err, broken) {
		t.Errorf("Writable: %v", err)
	}
	waitFor(t, "another try", func() bool { return tries.Load() >= 3 })
	// After a tenth of a second, and then twice that.
	if took := time.Since(began); took < 250*time.Millisecond {
		t.Errorf("three tries in %v", took)
	}
	if n := db.Metrics().BackgroundErrors; n < 2 || n > 10 {
		t.Errorf("%d errors", n)
	}
	s.failWith(func() error { return nil })
	waitFor(t, "the flush", func() bool { return db.Writable() == nil })
	if v, _, err := db.GetDurable(nil, []byte("k")); err != nil || string(v) != "1" {
		t.Errorf("durable: %q %v", v, err)
	}
	if err := db.Flush(); err != nil {
		t.Error(err)
	}
	if v, _, err := db.GetDurable(nil, []byte("k")); err != nil || string(v) != "2" {
		t.Errorf("durable: %q %v", v, err)
	}
}

// A store that fails for good, or panics, stops the engine, not the process.
func TestFatal(t *testing.T) {
	for name, fail := range map[string]func() error{
		"error": func() error { return fmt.Errorf("%w: worn out", engine.ErrFailed) },
		"panic": func() error { panic("index out of range") },
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int64
			db, s := mustOpen(t, front.Options{OnFatal: func(error) { calls.Add(1) }})
			put(t, db, "k", "1")
			s.failWith(fail)
			if err := db.Flush(); !errors.Is(err, engine.ErrFailed) {
				t.Errorf("Flush: %v", err)
			}
			waitFor(t, "OnFatal", func() bool { return calls.Load() == 1 })
			s.failWith(func() error { return nil }) // and still nothing may be written
			var b engine.Batch
			b.Put([]byte("k"), []byte("2"))
			for what, err := range map[string]error{
				"Apply":      db.Apply(b.Repr()),
				"Flush":      db.Flush(),
				"Writable":   db.Writable(),
				"Checkpoint": db.Checkpoint("copy"),
				"Compact":    db.Compact(t.Context(), nil, nil),
			} {
				if !errors.Is(err, engine.ErrFailed) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if v, _, err := db.Get(nil, []byte("k")); err != nil || string(v) != "1" {
				t.Errorf("read %q %v", v, err)
			}
			if n := calls.Load(); n != 1 {
				t.Errorf("OnFatal was called %d times", n)
			}
		})
	}
}

// An iterator leaves a deleted range at once, however much lies in it.
func TestSkipsDeletedRanges(t *testing.T) {
	db, s := mustOpen(t, front.Options{})
	var b engine.Batch
	for i := range 20000 {
		b.Put(fmt.Appendf(nil, "in/%06d", i), []byte("v"))
	}
	b.Put([]byte("a"), []byte("1"))
	b.Put([]byte("z"), []byte("2"))
	if err := errors.Join(db.Apply(b.Repr()), db.Flush()); err != nil {
		t.Fatal(err)
	}
	b.Reset()
	b.DeleteRange([]byte("in/"), []byte("in0"))
	b.Put([]byte("in/000500"), []byte("again"))
	if err := db.Apply(b.Repr()); err != nil {
		t.Fatal(err)
	}
	it, err := db.NewIter(engine.IterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	for ok := it.Last(); ok; ok = it.Prev() {
		n++
	}
	if n != 6 {
		t.Fatalf("%d keys both ways, want 3 each", n)
	}
	if moves := s.moves.Load(); moves > 20 {
		t.Errorf("%d moves in the store", moves)
	}
}

// Many delete-ranges over one another, which cut each other into pieces.
func TestManyRanges(t *testing.T) {
	db, _ := mustOpen(t, front.Options{})
	rng := enginetest.Rand(t)
	m := &enginetest.Model{}
	for range 300 {
		var b engine.Batch
		for range 10 {
			x, y := enginetest.RandomKey(rng), enginetest.RandomKey(rng)
			switch rng.IntN(3) {
			case 0:
				b.Put(x, y)
			default:
				if bytes.Compare(x, y) > 0 {
					x, y = y, x
				}
				b.DeleteRange(x, y)
			}
		}
		if err := errors.Join(db.Apply(b.Repr()), m.Apply(b.Repr())); err != nil {
			t.Fatal(err)
		}
		enginetest.CompareReaders(t, db, m)
	}
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	enginetest.CompareReaders(t, db, m)
}

// Apply waits when all memtables are full, and goes on after the next flush.
func TestStall(t *testing.T) {
	db, s := mustOpen(t, front.Options{MemtableBytes: 64 << 10, MemtableCount: 2})
	hold := make(chan struct{})
	s.failWith(func() error { <-hold; return nil })
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 20 {
			var b engine.Batch
			b.Put(fmt.Appendf(nil, "%d", i), []byte(strings.Repeat("v", 32<<10)))
			if err := db.Apply(b.Repr()); err != nil {
				t.Error(err)
			}
		}
	}()
	waitFor(t, "Apply to wait", func() bool { return db.Metrics().WriteStalls > 0 })
	if n := db.Metrics().MemtableCount; n != 2 {
		t.Errorf("%d memtables", n)
	}
	close(hold)
	<-done
	if m := db.Metrics(); m.WriteStallDuration == 0 {
		t.Errorf("%+v", m)
	}
}
