package raftlog

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The space of a segment must really be taken from the disk when it is made,
// or Reserve promises what it has not got.
func TestPreallocatedOnDisk(t *testing.T) {
	dir := t.TempDir()
	probe, err := vfs.Default.OpenReadWrite(filepath.Join(dir, "probe"), "test")
	must(t, err)
	if err := probe.Preallocate(0, 1<<20); err != nil {
		t.Skipf("no fallocate here: %v", err)
	}
	must(t, probe.Close())
	l := mustOpen(t, Options{Dir: dir, SegmentBytes: 1 << 20})
	must(t, l.Shard(1).Append(nil, entries(1, 1, 1, 100), true))
	st, err := os.Stat(filepath.Join(dir, segmentName(1)))
	must(t, err)
	if got := st.Sys().(*syscall.Stat_t).Blocks * 512; got < 1<<20 {
		t.Fatalf("%d bytes are allocated", got)
	}
	if seg := l.active.Load(); seg.exists != seg.capacity || st.Size() != seg.capacity {
		t.Fatalf("%d bytes exist of %d", seg.exists, seg.capacity)
	}
	must(t, l.Close())
}
