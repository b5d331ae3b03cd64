package keyspace_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"dkv/engine"
	"dkv/engine/keyspace"
	"dkv/engine/keyspace/keyspacetest"
)

// collModel is a keyspace of collections as a map.
type collModel map[string]*modelCollection // "db/key"

type modelCollection struct {
	kind     keyspace.Type
	expireAt int64
	elements map[string]string
}

func (m collModel) clone() collModel {
	c := collModel{}
	for k, v := range m {
		w := *v
		w.elements = map[string]string{}
		for e, s := range v.elements {
			w.elements[e] = s
		}
		c[k] = &w
	}
	return c
}

func modelName(db int, key string) string { return fmt.Sprintf("%d/%s", db, key) }

func randomElement(r *rand.Rand) []byte {
	if r.IntN(50) == 0 {
		return []byte(strings.Repeat("long", 17) + fmt.Sprint(r.IntN(5)))
	}
	return fmt.Appendf(nil, "%d", r.IntN(300)-100)
}

func randomValue(r *rand.Rand, kind keyspace.Type) []byte {
	switch kind {
	case keyspace.TypeSet:
		return nil
	case keyspace.TypeZSet:
		scores := []float64{0, math.Copysign(0, -1), 1, -1, math.Inf(1), math.Inf(-1), 5e-324, -5e-324, math.MaxFloat64, r.NormFloat64()}
		return binary.BigEndian.AppendUint64(nil, math.Float64bits(scores[r.IntN(len(scores))]))
	}
	if r.IntN(100) == 0 {
		return bytes.Repeat([]byte("v"), r.IntN(300))
	}
	return fmt.Appendf(nil, "v%d", r.IntN(10))
}

var collKinds = []keyspace.Type{keyspace.TypeHash, keyspace.TypeSet, keyspace.TypeZSet}

// step does the same random thing to both.
func (m collModel) step(tx *keyspace.Tx, r *rand.Rand) {
	db, key := r.IntN(3), fmt.Sprintf("key%d", r.IntN(12))
	name := modelName(db, key)
	e := must(tx.Find(db, []byte(key)))
	old := m[name]
	if e.Exists() != (old != nil) {
		panic(fmt.Sprintf("%s: exists %v", name, e.Exists()))
	}
	kind := collKinds[r.IntN(3)]
	if old != nil {
		if _, err := tx.Collection(e, keyspace.TypeList); !errors.Is(err, keyspace.ErrWrongType) {
			panic(fmt.Sprint("a list? ", err))
		}
		kind = old.kind
	}
	switch r.IntN(40) {
	default:
		m.change(tx, r, e, name, kind)
	case 0, 1:
		tx.Delete(&e)
		delete(m, name)
	case 2:
		tx.SetString(&e, []byte("string"), 0, keyspace.FormAuto)
		tx.Delete(&e)
		delete(m, name)
	case 3:
		if old != nil {
			old.expireAt = tx.Now() + 1 + int64(r.IntN(1000))
			tx.SetExpireAt(&e, old.expireAt)
		}
	case 4, 5, 6, 7:
		toDB, toKey := r.IntN(3), fmt.Sprintf("key%d", r.IntN(12))
		if old == nil || toDB == db && toKey == key {
			return
		}
		dst := must(tx.FindTarget(toDB, []byte(toKey)))
		delete(m, modelName(toDB, toKey))
		m[modelName(toDB, toKey)] = collModel{"": old}.clone()[""]
		if r.IntN(3) == 0 {
			check(tx.Copy(&e, &dst))
		} else {
			check(tx.Move(&e, &dst))
			delete(m, name)
		}
	case 8:
		if r.IntN(4) == 0 {
			must(tx.FlushDB(db))
			for k := range m {
				if strings.HasPrefix(k, fmt.Sprint(db, "/")) {
					delete(m, k)
				}
			}
		}
	case 9:
		other := r.IntN(3)
		tx.SwapDB(db, other)
		swapped := collModel{}
		for k, v := range m {
			switch {
			case strings.HasPrefix(k, fmt.Sprint(db, "/")):
				k = fmt.Sprint(other, k[1:])
			case strings.HasPrefix(k, fmt.Sprint(other, "/")):
				k = fmt.Sprint(db, k[1:])
			}
			swapped[k] = v
		}
		clear(m)
		for k, v := range swapped {
			m[k] = v
		}
	}
}

func (m collModel) change(tx *keyspace.Tx, r *rand.Rand, e keyspace.Entry, name string, kind keyspace.Type) {
	c := must(tx.Collection(e, kind))
	if m[name] == nil {
		m[name] = &modelCollection{kind: kind, elements: map[string]string{}}
	}
	old := m[name]
	steps := 1 + r.IntN(4)
	if r.IntN(12) == 0 {
		steps = r.IntN(400)
	}
	for range steps {
		element, value := randomElement(r), randomValue(r, kind)
		was, there := old.elements[string(element)]
		got, found, err := c.Get(nil, element)
		if err != nil || found != there || string(got) != was {
			panic(fmt.Sprintf("%s %q: %q, %v, %v, want %q, %v", name, element, got, found, err, was, there))
		}
		if r.IntN(5) == 0 {
			if removed := must(c.Remove(element)); removed != there {
				panic("removed or not")
			}
			delete(old.elements, string(element))
			continue
		}
		if added := must(c.Put(element, value)); added == there {
			panic("added or not")
		}
		old.elements[string(element)] = string(value)
	}
	if kind == keyspace.TypeSet && r.IntN(3) == 0 {
		for range r.IntN(5) {
			if c.Len() == 0 {
				break
			}
			element := must(c.PopRandom())
			if _, there := old.elements[string(element)]; !there {
				panic("popped what is not there")
			}
			delete(old.elements, string(element))
		}
	}
	if kind == keyspace.TypeZSet && r.IntN(3) == 0 {
		old.pop(&c, r.IntN(2) == 0, int64(r.IntN(20)))
	}
	if r.IntN(30) == 0 {
		c.Clear()
		clear(old.elements)
	}
	if c.Len() != int64(len(old.elements)) {
		panic(fmt.Sprintf("%s: %d elements, want %d", name, c.Len(), len(old.elements)))
	}
	check(c.Save())
	if len(old.elements) == 0 {
		delete(m, name)
	}
}

