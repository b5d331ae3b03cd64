// Package consensus drives one Raft group on go.etcd.io/raft/v3.
//
// A Group owns a raft.RawNode, which one goroutine at a time touches: that of the
// Worker, which drives several groups, or one of the group's own while it does
// something that takes long. Proposals, messages of peers, reads and ticks come in
// over channels; in each of its rounds the worker takes what has come and does what
// raft asks for: it hands messages to the Transport, writes to the groups' logs
// (which sync once, as their fsync mode says) and applies what is committed to the
// StateMachines.
//
//	g, err := consensus.Start(consensus.Options{ID: 1, Log: log.Shard(0), ...})
//	p := &consensus.Proposal{Term: term, Data: batch}
//	g.Propose(p)
//	err = p.Wait()
//	err = g.ReadBarrier(ctx) // then read what is applied
//
// All that decides stands in core, which has no goroutine and no clock, so that a
// simulation drives a whole cluster of them from one seed (sim_test.go).
//
// Invariants:
//   - A proposal carries the term under which its batch was evaluated. It is
//     refused, with ErrTermChanged, when the term has moved on.
//   - StateMachine.Leading(term) is called only after an entry of that term was
//     applied, so whoever evaluates then has seen every earlier commit.
//   - An entry is applied only after the log has taken it at the durability of
//     the fsync mode, and entries are applied in the order of their indexes.
//   - What a member promises (a vote, an entry it has) leaves only after it is in
//     the log. A leader's entries may leave before: it counts itself only then.
//   - A proposal ends in exactly one of: applied; ErrTermChanged or
//     ErrNotLeader (it did not happen and never will); ErrUncertain. A leader that
//     loses its office waits for the fate of what is in its log, for two election
//     timeouts, before it says ErrUncertain.
//   - A read is served by a read index request that was made after it came, and a
//     request's context is never used twice. A leader answers when a majority was in
//     its term after that: by their heartbeats, or by the request itself.
//   - A failed append is fatal: the group stops and never acknowledges again. A
//     full disk is not: the member waits, and is like one that is cut off.
//
// Raft's own proposal forwarding is off: a batch holds effects, evaluated on a
// state that only the leader of that term is sure of.
//
// The membership at the applied index comes from the state machine, which writes
// it with its data (ApplyConf), and not from the log: after a crash entries are
// applied again from there on, and each membership change is met exactly where
// it belongs.
package consensus
