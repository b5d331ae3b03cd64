package keyspace_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"dkv/engine/keyspace"
	"dkv/engine/keyspace/keyspacetest"
)

// evictEnv is a store with a tracker.
type evictEnv struct {
	*keyspacetest.Store
	t       *testing.T
	tracker keyspace.Tracker
}

func newEvictEnv(t *testing.T, p keyspace.Policy) *evictEnv {
	e := &evictEnv{Store: keyspacetest.New(t), t: t}
	e.Keyspace().SetTracker(&e.tracker)
	e.tracker.Track(p.Tracking(), 1<<20, e.Now)
	return e
}

// evict asks for keys to evict until so many were evicted, in small steps.
func (e *evictEnv) evict(p keyspace.Policy, s *keyspace.Sampler, n, samples int) (gone map[string]bool) {
	e.t.Helper()
	gone = make(map[string]bool)
	for len(gone) < n {
		var list []keyspace.Victim
		e.Read(func(tx *keyspace.Tx) {
			var err error
			list, err = s.Victims(tx, p, min(16, n-len(gone)), samples)
			check(err)
		})
		if len(list) == 0 {
			return gone
		}
		e.Write(func(tx *keyspace.Tx) {
			for _, v := range list {
				ok, err := tx.Evict(v.DB, v.Key, p.Volatile())
				check(err)
				if ok {
					gone[fmt.Sprintf("%d %s", v.DB, v.Key)] = true
				}
			}
		})
	}
	return gone
}

// Of keys, half of which are in use, the others go, as with Redis's samples: a key in
// use goes only when all of a sample are.
func TestEvictUnused(t *testing.T) {
	for _, p := range []keyspace.Policy{keyspace.AllKeysLRU, keyspace.AllKeysLFU, keyspace.VolatileLRU, keyspace.VolatileLFU} {
		t.Run(p.String(), func(t *testing.T) {
			e := newEvictEnv(t, p)
			const keys = 4000
			e.Write(func(tx *keyspace.Tx) {
				for i := range keys {
					setKey(tx, i%2, fmt.Sprintf("k%d", i), "value", e.Now+1e9)
				}
			})
			for range 10 {
				e.Now += 61_000
				e.Read(func(tx *keyspace.Tx) {
					for i := 0; i < keys; i += 4 {
						_, err := tx.Read(0, fmt.Appendf(nil, "k%d", i))
						check(err)
						_, err = tx.Read(1, fmt.Appendf(nil, "k%d", i+1))
						check(err)
					}
				})
			}
			gone := e.evict(p, new(keyspace.Sampler), keys/4, 5)
			hot := 0
			for name := range gone {
				var db, i int
				fmt.Sscanf(name, "%d k%d", &db, &i)
				if i%4 < 2 {
					hot++
				}
			}
			if len(gone) != keys/4 || hot > keys/4/10 {
				t.Fatalf("%d keys went, %d of them in use", len(gone), hot)
			}
		})
	}
}

// Only keys with an expiry go, few or many among others, and when there are none left
// the policy finds nothing.
func TestEvictVolatile(t *testing.T) {
	for _, p := range []keyspace.Policy{keyspace.VolatileLRU, keyspace.VolatileLFU, keyspace.VolatileRandom, keyspace.VolatileTTL} {
		for _, every := range []int{2, 50} {
			t.Run(fmt.Sprintf("%s 1 of %d", p, every), func(t *testing.T) {
				e := newEvictEnv(t, p)
				const keys = 2000
				e.Write(func(tx *keyspace.Tx) {
					for i := range keys {
						expireAt := int64(0)
						if i%every == 0 {
							expireAt = e.Now + 1000_000 + rand.Int64N(1000_000)
						}
						setKey(tx, 0, fmt.Sprintf("k%d", i), "value", expireAt)
					}
				})
				var s keyspace.Sampler
				gone := map[string]bool{}
				for range 50 {
					e.Now += 1100
					for name := range e.evict(p, &s, keys, 5) {
						gone[name] = true
					}
				}
				if len(gone) != keys/every {
					t.Fatalf("%d keys went, of %d with an expiry", len(gone), keys/every)
				}
				if n := e.Keyspace().Counts()[0]; n.Keys != keys-keys/int64(every) || n.Expires != 0 {
					t.Fatalf("counts %+v", n)
				}
			})
		}
	}
}

