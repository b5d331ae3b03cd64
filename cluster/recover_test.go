package cluster

import (
	"errors"
	"fmt"
	"testing"

	"dkv/engine"
)

func TestRecoverLostMajority(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, func(o *Options) { o.Shards = 2 })
	for k := range 50 {
		list[k%3].mustPut(fmt.Sprint("k", k), "v")
	}
	survivor := c.follower(list...)
	i := int(survivor.identity().NodeID)
	survivor.mustPut("last", "1")
	survivor.mustGet("last", "1") // it has it, the others have it at least
	o := c.options(i, nil)
	if _, err := RecoverLostMajority(o); !errors.Is(err, engine.ErrLocked) {
		t.Fatalf("recover a node that runs: %v", err)
	}
	survivor.stopNode(true)
	others := without(list, survivor)
	old := survivor.ClusterInfo().ClusterID
	report, err := RecoverLostMajority(o)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Shards) != 2 || report.Shards[0].Index < 51 || report.Shards[0].Term < 2 || !report.Shards[0].Voter ||
		len(report.Dropped) != 2 || report.OldClusterID != old || report.NewClusterID == old {
		t.Fatalf("%+v", report)
	}
	// The others are alive after all: they are refused, and refuse.
	alone := c.start(i, nil)
	c.waitServing(alone)
	if got := alone.ClusterInfo(); got.ClusterID != report.NewClusterID || got.Members != 1 {
		t.Fatalf("%+v", got)
	}
	alone.mustGet("last", "1")
	alone.mustGet("k7", "v")
	alone.mustPut("last", "2")
	others[0].mustPut("last", "other")
	alone.mustGet("last", "2")
	wantError(t, "add one of the old", alone.AddNode(t.Context(), others[0].addr, false), "another cluster")
	// It grows again, under ids that were not used.
	c.start(7, joining)
	alone.mustAdd(7)
	alone.waitMembers(alone.identity().node(), 4)
	c.nodes[testAddr(7)].mustGet("last", "2")
}

// TestRecoverIgnoresMembersInTheTail: the end of the log, which was not applied,
// takes the members back in; they must not come back.
func TestRecoverIgnoresMembersInTheTail(t *testing.T) {
	c := newTestCluster(t)
	n := c.start(1, nil)
	c.waitServing(n)
	if err := n.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	// What a crash leaves: the log has the new members, the engine does not.
	c.start(2, joining)
	n.mustAdd(2)
	n.mustPut("a", "1")
	n.stopNode(true)
	for range 2 { // again is the same
		report, err := RecoverLostMajority(c.options(1, nil))
		if err != nil {
			t.Fatal(err)
		}
		if report.Shards[0].Index < 3 {
			t.Fatalf("%+v", report)
		}
	}
	alone := c.start(1, nil)
	c.waitServing(alone)
	alone.waitMembers(1)
	alone.mustGet("a", "1")
	alone.mustPut("a", "2")
}

func TestRecoverNeedsAMember(t *testing.T) {
	c := newTestCluster(t)
	if _, err := RecoverLostMajority(c.options(1, nil)); !errors.Is(err, ErrNoFolder) {
		t.Errorf("no folder: %v", err)
	}
	n := c.start(2, joining)
	n.stopNode(false)
	if _, err := RecoverLostMajority(c.options(2, nil)); !errors.Is(err, ErrNoMember) {
		t.Errorf("a node that waits to be added: %v", err)
	}
}
