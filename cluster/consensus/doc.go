// Package consensus drives one Raft group on go.etcd.io/raft/v3.
//
// A Group owns a raft.RawNode and one goroutine, the only one that touches it.
// Proposals and ticks come in over channels; each round of the loop takes what
// raft has ready, writes it to the group's log (which syncs as its fsync mode
// says), applies what is committed to the StateMachine, and tells raft.
//
//	g, err := consensus.Start(consensus.Options{ID: 1, Log: log.Shard(0), ...})
//	p := &consensus.Proposal{Term: term, Data: batch}
//	g.Propose(p)
//	err = p.Wait()
//
// Invariants:
//   - A proposal carries the term under which its batch was evaluated. It is
//     refused, with ErrTermChanged, when the term has moved on.
//   - StateMachine.Leading(term) is called only after an entry of that term was
//     applied, so whoever evaluates then has seen every earlier commit.
//   - An entry is applied only after the log has taken it at the durability of
//     the fsync mode, and entries are applied in the order of their indexes.
//   - A proposal ends in exactly one of: applied; ErrTermChanged or
//     ErrNotLeader (it did not happen and never will); ErrUncertain.
//   - A failed append is fatal: the group stops and never acknowledges again.
//
// Raft's own proposal forwarding is off: a batch holds effects, evaluated on a
// state that only the leader of that term is sure of.
package consensus
