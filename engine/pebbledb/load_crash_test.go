package pebbledb_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"dkv/engine"
	"dkv/engine/enginetest"
	"dkv/engine/pebbledb"
)

// A crash at any moment of a Load, before or after each thing that it does to the disk,
// leaves what was there before, or that and the batch before it, or all; and no files.
func TestCrashDuringLoad(t *testing.T) {
	const crashes = 30
	rng := enginetest.Rand(t)
	disk := enginetest.NewCrashFS()
	var mu sync.Mutex // of what follows: the store does some of it in the background
	var on bool
	var left []*enginetest.CrashFS
	fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if on && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			left = append(left, disk.Crash(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng}))
		}
		return nil
	}))
	watch := func(yes bool) {
		mu.Lock()
		defer mu.Unlock()
		on = yes
	}
	o := pebbledb.Options{FS: fs, TableBytes: 512, BlockCacheBytes: 1 << 20, Logger: quiet()}
	db := mustOpen(t, "store", o)
	model := map[string]string{}
	var records []loadRecord
	for i := range 60 {
		k := fmt.Sprintf("k%03d", i*5)
		records, model[k] = append(records, loadRecord{engine.KindPut, k, strings.Repeat("1", 60)}), strings.Repeat("1", 60)
	}
	must(t, load(db, nil, records))
	states := []map[string]string{maps.Clone(model)}
	watch(true)
	put(t, db, "k007", "batch")
	model["k007"] = "batch"
	states = append(states, maps.Clone(model))
	clear(model)
	var changed []loadRecord
	for i := range 60 {
		k := fmt.Sprintf("k%03d", i*7)
		changed, model[k] = append(changed, loadRecord{engine.KindPut, k, strings.Repeat("2", 60)}), strings.Repeat("2", 60)
	}
	second := []engine.KeyRange{{Start: []byte("k000"), End: []byte("k300")}}
	must(t, load(db, second, changed))
	watch(false)
	states = append(states, maps.Clone(model))
	wantState(t, db, model)
	must(t, db.Close())

	if len(left) < 20 {
		t.Fatalf("only %d moments to crash at", len(left))
	}
	seen := make([]int, len(states))
	for i := range min(crashes, len(left)) {
		fs := left[i*(len(left)-1)/(min(crashes, len(left))-1)]
		after := mustOpen(t, "store", pebbledb.Options{FS: fs, Logger: quiet()})
		got := stateOf(t, after)
		at := slices.IndexFunc(states, func(s map[string]string) bool { return maps.Equal(s, got) })
		if at < 0 {
			t.Fatalf("after crash %d the store has %d keys, none of the states", i, len(got))
		}
		seen[at]++
		must(t, load(after, nil, []loadRecord{{engine.KindPut, "z", "1"}})) // it goes on
		must(t, after.Close())
		names, err := fs.List("store")
		must(t, err)
		for _, name := range names {
			if strings.HasPrefix(name, "load-") {
				t.Errorf("after crash %d %s is left", i, name)
			}
		}
	}
	if seen[0] == 0 || seen[1]+seen[2] == 0 {
		t.Errorf("states that were seen: %v", seen)
	}
}

func stateOf(t *testing.T, r engine.Reader) map[string]string {
	t.Helper()
	it, err := r.NewIter(engine.IterOptions{})
	must(t, err)
	defer it.Close()
	state := map[string]string{}
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.Value()
		must(t, err)
		state[string(it.Key())] = string(v)
	}
	must(t, it.Err())
	return state
}
