package cluster

import (
	"context"
	"testing"

	"dkv/cluster/shard"
	"dkv/engine/keyspace"
)

// What the tests of a node that stands alone use of shard 0.

func (n *Node) Submit(t *shard.Task) { n.Shard(0).Submit(t) }

func (n *Node) BeginRead(tx *keyspace.Tx, snapshot bool) error {
	return n.Read(context.Background(), 0, tx, ReadOptions{Snapshot: snapshot})
}

func (n *Node) Watch() uint64 { return uint64(n.Shard(0).Applied()) }

func (n *Node) Keyspace() *keyspace.Keyspace { return n.Shard(0).Keyspace() }

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
