// Package archive keeps a copy of a shard's log for longer than the log does: what a
// backup is brought forward with, to a point in time.
//
//	<dir>/<cluster id>/<node id>/<shard>/<number>.log
//
//	w, err := archive.Open(archive.Options{FS: fs, Dir: dir, History: clusterID, Shard: id})
//	last, ok := w.Last()                        // where an earlier process ended
//	err = w.Begin(first, prevTerm)              // a new file
//	err = w.Append(entries)                     // and so on
//	err = w.Sync()                              // they are on disk
//
//	end, err := archive.Replay(ctx, fs, dir, after, func(e *archive.Entry) (bool, error) {...})
//
// A file holds entries that follow each other; a process begins a new one, and does
// so when a file is large or old. Only committed entries that are synced in the log
// get here, so what is archived stays true, but for a node whose log was taken back by
// hand or a disk that lied. Then, and after a copy in full, the next file begins
// where the log now begins: a file takes the place of all that stood from its first
// entry on. Where files do not join there is a gap, which Replay does not cross.
//
// What a crash tears off a file's end was in no Sync that returned. A record that
// does not verify elsewhere is damage.
//
// A Writer belongs to one goroutine.
package archive
