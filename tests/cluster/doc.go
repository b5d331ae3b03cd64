// Package cluster tests clusters of dkvsrv from outside, as their users see
// them: real processes, killed, stopped and cut off from each other (package
// harness), clients on all nodes.
//
//   - failover_test.go: leaders die: nothing is lost, nothing is done twice, no
//     reply reaches another client, and writes flow again soon.
//   - stale_test.go: no node answers with what is not true any more, after a
//     pause, cut off, or while it starts.
//   - partition_test.go: the network comes apart; membership changes meanwhile.
//   - member_test.go: adding, removing, replacing nodes, the leader among them.
//   - behind_test.go: nodes that were away for long, or are slow, or full.
//   - clock_linux_test.go: clocks that jump.
//   - random_test.go: a short form of `make chaos` (package chaos).
//   - load_test.go: writers that keep account of every outcome.
//
// Each failure that earlier systems of this kind are known for has a test that
// is named after it. What cannot be shown from outside is tested beside the
// code: cluster, cluster/consensus, cluster/shard, cluster/raftsnap.
//
// Tests that only wait for nodes to take writes again are parallel: go test runs
// them two by two, when those that measure how long that takes, or fill disks, have
// run alone.
//
// Partitions need root, on Linux: skipped elsewhere, a failure where CI=true.
package cluster
