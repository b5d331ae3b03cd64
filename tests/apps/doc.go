// Package apps runs real applications on top of dkv: job queues whose workers are
// killed in mid-job (BullMQ, asynq, and one of lists as Sidekiq has it), locks, rate
// limiters, sessions, and what the usual client libraries offer, in Go, Node.js and
// Python. All run against one node and against clusters of three, with
// cluster-redirect and without; the queues also while the leader is killed.
//
// The programs in node/ take their libraries from a folder outside of this tree, which
// `tests/tools.sh install` (so `make test`) fills from package-lock.json;
// `tests/tools.sh node-modules` prints where it is. Those in python/ take Debian's
// python3-redis and python3-hiredis. A worker in Go is this test's own binary, see
// TestMain.
//
// Invariants:
//   - What a job does is one change that counts: what was lost shows as 0, what was done
//     twice as 2. How often a job may be done is what its queue promises.
//   - A worker that a test started ends with it: it ends when its input does.
package apps
