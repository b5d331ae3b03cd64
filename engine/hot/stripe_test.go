package hot

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"dkv/engine"
	"dkv/engine/pebbledb"
)

// checkStripe compares what a stripe says of itself with what is in it.
func checkStripe(t *testing.T, s *stripe) {
	t.Helper()
	held, used := 0, 0
	for _, n := range s.slots {
		if n.pos != 0 {
			used++
			if n.kind() == kindRing {
				held++
			}
		}
	}
	if held != s.held || used != s.used {
		t.Fatalf("%d slots, %d of the ring; the stripe says %d and %d", used, held, s.used, s.held)
	}
	checkRing(t, s)
}

// checkRing goes over all records of the ring: each has a slot, or is in the list of dead
// ones of its size.
func checkRing(t *testing.T, s *stripe) {
	t.Helper()
	dead, lives := make(map[uint32]bool), 0
	for at, left := s.tail, s.live; left > 0; {
		r, n := cached{s.ring[at:]}, len(s.ring)-at
		if n >= recordHeader && r.flags()&flagFiller == 0 {
			n = r.size()
			switch pos := uint32(at/recordAlign) + 1; {
			case r.flags()&flagDead != 0:
				dead[pos] = true
			case s.slotAt(slot{r.tag() & tagMask, pos}) < 0:
				t.Fatalf("the record at %d has no slot", at)
			default:
				lives++
			}
		}
		left -= n
		if at += n; at == len(s.ring) {
			at = 0
		}
	}
	if lives != s.held {
		t.Fatalf("%d records are alive, %d have slots", lives, s.held)
	}
	for list, pos := range s.vacant {
		for previous := uint32(0); pos != 0; previous, pos = pos, s.at(pos).next() {
			r := s.at(pos)
			if !dead[pos] || r.previous() != previous || vacancyList(r.size()) != list {
				t.Fatalf("list %d of dead records has %d, dead %v, of %d bytes, after %d and not %d", list, pos, dead[pos], r.size(), r.previous(), previous)
			}
			delete(dead, pos)
		}
	}
	if len(dead) > 0 {
		t.Fatalf("%d dead records are in no list", len(dead))
	}
}

// The limit holds when records become much smaller, or larger, and as many are held as
// fit before long.
func TestStripeOfOtherRecords(t *testing.T) {
	const limit = 256 << 10
	s, seed, n := &stripe{limit: limit}, maphash.MakeSeed(), 0
	for _, size := range []int{500, 0, 200, 20, 1000, 0} {
		value := make([]byte, size)
		for range 6 * limit / (size + 32) {
			n++
			key := fmt.Appendf(nil, "key:%012d", n)
			s.insert(tagOf(maphash.Bytes(seed, key)), flagPresent, key, value, cachedSize(len(key), size))
			if took := len(s.ring) + 8*len(s.slots); took > limit/16*18 {
				t.Fatalf("values of %d bytes: %d bytes taken of %d", size, took, limit)
			}
			if n%500 == 0 {
				checkStripe(t, s)
			}
		}
		if held, least := s.held*(size+32), limit/(size+32+slotCost)*(size+32)*3/4; held < least {
			t.Errorf("values of %d bytes: %d bytes are held, fewer than %d", size, held, least)
		}
	}
}

// What a stripe counts is so after whatever a Layer does with it.
func TestLayerCounts(t *testing.T) {
	seed := uint64(rand.Uint32())
	if v := os.Getenv("DKV_SEED"); v != "" {
		var err error
		if seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("DKV_SEED=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	db, err := pebbledb.Open("db", pebbledb.Options{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	l := NewLayer(db, Options{Bytes: 1 << 20, WriteBytes: 256 << 10})
	t.Cleanup(func() { l.Close() })
	key := func() []byte { return fmt.Appendf(nil, "key:%06d", rng.IntN(20_000)) }
	for round := range 400 {
		var batch engine.Batch
		for range rng.IntN(60) {
			switch rng.IntN(20) {
			case 0:
				batch.Delete(key())
			default:
				batch.Put(key(), make([]byte, rng.IntN(100)<<(round/100)))
			}
		}
		if rng.IntN(50) == 0 {
			batch.DeleteRange([]byte("key:0001"), []byte("key:0002"))
		}
		if err := l.Apply(batch.Repr()); err != nil {
			t.Fatal(err)
		}
		for range 60 {
			if _, _, err := l.Get(nil, key()); err != nil {
				t.Fatal(err)
			}
		}
		for i := range l.table {
			s := &l.table[i]
			s.mu.Lock()
			checkStripe(t, s)
			s.mu.Unlock()
		}
	}
}
