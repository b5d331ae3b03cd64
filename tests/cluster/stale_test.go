package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

// A leader that was stopped for seconds does not know that another was elected
// meanwhile. What it is asked at once when it goes on, it must not answer from
// what it has.
func TestNoStaleReadAfterAPause(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"index", "lease"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			c := local(t, 3, "-read-mode", mode)
			for round := range 3 {
				old := c.MustLeader(t)
				writer := c.Others(old)[round%2].Dial(t)
				writer.OK("SET", "k", fmt.Sprint("old", round))
				readers := make([]*harness.TestConn, 8)
				for i := range readers {
					readers[i] = old.Dial(t)
					readers[i].Want(fmt.Sprintf("$4\r\nold%d\r\n", round), "GET", "k")
				}
				if err := old.Pause(); err != nil {
					t.Fatal(err)
				}
				setUntilOK(t, writer, "k", fmt.Sprint("new", round))
				// What is sent now waits in the kernel and is the first that the old
				// leader sees.
				for _, r := range readers {
					r.Queue("GET", "k")
					if err := r.Flush(); err != nil {
						t.Fatal(err)
					}
				}
				old.Resume()
				for _, r := range readers {
					r.SetDeadline(time.Now().Add(backLimit))
					if reply, err := r.Read(); err != nil {
						t.Fatal(err)
					} else if string(reply.Str) != fmt.Sprint("new", round) && !strings.HasPrefix(string(reply.Str), "CLUSTERDOWN ") {
						t.Errorf("round %d: GET after the pause: %s, want new%d", round, reply, round)
					}
				}
				c.MustAwaitWrites(t, backLimit)
			}
		})
	}
}

// setUntilOK repeats a SET until it is acknowledged.
func setUntilOK(t *testing.T, c *harness.TestConn, key, value string) {
	t.Helper()
	harness.Until(t, backLimit, "SET "+key, func() bool { return string(c.Do("SET", key, value).Str) == "OK" })
}

// A leader that is cut off from the others, but not from its clients, must
// neither answer reads from what it has nor acknowledge writes, and what it was
// asked to write must be neither there nor reported as a definite failure
// unless it never will be.
func TestLeaderCutOffFromOthers(t *testing.T) {
	t.Parallel()
	c := wired(t, "-cluster-timeout", "500ms")
	old := c.MustLeader(t)
	stranded := old.Dial(t)
	stranded.OK("SET", "k", "old")
	c.Isolate(old)

	first := stranded.Do("SET", "k", "from the minority")
	if string(first.Str) == "OK" {
		t.Error("a leader without a majority acknowledged a write")
	}
	writer := c.Others(old)[0].Dial(t)
	setUntilOK(t, writer, "k", "new")
	for range 3 {
		if r := stranded.Do("GET", "k"); !strings.HasPrefix(string(r.Str), "CLUSTERDOWN ") {
			t.Errorf("GET on the leader that is cut off: %s", r)
		}
	}
	// Stale reads are for those who ask for them, and who have not written on the
	// same connection: what they wrote they would not see.
	stale := old.Dial(t)
	stale.OK("READONLY")
	if r := stale.Do("GET", "k"); string(r.Str) != "old" {
		t.Errorf("GET after READONLY on the leader that is cut off: %s", r)
	}
	second := stranded.Do("SET", "other", "x")
	if !strings.HasPrefix(string(second.Str), "CLUSTERDOWN ") {
		t.Errorf("SET after the leader stepped down: %s, want CLUSTERDOWN", second)
	}
	c.Heal()
	c.MustAwaitWrites(t, backLimit)
	stranded.Want("$3\r\nnew\r\n", "GET", "k")
	stranded.Want("$-1\r\n", "GET", "other")
	if strings.HasPrefix(string(first.Str), "UNCERTAIN ") || strings.HasPrefix(string(first.Str), "CLUSTERDOWN ") {
		return
	}
	t.Errorf("SET on the leader just when it was cut off: %s", first)
}

