package server

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dkv/cluster/slot"
)

// familyScript has commands of every family whose replies do not depend on time,
// chance or order. Keys of commands that cannot be split have a hash tag.
const familyScript = `
flushall
set a 1
set b 2 ex 1000
setnx a 9
get a
getset a 3
append a 45
strlen a
setrange a 1 xy
getrange a 0 -1
substr a 0 1
incr n
incrby n 10
decr n
decrby n 3
incrbyfloat f 1.5
incr a
mset k1 v1 k2 v2 k3 v3 k4 v4 k5 v5 k6 v6
mget k1 k2 k3 none k4 k5 k6 k1
mset k1
mset k1 v1 k2
msetnx {t}1 a {t}2 b
msetnx {t}2 c {t}3 d
lcs {t}1 {t}2
setex e1 100 v
psetex e2 100000 v
getex a
getdel k6
get k6
exists k1 k2 k3 k6 k1
touch k1 k2 none
type a
type none
del k1 k2 none k1
unlink k3 k4 none
exists k1 k2 k3 k4 k5
expire a 1000
expire none 1000
persist a
ttl a
pttl none
expireat a 33177117420
expiretime a
pexpireat a 33177117420000
pexpiretime a
pexpire a 100000000 gt
rename {t}1 {t}4
rename {t}1 {t}4
renamenx {t}4 {t}2
copy {t}2 {t}5
copy {t}2 {t}5 replace
copy {t}2 {t}6 db 3
move {t}5 3
object encoding n
object refcount none
object help
dbsize
select 3
dbsize
mget {t}5 {t}6
set three 3
select 0
get three
swapdb 0 3
get three
dbsize
swapdb 0 3
swapdb 0 99
dkv.cas a 1 2
dkv.cas new  1 ABSENT
dkv.cas new 1 2
set
nope
get a b
memory usage none
flushdb wrong
ping
echo hi
multi
set m 1
incr m
incr a
select 3
get three
ping x
set m2 {t}
exec
get m
multi
get m
mget {t}2 {t}4
client getname
exec
multi
ping
exec
multi
exec
multi
set m 5
discard
get m
watch m
set m 6
multi
get m
exec
watch m
multi
set m 7
exec
watch m none
unwatch
readonly
get m
readwrite
asking
debug digest-value m n none
debug object none
flushdb
dbsize
`

// runScript returns the replies to a script, one line or all lines at once.
func runScript(c *client, script string, pipelined bool) []string {
	c.t.Helper()
	var lines, replies []string
	for line := range strings.Lines(script) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, request(strings.Split(line, " ")...))
		}
	}
	if pipelined {
		c.send(strings.Join(lines, ""))
	}
	for _, line := range lines {
		if !pipelined {
			c.send(line)
		}
		replies = append(replies, fmt.Sprintf("%q -> %q", line, c.reply()))
	}
	return replies
}

// singleNodeReplies are those of a node by itself with one shard.
func singleNodeReplies(t *testing.T, script string) []string {
	return runScript(dial(t, startServer(t, "enable-debug-command", "yes")), script, false)
}

// oneShard makes all keys of a script go to one shard, where WATCH none and its
// like need it.
func oneShard(script string) string {
	return strings.NewReplacer("watch m none", "watch m {m}none", "set m2 {t}", "set {m}2 {t}", "multi\nset m 1\nincr m\nincr a", "multi\nset m 1\nincr m\nincr {m}a").Replace(script)
}

// Every command gives on every node, whichever leads, the replies that a node by
// itself gives.
func TestFamiliesOnEveryNode(t *testing.T) {
	script := oneShard(familyScript)
	script = strings.ReplaceAll(script, "multi\nget m\nmget {t}2 {t}4", "multi\nget {t}m\nmget {t}2 {t}4")
	want := singleNodeReplies(t, script)
	for _, shards := range []int{1, 4} {
		for i, s := range startCluster(t, 3, shards, "enable-debug-command", "yes") {
			for _, pipelined := range []bool{false, true} {
				got := runScript(dial(t, s), script, pipelined)
				for n := range want {
					if got[n] != want[n] {
						t.Errorf("%d shards, node %d, pipelined %v:\ngot  %s\nwant %s", shards, i, pipelined, got[n], want[n])
					}
				}
			}
		}
	}
}

