package keyspace

import (
	"math/rand/v2"
	"testing"
)

// A table that is far too small for the keys forgets those of long ago first.
func TestTrackerIsBounded(t *testing.T) {
	var tr Tracker
	now := int64(1_700_000_000_000)
	tr.Track(TrackTimes, 1<<20, now)
	c := tr.clocks.Load()
	if n := len(c.words); n != 1<<18 {
		t.Fatalf("%d words", n)
	}
	hashes := make([]uint64, 4*len(c.words))
	for i := range hashes {
		hashes[i] = rand.Uint64()
		c.touch(hashes[i], now, false)
		if i%1000 == 0 {
			now += 1000
		}
	}
	known := 0
	for _, h := range hashes[len(hashes)-len(c.words)/4:] {
		if c.idleOf(h, now) <= 70 {
			known++
		}
	}
	if want := len(c.words) / 4; known < want*9/10 {
		t.Errorf("of the last %d keys %d are known", want, known)
	}
	now += 1 << 20 * 1000
	if idle := c.idleOf(hashes[len(hashes)-1], now); idle < 1<<20 {
		t.Errorf("idle for %d s", idle)
	}
}
