package keyspace_test

import (
	"fmt"
	"math"
	"testing"

	"dkv/engine"
	"dkv/engine/keyspace"
	"dkv/engine/keyspace/keyspacetest"
	"dkv/engine/pebbledb"
)

// stepCounter counts the records that iterators over its snapshots come to.
type stepCounter struct {
	engine.Engine
	steps int
}

type countedSnapshot struct {
	engine.Snapshot
	of *stepCounter
}

type countedIterator struct {
	engine.Iterator
	of *stepCounter
}

func (e *stepCounter) NewSnapshot() engine.Snapshot {
	return countedSnapshot{e.Engine.NewSnapshot(), e}
}

func (s countedSnapshot) NewIter(o engine.IterOptions) (engine.Iterator, error) {
	it, err := s.Snapshot.NewIter(o)
	return countedIterator{it, s.of}, err
}

func (it countedIterator) Next() bool {
	it.of.steps++
	return it.Iterator.Next()
}

// Members are counted from the nearer side.
func TestCount(t *testing.T) {
	db, err := pebbledb.Open("data", pebbledb.Options{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { check(db.Close()) })
	counted := &stepCounter{Engine: db}
	s := keyspacetest.Over(t, counted)
	const size = 5000
	member := func(i int) []byte { return fmt.Appendf(nil, "member:%05d", i) }
	score := func(i int) float64 { return float64(i/2 - 100) } // each twice
	s.Write(func(tx *keyspace.Tx) {
		z := must(tx.Collection(must(tx.Find(0, []byte("z"))), keyspace.TypeZSet))
		for i := range size {
			must(z.PutScore(member(i*7919%size), score(i*7919%size)))
		}
		check(z.Save())
	})
	// lower and upper are how many members stand before a place.
	type place struct {
		p      keyspace.Place
		before int
	}
	var lower, upper []place
	lower = append(lower, place{keyspace.Place{}, 0}, place{keyspace.BeforeScore(math.Inf(-1)), 0}, place{keyspace.AfterScore(math.Inf(1)), size})
	upper = append(upper, place{keyspace.Place{}, size}, place{keyspace.BeforeScore(math.Inf(-1)), 0}, place{keyspace.AfterScore(math.Inf(1)), size})
	for _, i := range []int{0, 1, 2, 77, 1000, 2499, 2500, 4000, 4998, 4999} {
		for _, p := range []place{
			{keyspace.BeforeMember(score(i), member(i)), i}, {keyspace.AfterMember(score(i), member(i)), i + 1},
			{keyspace.BeforeScore(score(i)), i / 2 * 2}, {keyspace.AfterScore(score(i)), i/2*2 + 2},
			{keyspace.AfterScore(score(i) + 0.5), i/2*2 + 2},
		} {
			lower, upper = append(lower, p), append(upper, p)
		}
	}
	s.Read(func(tx *keyspace.Tx) {
		z := must(tx.Collection(must(tx.Read(0, []byte("z"))), keyspace.TypeZSet))
		for _, from := range lower {
			for _, to := range upper {
				want := max(to.before-from.before, 0)
				counted.steps = 0
				if got := must(z.Count(from.p, to.p)); got != int64(want) {
					t.Errorf("%d from %+v to %+v, want %d", got, from, to, want)
				}
				if limit := 2*min(want, size-want) + 300; counted.steps > limit {
					t.Errorf("%d steps from %+v to %+v, want %d at most", counted.steps, from, to, limit)
				}
			}
		}
	})
}

// One operation is the rank of a member of a sorted set of a million, at some distance
// from its end.
func BenchmarkCount(b *testing.B) {
	s := keyspacetest.New(b)
	const size = 1_000_000
	for from := 0; from < size; from += 10_000 {
		s.Write(func(tx *keyspace.Tx) {
			z := must(tx.Collection(must(tx.Find(0, []byte("z"))), keyspace.TypeZSet))
			for i := from; i < from+10_000; i++ {
				must(z.PutScore(fmt.Appendf(nil, "member:%07d", i), float64(i)))
			}
			check(z.Save())
		})
	}
	for _, behind := range []int{10, 1000, 100_000, size / 2} {
		b.Run(fmt.Sprintf("behind=%d", behind), func(b *testing.B) {
			at := size - behind
			s.Read(func(tx *keyspace.Tx) {
				z := must(tx.Collection(must(tx.Read(0, []byte("z"))), keyspace.TypeZSet))
				for range b.N {
					if n := must(z.Count(keyspace.Place{}, keyspace.BeforeMember(float64(at), fmt.Appendf(nil, "member:%07d", at)))); n != int64(at) {
						b.Fatal(n)
					}
				}
			})
		})
	}
}
