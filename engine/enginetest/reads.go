package enginetest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"dkv/engine"
)

func testBasics(t *testing.T, f Factory) {
	e, m := open(t, f, t.TempDir(), Options{}), &Model{}
	CompareReaders(t, e, m)
	if v, found, err := e.Get([]byte("dst"), []byte("absent")); err != nil || found || string(v) != "dst" {
		t.Errorf("absent key: %q %v %v", v, found, err)
	}
	must(t, e.Apply((&engine.Batch{}).Repr()))
	must(t, e.Flush())
	apply(t, e, m, func(b *engine.Batch) {
		b.Put([]byte("k"), []byte("first"))
		b.Put([]byte("k"), []byte("second"))
		b.Put([]byte("gone"), []byte("x"))
		b.Delete([]byte("gone"))
		b.Delete([]byte("never there"))
		b.Put([]byte("empty"), nil)
		b.Put([]byte{0}, []byte{0})
		b.Put([]byte{0xff, 0xff}, []byte("last"))
		b.Put(bytes.Repeat([]byte("long key "), 5000), []byte("v"))
	})
	CompareReaders(t, e, m)
	if _, found, err := e.Get(nil, []byte("empty")); !found || err != nil {
		t.Errorf("empty value: found %v, err %v", found, err)
	}
	must(t, e.Flush())
	must(t, e.Flush())
	CompareReaders(t, e, m)
	must(t, e.Writable())
}

// Neither side keeps the other's slices.
func testSlices(t *testing.T, f Factory) {
	e := open(t, f, t.TempDir(), Options{})
	var b engine.Batch
	b.Put([]byte("key"), []byte("value"))
	repr := bytes.Clone(b.Repr())
	must(t, e.Apply(repr))
	if !bytes.Equal(repr, b.Repr()) {
		t.Error("Apply changed the batch")
	}
	clear(repr)
	for range 2 { // in memory, then from disk
		v, found, err := e.Get(nil, []byte("key"))
		if err != nil || !found || string(v) != "value" {
			t.Fatalf("got %q %v %v", v, found, err)
		}
		copy(v, "XXXXX")
		must(t, e.Flush())
	}
	dst := append(make([]byte, 0, 100), "keep"...)
	if v, _, _ := e.Get(dst, []byte("key")); string(v) != "keepvalue" || &v[0] != &dst[0] {
		t.Errorf("Get with room in dst: %q", v)
	}
	lower, upper := []byte("a"), []byte("z")
	it, err := e.NewIter(engine.IterOptions{Lower: lower, Upper: upper})
	must(t, err)
	defer it.Close()
	copy(lower, "z")
	copy(upper, "a")
	if !it.First() || string(it.Key()) != "key" || it.Next() {
		t.Error("the iterator did not copy its bounds")
	}
}

func testCorruptBatch(t *testing.T, f Factory) {
	e, m := open(t, f, t.TempDir(), Options{}), &Model{}
	var b engine.Batch
	b.Put([]byte("a"), []byte("1"))
	b.Put([]byte("b"), bytes.Repeat([]byte("2"), 200))
	good := b.Repr()
	for n := range len(good) {
		wantErr(t, "cut batch", e.Apply(good[:n]), engine.ErrCorruptBatch)
	}
	for _, change := range []struct{ at, to int }{{0, 0}, {1, 1}, {8, 1}, {8, 3}, {12, 3}, {12, 18}, {13, 200}} {
		bad := bytes.Clone(good)
		bad[change.at] = byte(change.to)
		wantErr(t, "changed batch", e.Apply(bad), engine.ErrCorruptBatch)
	}
	CompareReaders(t, e, m) // nothing of them was applied
	must(t, e.Apply(good))
}

func testIterators(t *testing.T, f Factory) {
	rng := Rand(t)
	e, m := open(t, f, t.TempDir(), Options{MemtableBytes: smallMemtable}), &Model{}
	for round := range 60 {
		apply(t, e, m, func(b *engine.Batch) { randomBatch(rng, b, 50) })
		if round%20 == 10 {
			must(t, e.Flush())
		}
		o := RandomBounds(rng)
		got, err := e.NewIter(o)
		must(t, err)
		want, _ := m.NewIter(o)
		compareIterators(t, rng, got, want, 60)
	}
}

