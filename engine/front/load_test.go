package front_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"dkv/engine"
	"dkv/engine/front"
)

// numbered is a list of n keys with a value of that many bytes; each is called with the
// number of each record before it is given.
func numbered(n, bytes int, each func(i int)) func() (engine.Kind, []byte, []byte, bool) {
	i := -1
	return func() (engine.Kind, []byte, []byte, bool) {
		if i++; i >= n {
			return 0, nil, nil, false
		}
		if each != nil {
			each(i)
		}
		return engine.KindPut, fmt.Appendf(nil, "%06d", i), make([]byte, bytes), true
	}
}

func wantKeys(t *testing.T, db *front.DB, want int) {
	t.Helper()
	it, err := db.NewIter(engine.IterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	if n != want {
		t.Errorf("%d keys, want %d", n, want)
	}
}

// A list goes past the memtables, behind what is in them, and after the log was synced.
func TestLoad(t *testing.T) {
	var synced, flushed atomic.Int64
	unsynced := errors.New("the log cannot be synced")
	var fail atomic.Bool
	db, _ := mustOpen(t, front.Options{
		BeforeFlush: func() error {
			if fail.Load() {
				return unsynced
			}
			synced.Add(1)
			return nil
		},
		OnFlush: func() { flushed.Add(1) },
	})
	put(t, db, "000001", "older")
	put(t, db, "older", "1")
	if err := db.Load(nil, numbered(10, 3, nil)); err != nil {
		t.Fatal(err)
	}
	if synced.Load() != 2 || flushed.Load() != 2 {
		t.Errorf("%d syncs, %d flushes", synced.Load(), flushed.Load())
	}
	wantKeys(t, db, 11)
	if v, _, err := db.Get(nil, []byte("000001")); err != nil || len(v) != 3 || v[0] != 0 {
		t.Errorf("%q %v", v, err)
	}
	fail.Store(true)
	if err := db.Load([]engine.KeyRange{{Start: []byte("0"), End: []byte("1")}}, numbered(0, 0, nil)); !errors.Is(err, unsynced) {
		t.Errorf("with a log that fails: %v", err)
	}
	fail.Store(false)
	wantKeys(t, db, 11)
	if err := db.Load([]engine.KeyRange{{Start: []byte("0"), End: []byte("1")}}, numbered(0, 0, nil)); err != nil {
		t.Error(err)
	}
	wantKeys(t, db, 1)
	if err := db.Load(nil, numbered(0, 0, nil)); err != nil {
		t.Error(err)
	}
}

// A list that fails leaves nothing, is not tried again by the engine, and does not make
// it refuse other changes.
func TestLoadFails(t *testing.T) {
	var free atomic.Uint64
	free.Store(1 << 40)
	db, s := mustOpen(t, front.Options{
		ReserveBytes: 1 << 20, WriteFactor: 2,
		FreeBytes: func() (uint64, bool) { return free.Load(), true },
	})
	broken := errors.New("the store is broken")
	s.failWith(func() error { return broken })
	if err := db.Load(nil, numbered(5, 10, nil)); !errors.Is(err, broken) {
		t.Errorf("a store that fails: %v", err)
	}
	s.failWith(func() error { return nil })
	// The disk is filled while the list is written.
	err := db.Load(nil, numbered(100, 1<<20, func(i int) {
		if i == 20 {
			free.Store(2 << 20)
		}
	}))
	if !errors.Is(err, engine.ErrNoSpace) {
		t.Errorf("a full disk: %v", err)
	}
	// A little more room is not enough to begin again.
	free.Store(1<<20 + 2*(8<<20))
	given := 0
	if err := db.Load(nil, numbered(100, 1<<20, func(int) { given++ })); !errors.Is(err, engine.ErrNoSpace) || given != 1 {
		t.Errorf("a disk that is nearly full: %v, after %d records", err, given)
	}
	free.Store(2 << 20)
	if bytes, known := db.Space(); !known || bytes != 512<<10 {
		t.Errorf("space %d %v", bytes, known)
	}
	free.Store(1 << 40)
	wantKeys(t, db, 0)
	if err := db.Load(nil, func() (engine.Kind, []byte, []byte, bool) {
		return engine.KindDeleteRange, []byte("a"), []byte("b"), true
	}); !errors.Is(err, engine.ErrCorruptBatch) {
		t.Errorf("with a range: %v", err)
	}
	if err := db.Writable(); err != nil {
		t.Error(err)
	}
	put(t, db, "k", "v")
	if err := errors.Join(db.Flush(), db.Load(nil, numbered(5, 10, nil))); err != nil {
		t.Error(err)
	}
	wantKeys(t, db, 6)
}

// Close ends a Load under way; a store that fails for good stops the engine.
func TestLoadEnds(t *testing.T) {
	db, s := mustOpen(t, front.Options{})
	closed := make(chan error, 1)
	err := db.Load(nil, numbered(1000, 1<<20, func(i int) {
		if i == 5 {
			go func() { closed <- db.Close() }()
		}
		if i == 6 {
			waitFor(t, "Close to begin", func() bool { return db.Writable() != nil })
		}
	}))
	if !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Close: %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	var fatal atomic.Int64
	db, s = mustOpen(t, front.Options{OnFatal: func(error) { fatal.Add(1) }})
	s.failWith(func() error { panic("index out of range") })
	for range 2 {
		if err := db.Load(nil, numbered(1, 1, nil)); !errors.Is(err, engine.ErrFailed) {
			t.Errorf("a panic: %v", err)
		}
	}
	if err := db.Writable(); !errors.Is(err, engine.ErrFailed) || fatal.Load() != 1 {
		t.Errorf("%v, %d times fatal", err, fatal.Load())
	}
}
