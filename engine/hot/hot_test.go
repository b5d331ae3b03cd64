package hot_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dkv/engine"
	"dkv/engine/enginetest"
	"dkv/engine/hot"
	"dkv/engine/pebbledb"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// TestEngine runs the suite of all engines with a table so small that it
// evicts all the time.
func TestEngine(t *testing.T) {
	enginetest.Run(t, enginetest.Factory{
		Open: func(dir string, o enginetest.Options) (engine.Engine, error) {
			db, err := pebbledb.Open(dir, pebbledb.Options{
				FS:               o.FS,
				MemtableBytes:    o.MemtableBytes,
				ReserveDiskBytes: o.ReserveDiskBytes,
				BeforeFlush:      o.BeforeFlush,
				OnFlush:          o.OnFlush,
				BlockCacheBytes:  8 << 20,
				Logger:           quiet(),
			})
			if err != nil {
				return nil, err
			}
			return hot.Wrap(db, hot.Options{Bytes: 2 << 20}), nil
		},
		CustomFS: true, Hooks: true,
	})
}

func openHot(t testing.TB, bytes int64) *hot.DB {
	t.Helper()
	db, err := pebbledb.Open("db", pebbledb.Options{InMemory: true, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	e := hot.Wrap(db, hot.Options{Bytes: bytes})
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func seedOf(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("DKV_SEED"); s != "" {
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = v
	}
	t.Logf("seed %d (set DKV_SEED to repeat)", seed)
	return rand.New(rand.NewPCG(seed, 3))
}

// TestAgainstModel: whatever is evicted, replaced, dropped or cached, a read
// returns what a map holds.
func TestAgainstModel(t *testing.T) {
	for _, bytes := range []int64{0, 64 << 10, 1 << 20, 16 << 20} {
		t.Run(fmt.Sprint(bytes), func(t *testing.T) {
			rng := seedOf(t)
			e := openHot(t, bytes)
			model := make(map[string]string)
			key := func() []byte { return fmt.Appendf(nil, "k%05d", rng.IntN(4000)) }
			rounds := 4000
			if testing.Short() {
				rounds = 1000
			}
			for range rounds {
				var b engine.Batch
				for range 1 + rng.IntN(12) {
					k := key()
					switch rng.IntN(40) {
					case 0:
						end := fmt.Appendf(nil, "%sz", k)
						b.DeleteRange(k, end)
						for m := range model {
							if m >= string(k) && m < string(end) {
								delete(model, m)
							}
						}
					case 1, 2, 3:
						b.Delete(k)
						delete(model, string(k))
					default:
						v := make([]byte, rng.IntN(400))
						for i := range v {
							v[i] = byte(rng.Uint32())
						}
						b.Put(k, v)
						model[string(k)] = string(v)
					}
				}
				if err := e.Apply(b.Repr()); err != nil {
					t.Fatal(err)
				}
				for range 10 {
					k := key()
					v, found, err := e.Get([]byte("dst"), k)
					if err != nil {
						t.Fatal(err)
					}
					want, there := model[string(k)]
					if found != there || string(v) != "dst"+want {
						t.Fatalf("%s: %q, %v; want %q, %v", k, v, found, want, there)
					}
				}
			}
			m := e.HotMetrics()
			if m.Bytes > uint64(bytes)+uint64(bytes)/4 {
				t.Errorf("the table takes %d bytes, the limit is %d", m.Bytes, bytes)
			}
			if bytes >= 1<<20 && m.Hits == 0 {
				t.Error("no read was answered from the table")
			}
		})
	}
}

// TestBatchesAreSeenWhole: a batch sets all keys to one number. A reader that
// reads the keys one after the other must never see the number go down.
func TestBatchesAreSeenWhole(t *testing.T) {
	e := openHot(t, 1<<20)
	const keys = 32
	key := func(i int) []byte { return fmt.Appendf(nil, "key%d", i) }
	var stop atomic.Bool
	var wg sync.WaitGroup
	for r := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(r), 4))
			last := uint64(0)
			for !stop.Load() {
				k := key(rng.IntN(keys))
				v, found, err := e.Get(nil, k)
				if err != nil {
					t.Error(err)
					return
				}
				if !found {
					continue
				}
				n := binary.BigEndian.Uint64(v)
				if n < last {
					t.Errorf("%s is %d after another key was %d: half a batch was seen", k, n, last)
					return
				}
				last = n
			}
		})
	}
	for n := range uint64(3000) {
		var b engine.Batch
		for i := range keys {
			// Values of changing length move within the ring.
			v := binary.BigEndian.AppendUint64(nil, n+1)
			b.Put(key(i), append(v, make([]byte, n%5*8)...))
		}
		if err := e.Apply(b.Repr()); err != nil {
			t.Fatal(err)
		}
	}
	stop.Store(true)
	wg.Wait()
}

