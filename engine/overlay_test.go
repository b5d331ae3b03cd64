package engine_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"dkv/engine"
	"dkv/engine/enginetest"
)

// TestOverlayRandom compares an overlay with a model through random mutations,
// marks, rollbacks, reads, iterations and resets.
func TestOverlayRandom(t *testing.T) {
	rng := enginetest.Rand(t)
	base := &enginetest.Model{}
	for range 300 {
		enginetest.RandomMutation(rng, base)
	}
	ov := engine.NewOverlay(base)
	for range 40 {
		model := base.Clone()
		type savepoint struct {
			mark  engine.Mark
			model *enginetest.Model
			repr  []byte
		}
		var marks []savepoint
		for range rng.IntN(400) {
			switch p := rng.IntN(100); {
			case p < 60:
				enginetest.RandomMutation(rng, ov, model)
			case p < 66:
				marks = append(marks, savepoint{ov.Mark(), model.Clone(), bytes.Clone(ov.Batch().Repr())})
			case p < 70 && len(marks) > 0:
				i := rng.IntN(len(marks))
				s := marks[i]
				marks = marks[:i+rng.IntN(2)] // a mark can be rolled back to again
				ov.Rollback(s.mark)
				model = s.model.Clone()
				if !bytes.Equal(ov.Batch().Repr(), s.repr) {
					t.Fatalf("after Rollback the batch is %x, want %x", ov.Batch().Repr(), s.repr)
				}
			case p < 75:
				compareRandomIter(t, ov, model, rng.Uint64())
			default:
				compareGet(t, ov, model, enginetest.RandomKey(rng))
			}
		}
		enginetest.CompareReaders(t, ov, model)
		// The batch, applied to the base, gives what the overlay showed.
		applied := base.Clone()
		if err := applied.Apply(ov.Batch().Repr()); err != nil {
			t.Fatal(err)
		}
		enginetest.CompareReaders(t, ov, applied)
		// So does what is left of it when the hidden records are left out.
		final := base.Clone()
		repr := ov.AppendFinal([]byte("x"))[1:]
		if err := final.Apply(repr); err != nil {
			t.Fatal(err)
		}
		enginetest.CompareReaders(t, ov, final)
		compareFinal(t, repr)
		if rng.IntN(2) == 0 {
			base = applied
		}
		ov.Reset(base)
		enginetest.CompareReaders(t, ov, base)
	}
}

// compareFinal checks that no key is put or deleted twice.
func compareFinal(t *testing.T, repr []byte) {
	t.Helper()
	seen := make(map[string]bool)
	r, err := engine.ReadBatch(repr)
	for err == nil {
		var kind engine.Kind
		var key []byte
		var ok bool
		if kind, key, _, ok, err = r.Next(); !ok {
			break
		}
		if kind == engine.KindDeleteRange {
			continue
		}
		if seen[string(key)] {
			t.Fatalf("%q is there twice", key)
		}
		seen[string(key)] = true
	}
	if err != nil {
		t.Fatal(err)
	}
}

func compareGet(t *testing.T, got engine.Reader, want *enginetest.Model, key []byte) {
	t.Helper()
	v, found, err := got.Get([]byte("x"), key)
	w, wantFound, _ := want.Get([]byte("x"), key)
	if err != nil || found != wantFound || !bytes.Equal(v, w) {
		t.Fatalf("get %q: %q %v %v, want %q %v", key, v, found, err, w, wantFound)
	}
}

func compareRandomIter(t *testing.T, got engine.Reader, want *enginetest.Model, seed uint64) {
	t.Helper()
	rng := enginetest.RandOf(seed)
	o := enginetest.RandomBounds(rng)
	gotIt, err := got.NewIter(o)
	if err != nil {
		t.Fatal(err)
	}
	defer gotIt.Close()
	wantIt, _ := want.NewIter(o)
	enginetest.CompareIterators(t, rng, gotIt, wantIt, 30)
}

