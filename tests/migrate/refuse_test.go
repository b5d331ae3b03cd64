package migrate

import (
	"strings"
	"testing"

	"dkv/tests/harness"
)

// TestRefused: what dkv cannot hold is named, and nothing is changed.
func TestRefused(t *testing.T) {
	harness.NeedItself(t)
	source := harness.Redis(t, "--databases", "20")
	c := source.Dial(t)
	d := harness.Dkv(t)
	dc := d.Dial(t)
	dc.OK("SET", "mine", "x")
	if r := c.Do("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 1 end)"); r.IsError() {
		t.Fatalf("%s", r.Str)
	}
	c.OK("SELECT", "17")
	c.OK("SET", "far", "away")
	follow(t, d, source)
	for _, want := range []string{"functions (FUNCTION LOAD)", `databases above 15 (for example "far")`, "nothing was changed here"} {
		harness.Until(t, patience, "the link to name "+want, func() bool {
			return strings.Contains(infoField(d, "replication", "dkv_master_link_error"), want)
		})
	}
	if r := dc.Do("GET", "mine"); string(r.Str) != "x" {
		t.Errorf("what was there before: %s", r.Str)
	}
	if got := infoField(d, "replication", "master_link_status"); got != "down" {
		t.Errorf("the link is %s", got)
	}
	dc.OK("REPLICAOF", "NO", "ONE")
	if n := dc.DoInt("DBSIZE"); n != 1 {
		t.Errorf("%d keys", n)
	}
}

// TestRefusedInStream: a command that dkv does not have ends the link; what came before
// it is there.
func TestRefusedInStream(t *testing.T) {
	harness.NeedItself(t)
	source := harness.Redis(t)
	c := source.Dial(t)
	d := harness.Dkv(t)
	follow(t, d, source)
	harness.Until(t, patience, "the link to be up", linkUp(d))
	c.Queue("SET", "before", "x")
	c.Queue("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 1 end)")
	c.Queue("SET", "after", "x")
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, patience, "the link to name the command", func() bool {
		return strings.Contains(strings.ToLower(infoField(d, "replication", "dkv_master_link_error")), "function")
	})
	dc := d.Dial(t)
	if n := dc.DoInt("EXISTS", "before"); n != 1 {
		t.Error("what came before is not there")
	}
	if n := dc.DoInt("EXISTS", "after"); n != 0 {
		t.Error("what came after is there")
	}
}

// TestShards: a node with several shards says that it cannot.
func TestShards(t *testing.T) {
	harness.NeedItself(t)
	source := harness.Redis(t)
	d := harness.Dkv(t, "-shards", "2")
	follow(t, d, source)
	harness.Until(t, patience, "the link to say why", func() bool {
		return strings.Contains(infoField(d, "replication", "dkv_master_link_error"), "one shard")
	})
}
