// Command bench measures dkvsrv against redis-server on this machine, a cluster
// of three nodes against etcd and against one node, asynchronous replicas, the
// storage engines, and YCSB with and without the hot layer, and prints tables, as
// Markdown for docs/benchmarks.md. `make bench`, `make bench-cluster`, `make
// bench-replicas`, `make bench-engines` and `make bench-ycsb` run it.
//
//	go run ./tests/bench                 the speed rows, some ten minutes
//	go run ./tests/bench -quick          one short round, to see that it works
//	go run ./tests/bench -rows memory    resident memory with 10M keys, some minutes
//	go run ./tests/bench -rows families  commands of the collections, counters, a script
//	go run ./tests/bench -rows queues    queues of 10M operations, latencies a million
//	go run ./tests/bench -rows collections
//	                                     10M elements: filled, deleted, space given back
//	go run ./tests/bench -rows hot       what the hot layer is to reach: the speed rows, MSET, MGET, 1000
//	                                     clients, collections, the storage engines beside each other
//	go run ./tests/bench -cluster        three nodes, some fifteen minutes
//	go run ./tests/bench -cluster -rows outage
//	                                     how long no write goes through when the leader dies
//	go run ./tests/bench -replicas       lag, catching up, full copies, what replicas cost; some ten minutes
//	go run ./tests/bench -replicas -rows catchup -behind 10000000
//	go run ./tests/bench -engines -rows pebble
//	                                     10M keys in an engine, some five minutes each
//	go run ./tests/bench -ycsb -svg y.svg
//	                                     YCSB on 20M keys in 512 MiB, a quarter of an hour
//
// The load is Debian's redis-benchmark, -c 50 -d 100 -r 1000000, at -P 1 and
// -P 32. Both servers run all the time with the same durability and their data
// on the same disk; they are measured in turn, the order changing from round to
// round, and a row is the median of the rounds. Nothing is measured before both
// servers are at rest: background work of the last run (compaction, rewriting
// the AOF, writing dirty pages) would be charged to the next.
//
// Rows of families begin each run with nothing, or, where elements are taken away, with
// as many as the run takes. Queues and large collections are used by this program's
// own clients, and compared with themselves: a later million with the first, a
// folder's size before and afterwards.
//
// With -cluster the load is this program's own (clusterload.go, go-redis) and,
// for etcd, that of etcdload, a Go module of its own in the folder of that name,
// which does the same through etcd's client. Its rules are those above: both
// sides run all the time and are measured in turn, at rest.
//
// With -replicas the source is loaded by redis-benchmark, or at a given rate by
// pace.go. Lag is that of keys which are written beside the load (lag.go). With
// -engines the load is dkvbench's, whose values do not compress. So it is with
// -ycsb, where two nodes begin with the same data and have the same memory: one with
// the hot layer, one that has its memory as block cache instead.
//
// Nothing else should run on the machine. Servers are gone and their data
// removed when the program ends; with -cluster also when it is interrupted.
package main
