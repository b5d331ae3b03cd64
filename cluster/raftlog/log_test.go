package raftlog

import (
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

func TestAppendReopen(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		o := testOptions(vfs.NewMem(), FsyncAlways)
		if dir != "" {
			o = Options{Dir: dir, SegmentBytes: 64 << 10, CacheBytes: -1}
		}
		l := mustOpen(t, o)
		s := l.Shard(3)
		wantBounds(t, s, 1, 0)
		var want []*raftpb.Entry
		for i := Index(1); i < 200; i += 4 {
			es := entries(i, 1+Term(i)/50, 4, int(i))
			must(t, s.Append(hard(uint64(es[0].GetTerm()), 1, uint64(i-1)), es, true))
			want = append(want, es...)
		}
		wantEntries(t, all(t, s), want)
		l = reopen(t, l)
		s = l.Shard(3)
		wantEntries(t, all(t, s), want)
		wantState(t, s, want[len(want)-1].GetTerm(), 1, 196)
		if l.Metrics().Segments < 2 && dir == "" {
			t.Fatal("the test wrote one segment only")
		}
		must(t, l.Close())
		must(t, l.Close())
		if err := s.Append(nil, entries(201, 9, 1, 1), true); !errors.Is(err, ErrClosed) {
			t.Fatalf("append after close: %v", err)
		}
		if err := l.Sync(); !errors.Is(err, ErrClosed) {
			t.Fatalf("sync after close: %v", err)
		}
		if _, err := s.Entries(1, 2, 0); !errors.Is(err, ErrClosed) {
			t.Fatalf("read after close: %v", err)
		}
	}
}

func TestOverwriteSuffix(t *testing.T) {
	l := mustOpen(t, testOptions(vfs.NewMem(), FsyncAlways))
	s := l.Shard(1)
	must(t, s.Append(nil, entries(1, 1, 100, 90), true)) // more than a segment
	must(t, s.Append(nil, entries(61, 2, 10, 50), true))
	must(t, s.Append(nil, entries(66, 3, 3, 5), true))
	want := append(append(entries(1, 1, 60, 90), entries(61, 2, 5, 50)...), entries(66, 3, 3, 5)...)
	wantEntries(t, all(t, s), want)
	l = reopen(t, l)
	s = l.Shard(1)
	wantEntries(t, all(t, s), want)
	must(t, s.Append(nil, entries(1, 4, 1, 5), true))
	l = reopen(t, l)
	wantEntries(t, all(t, l.Shard(1)), entries(1, 4, 1, 5))
	if err := l.Shard(1).Append(nil, entries(3, 4, 1, 5), true); !errors.Is(err, ErrGap) {
		t.Fatalf("append with a gap: %v", err)
	}
	es := append(entries(2, 4, 1, 5), entries(4, 4, 1, 5)...)
	if err := l.Shard(1).Append(nil, es, true); !errors.Is(err, ErrGap) {
		t.Fatalf("append of entries with a gap: %v", err)
	}
	must(t, l.Close())
}

func TestEntryFields(t *testing.T) {
	l := mustOpen(t, testOptions(vfs.NewMem(), FsyncAlways))
	want := []*raftpb.Entry{
		{Index: new(uint64(1)), Term: new(uint64(1))},
		{Index: new(uint64(2)), Term: new(uint64(1)), Data: []byte{}},
		{Index: new(uint64(3)), Term: new(uint64(1)), Type: raftpb.EntryConfChangeV2.Enum(), Data: []byte("c")},
		{Index: new(uint64(4)), Term: new(uint64(1)), Type: raftpb.EntryNormal.Enum()},
	}
	must(t, l.Shard(0).Append(nil, want, true))
	wantEntries(t, all(t, l.Shard(0)), want)
	l = reopen(t, l)
	wantEntries(t, all(t, l.Shard(0)), want)
	must(t, l.Close())
}

