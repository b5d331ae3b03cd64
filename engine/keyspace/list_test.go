package keyspace_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"dkv/engine"
	"dkv/engine/enginetest"
	"dkv/engine/keyspace"
	"dkv/engine/keyspace/keyspacetest"
)

// listModel is a keyspace of lists as a map: "db/key" to elements.
type listModel map[string][]string

func (m listModel) clone() listModel {
	c := listModel{}
	for k, v := range m {
		c[k] = slices.Clone(v)
	}
	return c
}

func randomListElement(r *rand.Rand) string {
	switch r.IntN(20) {
	case 0:
		return strings.Repeat("long", r.IntN(40))
	case 1:
		return strconv.FormatInt(int64(r.Uint64()>>r.IntN(64)), 10)
	}
	return strconv.Itoa(r.IntN(8))
}

// step does the same random thing to both.
func (m listModel) step(tx *keyspace.Tx, r *rand.Rand) {
	db, key := r.IntN(2), fmt.Sprintf("key%d", r.IntN(5))
	name := modelName(db, key)
	e := must(tx.Find(db, []byte(key)))
	if e.Exists() != (m[name] != nil) {
		panic(fmt.Sprintf("%s: exists %v", name, e.Exists()))
	}
	switch r.IntN(30) {
	default:
		m.change(tx, r, e, name)
	case 0:
		tx.Delete(&e)
		delete(m, name)
	case 1, 2, 3:
		toDB, toKey := r.IntN(2), fmt.Sprintf("key%d", r.IntN(5))
		if !e.Exists() || toDB == db && toKey == key {
			return
		}
		dst := must(tx.FindTarget(toDB, []byte(toKey)))
		m[modelName(toDB, toKey)] = slices.Clone(m[name])
		if r.IntN(2) == 0 {
			check(tx.Copy(&e, &dst))
		} else {
			check(tx.Move(&e, &dst))
			delete(m, name)
		}
	case 4:
		tx.SetString(&e, []byte("string"), 0, keyspace.FormAuto)
		tx.Delete(&e)
		delete(m, name)
	}
}

func (m listModel) change(tx *keyspace.Tx, r *rand.Rand, e keyspace.Entry, name string) {
	l := must(tx.List(e))
	list := m[name]
	steps := 1 + r.IntN(6)
	if r.IntN(6) == 0 {
		steps = r.IntN(150)
	}
	for range steps {
		list = listStep(&l, list, r)
		if l.Len() != int64(len(list)) {
			panic(fmt.Sprintf("%s: %d elements, want %d", name, l.Len(), len(list)))
		}
	}
	check(l.Save())
	if m[name] = list; len(list) == 0 {
		delete(m, name)
	}
}

// listStep does the same to a list and to what it should be.
func listStep(l *keyspace.List, list []string, r *rand.Rand) []string {
	element := randomListElement(r)
	n := len(list)
	switch r.IntN(12) {
	case 0, 1, 2:
		check(l.Push(true, []byte(element)))
		return slices.Insert(list, 0, element)
	case 3, 4, 5:
		check(l.Push(false, []byte(element)))
		return append(list, element)
	case 6:
		at := r.IntN(n + 1)
		check(l.Insert(int64(at), []byte(element)))
		return slices.Insert(list, at, element)
	case 7:
		if n > 0 {
			at := r.IntN(n)
			check(l.Set(int64(at), []byte(element)))
			list[at] = element
		}
	case 8:
		front, count := r.IntN(2) == 0, min(n, r.IntN(5))
		var got []string
		check(l.Pop(front, int64(count), func(e []byte) { got = append(got, string(e)) }))
		want, rest := slices.Clone(list[:count]), list[count:]
		if !front {
			want, rest = slices.Clone(list[n-count:]), list[:n-count]
			slices.Reverse(want)
		}
		if !slices.Equal(got, want) {
			panic(fmt.Sprintf("popped %q, want %q", got, want))
		}
		return rest
	case 9, 10:
		limit, backwards := r.IntN(4), r.IntN(2) == 0
		removed := int(must(l.Remove([]byte(element), int64(limit), backwards)))
		kept := slices.Clone(list)
		if backwards {
			slices.Reverse(kept)
		}
		want := 0
		kept = slices.DeleteFunc(kept, func(s string) bool {
			if s != element || limit != 0 && want == limit {
				return false
			}
			want++
			return true
		})
		if backwards {
			slices.Reverse(kept)
		}
		if removed != want {
			panic(fmt.Sprintf("removed %d of %q, want %d", removed, element, want))
		}
		return kept
	case 11:
		if r.IntN(4) == 0 {
			first, last := r.IntN(n+1), r.IntN(n+1)
			if first > last || last == n {
				first, last = 1, 0
				check(l.Trim(1, 0))
				return nil
			}
			check(l.Trim(int64(first), int64(last)))
			return list[first : last+1]
		}
	}
	return list
}

