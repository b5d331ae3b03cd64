package hot_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"dkv/engine"
	"dkv/engine/enginetest"
	"dkv/engine/hot"
)

const versionBytes = 3

// versionOf is the version of the keys of these tests: 'e', version 2, element.
func versionOf(key []byte) (version uint64, prefix int) {
	if len(key) < versionBytes || key[0] != 'e' {
		return 0, 0
	}
	return uint64(binary.BigEndian.Uint16(key[1:])), versionBytes
}

func versioned(version int, element string) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{'e'}, uint16(version)), element...)
}

// asked counts what an engine is asked for.
type asked struct {
	engine.Engine
	gets, iters atomic.Int64
}

func (e *asked) Get(dst, key []byte) ([]byte, bool, error) {
	e.gets.Add(1)
	return e.Engine.Get(dst, key)
}

func (e *asked) NewIter(o engine.IterOptions) (engine.Iterator, error) {
	e.iters.Add(1)
	return e.Engine.NewIter(o)
}

func (e *asked) sum() int64 { return e.gets.Load() + e.iters.Load() }

// freshWorld is a layer whose keys have rising versions, and what it should hold.
type freshWorld struct {
	t     *testing.T
	rng   *rand.Rand
	l     engine.Reader
	model map[string]string
	top   int // the highest version
}

func (w *freshWorld) change(b *engine.Batch) {
	version := max(w.top-w.rng.IntN(4), 1)
	if w.rng.IntN(5) == 0 {
		w.top++
		version = w.top
	}
	key := versioned(version, string(rune('a'+w.rng.IntN(6))))
	switch w.rng.IntN(12) {
	case 0:
		end := versioned(version+w.rng.IntN(2)+1, "")
		b.DeleteRange(versioned(version, ""), end)
		maps.DeleteFunc(w.model, func(k, _ string) bool { return k >= string(versioned(version, "")) && k < string(end) })
	case 1, 2, 3:
		b.Delete(key)
		delete(w.model, string(key))
	default:
		value := fmt.Sprint(w.rng.IntN(1000))
		b.Put(key, []byte(value))
		w.model[string(key)] = value
	}
}

// compare looks at the elements of some versions, one by one and in ranges.
func (w *freshWorld) compare(r engine.Reader, model map[string]string) {
	w.t.Helper()
	if m, ok := r.(engine.Rememberer); ok && w.rng.IntN(3) == 0 {
		var keys [][]byte
		for range w.rng.IntN(6) {
			keys = append(keys, versioned(max(w.top+1-w.rng.IntN(12), 1), string(rune('a'+w.rng.IntN(6)))))
		}
		must(w.t, m.Remember(keys))
	}
	for range 12 {
		version := max(w.top+1-w.rng.IntN(8), 1)
		key := versioned(version, string(rune('a'+w.rng.IntN(6))))
		v, found, err := r.Get(nil, key)
		must(w.t, err)
		if want, there := model[string(key)]; found != there || string(v) != want {
			w.t.Fatalf("%q is %q, %v; want %q, %v", key, v, found, want, there)
		}
	}
	version := max(w.top+1-w.rng.IntN(8), 1)
	o := engine.IterOptions{Lower: versioned(version, ""), Upper: versioned(version+1, "")}
	switch w.rng.IntN(4) {
	case 0:
		o.Lower = versioned(version, "b")
	case 1:
		o.Upper = versioned(version, "d")
	case 2:
		o.Upper = versioned(version+1, "c") // of two versions
	}
	var want []string
	for _, k := range slices.Sorted(maps.Keys(model)) {
		if k >= string(o.Lower) && k < string(o.Upper) {
			want = append(want, k+"="+model[k])
		}
	}
	it, err := r.NewIter(o)
	must(w.t, err)
	var got []string
	backwards := w.rng.IntN(2) == 0
	first, next := it.First, it.Next
	if backwards {
		first, next = it.Last, it.Prev
	}
	for ok := first(); ok; ok = next() {
		v, err := it.Value()
		must(w.t, err)
		got = append(got, string(it.Key())+"="+string(v))
	}
	must(w.t, errors.Join(it.Err(), it.Close()))
	if backwards {
		slices.Reverse(got)
	}
	if !slices.Equal(got, want) {
		w.t.Fatalf("from %q to %q:\n got %q\nwant %q", o.Lower, o.Upper, got, want)
	}
}