// volatile-ttl takes those whose time comes first.
func TestEvictNearest(t *testing.T) {
	e := newEvictEnv(t, keyspace.VolatileTTL)
	e.Write(func(tx *keyspace.Tx) {
		for i := range 1000 {
			setKey(tx, 0, fmt.Sprintf("k%d", i), "value", e.Now+1_000_000+int64(i)*10)
		}
	})
	gone := e.evict(keyspace.VolatileTTL, new(keyspace.Sampler), 300, 5)
	for i := range 300 {
		if !gone[fmt.Sprintf("0 k%d", i)] {
			t.Fatalf("key %d of 300 did not go", i)
		}
	}
}

// allkeys-random takes keys from everywhere.
func TestEvictRandom(t *testing.T) {
	e := newEvictEnv(t, keyspace.AllKeysRandom)
	const keys = 5000
	e.Write(func(tx *keyspace.Tx) {
		for i := range keys {
			setKey(tx, i%4, fmt.Sprintf("k%d", i), "value", 0)
		}
	})
	before := e.Keyspace().Counts()
	if gone := e.evict(keyspace.AllKeysRandom, new(keyspace.Sampler), keys/2, 5); len(gone) != keys/2 {
		t.Fatalf("%d went", len(gone))
	}
	for db, c := range e.Keyspace().Counts() {
		if left := c.Keys; before[db].Keys > 0 && (left < 300 || left > 950) {
			t.Errorf("of %d keys of database %d %d are left", before[db].Keys, db, left)
		}
	}
	if gone := e.evict(keyspace.NoEviction, new(keyspace.Sampler), 1, 5); len(gone) != 0 {
		t.Fatal("noeviction evicts")
	}
}

// A Sampler's mean is that of the keys, collections with their elements.
func TestSamplerMean(t *testing.T) {
	e := newEvictEnv(t, keyspace.AllKeysRandom)
	const keys, members = 500, 2000
	var want float64
	e.Write(func(tx *keyspace.Tx) {
		for i := range keys {
			setKey(tx, 0, fmt.Sprintf("k%04d", i), string(make([]byte, 1000)), 0)
		}
	})
	want = keys * (1000 + 5 + 4 + 1 + 24)
	e.Write(func(tx *keyspace.Tx) {
		entry, err := tx.Find(0, []byte("set"))
		check(err)
		c, err := tx.Collection(entry, keyspace.TypeSet)
		check(err)
		for i := range members {
			_, err := c.Put(fmt.Appendf(nil, "member%06d", i), nil)
			check(err)
		}
		check(c.Save())
	})
	want += members * (12 + 12 + 4 + 24)
	var s keyspace.Sampler
	for range 500 {
		e.Read(func(tx *keyspace.Tx) { check(s.Look(tx)) })
	}
	if got := s.MeanBytes() * (keys + 1); got < 0.7*want || got > 1.4*want {
		t.Errorf("keys take %.0f bytes by the sample, %.0f really", got, want)
	}
}

// The counter of LFU is Redis's: with a factor of 10, a hundred uses make about 10, a
// thousand 18, and what is not used falls.
func TestUses(t *testing.T) {
	e := newEvictEnv(t, keyspace.AllKeysLFU)
	for _, c := range []struct {
		uses     int
		low, top int64
	}{{100, 7, 14}, {1000, 13, 24}, {100_000, 120, 165}} {
		key := fmt.Sprintf("k%d", c.uses)
		e.Write(func(tx *keyspace.Tx) { setKey(tx, 0, key, "value", 0) })
		e.Read(func(tx *keyspace.Tx) {
			for range c.uses {
				_, err := tx.Read(0, []byte(key))
				check(err)
			}
		})
		if n := e.uses(key); n < c.low || n > c.top {
			t.Errorf("%d after %d uses, want %d to %d", n, c.uses, c.low, c.top)
		}
	}
	was := e.uses("k100000")
	e.Now += 50 * 60_000
	if n := e.uses("k100000"); n != was-50 {
		t.Errorf("%d, 50 minutes after %d", n, was)
	}
	e.tracker.SetLFU(10, 0)
	if n := e.uses("k100000"); n != was {
		t.Errorf("%d, was %d, with no decay", n, was)
	}
}

func (e *evictEnv) uses(key string) (n int64) {
	e.t.Helper()
	e.Read(func(tx *keyspace.Tx) {
		entry, err := tx.Peek(0, []byte(key))
		check(err)
		var tracked bool
		if n, tracked = tx.Uses(&entry); !tracked {
			e.t.Fatal("not tracked")
		}
	})
	return n
}
