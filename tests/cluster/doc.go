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
//   - outcome_test.go: what clients are told is so, and is told to them.
//   - random_test.go: a short form of `make chaos` (package chaos), and each of its
//     faults once.
//   - load_test.go: writers that keep account of every outcome.
//
// Each failure that earlier systems of this kind are known for has a test of its
// own. What cannot be shown from outside is tested beside the code. What stands in
// quotes is a check of startLoad's writers (load.verify), a test of its own below
// each test that uses them.
//
//	a stale read after a pause              TestNoStaleReadAfterAPause
//	a stale read on a new leader            TestNoStaleReadOnANewLeader; consensus: TestNewLeaderAnswersNoMember
//	a definite error that comes true        TestDefiniteErrorNeverComesTrue, "a definite error means that nothing happened"
//	a forwarded write applied twice         cluster: TestForwardOnce; "nothing is done twice"
//	a forwarded MULTI interleaved           server: TestTransactionsForwardedAreAtomic; "transactions are not interleaved"
//	replies that reach other clients        TestRepliesReachWhoAsked, "replies reach who asked"
//	a cut off leader changes membership     TestLeaderCutOffCannotChangeMembership
//	followers that never applied            TestFollowersHaveTheData
//	a gap behind a raft snapshot            TestNoGapBehindARaftSnapshot; raftsnap: TestCrashAnywhere
//	a restart loop in a raft snapshot       TestKilledWhileReceivingARaftSnapshot; raftsnap: TestCrashAnywhere
//	node ids used again                     TestNodeIDsAreNotUsedAgain; cluster: TestRemoveUninitialised
//	removing an uninitialised node          TestRemoveANodeThatNeverCameUp; cluster: TestRemoveUninitialised
//	removing the leader                     TestRemoveTheLeader, TestRemoveNodesThatLeadShards
//	TTLs lost in a raft snapshot            TestRaftSnapshotIsWhole
//	raft snapshots that fill the disk       TestRaftSnapshotsDoNotFillTheDisk; raftsnap: TestCrashAnywhere
//	read index answers mixed up             consensus: TestRequestThatComesTwice, TestRequestThatComesLate
//	one slow peer blocks the others         TestSlowFollowerBlocksNobody; transport: TestSlowPeer
//	old values while the log is replayed    TestRestartedNodeAnswersNothingOld
//	no leader after a second leader's death TestSecondLeaderDiesSoonAfterTheFirstIsBack
//
// Tests that only wait for nodes to take writes again are parallel: go test runs
// them two by two, when those that measure how long that takes, or fill disks, have
// run alone.
//
// Partitions need root, on Linux: skipped elsewhere, a failure where CI=true.
package cluster
