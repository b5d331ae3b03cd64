package cluster

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestRing: a node that is told to follow itself, or one that follows it, is refused
// by what it asks. It would copy what it has from itself for ever.
func TestRing(t *testing.T) {
	sn := newSourceNet()
	first := sn.open(t, vfs.NewMem())
	sn.set("a:1", first)
	if err := set(first, "k", "v"); err != nil {
		t.Fatal(err)
	}
	refused := func(n *Node, addr string) {
		t.Helper()
		if err := n.Follow([]string{addr}); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool {
			f, ok := n.Following()
			return ok && strings.Contains(f.Links[0].Err, "the source follows the replica that asks")
		})
		if got := fullCopies(n); got != 0 {
			t.Errorf("%d full copies of itself, by %s", got, addr)
		}
	}
	refused(first, "a:1")
	if err := first.Unfollow(); err != nil {
		t.Fatal(err)
	}

	second := sn.open(t, vfs.NewMem(), "a:1")
	waitFor(t, func() bool { v, _ := getString(t, second, "k"); return v == "v" }) // its log goes on from here
	sn.set("b:1", second)
	third := sn.open(t, vfs.NewMem(), "b:1")
	sn.set("c:1", third)
	waitFor(t, func() bool { v, _ := getString(t, third, "k"); return v == "v" })
	refused(first, "b:1")
	refused(first, "c:1")
	copies := fullCopies(second) + fullCopies(third)

	// The others have gone on following, and the ring can be opened anywhere.
	if err := second.Unfollow(); err != nil {
		t.Fatal(err)
	}
	if err := set(second, "k", "w"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { v, _ := getString(t, third, "k"); return v == "w" })
	waitFor(t, func() bool { v, _ := getString(t, first, "k"); return v == "w" })
	if got := fullCopies(first); got != 1 || copies != 2 {
		t.Errorf("%d full copies by the first, %d by the others", got, copies)
	}
}