// A pipeline's commands on one key run in its order, and replies have the order
// of the requests, from every node and whichever shards they go to.
func TestPipelineOrderForwarded(t *testing.T) {
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewSource(seed))
	for _, shards := range []int{1, 4} {
		for i, s := range startCluster(t, 3, shards) {
			c := dial(t, s)
			values := make(map[string]int)
			for range 20 {
				var send, want strings.Builder
				for range 1 + rng.Intn(200) {
					key := fmt.Sprintf("po:%d:%d", i, rng.Intn(30))
					switch rng.Intn(4) {
					case 0:
						send.WriteString(request("get", key))
						if v, ok := values[key]; ok {
							fmt.Fprintf(&want, "$%d\r\n%d\r\n", len(fmt.Sprint(v)), v)
						} else {
							want.WriteString("$-1\r\n")
						}
					case 1:
						n := rng.Intn(1000)
						send.WriteString(request("set", key, fmt.Sprint(n)))
						want.WriteString("+OK\r\n")
						values[key] = n
					default:
						send.WriteString(request("incr", key))
						values[key]++
						fmt.Fprintf(&want, ":%d\r\n", values[key])
					}
				}
				c.roundTrip(send.String(), want.String())
			}
		}
	}
}

// Long pipelines with large replies are done in parts, in order.
func TestLargeRepliesForwarded(t *testing.T) {
	const keys = 25
	for _, shards := range []int{1, 4} {
		servers := startCluster(t, 2, shards)
		for _, s := range servers {
			c := dial(t, s)
			var send strings.Builder
			var values []string
			for i := range keys {
				values = append(values, strings.Repeat(fmt.Sprint(i%10), 200_000))
				key := fmt.Sprint("lr:", i)
				send.WriteString(request("set", key, values[i]) + request("getset", key, fmt.Sprint(i)))
			}
			go c.send(send.String())
			for i := range keys {
				if ok, old := c.reply(), c.reply(); ok != "+OK\r\n" || body(old) != values[i] {
					t.Fatalf("%d shards: replies %d are %.40q and %.40q of %d bytes", shards, i, ok, old, len(old))
				}
			}
			c.roundTrip("get lr:24\r\n", "$2\r\n24\r\n")
		}
	}
}

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

// Commands are counted once, on the node that the client is connected to, with
// their failures.
func TestForwardedCommandsAreCountedOnce(t *testing.T) {
	servers := startCluster(t, 3, 1)
	for _, at := range servers {
		before := make([]uint64, len(servers))
		for i, s := range servers {
			before[i] = s.stats.CommandsProcessed.Load()
		}
		c := dial(t, at)
		c.roundTrip("set fc x\r\nincr fc\r\nget fc\r\n", "+OK\r\n-ERR value is not an integer or out of range\r\n$1\r\nx\r\n")
		for i, s := range servers {
			want := uint64(0)
			if s == at {
				want = 3
			}
			if n := s.stats.CommandsProcessed.Load() - before[i]; n != want {
				t.Errorf("node %d counts %d commands, want %d", i, n, want)
			}
		}
		if n := at.stats.Command(lookup("incr")).Failed.Load(); n != 1 {
			t.Errorf("%d failures of INCR", n)
		}
		if errs := at.stats.Errors(); len(errs) != 1 || errs[0].Code != "ERR" || errs[0].Count != 1 {
			t.Errorf("errors: %v", errs)
		}
	}
}

