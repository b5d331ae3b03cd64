// Command etcdload puts load on an etcd cluster and prints how many operations
// a second it did, for tests/bench, which builds and runs it.
//
//	etcdload -endpoints h:1,h:2,h:3 -op put -clients 50 -seconds 6 -keys 1000000 -value-bytes 100
//
// It does what clusterload.go in tests/bench does to dkv: each client has a
// connection of its own to one of the members, in turn, and one operation in
// flight; keys are drawn at random from the key space; connecting is not
// measured. Gets are linearizable, which is etcd's default. `-op fill` puts
// every key once, many in a transaction, and is not a measurement.
//
// Output: operations a second, and how many operations failed.
package main
