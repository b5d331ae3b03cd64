package hot_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"dkv/engine"
	"dkv/engine/enginetest"
	"dkv/engine/hot"
)

// groups names the groups of keys such as "g07/...".
func groups(key []byte) int {
	if len(key) < 3 || key[0] != 'g' {
		return 0
	}
	return 3
}

// runModel is a reader and what it has to show.
type runModel struct {
	r     engine.Reader
	model map[string]string
}

// check walks over a range as w says and compares it with the model.
func (m *runModel) check(t *testing.T, o engine.IterOptions, walk int, rng *rand.Rand) {
	t.Helper()
	var want []string
	for _, k := range slices.Sorted(maps.Keys(m.model)) {
		if k >= string(o.Lower) && k < string(o.Upper) {
			want = append(want, k)
		}
	}
	it, err := m.r.NewIter(o)
	must(t, err)
	defer func() { must(t, it.Close()) }()
	at := func(i int, ok bool) {
		t.Helper()
		if ok != (i >= 0 && i < len(want)) || ok != it.Valid() {
			t.Fatalf("%q to %q, walk %d: place %d of %d: %v, %v", o.Lower, o.Upper, walk, i, len(want), ok, it.Err())
		}
		if !ok {
			return
		}
		if string(it.Key()) != want[i] {
			t.Fatalf("%q to %q, walk %d: place %d is %q, want %q", o.Lower, o.Upper, walk, i, it.Key(), want[i])
		}
		if v, err := it.Value(); !o.KeysOnly && (err != nil || string(v) != m.model[want[i]]) {
			t.Fatalf("%q to %q, walk %d: %q is %q, want %q (%v)", o.Lower, o.Upper, walk, want[i], v, m.model[want[i]], err)
		}
	}
	switch walk {
	case 0:
		at(0, it.First())
		for i := range want {
			at(i+1, it.Next())
		}
	case 1:
		i := len(want) - 1
		at(i, it.Last())
		for ; i >= 0; i-- {
			at(i-1, it.Prev())
		}
	case 2: // there and back
		at(0, it.First())
		for i := 0; i < len(want)/2; i++ {
			at(i+1, it.Next())
		}
		if it.Valid() {
			at(len(want)/2-1, it.Prev())
		}
		if it.Valid() {
			at(len(want)/2, it.Next())
		}
	default:
		k := fmt.Sprintf("g%02d/%02d", rng.IntN(4), rng.IntN(40))
		i, _ := slices.BinarySearch(want, k)
		if walk == 3 {
			at(i, it.SeekGE([]byte(k)))
			if it.Valid() {
				at(i+1, it.Next())
			}
		} else {
			at(i-1, it.SeekLT([]byte(k)))
			if it.Valid() {
				at(i-2, it.Prev())
			}
		}
	}
}

// TestRunsAgainstModel: whatever was read before and however often, iterators over
// ranges of groups, of the layer and of snapshots of any age, show what the model does.
func TestRunsAgainstModel(t *testing.T) {
	rng := seedOf(t)
	l, _ := openLayer(t, hot.Options{Bytes: 4 << 20, WriteBytes: 64 << 10, Group: groups})
	live := runModel{l, map[string]string{}}
	var snaps []runModel
	key := func() string { return fmt.Sprintf("g%02d/%02d", rng.IntN(4), rng.IntN(40)) }
	var ranges []engine.IterOptions
	for g := range 4 {
		p := fmt.Sprintf("g%02d", g)
		next := []byte{'g', p[1], p[2] + 1}
		ranges = append(ranges, engine.IterOptions{Lower: []byte(p), Upper: next},
			engine.IterOptions{Lower: []byte(p), Upper: next, KeysOnly: true},
			engine.IterOptions{Lower: []byte(p + "/10"), Upper: []byte(p + "/30")},
			engine.IterOptions{Lower: []byte(p + "/20"), Upper: []byte(p + "/20")})
	}
	ranges = append(ranges, engine.IterOptions{Lower: []byte("g00"), Upper: []byte("g03")}) // of several groups
	rounds := 6000
	if testing.Short() {
		rounds = 1500
	}
	runs := uint64(0) // the most at a time: the last batch may leave none
	for range rounds {
		runs = max(runs, uint64(l.HotMetrics().Runs))
		if rng.IntN(3) == 0 {
			var b engine.Batch
			for range 1 + rng.IntN(4) {
				k := key()
				switch rng.IntN(12) {
				case 0:
					end := k + "z"
					switch rng.IntN(3) {
					case 0:
						end = "g03"
					case 1:
						end = k[:4] + "99"
					}
					b.DeleteRange([]byte(k), []byte(max(end, k)))
					maps.DeleteFunc(live.model, func(m, _ string) bool { return m >= k && m < end })
				case 1, 2, 3:
					b.Delete([]byte(k))
					delete(live.model, k)
				default:
					v := string(make([]byte, rng.IntN(40))) + fmt.Sprint(rng.Uint32())
					b.Put([]byte(k), []byte(v))
					live.model[k] = v
				}
			}
			must(t, l.Apply(b.Repr()))
		}
		switch rng.IntN(60) {
		case 0:
			must(t, l.Flush())
		case 1:
			snaps = append(snaps, runModel{l.NewSnapshot(), maps.Clone(live.model)})
		case 2:
			if n := len(snaps); n > 0 {
				i := rng.IntN(n)
				must(t, snaps[i].r.(engine.Snapshot).Close())
				snaps = slices.Delete(snaps, i, i+1)
			}
		}
		for range 3 {
			m := &live
			if n := len(snaps); n > 0 && rng.IntN(3) == 0 {
				m = &snaps[rng.IntN(n)]
			}
			m.check(t, ranges[rng.IntN(len(ranges))], rng.IntN(5), rng)
		}
	}
	for _, s := range snaps {
		must(t, s.r.(engine.Snapshot).Close())
	}
	if m := l.HotMetrics(); m.RunHits < 100 || runs == 0 {
		t.Errorf("%+v", m)
	}
}

