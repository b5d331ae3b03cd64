// Package pebbledb is the default engine: an engine.Engine on Pebble, in pure
// Go, on disk or in memory.
//
// # Main types
//
// DB is the engine; Options says where it lives and how much memory it uses.
// Cache is a block cache that several DBs of a node share.
//
// # Use
//
//	db, err := pebbledb.Open(dir, pebbledb.Options{
//		BeforeFlush: log.Sync, // the log is never behind the store's durable state
//		OnFlush:     wakeTruncation,
//	})
//	...
//	err = db.Apply(batch.Repr())
//
// # How it is put together
//
// Pebble runs without its write-ahead log. All file access goes through one
// wrapper (guardFS in fs.go), which is where the promises beyond Pebble's own
// are kept:
//
//   - BeforeFlush is called before a table is created that holds data which was
//     in memory only (Load, which goes past the memtables, calls it itself);
//   - tables are refused before the disk is quite full, so that the few writes
//     which Pebble cannot survive failing (its MANIFEST) always find room; one
//     that finds none all the same gets the ballast's, or waits;
//   - failed flushes and compactions are retried with a growing delay (Pebble
//     itself retries at once, for ever);
//   - after a fatal error nothing on disk is changed any more.
//
// # Invariants
//
// Everything in the tables of the newest durable MANIFEST was applied before
// the BeforeFlush call that preceded those tables. Memtables are flushed oldest
// first, and before Load adds its tables, all at once, so a crash leaves a prefix of
// the applied batches.
//
// Lock order: DB.mu of Pebble is held while its event callbacks run; they take
// events.mu and guard.mu (never both), and nothing that holds one of these calls
// Pebble.
package pebbledb
