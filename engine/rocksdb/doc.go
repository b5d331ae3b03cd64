// Package rocksdb is an engine.Engine on RocksDB, through cgo. It is built with the
// tag rocksdb, which needs the library (Debian: librocksdb-dev); without the tag
// Open returns ErrNotBuilt.
//
// # Main types
//
// Options says how much memory a store uses; Open returns the engine, a front.DB
// over the tables. Cache is a block cache that several stores of a node share.
//
// # Use
//
//	db, err := rocksdb.Open(dir, rocksdb.Options{
//		BeforeFlush: log.Sync,
//		OnFlush:     wakeTruncation,
//	})
//
// # How it is put together
//
// What is applied is in package front's memtables. Nothing is ever written through
// RocksDB's own write path: its write-ahead log and its memtables stay empty, so
// nothing that it does by itself (an automatic flush, the recovery from an error,
// Close, a checkpoint) can make anything durable. A full memtable, or a list, becomes a table
// file (SstFileWriter, synced), with the delete-ranges as range tombstones, and is
// ingested: one edit of the MANIFEST, atomic and synced. RocksDB then compacts, and
// serves reads from its block cache through Bloom filters, as it always does.
//
// # Invariants
//
// A table that was ingested was written after BeforeFlush had seen to its
// batches. Tables are ingested one at a time, oldest first. So a crash leaves a
// prefix of the applied batches.
package rocksdb
