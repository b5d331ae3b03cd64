package raftlog

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.etcd.io/raft/v3/raftpb"
)

// hookFS calls before, when set, before each operation that changes something.
func hookFS(fs vfs.FS, before *func(errorfs.Op)) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if *before != nil && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			(*before)(op)
		}
		return nil
	}))
}

// TestCrashEverywhere stops the machine before every single change that the log
// makes to the file system, losing none, half and all of what is not synced.
// What is there afterwards must be a prefix of the history that ends no earlier
// than what was acknowledged as synced.
func TestCrashEverywhere(t *testing.T) {
	for _, mode := range []FsyncMode{FsyncAlways, FsyncEverySec, FsyncNo} {
		t.Run(mode.String(), func(t *testing.T) {
			seeds(t, 1, func(t *testing.T, seed uint64) {
				mem := vfs.NewCrashableMem()
				var hook func(errorfs.Op)
				o := testOptions(hookFS(mem, &hook), mode)
				o.zeroFill = seed%2 == 0
				m := newModel(t, seed, o)
				crashes := 0
				hook = func(errorfs.Op) {
					for _, pct := range []int{0, 50, 100} {
						crashes++
						m.crash(t, mem, pct, crashes%20 == 0)
					}
				}
				for range 60 {
					m.step(t)
				}
				must(t, m.l.Close())
				if crashes < 200 || m.l.Metrics().Dropped == 0 && seed == 1 {
					t.Fatalf("%d crashes, %d segments dropped", crashes, m.l.Metrics().Dropped)
				}
			})
		})
	}
}

// crash opens what a crash at this moment leaves and checks it. With again, it
// goes on from there to the next crash.
func (m *model) crash(t *testing.T, mem *vfs.MemFS, pct int, again bool) {
	t.Helper()
	clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: pct, RNG: m.r})
	o := m.o
	o.FS = clone
	l, err := Open(o)
	if err != nil {
		t.Fatalf("crash with %d%%: %v", pct, err)
	}
	k := m.recovered(t, l, m.durable, len(m.history)-1)
	if !again {
		must(t, l.Close())
		return
	}
	state := m.history[k]
	for round := range 3 {
		// Go on with the recovered log; nothing from behind the torn end may
		// show up between the new records.
		m2 := &model{r: m.r, l: l, o: o, history: []map[ShardID]modelShard{state}}
		m2.learn(l)
		for range 5 {
			m2.step(t)
		}
		if round == 1 {
			must(t, l.Close())
			m2.did(true)
		}
		o.FS = clone.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: m.r})
		clone = o.FS.(*vfs.MemFS)
		l2, err := Open(o)
		if err != nil {
			t.Fatalf("crash with %d%%, then again: %v", pct, err)
		}
		k2 := m2.recovered(t, l2, m2.durable, len(m2.history)-1)
		state, l = m2.history[k2], l2
	}
	must(t, l.Close())
}

// learn takes over what a recovered log knows besides the records.
func (m *model) learn(l *Log) {
	state := make(map[ShardID]modelShard)
	for id, s := range m.now() {
		hs, _, _ := l.Shard(id).InitialState()
		s.hard.commit = hs.GetCommit()
		s.mark = max(s.mark, s.base)
		state[id] = s
	}
	m.history[len(m.history)-1] = state
}

// TestFlippedBytes damages every byte of a small log in turn. A log that was
// closed, or whose records are followed by others, is refused or read
// correctly; only the last record, of which nothing says that it was ever
// synced, may be cut off.
func TestFlippedBytes(t *testing.T) {
	for _, closed := range []bool{true, false} {
		mem := vfs.NewCrashableMem()
		o := testOptions(mem, FsyncAlways)
		m := &model{r: rand.New(rand.NewPCG(5, 5)), o: o, history: []map[ShardID]modelShard{{}}}
		m.l = mustOpen(t, o)
		add := func(id ShardID, es []*raftpb.Entry, hs *raftpb.HardState) {
			s := m.now()[id]
			s.entries = append(s.entries[:len(s.entries):len(s.entries)], es...)
			if hs != nil {
				s.hard = hardState{hs.GetTerm(), hs.GetVote(), hs.GetCommit()}
			}
			m.will(id, s)
			must(t, m.l.Shard(id).Append(hs, es, true))
		}
		add(0, entries(1, 1, 3, 20), hard(1, 1, 2))
		add(1, entries(1, 1, 1, 2000), nil)
		add(1, entries(2, 2, 2, 900), hard(2, 1, 1)) // a second segment
		add(0, entries(4, 1, 1, 0), nil)
		add(0, nil, hard(2, 2, 2))
		add(2, entries(1, 1, 2, 50), nil)
		if closed {
			must(t, m.l.Close())
		}
		refused, cut := 0, 0
		for _, name := range []string{segmentName(1), segmentName(2)} {
			size := m.l.segmentEnd(t, mem, name)
			for off := int64(0); off < size; off++ {
				if off > 64 && off < headerBytes-4 {
					off = min(off+16, headerBytes-4) // zeros, all alike
				}
				clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: m.r})
				flip(t, clone, "log/"+name, off, 1<<(off%8))
				o.FS = clone
				l, err := Open(o)
				if err != nil {
					var c *CorruptError
					if !errors.As(err, &c) || !errors.Is(err, ErrCorrupt) || c.File != name || c.Offset > off || c.Offset%recordAlign != 0 {
						t.Fatalf("%s, byte %d: %v", name, off, err)
					}
					refused++
					continue
				}
				last := len(m.history) - 1
				lo := last
				if !closed {
					lo = last - 1
				}
				if m.recovered(t, l, lo, last) < last {
					cut++
				}
				must(t, l.Close())
			}
		}
		t.Logf("closed %v: %d refused, %d times the last record was cut off", closed, refused, cut)
		if refused < 1000 || closed && cut > 0 || !closed && cut == 0 {
			t.Fatal("that is not as it should be")
		}
	}
}

