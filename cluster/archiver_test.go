package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"dkv/cluster/archive"
	"dkv/cluster/raftlog"
	"dkv/engine/enginetest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

const archiveDir = "archive"

// archiving are the options of a node with an archive, and a log that is cut often.
func archiving(fs vfs.FS) Options {
	return Options{
		Dir: "data", FS: fs, Fsync: raftlog.FsyncAlways,
		MemtableBytes: 64 << 10, LogSegmentBytes: 32 << 10, LogRetainBytes: -1, MaxLogBytes: 64 << 10,
		BlockCacheBytes: 1 << 20, ReserveDiskBytes: -1,
		LogArchiveDir: archiveDir, LogArchiveInterval: 5 * time.Millisecond,
	}
}

func awaitArchived(t *testing.T, n *Node) {
	t.Helper()
	waitFor(t, func() bool {
		st := n.ArchiveStatus()[0]
		return st.Behind == 0 && st.Err == ""
	})
}

// restoredStep restores a backup with the archive, and returns the step that it leads
// to.
func restoredStep(t *testing.T, fs vfs.FS, until string) (int, RestoreReport, error) {
	t.Helper()
	u, err := ParseUntil(until)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Dir: "restored", FS: fs, ReserveDiskBytes: -1, BlockCacheBytes: 1 << 20, MemtableBytes: 64 << 10, LogArchiveDir: archiveDir}
	report, err := Restore(t.Context(), o, RestoreOptions{Backup: "backups/b", Until: u})
	if err != nil {
		return 0, report, err
	}
	o.LogArchiveDir = ""
	n, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	last := checkChain(t, n)
	if err := errors.Join(n.Close(), fs.RemoveAll("restored")); err != nil {
		t.Fatal(err)
	}
	return last, report, nil
}

// TestPointInTime restores the states of all times and entries after a backup.
func TestPointInTime(t *testing.T) {
	fs := vfs.NewMem()
	o := archiving(fs)
	var now atomic.Int64 // a clock that only this test moves
	now.Store(1_790_000_000_000)
	o.Clock = func() time.Time { return time.UnixMilli(now.Load()) }
	n := openNode(t, o)
	const steps, backedUp = 400, 150
	var index [steps + 1]raftlog.Index
	timeOf := func(step int) int64 { return 1_790_000_000_000 + 10*int64(step) }
	for i := 1; i <= steps; i++ {
		now.Store(timeOf(i))
		if err := chainStep(n, i); err != nil {
			t.Fatal(err)
		}
		index[i] = n.Shard(0).Applied()
		if i == backedUp {
			if _, err := n.Backup(t.Context(), "backups/b"); err != nil {
				t.Fatal(err)
			}
		}
		if i%50 == 0 { // so that files end, and the log is cut
			if err := n.Save(t.Context()); err != nil {
				t.Fatal(err)
			}
			now.Add(archiveFileTime.Milliseconds())
		}
	}
	awaitArchived(t, n)
	for _, tc := range []struct {
		until string
		want  int
		err   error
		ended bool
	}{
		{until: "", want: backedUp},
		{until: fmt.Sprint(timeOf(200)), want: 200},
		{until: fmt.Sprint(timeOf(200) - 1), want: 199},
		{until: fmt.Sprint(timeOf(200) + 9), want: 200},
		{until: time.UnixMilli(timeOf(300)).UTC().Format(time.RFC3339Nano), want: 300},
		{until: time.UnixMilli(timeOf(300)).In(time.FixedZone("", 3600)).Format(time.RFC3339Nano), want: 300},
		{until: fmt.Sprint(timeOf(backedUp)), want: backedUp},
		{until: fmt.Sprint(timeOf(backedUp) - 1), err: ErrTooEarly},
		{until: "latest", want: steps, ended: true},
		{until: "2100-01-01T00:00:00Z", want: steps, ended: true},
		{until: fmt.Sprint(index[333]), want: 333},
		{until: fmt.Sprintf("0=%d", index[333]), want: 333},
		{until: fmt.Sprint(index[steps]), want: steps},
		{until: fmt.Sprint(index[steps] + 1), err: ErrArchiveEnds},
		{until: fmt.Sprint(index[backedUp] - 1), err: ErrTooEarly},
		{until: "0=200,1=3", err: ErrUntil},
		{until: "1=200", err: ErrUntil},
	} {
		got, report, err := restoredStep(t, fs, tc.until)
		if got != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("until %q: step %d, %v; want %d, %v", tc.until, got, err, tc.want, tc.err)
		}
		if err == nil && (report.Shards[0].Ended != tc.ended || report.Shards[0].Time != timeOf(tc.want)) {
			t.Errorf("until %q: %+v", tc.until, report.Shards[0])
		}
	}
	waitFor(t, func() bool { // what was recovered is not in the log any more
		if err := n.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := chainStep(n, steps+1); err != nil {
			t.Fatal(err)
		}
		first, _ := n.log.Shard(0).FirstIndex()
		return first > backedUp
	})
}

func TestParseUntilRefuses(t *testing.T) {
	for _, s := range []string{"0", "-1", "x", "2026-01-02", "1=", "=1", "1=2,1=3", "0=0", "70000=1", "12.5", "1969-01-01T00:00:00Z", ","} {
		if u, err := ParseUntil(s); !errors.Is(err, ErrUntil) {
			t.Errorf("%q: %+v, %v", s, u, err)
		}
	}
}

