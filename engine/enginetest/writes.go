package enginetest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"dkv/engine"
)

// testRandom does everything in random order and compares with the model.
func testRandom(t *testing.T, f Factory) {
	rng := Rand(t)
	dir, o := t.TempDir(), Options{MemtableBytes: smallMemtable}
	e, err := f.Open(dir, o)
	must(t, err)
	defer func() { mustClose(t, e) }()
	m := &Model{}
	for range 300 {
		apply(t, e, m, func(b *engine.Batch) { randomBatch(rng, b, rng.IntN(100)) })
		switch rng.IntN(40) {
		case 0:
			must(t, e.Flush())
		case 1:
			lower, upper := RandomKey(rng), RandomKey(rng)
			must(t, e.Compact(t.Context(), lower, upper))
		case 2:
			if f.Volatile {
				continue
			}
			must(t, e.Flush())
			must(t, e.Close())
			if e, err = f.Open(dir, o); err != nil {
				t.Fatal(err)
			}
		case 3:
			CompareReaders(t, e, m)
		default:
			for range 5 {
				key := RandomKey(rng)
				v, found, err := e.Get(nil, key)
				w, wantFound, _ := m.Get(nil, key)
				if err != nil || found != wantFound || !bytes.Equal(v, w) {
					t.Fatalf("get %q: %q %v %v, want %q %v", key, v, found, err, w, wantFound)
				}
			}
		}
	}
	CompareReaders(t, e, m)
}

func testDeleteRange(t *testing.T, f Factory) {
	e, m := open(t, f, t.TempDir(), Options{}), &Model{}
	key := func(i int) []byte { return binary.BigEndian.AppendUint32([]byte("k"), uint32(i)) }
	apply(t, e, m, func(b *engine.Batch) {
		for i := range 1000 {
			b.Put(key(i), []byte("v"))
		}
	})
	must(t, e.Flush())
	apply(t, e, m, func(b *engine.Batch) {
		b.Put(key(150), []byte("deleted with the range"))
		b.DeleteRange(key(100), key(200))
		b.Put(key(160), []byte("after the range"))
		b.DeleteRange(key(500), key(500)) // empty
	})
	CompareReaders(t, e, m)
	must(t, e.Flush())
	CompareReaders(t, e, m)
	apply(t, e, m, func(b *engine.Batch) {
		b.DeleteRange(nil, key(100))
		b.DeleteRange(key(900), []byte("l"))
		b.Put(key(99), []byte("again"))
	})
	CompareReaders(t, e, m)
	must(t, e.Compact(t.Context(), nil, nil))
	CompareReaders(t, e, m)
	if _, found, _ := e.GetDurable(nil, key(50)); found && !f.Volatile {
		t.Error("GetDurable sees a deleted key")
	}
}

// Batches larger than a memtable take other ways through an engine.
func testLargeBatches(t *testing.T, f Factory) {
	rng := Rand(t)
	dir, o := t.TempDir(), Options{MemtableBytes: smallMemtable}
	e, err := f.Open(dir, o)
	must(t, err)
	defer func() { mustClose(t, e) }()
	m := &Model{}
	for _, n := range []int{1, 5000, 10, 3000, 200, 20000, 1} {
		apply(t, e, m, func(b *engine.Batch) { randomBatch(rng, b, n) })
		CompareReaders(t, e, m)
	}
	must(t, e.Flush())
	CompareReaders(t, e, m)
	if !f.Volatile {
		must(t, e.Close())
		if e, err = f.Open(dir, o); err != nil {
			t.Fatal(err)
		}
		CompareReaders(t, e, m)
	}
}

