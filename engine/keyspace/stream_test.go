package keyspace_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"dkv/engine"
	"dkv/engine/keyspace"
	"dkv/engine/keyspace/keyspacetest"
)

// streamModel is a keyspace of streams as a map.
type streamModel map[string]*modelStream // "db/key"

type modelStream struct {
	expireAt   int64
	last       keyspace.StreamID
	maxDeleted keyspace.StreamID
	added      uint64
	entries    []modelEntry // by id
	groups     map[string]*modelGroup
}

type modelEntry struct {
	id     keyspace.StreamID
	fields []string
}

type modelGroup struct {
	last      keyspace.StreamID
	read      int64
	consumers map[string]int64 // when it was seen
	pending   map[keyspace.StreamID]modelPending
}

type modelPending struct {
	consumer    string
	time, count int64
}

func (m streamModel) clone() streamModel {
	c := streamModel{}
	for k, v := range m {
		w := *v
		w.entries = slices.Clone(v.entries)
		w.groups = map[string]*modelGroup{}
		for name, g := range v.groups {
			h := *g
			h.consumers, h.pending = maps.Clone(g.consumers), maps.Clone(g.pending)
			w.groups[name] = &h
		}
		c[k] = &w
	}
	return c
}

// step does the same random thing to both.
func (m streamModel) step(tx *keyspace.Tx, r *rand.Rand) {
	db, key := r.IntN(3), fmt.Sprintf("key%d", r.IntN(6))
	name := modelName(db, key)
	e := must(tx.Find(db, []byte(key)))
	old := m[name]
	if e.Exists() != (old != nil) {
		panic(fmt.Sprintf("%s: exists %v", name, e.Exists()))
	}
	switch r.IntN(60) {
	default:
		if old == nil {
			old = &modelStream{groups: map[string]*modelGroup{}}
			m[name] = old
		}
		s := must(tx.Stream(e))
		s.Create()
		old.change(tx, s, r)
		s.Save()
	case 0:
		tx.Delete(&e)
		delete(m, name)
	case 1:
		tx.SetString(&e, []byte("string"), 0, keyspace.FormAuto)
		tx.Delete(&e)
		delete(m, name)
	case 2:
		if old != nil {
			old.expireAt = tx.Now() + 1 + int64(r.IntN(1000))
			tx.SetExpireAt(&e, old.expireAt)
		}
	case 3, 4, 5:
		toDB, toKey := r.IntN(3), fmt.Sprintf("key%d", r.IntN(6))
		if old == nil || toDB == db && toKey == key {
			return
		}
		dst := must(tx.FindTarget(toDB, []byte(toKey)))
		m[modelName(toDB, toKey)] = streamModel{"": old}.clone()[""]
		if r.IntN(3) == 0 {
			check(tx.Copy(&e, &dst))
		} else {
			check(tx.Move(&e, &dst))
			delete(m, name)
		}
	case 6:
		if r.IntN(4) == 0 {
			must(tx.FlushDB(db))
			for k := range m {
				if strings.HasPrefix(k, fmt.Sprint(db, "/")) {
					delete(m, k)
				}
			}
		}
	}
}

func (m *modelStream) randomID(r *rand.Rand) keyspace.StreamID {
	if len(m.entries) > 0 && r.IntN(3) > 0 {
		return m.entries[r.IntN(len(m.entries))].id
	}
	return keyspace.StreamID{MS: uint64(r.Int64N(int64(m.last.MS) + 2)), Seq: uint64(r.IntN(3))}
}

var testNodes = keyspace.NodeLimits{Bytes: 400, Entries: 6}

