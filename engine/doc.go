// Package engine is the ordered key-value store that a shard keeps its data in:
// the interface, the batch that changes it, and a view of a batch being built.
//
// # Main types
//
//   - Engine is a store, Reader what can be read (an engine, a Snapshot, an
//     Overlay), Iterator a walk over it in both directions.
//   - Batch is a list of mutations in a versioned wire form. The same bytes are
//     an entry of the shard's log and what Engine.Apply takes.
//   - Overlay is a Reader that sees a batch being built over another Reader, so
//     that a command reads the writes of the commands before it in its batch.
//
// # Use
//
//	db, err := pebbledb.Open(dir, pebbledb.Options{})
//	...
//	ov := engine.NewOverlay(db)
//	ov.Put(key, value)
//	v, found, err := ov.Get(nil, key) // sees the Put
//	...
//	err = ov.Rest()
//	err = db.Apply(ov.Batch().Repr()) // after the log has the same bytes
//	ov.Reset(db)
//
// # Invariants
//
// An engine has no write-ahead log: the shard's log is that. What a crash
// leaves is the result of a prefix of the applied batches, each whole or absent;
// a shard writes the index of the entry into the batch (a plain key to the
// engine), so the store always tells which prefix it holds. Mutations are
// absolute, so replaying entries that the store already has is harmless.
//
// Implementations live below this package (pebbledb, and others beside it);
// enginetest is the suite that each of them passes. The package knows nothing of
// the log, of raft, or of Redis.
package engine
