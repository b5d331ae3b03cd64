// Command bench measures dkvsrv against redis-server on this machine and prints
// the ratios, as Markdown for docs/benchmarks.md. `make bench` runs it.
//
//	go run ./tests/bench                 the speed rows, some ten minutes
//	go run ./tests/bench -quick          one short round, to see that it works
//	go run ./tests/bench -rows memory    resident memory with 10M keys, some minutes
//
// The load is Debian's redis-benchmark, -c 50 -d 100 -r 1000000, at -P 1 and
// -P 32. Both servers run all the time with the same durability and their data
// on the same disk; they are measured in turn, the order changing from round to
// round, and a row is the median of the rounds. Nothing is measured before both
// servers are at rest: background work of the last run (compaction, rewriting
// the AOF, writing dirty pages) would be charged to the next.
//
// Nothing else should run on the machine.
package main
