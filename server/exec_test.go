package server

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// A transaction is never mixed with other commands, wherever they come from.
func TestTransactionsForwardedAreAtomic(t *testing.T) {
	for _, shards := range []int{1, 4} {
		servers := startCluster(t, 3, shards)
		dial(t, servers[0]).do("mset", "{x}a", "1000", "{x}b", "1000")
		var wg sync.WaitGroup
		for _, s := range servers {
			c, r := dial(t, s), dial(t, s)
			wg.Go(func() {
				for range 50 {
					c.send("multi\r\ndecr {x}a\r\nping\r\nincr {x}b\r\nexec\r\n")
					for range 5 {
						c.reply()
					}
				}
			})
			wg.Go(func() {
				for range 30 {
					for _, words := range []string{"mget {x}a {x}b\r\n", "multi\r\nget {x}a\r\nget {x}b\r\nexec\r\n"} {
						r.send(words)
						var got string
						for range count(words, "\r\n") {
							got = r.reply()
						}
						var a, b, la, lb int
						if _, err := fmt.Sscanf(got, "*2\r\n$%d\r\n%d\r\n$%d\r\n%d\r\n", &la, &a, &lb, &b); err != nil || a+b != 2000 {
							t.Errorf("%q: %q (%v)", words, got, err)
							return
						}
					}
				}
			})
		}
		wg.Wait()
		if got := dial(t, servers[0]).do("mget", "{x}a", "{x}b"); got != "*2\r\n$3\r\n850\r\n$4\r\n1150\r\n" {
			t.Errorf("%d shards: %q in the end", shards, got)
		}
	}
}

// Optimistic increments from all nodes: none is lost.
func TestWatchAcrossNodes(t *testing.T) {
	for _, shards := range []int{1, 4} {
		servers := startCluster(t, 3, shards)
		dial(t, servers[0]).do("set", "wn", "0")
		const each = 10
		var wg sync.WaitGroup
		for _, s := range servers {
			for range 2 {
				c := dial(t, s)
				wg.Go(func() {
					for n := 0; n < each; {
						c.do("watch", "wn")
						var length, v int
						if _, err := fmt.Sscanf(c.do("get", "wn"), "$%d\r\n%d\r\n", &length, &v); err != nil {
							t.Error(err)
							return
						}
						c.do("multi")
						c.do("set", "wn", fmt.Sprint(v+1))
						switch reply := c.do("exec"); reply {
						case "*1\r\n+OK\r\n":
							n++
						case "*-1\r\n":
						default:
							t.Errorf("exec: %q", reply)
							return
						}
					}
				})
			}
		}
		wg.Wait()
		want := fmt.Sprint(2 * len(servers) * each)
		for _, s := range servers {
			if got := dial(t, s).do("get", "wn"); got != fmt.Sprintf("$%d\r\n%s\r\n", len(want), want) {
				t.Errorf("%d shards: the counter is %q, want %s", shards, got, want)
			}
		}
	}
}

// Bound commands in a forwarded transaction: SELECT and HELLO change what follows,
// replies stand in the order of the queue, and nothing of it has an effect when
// the transaction is aborted.
func TestMixedTransactionForwarded(t *testing.T) {
	for i, s := range startCluster(t, 3, 1) {
		c, other := dial(t, s), dial(t, s)
		c.roundTrip("multi\r\nping\r\nset mt 1\r\nselect 5\r\nset mt 5\r\nselect 99\r\nget mt\r\nget mt:none\r\nhello 3 foo\r\n"+
			"get mt:none\r\nclient setname x\r\nselect 0\r\nincr mt\r\nincr mt:s:x extra\r\nexec\r\n",
			"+OK\r\n"+strings.Repeat("+QUEUED\r\n", 12)+"-ERR wrong number of arguments for 'incr' command\r\n"+
				"-EXECABORT Transaction discarded because of previous errors.\r\n")
		c.roundTrip("multi\r\nping\r\nset mt 1\r\nselect 5\r\nset mt 5\r\nselect 99\r\nget mt\r\nget mt:none\r\nhello 3 foo\r\n"+
			"get mt:none\r\nclient setname x\r\nselect 0\r\nincr mt\r\nappend mt x\r\nincr mt\r\nexec\r\n",
			"+OK\r\n"+strings.Repeat("+QUEUED\r\n", 14)+"*14\r\n+PONG\r\n+OK\r\n+OK\r\n+OK\r\n-ERR DB index is out of range\r\n$1\r\n5\r\n"+
				"$-1\r\n-ERR Syntax error in HELLO option 'foo'\r\n$-1\r\n+OK\r\n+OK\r\n:2\r\n:2\r\n-ERR value is not an integer or out of range\r\n")
		c.roundTrip("client getname\r\ndel mt\r\n", "$1\r\nx\r\n:1\r\n")
		c.roundTrip("watch mt\r\n", "+OK\r\n")
		other.roundTrip("set mt 3\r\n", "+OK\r\n")
		c.roundTrip("multi\r\nselect 7\r\nset mt 4\r\nclient setname y\r\nexec\r\nclient getname\r\nget mt\r\n",
			"+OK\r\n"+strings.Repeat("+QUEUED\r\n", 3)+"*-1\r\n$1\r\nx\r\n$1\r\n3\r\n")
		// After HELLO 3 nulls are those of RESP3, before it those of RESP2.
		c.send("multi\r\nget mt:none\r\nhello 3\r\nget mt:none\r\nset mt 9\r\nexec\r\n")
		c.expect("+OK\r\n" + strings.Repeat("+QUEUED\r\n", 4) + "*4\r\n$-1\r\n%7\r\n")
		for range 14 {
			c.reply()
		}
		c.expect("_\r\n+OK\r\n")
		if t.Failed() {
			t.Fatalf("node %d", i)
		}
	}
}
