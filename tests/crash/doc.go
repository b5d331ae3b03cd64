// Package crash checks what dkvsrv promises about data when processes die,
// disks fill up and servers restart. It kills real processes; losing what was
// not synced, as in a power failure, is tested beside the code on a simulated
// disk (cluster, cluster/raftlog, engine/enginetest).
//
//   - kill_test.go: kill -9 in the middle of load, many rounds; what was
//     acknowledged is there, transactions are whole, and each connection's
//     writes are a prefix of what it sent.
//   - shutdown_test.go: SIGTERM and SHUTDOWN end in exit code 0 with all data;
//     the lock of the data folder; what stops a server from starting.
//   - disk_test.go: a full disk refuses writes, and nothing else.
//   - restart_test.go: a large data set answers soon after a crash.
//   - scan_test.go: SCAN keeps its guarantee under writes and over a restart.
//
// Environment: DKV_CRASH_ROUNDS (kills per fsync mode, for longer runs).
package crash
