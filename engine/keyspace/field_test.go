package keyspace_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"dkv/engine/enginetest"
	"dkv/engine/keyspace"
	"dkv/engine/keyspace/keyspacetest"
)

// fieldModel is a keyspace of hashes whose fields expire: all that has not been
// deleted yet.
type fieldModel map[string]*modelHash // "db/key"

type modelHash struct {
	expireAt int64
	fields   map[string]modelField
}

type modelField struct {
	value    string
	expireAt int64
}

func (m fieldModel) clone() fieldModel {
	c := fieldModel{}
	for k, v := range m {
		w := &modelHash{v.expireAt, map[string]modelField{}}
		for f, x := range v.fields {
			w.fields[f] = x
		}
		c[k] = w
	}
	return c
}

func passed(expireAt, now int64) bool { return expireAt != 0 && expireAt < now }

// of returns the hash of a key as a write finds it: an expired one is none.
func (m fieldModel) of(name string, now int64) *modelHash {
	if h := m[name]; h != nil && !passed(h.expireAt, now) {
		return h
	}
	return &modelHash{fields: map[string]modelField{}}
}

// reap deletes what has expired.
func (m fieldModel) reap(now int64) {
	for name, h := range m {
		for f, x := range h.fields {
			if passed(x.expireAt, now) {
				delete(h.fields, f)
			}
		}
		if len(h.fields) == 0 || passed(h.expireAt, now) {
			delete(m, name)
		}
	}
}

// step changes one key and the model.
func (m fieldModel) step(tx *keyspace.Tx, r *rand.Rand) {
	keys := []string{"a", "b", "{t}c"}
	db, key := r.IntN(2), keys[r.IntN(3)]
	name, now := modelName(db, key), tx.Now()
	e := must(tx.Find(db, []byte(key)))
	when := func() int64 {
		return now + []int64{-3, 0, 1, 5, 5, 20, 100, 1000}[r.IntN(8)]
	}
	switch r.IntN(16) {
	case 0:
		tx.Delete(&e)
		delete(m, name)
		return
	case 1, 2:
		toDB, to := r.IntN(2), keys[r.IntN(3)]
		if h := m[name]; modelName(toDB, to) != name && e.Exists() {
			dst := must(tx.FindTarget(toDB, []byte(to)))
			if r.IntN(2) == 0 {
				check(tx.Copy(&e, &dst))
				m[modelName(toDB, to)] = fieldModel{"": h}.clone()[""]
				return
			}
			check(tx.Move(&e, &dst))
			m[modelName(toDB, to)] = h
			delete(m, name)
		}
		return
	case 3:
		if h := m[name]; e.Exists() {
			h.expireAt = when()
			tx.SetExpireAt(&e, h.expireAt)
		}
		return
	case 4:
		if r.IntN(10) == 0 {
			must(tx.FlushDB(db))
			for k := range m {
				if k[:1] == strconv.Itoa(db) {
					delete(m, k)
				}
			}
		}
		return
	}
	h := m.of(name, now)
	c := must(tx.Collection(e, keyspace.TypeHash))
	for range 1 + r.IntN(3)*r.IntN(3)*20 {
		m.change(&c, h, r, when())
	}
	if r.IntN(40) == 0 {
		c.Clear()
		h.fields = map[string]modelField{}
	}
	check(c.Save())
	if m[name] = h; len(h.fields) == 0 {
		delete(m, name)
	}
}

// change puts or removes a field of a hash and of its model.
func (m fieldModel) change(c *keyspace.Collection, h *modelHash, r *rand.Rand, when int64) {
	field, value := "f"+strconv.Itoa(r.IntN(250)), "v"+strconv.Itoa(r.IntN(1000))
	if r.IntN(200) == 0 {
		value = fmt.Sprintf("%0100d", r.IntN(10))
	}
	old, found := h.fields[field]
	live := found && !passed(old.expireAt, c.Now())
	var changed bool
	switch r.IntN(6) {
	case 0, 1:
		changed = must(c.Put([]byte(field), []byte(value)))
		h.fields[field] = modelField{value, 0}
	case 2:
		changed = must(c.PutKeeping([]byte(field), []byte(value)))
		if !live {
			old.expireAt = 0
		}
		h.fields[field] = modelField{value, old.expireAt}
	case 3, 4:
		changed = must(c.PutExpiring([]byte(field), []byte(value), when))
		h.fields[field] = modelField{value, when}
	default:
		changed = !must(c.Remove([]byte(field)))
		delete(h.fields, field)
	}
	if changed == live {
		panic(fmt.Sprintf("field %s, there before: %v: changed %v", field, live, changed))
	}
}

