// Package hot is an Engine over an Engine that answers point reads of recent and
// hot records from a hash table in memory, and takes writes there.
//
// # Main types
//
//   - Layer holds writes back: batches are applied in memory and written down later
//     as one sorted change of the engine below (docs/adr/0018-hot-layer.md).
//   - DB writes through: the engine gets each batch at once (docs/adr/0004-hot-table.md).
//
// # Use
//
//	e := hot.NewLayer(db, hot.Options{Bytes: 128 << 20, WriteBytes: 64 << 20})
//
// Why: a point read of an ordered store searches a skiplist and several sorted
// tables, 10 to 20 cache misses; the table takes one or two. The writer reads
// every key before it changes it. And a write into an ordered store is the same
// search again, for each record, while a sorted batch is none.
//
// # The table
//
// A stripe (of 256, by hash) has a lock, a hash table of slots and a ring of clean
// records, those that the engine has as well. A slot points into the ring or into
// one of a Layer's generations: the active one, which is written to, or the frozen
// one, which is being written down. A record of a generation is a key with its
// versions, newest first; each version and each delete-range has a number, and
// what readers see is one number (Layer.visible).
//
// # Runs
//
// A Layer keeps ranges of keys that are read again and again as a whole, such as a list's
// first hundred elements, decoded (runs.go). Options.Group says which keys belong
// together; a run is good as long as nothing of its group was written.
//
// # Invariants of a Layer
//
//   - A record in the ring is the engine's present record for that key, but for
//     ranges that generations above have deleted.
//   - The engine has the batches up to the end of a generation, each whole.
//   - All records of the frozen generation are older than those of the active one,
//     and all of them are visible.
//   - A version is changed only when no open view and no point read can ask for
//     it (generation.addVersion, spare).
//   - No key of the engine, or of a generation before, carries a version above
//     generation.versions (see fresh.go).
//   - A run shows its range in every state from the last write to its group on.
//   - A view without a base: the engine has nothing newer than the view's frozen
//     generation (Layer.settleViews). So while Layer.settled is what it was when the view
//     was made, what the engine says is what the view is to see.
//
// # Invariants of a DB
//
// A reader must never see half a batch, so Apply puts the batch's records into the
// table, hidden; applies the batch to the engine, which is atomic; reveals the
// records. A read of a hidden record goes to the engine.
//
// Of both: a read that missed the table puts what the engine said there only if the
// key has no record, and no record of its stripe has gone since: whoever wrote the
// key meanwhile left one. Memory of clean records is bounded by Options.Bytes.
//
// # Goroutines and locks
//
// A Layer has one that writes down. Lock order: Layer.apply, viewList.mu, an index's,
// a stripe's; one stripe at a time. While a part of the runs is locked no other lock is
// taken. The engine is asked for a snapshot under viewList.mu; no other lock is held while
// it is called.
package hot
