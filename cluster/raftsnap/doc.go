// Package raftsnap is what a raft snapshot consists of, and where a shard's
// engine lives while one is received.
//
// Source turns an engine snapshot into a stream of chunks. Store is a shard's
// engine folders: the current one, and the one that a Receiver builds out of
// such a stream.
//
//	src := raftsnap.NewSource(eng.NewSnapshot())          // the sender
//	chunk, position, last, err := src.Next(position)      // until last
//
//	r, err := st.Receive(id, meta, estimatedBytes)        // the receiver
//	err = r.Chunk(chunk, position, last)                  // until last
//	eng, err := st.Switch(r)                              // atomic and durable
//	log.Reset(...); log.Sync()                            // the log follows meta
//	err = st.Done()
//	err = st.Retire(old)                                  // when its readers are done
//
// # What survives
//
// On disk a store named 0 is
//
//	0/           the first engine folder
//	0.1/, 0.2/   later ones: current, being received, or not yet removed
//	0.current    which one is current; missing while none was ever received
//
// Everything hangs on the pointer file, which is replaced by writing a new one,
// syncing it, renaming it, and syncing the folder. A crash at any point leaves
// the old engine or the new one, each whole. Between Switch and Done the pointer
// file also holds the snapshot's meta, so that the reset of the log, which is in
// other files, is made up for after a crash in between: see Store.Pending.
//
// What was half received is of no use to the next process, because the engine
// has no log of its own and does not say how far it got; Sweep removes it.
// Within a process a transfer resumes where it broke off. What nobody comes back
// for, or what raft has no use for when it is complete, stays on the disk until
// another one comes: see Receiver.Discard.
//
// # Invariants
//
//   - A folder is complete and synced before the pointer file names it.
//   - A folder's number is in the pointer file before the folder exists, so no
//     name is used twice, and a numbered folder that the pointer file does not
//     know of is damage, which is refused and not swept.
//   - A chunk is checked as a whole before any of it is applied, and it is applied
//     only when it follows what the receiver has: see chunk.
//   - The engine being received has none of the current engine's callbacks.
//
// # Failure
//
// A chunk that is wrong or out of order changes nothing: the stream is broken off
// and resumed. A failure of the disk ends the receiver and removes its folder, a
// full disk first of all: what cannot be completed must not keep the space. A
// failed sync of the pointer file is ErrUncertain, after which the node stops.
//
// # Locks
//
// Store.changing, then Receiver.mu; both are held over I/O, which they serialize.
// Store.mu is a leaf, held for memory only.
package raftsnap