// A node that was away answers at its start, while it replays its log and
// catches up, with nothing older than what was acknowledged meanwhile.
func TestRestartedNodeAnswersNothingOld(t *testing.T) {
	t.Parallel()
	c := local(t, 3, smallLogs...)
	for round := range 4 {
		victim := c.Others(c.MustLeader(t))[round%2]
		if round == 3 {
			victim = c.MustLeader(t)
		}
		other := c.Others(victim)[0]
		conn := other.Dial(t)
		const keys = 200
		for i := range keys {
			setUntilOK(t, conn, fmt.Sprintf("key:%d", i), fmt.Sprintf("old%d", round))
		}
		victim.Kill()
		for i := range keys {
			setUntilOK(t, conn, fmt.Sprintf("key:%d", i), fmt.Sprintf("new%d", round))
		}
		started := make(chan error, 1)
		go func() { started <- victim.Start() }()
		var reader *harness.Conn
		harness.Until(t, backLimit, "the node to listen", func() (ok bool) {
			var err error
			reader, err = victim.Connect()
			return err == nil
		})
		answers := 0
		for i := range keys {
			reader.SetDeadline(time.Now().Add(backLimit))
			r, err := reader.Call("GET", fmt.Sprintf("key:%d", i))
			if err != nil {
				t.Fatal(err)
			}
			if r.IsError() {
				continue
			}
			answers++
			if string(r.Str) != fmt.Sprintf("new%d", round) {
				t.Fatalf("round %d: key:%d is %s right after the start, want new%d", round, i, r, round)
			}
		}
		reader.Close()
		if err := <-started; err != nil {
			t.Fatal(err)
		}
		if answers == 0 {
			t.Errorf("round %d: all reads were refused", round)
		}
		c.MustAwaitWrites(t, backLimit)
	}
	same(t, c)
}

// Reads on a new leader wait until it has applied an entry of its own term:
// before, it does not know all that its predecessor acknowledged.
func TestNoStaleReadOnANewLeader(t *testing.T) {
	c := local(t, 3)
	for range 4 {
		old := c.MustLeader(t)
		others := c.Others(old)
		writer, done := old.Dial(t), make(chan struct{})
		var last int64
		go func() {
			defer close(done)
			for {
				r, err := writer.Call("INCR", "n")
				n, ok := r.Int()
				if err != nil || !ok {
					return
				}
				last = n
			}
		}()
		harness.Until(t, backLimit, "some writes", func() bool { return number(others[0], "n") > 50 })
		old.Kill()
		<-done
		for _, n := range others {
			harness.Until(t, backLimit, "a read", func() bool {
				got := number(n, "n")
				if got >= 0 && got < last {
					t.Fatalf("node %d read %d after %d was acknowledged", n.Number, got, last)
				}
				return got >= 0
			})
		}
		restart(t, old)
		c.MustAwaitWrites(t, backLimit)
	}
}

// number returns a counter, -1 when the node says nothing.
func number(n *harness.Node, key string) int64 {
	r, err := n.Call(replyLimit, "GET", key)
	if err != nil || r.IsError() {
		return -1
	}
	v, _ := r.Int()
	return v
}

// What a connection reads after READONLY may be old, but never older than what
// it read before; and it sees what is written soon.
func TestReadOnlyNeverGoesBack(t *testing.T) {
	c := local(t, 3)
	n := c.Others(c.MustLeader(t))[0]
	reader, writer := n.Dial(t), c.MustLeader(t).Dial(t)
	reader.OK("READONLY")
	var seen int64
	for i := range int64(500) {
		writer.Want(fmt.Sprintf(":%d\r\n", i+1), "INCR", "n")
		got := reader.Do("GET", "n")
		v, _ := got.Int()
		if got.IsError() || v < seen || v > i+1 {
			t.Fatalf("%s after %d, while %d is the newest", got, seen, i+1)
		}
		seen = v
	}
	harness.Until(t, backLimit, "the newest value", func() bool {
		v, _ := reader.Do("GET", "n").Int()
		return v == 500
	})
	reader.OK("READWRITE")
	writer.Want(":501\r\n", "INCR", "n")
	reader.Want("$3\r\n501\r\n", "GET", "n")
}