// TestWhatIsReadStays: records that are read survive a stream of new ones.
func TestWhatIsReadStays(t *testing.T) {
	e := openHot(t, 4<<20)
	value := make([]byte, 100)
	put := func(key string) {
		t.Helper()
		var b engine.Batch
		b.Put([]byte(key), value)
		if err := e.Apply(b.Repr()); err != nil {
			t.Fatal(err)
		}
	}
	read := func(key string) {
		t.Helper()
		if _, found, err := e.Get(nil, []byte(key)); err != nil || !found {
			t.Fatalf("%s: %v, %v", key, found, err)
		}
	}
	const hotKeys = 1000
	for i := range hotKeys {
		put(fmt.Sprint("hot", i))
	}
	for i := range 100_000 {
		put(fmt.Sprint("cold", i))
		read(fmt.Sprint("hot", i%hotKeys))
	}
	before := e.HotMetrics()
	for i := range hotKeys {
		read(fmt.Sprint("hot", i))
	}
	after := e.HotMetrics()
	if hits := after.Hits - before.Hits; hits < hotKeys*9/10 {
		t.Errorf("%d of %d hot records are in the table", hits, hotKeys)
	}
}

func BenchmarkGetHit(b *testing.B) {
	e := openHot(b, 64<<20)
	var batch engine.Batch
	for i := range 100_000 {
		batch.Put(fmt.Appendf(nil, "key:%012d", i), make([]byte, 100))
	}
	if err := e.Apply(batch.Repr()); err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	key := []byte("key:000000000000")
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		n := rng.IntN(100_000)
		for i := len(key) - 1; i > 3; i-- {
			key[i] = byte('0' + n%10)
			n /= 10
		}
		var err error
		if dst, _, err = e.Get(dst[:0], key); err != nil {
			b.Fatal(err)
		}
	}
}

// TestTableFillsItsLimit: records of a size that divides the ring's must not keep
// it from growing.
func TestTableFillsItsLimit(t *testing.T) {
	sizes := []int{0, 4, 20, 84, 100, 116, 1000} // records of 32 to 144 and more bytes
	limit := int64(16 << 20)
	if testing.Short() {
		sizes, limit = []int{0, 100}, 4<<20
	}
	for _, size := range sizes {
		e := openHot(t, limit)
		var batch engine.Batch
		for i := range 4 * int(limit) / (size + 32) {
			batch.Put(fmt.Appendf(nil, "key:%012d", i), make([]byte, size))
		}
		if err := e.Apply(batch.Repr()); err != nil {
			t.Fatal(err)
		}
		m := e.HotMetrics()
		least := uint64(limit) / uint64(size+32+20) * uint64(size+32) / 8 * 7 // 20: of a slot
		if held := m.Records * uint64(size+32); held < least || m.Bytes > uint64(limit/16*17) {
			t.Errorf("values of %d bytes: %d bytes of records in %d of memory, limit %d", size, held, m.Bytes, m.Capacity)
		}
	}
}