// DKV_LARGE_VALUES=1 tests with the largest value that Redis allows.
func testLargeValues(t *testing.T, f Factory) {
	size := 64 << 20
	if raceEnabled {
		size = 8 << 20
	}
	if os.Getenv("DKV_LARGE_VALUES") != "" {
		size = 512 << 20
	}
	e := open(t, f, t.TempDir(), Options{})
	value := make([]byte, size)
	rng := RandOf(1)
	for i := range 1 << 20 {
		value[i] = byte(rng.Uint32())
	}
	for n := 1 << 20; n < size; n *= 2 {
		copy(value[n:], value[:n])
	}
	var b engine.Batch
	b.Put([]byte("before"), []byte("b"))
	b.Put([]byte("large"), value)
	b.Put([]byte("then"), []byte("t"))
	must(t, e.Apply(b.Repr()))
	b = engine.Batch{}
	check := func(when string) {
		t.Helper()
		for key, want := range map[string][]byte{"before": []byte("b"), "large": value, "then": []byte("t")} {
			v, found, err := e.Get(nil, []byte(key))
			if err != nil || !found || !bytes.Equal(v, want) {
				t.Fatalf("%s, %q: found %v, err %v, %d bytes", when, key, found, err, len(v))
			}
		}
		it, err := e.NewIter(engine.IterOptions{})
		must(t, err)
		defer it.Close()
		if !it.SeekGE([]byte("c")) {
			t.Fatalf("%s: no large key: %v", when, it.Err())
		}
		if v, err := it.Value(); err != nil || !bytes.Equal(v, value) {
			t.Fatalf("%s: iterator's value: %d bytes, err %v", when, len(v), err)
		}
	}
	check("in memory")
	must(t, e.Flush())
	check("flushed")
	must(t, e.Compact(t.Context(), nil, nil))
	check("compacted")
}

