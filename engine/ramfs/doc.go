// Package ramfs is a file system in memory for diskless nodes: what lies in it, the
// log and the tables of the engine, is the node's data.
//
// Pebble has one too (vfs.NewMem), made for tests. This one is made to stay within a
// bound: a file is a list of chunks, so that it takes no more memory than its data
// and nothing is copied while it grows; the chunks of a file that is gone serve the
// next one, so that writing and compacting leave the garbage collector little to do;
// and FS.Bytes says at any time, for an atomic load, what all files take.
//
//	fs := ramfs.New()
//	log, err := raftlog.Open(raftlog.Options{FS: fs, Dir: "log"})
//	taken := fs.Bytes()
//
// # Invariants
//
//   - A file's chunks are given back when its last name and its last open handle are
//     gone, and never before: a table is read after it was removed.
//   - Nothing survives a crash, so Sync does nothing.
//
// # Locks
//
// FS.mu guards names, links and counts of open handles; node.mu a file's data. FS.mu
// comes first, the pool's last.
package ramfs
