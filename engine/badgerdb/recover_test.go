package badgerdb

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"dkv/engine"
)

func openForTest(t *testing.T, dir string) *store {
	t.Helper()
	s, err := openStore(dir, Options{Logger: slog.New(slog.DiscardHandler)}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// unfinished writes half a change, as a flush that a crash cuts short: keys are
// overwritten, deleted and added, and the mark is not set.
func unfinished(t *testing.T, s *store, round int) {
	t.Helper()
	w := newWriter(s, s.mu.ts+1)
	for i := range 100 {
		key := storeKey(nil, fmt.Appendf(nil, "k%03d", i))
		switch i % 3 {
		case 0:
			must(t, w.delete(key))
		case 1:
			must(t, w.put(key, fmt.Appendf(nil, "unfinished %d", round)))
		}
		must(t, w.put(storeKey(nil, fmt.Appendf(nil, "new%d/%03d", round, i)), bytes.Repeat([]byte("x"), 1000)))
	}
	must(t, w.finish())
}

// What a crash left of a change is taken back by Open, wherever Badger has put it
// meanwhile, and again when a crash cut that short.
func TestTakesBackUnfinished(t *testing.T) {
	dir := t.TempDir()
	s := openForTest(t, dir)
	w := newWriter(s, 1)
	for i := range 100 {
		must(t, w.put(storeKey(nil, fmt.Appendf(nil, "k%03d", i)), []byte("kept")))
	}
	must(t, errors.Join(w.finish(), s.mark(1)))
	for round := range 4 {
		unfinished(t, s, round)
		if round != 1 { // in tables, merged with what was before
			must(t, errors.Join(s.flushMemtable(), s.flatten()))
		}
		if round > 1 { // taken back, and a crash before the mark
			newest, err := s.newestAbove(s.mu.ts)
			must(t, err)
			w := newWriter(s, newest+1)
			must(t, errors.Join(s.takeBack(w, s.mu.ts), w.finish()))
		}
		before := s.mu.ts
		must(t, s.Close())
		s = openForTest(t, dir)
		if s.mu.ts <= before {
			t.Fatalf("round %d: the mark went from %d to %d", round, before, s.mu.ts)
		}
		v, err := s.View()
		must(t, err)
		it, err := v.NewIter(engine.IterOptions{})
		must(t, err)
		n := 0
		for ok := it.First(); ok; ok = it.Next() {
			value, err := it.Value()
			must(t, err)
			if want := fmt.Sprintf("k%03d", n); string(it.Key()) != want || string(value) != "kept" {
				t.Fatalf("round %d: %s has %.20q, want %s", round, it.Key(), value, want)
			}
			n++
		}
		if n != 100 {
			t.Fatalf("round %d: %d keys", round, n)
		}
		must(t, errors.Join(it.Close(), v.Close()))
	}
	must(t, s.Close())
}

// An Open with nothing to take back writes nothing.
func TestCleanOpenWritesNothing(t *testing.T) {
	dir := t.TempDir()
	s := openForTest(t, dir)
	w := newWriter(s, 1)
	must(t, w.put(storeKey(nil, []byte("k")), []byte("v")))
	must(t, errors.Join(w.finish(), s.mark(1), s.Close()))
	s = openForTest(t, dir)
	if s.mu.ts != 1 {
		t.Errorf("the mark is %d", s.mu.ts)
	}
	txn := s.db.NewTransactionAt(5, false)
	defer txn.Discard()
	if _, err := txn.Get([]byte{dropPrefix}); !errors.Is(err, badger.ErrKeyNotFound) {
		t.Errorf("err %v", err)
	}
	must(t, s.Close())
}

// What a list that failed has left above the mark is gone before anything else is
// written, also when that is not the same list.
func TestTakesBackFailedList(t *testing.T) {
	for _, inMemory := range []bool{false, true} {
		o := Options{InMemory: inMemory, Logger: slog.New(slog.DiscardHandler)}
		dir := t.TempDir()
		if inMemory {
			dir = ""
		}
		e, err := Open(dir, o)
		must(t, err)
		var b engine.Batch
		b.Put([]byte("k"), []byte("kept"))
		large := bytes.Repeat([]byte("l"), maxValueThreshold+1)
		b.Put([]byte("large"), large)
		must(t, errors.Join(e.Apply(b.Repr()), e.Flush()))
		i := 0
		err = e.Load([]engine.KeyRange{{Start: []byte("large"), End: []byte("largf")}}, func() (engine.Kind, []byte, []byte, bool) {
			if i++; i > 5000 {
				return engine.KindDeleteRange, []byte("z"), nil, true
			}
			if i == 5000 {
				return engine.KindPut, []byte("m"), []byte("torn"), true
			}
			return engine.KindPut, fmt.Appendf(nil, "k%05d", i), bytes.Repeat([]byte("x"), 1000), true
		})
		if !errors.Is(err, engine.ErrCorruptBatch) {
			t.Fatal(err)
		}
		b.Reset()
		b.Put([]byte("after"), []byte("1"))
		must(t, errors.Join(e.Apply(b.Repr()), e.Flush()))
		it, err := e.NewIter(engine.IterOptions{})
		must(t, err)
		var keys []string
		for ok := it.First(); ok; ok = it.Next() {
			keys = append(keys, string(it.Key()))
		}
		must(t, errors.Join(it.Err(), it.Close()))
		if fmt.Sprint(keys) != "[after k large]" {
			t.Errorf("in memory %v: %d keys %.5v", inMemory, len(keys), keys)
		}
		if v, _, err := e.Get(nil, []byte("large")); err != nil || !bytes.Equal(v, large) {
			t.Errorf("in memory %v: %d bytes, %v", inMemory, len(v), err)
		}
		must(t, e.Close())
	}
}