func (m *modelStream) change(tx *keyspace.Tx, s *keyspace.Stream, r *rand.Rand) {
	switch r.IntN(12) {
	case 0, 1, 2, 3:
		for range 1 + r.IntN(12) {
			id, _ := m.last.Next()
			if r.IntN(3) == 0 {
				id = keyspace.StreamID{MS: m.last.MS + uint64(1+r.IntN(3)), Seq: uint64(r.IntN(2))}
			}
			fields := []string{"f", "value" + fmt.Sprint(r.IntN(9))}
			if r.IntN(5) == 0 {
				fields = append(fields, "other", strings.Repeat("x", r.IntN(200)))
			}
			raw := make([][]byte, len(fields))
			for i, f := range fields {
				raw[i] = []byte(f)
			}
			s.Append(id, raw, testNodes)
			m.entries = append(m.entries, modelEntry{id, fields})
			m.last = id
			m.added++
		}
	case 4, 5:
		id := m.randomID(r)
		at, there := m.find(id)
		if got := must(s.Delete(id)); got != there {
			panic(fmt.Sprintf("delete of %s: %v", id, got))
		}
		if there {
			m.entries = slices.Delete(m.entries, at, at+1)
			if m.maxDeleted.Less(id) {
				m.maxDeleted = id
			}
		}
	case 6, 7:
		m.trim(s, r)
	case 8:
		if len(m.entries) == 0 && r.IntN(2) == 0 { // back, behind what was deleted
			m.last = keyspace.StreamID{MS: m.last.MS / 2}
		}
		if len(m.entries) > 0 && m.entries[len(m.entries)-1].id.Less(m.last) {
			m.last = m.entries[len(m.entries)-1].id
		} else {
			m.last.MS += uint64(r.IntN(3))
		}
		m.added += uint64(r.IntN(3))
		s.SetID(m.last, m.added, m.maxDeleted)
	default:
		m.changeGroup(tx, s, r)
	}
}

func (m *modelStream) find(id keyspace.StreamID) (int, bool) {
	return slices.BinarySearchFunc(m.entries, id, func(e modelEntry, id keyspace.StreamID) int { return e.id.Compare(id) })
}

func (m *modelStream) trim(s *keyspace.Stream, r *rand.Rand) {
	t := keyspace.Trim{ByID: r.IntN(2) == 0, Approx: r.IntN(2) == 0, MaxLen: int64(r.IntN(len(m.entries) + 2)), MinID: m.randomID(r)}
	if t.Approx && r.IntN(3) == 0 {
		t.Limit = int64(1 + r.IntN(20))
	}
	exact := max(len(m.entries)-int(t.MaxLen), 0)
	if t.ByID {
		exact, _ = m.find(t.MinID)
	}
	removed := int(must(s.Trim(t)))
	if removed > exact || !t.Approx && removed != exact || t.Limit != 0 && removed > int(t.Limit) {
		panic(fmt.Sprintf("%+v of %d entries removed %d, exactly %d", t, len(m.entries), removed, exact))
	}
	m.entries = slices.Delete(m.entries, 0, removed)
}

func (m *modelStream) changeGroup(tx *keyspace.Tx, s *keyspace.Stream, r *rand.Rand) {
	name := fmt.Sprintf("g%d", r.IntN(3))
	want := m.groups[name]
	g := must(s.Group([]byte(name)))
	if (g != nil) != (want != nil) {
		panic(fmt.Sprintf("group %s is there: %v", name, g != nil))
	}
	if g == nil {
		want = &modelGroup{last: m.randomID(r), read: int64(r.IntN(5) - 1), consumers: map[string]int64{}, pending: map[keyspace.StreamID]modelPending{}}
		m.groups[name] = want
		g = s.CreateGroup([]byte(name), want.last, want.read)
		check(g.Save())
		return
	}
	if r.IntN(40) == 0 {
		s.DropGroup(g)
		delete(m.groups, name)
		return
	}
	for range 1 + r.IntN(4) {
		want.change(tx, g, m, r)
	}
	check(g.Save())
}

