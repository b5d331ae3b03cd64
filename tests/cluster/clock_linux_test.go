package cluster

import (
	"testing"
	"time"

	"dkv/tests/harness"
)

// Clocks that jump by minutes, forwards and back, on the leader or a follower,
// cost no data and no leader; and a lease is not believed for longer. TTLs are
// by the leader's clock, as documented.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	harness.NeedLong(t) // builds dkvsrv once more
	harness.NeedItself(t)
	program := harness.ClockProgram(t)
	for _, mode := range []string{"index", "lease"} {
		t.Run(mode, func(t *testing.T) {
			c := harness.StartCluster(t, harness.ClusterOptions{Program: program, Clock: true, Flags: []string{"-read-mode", mode}})
			l := startLoad(c)
			l.mustFlow(t)
			for _, off := range []time.Duration{10 * time.Minute, -10 * time.Minute, 0} {
				leader := c.MustLeader(t)
				for _, n := range []*harness.Node{leader, c.Others(leader)[0]} {
					if err := n.JumpClock(off); err != nil {
						t.Fatal(err)
					}
					l.mustFlow(t)
				}
				// The others go on without the one whose clock is off.
				leader.Kill()
				l.mustFlow(t)
				restart(t, leader)
				l.mustFlow(t)
			}
			l.end()
			c.MustAwaitWrites(t, backLimit)
			same(t, c)
			l.verify(t, c.Nodes()[0])
		})
	}
	t.Run("expiry", func(t *testing.T) {
		c := harness.StartCluster(t, harness.ClusterOptions{Program: program, Clock: true})
		leader := c.MustLeader(t)
		conn := leader.Dial(t)
		conn.OK("SET", "hour", "v", "EX", "3600")
		conn.OK("SET", "minute", "v", "EX", "60")
		// A follower whose clock is ahead must not have keys expire for all.
		ahead := c.Others(leader)[0]
		if err := ahead.JumpClock(10 * time.Minute); err != nil {
			t.Fatal(err)
		}
		if r := ahead.Must(t, "SET", "other", "v"); string(r.Str) != "OK" {
			t.Errorf("SET on a node whose clock is ahead: %s", r)
		}
		conn.Want("$1\r\nv\r\n", "GET", "minute")
		conn.Want("$1\r\nv\r\n", "GET", "hour")
		if err := leader.JumpClock(5 * time.Minute); err != nil {
			t.Fatal(err)
		}
		harness.Until(t, backLimit, "the key to expire", func() bool { return conn.DoInt("EXISTS", "minute") == 0 })
		conn.Want("$1\r\nv\r\n", "GET", "hour")
	})
}
