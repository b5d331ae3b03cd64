// Package badgerdb is an engine.Engine on Badger, in pure Go, on disk or in memory.
//
// # Main types
//
// Options says where a store lives and how much memory it uses; Open returns the
// engine, a front.DB over Badger.
//
// # Use
//
//	db, err := badgerdb.Open(dir, badgerdb.Options{
//		BeforeFlush: log.Sync,
//		OnFlush:     wakeTruncation,
//	})
//
// # How it is put together
//
// What is applied is in package front's memtables. A full one, or a list that is
// loaded, is written to Badger in the order of its keys, in as many writes as Badger's
// limits ask for, all at one timestamp, one above that of the change before: Badger keeps
// versions, and is in managed mode, where the caller says which. Each write is synced.
// Then, in a write of its own, a mark is set to that timestamp: only now does it exist. Readers read at the
// timestamp of the last mark, so half a change is never seen; a view is a
// timestamp, and costs nothing.
//
// Open looks for versions above the mark, which a crash in the middle of a change
// left, and takes them back: each key gets what it was at the mark, at a timestamp
// above the leavings, and the mark is set to that. The same is done before the next
// change when a list has failed.
//
// Badger has no range deletions: the keys in a range are looked up and deleted one
// by one, when the memtable is written. Applying one is cheap, and reads skip it at
// once; the flush after it costs a write for each key.
//
// # Invariants
//
// Everything at or below the mark was applied before the BeforeFlush call that
// preceded it; changes are written one at a time, oldest first. So a crash leaves,
// once Open is done, a prefix of the applied batches.
//
// Badger may forget versions at or below the timestamp of the oldest open view
// that are hidden by others there.
package badgerdb