// segmentEnd returns where the records of a segment end.
func (l *Log) segmentEnd(tb testing.TB, fs vfs.FS, name string) int64 {
	tb.Helper()
	f, err := fs.Open("log/" + name)
	must(tb, err)
	defer f.Close()
	st, err := f.Stat()
	must(tb, err)
	return st.Size()
}

// Damage that comes while the log is open must not reach the reader either.
func TestFlippedWhileOpen(t *testing.T) {
	mem := vfs.NewMem()
	l := mustOpen(t, testOptions(mem, FsyncAlways))
	s := l.Shard(1)
	want := entries(1, 1, 4, 100)
	must(t, s.Append(nil, want, true))
	start := l.active.Load().end.Load() - recordBytes(int64(s.rec.metaLen), 400)
	end := start + recordHeaderBytes + int64(s.rec.metaLen) + 400
	refused := 0
	for off := start; off < end; off++ {
		flip(t, mem, "log/"+segmentName(1), off, 0x10)
		got, err := s.Entries(1, 5, ^uint64(0))
		switch {
		case err == nil:
			wantEntries(t, got, want)
		case errors.Is(err, ErrCorrupt):
			refused++
		default:
			t.Fatal(err)
		}
		flip(t, mem, "log/"+segmentName(1), off, 0x10)
	}
	if refused < int(end-start) {
		t.Fatalf("%d of %d flips were noticed", refused, end-start)
	}
	must(t, l.Close())
}

// A hole in what was never synced, with later records behind it, is a torn end;
// the same hole in what a later record calls synced is damage.
func TestHole(t *testing.T) {
	for _, synced := range []bool{false, true} {
		mem := vfs.NewMem()
		o := testOptions(mem, FsyncNo)
		o.SegmentBytes = 64 << 10
		l := mustOpen(t, o)
		s := l.Shard(1)
		must(t, s.Append(nil, entries(1, 1, 1, 100), true))
		must(t, l.Sync())
		hole := l.active.Load().end.Load()
		must(t, s.Append(nil, entries(2, 1, 1, 100), true))
		if synced {
			must(t, l.Sync())
		}
		must(t, s.Append(nil, entries(3, 1, 1, 100), true))
		must(t, s.Append(nil, entries(4, 1, 1, 100), true))
		flip(t, mem, "log/"+segmentName(1), hole+recordHeaderBytes+1, 1)
		l2, err := Open(o)
		if synced {
			var c *CorruptError
			if !errors.As(err, &c) || c.Offset != hole {
				t.Fatalf("damage to what was synced: %v", err)
			}
			continue
		}
		must(t, err)
		wantBounds(t, l2.Shard(1), 1, 1)
		// As long as the record that was cut: entry 3 would follow it.
		must(t, l2.Shard(1).Append(nil, entries(2, 1, 1, 100), true))
		l3 := mustOpen(t, o) // killed, not closed
		wantBounds(t, l3.Shard(1), 1, 2)
		must(t, l3.Close())
	}
}

func TestMissingSegment(t *testing.T) {
	mem := vfs.NewMem()
	l := mustOpen(t, testOptions(mem, FsyncAlways))
	must(t, l.Shard(1).Append(nil, entries(1, 1, 1, 3000), true))
	must(t, l.Shard(1).Append(nil, entries(2, 1, 1, 3000), true))
	must(t, l.Shard(1).Append(nil, entries(3, 1, 1, 3000), true))
	must(t, l.Close())
	must(t, mem.Remove("log/"+segmentName(2)))
	var c *CorruptError
	if _, err := Open(l.o); !errors.As(err, &c) || c.File != segmentName(2) {
		t.Fatalf("opened with a missing segment: %v", err)
	}
	must(t, mem.Remove("log/"+segmentName(3)))
	l = mustOpen(t, l.o) // sealed, as a crash in the middle of a rotation leaves it
	wantBounds(t, l.Shard(1), 1, 1)
	must(t, l.Shard(1).Append(nil, entries(2, 1, 1, 3000), true))
	l = reopen(t, l)
	wantBounds(t, l.Shard(1), 1, 2)
	must(t, l.Close())
}

