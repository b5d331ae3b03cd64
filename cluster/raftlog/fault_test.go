package raftlog

import (
	"errors"
	"sync/atomic"
	"syscall"
	"testing"

	"dkv/engine"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.etcd.io/raft/v3/raftpb"
)

// failFS makes operations of one kind fail with *err when it is set, and counts them.
func failFS(fs vfs.FS, err *atomic.Pointer[error], count *atomic.Int64, kinds ...errorfs.OpKind) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		for _, k := range kinds {
			if op.Kind == k {
				count.Add(1)
				if p := err.Load(); p != nil {
					return *p
				}
			}
		}
		return nil
	}))
}

func TestFailedSyncIsFinal(t *testing.T) {
	var fault atomic.Pointer[error]
	var syncs atomic.Int64
	eio := error(syscall.EIO)
	for _, where := range []string{"append", "sync", "background", "rotate"} {
		fault.Store(nil)
		mode := FsyncAlways
		if where != "append" {
			mode = FsyncEverySec
		}
		o := testOptions(failFS(vfs.NewMem(), &fault, &syncs, errorfs.OpFileSyncData), mode)
		fatal := 0
		o.OnFatal = func(err error) {
			if !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) {
				t.Errorf("OnFatal got %v", err)
			}
			fatal++
		}
		l := mustOpen(t, o)
		s := l.Shard(1)
		must(t, s.Append(nil, entries(1, 1, 1, 10), true))
		fault.Store(&eio)
		var err error
		switch where {
		case "append":
			err = s.Append(nil, entries(2, 1, 1, 10), true)
		case "sync":
			err = l.Sync()
		case "background":
			l.tick()
			err = l.Sync()
		case "rotate":
			err = s.Append(nil, entries(2, 1, 1, 9000), true)
		}
		fault.Store(nil)
		before := syncs.Load()
		for range 2 {
			if !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) {
				t.Fatalf("%s: %v", where, err)
			}
			err = errors.Join(s.Append(nil, entries(2, 1, 1, 10), true))
		}
		for what, err := range map[string]error{
			"sync": l.Sync(), "reserve": s.Reserve(1), "truncate": s.Truncate(1), "reset": s.Reset(9, 9, nil),
			"conf": s.SetConfState(nil), "hard": s.Append(hard(1, 1, 1), nil, false), "metrics": l.Metrics().Failure, "close": l.Close(),
		} {
			if !errors.Is(err, ErrFailed) {
				t.Fatalf("%s after a failed sync: %v", what, err)
			}
		}
		if fatal != 1 || syncs.Load() != before {
			t.Fatalf("%s: OnFatal called %d times; synced %d times afterwards", where, fatal, syncs.Load()-before)
		}
	}
}

// tornFS says that it wrote half, when torn is set, and why not all. The disk
// may have all of it, which is the worse case.
type tornFS struct {
	vfs.FS
	torn *atomic.Pointer[error]
}

type tornFile struct {
	vfs.File
	torn *atomic.Pointer[error]
}

func (fs tornFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := fs.FS.OpenReadWrite(name, c, o...)
	return tornFile{f, fs.torn}, err
}

func (f tornFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.torn.Load(); err != nil && len(b) > recordHeaderBytes {
		n, _ := f.File.WriteAt(b, off)
		return n / 2, *err
	}
	return f.File.WriteAt(b, off)
}

func TestFailedWriteIsTakenBack(t *testing.T) {
	for _, size := range []int{100, inlineBytes + 100, 3000} {
		var torn atomic.Pointer[error]
		mem := vfs.NewCrashableMem()
		o := testOptions(tornFS{mem, &torn}, FsyncAlways)
		l := mustOpen(t, o)
		s := l.Shard(1)
		must(t, s.Append(hard(1, 1, 0), entries(1, 1, 1, 100), true))
		enospc := error(syscall.ENOSPC)
		torn.Store(&enospc)
		for range 2 {
			if err := s.Append(hard(2, 2, 1), entries(2, 1, 1, size), true); !errors.Is(err, engine.ErrNoSpace) || errors.Is(err, ErrFailed) {
				t.Fatalf("append to a full disk: %v", err)
			}
		}
		torn.Store(nil)
		wantBounds(t, s, 1, 1)
		wantState(t, s, 1, 1, 0)
		o.FS = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: newModelRand(1)})
		l2 := mustOpen(t, o)
		wantBounds(t, l2.Shard(1), 1, 1)
		wantState(t, l2.Shard(1), 1, 1, 0)
		must(t, l2.Close())
		must(t, s.Append(nil, entries(2, 2, 3, size), true))
		l = reopen(t, l)
		wantEntries(t, all(t, l.Shard(1)), append(entries(1, 1, 1, 100), entries(2, 2, 3, size)...))
		must(t, l.Close())
	}
}

