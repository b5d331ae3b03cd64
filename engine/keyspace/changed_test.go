package keyspace_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"dkv/engine"
	"dkv/engine/keyspace"
	"dkv/engine/keyspace/keyspacetest"
)

// changeLog writes down what EachChange tells.
type changeLog []string

func (l *changeLog) Key(key []byte)           { *l = append(*l, "key "+string(key)) }
func (l *changeLog) Owned(writer, key []byte) { *l = append(*l, fmt.Sprintf("%s's %s", writer, key)) }
func (l *changeLog) All()                     { *l = append(*l, "all") }

// TestEachChange: a batch names each key that it changes, whatever kind of records that
// takes, and what was undone it does not.
func TestEachChange(t *testing.T) {
	s := keyspacetest.New(t)
	var n keyspace.Notifier
	s.Keyspace().SetNotifier(&n)
	var got changeLog
	s.Applied = func(repr []byte) { check(keyspace.EachChange(repr, &got)) }
	expect := func(what string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: told %q, want %q", what, got, want)
		}
		got = nil
	}
	set := func(tx *keyspace.Tx, db int, key string) {
		e := must(tx.Find(db, []byte(key)))
		tx.SetString(&e, []byte("v"), 0, keyspace.FormAuto)
	}
	field := func(tx *keyspace.Tx, key, f string) {
		c := must(tx.Collection(must(tx.Find(0, []byte(key))), keyspace.TypeHash))
		must(c.Put([]byte(f), []byte("v")))
		check(c.Save())
	}
	s.Write(func(tx *keyspace.Tx) { set(tx, 0, "a"); set(tx, 3, "b") })
	expect("strings", "key a", "key b")
	s.Write(func(tx *keyspace.Tx) {
		mark := tx.Mark()
		set(tx, 0, "undone")
		tx.Rollback(mark)
		e := must(tx.Find(0, []byte("a")))
		tx.Delete(&e)
	})
	expect("a deletion", "key a")
	for _, key := range []string{"h", "i", "small"} {
		s.Write(func(tx *keyspace.Tx) {
			for f := range 300 {
				if field(tx, key, fmt.Sprint(f)); key == "small" {
					break
				}
			}
		})
	}
	got = nil
	s.Write(func(tx *keyspace.Tx) {
		field(tx, "h", "1")
		field(tx, "h", "2")
		field(tx, "i", "1")
		mark := tx.Mark()
		field(tx, "h", "3")
		tx.Rollback(mark)
		field(tx, "i", "1")
		field(tx, "h", "1")
	})
	expect("fields with records of their own", "key h", "key i", "key i", "key h")
	s.Write(func(tx *keyspace.Tx) {
		mark := tx.Mark()
		field(tx, "h", "1")
		tx.Rollback(mark)
		field(tx, "h", "1")
	})
	expect("a field that is written again behind one that was undone", "key h")
	s.Write(func(tx *keyspace.Tx) { field(tx, "small", "0"); set(tx, 0, "a") })
	expect("no change", "key a")
	n.Track(true)
	s.Write(func(tx *keyspace.Tx) { field(tx, "small", "0"); set(tx, 0, "a") })
	expect("no change, where somebody tracks", "key a", "key small")
	n.Track(false)

	s.Write(func(tx *keyspace.Tx) {
		tx.SetWriter([]byte("A"))
		field(tx, "h", "1")
		field(tx, "h", "2")
		set(tx, 0, "a")
		tx.SetWriter(nil)
		field(tx, "h", "1")
		tx.SetWriter([]byte("B"))
		field(tx, "h", "1")
		tx.SetWriter(nil)
	})
	// The notes are the last record: three changes of h, of which A and B made one each.
	expect("writers", "key a", "key h", "A's h", "A's a", "key h", "key h", "B's h")

	s.Write(func(tx *keyspace.Tx) { must(tx.FlushDB(0)) })
	if !slices.Contains(got, "all") {
		t.Errorf("FLUSHDB by keys: told %q", got)
	}
	got = nil
	s.Write(func(tx *keyspace.Tx) {
		for i := range 100 {
			set(tx, 5, fmt.Sprint(i))
		}
	})
	got = nil
	s.Write(func(tx *keyspace.Tx) { must(tx.FlushDB(5)) })
	expect("FLUSHDB by ranges", "all", "all")
	s.Write(func(tx *keyspace.Tx) { must(tx.FlushDB(5)) })
	expect("FLUSHDB of nothing")
	s.Write(func(tx *keyspace.Tx) { tx.SwapDB(1, 2) })
	expect("SWAPDB", "all")
}

// FuzzEachChange: any batch is told or refused.
func FuzzEachChange(f *testing.F) {
	var b engine.Batch
	b.Put([]byte("m\x00\x00\x01key"), []byte{1})
	b.Delete([]byte("m\x01\x00\x01other"))
	b.DeleteRange([]byte("m\x01"), []byte("m\x02"))
	b.Put([]byte("sdbmap"), make([]byte, 16))
	b.Put(keyspace.NotesKey, []byte("\x01\x40\x00\x00\x00\x03key\x80\x00\x00\x01w\x03key\x40\x00\x00\x05flush\x00"))
	f.Add(bytes.Clone(b.Repr()))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, repr []byte) {
		var l changeLog
		_ = keyspace.EachChange(repr, &l)
	})
}