// compareIterators is CompareIterators, and closes got.
func compareIterators(t *testing.T, rng *rand.Rand, got, want engine.Iterator, moves int) {
	t.Helper()
	defer func() { must(t, got.Close()) }()
	CompareIterators(t, rng, got, want, moves)
}

// What the interface says of iterators that stand on no key.
func testIteratorEnds(t *testing.T, f Factory) {
	e, m := open(t, f, t.TempDir(), Options{}), &Model{}
	apply(t, e, m, func(b *engine.Batch) {
		for _, k := range []string{"a", "b", "c", "d"} {
			b.Put([]byte(k), nil)
		}
	})
	it, err := e.NewIter(engine.IterOptions{Lower: []byte("b"), Upper: []byte("d"), KeysOnly: true})
	must(t, err)
	defer it.Close()
	at := func(what string, ok bool, want string) {
		t.Helper()
		if ok != (want != "") || ok != it.Valid() || ok && string(it.Key()) != want || it.Err() != nil {
			t.Errorf("%s: %v, valid %v, err %v; want %q", what, ok, it.Valid(), it.Err(), want)
		}
	}
	at("Next of a new iterator", it.Next(), "")
	at("Prev of a new iterator", it.Prev(), "")
	at("SeekGE below Lower", it.SeekGE([]byte("a")), "b")
	at("SeekLT above Upper", it.SeekLT([]byte("z")), "c")
	at("Next at the end", it.Next(), "")
	at("Prev after the end", it.Prev(), "")
	at("First", it.First(), "b")
	at("Prev at the start", it.Prev(), "")
	at("Next before the start", it.Next(), "")
	at("SeekGE at Upper", it.SeekGE([]byte("d")), "")
	at("SeekLT at Lower", it.SeekLT([]byte("b")), "")
	at("Last", it.Last(), "c")
	for _, o := range []engine.IterOptions{
		{Lower: []byte("c"), Upper: []byte("c")},
		{Lower: []byte("d"), Upper: []byte("a")},
		{Lower: []byte("x")},
	} {
		none, err := e.NewIter(o)
		must(t, err)
		if none.First() || none.Last() || none.SeekGE([]byte("a")) || none.SeekLT([]byte("z")) || none.Err() != nil {
			t.Errorf("bounds %q to %q are not empty", o.Lower, o.Upper)
		}
		must(t, none.Close())
	}
}

func testIteratorIsStable(t *testing.T, f Factory) {
	rng := Rand(t)
	e, m := open(t, f, t.TempDir(), Options{MemtableBytes: smallMemtable}), &Model{}
	apply(t, e, m, func(b *engine.Batch) { randomBatch(rng, b, 500) })
	it, err := e.NewIter(engine.IterOptions{})
	must(t, err)
	defer it.Close()
	want, _ := m.NewIter(engine.IterOptions{})
	for range 20 {
		apply(t, e, m, func(b *engine.Batch) { randomBatch(rng, b, 200) })
		CompareIterators(t, rng, it, want, 50)
	}
	must(t, e.Flush())
	must(t, e.Compact(t.Context(), nil, nil))
	CompareIterators(t, rng, it, want, 500)
	CompareReaders(t, e, m)
}

func testSnapshots(t *testing.T, f Factory) {
	rng := Rand(t)
	e, m := open(t, f, t.TempDir(), Options{MemtableBytes: smallMemtable}), &Model{}
	type pair struct {
		s engine.Snapshot
		m *Model
	}
	var open []pair
	for round := range 60 {
		apply(t, e, m, func(b *engine.Batch) { randomBatch(rng, b, 100) })
		switch round % 6 {
		case 0:
			open = append(open, pair{e.NewSnapshot(), m.Clone()})
		case 2:
			must(t, e.Flush())
		case 5:
			if len(open) < 4 {
				continue // some stay open for long
			}
			i := rng.IntN(len(open))
			CompareReaders(t, open[i].s, open[i].m)
			must(t, open[i].s.Close())
			must(t, open[i].s.Close()) // again
			_, _, err := open[i].s.Get(nil, []byte("a"))
			wantErr(t, "closed snapshot", err, engine.ErrClosed)
			open = append(open[:i], open[i+1:]...)
		}
	}
	must(t, e.Compact(t.Context(), nil, nil))
	for _, p := range open {
		CompareReaders(t, p.s, p.m)
		it, err := p.s.NewIter(engine.IterOptions{})
		must(t, err)
		want, _ := p.m.NewIter(engine.IterOptions{})
		compareIterators(t, rng, it, want, 200)
		must(t, p.s.Close())
	}
	CompareReaders(t, e, m)
}

