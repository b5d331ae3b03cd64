package raftlog

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3/raftpb"
)

// A record of small and large entries, as a follower that catches up gets
// them, is in the file in the entries' order: a large one's data once went
// before that of small ones gathered ahead of it, and the log did not open.
func TestAppendSmallAndLargeTogether(t *testing.T) {
	const small, large = 100, directBytes
	for _, sizes := range [][]int{
		{small, large}, {large, small}, {small, large, small, small, large, large, small},
		{small, 4 * inlineBytes, small}, {directBytes - 1, directBytes, directBytes - 1, directBytes - 1, directBytes - 1, directBytes - 1, directBytes},
		{inlineBytes, small, inlineBytes - small},
	} {
		o := testOptions(vfs.NewMem(), FsyncAlways)
		o.SegmentBytes, o.CacheBytes = 4<<20, -1
		l := mustOpen(t, o)
		var es []*raftpb.Entry
		for i, n := range sizes {
			es = append(es, entries(Index(i+1), 1, 1, n)...)
		}
		must(t, l.Shard(1).Append(nil, es, true))
		wantEntries(t, all(t, l.Shard(1)), es)
		l = reopen(t, l)
		wantEntries(t, all(t, l.Shard(1)), es)
		must(t, l.Close())
	}
}
