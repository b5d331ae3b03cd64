// Command dkvbench puts load on a server that speaks the Redis protocol, and
// reports throughput and latency percentiles.
//
//	dkvbench set -c 50 -r 1000000 -duration 10s
//	dkvbench ycsb-b -load -r 1000000 -rate 20000
//	dkvbench get -P 32 -compare 127.0.0.1:6380 -rounds 5
//
// docs/dkvbench.md is the reference.
//
// How it is built: options.go makes a config of the flags; workload.go names
// the operations of a workload and generator.go writes their requests, with
// keys from keys.go and values from values.go; client.go is one connection,
// driven as fast as replies come (closed loop) or by a schedule (pacer.go);
// reply.go skips through what comes back; record.go collects latencies;
// phase.go runs all connections for a while; compare.go runs two servers in
// turn; report.go and json.go print.
//
// Two things decide whether figures of a load generator mean anything, and
// shape this one. It shares the machine with the server, so it spends as little
// as it can: requests are written from templates, a pipeline is one system
// call, replies are skipped and not built, latencies are recorded a read at a
// time. And with -rate an operation's latency counts from when the schedule
// wanted it sent, so that a server that stalls cannot hide the operations that
// would have hit the stall ("coordinated omission").
//
// Invariant: what could not be measured to its end (unanswered, or not even
// sent, when the run ended) is in the percentiles with the time it had waited.
package main
