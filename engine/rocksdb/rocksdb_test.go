//go:build rocksdb

package rocksdb_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"dkv/engine"
	"dkv/engine/rocksdb"
)

func TestBadOptions(t *testing.T) {
	for _, o := range []rocksdb.Options{
		{BlockCacheBytes: -1},
		{MemtableBytes: 1},
		{MemtableCount: 1},
		{BloomBitsPerKey: 1000},
		{Compression: "lzma"},
		{MaxBackgroundJobs: -1},
		{MaxOpenFiles: 1},
		{BlockBytes: 100},
	} {
		dir := filepath.Join(t.TempDir(), "store")
		if _, err := rocksdb.Open(dir, o); !errors.Is(err, engine.ErrOptions) {
			t.Errorf("%+v: err %v", o, err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%+v: made a folder", o)
		}
	}
}

func TestOptionsThatWork(t *testing.T) {
	cache := rocksdb.NewCache(16 << 20)
	defer cache.Close()
	for _, o := range []rocksdb.Options{
		{Compression: "none", BloomBitsPerKey: -1, ReserveDiskBytes: -1},
		{Compression: "lz4", MaxBackgroundJobs: 4, Cache: cache},
		{Compression: "zstd", MemtableBytes: 1 << 20, MemtableCount: 2, Cache: cache, BlockBytes: 32 << 10},
	} {
		dir := t.TempDir()
		o.Logger = quiet()
		for range 2 {
			db, err := rocksdb.Open(dir, o)
			if err != nil {
				t.Fatal(err)
			}
			var b engine.Batch
			b.Put([]byte("k"), []byte("v"))
			if err := errors.Join(db.Apply(b.Repr()), db.Flush(), db.Compact(t.Context(), nil, nil)); err != nil {
				t.Error(err)
			}
			if v, _, err := db.Get(nil, []byte("k")); err != nil || string(v) != "v" {
				t.Errorf("%q %v", v, err)
			}
			if m := db.Metrics(); o.Cache != nil && m.BlockCacheCapacity != 16<<20 {
				t.Errorf("%+v", m)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestMissingTable(t *testing.T) {
	dir := t.TempDir()
	db, err := rocksdb.Open(dir, rocksdb.Options{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	var b engine.Batch
	b.Put([]byte("k"), []byte("v"))
	if err := errors.Join(db.Apply(b.Repr()), db.Flush(), db.Close()); err != nil {
		t.Fatal(err)
	}
	tables, _ := filepath.Glob(filepath.Join(dir, "*.sst"))
	if len(tables) == 0 {
		t.Fatal("no tables")
	}
	for _, name := range tables {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := rocksdb.Open(dir, rocksdb.Options{Logger: quiet()}); !errors.Is(err, engine.ErrCorrupt) {
		t.Errorf("err %v", err)
	}
}
