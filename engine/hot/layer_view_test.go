package hot_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dkv/engine"
	"dkv/engine/enginetest"
	"dkv/engine/hot"
	"dkv/engine/pebbledb"
)

// steered is an engine in memory whose Apply stops where a test wants to look.
type steered struct {
	engine.Engine
	// at is called before and after Apply.
	at atomic.Pointer[func(after bool)]
	// onGet is called after a Get, onIter before a NewIter.
	onGet, onIter atomic.Pointer[func()]
	// fail is what Apply does instead, when set.
	fail atomic.Pointer[func() error]
}

func (e *steered) Apply(repr []byte) error {
	if fail := e.fail.Load(); fail != nil {
		if err := (*fail)(); err != nil {
			return err
		}
	}
	at := e.at.Load()
	if at != nil {
		(*at)(false)
	}
	err := e.Engine.Apply(repr)
	if at != nil {
		(*at)(true)
	}
	return err
}

func (e *steered) Get(dst, key []byte) ([]byte, bool, error) {
	v, found, err := e.Engine.Get(dst, key)
	if on := e.onGet.Swap(nil); on != nil {
		(*on)()
	}
	return v, found, err
}

func (e *steered) NewIter(o engine.IterOptions) (engine.Iterator, error) {
	if on := e.onIter.Swap(nil); on != nil {
		(*on)()
	}
	return e.Engine.NewIter(o)
}

