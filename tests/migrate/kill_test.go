package migrate

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

// TestKill kills dkv while it loads and while it follows, again and again. It goes on
// from where it was, and never serves a part of the data.
func TestKill(t *testing.T) {
	harness.NeedItself(t)
	// How often the log is synced and how many shards there are do not meet anywhere.
	for _, tc := range [][2]string{{"no", "1"}, {"always", "4"}} {
		fsync, shards := tc[0], tc[1]
		t.Run(fsync+" "+shards, func(t *testing.T) {
			t.Parallel()
			rng := seedOf(t)
			source := harness.Redis(t, "--repl-backlog-size", "100mb")
			fill(t, source, rng, 400)
			d := harness.Dkv(t, "-fsync", fsync, "-memtable-size", "1mb", "-shards", shards)
			stop := load(source.Addr(), rng.Uint64(), 2)
			follow(t, d, source)
			rounds := 3
			if testing.Short() {
				rounds = 2
			}
			partial := 0
			for i := range 2 * rounds { // in the middle of what is received and loaded
				if i%2 == 0 {
					if i > 0 { // anew
						d.Dial(t).OK("REPLICAOF", "NO", "ONE")
						follow(t, d, source)
					}
					loading := false
					harness.Until(t, patience, "it to load", func() bool {
						loading = infoField(d, "persistence", "loading") == "1"
						return loading || linkUp(d)()
					})
					if loading {
						partial++
					}
				}
				d.Kill()
				if err := d.StartAndKill(time.Duration(rng.Int64N(int64(time.Second)))); err != nil {
					t.Fatal(err)
				}
				d.MustStart(t)
				whole(t, d)
			}
			if partial == 0 {
				t.Error("it was never killed while it loaded")
			}
			t.Logf("%d of %d times it was killed while it loaded", partial, rounds)
			harness.Until(t, patience, "the link to be up", linkUp(d))
			for range rounds { // in the middle of the stream
				before := offset(d)
				harness.Until(t, patience, "progress", func() bool { return offset(d) > before })
				d.Kill()
				d.MustStart(t)
				harness.Until(t, patience, "the link to be up", linkUp(d))
			}
			if n := stop(); n == 0 {
				t.Fatal("nothing was written")
			}
			awaitAcked(t, source)
			awaitSame(t, source, d)
			if got := infoField(source, "stats", "sync_partial_ok"); got == "0" {
				t.Error("no restart was resumed from the source's backlog")
			}
		})
	}
}

func offset(s *harness.Server) int {
	n, err := strconv.Atoi(infoField(s, "replication", "slave_repl_offset"))
	if err != nil {
		return 0
	}
	return n
}

// whole checks that what is served is all of the keys from before, or nothing.
func whole(t *testing.T, d *harness.Server) {
	t.Helper()
	c, err := d.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	size, err := c.Call("DBSIZE")
	if err != nil {
		t.Fatal(err)
	}
	if size.IsError() {
		if !strings.HasPrefix(string(size.Str), "LOADING") {
			t.Errorf("DBSIZE: %s", size.Str)
		}
		return
	}
	if n, ok := size.Int(); !ok || n != 0 && n < 1000 {
		t.Errorf("%d keys are served, which is a part", n)
	}
}

// TestRestartedSource: the source is started again with its data, which is another
// history, and is killed in the middle of a transfer.
func TestRestartedSource(t *testing.T) {
	harness.NeedItself(t)
	rng := seedOf(t)
	source := harness.Redis(t, "--appendonly", "yes", "--appendfsync", "no")
	fill(t, source, rng, 200)
	d := harness.Dkv(t, "-fsync", "no")
	stop := load(source.Addr(), rng.Uint64(), 2)
	follow(t, d, source)
	for range 3 {
		time.Sleep(time.Duration(rng.Int64N(int64(time.Second)))) // anywhere in a transfer, or after it
		source.Kill()
		source.MustStart(t)
		harness.Until(t, patience, "the source to have loaded", func() bool { return infoField(source, "persistence", "loading") == "0" })
	}
	harness.Until(t, patience, "the link to be up", linkUp(d))
	stop()
	awaitAcked(t, source)
	awaitSame(t, source, d)
}

// TestAbandonedLoad: what was loaded in part is nothing to go on with.
func TestAbandonedLoad(t *testing.T) {
	harness.NeedItself(t)
	rng := seedOf(t)
	source := harness.Redis(t)
	fill(t, source, rng, 2000)
	d := harness.Dkv(t)
	d.Dial(t).OK("SET", "mine", "x")
	follow(t, d, source)
	harness.Until(t, patience, "it to load", func() bool {
		return infoField(d, "persistence", "loading") == "1" || linkUp(d)()
	})
	loading := infoField(d, "persistence", "loading") == "1"
	c := d.Dial(t)
	if r := c.Do("GET", "s1"); loading && r.IsError() && string(r.Str) != "LOADING Redis is loading the dataset in memory" {
		t.Errorf("while it loads: %s", r.Str)
	}
	c.OK("REPLICAOF", "NO", "ONE")
	if n := c.DoInt("DBSIZE"); n != 0 && n < 12000 {
		t.Errorf("%d keys are left of a load that was not finished", n)
	}
	c.OK("SET", "a", "b")
}