// Records above the inline limit, above a segment, and of many entries.
func TestLargeRecords(t *testing.T) {
	for _, o := range []Options{testOptions(vfs.NewMem(), FsyncAlways), {Dir: t.TempDir(), SegmentBytes: 1 << 20, CacheBytes: -1}} {
		l := mustOpen(t, o)
		s := l.Shard(1)
		var want []*raftpb.Entry
		add := func(n, bytes int) {
			es := entries(Index(len(want)+1), 1, n, bytes)
			must(t, s.Append(nil, es, true))
			want = append(want, es...)
		}
		add(1, 10)
		add(1, inlineBytes-1)
		add(1, inlineBytes+1)
		add(5, directBytes)
		add(40, directBytes-1)
		add(1, 500_000)
		add(1000, 10)
		add(3, 300_000)
		add(1, 10)
		wantEntries(t, all(t, s), want)
		l = reopen(t, l)
		wantEntries(t, all(t, l.Shard(1)), want)
		must(t, l.Close())
	}
}

func TestHardStateIsPiggybacked(t *testing.T) {
	fs := vfs.NewCrashableMem()
	l := mustOpen(t, testOptions(fs, FsyncAlways))
	s := l.Shard(1)
	must(t, s.Append(hard(1, 2, 0), entries(1, 1, 3, 10), true))
	written := l.Metrics().WrittenBytes
	must(t, s.Append(hard(1, 2, 3), nil, false))
	if l.Metrics().WrittenBytes != written {
		t.Fatal("a commit index alone was written")
	}
	wantState(t, s, 1, 2, 3)
	crashed := func(want uint64) {
		t.Helper()
		o := testOptions(fs.CrashClone(vfs.CrashCloneCfg{}), FsyncAlways)
		l := mustOpen(t, o)
		wantState(t, l.Shard(1), 1, 2, want)
		must(t, l.Close())
	}
	crashed(0)
	must(t, s.Append(nil, entries(4, 1, 1, 10), true))
	crashed(3)
	must(t, s.Append(hard(1, 2, 4), nil, false))
	crashed(3)
	must(t, l.Sync())
	crashed(4)
	must(t, s.Append(hard(2, 0, 4), nil, false)) // a new term is never deferred
	must(t, l.Sync())
	l = reopen(t, l)
	wantState(t, l.Shard(1), 2, 0, 4)
	must(t, l.Shard(1).Append(hard(2, 0, 3), nil, false))
	l = reopen(t, l)
	wantState(t, l.Shard(1), 2, 0, 3)
	must(t, l.Close())
}

func TestConfState(t *testing.T) {
	l := mustOpen(t, testOptions(vfs.NewMem(), FsyncAlways))
	cs := &raftpb.ConfState{Voters: []uint64{1, 2}, Learners: []uint64{3}}
	must(t, l.Shard(1).SetConfState(cs))
	cs.Voters[0] = 9
	for range 2 {
		_, got, err := l.Shard(1).InitialState()
		must(t, err)
		must(t, got.Equivalent(&raftpb.ConfState{Voters: []uint64{1, 2}, Learners: []uint64{3}}))
		l = reopen(t, l)
	}
	if hs, cs, _ := l.Shard(2).InitialState(); hs != nil || cs == nil || len(cs.Voters) > 0 {
		t.Fatalf("a new shard has state %v and configuration %v", hs, cs)
	}
	must(t, l.Close())
}

func TestReset(t *testing.T) {
	l := mustOpen(t, testOptions(vfs.NewMem(), FsyncAlways))
	s := l.Shard(1)
	must(t, s.Append(hard(3, 7, 50), entries(1, 1, 60, 100), true))
	must(t, s.Reset(1000, 5, &raftpb.ConfState{Voters: []uint64{4}}))
	check := func(s *ShardLog) {
		t.Helper()
		wantBounds(t, s, 1001, 1000)
		wantState(t, s, 5, 0, 1000)
		if term, err := s.Term(1000); term != 5 || err != nil {
			t.Fatalf("Term(1000) = %d, %v", term, err)
		}
		if _, err := s.Term(999); err != raft.ErrCompacted {
			t.Fatalf("Term(999): %v", err)
		}
		if _, err := s.Entries(1000, 1001, 0); err != raft.ErrCompacted {
			t.Fatalf("Entries(1000): %v", err)
		}
	}
	check(s)
	l = reopen(t, l)
	s = l.Shard(1)
	check(s)
	must(t, s.Append(nil, entries(1001, 5, 3, 10), true))
	must(t, s.Truncate(1002))
	l = reopen(t, l)
	wantEntries(t, all(t, l.Shard(1)), entries(1001, 5, 3, 10))
	must(t, l.Close())
}