func (m fieldModel) check(t *testing.T, s *keyspacetest.Store, r *rand.Rand) {
	t.Helper()
	read := s.Read
	if r.IntN(2) == 0 {
		read = func(f func(*keyspace.Tx)) { s.Write(f) }
	}
	read(func(tx *keyspace.Tx) {
		for _, name := range []string{"0/a", "0/b", "0/{t}c", "1/a", "1/b", "1/{t}c"} {
			h := m.of(name, s.Now)
			c := must(tx.Collection(must(tx.Inspect(int(name[0]-'0'), []byte(name[2:]))), keyspace.TypeHash))
			if c.Exists() != (len(h.fields) != 0) || c.Len() != int64(len(h.fields)) || c.ExpireAt != h.expireAt {
				t.Fatalf("%s: there %v, %d fields, expires %d; want %d fields, %d", name, c.Exists(), c.Len(), c.ExpireAt, len(h.fields), h.expireAt)
			}
			c.Own()
			live := map[string]string{}
			for f, x := range h.fields {
				at, found := must2(c.FieldExpiry([]byte(f)))
				value, ok := must2(c.Get([]byte("x"), []byte(f)))
				if passed(x.expireAt, s.Now) {
					if found || ok {
						t.Fatalf("%s: expired field %s is there", name, f)
					}
					continue
				}
				live[f] = x.value
				if !found || at != x.expireAt || !ok || string(value) != "x"+x.value {
					t.Fatalf("%s: field %s is %q until %d, want %+v", name, f, value, at, x)
				}
			}
			if n := must(c.Live()); n != int64(len(live)) {
				t.Fatalf("%s: %d live fields, want %d", name, n, len(live))
			}
			same := func(f, v []byte) bool {
				if want, ok := live[string(f)]; !ok || want != string(v) {
					t.Fatalf("%s: field %s is %q, want %q, %v", name, f, v, want, ok)
				}
				return true
			}
			n := 0
			check(c.Each(func(f, v []byte) bool { n++; return same(f, v) }))
			if n != len(live) {
				t.Fatalf("%s: Each met %d fields of %d", name, n, len(live))
			}
			must(c.ScanElements(0, 1000, func(f, v []byte) { same(f, v); n-- }))
			if n != 0 {
				t.Fatalf("%s: a scan missed %d fields", name, n)
			}
			for range min(len(live), 3) {
				f, v, err := c.Random(nil, nil)
				check(err)
				same(f, v)
			}
		}
	})
}

func must2[A any](a A, ok bool, err error) (A, bool) {
	check(err)
	return a, ok
}

// reapFully runs the reaper until nothing is due.
func reapFully(s *keyspacetest.Store, from []byte, limit int) []byte {
	for more := true; more; {
		s.Write(func(tx *keyspace.Tx) {
			var next []byte
			var err error
			_, next, more, err = s.Keyspace().Reap(tx, from, limit)
			check(err)
			from = append([]byte(nil), next...)
		})
	}
	return from
}

