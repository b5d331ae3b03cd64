// Package shard is the single-writer pipeline over one ordered log and one
// engine: evaluate, propose, apply, reply.
//
// Tasks are queued by connections. One writer goroutine drains the queue into a
// batch: it evaluates the tasks in order, each seeing the writes of those before
// it, and proposes the mutations as one log entry. When the entry has been
// committed and applied, every task of the batch is told. While one batch is in
// flight the next one accumulates, so the log is synced once for all that came
// in the meantime and no task ever sees uncommitted data of another batch.
//
//	t := &shard.Task{Eval: func(tx *keyspace.Tx) { ... }}
//	s.Submit(t)
//	err := t.Wait()
//
// A task that finds nothing to do may ask to be parked: it is evaluated again when a
// key that it wishes for was changed, in the batch of whoever changed it (park.go,
// lot.go).
//
// Reads do not come here: they run on the caller's goroutine over the engine of
// any member, after BeginRead has waited for the read barrier.
//
// A member that does not lead refuses tasks at once, and applies what the leader's
// log brings (apply.go). When the log it needs is gone, a raft snapshot replaces
// its engine (restore.go): what reads the old one goes on with it until it is done.
//
// A replica's shard follows the log of a source instead of evaluating: each task
// brings some of the source's batches and becomes one entry of the shard's own log,
// with the position in the source's log beside the data (source.go). Who serves
// replicas reads committed entries from the log (feed.go).
//
// Invariants:
//   - At most one batch is in flight.
//   - A batch's first record is the position (log index) that it leads to, so
//     the engine's applied index and its data change in one engine write.
//   - Data, key counts and applied index are published before a task is told.
//   - Tasks of a batch that wrote nothing are told only after a majority has
//     confirmed that this node still led after they were evaluated.
//   - Position, membership and data change in one engine write, so the state that
//     a crash leaves, or that a raft snapshot carries, is of one index.
//   - An error from Task.Wait means that the task's writes did not happen and
//     never will, except ErrUncertain.
//   - A task is parked only where this node leads, and has written nothing: what ends
//     its wait otherwise than by evaluating it says so, and means it.
//   - The log is cut only below the position that the engine has made durable.
//
// Goroutines: the writer, the consensus group's (which applies), and one for
// upkeep (expiry, log truncation). Close stops them in that order.
package shard
