package pebbledb_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"dkv/engine"
	"dkv/engine/enginetest"
	"dkv/engine/pebbledb"
)

// loadRecord is what a list to load has of a key.
type loadRecord struct {
	kind       engine.Kind
	key, value string
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func load(db engine.Loader, ranges []engine.KeyRange, records []loadRecord) error {
	return db.Load(ranges, func() (engine.Kind, []byte, []byte, bool) {
		if len(records) == 0 {
			return 0, nil, nil, false
		}
		r := records[0]
		records = records[1:]
		return r.kind, []byte(r.key), []byte(r.value), true
	})
}

func loadKey(rng *rand.Rand) string { return fmt.Sprintf("k%03d", rng.IntN(300)) }

// randomLoad makes a list to load, and does the same to a model.
func randomLoad(rng *rand.Rand, model map[string]string) (ranges []engine.KeyRange, records []loadRecord) {
	for at := loadKey(rng); rng.IntN(3) != 0; {
		end := loadKey(rng)
		if end <= at {
			break
		}
		ranges = append(ranges, engine.KeyRange{Start: []byte(at), End: []byte(end)})
		maps.DeleteFunc(model, func(k, _ string) bool { return k >= at && k < end })
		at = end + "x"
	}
	set := make(map[string]loadRecord)
	for range rng.IntN(120) {
		r := loadRecord{engine.KindPut, loadKey(rng), strings.Repeat(fmt.Sprint(rng.Uint32()), 1+rng.IntN(6))}
		if rng.IntN(4) == 0 {
			r.kind, r.value = engine.KindDelete, ""
		}
		set[r.key] = r
	}
	for _, k := range slices.Sorted(maps.Keys(set)) {
		r := set[k]
		records = append(records, r)
		if delete(model, k); r.kind == engine.KindPut {
			model[k] = r.value
		}
	}
	return ranges, records
}

func wantState(t *testing.T, r engine.Reader, model map[string]string) {
	t.Helper()
	it, err := r.NewIter(engine.IterOptions{})
	must(t, err)
	defer it.Close()
	var got, want []string
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.Value()
		must(t, err)
		got = append(got, string(it.Key())+"="+string(v))
	}
	must(t, it.Err())
	for _, k := range slices.Sorted(maps.Keys(model)) {
		want = append(want, k+"="+model[k])
	}
	if !slices.Equal(got, want) {
		t.Fatalf("the store has\n%v, want\n%v", got, want)
	}
}

// Lists of many small tables, between batches, leave what a model has; what views had
// seen before stays, and a crash right afterwards loses nothing.
func TestLoad(t *testing.T) {
	rng := enginetest.Rand(t)
	fs := enginetest.NewCrashFS()
	var synced, flushed atomic.Int64
	o := pebbledb.Options{
		FS: fs, TableBytes: 512, BlockCacheBytes: 1 << 20, Logger: quiet(),
		BeforeFlush: func() error { synced.Add(1); return nil },
		OnFlush:     func() { flushed.Add(1) },
	}
	db := mustOpen(t, "store", o)
	model := make(map[string]string)
	for range 60 {
		before, view := maps.Clone(model), db.NewSnapshot()
		if rng.IntN(3) == 0 {
			k := loadKey(rng)
			var b engine.Batch
			b.Put([]byte(k), []byte("batch"))
			must(t, db.Apply(b.Repr()))
			model[k] = "batch"
		}
		ranges, records := randomLoad(rng, model)
		syncs := synced.Load()
		must(t, load(db, ranges, records))
		if len(ranges)+len(records) > 0 && synced.Load() == syncs {
			t.Fatal("BeforeFlush was not called")
		}
		wantState(t, db, model)
		wantState(t, view, before)
		must(t, view.Close())
		k := loadKey(rng)
		v, found, err := db.GetDurable(nil, []byte(k))
		must(t, err)
		if want, ok := model[k]; len(ranges)+len(records) > 0 && (found != ok || string(v) != want) {
			t.Fatalf("%s is durably %q, %v, want %q, %v", k, v, found, want, ok)
		}
		if rng.IntN(6) == 0 {
			after := mustOpen(t, "store", pebbledb.Options{FS: fs.Crash(vfs.CrashCloneCfg{}), Logger: quiet()})
			wantState(t, after, model)
			must(t, after.Close())
		}
	}
	must(t, db.Close())
	if flushed.Load() == 0 {
		t.Error("OnFlush was not called")
	}
	names, err := fs.List("store")
	must(t, err)
	for _, name := range names {
		if strings.HasPrefix(name, "load-") {
			t.Errorf("%s is left", name)
		}
	}
}

