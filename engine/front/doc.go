// Package front makes an engine.Engine of a Store: of another library's sorted
// tables, which know nothing of the shard's log.
//
// # Main types
//
//   - DB is the engine. What is applied goes into memtables of its own; a full one
//     is handed to the Store as a whole, in the background.
//     It is an engine.Loader: a list that is sorted already goes past them.
//   - Store is what an engine has to bring: a view of what is durable, and Write,
//     which takes a Change, the contents of a memtable or a list, atomically and durably.
//
// # Use
//
//	store, err := openStore(dir)
//	...
//	db, err := front.Open(store, front.Options{
//		MemtableBytes: 32 << 20,
//		BeforeFlush:   log.Sync,
//		OnFlush:       wakeTruncation,
//	})
//
// # Why not the library's own memtables
//
// RocksDB and Badger decide for themselves when what was written becomes durable:
// RocksDB flushes when it recovers from an error, Badger's memtables are files
// that the kernel writes back when it likes, in any order. A shard needs it the
// other way round: nothing may become durable in the engine before the log has it.
// So the libraries are given nothing that the log has not synced.
//
// # Invariants
//
// A memtable that is handed to the Store is full and frozen: all of its batches
// were applied, so they are in the log, and BeforeFlush, which is called then,
// syncs them. Memtables are handed over oldest first, one at a time, each as one
// atomic change, so the Store always holds the result of a prefix of the batches.
//
// A reader holds a version: the memtables there were and a view of the Store of
// the same moment. So a flush changes nothing for it.
//
// # Goroutines and locks
//
// One flusher. Lock order: DB.writing, DB.apply, DB.mu. writing is held while a change
// is handed to the Store. The others are not held over I/O; apply is held by Apply while
// it changes the memtable, and to freeze it.
package front
