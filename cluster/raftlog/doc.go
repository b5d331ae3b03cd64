// Package raftlog is the durable log of all shards of a node: raft entries, hard
// states and configurations, in one sequence of segment files with one sync for
// all shards. It is the write-ahead log of the engines, which have none.
//
//	l, err := raftlog.Open(raftlog.Options{Dir: dir, Fsync: raftlog.FsyncAlways})
//	s := l.Shard(0)                                      // a raft.Storage
//	err = s.Reserve(int64(len(batch)))                   // before proposing
//	err = s.Append(rd.HardState, rd.Entries, rd.MustSync)
//	err = l.Sync()                                       // before an engine flush
//	err = s.Truncate(durablyApplied)                     // after it
//
// Log owns the files; ShardLog is one shard's view. The formats are drawn above
// segment and recordHeader.
//
// # What survives
//
// In every mode, what is there after a crash is a prefix of what was appended,
// over all shards together. In mode always it has every Append, Reset and
// SetConfState that returned; in all modes, everything before a Sync, or an
// Append with a new term or vote, that returned. Each Append is there whole or not at all.
//
// # Recovery
//
// A crash may keep any part of what was not synced: some blocks and not others,
// so valid records may stand behind a hole. The questions are where the log
// ends, and whether a record that does not verify was torn by the crash, which
// is normal, or damaged since, which must never be passed over in silence.
//
// Every segment but the last is complete: the seal is its last record, and it is
// synced before the next segment gets its name. A record of it that does not
// verify is damage. So is a bad header block, which is synced before the file
// gets its name, and a number missing between segments.
//
// The last segment ends at the first record that does not verify. Each record
// carries, as synced, how much of the segment was on disk when it was written.
// If a whole header further on says that more than that end had been synced,
// what is missing was on disk once: ErrCorrupt. Otherwise nobody was ever told
// that the missing record is durable, nor any record behind it, and the end is
// cut off. For the very last records nothing says so yet: damage to a record
// that was synced, with none written after it, looks as if it were torn, and is
// cut. To keep that window short an idle log, and Close, write a mark.
//
// Whole headers behind the cut are cleared, or a new record that happens to end
// before one would bring back what was cut. Rejected: beginning a new segment
// after each crash (a node in a restart loop would fill its disk), and writing
// zeros up to the file's end (it costs a write of the whole segment).
//
// What a file held before it was recycled never parses, nor does a record at
// another offset, since both go into the checksums: see recordHeader. Bytes of a
// client's value cannot pose as a record either, because they would need the
// segment's random salt.
//
// The head of each segment repeats what is to be known of all shards besides
// entries. So a segment can be dropped when no shard needs its entries and the
// active segment, with all that replaced them, is on disk. Segments go one by
// one with a sync of the directory after each. A dropped file becomes a spare
// before it is written over.
//
// A commit index alone is not worth a write (raft.MustSync says no); it goes
// along with the next append, head or Sync. After a crash it is raised to what
// was truncated. It never is behind what an engine has flushed after a Sync.
//
// # Preparing files
//
// A segment's space is allocated when its file is made (fallocate), so that a
// full disk is met by Reserve and not by a write in the middle of a raft round.
// It is also filled with zeros, a chunk ahead of the records, and files are used
// again: a sync then has data to write but no change of the file's size or
// extents, which needs a commit of the file system's journal, and a write has
// less to account for (4 KiB without sync: 14 us instead of 25 us).
// A write and its fdatasync, ext4 on a virtual disk, the variants taking turns,
// median of 1000 (BenchmarkDiskSync):
//
//	                     128 bytes   4 KiB   64 KiB
//	growing file            179 us  201 us   275 us
//	fallocate               176 us  190 us   244 us
//	fallocate and zeros     154 us  135 us   177 us
//	recycled                174 us  157 us   196 us
//
// # Failure
//
// A sync that fails ends the log: ErrFailed from every call that writes or
// syncs, and OnFatal once; reading goes on. A write that fails is taken back and
// reported, and the log goes on. engine.ErrNoSpace is a full disk: nothing was
// changed. Reserve leaves room for hard states and configurations, so that a
// node with a full disk can still vote; who appends entries without Reserve may
// use that up.
//
// # Locks
//
// ShardLog.writing is held for a whole append: it is the queue of the shard's
// writers. Then the token (see Log.do), then the sync token (Log.syncing); both
// are held over I/O, which they serialize. Log.mu and ShardLog.mu are leaves:
// held for memory only, and never one within the other.
//
// # Limits
//
// A shard that appends nothing and is never truncated keeps its last entries'
// segment, and all behind it: see Log.Pinned. A shard cannot be removed from the
// log. Two logs must not share a directory; the node's folder lock sees to it.
// Segment files are never shortened: a segment that a large record got for
// itself stays that large until it is dropped.
package raftlog
