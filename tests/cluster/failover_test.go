package cluster

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"dkv/tests/harness"
)

// Leaders die, hang and are cut off while clients write through all nodes.
func TestFailover(t *testing.T) {
	t.Parallel()
	c := wired(t)
	l := startLoad(c)
	l.mustFlow(t)
	for range 2 {
		leader := c.MustLeader(t)
		leader.Kill()
		l.mustFlow(t)
		restart(t, leader)
		l.mustFlow(t)

		leader = c.MustLeader(t)
		leader.Pause()
		l.mustFlowVia(t, c.Others(leader)...)
		leader.Resume()
		l.mustFlow(t)

		leader = c.MustLeader(t)
		c.Isolate(leader)
		l.mustFlowVia(t, c.Others(leader)...)
		c.Heal()
		l.mustFlow(t)
	}
	for _, n := range c.Nodes() {
		n.Kill()
	}
	if err := harness.StartAll(c.Nodes()); err != nil {
		t.Fatal(err)
	}
	l.mustFlow(t)
	l.end()
	c.MustAwaitWrites(t, backLimit)
	same(t, c)
	l.verify(t, c.Nodes()[0])
}

// mustFlowVia waits until the given nodes take writes, then for more of the load's.
func (l *load) mustFlowVia(t *testing.T, nodes ...*harness.Node) {
	t.Helper()
	if err := l.cluster.AwaitWrites(backLimit, nodes...); err != nil {
		t.Fatal(err)
	}
	l.mustFlow(t)
}

// Earlier systems lost everything on failover, as followers had the log but
// never applied it.
func TestFollowersHaveTheData(t *testing.T) {
	c := local(t, 3)
	leader := c.MustLeader(t)
	conn := leader.Dial(t)
	const keys = 500
	for i := range keys {
		conn.OK("SET", fmt.Sprintf("key:%d", i), fmt.Sprintf("value:%d", i))
	}
	conn.OK("SET", "ttl", "v", "PX", "3600000")
	same(t, c)
	leader.Kill()
	for _, n := range c.Others(leader) {
		other := n.Dial(t)
		for i := range keys {
			other.Want(fmt.Sprintf("$%d\r\nvalue:%d\r\n", len(fmt.Sprintf("value:%d", i)), i), "GET", fmt.Sprintf("key:%d", i))
		}
		if ttl := other.DoInt("PTTL", "ttl"); ttl < 3_500_000 || ttl > 3_600_000 {
			t.Errorf("PTTL is %d on node %d", ttl, n.Number)
		}
	}
}

// A client that never stops writing measures for how long it cannot, when the
// leader is killed.
func TestFailoverTime(t *testing.T) {
	harness.NeedLong(t) // under the race detector it takes longer
	const (
		kills = 5
		limit = 2 * time.Second
	)
	c := local(t, 3)
	var gaps []time.Duration
	for i := range kills {
		leader := c.MustLeader(t)
		// It writes through a follower, which has to find the new leader.
		conn := c.Others(leader)[i%2].Dial(t)
		write := func(deadline time.Time) {
			t.Helper()
			for n := 0; ; n++ {
				if r := conn.Do("SET", "gap", fmt.Sprint(n)); !r.IsError() {
					return
				} else if time.Now().After(deadline) {
					t.Fatalf("no write until %v after the leader's death: %s", limit, r)
				}
			}
		}
		write(time.Now().Add(limit))
		start := time.Now()
		leader.Kill()
		write(start.Add(5 * limit))
		gaps = append(gaps, time.Since(start))
		restart(t, leader)
		c.MustAwaitWrites(t, backLimit)
		same(t, c)
	}
	slices.Sort(gaps)
	t.Logf("writes flow again after: p50 %v, max %v", gaps[kills/2], gaps[kills-1])
	if worst := gaps[kills-1]; worst > limit {
		t.Errorf("writes flowed again after %v, more than %v", worst, limit)
	}
}

// The next leader dies as soon as the first one is back: earlier systems were
// without a leader for half a minute then, as the one that came back was not
// ready to vote, or followed a dead leader for long.
func TestSecondLeaderDiesSoonAfterTheFirstIsBack(t *testing.T) {
	const limit = 5 * time.Second
	c := local(t, 3)
	for range 3 {
		first := c.MustLeader(t)
		first.Kill()
		if err := c.AwaitWrites(limit, c.Others(first)...); err != nil {
			t.Fatal(err)
		}
		restart(t, first) // until it answers PING, no longer
		second := c.MustLeader(t)
		start := time.Now()
		second.Kill()
		if err := c.AwaitWrites(limit, c.Others(second)...); err != nil {
			t.Fatal(err)
		}
		t.Logf("writes through both that are left after %v", time.Since(start))
		restart(t, second)
		c.MustAwaitWrites(t, backLimit)
	}
	same(t, c)
}

// A node that shuts down in order hands its leadership on first: hardly a gap.
func TestShutdownHandsOn(t *testing.T) {
	const limit = time.Second
	c := local(t, 3)
	l := startLoad(c, c.Others(c.MustLeader(t))...)
	l.mustFlow(t)
	leader := c.MustLeader(t)
	if code, err := leader.Terminate(backLimit); err != nil || code != 0 {
		t.Fatalf("SIGTERM: exit code %d, %v", code, err)
	}
	l.mustFlow(t)
	l.end()
	if l.mu.longest > limit {
		t.Errorf("no write for %v when the leader shut down in order, more than %v", l.mu.longest, limit)
	}
	restart(t, leader)
	c.MustAwaitWrites(t, backLimit)
	same(t, c)
	l.verify(t, leader)
}