func TestTruncateDropsSegments(t *testing.T) {
	fs := vfs.NewMem()
	o := testOptions(fs, FsyncAlways)
	l := mustOpen(t, o)
	a, b := l.Shard(1), l.Shard(2)
	must(t, b.Append(hard(1, 1, 1), entries(1, 1, 1, 10), true))
	must(t, b.SetConfState(&raftpb.ConfState{Voters: []uint64{5}}))
	for i := Index(1); i <= 100; i++ {
		must(t, a.Append(nil, entries(i, Term(i)/10, 1, 300), true))
	}
	segments := l.Metrics().Segments
	if segments < 5 {
		t.Fatalf("%d segments", segments)
	}
	must(t, a.Truncate(90))
	if pin := l.Pinned(); !pin.Pinned || pin.Shard != 2 || pin.UpTo != 1 || pin.Bytes != l.Metrics().Bytes || pin.NeededBytes != pin.Bytes {
		t.Fatalf("pin is %+v", pin)
	}
	wantBounds(t, a, 1, 100)
	must(t, b.Truncate(1))
	first, _ := a.FirstIndex()
	if first <= 80 || first > 91 {
		t.Fatalf("first index is %d", first)
	}
	if m := l.Metrics(); m.Segments > 3 || m.Spares != maxSpares {
		t.Fatalf("%d segments and %d spares left", m.Segments, m.Spares)
	}
	if pin := l.Pinned(); pin.Pinned && pin.Shard != 1 {
		t.Fatalf("pin is %+v", pin)
	}
	for range 3 {
		wantBounds(t, a, first, 100)
		wantBounds(t, b, 2, 1)
		wantState(t, b, 1, 1, 1)
		wantEntries(t, all(t, a), func() (es []*raftpb.Entry) {
			for i := Index(first); i <= 100; i++ {
				es = append(es, entries(i, Term(i)/10, 1, 300)...)
			}
			return es
		}())
		if term, err := a.Term(first - 1); err != nil || term != (first-1)/10 {
			t.Fatalf("Term(first-1) = %d, %v", term, err)
		}
		if term, err := b.Term(1); err != nil || term != 1 {
			t.Fatalf("Term(1) = %d, %v", term, err)
		}
		_, cs, _ := b.InitialState()
		if len(cs.Voters) != 1 || cs.Voters[0] != 5 {
			t.Fatalf("configuration %v", cs)
		}
		l = reopen(t, l)
		a, b = l.Shard(1), l.Shard(2)
	}
	// Commit was never told to the log; what was truncated had been committed.
	if hs, _, _ := a.InitialState(); hs.GetCommit() < first-1 || hs.GetCommit() > 90 {
		t.Fatalf("hard state %v", hs)
	}
	must(t, l.Close())
}

func TestRetention(t *testing.T) {
	o := testOptions(vfs.NewMem(), FsyncAlways)
	o.RetainBytes = 5 * minSegmentBytes / 2
	l := mustOpen(t, o)
	s := l.Shard(1)
	for i := Index(1); i <= 200; i++ {
		must(t, s.Append(nil, entries(i, 1, 1, 300), true))
		must(t, s.Truncate(i))
		if m := l.Metrics(); m.Bytes > o.RetainBytes+minSegmentBytes {
			t.Fatalf("%d bytes retained", m.Bytes)
		}
	}
	if m := l.Metrics(); m.Bytes < o.RetainBytes {
		t.Fatalf("%d bytes retained", m.Bytes)
	}
	first, _ := s.FirstIndex()
	if es := all(t, s); len(es) != int(201-first) {
		t.Fatalf("%d entries from %d on", len(es), first)
	}
	must(t, l.Close())
}

// TestRetentionByAge: log that nobody needs goes when it is old enough, however little
// there is; what is needed stays.
func TestRetentionByAge(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	o := testOptions(vfs.NewMem(), FsyncAlways)
	o.RetainBytes, o.RetainTime = 1<<30, time.Minute
	o.Clock = func() time.Time { return now }
	l := mustOpen(t, o)
	s := l.Shard(1)
	for i := Index(1); i <= 100; i++ {
		must(t, s.Append(nil, entries(i, 1, 1, 300), true))
		now = now.Add(time.Second / 10)
	}
	must(t, s.Truncate(50))
	firstIs := func(want func(first uint64) bool, when string) {
		t.Helper()
		must(t, l.DropOld())
		if first, _ := s.FirstIndex(); !want(first) {
			t.Errorf("%s the first entry is %d", when, first)
		}
	}
	firstIs(func(first uint64) bool { return first == 1 }, "at once")
	now = now.Add(time.Minute - time.Second)
	firstIs(func(first uint64) bool { return first > 1 && first <= 51 }, "after a while")
	must(t, s.Truncate(100))
	now = now.Add(time.Hour)
	firstIs(func(first uint64) bool { return first > 51 }, "after an hour")
	l = reopen(t, l)
	s = l.Shard(1)
	must(t, s.Append(nil, entries(101, 1, 1, 300), true))
	must(t, l.Close())
}

