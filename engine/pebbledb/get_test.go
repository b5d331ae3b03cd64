package pebbledb_test

import (
	"errors"
	"math/rand/v2"
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
		for range 30 {
			compareMany(t, rng, db, m)
		}
		b.Reset()
		b.Put([]byte("there"), nil)
		if err := errors.Join(db.Apply(b.Repr()), m.Apply(b.Repr())); err != nil {
			t.Fatal(err)
		}
		for range 2100 { // now most are
			if _, found, err := db.Get(nil, []byte("there")); !found || err != nil {
				t.Fatal(found, err)
			}
		}
		compareMany(t, rng, db, m)
	}
	mustClose(t, db)
	if err := db.GetMany([][]byte{[]byte("a"), []byte("b")}, nil); !errors.Is(err, engine.ErrClosed) {
		t.Error(err)
	}
}

// compareMany looks some keys up together.
func compareMany(t *testing.T, rng *rand.Rand, db *pebbledb.DB, m *enginetest.Model) {
	t.Helper()
	var keys [][]byte
	for range 1 + rng.IntN(20) {
		keys = append(keys, enginetest.RandomKey(rng))
	}
	next := 0
	err := db.GetMany(keys, func(i int, value []byte, found bool) {
		want, wantFound, _ := m.Get(nil, keys[i])
		if i != next || found != wantFound || found && string(value) != string(want) {
			t.Errorf("%d, %q: %q %v, want %q %v", i, keys[i], value, found, want, wantFound)
		}
		next++
	})
	if err != nil || next != len(keys) {
		t.Fatalf("%d of %d, %v", next, len(keys), err)
	}
}
