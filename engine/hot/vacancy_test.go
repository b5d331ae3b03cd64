package hot_test

import (
	"fmt"
	"testing"

	"dkv/engine"
	"dkv/engine/hot"
)

// Records that are written again and again, and written down in between, stay in a table
// that has room for all of them: none goes for one that comes back.
func TestRewrittenRecordsStay(t *testing.T) {
	const (
		keys, valueBytes = 40_000, 100
		// What records and slots take, and half as much again: the table is in 256 parts, some
		// of which have more records than others.
		room = (128 + 20) * keys / 2 * 3
	)
	l, _ := openLayer(t, hot.Options{Bytes: room, WriteBytes: 64 << 20})
	rng := seedOf(t)
	value := make([]byte, valueBytes)
	key := func(n int) []byte { return fmt.Appendf(nil, "key:%012d", n) }
	write := func(part func() bool) {
		t.Helper()
		var b engine.Batch
		for n := range keys {
			if part() {
				b.Put(key(n), value)
			}
		}
		must(t, l.Apply(b.Repr()))
		must(t, l.Flush())
		waitFor(t, "the end of the checkpoint", func() bool { return l.HotMetrics().DirtyRecords == 0 })
	}
	write(func() bool { return true })
	for range 8 {
		write(func() bool { return rng.IntN(2) == 0 })
	}
	before := l.HotMetrics()
	for n := range keys {
		if _, found, err := l.Get(nil, key(n)); err != nil || !found {
			t.Fatalf("key %d: %v, %v", n, found, err)
		}
	}
	if m := l.HotMetrics(); m.Evictions != 0 || m.Misses != before.Misses || m.Records != keys {
		t.Errorf("%d records, %d were evicted, %d of %d reads missed the table", m.Records, m.Evictions, m.Misses-before.Misses, keys)
	}
}

// Keys that are looked for before they are made, as each SET does, leave no room unused.
func TestLookedForBeforeMade(t *testing.T) {
	const (
		keys, batch = 160_000, 10_000
		// A fifth more than the records and their slots take: what is noted of absent keys would
		// be a quarter more.
		room = (128 + 20) * keys / 5 * 6
	)
	l, _ := openLayer(t, hot.Options{Bytes: room, WriteBytes: 64 << 20})
	value := make([]byte, 100)
	for first := 0; first < keys; first += batch {
		var names [][]byte
		var b engine.Batch
		for n := first; n < first+batch; n++ {
			names = append(names, fmt.Appendf(nil, "key:%012d", n))
			b.Put(names[len(names)-1], value)
		}
		must(t, l.Remember(names))
		must(t, l.Apply(b.Repr()))
		must(t, l.Flush())
		waitFor(t, "the end of the checkpoint", func() bool { return l.HotMetrics().DirtyRecords == 0 })
	}
	if m := l.HotMetrics(); m.Evictions != 0 || m.Records != keys {
		t.Errorf("%d records of %d, %d were evicted", m.Records, keys, m.Evictions)
	}
}