// testConcurrency reads in many ways while one goroutine applies. Each batch sets
// all of a group of keys to its number: a reader must never see two numbers.
func testConcurrency(t *testing.T, f Factory) {
	dir := t.TempDir()
	e := open(t, f, filepath.Join(dir, "store"), Options{MemtableBytes: smallMemtable})
	const group = 20
	batches := uint64(400)
	if raceEnabled {
		batches = 100
	}
	var applied atomic.Uint64
	key := func(i int) []byte { return fmt.Appendf(nil, "group:%02d", i) }
	write := func(n uint64) {
		var b engine.Batch
		for i := range group {
			b.Put(key(i), binary.BigEndian.AppendUint64(make([]byte, 200, 208), n))
			b.Put(fmt.Appendf(nil, "other:%d:%d", n%10, i), make([]byte, 100))
		}
		b.DeleteRange(fmt.Appendf(nil, "other:%d", (n+1)%10), fmt.Appendf(nil, "other:%d;", (n+1)%10))
		must(t, e.Apply(b.Repr()))
		applied.Store(n)
	}
	write(1)
	done := make(chan struct{})
	var wg sync.WaitGroup
	reader := func(read func() error) {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := read(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	number := func(v []byte) uint64 { return binary.BigEndian.Uint64(v[200:]) }
	oneState := func(r engine.Reader, least uint64) error {
		it, err := r.NewIter(engine.IterOptions{Lower: []byte("group:"), Upper: []byte("group;")})
		if err != nil {
			return err
		}
		defer it.Close()
		var n uint64
		count := 0
		for ok := it.First(); ok; ok = it.Next() {
			v, err := it.Value()
			if err != nil {
				return err
			}
			if count++; count == 1 {
				n = number(v)
			}
			if number(v) != n || n < least {
				return fmt.Errorf("an iterator sees batches %d and %d; %d was applied before", n, number(v), least)
			}
		}
		if count != group {
			return fmt.Errorf("an iterator sees %d of %d keys: %w", count, group, it.Err())
		}
		return nil
	}
	reader(func() error { return oneState(e, applied.Load()) })
	reader(func() error {
		least := applied.Load()
		s := e.NewSnapshot()
		defer s.Close()
		first, _, err := s.Get(nil, key(0))
		if err != nil {
			return err
		}
		last, _, err := s.Get(nil, key(group-1))
		if err != nil || number(first) != number(last) || number(first) < least {
			return fmt.Errorf("a snapshot sees %d and %d, err %v", number(first), number(last), err)
		}
		return oneState(s, number(first))
	})
	var buf []byte
	reader(func() error {
		least := applied.Load()
		v, found, err := e.Get(buf[:0], key(7))
		if err != nil || !found || number(v) < least {
			return fmt.Errorf("get: found %v, err %v", found, err)
		}
		buf = v
		e.Metrics()
		return e.Writable()
	})
	reader(func() error {
		if err := e.Flush(); err != nil {
			return err
		}
		if err := e.Compact(t.Context(), []byte("group:"), []byte("other:5")); err != nil {
			return err
		}
		_, _, err := e.GetDurable(nil, key(1))
		return err
	})
	for n := uint64(2); n <= batches; n++ {
		write(n)
	}
	close(done)
	wg.Wait()
}

func testCompact(t *testing.T, f Factory) {
	rng := Rand(t)
	e, m := open(t, f, t.TempDir(), Options{}), &Model{}
	value := make([]byte, 4096)
	for i := range value {
		value[i] = byte(rng.Uint32()) // does not compress
	}
	apply(t, e, m, func(b *engine.Batch) {
		for i := range 2000 {
			b.Put(fmt.Appendf(nil, "key:%06d", i), value)
		}
	})
	must(t, e.Flush())
	full := e.Metrics().DiskBytes
	if full < 2000*4096 {
		t.Fatalf("%d bytes on disk for %d of values", full, 2000*4096)
	}
	apply(t, e, m, func(b *engine.Batch) {
		b.DeleteRange([]byte("key:000500"), []byte("key:002000"))
		for i := range 400 {
			b.Delete(fmt.Appendf(nil, "key:%06d", i))
		}
	})
	must(t, e.Compact(t.Context(), nil, nil))
	CompareReaders(t, e, m)
	// Files are removed in the background.
	waitFor(t, "the space of deleted keys", func() bool { return e.Metrics().DiskBytes < full/4 })
}

func testMetrics(t *testing.T, f Factory) {
	e, m := open(t, f, t.TempDir(), Options{}), &Model{}
	for round := range 2 {
		apply(t, e, m, func(b *engine.Batch) {
			for i := range 5000 {
				// Between those of the other round: there is something to compact.
				b.Put(fmt.Appendf(nil, "key:%06d:%d", i, round), make([]byte, 100))
			}
		})
		must(t, e.Flush())
	}
	must(t, e.Compact(t.Context(), nil, nil))
	// Through a snapshot and by an iterator, which tables of records over the engine
	// do not answer.
	s := e.NewSnapshot()
	defer s.Close()
	it, err := s.NewIter(engine.IterOptions{})
	must(t, err)
	defer it.Close()
	// A cache may take in what was read a little later.
	waitFor(t, "a read from the block cache", func() bool {
		for i := range 100 {
			_, _, err := s.Get(nil, fmt.Appendf(nil, "key:%06d:1", i))
			must(t, err)
			if !it.SeekGE(fmt.Appendf(nil, "key:%06d:1", i)) {
				t.Fatal(it.Err())
			}
		}
		return e.Metrics().BlockCacheHits > 0
	})
	must(t, it.Close())
	must(t, s.Close())
	got := e.Metrics()
	for name, ok := range map[string]bool{
		"DiskBytes":          got.DiskBytes > 0,
		"MemtableCount":      got.MemtableCount > 0,
		"MemtableBytes":      got.MemtableBytes > 0,
		"FlushCount":         got.FlushCount >= 2,
		"FlushBytes":         got.FlushBytes > 0,
		"CompactionCount":    got.CompactionCount > 0,
		"Tables":             got.Tables > 0,
		"ReadAmplification":  got.ReadAmplification > 0,
		"BlockCacheCapacity": got.BlockCacheCapacity > 0,
		"BlockCacheHits":     got.BlockCacheHits > 0,
		"BackgroundErrors":   got.BackgroundErrors == 0,
	} {
		if !ok {
			t.Errorf("%s: %+v", name, got)
		}
	}
	waitFor(t, "the estimate of keys", func() bool {
		n := e.Metrics().EstimatedKeys
		return n > 9000 && n < 11000
	})
}