// What is younger than the engine's data is found, or not, without it, and the same as
// with it: through checkpoints, in snapshots of any age, with and without a cache, and
// when the layer is opened anew over what the engine has.
func TestFresh(t *testing.T) {
	for _, cache := range []int64{0, 16 << 20} {
		t.Run(fmt.Sprint(cache), func(t *testing.T) {
			rng := enginetest.Rand(t)
			l, below := openLayer(t, hot.Options{Bytes: cache, WriteBytes: 256 << 20, Version: versionOf})
			w := &freshWorld{t: t, rng: rng, l: l, model: map[string]string{}, top: 250}
			type view struct {
				s     engine.Snapshot
				model map[string]string
			}
			var views []view
			for range 60 {
				flushed := make(chan error, 1)
				flush := rng.IntN(3) == 0
				if flush {
					go func() { flushed <- l.Flush() }()
				}
				for range 20 {
					var b engine.Batch
					for range rng.IntN(8) {
						w.change(&b)
					}
					must(t, l.Apply(b.Repr()))
					w.compare(l, w.model)
					if len(views) > 0 {
						v := views[rng.IntN(len(views))]
						w.compare(v.s, v.model)
					}
				}
				if flush {
					must(t, <-flushed)
				}
				views = append(views, view{l.NewSnapshot(), maps.Clone(w.model)})
				if len(views) > 4 {
					at := rng.IntN(len(views))
					must(t, views[at].s.Close())
					views = slices.Delete(views, at, at+1)
				}
			}
			for _, v := range views {
				must(t, v.s.Close())
			}
			must(t, l.Flush())
			again := hot.NewLayer(below, hot.Options{Bytes: cache, Logger: quiet(), Version: versionOf, Versions: uint64(w.top)})
			t.Cleanup(func() { must(t, again.Close()) })
			for range 100 {
				w.compare(again, w.model)
			}
		})
	}
}

// The engine is asked for what it may have, and for nothing else.
func TestFreshAsksNobody(t *testing.T) {
	_, db := openLayer(t, hot.Options{})
	below := &asked{Engine: db}
	l := hot.NewLayer(below, hot.Options{Logger: quiet(), Version: versionOf, Versions: 5})
	t.Cleanup(func() { must(t, l.Close()) })
	put := func(version int, element string) {
		var b engine.Batch
		b.Put(versioned(version, element), []byte("v"))
		must(t, l.Apply(b.Repr()))
	}
	// reads reads a version in all ways, and returns how often the engine was asked.
	reads := func(version int) int64 {
		before := below.sum()
		get := func(r engine.Reader) {
			_, _, err := r.Get(nil, versioned(version, "absent"))
			must(t, err)
			it, err := r.NewIter(engine.IterOptions{Lower: versioned(version, ""), Upper: versioned(version+1, "")})
			must(t, err)
			it.First()
			must(t, it.Close())
		}
		get(l)
		s := l.NewSnapshot()
		get(s)
		must(t, s.Close())
		return below.sum() - before
	}
	for _, c := range []struct {
		what  string
		put   int // a version that is written to before; 0: none
		flush bool
		read  int
		fresh bool
	}{
		{"a version that the engine may have", 0, false, 5, false},
		{"a new one", 6, false, 6, true},
		{"one that is still held back", 300, false, 6, true},
		{"written down", 0, true, 300, false},
		{"below one that was written down", 0, false, 7, false},
		{"new after that", 301, false, 301, true},
		{"the last of a byte", 0, false, 0x1ff, true},
		{"written down as well", 0, true, 301, false},
		{"never written", 0, false, 302, true},
	} {
		if c.put != 0 {
			put(c.put, "a")
		}
		if c.flush {
			must(t, l.Flush())
			// What was written down is let go of a moment later.
			waitFor(t, "the generation to be dropped", func() bool { return !l.InMemory(versioned(c.read, "absent")) })
		}
		n := reads(c.read)
		if l.InMemory(versioned(c.read, "absent")) != c.fresh || (n == 0) != c.fresh {
			t.Errorf("%s: the engine was asked %d times", c.what, n)
		}
	}
}

