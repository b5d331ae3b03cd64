package cluster

import (
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

func TestSnapshotPausesGrow(t *testing.T) {
	var got []time.Duration
	for failures := 1; failures <= 6; failures++ {
		got = append(got, snapshotPause(minSnapshotPause, failures))
	}
	if fmt.Sprint(got) != "[1s 2s 4s 8s 8s 8s]" || maxSnapshotPause != 8*time.Second {
		t.Errorf("%v, at most %v", got, maxSnapshotPause)
	}
}

// smallDisk has as much free space as it is told.
type smallDisk struct {
	vfs.FS
	free atomic.Uint64
}

func (d *smallDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: d.free.Load(), TotalBytes: 1 << 40}, nil
}

// TestReceiverWithoutSpace: a member that has no space for a raft snapshot is left
// alone for a while, and gets it soon after it has.
func TestReceiverWithoutSpace(t *testing.T) {
	c := newTestCluster(t)
	// Whoever waits for the end of the pause is found out.
	slow := func(o *Options) { o.snapshotPause = time.Hour }
	list := c.startAll(3, slow)
	list[0].mustPut("k", "v")
	disk := &smallDisk{FS: vfs.NewMem()}
	n := c.start(4, func(o *Options) {
		joining(o)
		o.FS = disk
	})
	if err := list[0].AddNode(t.Context(), n.addr, true); err != nil {
		t.Fatal(err)
	}
	failed := func() uint64 {
		m := n.Metrics()
		if len(m.Snapshots) == 0 {
			return 0
		}
		return m.Snapshots[0].Failed
	}
	waitFor(t, func() bool { return failed() > 0 })
	time.Sleep(3 * roomInterval) // nothing must happen: there is nothing to wait for
	if got := failed(); got != 1 {
		t.Errorf("the raft snapshot was tried %d times", got)
	}
	disk.free.Store(1 << 40)
	n.waitMembers(1, 2, 3, 4)
	n.mustGet("k", "v")
}

// TestSwitchWaitsForSpace: a raft snapshot that was received, and cannot become the
// current state because the disk is full, is not lost, and does not end the node.
func TestSwitchWaitsForSpace(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, nil)
	list[0].mustPut("k", "v")
	var full atomic.Bool
	var pointers, refused atomic.Int64
	full.Store(true)
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		// The first time the pointer file is written, a folder is reserved to receive
		// into; the next time is the switch.
		if op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".current.tmp") && pointers.Add(1) > 1 && full.Load() {
			refused.Add(1)
			return syscall.ENOSPC
		}
		return nil
	}))
	n := c.start(4, func(o *Options) {
		joining(o)
		o.FS = fs
	})
	if err := list[0].AddNode(t.Context(), n.addr, true); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return refused.Load() >= 3 })
	if m := n.Metrics().Snapshots[0]; m.Completed != 1 || m.Switched != 0 || m.Begun != 1 {
		t.Errorf("before there is space: %+v", m)
	}
	full.Store(false)
	n.waitMembers(1, 2, 3, 4)
	n.mustGet("k", "v")
	if m := n.Metrics().Snapshots[0]; m.Switched != 1 || m.Begun != 1 {
		t.Errorf("with space again: %+v", m)
	}
	select {
	case err := <-n.Fatal():
		t.Error(err)
	default:
	}
}
