// Package chaos runs a cluster of real processes under load while it breaks
// them, their network, disks and clocks, and then decides whether clients were
// told the truth.
//
//	result, err := chaos.Run(chaos.Options{Time: time.Minute, Seed: 1, Dir: dir, Log: t.Logf})
//	for _, v := range result.Violations { ... }
//
// A run goes in rounds. In a round clients on all nodes read and write keys
// that belong to the round, and record every call (package history), while one
// fault after the other is brought about and taken back; membership changes in
// the middle of some. After each fault all nodes must take writes again within
// a limit. Then the load stops, all nodes are killed or stopped and started,
// every key is read on every node, the contents of all nodes must be equal
// (DEBUG DIGEST after READONLY), and the histories are checked, the last reads
// as a part of them. What a round left must be there in all later rounds.
//
//   - options.go, run.go: Options, Run, rounds, verification.
//   - client.go, command.go: the load; replies as outcomes.
//   - counter.go: reads that may be stale, but must not go backwards.
//   - fault.go, fault_list.go, member.go: what is done to the cluster.
//
// The seed decides which faults come in which order, for how long and to whom
// (the leader, the second follower ...), not when the scheduler lets what run:
// the same seed tries the same thing again, it does not replay it.
//
// With Options.Each there is one round, of each fault once: while a follower that was far
// behind is sent a raft snapshot, and with a change of the membership in the middle.
//
// The long form is `make chaos CHAOSTIME=1h CHAOSSEED=n`. A short one is in
// tests/cluster, with the tests of single faults.
package chaos