// A list that fails changes nothing and leaves nothing; the same list can be loaded
// when the disk is well again.
func TestLoadFails(t *testing.T) {
	f := newFaults()
	db := mustOpen(t, "store", pebbledb.Options{FS: f.fs, TableBytes: 512, Logger: quiet()})
	defer db.Close()
	model := map[string]string{}
	var records []loadRecord
	for i := range 100 {
		records = append(records, loadRecord{engine.KindPut, fmt.Sprintf("k%03d", i), strings.Repeat("v", 50)})
	}
	broken := errors.New("the disk is broken")
	for _, c := range []struct {
		kind errorfs.OpKind
		name string
		err  error
		want error
	}{
		{errorfs.OpCreate, "load-000003", syscall.ENOSPC, engine.ErrNoSpace},
		{errorfs.OpFileWrite, "load-000002", syscall.ENOSPC, engine.ErrNoSpace},
		{errorfs.OpFileWrite, "load-000000", broken, broken},
		{errorfs.OpFileSyncData, "load-000004", broken, broken},
	} {
		f.failOn(c.kind, c.name, c.err)
		if err := load(db, nil, records); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		f.heal()
		wantState(t, db, model)
		names, err := f.List("store")
		must(t, err)
		for _, name := range names {
			if strings.HasPrefix(name, "load-") {
				t.Errorf("%s is left", name)
			}
		}
	}
	must(t, db.Writable())
	must(t, load(db, nil, records))
	for _, r := range records {
		model[r.key] = r.value
	}
	wantState(t, db, model)
}

// BeforeFlush that fails keeps the list out; a record that is no put or delete is
// refused; a store that is closed says so.
func TestLoadRefused(t *testing.T) {
	unsynced := errors.New("the log cannot be synced")
	var before atomic.Pointer[error]
	db := mustOpen(t, "store", pebbledb.Options{FS: vfs.NewMem(), Logger: quiet(), BeforeFlush: func() error {
		if err := before.Load(); err != nil {
			return *err
		}
		return nil
	}})
	one := []loadRecord{{engine.KindPut, "a", "1"}}
	before.Store(&unsynced)
	if err := load(db, nil, one); !errors.Is(err, unsynced) {
		t.Errorf("with a log that fails: %v", err)
	}
	before.Store(nil)
	if err := load(db, nil, []loadRecord{{engine.KindDeleteRange, "a", "b"}}); !errors.Is(err, engine.ErrCorruptBatch) {
		t.Errorf("with a range: %v", err)
	}
	wantState(t, db, map[string]string{})
	must(t, load(db, nil, nil))
	must(t, load(db, nil, one))
	wantState(t, db, map[string]string{"a": "1"})
	must(t, db.Close())
	if err := load(db, nil, one); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// What a Load before a crash has left is removed by Open.
func TestLoadLeftovers(t *testing.T) {
	fs := vfs.NewMem()
	db := mustOpen(t, "store", pebbledb.Options{FS: fs, Logger: quiet()})
	must(t, db.Close())
	f, err := fs.Create("store/load-000001.tmp", vfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = f.Write(bytes.Repeat([]byte("x"), 100))
	must(t, errors.Join(err, f.Close()))
	must(t, mustOpen(t, "store", pebbledb.Options{FS: fs, Logger: quiet()}).Close())
	if _, err := fs.Stat("store/load-000001.tmp"); err == nil {
		t.Error("it is still there")
	}
}
