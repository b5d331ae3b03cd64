package pebbledb_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"dkv/engine"
	"dkv/engine/enginetest"
	"dkv/engine/pebbledb"
)

// Damage is reported to the reads that meet it; the process lives on.
func TestCorruption(t *testing.T) {
	dir := t.TempDir()
	db := mustOpen(t, dir, pebbledb.Options{Compression: "none"})
	var b engine.Batch
	for i := range 2000 {
		b.Put(fmt.Appendf(nil, "key:%06d", i), bytes.Repeat([]byte{byte(i)}, 100))
	}
	if err := errors.Join(db.Apply(b.Repr()), db.Flush(), db.Close()); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) != 1 {
		t.Fatal(tables, err)
	}
	data, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	data[1000] ^= 0xff // in the first data block
	if err := os.WriteFile(tables[0], data, 0o644); err != nil {
		t.Fatal(err)
	}
	db = mustOpen(t, dir, pebbledb.Options{OnFatal: func(err error) { t.Errorf("fatal: %v", err) }})
	if _, _, err := db.Get(nil, []byte("key:000000")); !errors.Is(err, engine.ErrCorrupt) {
		t.Errorf("damaged key: %v", err)
	}
	if v, found, err := db.Get(nil, []byte("key:001999")); err != nil || !found || len(v) != 100 {
		t.Errorf("another key: %v %v", found, err)
	}
	it, err := db.NewIter(engine.IterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if it.First() || !errors.Is(it.Err(), engine.ErrCorrupt) {
		t.Errorf("iterator: %v", it.Err())
	}
	_ = it.Close()
	mustClose(t, db)
}

// What is written to a large value's table in one piece is checked against the
// reserve before, not after.
func TestReserveHoldsForLargeWrites(t *testing.T) {
	fs := vfs.NewMem()
	const reserve = 10 << 20
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: reserve + 5<<20, TotalBytes: 1 << 30})
	db := mustOpen(t, "store", pebbledb.Options{FS: fs, ReserveDiskBytes: reserve, Compression: "none"})
	put(t, db, "large", strings.Repeat("x", 6<<20))
	if err := db.Flush(); !errors.Is(err, engine.ErrNoSpace) {
		t.Errorf("Flush: %v", err)
	}
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: reserve + 7<<20, TotalBytes: 1 << 30})
	waitFor(t, "the flush", func() bool { return db.Flush() == nil && db.Writable() == nil })
	mustClose(t, db)
}

// BeforeFlush must be called for every flush: should Pebble rename the purpose
// that it gives when it creates a file, this test notices.
func TestBeforeFlushCoversFlushesOnly(t *testing.T) {
	var calls atomic.Int64
	db := mustOpen(t, t.TempDir(), pebbledb.Options{
		MemtableBytes: 64 << 10,
		BeforeFlush:   func() error { calls.Add(1); return nil },
	})
	rng := enginetest.Rand(t)
	for range 10 {
		before := calls.Load()
		var b engine.Batch
		for range 100 {
			enginetest.RandomMutation(rng, &b)
		}
		b.Put([]byte("s"), []byte("x"))
		if err := errors.Join(db.Apply(b.Repr()), db.Flush()); err != nil {
			t.Fatal(err)
		}
		// The batch alone may have started another flush.
		if n := calls.Load() - before; n < 1 || n > 2 {
			t.Fatalf("BeforeFlush was called %d times for a flush", n)
		}
	}
	before := calls.Load()
	if err := db.Compact(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	if n := calls.Load() - before; n != 0 {
		t.Errorf("a compaction synced the log %d times", n)
	}
	mustClose(t, db)
}
