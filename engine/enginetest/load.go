package enginetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"dkv/engine"
)

// testLoad loads lists between batches. Views from before stay as they are, what was
// loaded is durable, and it is all there after Close and Open.
func testLoad(t *testing.T, f Factory) {
	rng := Rand(t)
	dir := t.TempDir()
	e, err := f.Open(dir, Options{MemtableBytes: smallMemtable})
	must(t, err)
	m := &Model{}
	for round := range 24 {
		loader := e.(engine.Loader)
		if rng.IntN(2) == 0 {
			apply(t, e, m, func(b *engine.Batch) { randomBatch(rng, b, 1+rng.IntN(20)) })
		}
		view, before := e.NewSnapshot(), m.Clone()
		if rng.IntN(8) == 0 {
			must(t, loader.Load(longList(m, round)))
		} else {
			must(t, loader.Load(randomList(rng, m)))
		}
		CompareReaders(t, view, before)
		must(t, view.Close())
		CompareReaders(t, e, m)
		for _, k := range m.kvs[:min(3, len(m.kvs))] {
			if v, found, err := e.GetDurable(nil, k.key); err != nil || !found || string(v) != string(k.value) {
				t.Fatalf("%q is durably %.40q, %v, %v", k.key, v, found, err)
			}
		}
		if round%8 == 7 && !f.Volatile {
			mustClose(t, e)
			e, err = f.Open(dir, Options{MemtableBytes: smallMemtable})
			must(t, err)
			CompareReaders(t, e, m)
		}
	}
	mustClose(t, e)
}

// randomList makes a list to load of random changes, and makes them in m.
func randomList(rng *rand.Rand, m *Model) ([]engine.KeyRange, func() (engine.Kind, []byte, []byte, bool)) {
	var ends [][]byte
	for range 2 * rng.IntN(4) {
		ends = append(ends, RandomKey(rng))
	}
	slices.SortFunc(ends, bytes.Compare)
	var ranges []engine.KeyRange
	for ; len(ends) > 1; ends = ends[2:] {
		if len(ends[0]) > 0 && string(ends[0]) < string(ends[1]) && (len(ranges) == 0 || string(ranges[len(ranges)-1].End) <= string(ends[0])) {
			ranges = append(ranges, engine.KeyRange{Start: ends[0], End: ends[1]})
			m.DeleteRange(ends[0], ends[1])
		}
	}
	var records []kv
	for range rng.IntN(100) {
		r := kv{key: RandomKey(rng), value: RandomValue(rng)}
		if len(r.key) == 0 {
			continue
		}
		if rng.IntN(4) == 0 {
			r.value = nil
		} else if r.value == nil {
			r.value = []byte{}
		}
		records = append(records, r)
	}
	slices.SortStableFunc(records, func(a, b kv) int { return bytes.Compare(a.key, b.key) })
	records = slices.CompactFunc(records, func(a, b kv) bool { return string(a.key) == string(b.key) })
	return ranges, listOf(m, records)
}

// longList is longer than what any engine writes in one piece.
func longList(m *Model, round int) ([]engine.KeyRange, func() (engine.Kind, []byte, []byte, bool)) {
	var records []kv
	for i := range 5000 {
		records = append(records, kv{fmt.Appendf(nil, "long/%06d", i), fmt.Appendf(nil, "%d/%01000d", round, i)})
	}
	r := engine.KeyRange{Start: []byte("long/"), End: []byte("long0")}
	m.DeleteRange(r.Start, r.End)
	return []engine.KeyRange{r}, listOf(m, records)
}

// listOf makes changes in m; a record without a value is deleted.
func listOf(m *Model, records []kv) func() (engine.Kind, []byte, []byte, bool) {
	for _, r := range records {
		if r.value == nil {
			m.Delete(r.key)
		} else {
			m.Put(r.key, r.value)
		}
	}
	return func() (engine.Kind, []byte, []byte, bool) {
		if len(records) == 0 {
			return 0, nil, nil, false
		}
		r := records[0]
		records = records[1:]
		if r.value == nil {
			return engine.KindDelete, r.key, nil, true
		}
		return engine.KindPut, r.key, r.value, true
	}
}
