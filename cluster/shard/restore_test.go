package shard

import (
	"context"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	pb "go.etcd.io/raft/v3/raftpb"
)

// fullDisk refuses to write the files of a folder while it is full.
type fullDisk struct {
	vfs.FS
	full    atomic.Bool
	refused atomic.Int64
}

func newFullDisk(folder string) *fullDisk {
	d := &fullDisk{}
	d.FS = errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpCreate, errorfs.OpFilePreallocate:
			if d.full.Load() && strings.HasPrefix(op.Path, folder) {
				d.refused.Add(1)
				return syscall.ENOSPC
			}
		}
		return nil
	}))
	return d
}

// joinOnFullDisk adds a member whose disk is full when it has switched to a raft
// snapshot and the log is to follow, and waits until it was refused some times.
func joinOnFullDisk(t *testing.T) (*testCluster, *testNode, *fullDisk) {
	t.Helper()
	c := newTestCluster(t, 1)
	for _, key := range []string{"a", "b"} {
		if err := c.set(key, "v"); err != nil {
			t.Fatal(err)
		}
	}
	disk := newFullDisk("log")
	n := c.addOn(disk, 2, nil)
	n.store.onSwitch = func() { disk.full.Store(true) }
	cc := &pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{{Type: pb.ConfChangeAddLearnerNode.Enum(), NodeId: new(uint64(2))}}}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.leader().s.Group().ChangeMembership(ctx, cc); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(patience)
	for disk.refused.Load() < 3 {
		if time.Now().After(deadline) {
			t.Fatal("the raft snapshot did not come, or nothing was tried again")
		}
		time.Sleep(time.Millisecond)
	}
	return c, n, disk
}

// TestRestoreWaitsForSpace: a full disk between the switch to a raft snapshot and
// the reset of the log does not end the member.
func TestRestoreWaitsForSpace(t *testing.T) {
	c, n, disk := joinOnFullDisk(t)
	select {
	case <-n.s.Group().Done():
		t.Fatalf("the group has ended: %v", n.s.Group().Err())
	default:
	}
	disk.full.Store(false)
	if got, found, err := n.get("b", ReadOptions{}); got != "v" || !found || err != nil {
		t.Fatalf("the member reads %q, %v, %v", got, found, err)
	}
	if n.store.pending != nil || n.store.switches != 1 {
		t.Errorf("pending %v after %d switches", n.store.pending, n.store.switches)
	}
	if err := c.set("c", "w"); err != nil {
		t.Fatal(err)
	}
	c.wantEverywhere("c", "w")
}

// TestCloseWhileRestoreWaitsForSpace: the wait does not hold a shard up that closes,
// and the next start finishes the switch.
func TestCloseWhileRestoreWaitsForSpace(t *testing.T) {
	c, n, disk := joinOnFullDisk(t)
	c.mu.Lock()
	s := n.s
	n.s = nil
	c.mu.Unlock()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	disk.full.Store(false)
	if err := n.log.Close(); err != nil {
		t.Fatal(err)
	}
	if n.store.pending == nil {
		t.Fatal("the switch was finished on a full disk")
	}
	n.restart()
	if got, found, err := n.get("b", ReadOptions{}); got != "v" || !found || err != nil {
		t.Fatalf("the member reads %q, %v, %v", got, found, err)
	}
	if err := c.set("c", "w"); err != nil {
		t.Fatal(err)
	}
	c.wantEverywhere("c", "w")
}
