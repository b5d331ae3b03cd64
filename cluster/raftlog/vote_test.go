package raftlog

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestVotesOutliveAPowerCut: what a node has voted, and the term that it is in, is
// on disk before anybody is told, whatever is with the entries; and nothing else
// is synced for it.
func TestVotesOutliveAPowerCut(t *testing.T) {
	for _, mode := range []FsyncMode{FsyncAlways, FsyncEverySec, FsyncNo} {
		t.Run(mode.String(), func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			l := mustOpen(t, testOptions(mem, mode))
			s := l.Shard(3)
			// after is what a power cut leaves now.
			after := func() (term, vote uint64, last Index) {
				t.Helper()
				o := testOptions(mem.CrashClone(vfs.CrashCloneCfg{}), mode)
				again := mustOpen(t, o)
				defer func() { must(t, again.Close()) }()
				hs, _, err := again.Shard(3).InitialState()
				must(t, err)
				n, err := again.Shard(3).LastIndex()
				must(t, err)
				return hs.GetTerm(), hs.GetVote(), Index(n)
			}
			want := func(term, vote uint64, last Index) {
				t.Helper()
				if gotTerm, gotVote, gotLast := after(); gotTerm != term || gotVote != vote || gotLast != last {
					t.Fatalf("term %d, vote %d, last index %d, want %d, %d, %d", gotTerm, gotVote, gotLast, term, vote, last)
				}
			}
			must(t, s.Append(hard(1, 0, 0), nil, true)) // a term
			want(1, 0, 0)
			must(t, s.Append(hard(1, 2, 0), nil, true)) // a vote in it
			want(1, 2, 0)
			must(t, s.Append(hard(2, 2, 0), entries(1, 2, 1, 10), true)) // a term that comes with an entry
			want(2, 2, 1)
			syncs := l.Metrics().Syncs
			must(t, s.Append(hard(2, 2, 1), entries(2, 2, 1, 10), true)) // a commit index with an entry
			must(t, s.Append(hard(2, 2, 2), nil, false))                 // a commit index
			must(t, s.Append(nil, entries(3, 2, 1, 10), true))           // an entry
			if n := l.Metrics().Syncs - syncs; mode != FsyncAlways && n != 0 {
				t.Errorf("%d syncs of what is neither term nor vote", n)
			}
			if mode == FsyncAlways {
				want(2, 2, 3)
			} else {
				want(2, 2, 1)
			}
			must(t, l.Close())
		})
	}
}