func (m *modelGroup) change(tx *keyspace.Tx, g *keyspace.Group, s *modelStream, r *rand.Rand) {
	name := fmt.Sprintf("c%d", r.IntN(3))
	c := must(g.Consumer([]byte(name)))
	seen, there := m.consumers[name]
	if (c != nil) != there || there && c.Seen != seen {
		panic(fmt.Sprintf("consumer %s: %+v, want %v", name, c, seen))
	}
	if c == nil {
		c = g.CreateConsumer([]byte(name))
		m.consumers[name] = tx.Now()
	}
	id := s.randomID(r)
	p := must(g.Look(id))
	mp, pending := m.pending[id]
	if p.Exists() != pending || pending && (p.Time != mp.time || p.Count != mp.count || string(must(g.Owner(&p)).Name) != mp.consumer) {
		panic(fmt.Sprintf("pending %+v, want %+v %v", p, mp, pending))
	}
	switch r.IntN(10) {
	case 0:
		c.Seen = int64(r.IntN(1000))
		m.consumers[name] = c.Seen
	case 1:
		g.LastID, g.EntriesRead = id, int64(r.IntN(100))
		m.last, m.read = g.LastID, g.EntriesRead
	case 2, 3, 4:
		check(g.Release(&p))
		delete(m.pending, id)
	case 5:
		if r.IntN(4) > 0 {
			return
		}
		n := must(g.DropConsumer(c))
		delete(m.consumers, name)
		for id, p := range m.pending {
			if p.consumer == name {
				delete(m.pending, id)
				n--
			}
		}
		if n != 0 {
			panic(fmt.Sprintf("%s was dropped with %d pending entries too many", name, n))
		}
	default:
		p.Time, p.Count = int64(r.IntN(100)), int64(r.IntN(5))
		check(g.Assign(&p, c))
		m.pending[id] = modelPending{name, p.Time, p.Count}
	}
}

// check compares all there is.
func (m streamModel) check(t *testing.T, s *keyspacetest.Store, r *rand.Rand) {
	t.Helper()
	records := 0
	s.Read(func(tx *keyspace.Tx) {
		for name, want := range m {
			e := must(tx.Inspect(int(name[0]-'0'), []byte(name[2:])))
			if e.Type != keyspace.TypeStream || e.ExpireAt != want.expireAt || must(e.Encoding()) != "stream" {
				t.Fatalf("%s: %+v, want %+v", name, e.Meta, want)
			}
			stream := must(tx.Stream(e))
			n, err := keyspace.CheckStream(stream)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			records += n
			want.check(t, name, stream, r)
		}
	})
	got := 0
	it := must(s.Engine().NewIter(engine.IterOptions{Lower: []byte("e"), Upper: []byte("f")}))
	for ok := it.First(); ok; ok = it.Next() {
		got++
	}
	check(it.Close())
	if got != records {
		t.Fatalf("%d records, want %d", got, records)
	}
}

func (m *modelStream) check(t *testing.T, name string, s *keyspace.Stream, r *rand.Rand) {
	t.Helper()
	if s.LastID != m.last || s.MaxDeleted != m.maxDeleted || s.Added != m.added || s.Len() != int64(len(m.entries)) || s.Groups() != int64(len(m.groups)) {
		t.Fatalf("%s: %+v, want %+v", name, s, m)
	}
	from, to := keyspace.StreamID{}, keyspace.MaxStreamID
	for range 3 {
		want := slices.Clone(m.entries)
		want = slices.DeleteFunc(want, func(e modelEntry) bool { return e.id.Less(from) || to.Less(e.id) })
		for _, backwards := range []bool{false, true} {
			var got []modelEntry
			check(s.Range(from, to, backwards, func(id keyspace.StreamID, fields [][]byte) bool {
				e := modelEntry{id: id}
				for _, f := range fields {
					e.fields = append(e.fields, string(f))
				}
				got = append(got, e)
				return true
			}))
			if backwards {
				slices.Reverse(got)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%s from %v to %v: %v, want %v", name, from, to, got, want)
			}
		}
		from, to = m.randomID(r), m.randomID(r)
	}
	id := m.randomID(r)
	at, there := m.find(id)
	fields, found, err := s.Get(nil, id)
	if err != nil || found != there || there && string(bytes.Join(fields, []byte(" "))) != strings.Join(m.entries[at].fields, " ") {
		t.Fatalf("%s, entry %v: %q, %v, %v", name, id, fields, found, err)
	}
	var names []string
	check(s.EachGroup(func(g *keyspace.Group) bool {
		names = append(names, string(g.Name()))
		m.groups[string(g.Name())].check(t, name, g, m, r)
		return true
	}))
	if want := slices.Sorted(maps.Keys(m.groups)); !slices.Equal(names, want) {
		t.Fatalf("%s: groups %q, want %q", name, names, want)
	}
}

