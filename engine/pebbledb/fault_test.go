package pebbledb_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"dkv/engine"
	"dkv/engine/pebbledb"
)

// faults is a file system in memory on which chosen operations fail.
type faults struct {
	*vfs.MemFS
	fs vfs.FS
	// fail is asked before every operation.
	fail atomic.Pointer[func(errorfs.Op) error]
	hits atomic.Int64
}

func newFaults() *faults {
	f := &faults{MemFS: vfs.NewCrashableMem()}
	f.fs = errorfs.Wrap(f.MemFS, errorfs.InjectorFunc(func(op errorfs.Op) error {
		fail := f.fail.Load()
		if fail == nil {
			return nil
		}
		err := (*fail)(op)
		if err != nil {
			f.hits.Add(1)
		}
		return err
	}))
	return f
}

// failOn makes operations of that kind on files with that in their name fail.
func (f *faults) failOn(kind errorfs.OpKind, name string, err error) {
	fail := func(op errorfs.Op) error {
		if op.Kind == kind && strings.Contains(op.Path, name) {
			return err
		}
		return nil
	}
	f.fail.Store(&fail)
}

func (f *faults) heal() {
	f.fail.Store(nil)
}

func mustOpen(t *testing.T, dir string, o pebbledb.Options) *pebbledb.DB {
	t.Helper()
	if o.Logger == nil {
		o.Logger = quiet()
	}
	db, err := pebbledb.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func mustClose(t *testing.T, db *pebbledb.DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func put(t *testing.T, db *pebbledb.DB, key, value string) {
	t.Helper()
	var b engine.Batch
	b.Put([]byte(key), []byte(value))
	if err := db.Apply(b.Repr()); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, db *pebbledb.DB, key string) string {
	t.Helper()
	v, _, err := db.Get(nil, []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return string(v)
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

// A MANIFEST write that finds no space waits (here even the ballast does not
// help): Pebble cannot survive its failure.
func TestManifestWaitsForSpace(t *testing.T) {
	for _, kind := range []errorfs.OpKind{errorfs.OpFileWrite, errorfs.OpCreate} {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			f := newFaults()
			fatal := func(err error) { t.Errorf("fatal: %v", err) }
			db := mustOpen(t, "store", pebbledb.Options{FS: f.fs, OnFatal: fatal})
			put(t, db, "k", "1")
			name := "MANIFEST"
			if kind == errorfs.OpCreate {
				name = ".sst" // no file at all can be made
			}
			f.failOn(kind, name, syscall.ENOSPC)
			if err := db.Flush(); !errors.Is(err, engine.ErrNoSpace) {
				t.Errorf("Flush: %v", err)
			}
			waitFor(t, "Writable to know", func() bool { return errors.Is(db.Writable(), engine.ErrNoSpace) })
			put(t, db, "k", "2")
			if v := get(t, db, "k"); v != "2" {
				t.Errorf("read %q", v)
			}
			f.heal()
			waitFor(t, "writing to resume", func() bool { return db.Writable() == nil })
			if err := db.Flush(); err != nil {
				t.Errorf("Flush: %v", err)
			}
			mustClose(t, db)
			db = mustOpen(t, "store", pebbledb.Options{FS: f.CrashClone(vfs.CrashCloneCfg{})})
			if v := get(t, db, "k"); v != "2" {
				t.Errorf("after a crash: %q", v)
			}
			mustClose(t, db)
		})
	}
}

// The ballast gives way to the MANIFEST, and is back before the next table.
func TestBallast(t *testing.T) {
	const ballast = "store/dkv.ballast"
	f := newFaults()
	exists := func() bool {
		_, err := f.Stat(ballast)
		return err == nil
	}
	db := mustOpen(t, "store", pebbledb.Options{FS: f.fs, OnFatal: func(err error) { t.Errorf("fatal: %v", err) }})
	put(t, db, "k", "1")
	noSpace := func(op errorfs.Op) error {
		if !strings.HasSuffix(op.Path, ".sst") && op.Kind == errorfs.OpFileWrite && exists() {
			return syscall.ENOSPC
		}
		return nil
	}
	f.fail.Store(&noSpace)
	if err := db.Flush(); err != nil {
		t.Errorf("Flush with the ballast: %v", err)
	}
	if exists() {
		t.Error("the ballast is still there")
	}
	put(t, db, "k", "2")
	f.failOn(errorfs.OpCreate, ballast, syscall.ENOSPC)
	if err := db.Flush(); !errors.Is(err, engine.ErrNoSpace) {
		t.Errorf("Flush without ballast: %v", err)
	}
	s := db.NewSnapshot() // nothing waits
	_ = db.Metrics()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := db.Writable(); !errors.Is(err, engine.ErrNoSpace) {
		t.Errorf("Writable without ballast: %v", err)
	}
	f.heal()
	waitFor(t, "writing to resume", func() bool { return db.Writable() == nil })
	if err := db.Flush(); err != nil || !exists() {
		t.Errorf("Flush: %v, ballast %v", err, exists())
	}
	mustClose(t, db)
}

// Close does not wait for space that never comes.
func TestCloseWhileManifestWaits(t *testing.T) {
	f := newFaults()
	db := mustOpen(t, "store", pebbledb.Options{FS: f.fs, OnFatal: func(err error) { t.Errorf("fatal: %v", err) }})
	put(t, db, "k", "1")
	f.failOn(errorfs.OpFileWrite, "MANIFEST", syscall.ENOSPC)
	if err := db.Flush(); !errors.Is(err, engine.ErrNoSpace) {
		t.Errorf("Flush: %v", err)
	}
	_ = db.Close() // Pebble may report the flush that it could not finish
	if err := db.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	f.heal()
	db = mustOpen(t, "store", pebbledb.Options{FS: f.fs})
	if v := get(t, db, "k"); v != "" {
		t.Errorf("%q was never flushed", v)
	}
	mustClose(t, db)
}

// A MANIFEST that cannot be written stops the store, not the process.
func TestFatal(t *testing.T) {
	for _, kind := range []errorfs.OpKind{errorfs.OpFileWrite, errorfs.OpFileSync} {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			f := newFaults()
			var calls atomic.Int64
			db := mustOpen(t, "store", pebbledb.Options{FS: f.fs, OnFatal: func(error) { calls.Add(1) }})
			put(t, db, "k", "1")
			if err := db.Flush(); err != nil {
				t.Fatal(err)
			}
			put(t, db, "k", "2")
			f.failOn(kind, "MANIFEST", syscall.EIO)
			if err := db.Flush(); !errors.Is(err, engine.ErrFailed) {
				t.Errorf("Flush: %v", err)
			}
			f.heal() // and still nothing may be written
			var b engine.Batch
			b.Put([]byte("k"), []byte("3"))
			for name, err := range map[string]error{
				"Apply":      db.Apply(b.Repr()),
				"Flush":      db.Flush(),
				"Writable":   db.Writable(),
				"Checkpoint": db.Checkpoint("copy"),
				"Compact":    db.Compact(t.Context(), nil, nil),
			} {
				if !errors.Is(err, engine.ErrFailed) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if v := get(t, db, "k"); v != "2" {
				t.Errorf("read %q", v)
			}
			waitFor(t, "OnFatal", func() bool { return calls.Load() == 1 })
			_ = db.Close() // an error about the flush is no news
			if n := calls.Load(); n != 1 {
				t.Errorf("OnFatal was called %d times", n)
			}
			db = mustOpen(t, "store", pebbledb.Options{FS: f.CrashClone(vfs.CrashCloneCfg{})})
			if v := get(t, db, "k"); v != "1" && v != "2" {
				t.Errorf("after the failure the store has %q", v)
			}
			mustClose(t, db)
		})
	}
}

// A folder whose sync fails stops the store, without Pebble's panic, before
// anybody is told that the data is durable.
func TestFailedFolderSync(t *testing.T) {
	f := newFaults()
	var calls, flushes atomic.Int64
	db := mustOpen(t, "store", pebbledb.Options{
		FS:      f.fs,
		OnFatal: func(error) { calls.Add(1) },
		OnFlush: func() { flushes.Add(1) },
	})
	put(t, db, "k", "1")
	f.failOn(errorfs.OpFileSync, "store", syscall.EIO)
	if err := db.Flush(); !errors.Is(err, engine.ErrFailed) {
		t.Errorf("Flush: %v", err)
	}
	if v, found, err := db.GetDurable(nil, []byte("k")); found || !errors.Is(err, engine.ErrFailed) {
		t.Errorf("GetDurable: %q %v %v", v, found, err)
	}
	waitFor(t, "OnFatal", func() bool { return calls.Load() == 1 })
	if v := get(t, db, "k"); v != "1" {
		t.Errorf("read %q", v)
	}
	_ = db.Close()
	if flushes.Load() != 0 {
		t.Error("OnFlush was called")
	}
}

func TestFailedCheckpoint(t *testing.T) {
	for _, kind := range []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileWrite, errorfs.OpCreate, errorfs.OpLink} {
		f := newFaults()
		db := mustOpen(t, "store", pebbledb.Options{FS: f.fs, OnFatal: func(err error) { t.Errorf("fatal: %v", err) }})
		put(t, db, "k", "1")
		f.failOn(kind, "copy", syscall.EIO)
		err := db.Checkpoint("copy")
		// Linking falls back to copying; not all kinds are used for each step.
		if err == nil && kind != errorfs.OpLink && f.hits.Load() > 0 {
			t.Errorf("%v: no error", kind)
		}
		f.heal()
		if err != nil {
			if _, err := f.Stat("copy"); err == nil {
				t.Errorf("%v: half a checkpoint was left", kind)
			}
			if err := db.Checkpoint("copy"); err != nil {
				t.Errorf("%v: again: %v", kind, err)
			}
		}
		c := mustOpen(t, "copy", pebbledb.Options{FS: f.fs})
		if v := get(t, c, "k"); v != "1" {
			t.Errorf("%v: the copy has %q", kind, v)
		}
		mustClose(t, c)
		mustClose(t, db)
	}
}

// A flush that fails for another reason is tried again, at a bearable rate.
func TestFlushRetries(t *testing.T) {
	f := newFaults()
	db := mustOpen(t, "store", pebbledb.Options{FS: f.fs})
	put(t, db, "k", "1")
	f.failOn(errorfs.OpFileSyncData, ".sst", syscall.EIO)
	if err := db.Flush(); !errors.Is(err, syscall.EIO) {
		t.Errorf("Flush: %v", err)
	}
	if err := db.Writable(); !errors.Is(err, syscall.EIO) {
		t.Errorf("Writable: %v", err)
	}
	waitFor(t, "another try", func() bool { return f.hits.Load() >= 3 })
	if n := db.Metrics().BackgroundErrors; n < 2 || n > 10 {
		t.Errorf("%d background errors", n)
	}
	f.heal()
	waitFor(t, "the flush", func() bool { return db.Writable() == nil })
	if err := db.Flush(); err != nil {
		t.Error(err)
	}
	mustClose(t, db)
}
