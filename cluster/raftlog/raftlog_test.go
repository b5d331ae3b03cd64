package raftlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// testOptions are those of a log with tiny segments and no background work.
func testOptions(fs vfs.FS, mode FsyncMode) Options {
	return Options{
		FS: fs, Dir: "log", Fsync: mode, SegmentBytes: minSegmentBytes,
		RetainBytes: -1, CacheBytes: -1, manual: true, Salt: testSalt(1),
	}
}

// testSalt makes runs repeatable.
func testSalt(seed uint64) func() uint64 {
	r := rand.New(rand.NewPCG(seed, 7))
	return r.Uint64
}

func mustOpen(tb testing.TB, o Options) *Log {
	tb.Helper()
	l, err := Open(o)
	must(tb, err)
	return l
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func entry(i Index, t Term, data []byte) *raftpb.Entry {
	return &raftpb.Entry{
		Index: new(uint64(i)), Term: new(uint64(t)), Type: raftpb.EntryNormal.Enum(), Data: data,
	}
}

// entries makes n entries from index i on, with data of a length and content
// that follow from index and term.
func entries(i Index, t Term, n, bytes int) []*raftpb.Entry {
	es := make([]*raftpb.Entry, n)
	for k := range es {
		es[k] = entry(i+Index(k), t, payload(i+Index(k), t, bytes))
	}
	return es
}

func payload(i Index, t Term, n int) []byte {
	b := make([]byte, n+32)
	for done := copy(b, fmt.Appendf(nil, "%d.%d,", i, t)); done < n; {
		done += copy(b[done:], b[:done])
	}
	return b[:n]
}

func hard(term, vote, commit uint64) *raftpb.HardState {
	return &raftpb.HardState{Term: new(term), Vote: new(vote), Commit: new(commit)}
}

// all returns everything that can be read from s, and sees to it that each
// entry reads the same alone.
func all(tb testing.TB, s *ShardLog) []*raftpb.Entry {
	tb.Helper()
	out := readAll(tb, s)
	for _, e := range out {
		one, err := s.Entries(e.GetIndex(), e.GetIndex()+1, 0)
		must(tb, err)
		if len(one) != 1 || !proto.Equal(one[0], e) {
			tb.Fatalf("entry %d alone: %v, among others: %v", e.GetIndex(), one, e)
		}
	}
	return out
}

// readAll returns everything that can be read from s.
func readAll(tb testing.TB, s *ShardLog) []*raftpb.Entry {
	tb.Helper()
	first, _ := s.FirstIndex()
	last, _ := s.LastIndex()
	if first > last {
		return nil
	}
	var out []*raftpb.Entry
	for lo := first; lo <= last; {
		es, err := s.Entries(lo, last+1, ^uint64(0))
		must(tb, err)
		if len(es) == 0 {
			tb.Fatalf("no entries from %d on", lo)
		}
		out = append(out, es...)
		lo += uint64(len(es))
	}
	for i, e := range out {
		if e.GetIndex() != first+uint64(i) {
			tb.Fatalf("entry %d has index %d", first+uint64(i), e.GetIndex())
		}
		term, err := s.Term(e.GetIndex())
		must(tb, err)
		if term != e.GetTerm() {
			tb.Fatalf("Term(%d) = %d, entry has %d", e.GetIndex(), term, e.GetTerm())
		}
	}
	return out
}

func wantEntries(tb testing.TB, got, want []*raftpb.Entry) {
	tb.Helper()
	if len(got) != len(want) {
		tb.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i := range got {
		if !sameEntry(got[i], want[i]) {
			tb.Fatalf("entry %d is %v, want %v", i, got[i], want[i])
		}
	}
}

func sameEntry(a, b *raftpb.Entry) bool {
	return a.GetIndex() == b.GetIndex() && a.GetTerm() == b.GetTerm() && a.GetType() == b.GetType() &&
		bytes.Equal(a.Data, b.Data) && (a.Data == nil) == (b.Data == nil) && (a.Type == nil) == (b.Type == nil)
}

func wantState(tb testing.TB, s *ShardLog, term, vote, commit uint64) {
	tb.Helper()
	hs, _, err := s.InitialState()
	must(tb, err)
	if hs.GetTerm() != term || hs.GetVote() != vote || hs.GetCommit() != commit {
		tb.Fatalf("hard state %v, want term %d vote %d commit %d", hs, term, vote, commit)
	}
}

func wantBounds(tb testing.TB, s *ShardLog, first, last uint64) {
	tb.Helper()
	f, _ := s.FirstIndex()
	l, _ := s.LastIndex()
	if f != first || l != last {
		tb.Fatalf("log is %d to %d, want %d to %d", f, l, first, last)
	}
}

// reopen opens the log again, after Close.
func reopen(tb testing.TB, l *Log) *Log {
	tb.Helper()
	must(tb, l.Close())
	return mustOpen(tb, l.o)
}

func putHeaderCRC(b []byte) {
	binary.LittleEndian.PutUint32(b[headerBytes-4:], checksum(b[:headerBytes-4]))
}
