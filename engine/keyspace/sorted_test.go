package keyspace_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"dkv/engine/keyspace"
	"dkv/engine/keyspace/keyspacetest"
)

type scored struct {
	member string
	score  float64
}

func sortScored(list []scored) {
	slices.SortFunc(list, func(a, b scored) int {
		switch {
		case a.score < b.score || a.score == b.score && a.member < b.member:
			return -1
		case a == b:
			return 0
		}
		return 1
	})
}

// pop removes members with the lowest or highest scores from both.
func (m *modelCollection) pop(c *keyspace.Collection, highest bool, n int64) {
	list := m.sorted()
	if highest {
		slices.Reverse(list)
	}
	var got []scored
	check(c.Pop(highest, n, func(member []byte, score float64) { got = append(got, scored{string(member), score}) }))
	want := list[:min(len(list), int(n))]
	if fmt.Sprint(got) != fmt.Sprint(want) {
		panic(fmt.Sprintf("popped %v, want %v", got, want))
	}
	for _, s := range want {
		delete(m.elements, s.member)
	}
}

func (m *modelCollection) sorted() (list []scored) {
	for member, value := range m.elements {
		list = append(list, scored{member, math.Float64frombits(binary.BigEndian.Uint64([]byte(value)))})
	}
	sortScored(list)
	return list
}

// checkScores compares the order of a sorted set, whole, backwards and cut.
func checkScores(t *testing.T, name string, c *keyspace.Collection, want *modelCollection) {
	t.Helper()
	list := want.sorted()
	from, to := list[len(list)/3], list[len(list)*2/3]
	for _, r := range []struct {
		from, to keyspace.Place
		keep     func(s scored) bool
	}{
		{keyspace.Place{}, keyspace.Place{}, func(scored) bool { return true }},
		{keyspace.BeforeScore(from.score), keyspace.AfterScore(to.score), func(s scored) bool { return s.score >= from.score && s.score <= to.score }},
		{keyspace.AfterScore(from.score), keyspace.BeforeScore(to.score), func(s scored) bool { return s.score > from.score && s.score < to.score }},
		{keyspace.BeforeMember(from.score, []byte(from.member)), keyspace.AfterMember(to.score, []byte(to.member)), func(s scored) bool {
			return (s.score > from.score || s.score == from.score && s.member >= from.member) &&
				(s.score < to.score || s.score == to.score && s.member <= to.member)
		}},
	} {
		var keep []scored
		for _, s := range list {
			if r.keep(s) {
				keep = append(keep, s)
			}
		}
		for _, backwards := range []bool{false, true} {
			var got []scored
			check(c.Scores(r.from, r.to, backwards, func(member []byte, score float64) bool {
				got = append(got, scored{string(member), score})
				return true
			}))
			if backwards {
				slices.Reverse(got)
			}
			if fmt.Sprint(got) != fmt.Sprint(keep) {
				t.Fatalf("%s, backwards %v:\n got %v\nwant %v", name, backwards, got, keep)
			}
		}
	}
}

// A set that is being renamed and written shows its readers one state.
func TestGetDuringChanges(t *testing.T) {
	s := keyspacetest.New(t)
	fill := func(tx *keyspace.Tx, key, value string) {
		c := must(tx.Collection(must(tx.Find(0, []byte(key))), keyspace.TypeHash))
		c.Clear()
		for i := range 200 {
			must(c.Put(fmt.Appendf(nil, "field%d", i), []byte(value)))
		}
		check(c.Save())
	}
	s.Write(func(tx *keyspace.Tx) { fill(tx, "a", "1") })
	s.ReadLive(func(tx *keyspace.Tx) {
		c := must(tx.Collection(must(tx.Read(0, []byte("a"))), keyspace.TypeHash))
		s.Write(func(tx *keyspace.Tx) { fill(tx, "a", "2") })
		if v, ok, err := c.Get(nil, []byte("field7")); !ok || err != nil || string(v) != "2" {
			t.Errorf("made anew: %q, %v, %v", v, ok, err)
		}
	})
	s.ReadLive(func(tx *keyspace.Tx) {
		c := must(tx.Collection(must(tx.Read(0, []byte("a"))), keyspace.TypeHash))
		move := func(from, to string) {
			s.Write(func(tx *keyspace.Tx) {
				src := must(tx.Find(0, []byte(from)))
				dst := must(tx.FindTarget(0, []byte(to)))
				check(tx.Move(&src, &dst))
			})
		}
		move("a", "b")
		if v, ok, err := c.Get(nil, []byte("field7")); ok || err != nil {
			t.Errorf("moved away: %q, %v, %v", v, ok, err)
		}
		move("b", "a")
	})
	s.ReadLive(func(tx *keyspace.Tx) {
		c := must(tx.Collection(must(tx.Read(0, []byte("a"))), keyspace.TypeHash))
		s.Write(func(tx *keyspace.Tx) { setKey(tx, 0, "a", "string", 0) })
		if _, _, err := c.Get(nil, []byte("field7")); err != keyspace.ErrWrongType {
			t.Errorf("a string now: %v", err)
		}
	})
}

