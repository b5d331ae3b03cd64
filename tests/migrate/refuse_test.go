package migrate

import (
	"strconv"
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
	c.OK("SELECT", "17")
	c.OK("SET", "far", "away")
	follow(t, d, source)
	for _, want := range []string{`databases above 15 (for example "far")`, "nothing was changed here"} {
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
	d := harness.Dkv(t, "-shards", "3")
	follow(t, d, source)
	harness.Until(t, patience, "the link to be up", linkUp(d))
	for _, args := range [][]string{{"RPUSH", "list", "b", "a"}, {"SET", "w_a", "1"}, {"SET", "before", "x"},
		{"SORT", "list", "BY", "w_*", "STORE", "sorted"}, {"SET", "after", "x"}} {
		c.Queue(args...)
	}
	flush(t, c.Conn, 5)
	harness.Until(t, patience, "the link to name the command", func() bool {
		return strings.Contains(infoField(d, "replication", "dkv_master_link_error"), "the command sort of its stream")
	})
	dc := d.Dial(t)
	if n := dc.DoInt("EXISTS", "before"); n != 1 {
		t.Error("what came before is not there")
	}
	if n := dc.DoInt("EXISTS", "after"); n != 0 {
		t.Error("what came after is there")
	}
}

// TestMember: a member of a cluster says that it cannot.
func TestMember(t *testing.T) {
	harness.NeedItself(t)
	source := harness.Redis(t)
	cluster := harness.StartCluster(t, harness.ClusterOptions{})
	c := cluster.Nodes()[0].Dial(t)
	c.Want("-ERR REPLICAOF not allowed in cluster mode.\r\n", "REPLICAOF", "127.0.0.1", strconv.Itoa(source.Port()))
}
