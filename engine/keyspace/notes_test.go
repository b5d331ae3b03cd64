package keyspace_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"dkv/engine"
	"dkv/engine/keyspace"
	"dkv/engine/keyspace/keyspacetest"
)

// notesOf returns the events in a batch.
func notesOf(t testing.TB, repr []byte) (events []string) {
	r := must(engine.ReadBatch(repr))
	for {
		kind, key, value, ok, err := r.Next()
		check(err)
		if !ok {
			return events
		}
		if kind == engine.KindPut && bytes.Equal(key, keyspace.NotesKey) {
			check(keyspace.EachNote(value, func(e keyspace.Event) {
				events = append(events, fmt.Sprintf("%d %d %s %s", e.Class, e.DB, e.Name, e.Key))
			}))
		}
	}
}

// TestNotes: what a batch notes is in the batch, and only what is asked for; what a
// command that failed has noted is not.
func TestNotes(t *testing.T) {
	s := keyspacetest.New(t)
	var n keyspace.Notifier
	s.Keyspace().SetNotifier(&n)
	var got []string
	s.Applied = func(repr []byte) { got = append(got, notesOf(t, repr)...) }
	expect := func(want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("noted %q, want %q", got, want)
		}
		got = nil
	}
	set := func(tx *keyspace.Tx, key string, expireAt int64) {
		e := must(tx.Find(0, []byte(key)))
		tx.SetString(&e, []byte("v"), expireAt, keyspace.FormAuto)
		tx.Note(keyspace.ClassString, "set", 0, []byte(key))
	}
	s.Write(func(tx *keyspace.Tx) { set(tx, "a", 0) })
	expect()
	n.Set(keyspace.ClassAll | keyspace.ClassNew)
	s.Write(func(tx *keyspace.Tx) {
		set(tx, "a", 0)
		mark := tx.Mark()
		set(tx, "failed", 0)
		tx.Rollback(mark)
		set(tx, "b", s.Now+10)
		set(tx, "c", s.Now+10)
	})
	expect("2 0 set a", "2048 0 new b", "2 0 set b", "2048 0 new c", "2 0 set c")
	// One expires by being overwritten, the other by the reaper.
	s.Now += 20
	s.Write(func(tx *keyspace.Tx) {
		set(tx, "b", 0)
		_, _, _, err := s.Keyspace().Reap(tx, nil, 10)
		check(err)
	})
	expect("64 0 expired b", "2048 0 new b", "2 0 set b", "64 0 expired c")
	n.Set(keyspace.ClassString)
	s.Write(func(tx *keyspace.Tx) { set(tx, "d", 0) })
	expect("2 0 set d")
	s.Write(func(tx *keyspace.Tx) { must(tx.FlushAll()) })
	expect()
	s.Attempt(func(tx *keyspace.Tx) { set(tx, "e", 0) })
	s.Write(func(tx *keyspace.Tx) { set(tx, "f", 0) })
	expect("2 0 set f")
}

// TestNotesReplace: a key in the place of another one is new after RENAME and COPY, but
// not after a command that stores its result.
func TestNotesReplace(t *testing.T) {
	s := keyspacetest.New(t)
	var n keyspace.Notifier
	n.Set(keyspace.ClassNew)
	s.Keyspace().SetNotifier(&n)
	var got []string
	s.Applied = func(repr []byte) { got = append(got, notesOf(t, repr)...) }
	s.Write(func(tx *keyspace.Tx) {
		for _, key := range []string{"a", "b"} {
			e := must(tx.Find(0, []byte(key)))
			tx.SetString(&e, nil, 0, keyspace.FormAuto)
		}
		a := must(tx.Find(0, []byte("a")))
		b := must(tx.FindTarget(0, []byte("b")))
		check(tx.Move(&a, &b))
		b = must(tx.Find(0, []byte("b")))
		tx.Delete(&b)
		tx.SetString(&b, nil, 0, keyspace.FormAuto)
	})
	if want := []string{"2048 0 new a", "2048 0 new b", "2048 0 new b"}; !slices.Equal(got, want) {
		t.Errorf("noted %q, want %q", got, want)
	}
}

// TestMiss: only lookups for reading tell of keys that are not there.
func TestMiss(t *testing.T) {
	s := keyspacetest.New(t)
	var n keyspace.Notifier
	var missed []string
	n.OnMiss(func(db int, key []byte) { missed = append(missed, fmt.Sprint(db, string(key))) })
	s.Keyspace().SetNotifier(&n)
	look := func(tx *keyspace.Tx) {
		must(tx.Read(1, []byte("read")))
		must(tx.Peek(2, []byte("peeked")))
		must(tx.Find(3, []byte("found")))
		must(tx.Inspect(4, []byte("inspected")))
	}
	s.Read(look)
	if len(missed) != 0 {
		t.Errorf("%q without being asked", missed)
	}
	n.Set(keyspace.ClassMiss)
	s.Read(look)
	s.Write(look)
	if want := []string{"1read", "2peeked", "1read", "2peeked"}; !slices.Equal(missed, want) {
		t.Errorf("missed %q, want %q", missed, want)
	}
}

// FuzzEachNote: no record panics, and an event lies in its record.
func FuzzEachNote(f *testing.F) {
	f.Add([]byte{1, 0, 2, 0, 3, 's', 'e', 't', 1, 'k'})
	f.Add([]byte{1, 0, 2, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{2, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		bytesOfEvents := 0
		err := keyspace.EachNote(b, func(e keyspace.Event) { bytesOfEvents += len(e.Name) + len(e.Key) + 5 })
		if err != nil && !errors.Is(err, keyspace.ErrCorrupt) {
			t.Fatalf("an error that is not ErrCorrupt: %v", err)
		}
		if bytesOfEvents > len(b) {
			t.Fatalf("%d bytes of events in a record of %d", bytesOfEvents, len(b))
		}
	})
}
