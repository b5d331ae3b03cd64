package raftlog

import (
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// TestStorageContract compares a ShardLog with raft.MemoryStorage.
func TestStorageContract(t *testing.T) {
	seeds(t, 3, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 3))
		o := testOptions(vfs.NewMem(), FsyncNo)
		if seed%2 == 0 {
			o.CacheBytes = 3000
		}
		l := mustOpen(t, o)
		s, ms := l.Shard(1), raft.NewMemoryStorage()
		term := Term(1)
		for range 800 {
			last, _ := ms.LastIndex()
			first, _ := ms.FirstIndex()
			switch p := r.IntN(20); {
			case p < 12 || last < first:
				at := last + 1
				if p == 0 && last >= first {
					at = first + r.Uint64N(last-first+1)
					term++
				}
				es := entries(Index(at), term, 1+r.IntN(5), r.IntN(300))
				must(t, s.Append(nil, es, true))
				must(t, ms.Append(es))
			case p == 12:
				// An append that starts below what was compacted leaves that out.
				if low := first - min(first-1, 3); low < first && first <= last {
					es := entries(Index(low), term, int(last-low)+2, 10)
					must(t, s.Append(nil, es, true))
					must(t, ms.Append(es))
				}
			case p == 13:
				must(t, s.Truncate(Index(first+r.Uint64N(last-first+1))))
				f, _ := s.FirstIndex()
				if f > first {
					must(t, ms.Compact(f-1))
				}
			case p == 14 && r.IntN(5) == 0:
				index := last + r.Uint64N(10) + 1
				term++
				must(t, s.Reset(Index(index), term, nil))
				must(t, ms.ApplySnapshot(&raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{Index: new(index), Term: new(uint64(term))}}))
			case p == 15 && r.IntN(5) == 0:
				l = reopen(t, l)
				s = l.Shard(1)
			}
			sameStorage(t, r, s, ms)
		}
		must(t, l.Close())
	})
}

func sameStorage(t *testing.T, r *rand.Rand, s, ms raft.Storage) {
	t.Helper()
	first, _ := ms.FirstIndex()
	last, _ := ms.LastIndex()
	if f, _ := s.FirstIndex(); f != first {
		t.Fatalf("first index %d, want %d", f, first)
	}
	if l, _ := s.LastIndex(); l != last {
		t.Fatalf("last index %d, want %d", l, last)
	}
	for i := first - min(first, 3); i <= last+2; i++ {
		got, err := s.Term(i)
		want, wantErr := ms.Term(i)
		if got != want || err != wantErr {
			t.Fatalf("Term(%d) = %d, %v, want %d, %v", i, got, err, want, wantErr)
		}
	}
	for range 5 {
		lo := first - min(first, 2) + r.Uint64N(last-first+4)
		hi := lo + r.Uint64N(20)
		if lo <= last {
			hi = min(max(hi, lo+1), last+1)
		}
		maxSize := []uint64{0, 1, r.Uint64N(2000), ^uint64(0)}[r.IntN(4)]
		got, err := s.Entries(lo, hi, maxSize)
		if hi > last+1 { // MemoryStorage panics
			if lo >= first && !errors.Is(err, raft.ErrUnavailable) || lo < first && err != raft.ErrCompacted {
				t.Fatalf("Entries(%d, %d) of %d to %d: %v", lo, hi, first, last, err)
			}
			continue
		}
		if lo > last {
			continue
		}
		want, wantErr := ms.Entries(lo, hi, maxSize)
		if err != wantErr || len(got) > len(want) || (len(got) == 0) != (len(want) == 0) {
			t.Fatalf("Entries(%d, %d, %d): %d entries, %v, want %d, %v", lo, hi, maxSize, len(got), err, len(want), wantErr)
		}
		// Fewer come where the cached ones begin.
		if s := s.(*ShardLog); len(got) < len(want) && lo+uint64(len(got)) != last+1-uint64(s.mu.cache.len()) {
			t.Fatalf("Entries(%d, %d, %d): %d entries, want %d", lo, hi, maxSize, len(got), len(want))
		}
		wantEntries(t, got, want[:len(got)])
	}
}

func TestEntrySize(t *testing.T) {
	for _, e := range []*raftpb.Entry{
		{}, entry(1, 1, nil), entry(1<<40, 300, make([]byte, 200)), {Data: []byte{}},
		{Type: raftpb.EntryConfChangeV2.Enum(), Index: new(uint64(127)), Term: new(uint64(128)), Data: make([]byte, 1<<14)},
	} {
		if got, want := entrySize(e), uint64(proto.Size(e)); got != want {
			t.Errorf("%v: %d, want %d", e, got, want)
		}
	}
}

// TestRawNode runs a raft group of one voter on the log, with crashes.
func TestRawNode(t *testing.T) {
	raft.SetLogger(&raft.DefaultLogger{Logger: log.New(io.Discard, "", 0)})
	mem := vfs.NewCrashableMem()
	o := testOptions(mem, FsyncAlways)
	l := mustOpen(t, o)
	must(t, l.Shard(0).Reset(1, 1, &raftpb.ConfState{Voters: []uint64{1}}))
	applied := uint64(1)
	var done []string
	for round := range 8 {
		s := l.Shard(0)
		rn, err := raft.NewRawNode(&raft.Config{
			ID: 1, ElectionTick: 10, HeartbeatTick: 1, Storage: s, Applied: applied,
			MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 10,
		})
		must(t, err)
		must(t, rn.Campaign())
		proposed := 0
		for proposed < 40 || rn.HasReady() {
			if !rn.HasReady() {
				must(t, rn.Propose(payload(Index(applied), Term(round), 200)))
				proposed++
			}
			rd := rn.Ready()
			must(t, s.Append(rd.HardState, rd.Entries, rd.MustSync))
			for _, e := range rd.CommittedEntries {
				if e.GetIndex() != applied+1 {
					t.Fatalf("entry %d committed after %d", e.GetIndex(), applied)
				}
				applied = e.GetIndex()
				done = append(done, string(e.Data))
			}
			rn.Advance(rd)
			if applied%10 == 0 {
				must(t, l.Sync()) // so that the commit index is there when Applied is
				must(t, s.Truncate(Index(applied)))
			}
		}
		must(t, l.Sync())
		mem = mem.CrashClone(vfs.CrashCloneCfg{})
		o.FS = mem
		l = mustOpen(t, o)
	}
	s := l.Shard(0)
	for _, e := range all(t, s) {
		if done[e.GetIndex()-2] != string(e.Data) {
			t.Fatalf("entry %d is not what was applied", e.GetIndex())
		}
	}
	if first, _ := s.FirstIndex(); first < 100 {
		t.Fatalf("nothing was dropped: first is %d", first)
	}
	must(t, l.Close())
}
