package migrate

import (
	"strconv"
	"strings"
	"testing"

	"dkv/tests/harness"
)

// TestLive moves from a Redis server that is written to all the time.
func TestLive(t *testing.T) {
	harness.NeedItself(t)
	for name, flags := range map[string][]string{
		"disk":     {"--repl-diskless-sync", "no"},
		"diskless": {"--repl-diskless-sync", "yes"},
		"5 shards": {"--repl-diskless-sync", "yes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rng := seedOf(t)
			source := harness.Redis(t, flags...)
			fill(t, source, rng, 300)
			shards, several := strings.CutSuffix(name, " shards")
			if !several {
				shards = "1"
			}
			d := harness.Dkv(t, "-fsync", "no", "-shards", shards)
			d.Dial(t).OK("SET", "mine", "is gone then")
			stop := load(source.Addr(), rng.Uint64(), 4)
			follow(t, d, source)
			harness.Until(t, patience, "the link to be up", linkUp(d))
			before := infoField(d, "replication", "slave_repl_offset")
			harness.Until(t, patience, "progress", func() bool { return infoField(d, "replication", "slave_repl_offset") != before })
			dc := d.Dial(t)
			if r := dc.Do("SET", "a", "b"); string(r.Str) != "READONLY You can't write against a read only replica." {
				t.Errorf("a write: %s", r.Str)
			}
			if n := stop(); n == 0 {
				t.Fatal("nothing was written")
			}
			awaitAcked(t, source)
			awaitSame(t, source, d)
			if n := dc.DoInt("EXISTS", "mine"); n != 0 {
				t.Error("what was there before is there still")
			}
			if a, b := infoField(d, "replication", "slave_repl_offset"), infoField(source, "replication", "master_repl_offset"); a > b || len(a) != len(b) {
				t.Errorf("offset %s, the source is at %s", a, b)
			}
			if a, b := infoField(d, "replication", "master_replid"), infoField(source, "replication", "master_replid"); a != b {
				t.Errorf("replid %s, the source's is %s", a, b)
			}
			if role := ask(source, "INFO", "replication"); infoField(source, "replication", "connected_slaves") != "1" {
				t.Errorf("the source does not count the replica:\n%s", role)
			}
			dc.OK("REPLICAOF", "NO", "ONE")
			dc.OK("SET", "written", "afterwards")
			if r := dc.Do("GET", "written"); string(r.Str) != "afterwards" {
				t.Errorf("GET: %s", r.Str)
			}
			if got := infoField(d, "replication", "role"); got != "master" {
				t.Errorf("role %s", got)
			}
			digest := ask(d, "DEBUG", "DIGEST")
			d.Kill()
			d.MustStart(t)
			if got := ask(d, "DEBUG", "DIGEST"); got != digest {
				t.Errorf("other contents after a restart")
			}
		})
	}
}

// TestPassword gives the source's password.
func TestPassword(t *testing.T) {
	harness.NeedItself(t)
	source := harness.Redis(t)
	c := source.Dial(t)
	c.OK("SET", "hello", "world")
	c.OK("CONFIG", "SET", "requirepass", "secret")
	d := harness.Dkv(t)
	follow(t, d, source)
	harness.Until(t, patience, "the link to say why it is down", func() bool {
		return strings.Contains(infoField(d, "replication", "dkv_master_link_error"), "NOAUTH")
	})
	d2 := harness.Dkv(t, "-repl-master-addr", source.Addr(), "-role", "slave", "-masterauth", "secret")
	harness.Until(t, patience, "the link to be up", linkUp(d2))
	if got := ask(d2, "GET", "hello"); got != "world" {
		t.Errorf("GET: %s", got)
	}
}

// TestChain: a replica of a dkv that follows a Redis server has the same.
func TestChain(t *testing.T) {
	harness.NeedItself(t)
	rng := seedOf(t)
	source := harness.Redis(t)
	fill(t, source, rng, 100)
	d := harness.Dkv(t, "-fsync", "no")
	second := harness.Dkv(t, "-fsync", "no", "-role", "slave", "-repl-master-addr", d.Addr())
	harness.Until(t, patience, "the second link to be up", linkUp(second))
	follow(t, d, source)
	harness.Until(t, patience, "the link to be up", linkUp(d))
	stop := load(source.Addr(), rng.Uint64(), 2)
	before, _ := strconv.Atoi(infoField(second, "replication", "slave_repl_offset"))
	harness.Until(t, patience, "progress", func() bool {
		n, _ := strconv.Atoi(infoField(second, "replication", "slave_repl_offset"))
		return n > before+20
	})
	stop()
	awaitAcked(t, source)
	awaitSame(t, source, d)
	awaitSame(t, source, second)
}

// TestFailover: when a replica of the Redis server is promoted, dkv goes on there
// without another copy.
func TestFailover(t *testing.T) {
	for _, shards := range []string{"1", "3"} {
		t.Run(shards, func(t *testing.T) { testFailover(t, shards) })
	}
}

func testFailover(t *testing.T, shards string) {
	harness.NeedItself(t)
	rng := seedOf(t)
	a, b := harness.Redis(t), harness.Redis(t)
	fill(t, a, rng, 50)
	follow(t, b, a)
	harness.Until(t, patience, "the other replica", linkUp(b))
	d := harness.Dkv(t, "-fsync", "no", "-shards", shards, "-role", "slave", "-repl-master-addr", a.Addr()+","+b.Addr())
	harness.Until(t, patience, "the link to be up", linkUp(d))
	stop := load(a.Addr(), rng.Uint64(), 2)
	before := offset(d)
	harness.Until(t, patience, "progress", func() bool { return offset(d) > before })
	stop()
	c := a.Dial(t)
	c.SetDeadline(deadline())
	c.OK("SET", "last", "x")
	if n := c.DoInt("WAIT", "2", "60000"); n != 2 {
		t.Fatalf("%d replicas have all writes", n)
	}
	a.Kill()
	b.Dial(t).OK("REPLICAOF", "NO", "ONE")
	harness.Until(t, patience, "the link to be up again", func() bool {
		return linkUp(d)() && infoField(d, "replication", "master_port") == strconv.Itoa(b.Port())
	})
	b.Dial(t).OK("SET", "after", "x")
	harness.Until(t, patience, "what was written since", func() bool { return ask(d, "GET", "after") == "x" })
	awaitSame(t, b, d)
	if got := infoField(b, "stats", "sync_partial_ok"); got != "1" {
		t.Errorf("sync_partial_ok is %s: dkv did not go on", got)
	}
}

// TestDiskless: a node without a folder follows too, and has what the source has again
// after a restart.
func TestDiskless(t *testing.T) {
	harness.NeedItself(t)
	rng := seedOf(t)
	source := harness.Redis(t)
	fill(t, source, rng, 50)
	d := harness.Dkv(t, "-diskless", "yes", "-role", "slave", "-repl-master-addr", source.Addr())
	for range 2 {
		harness.Until(t, patience, "the link to be up", linkUp(d))
		awaitSame(t, source, d)
		d.Kill()
		d.MustStart(t)
	}
}
