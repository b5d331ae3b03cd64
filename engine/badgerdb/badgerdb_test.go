package badgerdb_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dkv/engine"
	"dkv/engine/badgerdb"
	"dkv/engine/enginetest"
	"dkv/engine/front"
)

func mustOpen(t *testing.T, dir string, o badgerdb.Options) *front.DB {
	t.Helper()
	o.Logger = quiet()
	db, err := badgerdb.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestBadOptions(t *testing.T) {
	for _, o := range []badgerdb.Options{
		{BlockCacheBytes: 1},
		{MemtableBytes: 1},
		{MemtableCount: 1},
		{BloomBitsPerKey: 1000},
		{Compression: "lz4"},
		{ValueThreshold: 2 << 20},
		{Compactors: 1},
		{GCRatio: 1},
	} {
		dir := filepath.Join(t.TempDir(), "store")
		if _, err := badgerdb.Open(dir, o); !errors.Is(err, engine.ErrOptions) {
			t.Errorf("%+v: err %v", o, err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%+v: made a folder", o)
		}
	}
}

func TestOptionsThatWork(t *testing.T) {
	for _, o := range []badgerdb.Options{
		{Compression: "none", BloomBitsPerKey: -1, GCInterval: -1},
		{Compression: "zstd", ValueThreshold: 100, MemtableBytes: 1 << 20, MemtableCount: 2, GCInterval: time.Millisecond},
	} {
		dir := t.TempDir()
		db := mustOpen(t, dir, o)
		var b engine.Batch
		b.Put([]byte("k"), bytes.Repeat([]byte("v"), 1000))
		must(t, errors.Join(db.Apply(b.Repr()), db.Flush(), db.Compact(t.Context(), nil, nil), db.Close()))
		db = mustOpen(t, dir, o)
		if v, _, err := db.Get(nil, []byte("k")); err != nil || len(v) != 1000 {
			t.Errorf("%+v: %d bytes, %v", o, len(v), err)
		}
		must(t, db.Close())
	}
}

// longKey returns one of some keys, most of which are longer than Badger's may be,
// and which begin alike.
func longKey(rng *rand.Rand) []byte {
	key := bytes.Repeat([]byte("k"), []int{59998, 59999, 60000, 60001, 60002, 70000}[rng.IntN(6)])
	key[100] = byte('a' + rng.IntN(2))
	return append(key, "\x00\x01\xff"[rng.IntN(3)])
}

// Keys that are longer than Badger takes are kept all the same, in order.
func TestLongKeys(t *testing.T) {
	rng := enginetest.Rand(t)
	dir := t.TempDir()
	db, m := mustOpen(t, dir, badgerdb.Options{MemtableBytes: 1 << 20}), &enginetest.Model{}
	check := func() {
		t.Helper()
		enginetest.CompareReaders(t, db, m)
		got, err := db.NewIter(engine.IterOptions{Lower: longKey(rng), Upper: longKey(rng)})
		must(t, err)
		it, err := db.NewIter(engine.IterOptions{})
		must(t, err)
		want, err := m.NewIter(engine.IterOptions{})
		must(t, err)
		enginetest.CompareIterators(t, rng, it, want, 50)
		must(t, errors.Join(it.Close(), got.Close()))
		for range 5 {
			key := longKey(rng)
			v, found, err := db.Get(nil, key)
			w, wantFound, _ := m.Get(nil, key)
			if err != nil || found != wantFound || !bytes.Equal(v, w) {
				t.Fatalf("a key of %d bytes: %v %v, want %v", len(key), found, err, wantFound)
			}
		}
		lower := longKey(rng)
		it, err = db.NewIter(engine.IterOptions{Lower: lower})
		must(t, err)
		want, err = m.NewIter(engine.IterOptions{Lower: lower})
		must(t, err)
		enginetest.CompareIterators(t, rng, it, want, 50)
		must(t, it.Close())
		seek := longKey(rng)
		it, _ = db.NewIter(engine.IterOptions{})
		want, _ = m.NewIter(engine.IterOptions{})
		if a, b := it.SeekGE(seek), want.SeekGE(seek); a != b || a && !bytes.Equal(it.Key(), want.Key()) {
			t.Fatal("SeekGE differs")
		}
		if a, b := it.SeekLT(seek), want.SeekLT(seek); a != b || a && !bytes.Equal(it.Key(), want.Key()) {
			t.Fatal("SeekLT differs")
		}
		must(t, it.Close())
	}
	for range 40 {
		var b engine.Batch
		for range 6 {
			switch rng.IntN(5) {
			case 0:
				b.Delete(longKey(rng))
			case 1:
				if x, y := longKey(rng), longKey(rng); rng.IntN(3) == 0 && bytes.Compare(x, y) < 0 {
					b.DeleteRange(x, y)
				}
			default:
				b.Put(longKey(rng), fmt.Appendf(nil, "%d", rng.Int()))
			}
		}
		must(t, errors.Join(db.Apply(b.Repr()), m.Apply(b.Repr())))
		if rng.IntN(2) == 0 {
			must(t, db.Flush())
		}
		check()
	}
	must(t, errors.Join(db.Flush(), db.Close()))
	db = mustOpen(t, dir, badgerdb.Options{})
	check()
	must(t, db.Close())
}

// The space of large values that were overwritten is given back.
func TestValueLogGC(t *testing.T) {
	dir := t.TempDir()
	o := badgerdb.Options{ValueThreshold: 1 << 10, GCInterval: -1}
	db := mustOpen(t, dir, o)
	rng := enginetest.RandOf(1)
	value := make([]byte, 64<<10)
	for range 6 {
		var b engine.Batch
		for i := range 100 {
			for j := range value {
				value[j] = byte(rng.Uint32())
			}
			b.Put(fmt.Appendf(nil, "k%d", i), value)
		}
		must(t, errors.Join(db.Apply(b.Repr()), db.Flush()))
	}
	full := db.Metrics().DiskBytes
	if full < 6*100*64<<10 {
		t.Fatalf("%d bytes", full)
	}
	// A file of the value log is collected once another has been begun.
	must(t, db.Close())
	db = mustOpen(t, dir, o)
	var b engine.Batch
	b.Put([]byte("k0"), value)
	must(t, errors.Join(db.Apply(b.Repr()), db.Compact(t.Context(), nil, nil), db.Compact(t.Context(), nil, nil)))
	deadline := time.Now().Add(20 * time.Second)
	for db.Metrics().DiskBytes > full/2 {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes of %d are left", db.Metrics().DiskBytes, full)
		}
		must(t, db.Compact(t.Context(), nil, nil))
	}
	if v, found, err := db.Get(nil, []byte("k99")); err != nil || !found || len(v) != len(value) {
		t.Errorf("%d bytes, %v %v", len(v), found, err)
	}
	must(t, db.Close())
}

// A memory keeps what was flushed over Close, and forgets folders.
func TestMemory(t *testing.T) {
	m := badgerdb.NewMemory()
	o := badgerdb.Options{Memory: m}
	db := mustOpen(t, "a/b", o)
	var b engine.Batch
	b.Put([]byte("k"), []byte("v"))
	b.Put([]byte("large"), make([]byte, 3<<20))
	must(t, errors.Join(db.Apply(b.Repr()), db.Flush()))
	if _, err := badgerdb.Open("a/b", badgerdb.Options{Memory: m, Logger: quiet()}); !errors.Is(err, engine.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	if err := m.Forget("a"); !errors.Is(err, engine.ErrLocked) {
		t.Errorf("forgot one that is open: %v", err)
	}
	must(t, db.Close())
	db = mustOpen(t, "a/b", o)
	if v, _, err := db.Get(nil, []byte("large")); err != nil || len(v) != 3<<20 {
		t.Errorf("%d bytes, %v", len(v), err)
	}
	// What nobody can read any more takes no memory.
	for range 3 {
		b.Reset()
		b.Put([]byte("large"), make([]byte, 2<<20))
		must(t, errors.Join(db.Apply(b.Repr()), db.Flush()))
	}
	if n := db.Metrics().DiskBytes; n < 2<<20 || n > 5<<20 { // the last, and the one before
		t.Errorf("%d bytes", n)
	}
	must(t, errors.Join(db.Close(), m.Forget("a")))
	db = mustOpen(t, "a/b", o)
	if _, found, _ := db.Get(nil, []byte("k")); found {
		t.Error("a folder that was removed still has its keys")
	}
	must(t, errors.Join(db.Close(), m.Close()))
	if _, err := badgerdb.Open("a/b", badgerdb.Options{Memory: m, Logger: quiet()}); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("a memory that is closed: %v", err)
	}
}

// A table that is missing is told as damage.
func TestMissingTable(t *testing.T) {
	dir := t.TempDir()
	db := mustOpen(t, dir, badgerdb.Options{})
	var b engine.Batch
	b.Put([]byte("k"), []byte("v"))
	must(t, errors.Join(db.Apply(b.Repr()), db.Flush(), db.Close()))
	tables, _ := filepath.Glob(filepath.Join(dir, "*.sst"))
	if len(tables) == 0 {
		t.Fatal("no tables")
	}
	for _, name := range tables {
		must(t, os.Remove(name))
	}
	if _, err := badgerdb.Open(dir, badgerdb.Options{Logger: quiet()}); !errors.Is(err, engine.ErrCorrupt) || !strings.Contains(err.Error(), dir) {
		t.Errorf("err %v", err)
	}
}

// Close does not wait for a checkpoint, which is a copy of everything.
func TestCloseDuringCheckpoint(t *testing.T) {
	dir := t.TempDir()
	db := mustOpen(t, filepath.Join(dir, "store"), badgerdb.Options{Compression: "none"})
	value := bytes.Repeat([]byte("v"), 1<<20)
	var b engine.Batch
	for i := range 96 {
		b.Put(fmt.Appendf(nil, "%d", i), value)
	}
	must(t, errors.Join(db.Apply(b.Repr()), db.Flush()))
	done := make(chan error, 1)
	go func() { done <- db.Checkpoint(filepath.Join(dir, "copy")) }()
	for { // until it copies
		if _, err := os.Stat(filepath.Join(dir, "copy.tmp")); err == nil {
			break
		}
		select {
		case err := <-done:
			t.Fatalf("the checkpoint ended: %v", err)
		default:
		}
	}
	must(t, db.Close())
	if err := <-done; !errors.Is(err, engine.ErrClosed) {
		t.Errorf("checkpoint: %v", err)
	}
	for _, name := range []string{"copy", "copy.tmp"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s was left", name)
		}
	}
}
