package enginetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"dkv/engine"
)

// Rand returns a random source whose seed is logged, and comes from DKV_SEED
// where that is set.
func Rand(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("DKV_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("DKV_SEED: %v", err)
		}
	}
	t.Logf("repeat with DKV_SEED=%d", seed)
	return RandOf(seed)
}

// RandOf returns the random source of a seed.
func RandOf(seed uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, 0x646b76))
}

// RandomKey returns a key out of some thousands that lie close together, with
// all that makes ordering hard: prefixes of each other, bytes 0 and 255.
func RandomKey(rng *rand.Rand) []byte {
	const alphabet = "\x00\x01ab\xfe\xff"
	n := 1 + rng.IntN(4)
	key := make([]byte, 0, 16)
	if rng.IntN(4) == 0 {
		key = append(key, "a long prefix"...)
	}
	for range n {
		key = append(key, alphabet[rng.IntN(len(alphabet))])
	}
	return key
}

// RandomValue returns a value, mostly a short one, sometimes an empty one.
func RandomValue(rng *rand.Rand) []byte {
	n := rng.IntN(40)
	if rng.IntN(50) == 0 {
		n = rng.IntN(5000)
	}
	v := make([]byte, n)
	for i := range v {
		v[i] = byte(rng.Uint32())
	}
	return v
}

// writer is what RandomMutation writes to: a Batch, an Overlay, a Model.
type writer interface {
	Put(key, value []byte)
	Delete(key []byte)
	DeleteRange(start, end []byte)
}

// RandomMutation makes one mutation in all of the writers.
func RandomMutation(rng *rand.Rand, to ...writer) {
	key, value, end := RandomKey(rng), RandomValue(rng), RandomKey(rng)
	p := rng.IntN(100)
	for _, w := range to {
		switch {
		case p < 70:
			w.Put(key, value)
		case p < 95:
			w.Delete(key)
		default:
			w.DeleteRange(key, end) // empty half of the time
		}
	}
}

// RandomBounds returns iterator bounds, often none, sometimes senseless ones.
func RandomBounds(rng *rand.Rand) engine.IterOptions {
	var o engine.IterOptions
	if rng.IntN(2) == 0 {
		o.Lower = RandomKey(rng)
	}
	if rng.IntN(2) == 0 {
		o.Upper = RandomKey(rng)
	}
	return o
}

// CompareReaders fails the test unless got has exactly what want has, read by
// iteration in both directions, and key by key (some thousands of them).
func CompareReaders(t testing.TB, got engine.Reader, want *Model) {
	t.Helper()
	if err := compareReaders(got, want); err != nil {
		t.Fatal(err)
	}
}

// Pebble takes a stack trace for each table that a read opens when it runs under
// the race detector.
var maxComparedGets = 3000

func init() {
	if raceEnabled {
		maxComparedGets = 200
	}
}

func compareReaders(got engine.Reader, want *Model) error {
	step := 1 + len(want.kvs)/maxComparedGets
	for i := 0; i < len(want.kvs); i += step {
		e := want.kvs[i]
		v, found, err := got.Get([]byte("dst"), e.key)
		if err != nil || !found || !bytes.Equal(v, append([]byte("dst"), e.value...)) {
			return fmt.Errorf("get %q: found %v, err %v, %d bytes; want %d bytes", e.key, found, err, len(v)-3, len(e.value))
		}
	}
	it, err := got.NewIter(engine.IterOptions{})
	if err != nil {
		return err
	}
	defer it.Close()
	wantIt, _ := want.NewIter(engine.IterOptions{})
	if err := sameEntry("First", it, wantIt, it.First(), wantIt.First()); err != nil {
		return err
	}
	for it.Valid() {
		if err := sameEntry("Next", it, wantIt, it.Next(), wantIt.Next()); err != nil {
			return err
		}
	}
	if err := sameEntry("Last", it, wantIt, it.Last(), wantIt.Last()); err != nil {
		return err
	}
	for it.Valid() {
		if err := sameEntry("Prev", it, wantIt, it.Prev(), wantIt.Prev()); err != nil {
			return err
		}
	}
	return it.Err()
}

// sameEntry compares where two iterators stand after a move that returned gotOK
// and wantOK.
func sameEntry(move string, got, want engine.Iterator, gotOK, wantOK bool) error {
	if gotOK != got.Valid() {
		return fmt.Errorf("%s returned %v, Valid says %v", move, gotOK, got.Valid())
	}
	if gotOK != wantOK {
		at := "nowhere"
		if gotOK {
			at = strconv.Quote(string(got.Key()))
		}
		return fmt.Errorf("%s: valid %v (at %s), want %v; err %v", move, gotOK, at, wantOK, got.Err())
	}
	if err := got.Err(); err != nil || !gotOK {
		return err
	}
	if !bytes.Equal(got.Key(), want.Key()) {
		return fmt.Errorf("%s: at key %q, want %q", move, got.Key(), want.Key())
	}
	v, err := got.Value()
	if err != nil {
		return fmt.Errorf("%s: value of %q: %w", move, got.Key(), err)
	}
	if w, _ := want.Value(); !bytes.Equal(v, w) {
		return fmt.Errorf("%s: value of %q is %d bytes (%.20q), want %d (%.20q)", move, got.Key(), len(v), v, len(w), w)
	}
	return nil
}

// CompareIterators makes the same random moves with both iterators and fails the
// test when they come to stand in different places.
func CompareIterators(t testing.TB, rng *rand.Rand, got, want engine.Iterator, moves int) {
	t.Helper()
	trace := ""
	for range moves {
		var gotOK, wantOK bool
		var move string
		key := RandomKey(rng)
		switch rng.IntN(12) {
		case 0:
			move, gotOK, wantOK = "First", got.First(), want.First()
		case 1:
			move, gotOK, wantOK = "Last", got.Last(), want.Last()
		case 2:
			move, gotOK, wantOK = fmt.Sprintf("SeekGE(%q)", key), got.SeekGE(key), want.SeekGE(key)
		case 3:
			move, gotOK, wantOK = fmt.Sprintf("SeekLT(%q)", key), got.SeekLT(key), want.SeekLT(key)
		case 4, 5, 6, 7:
			move, gotOK, wantOK = "Next", got.Next(), want.Next()
		default:
			move, gotOK, wantOK = "Prev", got.Prev(), want.Prev()
		}
		trace += " " + move
		if err := sameEntry(move, got, want, gotOK, wantOK); err != nil {
			t.Fatalf("%v\nmoves:%s", err, trace)
		}
	}
}
