package server

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"dkv/cluster"
	"dkv/resp"
)

// followerOf returns a server that does not lead shard 0, and the one that does.
func followerOf(t *testing.T, servers []*Server) (follower, leader *Server) {
	t.Helper()
	eventually(t, "a leader", func() bool {
		follower, leader = nil, nil
		for _, s := range servers {
			if s.leads(0) {
				leader = s
			} else {
				follower = s
			}
		}
		return leader != nil
	})
	return follower, leader
}

// A request that cannot be passed on is refused at once, and nothing of it happens.
func TestRequestTooLargeToPassOn(t *testing.T) {
	const limit = 1 << 20
	servers := startClusterWith(t, 3, 1, func(o *cluster.Options) { o.MaxCallBytes = limit })
	s, leader := followerOf(t, servers)
	c := dial(t, s)
	large := strings.Repeat("x", limit)
	refusal := fmt.Sprintf("exceeds the limit of %d bytes for requests between nodes. Nothing happened", limit)
	began := time.Now()
	if got := c.do("SET", "a", large); !strings.HasPrefix(got, "-ERR The request of ") || !strings.Contains(got, refusal) {
		t.Errorf("SET: %.200q", got)
	}
	c.send(request("MULTI") + request("SET", "b", "1") + request("SET", "a", large[:limit/2]) + request("SET", "c", large[:limit/2]) + request("EXEC"))
	c.expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n")
	if got := c.reply(); !strings.HasPrefix(got, "-ERR") || !strings.Contains(got, refusal) {
		t.Errorf("EXEC: %.200q", got)
	}
	if took := time.Since(began); took > ioTimeout/2 {
		t.Errorf("it took %v", took)
	}
	c.roundTrip(request("EXISTS", "a", "b", "c"), ":0\r\n")
	// Below the limit, and on the leader, it is no matter.
	c.roundTrip(request("SET", "a", large[:limit-200]), "+OK\r\n")
	dial(t, leader).roundTrip(request("SET", "a", large+large), "+OK\r\n")
}

// A reply that cannot be passed back does not leave open whether its command was
// carried out.
func TestReplyTooLargeToPassBack(t *testing.T) {
	const limit = 1 << 20
	servers := startClusterWith(t, 3, 1, func(o *cluster.Options) { o.MaxCallBytes = limit })
	s, leader := followerOf(t, servers)
	l := dial(t, leader)
	large := strings.Repeat("y", limit*3/4)
	l.roundTrip(request("MSET", "a", large, "b", large+"b", "c", "small"), "+OK\r\n")
	c := dial(t, s)
	script := request("MULTI") + request("SET", "d", "1") + request("GET", "a") + request("GETDEL", "b") + request("GET", "c") + request("EXEC")
	c.send(script)
	c.expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*4\r\n+OK\r\n")
	c.expect(fmt.Sprintf("$%d\r\n%s\r\n", len(large), large))
	c.expect("-REPLYTOOBIG The command was carried out, but the reply makes the answer exceed the limit of 1048576 bytes for replies between nodes\r\n")
	c.expect("$5\r\nsmall\r\n")
	// It was: all of it.
	c.roundTrip(request("EXISTS", "b")+request("GET", "d"), ":0\r\n$1\r\n1\r\n")
	// The leader itself has no such limit.
	l.roundTrip(request("SET", "b", large+"b"), "+OK\r\n")
	l.send(script)
	l.expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*4\r\n+OK\r\n" +
		fmt.Sprintf("$%d\r\n%s\r\n$%d\r\n%sb\r\n$5\r\nsmall\r\n", len(large), large, len(large)+1, large))
}

// TestShorten: as few replies as possible are replaced, and the others stay as they are.
func TestShorten(t *testing.T) {
	sizes := []int{10, 5000, 400, 0, 9000, 300}
	for _, tc := range []struct {
		excess int
		lost   string
	}{{1, "[4]"}, {8000, "[4]"}, {8900, "[4 1]"}, {13800, "[4 1 2]"}, {1 << 30, "[4 1 2 5]"}} {
		r := &shardRequest{calls: make([]call, len(sizes)), done: len(sizes)}
		before := bytes.Repeat([]byte("m"), 7)
		r.out, r.mark = &resp.Writer{Buf: bytes.Clone(before)}, len(before)
		want := make(map[int]string)
		for i, n := range sizes {
			want[i] = strings.Repeat(string(rune('a'+i)), n)
			r.out.Buf = append(r.out.Buf, want[i]...)
			r.calls[i].end = len(r.out.Buf)
		}
		was := len(r.out.Buf)
		r.shorten(tc.excess, 77)
		lost := make(map[int]bool)
		for i := range sizes {
			if r.calls[i].failed {
				lost[i] = true
				if got := string(r.reply(i)); !strings.HasPrefix(got, "-REPLYTOOBIG ") || !strings.HasSuffix(got, "\r\n") || !strings.Contains(got, " 77 ") {
					t.Errorf("excess %d, reply %d: %q", tc.excess, i, got)
				}
			} else if got := string(r.reply(i)); got != want[i] {
				t.Errorf("excess %d, reply %d: %.80q", tc.excess, i, got)
			}
		}
		var order []int
		for _, i := range []int{4, 1, 2, 5, 0, 3} { // by size
			if lost[i] {
				order = append(order, i)
			}
		}
		if fmt.Sprint(order) != tc.lost {
			t.Errorf("excess %d: lost %v, want %s", tc.excess, order, tc.lost)
		}
		if saved := was - len(r.out.Buf); saved < tc.excess && len(order) < 4 {
			t.Errorf("excess %d: only %d bytes less", tc.excess, saved)
		}
		if !bytes.HasPrefix(r.out.Buf, before) {
			t.Errorf("excess %d: what came before is %q", tc.excess, r.out.Buf[:len(before)])
		}
	}
}