func testOverlay(t *testing.T, f Factory) {
	rng := Rand(t)
	e, m := open(t, f, t.TempDir(), Options{MemtableBytes: smallMemtable}), &Model{}
	ov := engine.NewOverlay(e)
	for round := range 30 {
		for range 80 {
			RandomMutation(rng, ov, m)
		}
		o := RandomBounds(rng)
		got, err := ov.NewIter(o)
		must(t, err)
		want, _ := m.NewIter(o)
		compareIterators(t, rng, got, want, 40)
		must(t, ov.Rest())
		must(t, e.Apply(ov.Batch().Repr()))
		ov.Reset(e)
		if round%10 == 5 {
			must(t, e.Flush())
		}
	}
	CompareReaders(t, ov, m)
	must(t, ov.Rest())
}

func testClosed(t *testing.T, f Factory) {
	e, err := f.Open(t.TempDir(), Options{})
	must(t, err)
	var b engine.Batch
	b.Put([]byte("k"), []byte("v"))
	must(t, e.Apply(b.Repr()))
	must(t, e.Close())
	must(t, e.Close())
	_, _, err = e.Get(nil, []byte("k"))
	wantErr(t, "Get", err, engine.ErrClosed)
	_, _, err = e.GetDurable(nil, []byte("k"))
	wantErr(t, "GetDurable", err, engine.ErrClosed)
	_, err = e.NewIter(engine.IterOptions{})
	wantErr(t, "NewIter", err, engine.ErrClosed)
	wantErr(t, "Apply", e.Apply(b.Repr()), engine.ErrClosed)
	wantErr(t, "Flush", e.Flush(), engine.ErrClosed)
	wantErr(t, "Writable", e.Writable(), engine.ErrClosed)
	wantErr(t, "Checkpoint", e.Checkpoint(t.TempDir()+"/c"), engine.ErrClosed)
	wantErr(t, "Compact", e.Compact(t.Context(), nil, nil), engine.ErrClosed)
	s := e.NewSnapshot()
	_, _, err = s.Get(nil, []byte("k"))
	wantErr(t, "Snapshot.Get", err, engine.ErrClosed)
	_, err = s.NewIter(engine.IterOptions{})
	wantErr(t, "Snapshot.NewIter", err, engine.ErrClosed)
	must(t, s.Close())
	_ = e.Metrics() // says nothing, and does not panic
}

// Close while readers are at work: each call ends well or with ErrClosed.
func testCloseUnderReaders(t *testing.T, f Factory) {
	e, err := f.Open(t.TempDir(), Options{MemtableBytes: smallMemtable})
	must(t, err)
	m := &Model{}
	rng := Rand(t)
	apply(t, e, m, func(b *engine.Batch) { randomBatch(rng, b, 500) })
	const readers = 4
	started, errs := make(chan struct{}, readers), make(chan error, readers)
	for range readers {
		go func() {
			for i := 0; ; i++ {
				if i == 10 {
					started <- struct{}{}
				}
				if err := readSome(e); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	for range readers {
		<-started
	}
	within(t, "Close under readers", func() { must(t, e.Close()) })
	for range readers {
		if err := <-errs; !errors.Is(err, engine.ErrClosed) {
			t.Errorf("reader: %v", err)
		}
	}
}

// readSome reads by all ways there are; it returns the first error.
func readSome(e engine.Engine) error {
	if _, _, err := e.Get(nil, []byte("ab")); err != nil {
		return err
	}
	s := e.NewSnapshot()
	defer s.Close()
	for _, r := range []engine.Reader{e, s} {
		it, err := r.NewIter(engine.IterOptions{})
		if err != nil {
			return err
		}
		for ok := it.First(); ok; ok = it.Next() {
			if _, err := it.Value(); err != nil {
				it.Close()
				return err
			}
		}
		if err := errors.Join(it.Err(), it.Close()); err != nil {
			return err
		}
		if _, _, err := r.Get(nil, []byte("ab")); err != nil {
			return err
		}
	}
	return nil
}