// TestRunsAreOfWholeBatches: a batch sets all keys of a group to one number. Iterators,
// many of which go over runs, show one number, and it never goes down.
func TestRunsAreOfWholeBatches(t *testing.T) {
	l, _ := openLayer(t, hot.Options{Bytes: 1 << 20, WriteBytes: 64 << 10, Group: groups})
	const keys = 16
	write := func(n uint64) {
		var b engine.Batch
		if n%5 == 0 {
			b.DeleteRange([]byte("g00"), []byte("g01"))
		}
		for i := range keys {
			b.Put(fmt.Appendf(nil, "g00/%02d", i), append(binary.BigEndian.AppendUint64(nil, n), make([]byte, n%3*8)...))
			b.Put(fmt.Appendf(nil, "other%d/%d", n%50, i), make([]byte, 100))
		}
		must(t, l.Apply(b.Repr()))
	}
	read := func(r engine.Reader) (n uint64, err error) {
		it, err := r.NewIter(engine.IterOptions{Lower: []byte("g00"), Upper: []byte("g01")})
		if err != nil {
			return 0, err
		}
		count := 0
		for ok := it.First(); ok; ok = it.Next() {
			v, err := it.Value()
			if err != nil {
				return 0, err
			}
			if count++; count > 1 && binary.BigEndian.Uint64(v) != n {
				return 0, fmt.Errorf("an iterator sees %d and %d", n, binary.BigEndian.Uint64(v))
			}
			n = binary.BigEndian.Uint64(v)
		}
		if count != keys {
			return 0, fmt.Errorf("an iterator sees %d keys: %w", count, it.Err())
		}
		return n, it.Close()
	}
	write(1)
	var written, reads atomic.Uint64
	written.Store(1)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for r := range 4 {
		wg.Go(func() {
			defer reads.Store(1 << 62) // nobody waits for who has failed
			last := uint64(0)
			for !stop.Load() {
				least := max(last, written.Load())
				var n uint64
				var err error
				if r%2 == 0 {
					n, err = read(l)
				} else {
					s := l.NewSnapshot()
					n, err = read(s)
					if again, aerr := read(s); err == nil && (aerr != nil || again != n) {
						err = fmt.Errorf("a snapshot sees %d and then %d: %v", n, again, aerr)
					}
					s.Close()
				}
				if err != nil || n < least {
					t.Errorf("reader %d: %d after %d: %v", r, n, least, err)
					return
				}
				last = n
				reads.Add(1)
			}
		})
	}
	rng := enginetest.RandOf(1)
	rounds := uint64(1500)
	if testing.Short() {
		rounds = 500
	}
	for n := range rounds {
		write(n + 2)
		written.Store(n + 2)
		for until := reads.Load() + rng.Uint64N(8); reads.Load() < until; {
			l.HotMetrics() // something to do meanwhile
		}
	}
	stop.Store(true)
	wg.Wait()
	if m := l.HotMetrics(); m.RunHits == 0 || m.Checkpoints == 0 {
		t.Errorf("%+v", m)
	}
}

// TestRunsAreBounded: however much is read again and again, runs take their share, large
// ranges none, and what is read last is there.
func TestRunsAreBounded(t *testing.T) {
	const limit = 1 << 20
	l, _ := openLayer(t, hot.Options{Bytes: limit, Group: groups})
	var b engine.Batch
	for g := range 90 {
		for i := range 40 {
			b.Put(fmt.Appendf(nil, "g%02d/%02d", g+10, i), bytes.Repeat([]byte{'v'}, 20))
		}
	}
	for i := range 2000 {
		b.Put(fmt.Appendf(nil, "g01/%04d", i), bytes.Repeat([]byte{'v'}, 20))
	}
	must(t, l.Apply(b.Repr()))
	read := func(g int) {
		it, err := l.NewIter(engine.IterOptions{Lower: fmt.Appendf(nil, "g%02d/", g), Upper: fmt.Appendf(nil, "g%02d/99999", g)})
		must(t, err)
		for ok := it.First(); ok; ok = it.Next() {
		}
		must(t, it.Close())
	}
	for range 3 {
		read(1)
	}
	if m := l.HotMetrics(); m.Runs != 0 {
		t.Errorf("a large range is kept: %+v", m)
	}
	for g := range 90 {
		for range 3 {
			read(g + 10)
		}
		if m := l.HotMetrics(); m.RunBytes > limit/8 || m.RunHits != uint64(g+1) {
			t.Fatalf("%+v", m)
		}
	}
	if m := l.HotMetrics(); m.Runs < 20 || m.Runs > 85 {
		t.Errorf("%+v", m)
	}
}
