package keyspace_test

import (
	"strings"
	"testing"

	"dkv/engine/keyspace"
	"dkv/engine/keyspace/keyspacetest"
)

// Records of scripts are seen in the batch that writes them, undone with it, kept by a
// flush of the databases, and there when the keyspace is opened again.
func TestScriptRecords(t *testing.T) {
	s := keyspacetest.New(t)
	list := func(tx *keyspace.Tx, prefix string) string {
		var all []string
		check(tx.ScriptRecords(prefix, func(name string, value []byte) error {
			all = append(all, name+"="+string(value))
			return nil
		}))
		return strings.Join(all, " ")
	}
	s.Write(func(tx *keyspace.Tx) {
		if tx.ReadOnly() {
			t.Error("a write Tx is read-only")
		}
		setKey(tx, 0, "key", "v", 0)
		tx.PutScriptRecord("script:b", []byte("2"))
		tx.PutScriptRecord("script:a", []byte("1"))
		tx.PutScriptRecord("library:x", []byte("3"))
		mark, before := tx.Mark(), tx.PendingRecords()
		tx.DeleteScriptRecord("script:a")
		if got := list(tx, "script:"); got != "script:b=2" {
			t.Errorf("after a deletion: %q", got)
		}
		tx.Rollback(mark)
		if tx.PendingRecords() != before {
			t.Errorf("%d records, not %d", tx.PendingRecords(), before)
		}
	})
	s.Reopen()
	s.Read(func(tx *keyspace.Tx) {
		if got := list(tx, "script:"); got != "script:a=1 script:b=2" {
			t.Errorf("scripts: %q", got)
		}
		if got := list(tx, "library:"); got != "library:x=3" {
			t.Errorf("libraries: %q", got)
		}
		value, found, err := tx.ScriptRecord([]byte("<"), "script:b")
		if string(value) != "<2" || !found || err != nil || !tx.ReadOnly() {
			t.Errorf("%q, %v, %v", value, found, err)
		}
		if _, found, _ := tx.ScriptRecord(nil, "script:c"); found {
			t.Error("there is no script:c")
		}
	})
}