// What was remembered is found without the engine, and a write that came in between
// counts.
func TestRemember(t *testing.T) {
	first, db := openLayer(t, hot.Options{})
	keys := [][]byte{[]byte("a"), []byte("absent"), []byte("b"), []byte("long"), []byte("nothing")}
	value := string(bytes.Repeat([]byte("v"), 1000))
	want := map[string]string{"a": "1", "b": "2", "long": value}
	var b engine.Batch
	for k, v := range want {
		b.Put([]byte(k), []byte(v))
	}
	must(t, first.Apply(b.Repr()))
	must(t, first.Flush())
	closed := t.Cleanup // when all are done: they share the engine
	for _, many := range []bool{false, true} {
		t.Run(fmt.Sprint(many), func(t *testing.T) {
			want := maps.Clone(want)
			below := &asked{Engine: db}
			var e engine.Engine = below
			if many {
				e = &manyAsked{below}
			}
			l := hot.NewLayer(e, hot.Options{Bytes: 16 << 20, Logger: quiet()})
			closed(func() { _ = l.Close() })
			compare := func() {
				t.Helper()
				for _, key := range keys {
					v, found, err := l.Get(nil, key)
					must(t, err)
					if w, there := want[string(key)]; found != there || string(v) != w {
						t.Errorf("%q is %q, %v", key, v, found)
					}
				}
			}
			put := func() {
				var b engine.Batch
				b.Put([]byte("absent"), []byte("new"))
				b.Put([]byte("a"), []byte("new"))
				must(t, l.Apply(b.Repr()))
				want["absent"], want["a"] = "new", "new"
			}
			db.onGet.Store(&put)
			must(t, l.Remember(keys))
			asked := below.sum()
			compare()
			if n := below.sum() - asked; n != 0 || asked != int64(len(keys)) {
				t.Errorf("the engine was asked %d times, and %d times after", asked, n)
			}
			must(t, l.Remember(keys))
			must(t, l.Remember(nil))
			if n := below.sum() - asked; n != 0 {
				t.Errorf("the engine was asked %d times again", n)
			}
		})
	}
}

// manyAsked is an engine.ManyGetter.
type manyAsked struct{ *asked }

func (e *manyAsked) GetMany(keys [][]byte, got func(i int, value []byte, found bool)) error {
	for i, key := range keys {
		v, found, err := e.Get(nil, key)
		if err != nil {
			return err
		}
		got(i, v, found)
	}
	return nil
}

// What was written, and has left memory again, since a key was looked up is not hidden
// by what was found then.
func TestRememberBehindAWrite(t *testing.T) {
	l, below := openLayer(t, hot.Options{Bytes: 1 << 20})
	large := bytes.Repeat([]byte("v"), 10_000) // too large to be kept
	write := func() {
		var b engine.Batch
		b.Put([]byte("key"), large)
		must(t, l.Apply(b.Repr()))
		must(t, l.Flush())
	}
	below.onGet.Store(&write)
	must(t, l.Remember([][]byte{[]byte("key")}))
	if v, found, err := l.Get(nil, []byte("key")); !found || err != nil || !bytes.Equal(v, large) {
		t.Errorf("%d bytes, %v, %v", len(v), found, err)
	}
}

// What a checkpoint has taken out of memory is looked for in the engine, while it is
// still under way.
func TestFreshWhileWrittenDown(t *testing.T) {
	rng := enginetest.Rand(t)
	l, _ := openLayer(t, hot.Options{WriteBytes: 256 << 20, Version: versionOf})
	const n = 30_000 // so that it pauses between them
	var b engine.Batch
	for i := range n {
		b.Put(versioned(1, fmt.Sprint(i)), nil)
	}
	must(t, l.Apply(b.Repr()))
	flushed := make(chan error, 1)
	go func() { flushed <- l.Flush() }()
	for {
		select {
		case err := <-flushed:
			must(t, err)
			return
		default:
		}
		for range 100 {
			key := versioned(1, fmt.Sprint(rng.IntN(n)))
			if _, found, err := l.Get(nil, key); !found || err != nil {
				t.Fatalf("%q: %v, %v", key, found, err)
			}
		}
	}
}
