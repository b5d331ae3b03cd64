package raftsnap

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"dkv/engine"
	"dkv/engine/pebbledb"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func seedOf(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("DKV_SEED"); s != "" {
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("DKV_SEED: %v", err)
		}
		seed = v
	}
	t.Logf("seed %d (set DKV_SEED to repeat)", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// openPebble opens an engine that flushes often.
func openPebble(fs vfs.FS, dir string) (engine.Engine, error) {
	return pebbledb.Open(dir, pebbledb.Options{
		FS: fs, MemtableBytes: 64 << 10, BlockCacheBytes: 1 << 20, ReserveDiskBytes: -1, Logger: quiet(),
	})
}

func storeOptions(fs vfs.FS) StoreOptions {
	open := func(dir string) (engine.Engine, error) { return openPebble(fs, dir) }
	return StoreOptions{FS: fs, Dir: "data/shards", Name: "0", Open: open, OpenReceiving: open, Logger: quiet()}
}

// testStore is a store that is closed, with its current engine, when the test ends.
func testStore(t testing.TB, o StoreOptions) *Store {
	t.Helper()
	st, err := OpenStore(o)
	must(t, err)
	t.Cleanup(func() { closeStore(t, st) })
	return st
}

func closeStore(t testing.TB, st *Store) {
	t.Helper()
	if err := st.Close(); err != nil {
		t.Errorf("close the store: %v", err)
	}
	if err := st.Engine().Close(); err != nil {
		t.Errorf("close the engine: %v", err)
	}
}

// fill puts n random records into an engine; sizes up to maxValue, some are empty.
func fill(t testing.TB, e engine.Engine, rng *rand.Rand, n, maxValue int) {
	t.Helper()
	var b engine.Batch
	for i := range n {
		key := fmt.Appendf(nil, "%x:%d", rng.Uint32N(1<<16), i)
		value := make([]byte, rng.IntN(maxValue+1))
		if rng.IntN(4) == 0 {
			value = value[:0]
		}
		for j := range value {
			value[j] = byte(rng.Uint32())
		}
		b.Put(key, value)
		if b.Len() > 1<<20 || i == n-1 {
			must(t, e.Apply(b.Repr()))
			b.Reset()
		}
	}
}

// sameContents says where two stores differ; nil: nowhere.
func sameContents(got, want engine.Reader) error {
	a, err := got.NewIter(engine.IterOptions{})
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := want.NewIter(engine.IterOptions{})
	if err != nil {
		return err
	}
	defer b.Close()
	okA, okB := a.First(), b.First()
	for n := 0; okA && okB; n++ {
		if !bytes.Equal(a.Key(), b.Key()) {
			return fmt.Errorf("record %d: key %q, want %q", n, a.Key(), b.Key())
		}
		va, err := a.Value()
		if err != nil {
			return err
		}
		vb, err := b.Value()
		if err != nil {
			return err
		}
		if !bytes.Equal(va, vb) {
			return fmt.Errorf("key %q: %d bytes, want %d", a.Key(), len(va), len(vb))
		}
		okA, okB = a.Next(), b.Next()
	}
	if okA != okB {
		return fmt.Errorf("one has more records (got %v, want %v)", okA, okB)
	}
	return nil
}

// piece is what a source returned.
type piece struct {
	data, position []byte
	last           bool
}

// pieces reads a whole stream.
func pieces(t testing.TB, src *Source) []piece {
	t.Helper()
	var list []piece
	var at []byte
	for {
		var p piece
		var err error
		p.data, p.position, p.last, err = src.Next(at)
		must(t, err)
		list = append(list, p)
		if p.last {
			return list
		}
		at = p.position
	}
}

// send streams from src to r until it is complete.
func send(t testing.TB, r *Receiver, src *Source) {
	t.Helper()
	must(t, trySend(r, src))
	if !r.Complete() {
		t.Fatal("not complete after the last chunk")
	}
}

func trySend(r *Receiver, src *Source) error {
	for {
		data, position, last, err := src.Next(r.Position())
		if err != nil {
			return err
		}
		if err := r.Chunk(data, position, last); err != nil || last {
			return err
		}
	}
}

// testSource is a source of e's contents with small chunks.
func testSource(t testing.TB, e engine.Engine, chunkBytes int) *Source {
	t.Helper()
	src := NewSource(e.NewSnapshot())
	src.chunkBytes = chunkBytes
	t.Cleanup(func() { must(t, src.Close()) })
	return src
}

// sender is an engine in memory to stream from.
func sender(t testing.TB) engine.Engine {
	t.Helper()
	e, err := openPebble(vfs.NewMem(), "sender")
	must(t, err)
	t.Cleanup(func() { must(t, e.Close()) })
	return e
}
