package pebbledb

import (
	"fmt"
	"testing"
	"io"
	"log/slog"
	"syscall"
	"time"

	"dkv/engine"
	"github.com/cockroachdb/pebble/v2"
)

func cpu() time.Duration { var r syscall.Rusage; syscall.Getrusage(1, &r); return time.Duration(r.Utime.Nano()) }

func TestL6(t *testing.T) {
	const n = 1000000
	db, err := Open(t.TempDir(), Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil { t.Fatal(err) }
	defer db.Close()
	keys := make([][]byte, n)
	for i := range keys { keys[i] = fmt.Appendf(nil, "m:0:1234:key:%012d", i) }
	var batch engine.Batch
	value := make([]byte, 100)
	for i := 0; i < n; i += 2 {
		for j := range value { value[j] = byte(i * j >> 3) }
		batch.Put(keys[i], value)
		if batch.Count() == 1000 { db.Apply(batch.Repr()); batch.Reset() }
	}
	db.Compact(t.Context(), nil, nil)
	dst := make([]byte, 0, 300)
	oL6 := &pebble.IterOptions{UseL6Filters: true}
	get := func(k []byte) bool { _, f, _ := db.Get(dst, k); return f }
	iter := func(k []byte) bool {
		it, _ := db.p.NewIter(oL6)
		f := it.SeekPrefixGE(k)
		if f { dst = append(dst[:0], it.Value()...) }
		it.Close()
		return f
	}
	time.Sleep(time.Second)
	for round := 0; round < 4; round++ {
		for _, kind := range []int{0, 1} {
			for name, f := range map[string]func([]byte) bool{"get": get, "iter": iter} {
				c := cpu()
				const ops = 100000
				for i := 0; i < ops; i++ { if f(keys[(i*2*7919)%n+kind]) != (kind == 0) { t.Fatal() } }
				fmt.Println(kind, name, (cpu()-c)/ops)
			}
		}
	}
}