// Fields expire, are hidden and deleted as a model of them.
func TestFieldExpiryAgainstModel(t *testing.T) {
	defer keyspace.RebuildAfter(100)()
	random := seed(t)
	for range 6 {
		s := keyspacetest.New(t)
		m := fieldModel{}
		var from []byte
		for n := range 400 {
			if random.IntN(10) == 0 { // nothing of a batch that is thrown away stays
				before := m.clone()
				s.Attempt(func(tx *keyspace.Tx) { m.step(tx, random) })
				m = before
			}
			s.Write(func(tx *keyspace.Tx) {
				for range 1 + random.IntN(3) {
					m.step(tx, random)
				}
			})
			s.Now += int64(random.IntN(8))
			if random.IntN(4) == 0 {
				from = reapFully(s, from, 1+random.IntN(5))
				m.reap(s.Now)
			}
			if random.IntN(50) == 0 {
				s.Reopen()
				from = nil
			}
			if n%10 == 0 {
				m.check(t, s, random)
			}
		}
		s.Now += 10_000
		reapFully(s, from, 3)
		m.reap(s.Now)
		m.check(t, s, random)
		s.Write(func(tx *keyspace.Tx) {
			for name := range m {
				e := must(tx.Find(int(name[0]-'0'), []byte(name[2:])))
				tx.Delete(&e)
			}
		})
		if n, kinds := s.Records(); n != 0 {
			t.Fatalf("%d records are left: %s", n, kinds)
		}
	}
}

// A crash leaves hashes, their fields' expiries and the index of them as they were
// after some batch; what is due is deleted then.
func TestFieldExpiryAfterCrash(t *testing.T) {
	random := seed(t)
	fs := enginetest.NewCrashFS()
	db := openOn(t, fs)
	s := keyspacetest.Over(t, db)
	m := fieldModel{}
	states := []fieldModel{m.clone()}
	times := []int64{s.Now}
	type crash struct {
		fs     *enginetest.CrashFS
		atMost int
	}
	var crashes []crash
	var from []byte
	const counterDB = 15
	for n := 1; n <= 200; n++ {
		s.Now += int64(random.IntN(8))
		reaps := random.IntN(5) == 0
		s.Write(func(tx *keyspace.Tx) {
			if reaps {
				var err error
				_, from, _, err = s.Keyspace().Reap(tx, from, 1000)
				check(err)
				from = append([]byte(nil), from...)
				m.reap(s.Now)
			}
			for range 1 + random.IntN(4) {
				m.step(tx, random)
			}
			setKey(tx, counterDB, "batch", strconv.Itoa(n), 0)
		})
		states, times = append(states, m.clone()), append(times, s.Now)
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
		after.Now = times[n]
		state := states[n].clone()
		state.check(t, after, random)
		after.Now += 30
		reapFully(after, nil, 10)
		state.reap(after.Now)
		state.check(t, after, random)
		check(db.Close())
	}
}

// A hash of records that an older version wrote is read and written as it is, and gets
// the present form with the first expiry.
func TestUntaggedHash(t *testing.T) {
	s := keyspacetest.New(t)
	with := func(f func(c *keyspace.Collection)) {
		s.Write(func(tx *keyspace.Tx) {
			c := must(tx.Collection(must(tx.Find(0, []byte("h"))), keyspace.TypeHash))
			f(&c)
			check(c.Save())
		})
	}
	const n = 300
	with(func(c *keyspace.Collection) {
		for i := range n {
			must(c.Put(fmt.Append(nil, "f", i), fmt.Append(nil, "\x01v", i)))
		}
		check(c.Untag())
	})
	expect := func(at int64) {
		t.Helper()
		with(func(c *keyspace.Collection) {
			for i := range n {
				field := fmt.Append(nil, "f", i)
				value, found := must2(c.Get(nil, field))
				when, _ := must2(c.FieldExpiry(field))
				if want := fmt.Sprint("\x01v", i); !found || string(value) != want || i != 7 && when != 0 || i == 7 && when != at {
					t.Fatalf("field %d: %q, %v, expires %d", i, value, found, when)
				}
			}
			if c.Len() != n {
				t.Fatalf("%d fields", c.Len())
			}
		})
	}
	expect(0)
	with(func(c *keyspace.Collection) {
		must(c.Put([]byte("new"), []byte("v")))
		must(c.Remove([]byte("new")))
	})
	expect(0)
	with(func(c *keyspace.Collection) { must(c.PutExpiring([]byte("f7"), []byte("\x01v7"), s.Now+50)) })
	expect(s.Now + 50)
	if records, kinds := s.Records(); records != n+3 { // the key's, the index's, the field's time
		t.Fatalf("%d records: %s", records, kinds)
	}
}