// A process that is killed leaves data and names in the page cache that are
// not on disk. What Open shows of them must be durable, for raft will count on it.
func TestKilledThenCrashed(t *testing.T) {
	mem := vfs.NewCrashableMem()
	o := testOptions(mem, FsyncNo)
	must(t, mustOpen(t, o).Shard(1).Append(hard(1, 1, 0), entries(1, 1, 5, 100), true))
	wantBounds(t, mustOpen(t, o).Shard(1), 1, 5)
	o.FS = mem.CrashClone(vfs.CrashCloneCfg{})
	wantBounds(t, mustOpen(t, o).Shard(1), 1, 5)

	mem = vfs.NewCrashableMem()
	die := false
	o = testOptions(errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if die && op.Kind == errorfs.OpFileSync && op.Path == "log" {
			return errorfs.ErrInjected
		}
		return nil
	})), FsyncAlways)
	l := mustOpen(t, o)
	must(t, l.Shard(1).Append(nil, entries(1, 1, 1, 3000), true))
	die = true // between the rename of the second segment and the sync of the directory
	if err := l.Shard(1).Append(nil, entries(2, 1, 1, 3000), true); !errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}
	o = testOptions(mem, FsyncAlways)
	l = mustOpen(t, o)
	must(t, l.Shard(1).Append(nil, entries(2, 1, 1, 100), true))
	o.FS = mem.CrashClone(vfs.CrashCloneCfg{})
	wantBounds(t, mustOpen(t, o).Shard(1), 1, 2)
}

// damagedOpen changes bytes of a log that was closed and opens it: it must be
// refused, or have a prefix of what it had.
func damagedOpen(t *testing.T, off int64, mask []byte) {
	mem := vfs.NewMem()
	o := testOptions(mem, FsyncAlways)
	o.SegmentBytes = 32 << 10
	l := mustOpen(t, o)
	es := entries(1, 1, 3, 200)
	must(t, l.Shard(1).Append(hard(1, 1, 1), es[:2], true))
	must(t, l.Shard(1).Append(nil, es[2:], true))
	must(t, l.Shard(2).Append(nil, es, true))
	must(t, l.Close())
	f, err := mem.OpenReadWrite("log/"+segmentName(1), "test")
	must(t, err)
	b := make([]byte, len(mask))
	n, _ := f.ReadAt(b, off)
	for i := range b[:n] {
		b[i] ^= mask[i]
	}
	_, err = f.WriteAt(b[:n], off)
	must(t, err)
	must(t, f.Close())
	l, err = Open(o)
	if errors.Is(err, ErrCorrupt) {
		return
	}
	must(t, err)
	// The mark of Close may be damaged too, and then the end may be cut off.
	one, two := all(t, l.Shard(1)), all(t, l.Shard(2))
	wantEntries(t, one, es[:len(one)])
	wantEntries(t, two, es[:len(two)])
	if len(two) > 0 && len(one) < len(es) {
		t.Fatal("not a prefix")
	}
	must(t, l.Close())
}

// Crashes while several shards append at once and share syncs: each shard has
// what it was told is durable, at least.
func TestConcurrentCrash(t *testing.T) {
	const shards, crashes = 4, 40
	mem := vfs.NewCrashableMem()
	o := testOptions(mem, FsyncAlways)
	o.SegmentBytes, o.manual, o.Salt = 16<<10, false, nil
	l := mustOpen(t, o)
	var acked [shards]atomic.Uint64
	var stop atomic.Bool
	var wg sync.WaitGroup
	for id := range ShardID(shards) {
		wg.Go(func() {
			s := l.Shard(id)
			for i := Index(1); !stop.Load(); i++ {
				if err := s.Append(hard(1, 1, uint64(i-1)), entries(i, 1, 1, 150), true); err != nil {
					t.Error(err)
					return
				}
				acked[id].Store(uint64(i))
				if i%64 == 0 && s.Truncate(i-10) != nil {
					t.Error("truncate failed")
				}
			}
		})
	}
	seed := testSeed()
	t.Logf("seed %d", seed)
	r := newModelRand(seed)
	o.manual = true
	for i := range crashes {
		var least [shards]uint64
		for id := range least {
			for i == 0 && acked[id].Load() == 0 {
				runtime.Gosched()
			}
			least[id] = acked[id].Load()
		}
		o.FS = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: i % 3 * 30, RNG: r})
		l := mustOpen(t, o)
		for id := range ShardID(shards) {
			s := l.Shard(id)
			if last, _ := s.LastIndex(); last < least[id] {
				t.Fatalf("shard %d ends with %d, %d was acknowledged", id, last, least[id])
			}
			for _, e := range readAll(t, s) {
				if i := Index(e.GetIndex()); !sameEntry(e, entry(i, 1, payload(i, 1, 150))) {
					t.Fatalf("entry %d is %v", i, e)
				}
			}
		}
		must(t, l.Close())
	}
	stop.Store(true)
	wg.Wait()
	must(t, l.Close())
}