func openLayer(t testing.TB, o hot.Options) (*hot.Layer, *steered) {
	t.Helper()
	db, err := pebbledb.Open("db", pebbledb.Options{InMemory: true, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	below := &steered{Engine: db}
	o.Logger = quiet()
	l := hot.NewLayer(below, o)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, below
}

func waitFor(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
		<-tick.C
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestViewsThroughCheckpoints: whatever a checkpoint has done or is doing, snapshots
// and iterators of any age, and the layer itself, show what the model does.
func TestViewsThroughCheckpoints(t *testing.T) {
	for _, cache := range []int64{0, 256 << 10, 16 << 20} {
		t.Run(fmt.Sprint(cache), func(t *testing.T) {
			rng := enginetest.Rand(t)
			l, below := openLayer(t, hot.Options{Bytes: cache, WriteBytes: 256 << 20})
			w := &world{t: t, rng: rng, l: l}
			givenUp := make(chan struct{}) // by a test that has failed
			t.Cleanup(func() {
				close(givenUp)
				for _, v := range w.views {
					_ = errors.Join(v.it.Close(), v.s.Close())
				}
			})
			for range 20 {
				w.step(5)
				// A checkpoint, stopped before and after the engine has it.
				stopped, goOn := make(chan bool), make(chan struct{})
				at := func(after bool) {
					select {
					case stopped <- after:
					case <-givenUp:
					}
					select {
					case <-goOn:
					case <-givenUp:
					}
				}
				below.at.Store(&at)
				flushed := make(chan error, 1)
				go func() { flushed <- l.Flush() }()
				for range 2 {
					select {
					case <-stopped:
						w.step(5)
						goOn <- struct{}{}
					case err := <-flushed: // nothing was dirty
						flushed <- err
					}
				}
				w.step(2) // while records are let go of
				must(t, <-flushed)
				below.at.Store(nil)
				w.step(2)
			}
			for len(w.views) > 0 {
				w.closeOne()
			}
			if n := l.HotMetrics().Views; n != 0 {
				t.Errorf("%d views are open", n)
			}
		})
	}
}

// world is a layer, its model, and views of both.
type world struct {
	t     *testing.T
	rng   *rand.Rand
	l     *hot.Layer
	m     enginetest.Model
	views []worldView
}

type worldView struct {
	s  engine.Snapshot
	it engine.Iterator
	m  *enginetest.Model
	mi engine.Iterator
}

func (w *world) step(n int) {
	for range n {
		var b engine.Batch
		for range w.rng.IntN(60) {
			enginetest.RandomMutation(w.rng, &b)
		}
		must(w.t, w.l.Apply(b.Repr()))
		must(w.t, w.m.Apply(b.Repr()))
		w.compareGets(w.l, &w.m)
		if w.rng.IntN(3) == 0 {
			w.open()
		}
		if len(w.views) > 0 {
			v := w.views[w.rng.IntN(len(w.views))]
			w.compareGets(v.s, v.m)
			enginetest.CompareIterators(w.t, w.rng, v.it, v.mi, 20)
			if w.rng.IntN(10) == 0 {
				enginetest.CompareReaders(w.t, v.s, v.m)
			}
		}
		if len(w.views) > 6 || len(w.views) > 0 && w.rng.IntN(6) == 0 {
			w.closeOne()
		}
	}
	if w.rng.IntN(4) == 0 {
		enginetest.CompareReaders(w.t, w.l, &w.m)
	}
}

func (w *world) open() {
	w.t.Helper()
	v := worldView{s: w.l.NewSnapshot(), m: w.m.Clone()}
	o := enginetest.RandomBounds(w.rng)
	r := engine.Reader(w.l)
	if w.rng.IntN(2) == 0 {
		r = v.s
	}
	var err error
	v.it, err = r.NewIter(o)
	must(w.t, err)
	v.mi, _ = v.m.NewIter(o)
	w.views = append(w.views, v)
}

func (w *world) closeOne() {
	i := w.rng.IntN(len(w.views))
	v := w.views[i]
	if w.rng.IntN(2) == 0 {
		must(w.t, v.s.Close()) // the iterator lives on
		enginetest.CompareIterators(w.t, w.rng, v.it, v.mi, 20)
		must(w.t, v.it.Close())
	} else {
		must(w.t, errors.Join(v.it.Close(), v.s.Close()))
	}
	w.views = append(w.views[:i], w.views[i+1:]...)
}

func (w *world) compareGets(r engine.Reader, m *enginetest.Model) {
	w.t.Helper()
	for range 20 {
		key := enginetest.RandomKey(w.rng)
		got, found, err := r.Get([]byte("dst"), key)
		want, there, _ := m.Get([]byte("dst"), key)
		if err != nil || found != there || !bytes.Equal(got, want) {
			w.t.Fatalf("get %q: %d bytes, %v, %v; want %d bytes, %v", key, len(got), found, err, len(want), there)
		}
	}
}

// TestIteratorMadeDuringCheckpoint: the engine moves on between the moment that an
// iterator shows and the making of the engine's own.
func TestIteratorMadeDuringCheckpoint(t *testing.T) {
	l, below := openLayer(t, hot.Options{})
	var m enginetest.Model
	put := func(value string) {
		var b engine.Batch
		for i := range 20 {
			b.Put(fmt.Appendf(nil, "k%d", i), []byte(value))
		}
		must(t, l.Apply(b.Repr()))
		must(t, m.Apply(b.Repr()))
	}
	put("old")
	must(t, l.Flush())
	want, _ := m.NewIter(engine.IterOptions{})
	then := func() {
		put("new")
		must(t, l.Flush())
	}
	below.onIter.Store(&then)
	it, err := l.NewIter(engine.IterOptions{})
	must(t, err)
	defer it.Close()
	enginetest.CompareIterators(t, enginetest.Rand(t), it, want, 50)
	enginetest.CompareReaders(t, l, &m)
}

// TestOldValueIsNotKept: a reader brings what the engine said after the key was
// deleted and the engine told so.
func TestOldValueIsNotKept(t *testing.T) {
	for name, remove := range map[string]func(b *engine.Batch){
		"delete": func(b *engine.Batch) { b.Delete([]byte("k")) },
		"range":  func(b *engine.Batch) { b.DeleteRange([]byte("a"), []byte("z")) },
		"again": func(b *engine.Batch) {
			b.Put([]byte("k"), nil)
			b.DeleteRange([]byte("a"), []byte("z"))
		},
	} {
		for _, view := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, view %v", name, view), func(t *testing.T) {
				l, below := openLayer(t, hot.Options{Bytes: 4 << 20})
				var b engine.Batch
				b.Put([]byte("k"), []byte("old"))
				must(t, below.Engine.Apply(b.Repr()))
				then := func() {
					var b engine.Batch
					remove(&b)
					must(t, l.Apply(b.Repr()))
					must(t, l.Flush())
					waitFor(t, "the records to be let go of", func() bool { return l.HotMetrics().Checkpoints == 1 })
				}
				var r engine.Reader = l
				if view {
					s := l.NewSnapshot()
					defer s.Close()
					r = s
				}
				below.onGet.Store(&then)
				if v, found, err := r.Get(nil, []byte("k")); err != nil || !found || string(v) != "old" {
					t.Fatalf("%q, %v, %v", v, found, err)
				}
				if v, found, err := l.Get(nil, []byte("k")); err != nil || found {
					t.Errorf("the deleted key: %q, %v, %v", v, found, err)
				}
			})
		}
	}
}

