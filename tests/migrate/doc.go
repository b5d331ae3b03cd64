// Package migrate checks how data moves between a Redis server and dkv, with real
// processes and Debian's redis-server.
//
//   - live_test.go: REPLICAOF of a Redis server under writes, until the application
//     has moved.
//   - kill_test.go: kill -9 of dkv, and restarts of the source, in the middle of it.
//   - refuse_test.go: what dkv does not have is named, and nothing is changed.
//   - file_test.go: RDB files in and out.
package migrate
