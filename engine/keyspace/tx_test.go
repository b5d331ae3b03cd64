package keyspace_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"dkv/engine"
	"dkv/engine/keyspace"
	"dkv/engine/keyspace/keyspacetest"
)

// seed returns the seed of a random test: DKV_SEED, or a new one.
func seed(t *testing.T) *rand.Rand {
	n := uint64(time.Now().UnixNano())
	if s := os.Getenv("DKV_SEED"); s != "" {
		var err error
		if n, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d (DKV_SEED)", n)
	return rand.New(rand.NewPCG(n, 0))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func setKey(tx *keyspace.Tx, db int, key, value string, expireAt int64) {
	e := must(tx.Find(db, []byte(key)))
	tx.SetString(&e, []byte(value), expireAt, keyspace.FormAuto)
}

func deleteKey(tx *keyspace.Tx, db int, key string) {
	e := must(tx.Find(db, []byte(key)))
	tx.Delete(&e)
}

func getKey(tx *keyspace.Tx, db int, key string) (string, bool) {
	e := must(tx.Read(db, []byte(key)))
	return string(e.Body), e.Exists()
}

// model is a keyspace as a map. Expired keys stay in it until they are reaped.
type model struct {
	dbs [keyspace.Databases]map[string]modelKey
}

type modelKey struct {
	value    string
	expireAt int64
}

func newModel() *model {
	m := &model{}
	for i := range m.dbs {
		m.dbs[i] = map[string]modelKey{}
	}
	return m
}

func (m *model) clone() *model {
	c := newModel()
	for i, db := range m.dbs {
		for k, v := range db {
			c.dbs[i][k] = v
		}
	}
	return c
}

func (k modelKey) live(now int64) bool { return k.expireAt == 0 || k.expireAt >= now }

// step does the same random thing to both.
func (m *model) step(tx *keyspace.Tx, random *rand.Rand) {
	db := random.IntN(3)
	key := fmt.Sprintf("key%d", random.IntN(40))
	e := must(tx.Find(db, []byte(key)))
	old, stored := m.dbs[db][key]
	live := stored && old.live(tx.Now())
	if e.Exists() != live || live && (string(e.Body) != old.value || e.ExpireAt != old.expireAt) {
		panic(fmt.Sprintf("%s in %d: found %+v, want %v %+v", key, db, e.Meta, live, old))
	}
	switch random.IntN(20) {
	default:
		k := modelKey{value: fmt.Sprint("value", random.IntN(1000))}
		if random.IntN(2) == 0 {
			k.expireAt = tx.Now() + int64(random.IntN(200)) - 50
		}
		tx.SetString(&e, []byte(k.value), k.expireAt, keyspace.FormAuto)
		m.dbs[db][key] = k
	case 0, 1, 2, 3:
		tx.Delete(&e)
		delete(m.dbs[db], key)
	case 4, 5, 6:
		if live {
			old.expireAt = tx.Now() + int64(random.IntN(200))
			if random.IntN(3) == 0 {
				old.expireAt = 0
			}
			tx.SetExpireAt(&e, old.expireAt)
			m.dbs[db][key] = old
		}
	case 7, 8:
		toDB, toKey := random.IntN(3), fmt.Sprintf("key%d", random.IntN(40))
		if !live || toDB == db && toKey == key {
			return
		}
		dst := must(tx.FindTarget(toDB, []byte(toKey)))
		if random.IntN(2) == 0 {
			check(tx.Copy(&e, &dst))
		} else {
			check(tx.Move(&e, &dst))
			delete(m.dbs[db], key)
		}
		m.dbs[toDB][toKey] = old
	case 9:
		other := random.IntN(3)
		tx.SwapDB(db, other)
		m.dbs[db], m.dbs[other] = m.dbs[other], m.dbs[db]
	case 10:
		if random.IntN(3) == 0 {
			must(tx.FlushDB(db))
			m.dbs[db] = map[string]modelKey{}
		}
	}
}

// reap deletes what is due from the model, and returns how many keys that were.
func (m *model) reap(now int64) (n int) {
	for _, db := range m.dbs {
		for k, v := range db {
			if !v.live(now) {
				delete(db, k)
				n++
			}
		}
	}
	return n
}

func (m *model) check(t *testing.T, s *keyspacetest.Store) {
	t.Helper()
	look := func(tx *keyspace.Tx) {
		for db := range 4 {
			live := map[string]bool{}
			var want keyspace.DBCount
			for k, v := range m.dbs[db] {
				want.Keys++
				if v.expireAt != 0 {
					want.Expires++
				}
				if v.live(s.Now) {
					live[k] = true
				}
				if value, ok := getKey(tx, db, k); ok != v.live(s.Now) || ok && value != v.value {
					t.Fatalf("%s in %d is %q, %v, want %+v", k, db, value, ok, v)
				}
			}
			if n := must(tx.DBSize(db)); n != want.Keys {
				t.Fatalf("size of %d is %d, want %d", db, n, want.Keys)
			}
			if c := s.Keyspace().Counts()[db]; c.Keys != want.Keys || c.Expires != want.Expires {
				t.Fatalf("counts of %d are %+v, want %+v", db, c, want)
			}
			found := 0
			err := tx.Keys(db, []byte("*"), func(key []byte) {
				found++
				if !live[string(key)] {
					t.Fatalf("KEYS found %s in %d", key, db)
				}
			})
			if err != nil || found != len(live) {
				t.Fatalf("KEYS found %d keys in %d, want %d, %v", found, db, len(live), err)
			}
		}
	}
	s.Read(look)
	s.ReadLive(look)
	s.Write(look)
}

// Random commands, rollbacks, lost batches, restarts and reaping against the model.
func TestTxAgainstModel(t *testing.T) {
	random := seed(t)
	s := keyspacetest.New(t)
	m := newModel()
	var reapFrom []byte
	for range 1500 {
		s.Now += int64(random.IntN(20))
		batch := func(m *model) func(tx *keyspace.Tx) {
			return randomSteps(m, random, func() int { return random.IntN(8) })
		}
		switch random.IntN(10) {
		default:
			s.Write(batch(m))
		case 0:
			s.Attempt(batch(m.clone()))
		case 1:
			reapAll(t, s, m, &reapFrom, random)
		case 2:
			if random.IntN(10) == 0 {
				s.Reopen()
				reapFrom = nil
			}
			if random.IntN(10) == 0 {
				if err := s.Keyspace().Reload(s.Engine()); err != nil {
					t.Fatal(err)
				}
			}
		}
		if random.IntN(10) == 0 {
			m.check(t, s)
		}
	}
	s.Now += 1000
	reapAll(t, s, m, &reapFrom, random)
	m.check(t, s)
	checkIndex(t, s)
}

func reapAll(t *testing.T, s *keyspacetest.Store, m *model, from *[]byte, random *rand.Rand) {
	t.Helper()
	want, got := m.reap(s.Now), 0
	for more := true; more; {
		due, err := s.Keyspace().ExpiredBefore(s.Engine(), *from, s.Now)
		if err != nil {
			t.Fatal(err)
		}
		if !due {
			break
		}
		reap := func(tx *keyspace.Tx) (n int, next []byte) {
			n, next, more, err = s.Keyspace().Reap(tx, *from, 1+random.IntN(20))
			if err != nil {
				t.Fatal(err)
			}
			return n, next
		}
		if random.IntN(4) == 0 { // a batch that is lost changes nothing
			s.Attempt(func(tx *keyspace.Tx) { reap(tx) })
			more = true
			continue
		}
		s.Write(func(tx *keyspace.Tx) {
			n, next := reap(tx)
			got += n
			*from = append([]byte(nil), next...)
		})
	}
	if got != want {
		t.Fatalf("reaped %d keys, want %d", got, want)
	}
}

// checkIndex checks that the engine holds exactly the expiry records that the Meta
// records ask for, once stale ones are due and reaped.
func checkIndex(t *testing.T, s *keyspacetest.Store) {
	t.Helper()
	var index, expires int64
	it := must(s.Engine().NewIter(engine.IterOptions{Lower: []byte("x"), Upper: []byte("y")}))
	for ok := it.First(); ok; ok = it.Next() {
		index++
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range s.Keyspace().Counts() {
		expires += c.Expires
	}
	if index != expires {
		t.Errorf("%d records in the expiry index for %d keys", index, expires)
	}
}

func TestExpiredKeysAreHidden(t *testing.T) {
	s := keyspacetest.New(t)
	s.Write(func(tx *keyspace.Tx) { setKey(tx, 0, "k", "v", s.Now+10) })
	look := func(want bool) {
		t.Helper()
		s.Read(func(tx *keyspace.Tx) {
			if _, ok := getKey(tx, 0, "k"); ok != want {
				t.Errorf("at %d: found %v", s.Now, ok)
			}
			if hits, misses := tx.Hits, tx.Misses; hits+misses != 1 || (hits == 1) != want {
				t.Errorf("%d hits, %d misses", hits, misses)
			}
		})
	}
	look(true)
	s.Now += 10
	look(true) // at its very millisecond
	s.Now++
	look(false)
	s.Write(func(tx *keyspace.Tx) {
		setKey(tx, 0, "k", "w", 0)
		if tx.Expired != 1 {
			t.Errorf("%d expired keys were replaced", tx.Expired)
		}
	})
	look(true)
	if c := s.Keyspace().Counts()[0]; c.Keys != 1 || c.Expires != 0 {
		t.Errorf("counts %+v", c)
	}
}

func TestCountsTellMeanTTL(t *testing.T) {
	s := keyspacetest.New(t)
	s.Write(func(tx *keyspace.Tx) {
		setKey(tx, 2, "a", "v", s.Now+100_000)
		setKey(tx, 2, "b", "v", s.Now+300_000)
		setKey(tx, 2, "c", "v", 0)
	})
	s.Reopen()
	c := s.Keyspace().Counts()[2]
	if ttl := c.AvgTTL(s.Now); c.Keys != 3 || c.Expires != 2 || ttl < 199_000 || ttl > 201_000 {
		t.Errorf("%+v, mean TTL %d", c, ttl)
	}
}

func TestChanged(t *testing.T) {
	s := keyspacetest.New(t)
	watched := func(key string, since uint64) (changed bool) {
		s.Write(func(tx *keyspace.Tx) { changed = tx.Changed(0, []byte(key), since) })
		return changed
	}
	s.Write(func(tx *keyspace.Tx) { setKey(tx, 0, "a", "1", 0) })
	since := s.Position
	s.Write(func(tx *keyspace.Tx) { setKey(tx, 0, "b", "1", 0) })
	s.Write(func(tx *keyspace.Tx) { setKey(tx, 1, "a", "1", 0) })
	if watched("a", since) {
		t.Error("a did not change")
	}
	if !watched("b", since) {
		t.Error("b changed")
	}
	s.Write(func(tx *keyspace.Tx) {
		if e := must(tx.Find(0, []byte("missing"))); !e.Exists() {
			tx.Delete(&e)
		}
	})
	if watched("missing", since) {
		t.Error("deleting nothing is no change")
	}
	since = s.Position
	s.Write(func(tx *keyspace.Tx) { deleteKey(tx, 0, "a") })
	if !watched("a", since) {
		t.Error("a was deleted")
	}
	// In this order: to flush what a swap left empty would change nothing.
	since = s.Position
	s.Write(func(tx *keyspace.Tx) { must(tx.FlushDB(0)) })
	if !watched("b", since) {
		t.Error("a flush is a change")
	}
	since = s.Position
	s.Write(func(tx *keyspace.Tx) { tx.SwapDB(3, 0) })
	if !watched("b", since) {
		t.Error("a swap is a change")
	}
	s.Write(func(tx *keyspace.Tx) { setKey(tx, 5, "x", "1", 0) })
	s.Keyspace().ResetChanges(s.Position)
	if !watched("never", s.Position-1) || watched("never", s.Position) {
		t.Error("before the floor all has changed, after it nothing")
	}
}

func TestExpiredSince(t *testing.T) {
	s := keyspacetest.New(t)
	s.Write(func(tx *keyspace.Tx) {
		setKey(tx, 0, "k", "v", s.Now+10)
		setKey(tx, 0, "gone", "v", s.Now-10)
	})
	since, position := s.Now, s.Position
	expired := func(key string) (yes bool) {
		s.Read(func(tx *keyspace.Tx) { yes = must(tx.ExpiredSince(0, []byte(key), since)) })
		return yes
	}
	if expired("k") || expired("gone") || expired("missing") {
		t.Error("nothing has expired since")
	}
	s.Now += 11
	if !expired("k") || expired("gone") {
		t.Error("k, and only k, has expired since")
	}
	s.Write(func(tx *keyspace.Tx) { _, _, _, _ = s.Keyspace().Reap(tx, nil, 10) })
	s.Write(func(tx *keyspace.Tx) {
		if !tx.Changed(0, []byte("k"), position) {
			t.Error("once reaped, k has changed")
		}
	})
}

func TestNextVersionIsNeverUsedTwice(t *testing.T) {
	random := seed(t)
	s := keyspacetest.New(t)
	seen := map[keyspace.Version]bool{}
	for range 200 {
		lost := random.IntN(4) == 0
		batch := func(tx *keyspace.Tx) {
			setKey(tx, 0, "k", "v", 0)
			for range random.IntN(200) {
				v := tx.NextVersion()
				if v == 0 || seen[v] {
					t.Fatalf("version %d again", v)
				}
				seen[v] = !lost
			}
		}
		if lost {
			s.Attempt(batch)
		} else {
			s.Write(batch)
		}
		if random.IntN(20) == 0 {
			s.Reopen()
		}
	}
}

// A key can be written more than once in a command.
func TestWriteTwice(t *testing.T) {
	s := keyspacetest.New(t)
	s.Write(func(tx *keyspace.Tx) {
		e := must(tx.Find(0, []byte("k")))
		tx.SetString(&e, []byte("some value"), 0, keyspace.FormRaw)
		tx.SetExpireAt(&e, s.Now+1000)
		tx.SetExpireAt(&e, 0)
		tx.SetExpireAt(&e, s.Now+2000)
		tx.SetString(&e, append(e.Body, '!'), e.ExpireAt, e.Form)
	})
	s.Read(func(tx *keyspace.Tx) {
		e := must(tx.Read(0, []byte("k")))
		if string(e.Body) != "some value!" || e.ExpireAt != s.Now+2000 || e.Form != keyspace.FormRaw {
			t.Errorf("%+v, %q", e.Meta, e.Body)
		}
	})
	checkIndex(t, s)
}

// Large scratch buffers must not stay with a Tx, and large values must work.
func TestLargeValues(t *testing.T) {
	s := keyspacetest.New(t)
	large := string(make([]byte, 3<<20))
	s.Write(func(tx *keyspace.Tx) { setKey(tx, 0, "large", large, 0) })
	s.Write(func(tx *keyspace.Tx) {
		src := must(tx.Find(0, []byte("large")))
		dst := must(tx.FindTarget(1, []byte("copy")))
		check(tx.Copy(&src, &dst))
	})
	s.ReadLive(func(tx *keyspace.Tx) {
		if v, ok := getKey(tx, 1, "copy"); !ok || v != large {
			t.Errorf("copy: %v, %d bytes", ok, len(v))
		}
	})
}

func TestFlushOfManyKeys(t *testing.T) {
	s := keyspacetest.New(t)
	fill := func(db int, expireAt int64) {
		s.Write(func(tx *keyspace.Tx) {
			for i := range 500 {
				setKey(tx, db, fmt.Sprint("key", i), "v", expireAt)
			}
		})
	}
	fill(0, s.Now+5)
	fill(1, s.Now+5)
	s.Write(func(tx *keyspace.Tx) {
		if n := must(tx.FlushDB(0)); n != 500 {
			t.Errorf("flushed %d keys", n)
		}
		setKey(tx, 0, "after", "v", 0)
	})
	s.Read(func(tx *keyspace.Tx) {
		if n := must(tx.DBSize(0)); n != 1 {
			t.Errorf("%d keys left", n)
		}
		if _, ok := getKey(tx, 0, "key1"); ok {
			t.Error("key1 is still there")
		}
	})
	// Its expiry records are stale now: the reaper must not take them for keys.
	s.Write(func(tx *keyspace.Tx) { setKey(tx, 0, "key7", "v", s.Now+1000) })
	s.Now += 10
	s.Write(func(tx *keyspace.Tx) {
		n, _, more, err := s.Keyspace().Reap(tx, nil, 10_000)
		if n != 500 || more || err != nil {
			t.Errorf("reaped %d, %v, %v", n, more, err)
		}
	})
	checkIndex(t, s)
	s.Write(func(tx *keyspace.Tx) { must(tx.FlushAll()) })
	checkIndex(t, s)
	for db, c := range s.Keyspace().Counts() {
		if c.Keys != 0 || c.Expires != 0 {
			t.Errorf("database %d: %+v", db, c)
		}
	}
}
