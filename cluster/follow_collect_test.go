package cluster

import (
	"context"
	"strconv"
	"testing"
	"time"

	"dkv/cluster/replica"
	"dkv/cluster/shard"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// sentFrame is a frame of entries, and when it was sent.
type sentFrame struct {
	replica.Frame
	at time.Time
}

// followFrames follows a node's shard 0 from where it is now, without a replica.
func followFrames(t *testing.T, n *Node) (*replica.Session, <-chan sentFrame) {
	t.Helper()
	s := n.Shard(0)
	pinned, at, hold, err := s.Pin()
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
	frames := make(chan sentFrame, 1000)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = ss.Run(ctx, func(data []byte) error {
			f, err := replica.ParseFrame(append([]byte(nil), data...))
			if err == nil && f.Type == replica.FrameEntries {
				frames <- sentFrame{f, time.Now()}
			}
			return err
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return ss, frames
}

// take waits for the next frame.
func take(t *testing.T, frames <-chan sentFrame) sentFrame {
	t.Helper()
	select {
	case f := <-frames:
		return f
	case <-time.After(20 * time.Second):
		t.Fatal("no frame")
		return sentFrame{}
	}
}

// TestFramesCollectEntries: small entries that come one after the other share frames,
// unless somebody waits for replicas; large ones are sent at once.
func TestFramesCollectEntries(t *testing.T) {
	const least = 2 * time.Millisecond
	n := newSourceNet().open(t, vfs.NewMem())
	if err := set(n, "first", "x"); err != nil {
		t.Fatal(err)
	}
	_, frames := followFrames(t, n)
	// gaps sets a key after each frame, and returns the shortest time between two.
	gaps := func(value string) time.Duration {
		t.Helper()
		shortest := time.Hour
		var last time.Time
		for i := range 50 {
			if err := set(n, "k"+strconv.Itoa(i), value); err != nil {
				t.Fatal(err)
			}
			f := take(t, frames)
			if gap := f.at.Sub(last); i > 0 {
				shortest = min(shortest, gap)
			}
			last = f.at
		}
		return shortest
	}
	if got := gaps("small"); got < least {
		t.Errorf("%v between two small frames", got)
	}
	if got := gaps(string(make([]byte, 40<<10))); got >= least {
		t.Errorf("at least %v between two large frames", got)
	}
	n.Source().Changed() // nobody acknowledges anything, so it is waited for all the time
	if got := gaps("small"); got >= least {
		t.Errorf("at least %v between two small frames that somebody waits for", got)
	}
}

// TestFramesHurry: who begins to wait for replicas ends the collecting.
func TestFramesHurry(t *testing.T) {
	n := newSourceNet().open(t, vfs.NewMem())
	if err := set(n, "first", "x"); err != nil {
		t.Fatal(err)
	}
	ss, frames := followFrames(t, n)
	shortest := time.Hour
	for range 50 {
		if err := set(n, "k", "1"); err != nil {
			t.Fatal(err)
		}
		f := take(t, frames)
		if err := set(n, "k", "2"); err != nil {
			t.Fatal(err)
		}
		n.Source().Changed()
		second := take(t, frames)
		shortest = min(shortest, second.at.Sub(f.at))
		ss.Ack(second.At.Index, false) // what was waited for
	}
	if shortest >= 2*time.Millisecond {
		t.Errorf("at least %v until the second frame", shortest)
	}
}