// TestLayerBatchesAreSeenWhole: a batch sets all keys to one number. A reader must
// never see the number go down from key to key, and a view only one.
func TestLayerBatchesAreSeenWhole(t *testing.T) {
	l, _ := openLayer(t, hot.Options{Bytes: 1 << 20, WriteBytes: 64 << 10})
	const keys = 32
	key := func(i int) []byte { return fmt.Appendf(nil, "key%02d", i) }
	write := func(n uint64) {
		var b engine.Batch
		if n%7 == 0 {
			b.DeleteRange([]byte("key"), []byte("kez"))
		}
		for i := range keys {
			// Values of changing length cannot be written over in place.
			b.Put(key(i), append(binary.BigEndian.AppendUint64(nil, n), make([]byte, n%5*8)...))
			b.Put(fmt.Appendf(nil, "other%d/%d", n%50, i), nil)
		}
		must(t, l.Apply(b.Repr()))
	}
	write(1)
	number := func(r engine.Reader, i int) (uint64, error) {
		v, found, err := r.Get(nil, key(i))
		if err != nil || !found {
			return 0, fmt.Errorf("key %d: found %v, err %v", i, found, err)
		}
		return binary.BigEndian.Uint64(v), nil
	}
	readers := []func(rng *rand.Rand, last uint64) (uint64, error){
		func(rng *rand.Rand, last uint64) (uint64, error) { return number(l, rng.IntN(keys)) },
		func(rng *rand.Rand, last uint64) (uint64, error) {
			s := l.NewSnapshot()
			defer s.Close()
			n, err := number(s, 0)
			for i := 1; i < keys && err == nil; i++ {
				var other uint64
				if other, err = number(s, i); err == nil && other != n {
					err = fmt.Errorf("a snapshot sees %d and %d", n, other)
				}
			}
			return n, err
		},
		func(rng *rand.Rand, last uint64) (uint64, error) {
			it, err := l.NewIter(engine.IterOptions{Lower: []byte("key"), Upper: []byte("kez")})
			if err != nil {
				return 0, err
			}
			defer it.Close()
			var n uint64
			count := 0
			for ok := it.First(); ok; ok = it.Next() {
				v, _ := it.Value()
				if count++; count > 1 && binary.BigEndian.Uint64(v) != n {
					return 0, fmt.Errorf("an iterator sees %d and %d", n, binary.BigEndian.Uint64(v))
				}
				n = binary.BigEndian.Uint64(v)
			}
			if count != keys {
				return 0, fmt.Errorf("an iterator sees %d keys: %w", count, it.Err())
			}
			return n, nil
		},
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	for r := range 2 * len(readers) {
		wg.Go(func() {
			rng := enginetest.RandOf(uint64(r))
			last := uint64(0)
			for !stop.Load() {
				n, err := readers[r%len(readers)](rng, last)
				if err != nil || n < last {
					t.Errorf("reader %d: %d after %d: %v", r, n, last, err)
					return
				}
				last = n
			}
		})
	}
	for n := range uint64(6000) {
		write(n + 2)
	}
	stop.Store(true)
	wg.Wait()
	if l.HotMetrics().Checkpoints < 10 {
		t.Errorf("%+v", l.HotMetrics())
	}
}
