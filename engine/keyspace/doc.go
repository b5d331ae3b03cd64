// Package keyspace is Redis's data model over an ordered key-value engine: 16
// logical databases of typed keys with expiry, read and written through a Tx.
//
// # Main types
//
//   - Keyspace is what a shard keeps in memory beside its engine: the map from
//     logical to physical databases (so that SWAPDB is a swap in the map), key
//     counts, recent changes for WATCH, positions of scans. One per shard.
//   - Tx is a view of the keyspace for one command or one batch of commands. It is
//     owned by one goroutine and reused, so that a GET or SET allocates nothing.
//   - Entry is a key as a Tx found it; Meta is its decoded record.
//   - Collection is what an Entry of a hash, set or sorted set holds: elements with
//     values, inline in the Meta record or in records of their own. List is that of a
//     list, whose elements have positions.
//   - Stream is what an Entry of a stream holds; Group, Consumer and Pending are what
//     consumers of it have read.
//
// # Use
//
//	ks, err := keyspace.Open(eng)
//	...
//	var tx keyspace.Tx            // kept by a connection
//	ks.BeginRead(&tx, eng, now)
//	e, err := tx.Read(db, key)    // e.Exists(), e.Type, e.Body
//	tx.Close()
//	...
//	ks.BeginWrite(&tx, overlay, now, applied+1) // on the shard's writer
//	mark := tx.Mark()
//	e, err = tx.Find(db, key)
//	tx.SetString(&e, value, 0, keyspace.FormAuto)
//	if failed { tx.Rollback(mark) }
//	tx.Finish()
//	... // commit and apply the overlay's batch
//	ks.Publish(&tx)               // or Discard
//
// # Records
//
// keys.go draws the engine's keys, meta.go the value of a key's Meta record,
// state.go the shard's own records. head.go, inline.go and element.go draw those of
// collections; docs/adr/0009-collections.md says why they are so. Those of streams are
// in stream.go, stream_node.go and stream_group.go; docs/adr/0017-streams.md.
// collections; docs/adr/0009-collections.md says why they are so. field.go draws what
// the expiry of a hash's fields adds, docs/adr/0015-field-expiry.md says why.
//
// # Invariants
//
//   - A Meta record with an expiry has exactly one matching record in the expiry
//     index, and so has a hash with fields that expire, at its head's next expiry,
//     which is not after any of theirs. An index record without a matching Meta record is stale and harmless.
//   - A database's count record equals the Meta records that it has, those
//     included whose time has come but which the reaper has not met yet.
//   - A collection has at least one element, a stream any number of entries. Element
//     records whose version is no Meta record's do not exist.
//   - At most one write Tx is open at a time, and only its owner calls BeginWrite,
//     Finish, Publish, Discard, Reload, Reap, Changed and ResetChanges, one after
//     the other. Everything else is safe for concurrent use.
//   - What pops would take next (scoreQueue, popQueue) is in the state of the write Tx.
//   - A reader sees the database map, the counts and the data of one state.
package keyspace
