package cluster

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestNewReplicaIsNeverAMaster: a replica with a new folder says at any time that it
// follows somebody, also while it makes the shards that it has asked for.
func TestNewReplicaIsNeverAMaster(t *testing.T) {
	sn := newSourceNet()
	source := sn.open(t, vfs.NewMem())
	n, err := Open(Options{
		Dir: "data", FS: vfs.NewMem(), ReserveDiskBytes: -1,
		Follow: FollowOptions{Addrs: []string{"s:1"}, Dial: sn.dial},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		sn.close()
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	says := func() (up bool) {
		f, ok := n.Following()
		if !ok || len(f.Addrs) != 1 || len(f.Links) == 0 || !n.Follows() {
			t.Fatalf("it follows nobody: %+v", f)
		}
		return f.Up()
	}
	waitFor(t, func() bool {
		f, _ := n.Following()
		says()
		return f.Links[0].Err != ""
	})
	sn.set("s:1", source)
	// Asked all the time: it makes its shards in a moment.
	for deadline := time.Now().Add(30 * time.Second); !says(); {
		if time.Now().After(deadline) {
			t.Fatal("it does not come up")
		}
	}
}
