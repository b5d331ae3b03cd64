package keyspace_test

import (
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"testing"

	"dkv/engine/enginetest"
	"dkv/engine/hot"
	"dkv/engine/keyspace"
	"dkv/engine/keyspace/keyspacetest"
	"dkv/engine/pebbledb"
)

// overLayer returns a store over a hot layer that goes by versions, and the layer.
func overLayer(t *testing.T) (*keyspacetest.Store, *hot.Layer) {
	t.Helper()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	db := must(pebbledb.Open("db", pebbledb.Options{InMemory: true, Logger: quiet}))
	l := hot.NewLayer(db, hot.Options{Bytes: 64 << 10, Logger: quiet, Version: keyspace.VersionOf, Versions: must(keyspace.Versions(db))})
	t.Cleanup(func() { check(l.Close()) })
	return keyspacetest.Over(t, l), l
}

// TestCollectionsOverLayer: collections are what they should be when their elements
// are looked for in the engine only where it may have some.
func TestCollectionsOverLayer(t *testing.T) {
	random := enginetest.Rand(t)
	s, l := overLayer(t)
	m := collModel{}
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	for range rounds {
		changeAtRandom(t, s, m, random, 40, 20)
		check(l.Flush())
	}
}

// queueStep does a random thing to a sorted set that is mostly popped, and the same to
// its model.
func (m *modelCollection) queueStep(tx *keyspace.Tx, r *rand.Rand, added *int) {
	c := must(tx.Collection(must(tx.Find(0, []byte("queue"))), keyspace.TypeZSet))
	put := func(member string, score float64) {
		must(c.PutScore([]byte(member), score))
		m.elements[member] = string(scoreBytes(score))
	}
	if len(m.elements) < 150 {
		for range 200 {
			*added++
			put(fmt.Sprint("m", *added), float64(*added))
		}
	}
	list := m.sorted()
	switch r.IntN(12) {
	default:
		m.pop(&c, r.IntN(10) == 0, int64(1+r.IntN(3)))
	case 0:
		m.pop(&c, r.IntN(4) == 0, int64(r.IntN(100)))
	case 1, 2, 3:
		*added++
		put(fmt.Sprint("m", *added), float64(*added))
	case 4: // among the first
		put(fmt.Sprint("n", r.IntN(50)), list[r.IntN(20)].score)
	case 5: // another score
		put(list[r.IntN(20)].member, list[r.IntN(len(list))].score)
	case 6:
		member := list[r.IntN(20)].member
		must(c.Remove([]byte(member)))
		delete(m.elements, member)
	case 7:
		put("zero", math.Copysign(0, float64(r.IntN(2))-0.5))
	}
	check(c.Save())
}

func scoreBytes(score float64) []byte {
	n := math.Float64bits(score)
	b := make([]byte, 8)
	for i := range b {
		b[i] = byte(n >> (56 - 8*i))
	}
	return b
}

// TestPopsInOrder: pops give the first members of a sorted set, whatever is written,
// undone and lost in between.
func TestPopsInOrder(t *testing.T) {
	random := enginetest.Rand(t)
	s, _ := overLayer(t)
	m := &modelCollection{kind: keyspace.TypeZSet, elements: map[string]string{}}
	clone := func() *modelCollection { return collModel{"": m}.clone()[""] }
	added := 0
	rounds := 500
	if testing.Short() {
		rounds = 150
	}
	for range rounds {
		lost := random.IntN(20) == 0
		mine := m
		if lost {
			mine = clone()
		}
		batch := func(tx *keyspace.Tx) {
			for range 1 + random.IntN(8) {
				if random.IntN(20) == 0 {
					mark, undone := tx.Mark(), collModel{"": mine}.clone()[""]
					undone.queueStep(tx, random, &added)
					tx.Rollback(mark)
				}
				mine.queueStep(tx, random, &added)
			}
		}
		if lost {
			s.Attempt(batch)
		} else {
			s.Write(batch)
		}
		if random.IntN(100) == 0 {
			check(s.Keyspace().Reload(s.Engine()))
		}
	}
}

// TestPopRandomTakesAll: each member is popped once, those included that are added
// while others are popped, and none that was removed.
func TestPopRandomTakesAll(t *testing.T) {
	random := enginetest.Rand(t)
	s, _ := overLayer(t)
	there := map[string]bool{}
	set := func(tx *keyspace.Tx) keyspace.Collection {
		return must(tx.Collection(must(tx.Find(0, []byte("set"))), keyspace.TypeSet))
	}
	add := func(c *keyspace.Collection, n int) {
		for range n {
			member := fmt.Sprint(random.IntN(5000))
			must(c.Put([]byte(member), nil))
			there[member] = true
		}
	}
	s.Write(func(tx *keyspace.Tx) {
		c := set(tx)
		add(&c, 3000)
		check(c.Save())
	})
	for pops := 0; len(there) > 0; pops++ {
		s.Write(func(tx *keyspace.Tx) {
			c := set(tx)
			for range min(1+random.IntN(40), len(there)) {
				member := string(must(c.PopRandom()))
				if !there[member] {
					t.Fatalf("%q was popped, and is not there", member)
				}
				delete(there, member)
			}
			for member := range there { // any
				if random.IntN(8) == 0 {
					break
				}
				if len(there) > 1 && !must(c.Remove([]byte(member))) {
					t.Fatalf("%q was not there", member)
				} else if len(there) > 1 {
					delete(there, member)
				}
			}
			if pops < 200 && len(there) > 0 {
				add(&c, random.IntN(20))
			}
			if c.Len() != int64(len(there)) {
				t.Fatalf("%d members, want %d", c.Len(), len(there))
			}
			check(c.Save())
		})
	}
}
