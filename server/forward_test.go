package server

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
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
			for range 8 {
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
	// A write that certainly did not happen is none that READONLY would have to see.
	w := dial(t, left)
	for _, words := range []string{"set nm 4", "blpop nm:list 2"} {
		if reply := w.do(strings.Fields(words)...); !strings.HasPrefix(reply, down) {
			t.Fatalf("%s without a majority: %q", words, reply)
		}
	}
	w.roundTrip("multi\r\nset nm 4\r\n", "+OK\r\n+QUEUED\r\n")
	if reply := w.do("exec"); !strings.HasPrefix(reply, down) {
		t.Fatalf("EXEC without a majority: %q", reply)
	}
	w.roundTrip("readonly\r\nget nm\r\n", "+OK\r\n$1\r\n1\r\n")
	r := dial(t, left)
	r.roundTrip("readonly\r\nget nm\r\nmulti\r\nget nm\r\nexec\r\n", "+OK\r\n$1\r\n1\r\n+OK\r\n+QUEUED\r\n*1\r\n$1\r\n1\r\n")
}
