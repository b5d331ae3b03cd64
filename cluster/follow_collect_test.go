package cluster

import (
	"context"
	"testing"
	"time"

	"dkv/cluster/raftlog"
	"dkv/cluster/replica"
	"dkv/cluster/shard"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// openCollecting opens a node whose source collects small entries for so long that
// nothing else than being hurried ends it, and follows it from after its first entry.
func openCollecting(t *testing.T) (*Node, <-chan replica.Frame) {
	t.Helper()
	n, err := Open(Options{Dir: "data", FS: vfs.NewMem(), Fsync: raftlog.FsyncAlways, Shards: 1, collectTime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := set(n, "first", "x"); err != nil {
		t.Fatal(err)
	}
	pinned, at, hold, err := n.Shard(0).Pin()
	if err != nil {
		t.Fatal(err)
	}
	hold.Release()
	if err := pinned.Close(); err != nil {
		t.Fatal(err)
	}
	ss, _, err := n.Source().Open(replica.Request{Version: replica.ProtocolVersion, Shards: 1, Replica: "test",
		From: shard.SourcePosition{History: n.ClusterInfo().ClusterID, Position: at}})
	if err != nil {
		t.Fatal(err)
	}
	frames := make(chan replica.Frame, 1000)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = ss.Run(ctx, func(data []byte) error {
			f, err := replica.ParseFrame(append([]byte(nil), data...))
			if err == nil && f.Type == replica.FrameEntries {
				frames <- f
			}
			return err
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return n, frames
}

// setAndTake sets a key, and wants a frame with that one entry.
func setAndTake(t *testing.T, n *Node, frames <-chan replica.Frame, value string) {
	t.Helper()
	if err := set(n, "k", value); err != nil {
		t.Fatal(err)
	}
	if f := takeFrame(t, frames); len(f.Batches) != 1 {
		t.Errorf("a frame of %d entries, want 1", len(f.Batches))
	}
}

func takeFrame(t *testing.T, frames <-chan replica.Frame) replica.Frame {
	t.Helper()
	select {
	case f := <-frames:
		return f
	case <-time.After(20 * time.Second):
		t.Fatal("no frame")
		return replica.Frame{}
	}
}

// TestFramesCollectEntries: what comes after a small entry shares a frame, until somebody
// waits for replicas; from then on each goes at once.
func TestFramesCollectEntries(t *testing.T) {
	n, frames := openCollecting(t)
	setAndTake(t, n, frames, "at once")
	const more = 3
	for range more {
		if err := set(n, "k", "small"); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case f := <-frames:
		t.Errorf("a frame of %d entries that were to be collected", len(f.Batches))
	case <-time.After(50 * time.Millisecond): // long enough for one that is not held back
	}
	n.Source().Changed()
	if f := takeFrame(t, frames); len(f.Batches) != more {
		t.Errorf("a frame of %d entries, want %d", len(f.Batches), more)
	}
	// Nobody acknowledges anything, so it is still waited for.
	for range more {
		setAndTake(t, n, frames, "small")
	}
}

// TestFramesLarge: nothing is collected after a large frame.
func TestFramesLarge(t *testing.T) {
	n, frames := openCollecting(t)
	for range 3 {
		setAndTake(t, n, frames, string(make([]byte, 40<<10)))
	}
	setAndTake(t, n, frames, "small")
}
