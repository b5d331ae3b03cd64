package pebbledb_test

import (
	"errors"
	"testing"

	"dkv/engine"
	"dkv/engine/enginetest"
	"dkv/engine/pebbledb"
)

// Reads take another way when most keys are absent; it must say the same.
func TestGetWhenMostKeysAreAbsent(t *testing.T) {
	rng := enginetest.Rand(t)
	db := mustOpen(t, t.TempDir(), pebbledb.Options{MemtableBytes: 64 << 10})
	m := &enginetest.Model{}
	for round := range 3 {
		var b engine.Batch
		for range 1000 {
			enginetest.RandomMutation(rng, &b)
		}
		if err := errors.Join(db.Apply(b.Repr()), m.Apply(b.Repr())); err != nil {
			t.Fatal(err)
		}
		if round == 1 {
			if err := db.Compact(t.Context(), nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		for range 1100 {
			if v, found, err := db.Get([]byte("x"), []byte("zzz")); found || err != nil || string(v) != "x" {
				t.Fatal(v, found, err)
			}
		}
		enginetest.CompareReaders(t, db, m)
		for range 100 {
			key := enginetest.RandomKey(rng)
			v, found, err := db.Get([]byte("x"), key)
			w, wantFound, _ := m.Get([]byte("x"), key)
			if err != nil || found != wantFound || string(v) != string(w) {
				t.Fatalf("%q: %q %v %v, want %q %v", key, v, found, err, w, wantFound)
			}
		}
	}
	mustClose(t, db)
}
