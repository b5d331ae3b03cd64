// Package keyspacetest runs transactions over an engine in memory, as a shard does,
// for tests of what is built on a keyspace.
//
//	s := keyspacetest.New(t)
//	s.Write(func(tx *keyspace.Tx) { ... })
//	s.Now += 1000
//	s.Read(func(tx *keyspace.Tx) { ... })
package keyspacetest
