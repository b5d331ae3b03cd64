package raftsnap

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"testing"

	"dkv/engine"
	"dkv/engine/pebbledb"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// benchBytes is what the benchmarks stream: enough for several memtables.
const benchBytes = 128 << 20

func benchEngine(b *testing.B, dir string) engine.Engine {
	b.Helper()
	e, err := pebbledb.Open(dir, pebbledb.Options{Logger: quiet()})
	must(b, err)
	return e
}

// benchFill writes benchBytes of records with values of that size, of which half
// compresses, in a scattered order.
func benchFill(b *testing.B, e engine.Engine, valueBytes int) {
	b.Helper()
	var batch engine.Batch
	n := benchBytes / (valueBytes + 20)
	for i := range n {
		value := make([]byte, valueBytes)
		x := uint64(i + 1)
		for j := 0; j+8 <= valueBytes/2; j += 8 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			binary.LittleEndian.PutUint64(value[j:], x)
		}
		batch.Put(fmt.Appendf(nil, "m:0:1234:key:%07d", i*7919%n), value)
		if batch.Len() > 1<<20 || i == n-1 {
			must(b, e.Apply(batch.Repr()))
			batch.Reset()
		}
	}
	must(b, e.Flush())
}

// BenchmarkStream is a snapshot from disk to disk without a network: the source
// alone, and with the receiver up to its completion.
func BenchmarkStream(b *testing.B) {
	for _, valueBytes := range []int{100, 1000, 100_000} {
		from := benchEngine(b, b.TempDir())
		benchFill(b, from, valueBytes)
		b.Run(fmt.Sprintf("source/%d", valueBytes), func(b *testing.B) {
			b.SetBytes(benchBytes)
			for b.Loop() {
				src := NewSource(from.NewSnapshot())
				var at []byte
				for last := false; !last; {
					var err error
					_, at, last, err = src.Next(at)
					must(b, err)
				}
				must(b, src.Close())
			}
		})
		b.Run(fmt.Sprintf("both/%d", valueBytes), func(b *testing.B) {
			b.SetBytes(benchBytes)
			open := func(dir string) (engine.Engine, error) {
				return pebbledb.Open(dir, pebbledb.Options{Logger: quiet()})
			}
			st, err := OpenStore(StoreOptions{
				FS: vfs.Default, Dir: filepath.Join(b.TempDir(), "shards"), Name: "0",
				Open: open, OpenReceiving: open,
			})
			must(b, err)
			for id := uint64(0); b.Loop(); id++ {
				src := NewSource(from.NewSnapshot())
				r, err := st.Receive(id, nil, 0)
				must(b, err)
				must(b, trySend(r, src))
				must(b, src.Close())
			}
			closeStore(b, st)
		})
		must(b, from.Close())
	}
}
