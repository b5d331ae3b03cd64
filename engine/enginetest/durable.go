package enginetest

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"dkv/engine"
)

// testDurable checks when GetDurable sees what was applied.
func testDurable(t *testing.T, f Factory) {
	e := open(t, f, t.TempDir(), Options{})
	put := func(value string) {
		t.Helper()
		var b engine.Batch
		b.Put([]byte("k"), []byte(value))
		b.Put([]byte("k\x00"), []byte("neighbour"))
		must(t, e.Apply(b.Repr()))
	}
	durable := func(want string) {
		t.Helper()
		v, found, err := e.GetDurable([]byte("<"), []byte("k"))
		if err != nil || found != (want != "") || string(v) != "<"+want {
			t.Errorf("GetDurable: %q %v %v, want %q", v, found, err, want)
		}
	}
	durable("")
	put("1")
	durable("")
	must(t, e.Flush())
	durable("1")
	put("2")
	durable("1")
	s := e.NewSnapshot()
	must(t, s.Close())
	must(t, e.Flush())
	durable("2")
	var b engine.Batch
	b.Delete([]byte("k"))
	must(t, e.Apply(b.Repr()))
	durable("2")
	must(t, e.Flush())
	durable("")
}

func testReopen(t *testing.T, f Factory) {
	rng := Rand(t)
	dir := filepath.Join(t.TempDir(), "deeper", "store")
	m, flushed := &Model{}, &Model{}
	for round := range 6 {
		e, err := f.Open(dir, Options{})
		must(t, err)
		// What was not flushed is gone: the log has it.
		m = flushed.Clone()
		CompareReaders(t, e, m)
		apply(t, e, m, func(b *engine.Batch) { randomBatch(rng, b, 300) })
		if round%2 == 0 {
			must(t, e.Flush())
			flushed = m.Clone()
			apply(t, e, m, func(b *engine.Batch) { randomBatch(rng, b, 20) })
		}
		CompareReaders(t, e, m)
		must(t, e.Close())
	}
}

func testCheckpoint(t *testing.T, f Factory) {
	rng := Rand(t)
	dir := t.TempDir()
	e, m := open(t, f, filepath.Join(dir, "store"), Options{MemtableBytes: smallMemtable}), &Model{}
	for range 30 {
		apply(t, e, m, func(b *engine.Batch) { randomBatch(rng, b, 200) })
	}
	copyDir := filepath.Join(dir, "copy")
	must(t, e.Checkpoint(copyDir))
	want := m.Clone()
	if err := e.Checkpoint(copyDir); !errors.Is(err, os.ErrExist) {
		t.Errorf("checkpoint into an existing folder: %v", err)
	}
	for range 30 {
		apply(t, e, m, func(b *engine.Batch) { randomBatch(rng, b, 200) })
	}
	must(t, e.Compact(t.Context(), nil, nil))
	c := open(t, f, copyDir, Options{})
	CompareReaders(t, c, want)
	// The two go separate ways.
	apply(t, c, want, func(b *engine.Batch) { randomBatch(rng, b, 2000) })
	must(t, c.Compact(t.Context(), nil, nil))
	CompareReaders(t, c, want)
	CompareReaders(t, e, m)
}

func testLocked(t *testing.T, f Factory) {
	dir := filepath.Join(t.TempDir(), "store")
	e, err := f.Open(dir, Options{})
	must(t, err)
	if again, err := f.Open(dir, Options{}); !errors.Is(err, engine.ErrLocked) {
		t.Errorf("second open: %v, %v", again, err)
	}
	must(t, e.Close())
	mustClose(t, open(t, f, dir, Options{}))
}

// testHooks checks that a flush does not happen against BeforeFlush's will, and
// that OnFlush may read.
func testHooks(t *testing.T, f Factory) {
	refuse := errors.New("the log cannot be synced")
	var refusing atomic.Bool
	var called, flushes atomic.Int64
	var e engine.Engine
	o := Options{
		BeforeFlush: func() error {
			called.Add(1)
			if refusing.Load() {
				return refuse
			}
			return nil
		},
		OnFlush: func() {
			if _, found, err := e.GetDurable(nil, []byte("k")); found && err == nil {
				flushes.Add(1)
			}
		},
	}
	dir := t.TempDir()
	e, err := f.Open(dir, o)
	must(t, err)
	defer func() { mustClose(t, e) }()
	var b engine.Batch
	b.Put([]byte("k"), []byte("v"))
	must(t, e.Apply(b.Repr()))
	if n := called.Load(); n != 0 {
		t.Errorf("BeforeFlush was called %d times before anything was flushed", n)
	}
	refusing.Store(true)
	wantErr(t, "Flush against BeforeFlush", e.Flush(), refuse)
	if _, found, _ := e.GetDurable(nil, []byte("k")); found || called.Load() == 0 {
		t.Errorf("durable %v after %d calls that refused", found, called.Load())
	}
	waitFor(t, "Writable to know", func() bool { return errors.Is(e.Writable(), refuse) })
	refusing.Store(false)
	waitFor(t, "the flush that is retried", func() bool { return flushes.Load() == 1 })
	must(t, e.Flush())
	must(t, e.Writable())
	// Nothing is unflushed: a flush must not touch the disk.
	n := called.Load()
	must(t, e.Flush())
	if called.Load() != n || flushes.Load() != 1 {
		t.Error("a flush of nothing was a flush")
	}
}
