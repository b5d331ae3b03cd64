package keyspace_test

import (
	"testing"

	"dkv/engine"
	"dkv/engine/keyspace"
	"dkv/engine/keyspace/keyspacetest"
)

// Trims and ids that have gone back leave nodes as they must be: empty ones at the
// beginning only, and in the order of ids.
func TestStreamNodes(t *testing.T) {
	limits := keyspace.NodeLimits{Entries: 3}
	id := func(ms uint64) keyspace.StreamID { return keyspace.StreamID{MS: ms} }
	var s *keyspace.Stream
	add := func(list ...uint64) {
		for _, ms := range list {
			s.Append(id(ms), [][]byte{[]byte("f"), []byte("v")}, limits)
		}
	}
	remove := func(list ...uint64) {
		for _, ms := range list {
			if !must(s.Delete(id(ms))) {
				panic(ms)
			}
		}
	}
	for _, tc := range []struct {
		name  string
		do    func()
		nodes int64
		first uint64
		size  int64
	}{
		{"a node of deleted entries stays where a trim ends in it", func() {
			add(1, 2, 3, 10, 11)
			remove(3)
			must(s.Trim(keyspace.Trim{ByID: true, MinID: id(3)}))
		}, 2, 10, 2},
		{"and goes with the next one", func() {
			add(1, 2, 3, 10, 11)
			remove(3)
			must(s.Trim(keyspace.Trim{ByID: true, MinID: id(3)}))
			must(s.Trim(keyspace.Trim{MaxLen: 1, Approx: true}))
		}, 1, 10, 2},
		{"it alone is left, and ids go back before its end", func() {
			add(1, 2, 3)
			remove(3)
			must(s.Trim(keyspace.Trim{ByID: true, MinID: id(3)}))
			s.SetID(id(1), 3, keyspace.StreamID{})
			add(2, 4)
		}, 1, 2, 2},
		{"ids go back behind a full node", func() {
			add(1, 2, 5)
			remove(5)
			s.SetID(id(2), 3, keyspace.StreamID{})
			add(3, 4)
			must(s.Trim(keyspace.Trim{ByID: true, MinID: id(4)}))
		}, 1, 4, 1},
		{"entries are added to the node before when the last one goes", func() {
			add(1, 2, 3, 4)
			remove(2, 4)
			add(7)
		}, 2, 1, 3},
		{"all at once", func() {
			add(1, 2, 3, 4, 5, 6, 7)
			must(s.Trim(keyspace.Trim{}))
		}, 0, 0, 0},
		{"all, with a limit that allows it", func() {
			add(1, 2, 3, 4, 5, 6, 7)
			must(s.Trim(keyspace.Trim{ByID: true, MinID: id(9), Approx: true, Limit: 7}))
		}, 0, 0, 0},
		{"no more than the limit", func() {
			add(1, 2, 3, 4, 5, 6, 7)
			must(s.Trim(keyspace.Trim{ByID: true, MinID: id(9), Approx: true, Limit: 6}))
		}, 1, 7, 1},
	} {
		keyspacetest.New(t).Write(func(tx *keyspace.Tx) {
			s = must(tx.Stream(must(tx.Find(0, []byte("s")))))
			tc.do()
			s.Save()
			if _, err := keyspace.CheckStream(s); err != nil || s.Nodes() != tc.nodes || s.FirstID != id(tc.first) || s.Len() != tc.size {
				t.Errorf("%s: %d nodes, first %v, %d entries, %v", tc.name, s.Nodes(), s.FirstID, s.Len(), err)
			}
		})
	}
}

// What is many is deleted by ranges, and nothing is left or gone too much.
func TestLargeStreams(t *testing.T) {
	const many = 5000
	s := keyspacetest.New(t)
	limits := keyspace.NodeLimits{Entries: 100}
	on := func(f func(tx *keyspace.Tx, s *keyspace.Stream, g *keyspace.Group)) (records int) {
		s.Write(func(tx *keyspace.Tx) {
			stream := must(tx.Stream(must(tx.Find(0, []byte("s")))))
			f(tx, stream, must(stream.Group([]byte("g"))))
			stream.Save()
			records = must(keyspace.CheckStream(stream))
		})
		it := must(s.Engine().NewIter(engine.IterOptions{Lower: []byte("e"), Upper: []byte("f")}))
		n := 0
		for ok := it.First(); ok; ok = it.Next() {
			n++
		}
		check(it.Close())
		if n != records {
			t.Fatalf("%d records, want %d", n, records)
		}
		return n
	}
	on(func(tx *keyspace.Tx, s *keyspace.Stream, _ *keyspace.Group) {
		for i := range uint64(many) {
			s.Append(keyspace.StreamID{MS: i + 1}, [][]byte{[]byte("f"), []byte("v")}, limits)
		}
		for _, name := range []string{"g", "other"} {
			g := s.CreateGroup([]byte(name), keyspace.StreamID{}, 0)
			c := g.CreateConsumer([]byte("c"))
			for i := range uint64(many) {
				check(g.Assign(&keyspace.Pending{ID: keyspace.StreamID{MS: i + 1}}, c))
			}
			check(g.Save())
		}
	})
	steps := []struct {
		name    string
		do      func(tx *keyspace.Tx, s *keyspace.Stream, g *keyspace.Group)
		records int
	}{
		{"trim", func(_ *keyspace.Tx, s *keyspace.Stream, _ *keyspace.Group) {
			if n := must(s.Trim(keyspace.Trim{MaxLen: 1550})); n != many-1550 {
				t.Errorf("%d trimmed", n)
			}
		}, 1550 + 15 + 2 + 4*many + 4},
		{"acknowledge", func(_ *keyspace.Tx, _ *keyspace.Stream, g *keyspace.Group) {
			for i := range uint64(many - 10) {
				p := must(g.Look(keyspace.StreamID{MS: i + 1}))
				check(g.Release(&p))
			}
			check(g.Save())
		}, 1550 + 15 + 2 + 2*many + 2*10 + 4},
		{"drop a group", func(_ *keyspace.Tx, s *keyspace.Stream, _ *keyspace.Group) {
			s.DropGroup(must(s.Group([]byte("other"))))
		}, 1550 + 15 + 1 + 2*10 + 2},
		{"drop a consumer", func(_ *keyspace.Tx, _ *keyspace.Stream, g *keyspace.Group) {
			if n := must(g.DropConsumer(must(g.Consumer([]byte("c"))))); n != 10 {
				t.Errorf("%d were pending", n)
			}
			check(g.Save())
		}, 1550 + 15 + 1},
	}
	for _, step := range steps {
		if n := on(step.do); n != step.records {
			t.Errorf("%s: %d records, want %d", step.name, n, step.records)
		}
	}
	s.Write(func(tx *keyspace.Tx) {
		e := must(tx.Find(0, []byte("s")))
		tx.Delete(&e)
	})
	it := must(s.Engine().NewIter(engine.IterOptions{Lower: []byte("e"), Upper: []byte("f")}))
	if it.First() {
		t.Errorf("%x is left", it.Key())
	}
	check(it.Close())
}
