// Package replica checks asynchronous replicas with real processes.
//
//   - follow_test.go: what a replica serves, refuses and says of itself; promotion,
//     chains, passwords; a cluster as source.
//   - kill_test.go: kill -9 of replica and source under load, again and again.
//   - copy_test.go: a full copy under writes; a replica that was away for too long.
//   - wait_test.go: WAIT, WAITAOF, min-replicas-to-write, stale data.
package replica
