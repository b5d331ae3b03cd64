package pebbledb_test

import (
	"fmt"
	"testing"

	"dkv/engine"
	"dkv/engine/pebbledb"
)

const benchKeys = 200_000

func benchKey(dst []byte, i int) []byte {
	return fmt.Appendf(dst[:0], "m:0:1234:key:%012d", i*7919%benchKeys)
}

// benchDB is a store of benchKeys even keys (odd ones are absent), as it is after
// the keys were written; settled: with everything compacted.
func benchDB(b *testing.B, settled bool) *pebbledb.DB {
	b.Helper()
	db, err := pebbledb.Open(b.TempDir(), pebbledb.Options{Logger: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	var batch engine.Batch
	value := make([]byte, 100)
	for i := range benchKeys {
		if i%2 == 0 {
			for j := range value {
				value[j] = byte(i * j >> 3)
			}
			batch.Put(fmt.Appendf(nil, "m:0:1234:key:%012d", i), value)
		}
		if batch.Count() == 1000 || i == benchKeys-1 {
			if err := db.Apply(batch.Repr()); err != nil {
				b.Fatal(err)
			}
			batch.Reset()
		}
	}
	if settled {
		if err := db.Compact(b.Context(), nil, nil); err != nil {
			b.Fatal(err)
		}
	}
	return db
}

func BenchmarkGet(b *testing.B) {
	for _, settled := range []bool{false, true} {
		name := map[bool]string{false: "memtable", true: "tables"}[settled]
		db := benchDB(b, settled)
		for want, kind := range []string{"hit", "miss"} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				key, dst := make([]byte, 0, 64), make([]byte, 0, 256)
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					i += 2
					key = fmt.Appendf(key[:0], "m:0:1234:key:%012d", i*7919%benchKeys+want)
					_, found, err := db.Get(dst, key)
					if err != nil || found != (want == 0) {
						b.Fatal(found, err)
					}
				}
			})
		}
	}
}

// BenchmarkApply is batches of 100 SETs; per SET.
func BenchmarkApply(b *testing.B) {
	db := benchDB(b, false)
	var batch engine.Batch
	key, value := make([]byte, 0, 64), make([]byte, 100)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		key = benchKey(key, i)
		batch.Put(key, value)
		if i++; batch.Count() == 100 {
			if err := db.Apply(batch.Repr()); err != nil {
				b.Fatal(err)
			}
			batch.Reset()
		}
	}
}

// BenchmarkIter is a seek and ten steps with a new iterator.
func BenchmarkIter(b *testing.B) {
	db := benchDB(b, true)
	key := make([]byte, 0, 64)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		key = benchKey(key, i)
		it, err := db.NewIter(engine.IterOptions{Lower: key})
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for ok := it.First(); ok && n < 10; ok = it.Next() {
			n++
		}
		if err := it.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
