// Package cluster holds the node: its identity and folder, the log store that its
// shards share, the shards, and its part in the cluster.
//
//	n, err := cluster.Open(cluster.Options{Dir: "data", PeerAddr: "h1:7000", Peers: list})
//	err = n.Run(ctx, shardID, &cluster.Request{...})         // a write, wherever the leader is
//	err = n.Read(ctx, shardID, &tx, cluster.ReadOptions{})   // here, after a read barrier
//	err = n.AddNode(ctx, "h4:7000", false)
//
// All nodes are members of all shards. Which shard serves which slot is package
// slot; what a request says only its caller knows: Run forwards opaque bytes.
//
// The folder of a node:
//
//	LOCK         held while a process has the folder open
//	node.json    identity and format, see identity.go
//	log/         the log of all shards, package raftlog
//	shards/      the engines, package raftsnap
//
// # How a cluster begins
//
// Alone: a node without a list of peers is a cluster of one. From a list: each node
// learns the others' incarnations, and all agree to the id that follows from them;
// see decide. By joining: a node with Options.Join waits until AddNode, on any
// member, welcomes it.
//
// # How it changes
//
// The members table, a record of shard 0, says who is to be a member (table.go).
// It is changed by shard 0's leader (change.go), every node follows it (keeper.go),
// and the leader of each shard brings its group's configuration to it (reconcile.go).
// So a change that was decided is finished by whoever leads, and is decided once.
//
// # Invariants
//
//   - A folder belongs to one process, one node id and one engine.
//   - node.json says "ready" only when log and engines have been created; until
//     then the folder holds nothing that anybody was promised. From then on it is
//     never emptied.
//   - What a node tells others of itself is on its disk before.
//   - The log is synced before an engine may make applied data durable.
//   - Node ids are never used again; a node is let in by cluster id, node id and
//     incarnation together.
//   - A member leaves a group only when the table says that it is leaving or that
//     it was removed. The table is read behind a read barrier before each step.
//   - A request is sent to a leader again only when it certainly did not happen,
//     or changes nothing.
//
// # Goroutines
//
// The keeper owns the identity: it forms or joins the cluster, follows the table,
// and leaves. Each shard has one that follows its leader (route.go) and one that
// reconciles; one balances the leaders of all (balance.go); each raft snapshot that
// is sent has one. Close waits for all. Node.mu is a leaf.
package cluster
