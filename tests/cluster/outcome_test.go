package cluster

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"dkv/tests/harness"
)

// A leader that is heard but hears nobody: what it was asked to write reaches the
// others, whose next leader commits it. Earlier systems told the client of such a
// write that it had failed, when the leader stepped down.
func TestDefiniteErrorNeverComesTrue(t *testing.T) {
	t.Parallel()
	c := wired(t, "-cluster-timeout", "500ms")
	const (
		rounds  = 3
		clients = 16
	)
	committed := 0 // of those that were not answered OK
	for round := range rounds {
		old := c.MustLeader(t)
		others := c.Others(old)
		conns := make([]*harness.TestConn, clients)
		for i := range conns {
			conns[i] = old.Dial(t)
			conns[i].OK("SET", "before", "x")
		}
		for _, n := range others {
			c.Cut(n, old, false)
		}
		replies := make([]harness.Reply, clients)
		var wg sync.WaitGroup
		for i, conn := range conns {
			conn.SetDeadline(time.Now().Add(backLimit))
			wg.Go(func() {
				var err error
				if replies[i], err = conn.Call("APPEND", token(round, i), "x"); err != nil {
					t.Errorf("APPEND: %v", err)
				}
			})
		}
		wg.Wait()
		c.Heal()
		c.MustAwaitWrites(t, backLimit)
		at := others[0].Dial(t)
		for i, r := range replies {
			text := string(at.Do("GET", token(round, i)).Str)
			switch answer := string(r.Str); {
			case len(text) > 1:
				t.Errorf("APPEND happened %d times, and was answered %s", len(text), r)
			case !r.IsError() && text == "":
				t.Errorf("APPEND was acknowledged, and is not there")
			case strings.HasPrefix(answer, "CLUSTERDOWN ") && text != "":
				t.Errorf("APPEND was answered %s, and happened", r)
			case r.IsError() && !strings.HasPrefix(answer, "CLUSTERDOWN ") && !strings.HasPrefix(answer, "UNCERTAIN "):
				t.Errorf("APPEND on a leader that hears nobody: %s", r)
			case r.IsError() && text != "":
				committed++
			}
		}
	}
	// Otherwise the test is about nothing.
	if committed == 0 {
		t.Error("no write came true that the old leader could not confirm")
	}
	same(t, c)
}

func token(round, i int) string { return fmt.Sprintf("token:%d:%d", round, i) }

// Leadership moves while many clients wait for their replies on all nodes: each
// gets its own, in order. Earlier systems handed replies to whoever was next.
func TestRepliesReachWhoAsked(t *testing.T) {
	t.Parallel()
	c := local(t, 3)
	const (
		perNode = 8
		depth   = 5
		moves   = 6
	)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	rounds, refused := 0, 0
	count := func() int { mu.Lock(); defer mu.Unlock(); return rounds }
	for _, n := range c.Nodes() {
		for i := range perNode {
			wg.Go(func() {
				own := fmt.Sprintf("own:%d:%d", n.Number, i)
				for serial := 0; ; {
					select {
					case <-stop:
						return
					default:
					}
					conn, err := n.Connect()
					if err != nil {
						time.Sleep(refusalsPause)
						continue
					}
					for err == nil {
						select {
						case <-stop:
							conn.Close()
							return
						default:
						}
						serial++
						var bad string
						if bad, err = ownReplies(conn, own, serial, depth); bad != "" {
							t.Errorf("%s on node %d: %s", own, n.Number, bad)
						}
						mu.Lock()
						if err == nil {
							rounds++
						} else {
							refused++
						}
						mu.Unlock()
					}
					conn.Close()
				}
			})
		}
	}
	for move := range moves {
		before := count()
		harness.Until(t, backLimit, "replies", func() bool { return count() > before+30 })
		if move == moves/2 {
			leader := c.MustLeader(t)
			leader.Kill()
			restart(t, leader)
			continue
		}
		harness.Until(t, backLimit, "the leadership to move", func() bool {
			r, err := c.Nodes()[move%3].Call(replyLimit, "CLUSTER", "FAILOVER")
			return err == nil && !r.IsError()
		})
	}
	close(stop)
	wg.Wait()
	t.Logf("%d pipelines were answered, %d ended in an error or with the connection", rounds, refused)
}

// ownReplies sends a pipeline in which each command has a reply that only it can
// have, and says what is wrong with what comes. err: there were errors, or the
// connection broke.
func ownReplies(c *harness.Conn, own string, serial, depth int) (bad string, err error) {
	name := func(k int) string { return fmt.Sprintf("%s:%d", own, k) }
	value := func(k int) string { return fmt.Sprintf("<%s.%d.%d>", own, serial, k) }
	for k := range depth {
		c.Queue("SET", name(k), value(k))
		c.Queue("GET", name(k))
	}
	c.SetDeadline(time.Now().Add(replyLimit))
	if err = c.Flush(); err != nil {
		return "", err
	}
	for k := range depth {
		set, err := c.Read()
		if err != nil {
			return "", err
		}
		get, err := c.Read()
		if err != nil {
			return "", err
		}
		switch {
		case set.IsError() || get.IsError():
			for _, r := range []harness.Reply{set, get} {
				if r.IsError() && !strings.HasPrefix(string(r.Str), "CLUSTERDOWN ") && !strings.HasPrefix(string(r.Str), "UNCERTAIN ") {
					return r.String(), fmt.Errorf("%s", r)
				}
			}
			// The rest of the pipeline goes with the connection.
			return "", errRefused
		case string(set.Raw) != "+OK\r\n" || string(get.Str) != value(k):
			return fmt.Sprintf("SET and GET of %s were answered %s and %s", value(k), set, get), nil
		}
	}
	return "", nil
}
