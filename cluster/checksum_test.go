package cluster

import (
	"errors"
	"testing"
	"time"

	"dkv/cluster/shard"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestChecksumOfAReplicaBehind: a replica that is sent many entries at once is, all the
// same, in the state that somebody asks for.
func TestChecksumOfAReplicaBehind(t *testing.T) {
	sn := newSourceNet()
	source := sn.open(t, vfs.NewMem())
	sn.set("s:1", source)
	if err := chainStep(source, 1); err != nil {
		t.Fatal(err)
	}
	// It pauses between batches, so that more than one frame waits to be applied.
	r := openNode(t, Options{
		Dir: "data", FS: vfs.NewMem(), Shards: 1, BlockCacheBytes: 1 << 20, ReserveDiskBytes: -1,
		Follow: FollowOptions{Addrs: []string{"s:1"}, Dial: sn.dial, Interval: func() time.Duration { return 100 * time.Millisecond }},
	})
	t.Cleanup(sn.close) // before the nodes
	waitStep(t, r, 1)
	sn.set("s:1", nil) // cuts it off

	ask := func(n *Node) (<-chan shard.Checksum, uint64) {
		at := source.Shard(0).Applied() + 50
		got := make(chan shard.Checksum, 1)
		started := make(chan struct{})
		go func() {
			close(started)
			c, err := n.Checksum(t.Context(), 0, at)
			if err != nil {
				t.Error(err)
			}
			got <- c
		}()
		<-started
		return got, uint64(at)
	}
	ofReplica, at := ask(r)
	ofSource, _ := ask(source)
	waitFor(t, func() bool { return source.Shard(0).Mark(0, 1<<40) != 0 && r.Shard(0).Mark(0, 1<<40) != 0 })
	for i := 2; i <= 101; i++ {
		if err := chainStep(source, i); err != nil {
			t.Fatal(err)
		}
	}
	sn.set("s:1", source)
	a, b := <-ofSource, <-ofReplica
	if a.Digest != b.Digest || a.Index != b.Index || uint64(a.Index) != at || a.History != b.History || a.Keys != b.Keys {
		t.Errorf("%+v on the source, %+v on the replica, at %d", a, b, at)
	}
	waitStep(t, r, 101)
	now, err := r.Checksum(t.Context(), 0, 0)
	if err != nil || now.Digest == b.Digest {
		t.Errorf("%+v, %v", now, err)
	}
	if _, err := r.Checksum(t.Context(), 0, a.Index); !errors.Is(err, shard.ErrPassed) {
		t.Errorf("a place that was passed: %v", err)
	}
}