func (m collModel) check(t *testing.T, s *keyspacetest.Store, r *rand.Rand) {
	t.Helper()
	s.Read(func(tx *keyspace.Tx) {
		var total int64
		for db := range 3 {
			total += must(tx.DBSize(db))
		}
		if total != int64(len(m)) {
			t.Fatalf("%d keys, want %d", total, len(m))
		}
		for name, want := range m {
			e := must(tx.Inspect(int(name[0]-'0'), []byte(name[2:])))
			if e.Type != want.kind || e.ExpireAt != want.expireAt {
				t.Fatalf("%s: %+v, want %+v", name, e.Meta, want)
			}
			c := must(tx.Collection(e, want.kind))
			c.Own()
			checkElements(t, name, &c, want, r)
		}
	})
	s.ReadLive(func(tx *keyspace.Tx) {
		for name, want := range m {
			c := must(tx.Collection(must(tx.Inspect(int(name[0]-'0'), []byte(name[2:]))), want.kind))
			for element, value := range want.elements {
				if got, ok, err := c.Get(nil, []byte(element)); !ok || err != nil || string(got) != value {
					t.Fatalf("%s %s: %q, %v, %v", name, element, got, ok, err)
				}
				break
			}
		}
	})
	m.checkRecords(t, s)
}

func checkElements(t *testing.T, name string, c *keyspace.Collection, want *modelCollection, r *rand.Rand) {
	t.Helper()
	seen := 0
	check(c.Each(func(element, value []byte) bool {
		seen++
		if v, ok := want.elements[string(element)]; !ok || v != string(value) && c.Type != keyspace.TypeSet {
			t.Fatalf("%s has %q: %q, want %v %q", name, element, value, ok, v)
		}
		return true
	}))
	if seen != len(want.elements) || c.Len() != int64(seen) {
		t.Fatalf("%s: %d elements of %d, want %d", name, seen, c.Len(), len(want.elements))
	}
	scanned := map[string]bool{}
	count, cursor := int64(1+r.IntN(40)), uint64(0)
	for calls := 0; calls == 0 || cursor != 0; calls++ {
		cursor = must(c.ScanElements(cursor, count, func(element, _ []byte) { scanned[string(element)] = true }))
	}
	if len(scanned) != seen {
		t.Fatalf("%s: a scan found %d of %d", name, len(scanned), seen)
	}
	element, _, err := c.Random(nil, nil)
	if _, ok := want.elements[string(element)]; !ok || err != nil {
		t.Fatalf("%s: random element %q, %v", name, element, err)
	}
	if c.Type == keyspace.TypeZSet {
		checkScores(t, name, c, want)
	}
}

// checkRecords checks that the engine holds no element records beside those of the
// collections that there are.
func (m collModel) checkRecords(t *testing.T, s *keyspacetest.Store) {
	t.Helper()
	var want, got [2]int
	s.Read(func(tx *keyspace.Tx) {
		for name, c := range m {
			coll := must(tx.Collection(must(tx.Inspect(int(name[0]-'0'), []byte(name[2:]))), c.kind))
			if !coll.Inline() {
				want[0] += len(c.elements)
				if c.kind == keyspace.TypeZSet {
					want[1] += len(c.elements)
				}
			}
		}
	})
	for i, kind := range []string{"e", "z"} {
		it := must(s.Engine().NewIter(engine.IterOptions{Lower: []byte(kind), Upper: []byte{kind[0] + 1}}))
		for ok := it.First(); ok; ok = it.Next() {
			got[i]++
		}
		check(it.Close())
	}
	if got != want {
		t.Fatalf("%v element and score records, want %v", got, want)
	}
}

// Random changes of collections, with rollbacks, lost batches and restarts, against
// a model.
func TestCollectionsAgainstModel(t *testing.T) {
	random := seed(t)
	t.Cleanup(keyspace.RebuildAfter(100))
	s := keyspacetest.New(t)
	m := collModel{}
	rounds := 600
	if testing.Short() {
		rounds = 200
	}
	changeAtRandom(t, s, m, random, rounds, 10)
	s.Write(func(tx *keyspace.Tx) { must(tx.FlushAll()) })
	clear(m)
	m.check(t, s, random)
}

// A follower has the same collections, and goes on with them when it becomes the
// leader.
func TestCollectionsOfFollower(t *testing.T) { followAtRandom(t, collModel{}, seed(t)) }

// A crash leaves collections as they were after some batch: Meta records, elements
// and scores agree, and no element is left behind by what was deleted.
func TestCollectionsAfterCrash(t *testing.T) {
	crashAtRandom(t, collModel{}, seed(t), crashRun[collModel]{})
}
