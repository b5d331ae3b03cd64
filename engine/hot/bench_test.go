package hot_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"dkv/engine"
	"dkv/engine/hot"
	"dkv/engine/pebbledb"
)

// engines are what benchmarks compare: batches written through, and held back.
func engines(b *testing.B) map[string]engine.Engine {
	open := func() engine.Engine {
		db, err := pebbledb.Open(b.TempDir(), pebbledb.Options{Logger: quiet()})
		must(b, err)
		return db
	}
	all := map[string]engine.Engine{
		"through": hot.Wrap(open(), hot.Options{Bytes: 192 << 20}),
		"layer":   hot.NewLayer(open(), hot.Options{Bytes: 192 << 20, Logger: quiet()}),
	}
	b.Cleanup(func() {
		for _, e := range all {
			must(b, e.Close())
		}
	})
	return all
}

func benchKey(dst []byte, kind byte, n int) []byte {
	dst = append(dst[:0], kind, 0, byte(n*7>>8), byte(n*7))
	return fmt.Appendf(dst, "key:%012d", n)
}

// BenchmarkApply is a batch's cost a key: read, as the evaluation does, and written,
// with the position and a count that each batch has.
func BenchmarkApply(b *testing.B) {
	for _, size := range []int{1, 32} {
		for name, e := range engines(b) {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				rng := rand.New(rand.NewPCG(1, 1))
				value := make([]byte, 100)
				var batch engine.Batch
				var key, dst []byte
				b.ReportAllocs()
				for n := 0; n < b.N; n += size {
					batch.Reset()
					batch.Put([]byte("sapplied"), binary.BigEndian.AppendUint64(nil, uint64(n)))
					for range size {
						key = benchKey(key, 'm', rng.IntN(1_000_000))
						var err error
						dst, _, err = e.Get(dst[:0], key)
						must(b, err)
						batch.Put(key, value)
					}
					batch.Put([]byte("scounts"), binary.BigEndian.AppendUint64(nil, uint64(n)))
					must(b, e.Apply(batch.Repr()))
				}
			})
		}
	}
}

// BenchmarkRange writes an element of one of 10,000 collections of 20, and reads
// the collection.
func BenchmarkRange(b *testing.B) {
	for name, e := range engines(b) {
		b.Run(name, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 1))
			value := make([]byte, 20)
			var batch engine.Batch
			for n := range 200_000 {
				batch.Put(fmt.Appendf(nil, "e%06d/%02d", n/20, n%20), value)
			}
			must(b, e.Apply(batch.Repr()))
			for b.Loop() {
				c := rng.IntN(10_000)
				batch.Reset()
				batch.Put(fmt.Appendf(nil, "e%06d/%02d", c, rng.IntN(20)), value)
				must(b, e.Apply(batch.Repr()))
				it, err := e.NewIter(engine.IterOptions{Lower: fmt.Appendf(nil, "e%06d/", c), Upper: fmt.Appendf(nil, "e%06d0", c)})
				must(b, err)
				n := 0
				for ok := it.First(); ok; ok = it.Next() {
					n++
				}
				must(b, it.Close())
				if n != 20 {
					b.Fatalf("%d elements", n)
				}
			}
		})
	}
}

// BenchmarkFirstIterator is the first one after 200,000 keys were written.
func BenchmarkFirstIterator(b *testing.B) {
	value := make([]byte, 100)
	for b.Loop() {
		b.StopTimer()
		l, _ := openLayer(b, hot.Options{WriteBytes: 1 << 30})
		var batch engine.Batch
		var key []byte
		rng := rand.New(rand.NewPCG(1, 1))
		for range 200_000 {
			key = benchKey(key, 'm', rng.IntN(1<<30))
			batch.Put(key, value)
		}
		must(b, l.Apply(batch.Repr()))
		b.StartTimer()
		it, err := l.NewIter(engine.IterOptions{Lower: []byte("m"), Upper: []byte("n")})
		must(b, err)
		it.First()
		must(b, it.Close())
	}
}

// BenchmarkCollector is a collection of garbage with 2 million records held back.
func BenchmarkCollector(b *testing.B) {
	l, _ := openLayer(b, hot.Options{WriteBytes: 4 << 30})
	value := make([]byte, 100)
	var batch engine.Batch
	var key []byte
	for n := range 2_000_000 {
		if key = benchKey(key, 'm', n); n%1000 == 0 {
			must(b, l.Apply(batch.Repr()))
			batch.Reset()
		}
		batch.Put(key, value)
	}
	batch = engine.Batch{}
	runtime.GC()
	for b.Loop() {
		began := time.Now()
		runtime.GC()
		b.ReportMetric(float64(time.Since(began).Microseconds())/1000, "ms/GC")
	}
	b.ReportMetric(float64(l.HotMetrics().DirtyBytes)/2e6, "bytes/record")
}