func TestCache(t *testing.T) {
	o := testOptions(vfs.NewMem(), FsyncAlways)
	o.CacheBytes = 10 * (cacheEntryOverhead + 100)
	l := mustOpen(t, o)
	a, b := l.Shard(1), l.Shard(2)
	var wantA, wantB []*raftpb.Entry
	for i := Index(1); i <= 200; i++ {
		wantA = append(wantA, entries(i, 1, 1, 100)...)
		must(t, a.Append(nil, wantA[i-1:], true))
		if i%3 == 0 {
			wantB = append(wantB, entries(i/3, 1, 1, 10)...)
			must(t, b.Append(nil, wantB[i/3-1:], true))
		}
		if m := l.Metrics(); m.CacheBytes > o.CacheBytes || m.CacheBytes != m.Shards[0].CacheBytes+m.Shards[1].CacheBytes {
			t.Fatalf("%d bytes are cached: %+v", m.CacheBytes, m.Shards)
		}
	}
	wantEntries(t, all(t, a), wantA)
	wantEntries(t, all(t, b), wantB)
	es, err := a.Entries(200, 201, 0)
	must(t, err)
	if es[0] != wantA[199] {
		t.Fatal("the last entry is not cached")
	}
	must(t, a.Append(nil, entries(198, 2, 1, 10), true))
	wantA = append(wantA[:197], entries(198, 2, 1, 10)...)
	wantEntries(t, all(t, a), wantA)
	must(t, a.Append(nil, entries(199, 2, 1, 5000), true)) // larger than the cache
	wantEntries(t, all(t, a), append(wantA, entries(199, 2, 1, 5000)...))
	must(t, a.Truncate(199))
	must(t, b.Truncate(60))
	must(t, a.Reset(5, 5, nil))
	must(t, b.Reset(5, 5, nil))
	if m := l.Metrics(); m.CacheBytes != 0 {
		t.Fatalf("%d bytes are cached of nothing", m.CacheBytes)
	}
	must(t, l.Close())
}

func TestVersionAndNames(t *testing.T) {
	if _, err := Open(Options{}); err == nil {
		t.Fatal("opened without a directory")
	}
	for _, m := range []FsyncMode{FsyncAlways, FsyncEverySec, FsyncNo} {
		if got, err := ParseFsyncMode(m.String()); err != nil || got != m {
			t.Fatalf("%v: %v, %v", m, got, err)
		}
	}
	if _, err := ParseFsyncMode("never"); err == nil {
		t.Fatal("parsed a mode that is none")
	}
	fs := vfs.NewMem()
	l := mustOpen(t, testOptions(fs, FsyncAlways))
	must(t, l.Close())
	f, err := fs.OpenReadWrite("log/"+segmentName(1), "test")
	must(t, err)
	b := make([]byte, headerBytes)
	_, err = f.ReadAt(b, 0)
	must(t, err)
	b[8]++
	putHeaderCRC(b)
	_, err = f.WriteAt(b, 0)
	must(t, err)
	must(t, f.Close())
	if _, err := Open(testOptions(fs, FsyncAlways)); !errors.Is(err, ErrVersion) {
		t.Fatalf("a new version: %v", err)
	}
	must(t, fs.Rename("log/"+segmentName(1), "log/"+segmentName(2)))
	b[8]--
	putHeaderCRC(b)
	f, err = fs.OpenReadWrite("log/"+segmentName(2), "test")
	must(t, err)
	_, err = f.WriteAt(b, 0)
	must(t, err)
	must(t, f.Close())
	if _, err := Open(testOptions(fs, FsyncAlways)); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("a file under another's name: %v", err)
	}
}
