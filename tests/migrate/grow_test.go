package migrate

import (
	"net"
	"testing"

	"dkv/tests/harness"
)

// peerAddr is an address that was free a moment ago.
func peerAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestGrow: a node that has followed Redis becomes a cluster where it is, and has what
// Redis had when one of the nodes is lost.
func TestGrow(t *testing.T) {
	harness.NeedItself(t)
	rng := seedOf(t)
	source := harness.Redis(t)
	fill(t, source, rng, 200)
	dir := t.TempDir()
	d := harness.DkvIn(t, dir, "-shards", "2")
	stop := load(source.Addr(), rng.Uint64(), 2)
	follow(t, d, source)
	harness.Until(t, patience, "the link to be up", linkUp(d))
	if n := stop(); n == 0 {
		t.Fatal("nothing was written")
	}
	awaitAcked(t, source)
	awaitSame(t, source, d)
	d.Dial(t).OK("REPLICAOF", "NO", "ONE")
	if code, err := d.Terminate(patience); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v", code, err)
	}

	first := harness.DkvIn(t, dir, "-peer-addr", peerAddr(t))
	var joined []*harness.Server
	for _, engine := range []string{"pebble", "badger"} {
		peer := peerAddr(t)
		s := harness.Dkv(t, "-peer-addr", peer, "-join", "yes", "-db-engine", engine)
		joined = append(joined, s)
		if out, code := dkvctl(t, first, "-addNode", "http://"+peer); code != 0 {
			t.Fatalf("addNode: %s", out)
		}
	}
	for _, s := range joined {
		awaitSame(t, source, s)
	}
	first.Kill()
	c := joined[0].Dial(t)
	harness.Until(t, patience, "another leader", func() bool { return string(c.Do("SET", "grown", "up").Str) == "OK" })
	harness.Until(t, patience, "the write on the other node", func() bool { return ask(joined[1], "GET", "grown") == "up" })
}
