package pebbledb_test

import (
	"fmt"
	"testing"

	"dkv/engine"
	"dkv/engine/pebbledb"
)

const benchKeys = 200_000

var benchKeyList = func() [][]byte {
	keys := make([][]byte, benchKeys)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "m:0:1234:key:%012d", i)
	}
	return keys
}()

// benchKey returns one key after the other in a scattered order, of the even
// keys (odd = 0) or of the odd ones.
func benchKey(i, odd int) []byte {
	return benchKeyList[i*2*7919%benchKeys+odd]
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
			batch.Put(benchKeyList[i], value)
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
				dst := make([]byte, 0, 256)
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					i++
					_, found, err := db.Get(dst, benchKey(i, want))
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
	value := make([]byte, 100)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		batch.Put(benchKey(i, 0), value)
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
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		it, err := db.NewIter(engine.IterOptions{Lower: benchKey(i, 0)})
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