// A disk that fills up: entries are refused where they are reserved for, hard
// states still find room, and it goes on when there is space again.
func TestFullDisk(t *testing.T) {
	var fault atomic.Pointer[error]
	var allocations atomic.Int64
	o := testOptions(failFS(vfs.NewMem(), &fault, &allocations, errorfs.OpFilePreallocate), FsyncAlways)
	o.SegmentBytes = 64 << 10
	l := mustOpen(t, o)
	s := l.Shard(1)
	enospc := error(syscall.ENOSPC)
	fault.Store(&enospc)
	next := Index(1)
	for {
		err := s.Reserve(1000)
		if err != nil {
			if !errors.Is(err, engine.ErrNoSpace) {
				t.Fatal(err)
			}
			break
		}
		must(t, s.Append(nil, entries(next, 1, 1, 1000), true))
		next++
	}
	if next < 40 {
		t.Fatalf("refused after %d entries already", next-1)
	}
	if m := l.Metrics(); m.ReservedBytes != 0 {
		t.Fatalf("%d bytes stay reserved", m.ReservedBytes)
	}
	for term := range uint64(60) {
		must(t, s.Append(hard(term+2, 1, 0), nil, true))
	}
	must(t, s.SetConfState(&raftpb.ConfState{Voters: []uint64{1}}))
	if err := s.Append(nil, entries(next, 1, 1, 30000), true); !errors.Is(err, engine.ErrNoSpace) {
		t.Fatalf("append of what was not reserved for: %v", err)
	}
	wantBounds(t, s, 1, uint64(next-1))
	before := allocations.Load()
	if err := s.Reserve(100_000); !errors.Is(err, engine.ErrNoSpace) {
		t.Fatalf("reserve: %v", err)
	}
	fault.Store(nil)
	must(t, s.Reserve(100_000))
	fault.Store(&enospc)
	must(t, s.Append(nil, entries(next, 1, 1, 30_000), true))
	must(t, s.Append(nil, entries(next+1, 1, 1, 30_000), true))
	must(t, s.Append(nil, entries(next+2, 1, 1, 40_000), true))
	if n := allocations.Load() - before; n != 2 {
		t.Fatalf("%d allocations", n)
	}
	fault.Store(nil)
	must(t, s.Reserve(500))
	must(t, s.Reserve(0))
	if m := l.Metrics(); m.ReservedBytes != 0 {
		t.Fatalf("%d bytes stay reserved", m.ReservedBytes)
	}
	must(t, s.Truncate(next+1))
	must(t, s.Append(nil, entries(next+3, 1, 1, 20_000), true))
	l = reopen(t, l)
	wantBounds(t, l.Shard(1), uint64(next), uint64(next)+3)
	wantState(t, l.Shard(1), 61, 1, uint64(next)+1)
	must(t, l.Close())
}

// A file system without fallocate gets its segments filled with zeros.
func TestNoFallocate(t *testing.T) {
	var fault atomic.Pointer[error]
	var n atomic.Int64
	unsupported := error(syscall.EOPNOTSUPP)
	fault.Store(&unsupported)
	l := mustOpen(t, testOptions(failFS(vfs.NewMem(), &fault, &n, errorfs.OpFilePreallocate), FsyncAlways))
	must(t, l.Shard(1).Append(nil, entries(1, 1, 30, 900), true))
	if seg := l.active.Load(); seg.exists < seg.capacity {
		t.Fatalf("%d of %d bytes exist", seg.exists, seg.capacity)
	}
	l = reopen(t, l)
	wantEntries(t, all(t, l.Shard(1)), entries(1, 1, 30, 900))
	must(t, l.Close())
}

// A name that cannot be changed now is tried again, and only then.
func TestFailedRename(t *testing.T) {
	var fault atomic.Pointer[error]
	var n atomic.Int64
	l := mustOpen(t, testOptions(failFS(vfs.NewMem(), &fault, &n, errorfs.OpRename), FsyncAlways))
	s := l.Shard(1)
	must(t, s.Append(nil, entries(1, 1, 1, 3000), true))
	enospc := error(syscall.ENOSPC)
	fault.Store(&enospc)
	for range 3 {
		if err := s.Append(nil, entries(2, 1, 1, 3000), true); !errors.Is(err, engine.ErrNoSpace) {
			t.Fatal(err)
		}
	}
	fault.Store(nil)
	must(t, s.Append(nil, entries(2, 1, 1, 3000), true))
	l = reopen(t, l)
	wantEntries(t, all(t, l.Shard(1)), entries(1, 1, 2, 3000))
	must(t, l.Close())
}
