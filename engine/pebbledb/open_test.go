package pebbledb_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"dkv/engine"
	"dkv/engine/enginetest"
	"dkv/engine/pebbledb"
)

func TestBadOptions(t *testing.T) {
	for _, o := range []pebbledb.Options{
		{InMemory: true, FS: vfs.NewMem()},
		{BlockCacheBytes: -1},
		{MemtableBytes: 1},
		{MemtableBytes: 2 << 30},
		{MemtableCount: 1},
		{BloomBitsPerKey: 1000},
		{Compression: "lzma"},
		{MaxConcurrentCompactions: -1},
		{MaxOpenFiles: 1},
	} {
		dir := filepath.Join(t.TempDir(), "store")
		if _, err := pebbledb.Open(dir, o); !errors.Is(err, engine.ErrOptions) {
			t.Errorf("%+v: err %v", o, err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%+v: made a folder", o)
		}
	}
}

func TestOptionsThatWork(t *testing.T) {
	cache := pebbledb.NewCache(pebbledb.Options{BlockCacheBytes: 16 << 20})
	defer cache.Close()
	for _, o := range []pebbledb.Options{
		{Compression: "none", BloomBitsPerKey: -1, ReserveDiskBytes: -1},
		{Compression: "snappy", MaxConcurrentCompactions: 4, Cache: cache},
		{Compression: "ZSTD", MemtableBytes: 1 << 20, MemtableCount: 2, Cache: cache},
	} {
		db := mustOpen(t, t.TempDir(), o)
		put(t, db, "k", "v")
		if err := db.Flush(); err != nil {
			t.Error(err)
		}
		if v := get(t, db, "k"); v != "v" {
			t.Errorf("%q", v)
		}
		mustClose(t, db)
	}
}

// A folder of something else is left alone.
func TestForeignFolder(t *testing.T) {
	for name, files := range map[string][]string{
		"rocksdb": {"CURRENT", "IDENTITY", "LOG", "LOCK", "MANIFEST-000005", "OPTIONS-000007", "000009.sst"},
		"badger":  {"MANIFEST", "KEYREGISTRY", "DISCARD", "00001.mem"},
		"a file":  {"notes.txt"},
		"newer":   {"marker.format-version.000100.999"},
		"no sense": {
			"marker.format-version.000001.abc",
		},
	} {
		dir := t.TempDir()
		for _, f := range files {
			if err := os.WriteFile(filepath.Join(dir, f), []byte("x"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		_, err := pebbledb.Open(dir, pebbledb.Options{Logger: quiet()})
		if !errors.Is(err, engine.ErrDataFormat) {
			t.Errorf("%s: err %v", name, err)
		} else if !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %q does not name the folder", name, err)
		}
		for _, f := range files {
			if _, err := os.Stat(filepath.Join(dir, f)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// A store with keys in another order is refused.
func TestForeignOrder(t *testing.T) {
	fs := vfs.NewMem()
	other := *pebble.DefaultComparer
	other.Name = "reversed"
	db, err := pebble.Open("store", &pebble.Options{FS: fs, Comparer: &other, Logger: nopLogger{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := pebbledb.Open("store", pebbledb.Options{FS: fs, Logger: quiet()}); !errors.Is(err, engine.ErrDataFormat) {
		t.Errorf("err %v", err)
	}
}

type nopLogger struct{}

func (nopLogger) Infof(string, ...any)  {}
func (nopLogger) Errorf(string, ...any) {}
func (nopLogger) Fatalf(string, ...any) {}

func TestMissingTable(t *testing.T) {
	dir := t.TempDir()
	db := mustOpen(t, dir, pebbledb.Options{})
	put(t, db, "k", "v")
	if err := errors.Join(db.Flush(), db.Close()); err != nil {
		t.Fatal(err)
	}
	tables, _ := filepath.Glob(filepath.Join(dir, "*.sst"))
	for _, name := range tables {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pebbledb.Open(dir, pebbledb.Options{Logger: quiet()}); !errors.Is(err, engine.ErrCorrupt) {
		t.Errorf("err %v", err)
	}
}

// A crash in the first Open, at any of its steps, leaves a folder that opens.
func TestCrashInFirstOpen(t *testing.T) {
	rng := enginetest.Rand(t)
	tries := 20
	if testing.Short() {
		tries = 5
	}
	for n := range 1000 {
		mem := vfs.NewCrashableMem()
		count, reached := 0, false
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
				return nil
			}
			if count++; count > n {
				reached = true
				return errors.New("crashed")
			}
			return nil
		}))
		db, err := pebbledb.Open("store", pebbledb.Options{FS: fs, Logger: quiet()})
		if err == nil {
			_ = db.Close()
		}
		if !reached {
			return
		}
		// Of what was not synced any part may be there, in any order.
		for try := range tries {
			left := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: min(try, 1) * 50, RNG: rng})
			db, err = pebbledb.Open("store", pebbledb.Options{FS: left, Logger: quiet()})
			if err != nil {
				t.Fatalf("after a crash at step %d, %d: %v", n, try, err)
			}
			mustClose(t, db)
		}
	}
}

func TestFullDiskAtOpen(t *testing.T) {
	f := newFaults()
	f.failOn(errorfs.OpCreate, "", syscall.ENOSPC)
	if _, err := pebbledb.Open("store", pebbledb.Options{FS: f.fs, Logger: quiet()}); !errors.Is(err, engine.ErrNoSpace) {
		t.Errorf("err %v", err)
	}
	f.failOn(errorfs.OpFileWrite, "", syscall.ENOSPC)
	if _, err := pebbledb.Open("store", pebbledb.Options{FS: f.fs, Logger: quiet()}); !errors.Is(err, engine.ErrNoSpace) {
		t.Errorf("err %v", err)
	}
	f.heal()
	mustClose(t, mustOpen(t, "store", pebbledb.Options{FS: f.fs}))
}

func TestNoPermission(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(dir, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := pebbledb.Open(dir, pebbledb.Options{Logger: quiet()})
	if err == nil || errors.Is(err, engine.ErrLocked) || errors.Is(err, engine.ErrDataFormat) {
		t.Errorf("a file in the folder's place: err %v", err)
	}
	if os.Getuid() == 0 {
		return // may write anywhere
	}
	dir = t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := pebbledb.Open(dir, pebbledb.Options{Logger: quiet()}); !errors.Is(err, os.ErrPermission) {
		t.Errorf("err %v", err)
	}
}

// Opens do not pile up files.
func TestReopenLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	count := func() int {
		mustClose(t, mustOpen(t, dir, pebbledb.Options{}))
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	for range 5 {
		count()
	}
	if a, b := count(), count(); b > a {
		t.Errorf("%d files, one Open later %d", a, b)
	}
}

const lockHelperEnv = "DKV_TEST_LOCK_DIR"

// TestLockedByAnotherProcess runs this test in another process.
func TestLockedByAnotherProcess(t *testing.T) {
	if dir := os.Getenv(lockHelperEnv); dir != "" {
		_, err := pebbledb.Open(dir, pebbledb.Options{Logger: quiet()})
		fmt.Printf("locked=%v %v\n", errors.Is(err, engine.ErrLocked), err)
		return
	}
	dir := t.TempDir()
	db := mustOpen(t, dir, pebbledb.Options{})
	defer mustClose(t, db)
	cmd := exec.Command(os.Args[0], "-test.run=^TestLockedByAnotherProcess$", "-test.v")
	cmd.Env = append(os.Environ(), lockHelperEnv+"="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "locked=true") {
		t.Errorf("%v\n%s", err, out)
	}
}
