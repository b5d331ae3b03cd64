// Package hot is an Engine over an Engine that answers point reads of recent and
// hot records from a hash table in memory.
//
//	e := hot.Wrap(db, hot.Options{Bytes: 128 << 20})
//
// Why: a point read of an ordered store searches a skiplist and several sorted
// tables, 10 to 20 cache misses; the table takes one or two. The writer reads
// every key before it changes it, so writes gain as much as reads.
//
// The table writes through: Apply hands a batch to the engine below at once, and
// the table holds nothing that the engine does not. So what is durable, iterators,
// snapshots and checkpoints are the engine's own. (The next step, in which the
// table holds writes back and hands them down in sorted batches, keeps this
// interface.)
//
// Consistency. A reader must never see half a batch: one key new and, in a later
// read, another key of the same batch still old. So Apply
//
//  1. puts the batch's records into the table, hidden,
//  2. applies the batch to the engine, which is atomic,
//  3. reveals the records.
//
// A read of a hidden record goes to the engine. A read that missed the table puts
// what the engine said there only if the key has no record, and no record of its
// stripe has gone since: whoever wrote the key meanwhile left one. A batch with a
// delete-range empties the table, and nothing is filled in until it is applied.
//
// Invariants:
//   - A record in the table is the engine's present record for that key.
//   - Memory for records is bounded by Options.Bytes.
//
// Lock order: one stripe at a time; no lock is held while the engine is called.
package hot