// TestArchiveCrashAnywhere crashes a node at many moments while it archives. With what
// is left a backup and the archive lead to a step that there was, and when the node
// has run again, to its last one.
func TestArchiveCrashAnywhere(t *testing.T) {
	for _, mode := range []raftlog.FsyncMode{raftlog.FsyncAlways, raftlog.FsyncNo} {
		t.Run(mode.String(), func(t *testing.T) { testArchiveCrash(t, mode) })
	}
}

func testArchiveCrash(t *testing.T, mode raftlog.FsyncMode) {
	rng := seedOf(t)
	archiving := func(fs vfs.FS) Options {
		o := archiving(fs)
		o.Fsync = mode
		return o
	}
	mem := enginetest.NewCrashFS()
	c := &crasher{mem: mem, rng: rand.New(rand.NewPCG(rng.Uint64(), 3)), every: 1 << 30}
	n, err := Open(archiving(errorfs.Wrap(mem, c)))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for i := 1; i <= 20; i++ {
		if err := chainStep(n, i); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.Backup(t.Context(), "backups/b"); err != nil {
		t.Fatal(err)
	}
	c.setEvery(31)
	for i := 21; i <= 400; i++ {
		c.begun.Store(int64(i))
		if err := chainStep(n, i); err != nil {
			t.Fatal(err)
		}
		c.acked.Store(int64(i))
		if i%60 == 0 {
			if err := n.Save(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.setEvery(1 << 30)
	points := c.take()
	most, checked := 16, 0
	if testing.Short() {
		most = 8
	}
	for _, p := range points {
		if rng.IntN(len(points)) >= most {
			continue
		}
		checked++
		last, _, err := restoredStep(t, p.fs, "latest")
		if err != nil && !errors.Is(err, ErrNoArchive) || last > p.begun {
			t.Fatalf("crash before %s: step %d of %d, %v", p.op, last, p.begun, err)
		}
		again, err := Open(archiving(p.fs))
		if err != nil {
			t.Fatalf("crash before %s: %v", p.op, err)
		}
		now := checkChain(t, again)
		if now < last {
			t.Fatalf("crash before %s: the archive went to step %d, the node to %d", p.op, last, now)
		}
		for range 5 {
			now++
			if err := chainStep(again, now); err != nil {
				t.Fatal(err)
			}
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
		if last, _, err := restoredStep(t, p.fs, "latest"); err != nil || last != now {
			t.Fatalf("crash before %s, and a run: step %d, %v; want %d", p.op, last, err, now)
		}
	}
	if checked == 0 {
		t.Errorf("%d of %d points checked", checked, len(points))
	}
}

// TestArchiveFails: the log waits for an archive that cannot be written, up to a bound;
// then it is cut, and the archive has a gap that a restore does not cross.
func TestArchiveFails(t *testing.T) {
	mem := vfs.NewMem()
	var broken atomic.Bool
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && strings.HasPrefix(op.Path, archiveDir) && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return syscall.ENOSPC
		}
		return nil
	}))
	o := archiving(fs)
	o.LogArchiveMaxBytes = 1 << 20
	n := openNode(t, o)
	value := strings.Repeat("v", 4<<10)
	fill := func(upTo func() bool) {
		t.Helper()
		for i := 0; !upTo(); i++ {
			if err := set(n, fmt.Sprint("fill", i%50), value); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := chainStep(n, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Backup(t.Context(), "backups/b"); err != nil {
		t.Fatal(err)
	}
	awaitArchived(t, n)
	broken.Store(true)
	held := n.ArchiveStatus()[0].Index
	fill(func() bool { return n.Metrics().Log.Bytes > 600<<10 })
	if err := n.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return n.ArchiveStatus()[0].Err != "" })
	if first, _ := n.log.Shard(0).FirstIndex(); raftlog.Index(first) > held+1 {
		t.Fatalf("the log begins with %d, archived is %d", first, held)
	}
	// Mended in time: nothing is missing.
	broken.Store(false)
	awaitArchived(t, n)
	if st := n.ArchiveStatus()[0]; st.Gaps != 0 {
		t.Fatalf("%+v", st)
	}
	waitFor(t, func() bool {
		if err := n.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
		fill(func() bool { return true })
		first, _ := n.log.Shard(0).FirstIndex()
		return raftlog.Index(first) > held+1
	})
	// Not mended for too long.
	broken.Store(true)
	at := n.ArchiveStatus()[0].Index
	waitFor(t, func() bool {
		i := 0
		fill(func() bool { i++; return i > 100 })
		first, _ := n.log.Shard(0).FirstIndex()
		return raftlog.Index(first) > at+1
	})
	broken.Store(false)
	awaitArchived(t, n)
	if st := n.ArchiveStatus()[0]; st.Gaps != 1 {
		t.Fatalf("%+v", st)
	}
	u, _ := ParseUntil("latest")
	ro := Options{Dir: "restored", FS: mem, ReserveDiskBytes: -1, LogArchiveDir: archiveDir}
	if _, err := Restore(t.Context(), ro, RestoreOptions{Backup: "backups/b", Until: u}); !errors.Is(err, archive.ErrGap) {
		t.Fatalf("restore across the gap: %v", err)
	}
}
