package cluster

import (
	"testing"

	"dkv/engine/keyspace"
)

// putString sets key in database 0. An error ends the test binary: it is a
// failure of an engine in memory.
func putString(tx *keyspace.Tx, key, value string) {
	e, err := tx.Find(0, []byte(key))
	if err != nil {
		panic(err)
	}
	tx.SetString(&e, []byte(value), 0, keyspace.FormAuto)
}

func getString(t *testing.T, n *Node, key string) (string, bool) {
	t.Helper()
	var tx keyspace.Tx
	if err := n.BeginRead(&tx, false); err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	e, err := tx.Read(0, []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return string(e.Body), e.Exists()
}