// The executor refuses what is not for it.
func TestExecutorRefuses(t *testing.T) {
	s := startShards(t, 4)
	id := s.slots().ShardOf(slot.Of([]byte("a")))
	good := appendRequest(nil, &shardRequest{calls: callsOf("set a 1", "get a")})
	if answer, err := s.execute(t.Context(), id, slices.Clone(good)); err != nil || len(answer) == 0 {
		t.Fatalf("a good request: %v", err)
	}
	for name, bad := range map[string]struct {
		shard int
		b     []byte
	}{
		"another shard": {int(id+1) % 4, good},
		"no shard":      {4, good},
		"junk":          {int(id), []byte("junk")},
		"two shards":    {int(id), appendRequest(nil, &shardRequest{calls: callsOf("get a", "get b", "get c")})},
		"watched":       {int(id), appendRequest(nil, &shardRequest{calls: callsOf("get a"), watch: []watched{{key: []byte("b")}, {key: []byte("c")}}})},
	} {
		if _, err := s.execute(t.Context(), shardID(bad.shard), bad.b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	dial(t, s).roundTrip("get a\r\n", "$1\r\n1\r\n")
}

// A connection that reads what its node has still sees its own writes, which are
// done elsewhere: its view never goes backwards.
func TestReadOnlySeesItsOwnWrites(t *testing.T) {
	for _, s := range startCluster(t, 3, 4) {
		c := dial(t, s)
		c.do("flushall")
		c.do("readonly")
		for i := 1; i <= 20; i++ {
			for _, key := range []string{"ro:a", "ro:b", "ro:c"} {
				c.roundTrip("incr "+key+"\r\n", fmt.Sprintf(":%d\r\n", i))
				c.roundTrip("get "+key+"\r\n", fmt.Sprintf("$%d\r\n%d\r\n", len(fmt.Sprint(i)), i))
			}
		}
	}
}

// Without a majority every command says that nothing happened, but READONLY
// connections read on.
func TestNoMajority(t *testing.T) {
	servers := startClusterWaiting(t, 3, 1, 300*time.Millisecond)
	left := servers[0]
	c := dial(t, left)
	eventually(t, "a write works", func() bool { return c.do("set", "nm", "1") == "+OK\r\n" })
	c.do("get", "nm") // so that this node has it
	for _, s := range servers[1:] {
		ctx, cancel := contextWithTimeout()
		if err := s.Close(ctx); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := s.node.Close(); err != nil {
			t.Fatal(err)
		}
	}
	const down = "-CLUSTERDOWN"
	eventually(t, "the node no longer leads", func() bool {
		reply := c.do("set", "nm", "1")
		if !strings.HasPrefix(reply, down) && !strings.HasPrefix(reply, "-UNCERTAIN") && reply != "+OK\r\n" {
			t.Fatalf("SET without a majority: %q", reply)
		}
		return strings.HasPrefix(reply, down)
	})
	c.roundTrip("multi\r\nset nm 2\r\n", "+OK\r\n+QUEUED\r\n")
	for _, words := range []string{"exec", "get nm", "mget nm nm2", "dbsize", "watch nm", "del nm"} {
		if reply := c.do(strings.Fields(words)...); !strings.HasPrefix(reply, down) {
			t.Errorf("%s without a majority: %q", words, reply)
		}
	}
	// One wait for the leader is enough for a whole pipeline of reads behind a write.
	c.send("set nm 3\r\n" + strings.Repeat("get nm\r\n", 20))
	for range 21 {
		if reply := c.reply(); !strings.HasPrefix(reply, down) {
			t.Fatalf("a pipeline without a majority: %q", reply)
		}
	}
	r := dial(t, left)
	r.roundTrip("readonly\r\nget nm\r\nmulti\r\nget nm\r\nexec\r\n", "+OK\r\n$1\r\n1\r\n+OK\r\n+QUEUED\r\n*1\r\n$1\r\n1\r\n")
}
