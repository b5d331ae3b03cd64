package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// placesOf is what a survey says of the members' places, in one text.
func placesOf(members []Member) string {
	var b strings.Builder
	for _, m := range members {
		for id, at := range m.Shards {
			fmt.Fprintf(&b, "node %d shard %d: term %d match %d %v lag %d %v %s\n",
				m.ID, id, at.Term, at.Match, at.Known, at.Lag, at.LagKnown, at.Progress)
		}
	}
	return b.String()
}

// TestSurveyIsTheSameEverywhere: whichever node is asked tells the same, and all of it.
func TestSurveyIsTheSameEverywhere(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, func(o *Options) { o.Shards = 3 })
	for id := range 3 {
		list[id].mustPutIn(0, fmt.Sprint("k", id), "v")
	}
	// Leaderships may still be on their way to be spread, and the last commit too.
	waitFor(t, func() bool {
		first := list[0].Survey(t.Context())
		for _, m := range first {
			for _, at := range m.Shards {
				if !at.Known || !at.LagKnown || at.Term == 0 || at.Match == 0 || at.Lag != 0 {
					return false
				}
			}
		}
		return placesOf(first) == placesOf(list[1].Survey(t.Context())) && placesOf(first) == placesOf(list[2].Survey(t.Context()))
	})
}

// TestSurveyWithoutALeader: what nobody can say is not known, and that is said soon.
func TestSurveyWithoutALeader(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, nil)
	list[0].mustPut("a", "1")
	cut := c.follower(list...)
	leader := c.leader(list...)
	waitFor(t, func() bool { return cut.Survey(t.Context())[0].Shards[0].LagKnown })
	c.net.setCut(cut.addr, true)
	waitFor(t, func() bool { return !cut.isConnected(leader.identity().node()) })
	began := time.Now()
	members := cut.Survey(t.Context())
	if took := time.Since(began); took > surveyTimeout+time.Second {
		t.Errorf("it took %v", took)
	}
	for _, m := range members {
		at := m.Shards[0]
		if at.Known != m.Self || at.LagKnown || at.Lag != 0 || at.Progress != "" {
			t.Errorf("a node that is cut off says of node %d (self %v): %+v", m.ID, m.Self, at)
		}
	}
	// The leader sees it fall behind.
	leader.mustPut("b", "1")
	for _, m := range leader.Survey(t.Context()) {
		if at := m.Shards[0]; m.ID == cut.identity().node() && (!at.LagKnown || at.Lag == 0) {
			t.Errorf("the leader says of the node that is cut off: %+v", at)
		}
	}
	c.net.setCut(cut.addr, false)
	waitFor(t, func() bool {
		for _, m := range cut.Survey(t.Context()) {
			if !m.Shards[0].LagKnown {
				return false
			}
		}
		return true
	})
}