func (m listModel) check(t *testing.T, s *keyspacetest.Store, r *rand.Rand) {
	t.Helper()
	records := 0
	s.Read(func(tx *keyspace.Tx) {
		for name, want := range m {
			l := must(tx.List(must(tx.Inspect(int(name[0]-'0'), []byte(name[2:])))))
			var got []string
			l.Own()
			check(l.Each(func(e, _ []byte) bool { got = append(got, string(e)); return true }))
			if !slices.Equal(got, want) {
				t.Fatalf("%s: %q, want %q", name, got, want)
			}
			if !l.Inline() {
				records += len(want)
			}
			i, j := r.IntN(len(want)), r.IntN(len(want))
			if e := must(l.At(nil, int64(i))); string(e) != want[i] {
				t.Fatalf("%s: element %d is %q, want %q", name, i, e, want[i])
			}
			i, j = min(i, j), max(i, j)
			got = nil
			check(l.Range(int64(i), int64(j), true, func(e []byte) bool { got = append(got, string(e)); return true }))
			slices.Reverse(got)
			if !slices.Equal(got, want[i:j+1]) {
				t.Fatalf("%s: elements %d to %d are %q, want %q", name, i, j, got, want[i:j+1])
			}
			packed := must(l.Packed())
			if n := must(packedList(want)); packed != n {
				t.Fatalf("%s: packed size %d, want %d", name, packed, n)
			}
		}
	})
	it := must(s.Engine().NewIter(engine.IterOptions{Lower: []byte("e"), Upper: []byte("f")}))
	for ok := it.First(); ok; ok = it.Next() {
		records--
	}
	check(it.Close())
	if records != 0 {
		t.Fatalf("%d element records are missing", records)
	}
}

// packedList is the size of a listpack, from its format.
func packedList(list []string) (uint64, error) {
	n := uint64(7)
	for _, e := range list {
		size := uint64(len(e))
		i, err := strconv.ParseInt(e, 10, 64)
		switch isInt := err == nil && strconv.FormatInt(i, 10) == e; {
		case isInt && i >= 0 && i <= 127:
			size = 1
		case isInt && i >= -4096 && i <= 4095:
			size = 2
		case isInt && i >= -32768 && i <= 32767:
			size = 3
		case isInt && i >= -8388608 && i <= 8388607:
			size = 4
		case isInt && i >= -2147483648 && i <= 2147483647:
			size = 5
		case isInt:
			size = 9
		case size <= 63:
			size++
		case size <= 4095:
			size += 2
		default:
			size += 5
		}
		n += size + 1
		if size > 127 {
			n++
		}
	}
	return n, nil
}

// Random changes of lists, with rollbacks, lost batches and restarts, against a
// model.
func TestListsAgainstModel(t *testing.T) {
	random := seed(t)
	s := keyspacetest.New(t)
	m := listModel{}
	rounds := 800
	if testing.Short() {
		rounds = 200
	}
	for range rounds {
		batch := func(m listModel) func(tx *keyspace.Tx) {
			return func(tx *keyspace.Tx) {
				for range 1 + random.IntN(6) {
					if random.IntN(4) == 0 {
						mark, undone := tx.Mark(), m.clone()
						for range random.IntN(4) {
							undone.step(tx, random)
						}
						tx.Rollback(mark)
						continue
					}
					m.step(tx, random)
				}
			}
		}
		if random.IntN(8) == 0 {
			s.Attempt(batch(m.clone()))
		} else {
			s.Write(batch(m))
		}
		if random.IntN(60) == 0 {
			s.Reopen()
		}
		if random.IntN(5) == 0 {
			m.check(t, s, random)
		}
	}
	s.Write(func(tx *keyspace.Tx) { must(tx.FlushAll()) })
	clear(m)
	m.check(t, s, random)
}