// An iterator does not see what is written after it was made.
func TestOverlayIteratorIsStable(t *testing.T) {
	rng := enginetest.Rand(t)
	base := &enginetest.Model{}
	ov, model := engine.NewOverlay(base), base.Clone()
	for range 50 {
		enginetest.RandomMutation(rng, base)
	}
	model = base.Clone()
	for range 50 {
		enginetest.RandomMutation(rng, ov, model)
	}
	it, err := ov.NewIter(engine.IterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	want, _ := model.NewIter(engine.IterOptions{})
	for range 500 {
		enginetest.RandomMutation(rng, ov, model)
	}
	enginetest.CompareIterators(t, rng, it, want, 500)
	enginetest.CompareReaders(t, ov, model)
}

// Iterators that are open at the same time see what was there when each was made,
// whatever the others have sorted since and whichever is closed first.
func TestOverlayIteratorsSideBySide(t *testing.T) {
	rng := enginetest.Rand(t)
	base := &enginetest.Model{}
	for range 100 {
		enginetest.RandomMutation(rng, base)
	}
	type open struct{ got, want engine.Iterator }
	ov := engine.NewOverlay(base)
	for range 100 {
		model := base.Clone()
		ov.Reset(base)
		var all []open
		end := func() {
			i := rng.IntN(len(all))
			enginetest.CompareIterators(t, rng, all[i].got, all[i].want, 60)
			if err := all[i].got.Close(); err != nil {
				t.Fatal(err)
			}
			all = slices.Delete(all, i, i+1)
		}
		for range 40 {
			for range rng.IntN(4) {
				enginetest.RandomMutation(rng, ov, model)
			}
			if rng.IntN(8) == 0 {
				m := ov.Mark()
				enginetest.RandomMutation(rng, ov)
				it, err := ov.NewIter(enginetest.RandomBounds(rng))
				if err != nil || it.Close() != nil {
					t.Fatal(err)
				}
				ov.Rollback(m)
			}
			o := enginetest.RandomBounds(rng)
			got, err := ov.NewIter(o)
			if err != nil {
				t.Fatal(err)
			}
			want, _ := model.NewIter(o)
			if all = append(all, open{got, want}); len(all) > 5 {
				end()
			}
		}
		for len(all) > 0 {
			end()
		}
	}
}

func TestOverlayDeleteRangeLayers(t *testing.T) {
	base := &enginetest.Model{}
	for c := byte('a'); c <= 'z'; c++ {
		base.Put([]byte{c}, []byte("base"))
	}
	ov, model := engine.NewOverlay(base), base.Clone()
	del := func(s, e string) {
		ov.DeleteRange([]byte(s), []byte(e))
		model.DeleteRange([]byte(s), []byte(e))
		enginetest.CompareReaders(t, ov, model)
	}
	put := func(k string) {
		ov.Put([]byte(k), []byte("new"))
		model.Put([]byte(k), []byte("new"))
		enginetest.CompareReaders(t, ov, model)
	}
	del("c", "m")
	put("f")
	del("e", "h") // inside the first: splits it
	put("g")
	del("b", "f") // over the start of both
	del("l", "p") // over the end
	mark, marked := ov.Mark(), model.Clone()
	del("a", "zz") // over all
	put("q")
	ov.Rollback(mark)
	model = marked
	enginetest.CompareReaders(t, ov, model)
	del("q", "r")
	put("d")
}

func TestOverlaySteadyStateAllocations(t *testing.T) {
	base := &enginetest.Model{}
	ov := engine.NewOverlay(base)
	keys := testKeys(1000)
	value := make([]byte, 100)
	dst := make([]byte, 0, 200)
	batch := func() {
		ov.Reset(base)
		for i, key := range keys {
			_, _, _ = ov.Get(dst, key)
			ov.Put(key, value)
			if m := ov.Mark(); i%10 == 0 {
				ov.Delete(key)
				ov.Rollback(m)
			}
			if i%100 == 0 {
				ov.DeleteRange(key, append(dst, "zzz"...))
			}
			_, _, _ = ov.Get(dst, key)
		}
	}
	batch()
	if n := testing.AllocsPerRun(10, batch); n != 0 {
		t.Errorf("%v allocations for a batch", n)
	}
}

func testKeys(n int) [][]byte {
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "m:0:1234:key:%012d", i*7919%n)
	}
	return keys
}

// nothing is a base without keys that costs nothing.
type nothing struct{}

func (nothing) Get(dst, _ []byte) ([]byte, bool, error) { return dst, false, nil }
func (nothing) NewIter(engine.IterOptions) (engine.Iterator, error) {
	return (&enginetest.Model{}).NewIter(engine.IterOptions{})
}

func BenchmarkOverlayGetEmpty(b *testing.B) {
	ov := engine.NewOverlay(nothing{})
	key, dst := []byte("m:0:1234:key:000000000001"), make([]byte, 0, 200)
	b.ReportAllocs()
	for b.Loop() {
		_, _, _ = ov.Get(dst, key)
	}
}

func BenchmarkOverlayGet(b *testing.B) {
	keys, dst := testKeys(10_000), make([]byte, 0, 200)
	for name, put := range map[string]int{"hit": 10_000, "miss": 10} {
		b.Run(name, func(b *testing.B) {
			ov := engine.NewOverlay(nothing{})
			for _, key := range keys[:put] {
				ov.Put(key, make([]byte, 100))
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				_, _, _ = ov.Get(dst, keys[i])
				if i++; i == len(keys) {
					i = 0
				}
			}
		})
	}
}

// BenchmarkOverlayBatch is a batch of 1000 SETs, each of which reads its key
// first; per SET.
func BenchmarkOverlayBatch(b *testing.B) {
	ov := engine.NewOverlay(nothing{})
	keys, dst, value := testKeys(1000), make([]byte, 0, 200), make([]byte, 100)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i == len(keys) {
			ov.Reset(nothing{})
			i = 0
		}
		_, _, _ = ov.Get(dst, keys[i])
		ov.Put(keys[i], value)
		i++
	}
}

// BenchmarkOverlayFinal is the end of a batch of 500 changes of a collection, each of
// which writes an element's record and the collection's.
func BenchmarkOverlayFinal(b *testing.B) {
	ov := engine.NewOverlay(nothing{})
	value := make([]byte, 30)
	for _, key := range testKeys(500) {
		ov.Put(key, value)
		ov.Put([]byte("m:0:1234:collection"), value)
	}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = ov.AppendFinal(dst[:0])
	}
	b.ReportMetric(float64(len(dst))/float64(ov.Batch().Len()), "of-bytes")
}

// BenchmarkOverlayIter is a command that writes a key and then iterates over a
// few, in a batch that has 10,000 records.
func BenchmarkOverlayIter(b *testing.B) {
	ov := engine.NewOverlay(nothing{})
	keys, value := testKeys(10_000), make([]byte, 100)
	for _, key := range keys {
		ov.Put(key, value)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		key := keys[i%len(keys)]
		ov.Put(key, value)
		it, _ := ov.NewIter(engine.IterOptions{Lower: key, Upper: append(key[:len(key):len(key)], 0)})
		it.First()
		it.Close()
		i++
	}
}