func (m *modelGroup) check(t *testing.T, name string, g *keyspace.Group, s *modelStream, r *rand.Rand) {
	t.Helper()
	if g.LastID != m.last || g.EntriesRead != m.read || g.Pending() != int64(len(m.pending)) || g.Consumers() != int64(len(m.consumers)) {
		t.Fatalf("%s: %+v, want %+v", name, g, m)
	}
	list := func(c *keyspace.Consumer, from, to keyspace.StreamID) (got, want []string) {
		check(g.EachPending(c, from, to, func(p keyspace.Pending) bool {
			got = append(got, fmt.Sprint(p.ID, string(must(g.Owner(&p)).Name), p.Time, p.Count))
			return true
		}))
		ids := slices.SortedFunc(maps.Keys(m.pending), keyspace.StreamID.Compare)
		for _, id := range ids {
			if p := m.pending[id]; (c == nil || p.consumer == string(c.Name)) && !id.Less(from) && !to.Less(id) {
				want = append(want, fmt.Sprint(id, p.consumer, p.time, p.count))
			}
		}
		return got, want
	}
	if got, want := list(nil, keyspace.StreamID{}, keyspace.MaxStreamID); !slices.Equal(got, want) {
		t.Fatalf("%s: pending %q, want %q", name, got, want)
	}
	if len(m.pending) > 0 {
		last := slices.MaxFunc(slices.Collect(maps.Keys(m.pending)), keyspace.StreamID.Compare)
		if got := must(g.LastPending()); got != last {
			t.Fatalf("%s: last pending %v, want %v", name, got, last)
		}
	}
	var names []string
	check(g.EachConsumer(func(c *keyspace.Consumer) bool {
		names = append(names, string(c.Name))
		got, want := list(c, s.randomID(r), s.randomID(r))
		all, wantAll := list(c, keyspace.StreamID{}, keyspace.MaxStreamID)
		if !slices.Equal(got, want) || !slices.Equal(all, wantAll) || c.Pending() != int64(len(all)) || c.Seen != m.consumers[string(c.Name)] {
			t.Fatalf("%s, %s: %q, want %q; %+v", name, c.Name, got, want, c)
		}
		return true
	}))
	if want := slices.Sorted(maps.Keys(m.consumers)); !slices.Equal(names, want) {
		t.Fatalf("%s: consumers %q, want %q", name, names, want)
	}
}

// Random changes of streams, with rollbacks, lost batches and restarts, against a
// model.
func TestStreamsAgainstModel(t *testing.T) {
	random := seed(t)
	t.Cleanup(keyspace.RaiseAfter(3))
	s := keyspacetest.New(t)
	m := streamModel{}
	rounds := 1500
	if testing.Short() {
		rounds = 300
	}
	for range rounds {
		batch := func(m streamModel) func(tx *keyspace.Tx) {
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
		if random.IntN(10) == 0 {
			m.check(t, s, random)
		}
	}
	m.check(t, s, random)
	s.Write(func(tx *keyspace.Tx) { must(tx.FlushAll()) })
	clear(m)
	m.check(t, s, random)
}