// A crash leaves lists as they were after some batch.
func TestListsAfterCrash(t *testing.T) {
	random := seed(t)
	fs := enginetest.NewCrashFS()
	db := openOn(t, fs)
	s := keyspacetest.Over(t, db)
	m := listModel{}
	states := []listModel{m.clone()}
	type crash struct {
		fs     *enginetest.CrashFS
		atMost int
	}
	var crashes []crash
	const batches, counterDB = 250, 15
	for n := 1; n <= batches; n++ {
		s.Write(func(tx *keyspace.Tx) {
			for range 1 + random.IntN(5) {
				m.step(tx, random)
			}
			setKey(tx, counterDB, "batch", strconv.Itoa(n), 0)
		})
		states = append(states, m.clone())
		if random.IntN(20) == 0 {
			check(db.Flush())
		}
		if random.IntN(8) == 0 {
			cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[random.IntN(3)], RNG: rand.New(rand.NewPCG(random.Uint64(), 0))}
			crashes = append(crashes, crash{fs.Crash(cfg), n})
		}
	}
	check(db.Close())
	for _, c := range crashes {
		db := openOn(t, c.fs)
		after := keyspacetest.Over(t, db)
		n := 0
		after.Read(func(tx *keyspace.Tx) {
			if v, ok := getKey(tx, counterDB, "batch"); ok {
				n = must(strconv.Atoi(v))
			}
		})
		if n > c.atMost {
			t.Fatalf("batch %d is there after a crash at %d", n, c.atMost)
		}
		states[n].check(t, after, random)
		check(db.Close())
	}
}

// What a change writes does not grow with the list: a queue's steps touch two
// records, and an insertion or removal moves the shorter side.
func TestListCosts(t *testing.T) {
	s := keyspacetest.New(t)
	const n = 5000
	change := func(f func(l *keyspace.List)) (records uint32) {
		s.Applied = func(repr []byte) { b := must(engine.ReadBatch(repr)); records = b.Count() }
		s.Write(func(tx *keyspace.Tx) {
			l := must(tx.List(must(tx.Find(0, []byte("list")))))
			f(&l)
			check(l.Save())
		})
		return records
	}
	change(func(l *keyspace.List) {
		for i := range n {
			check(l.Push(false, fmt.Appendf(nil, "%d", i)))
		}
	})
	nothing := func([]byte) {}
	for _, c := range []struct {
		name string
		f    func(l *keyspace.List)
		most uint32
	}{
		{"push", func(l *keyspace.List) { check(l.Push(true, []byte("x"))) }, 3},
		{"pop", func(l *keyspace.List) { check(l.Pop(false, 1, nothing)) }, 3},
		{"set", func(l *keyspace.List) { check(l.Set(n/2, []byte("y"))) }, 3},
		{"insert near the front", func(l *keyspace.List) { check(l.Insert(3, []byte("x"))) }, 7},
		{"insert near the back", func(l *keyspace.List) { check(l.Insert(l.Len()-3, []byte("x"))) }, 7},
		{"remove near the front", func(l *keyspace.List) { must(l.Remove([]byte("5"), 1, false)) }, 12},
		{"remove near the back", func(l *keyspace.List) { must(l.Remove([]byte("4990"), 1, false)) }, 20},
		{"trim to half", func(l *keyspace.List) { check(l.Trim(n/4, 3*n/4)) }, 5},
		{"pop many", func(l *keyspace.List) { check(l.Pop(true, 2000, nothing)) }, 4},
	} {
		if got := change(c.f); got > c.most {
			t.Errorf("%s: %d records, want at most %d", c.name, got, c.most)
		}
	}
	s.Write(func(tx *keyspace.Tx) {
		e := must(tx.Find(0, []byte("list")))
		tx.Delete(&e)
	})
	listModel{}.check(t, s, seed(t))
}
