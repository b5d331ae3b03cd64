// Package cluster holds the node: its identity and folder, the log store that
// its shards share, and the shards.
//
//	n, err := cluster.Open(cluster.Options{Dir: "data"})
//	t := &shard.Task{Eval: func(tx *keyspace.Tx) { ... }}
//	n.Submit(t)
//	err = t.Wait()
//
// A node has one shard for now; which shard serves which slot is package slot.
//
// The folder of a node:
//
//	LOCK         held while a process has the folder open
//	node.json    identity and format, see identity.go
//	log/         the log of all shards, package raftlog
//	shards/0/    the engine of shard 0
//
// Invariants:
//   - A folder belongs to one process, one node id and one engine.
//   - node.json says "ready" only when log and engines have been created; until
//     then the folder holds nothing that anybody was promised.
//   - The log is synced before an engine may make applied data durable.
package cluster