// Readers of the live engine, beside a writer that overwrites, replaces and renames a
// hash, find in every field what some batch left there: none that was over before
// they began, and never nothing.
func TestGetBesideWriter(t *testing.T) {
	random := seed(t)
	s := keyspacetest.New(t)
	const fields = 200
	var began, over atomic.Int64
	move := func(tx *keyspace.Tx, from, to string) {
		src := must(tx.Find(0, []byte(from)))
		dst := must(tx.FindTarget(0, []byte(to)))
		check(tx.Move(&src, &dst))
	}
	write := func(n int64, how int) {
		began.Store(n)
		s.Write(func(tx *keyspace.Tx) {
			if how == 1 {
				move(tx, "a", "b")
				move(tx, "b", "a")
			}
			c := must(tx.Collection(must(tx.Find(0, []byte("a"))), keyspace.TypeHash))
			if how == 2 {
				c.Clear()
			}
			for i := range fields {
				must(c.Put(fmt.Appendf(nil, "field%d", i), fmt.Appendf(nil, "%d", n)))
			}
			check(c.Save())
		})
		over.Store(n)
	}
	write(1, 0)
	var readers sync.WaitGroup
	var stop atomic.Bool
	for r := range 2 {
		readers.Go(func() {
			for i := r; !stop.Load() && !t.Failed(); i++ {
				lower := over.Load()
				s.ReadLive(func(tx *keyspace.Tx) {
					c := must(tx.Collection(must(tx.Read(0, []byte("a"))), keyspace.TypeHash))
					v, found, err := c.Get(nil, fmt.Appendf(nil, "field%d", i*31%fields))
					n, _ := strconv.ParseInt(string(v), 10, 64)
					if upper := began.Load(); err != nil || !found || n < lower || n > upper {
						t.Errorf("%q, %v, %v; want between %d and %d", v, found, err, lower, upper)
					}
				})
			}
		})
	}
	for n := int64(2); n < 600 && !t.Failed(); n++ {
		write(n, random.IntN(3))
	}
	stop.Store(true)
	readers.Wait()
}

// What is read after Freeze stays as it was, until Thaw.
func TestFreeze(t *testing.T) {
	s := keyspacetest.New(t)
	s.Write(func(tx *keyspace.Tx) { setKey(tx, 0, "k", "old", 0) })
	s.ReadLive(func(tx *keyspace.Tx) {
		if !tx.Freeze() || tx.Freeze() {
			t.Error("a live Tx freezes, once")
		}
		s.Write(func(tx *keyspace.Tx) {
			setKey(tx, 0, "k", "new", 0)
			tx.SwapDB(0, 1)
		})
		if v, _ := getKey(tx, 0, "k"); v != "old" {
			t.Errorf("frozen: %q", v)
		}
		check(tx.Thaw())
		check(tx.Thaw())
		if v, ok := getKey(tx, 0, "k"); ok {
			t.Errorf("thawed: %q", v)
		}
		if v, _ := getKey(tx, 1, "k"); v != "new" {
			t.Errorf("thawed: %q", v)
		}
		tx.Freeze() // Close thaws
	})
	s.Read(func(tx *keyspace.Tx) {
		if tx.Freeze() {
			t.Error("a snapshot is frozen already")
		}
	})
}

// Members that begin like each other, as short and as long as bounds go, are popped one
// by one from either end, in one batch and in many.
func TestPopOfSimilarMembers(t *testing.T) {
	for _, batches := range []bool{false, true} {
		for _, highest := range []bool{false, true} {
			s := keyspacetest.New(t)
			var list []scored
			for i := range 70 {
				for _, end := range []string{"", "\x00", "\xff"} {
					list = append(list, scored{strings.Repeat("m", i+1) + end, 1}, scored{strings.Repeat("\x00", i+1) + end, -1})
				}
			}
			sortScored(list)
			list = slices.Compact(list)
			if highest {
				slices.Reverse(list)
			}
			write := func(f func(z *keyspace.Collection)) {
				s.Write(func(tx *keyspace.Tx) {
					z := must(tx.Collection(must(tx.Find(0, []byte("z"))), keyspace.TypeZSet))
					f(&z)
				})
			}
			write(func(z *keyspace.Collection) {
				for _, m := range list {
					must(z.PutScore([]byte(m.member), m.score))
				}
				check(z.Save())
			})
			pop := func(z *keyspace.Collection, want scored) {
				var got []scored
				check(z.Pop(highest, 1, func(member []byte, score float64) { got = append(got, scored{string(member), score}) }))
				check(z.Save())
				if len(got) != 1 || got[0] != want {
					t.Fatalf("highest %v, batches %v: popped %+v, want %+v", highest, batches, got, want)
				}
			}
			if batches {
				for _, want := range list {
					write(func(z *keyspace.Collection) { pop(z, want) })
				}
				continue
			}
			write(func(z *keyspace.Collection) {
				for _, want := range list {
					pop(z, want)
				}
			})
		}
	}
}
