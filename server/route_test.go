package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/cluster/slot"
	"dkv/resp"
	"dkv/server/command"
)

func shardID(n int) raftlog.ShardID { return raftlog.ShardID(n) }

const crossSlot = "-" + string(resp.ErrCrossSlot) + "\r\n"

// The positions that routing knows beforehand are those that the table's key
// specifications give.
func TestKeyArgs(t *testing.T) {
	for _, spec := range command.All() {
		p := &plans[spec.ID]
		if p.kind != planKeys || !p.simple {
			continue
		}
		for n := 1; n < 9; n++ {
			args := make([][]byte, n)
			for i := range args {
				args[i] = []byte("1")
			}
			want, err := spec.Keys(args)
			if err != nil {
				continue
			}
			if got := slices.Collect(keyArgs(spec, args)); !slices.Equal(got, want) {
				t.Errorf("%s of %d: %v, want %v", spec.Name, n, got, want)
			}
		}
	}
	for _, name := range []string{"get", "mset", "rename", "watch", "object|encoding"} {
		if p := &plans[lookupFull([]byte(name)).ID]; p.kind != planKeys || !p.simple {
			t.Errorf("%s is not simple", name)
		}
	}
}

// Routing a command of few keys allocates nothing.
func TestRouteAllocates(t *testing.T) {
	c := newConn(startShards(t, 4), pipeConn(t))
	c.ws = takeWorkspace(c)
	for _, line := range []string{"get k", "set k v", "del {k}1 {k}2", "dbsize"} {
		k := callsOf(line)[0]
		if n := testing.AllocsPerRun(100, func() {
			if _, refusal := c.route(k.spec, k.args); refusal != "" {
				t.Error(refusal)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", line, n)
		}
	}
}

// spread returns n keys of which no two in a row are in one shard.
func spread(s *Server, n int) []string {
	var keys []string
	last := -1
	for i := 0; len(keys) < n; i++ {
		key := fmt.Sprint("sp:", i)
		if id := int(s.slots().ShardOf(slot.Of([]byte(key)))); id != last {
			keys, last = append(keys, key), id
		}
	}
	return keys
}

func TestCrossSlot(t *testing.T) {
	s := startShards(t, 4)
	k := spread(s, 2)
	c := dial(t, s)
	for _, line := range []string{"rename %s %s", "copy %s %s", "msetnx %s 1 %s 2", "lcs %s %s", "watch %s %s"} {
		c.roundTrip(fmt.Sprintf(line, k[0], k[1])+"\r\n", crossSlot)
	}
	const aborted = "-EXECABORT Transaction discarded because of previous errors.\r\n"
	c.roundTrip(fmt.Sprintf("multi\r\nmset %s 1 %s 2\r\nexec\r\n", k[0], k[1]), "+OK\r\n"+crossSlot+aborted)
	c.roundTrip("multi\r\nflushall\r\nexec\r\n", "+OK\r\n"+crossSlot+aborted)
	// Each command is right by itself: EXEC says that they do not go together.
	c.roundTrip(fmt.Sprintf("multi\r\nset %s 1\r\nset %s 2\r\nexec\r\nexec\r\n", k[0], k[1]),
		"+OK\r\n+QUEUED\r\n+QUEUED\r\n"+crossSlot+"-ERR EXEC without MULTI\r\n")
	c.roundTrip(fmt.Sprintf("watch %s\r\nmulti\r\nset %s 2\r\nexec\r\n", k[0], k[1]), "+OK\r\n+OK\r\n+QUEUED\r\n"+crossSlot)
	c.roundTrip(fmt.Sprintf("watch %s\r\nwatch %s\r\nunwatch\r\nwatch %s\r\n", k[0], k[1], k[1]), "+OK\r\n"+crossSlot+"+OK\r\n+OK\r\n")
	c.roundTrip(fmt.Sprintf("exists %s %s\r\n", k[0], k[1]), ":0\r\n")
}

// Commands that go to several shards, whose replies are put together.
func TestAcrossShards(t *testing.T) {
	for _, s := range startCluster(t, 2, 4) {
		k := spread(s, 40)
		c := dial(t, s)
		set, get, null := []string{"mset"}, []string{"mget"}, "*40\r\n"
		for i, key := range k {
			set, get = append(set, key, fmt.Sprint(i%10)), append(get, key)
			null += fmt.Sprintf("$1\r\n%d\r\n", i%10)
		}
		c.roundTrip(request(set...), "+OK\r\n")
		c.roundTrip(request(get...), null)
		c.roundTrip("dbsize\r\n", ":40\r\n")
		c.roundTrip(request(append([]string{"exists"}, k...)...), ":40\r\n")
		c.roundTrip(request(append([]string{"touch", "none"}, k...)...), ":40\r\n")
		c.do("hello", "3")
		c.roundTrip(fmt.Sprintf("mget %s none %s\r\n", k[0], k[1]), "*3\r\n$1\r\n0\r\n_\r\n$1\r\n1\r\n")
		if got := arrayOf(c.do("keys", "sp:*")); !slices.Equal(got, sorted(k)) {
			t.Errorf("KEYS: %v", got)
		}
		for _, count := range []string{"1", "7", "1000"} {
			if got := scanAll(t, c, "count", count); !slices.Equal(got, sorted(k)) {
				t.Errorf("SCAN COUNT %s: %d keys %v", count, len(got), got)
			}
		}
		seen := make(map[string]bool)
		for range 100 {
			reply := c.do("randomkey")
			seen[body(reply)] = true
		}
		if len(seen) < 15 {
			t.Errorf("RANDOMKEY found %d of 40 keys in 100 tries", len(seen))
		}
		if info := body(c.do("info", "keyspace")); !strings.Contains(info, "db0:keys=40,expires=0") {
			t.Errorf("INFO keyspace: %q", info)
		}
		c.roundTrip("swapdb 0 1\r\ndbsize\r\nswapdb 0 1\r\ndbsize\r\n", "+OK\r\n:0\r\n+OK\r\n:40\r\n")
		c.roundTrip(request(append([]string{"del", "none"}, k[:10]...)...), ":10\r\n")
		c.roundTrip(request(append([]string{"unlink"}, k[:20]...)...), ":10\r\n")
		c.roundTrip("flushdb\r\ndbsize\r\nrandomkey\r\n", "+OK\r\n:0\r\n_\r\n")
		if got := scanAll(t, c); len(got) != 0 {
			t.Errorf("SCAN after FLUSHDB: %v", got)
		}
	}
}

// DEBUG DIGEST does not depend on how many shards there are.
func TestDigestAcrossShards(t *testing.T) {
	var digests []string
	for _, shards := range []int{1, 4} {
		c := dial(t, startShards(t, shards, "enable-debug-command", "yes"))
		c.roundTrip("debug populate 2500\r\ndbsize\r\nselect 2\r\nset x 1\r\nset {x}y 2 ex 1000\r\n", "+OK\r\n:2500\r\n+OK\r\n+OK\r\n+OK\r\n")
		digests = append(digests, c.do("debug", "digest"))
	}
	if digests[0] != digests[1] {
		t.Errorf("digests are %q", digests)
	}
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

// arrayOf returns the elements of a reply that is an array of strings, sorted.
func arrayOf(reply string) []string {
	var list []string
	parts := strings.Split(reply, "\r\n")
	for i := 2; i < len(parts); i += 2 {
		list = append(list, parts[i])
	}
	return sorted(list)
}

// scanAll returns what a whole scan finds, each key once, sorted.
func scanAll(t *testing.T, c *client, options ...string) []string {
	t.Helper()
	found := make(map[string]bool)
	cursor := "0"
	for range 10_000 {
		reply := c.do(append([]string{"scan", cursor}, options...)...)
		parts := strings.SplitN(reply, "\r\n", 4)
		cursor = parts[2]
		for _, key := range arrayOf(parts[3]) {
			found[key] = true
		}
		if cursor == "0" {
			var keys []string
			for key := range found {
				keys = append(keys, key)
			}
			return sorted(keys)
		}
	}
	t.Fatal("the scan does not end")
	return nil
}

// With cluster-redirect a node that does not lead sends clients to the one that
// does, and keys must be in one slot.
func TestRedirect(t *testing.T) {
	servers := startCluster(t, 2, 1, "cluster-redirect", "yes")
	for _, s := range servers {
		eventually(t, "the leader's address is known", func() bool {
			m, known := s.node.Leader(0)
			return known && m.ClientAddr != ""
		})
	}
	leader, other := dial(t, servers[0]), dial(t, servers[1])
	if m, _ := servers[0].node.Leader(0); !m.Self {
		leader, other = other, leader
		servers[0], servers[1] = servers[1], servers[0]
	}
	leader.roundTrip("set foo 1\r\nmget foo bar\r\nmget {foo}1 {foo}2\r\n", "+OK\r\n"+crossSlot+"*2\r\n$-1\r\n$-1\r\n")
	leader.roundTrip("multi\r\nget foo\r\nget bar\r\nexec\r\n", "+OK\r\n+QUEUED\r\n+QUEUED\r\n"+crossSlot)
	m, _ := servers[1].node.Leader(0)
	moved := "-MOVED 12182 " + m.ClientAddr + "\r\n"
	other.roundTrip("get foo\r\nset foo 2\r\nwatch foo\r\n", moved+moved+moved)
	other.roundTrip("multi\r\nget foo\r\nexec\r\n", "+OK\r\n"+moved+"-EXECABORT Transaction discarded because of previous errors.\r\n")
	other.roundTrip("readonly\r\nset foo 2\r\n", "+OK\r\n"+moved)
	if reply := other.do("get", "foo"); reply != "$1\r\n1\r\n" && reply != "$-1\r\n" {
		t.Errorf("READONLY: %q", reply)
	}
	if reply := other.do("client", "info"); !strings.Contains(reply, "flags=r ") {
		t.Errorf("CLIENT INFO: %q", reply)
	}
	other.roundTrip("readwrite\r\nget foo\r\nping\r\n", "+OK\r\n"+moved+"+PONG\r\n")
}

// What a command that several shards have a part in replies, when some of them
// fail.
func TestCombine(t *testing.T) {
	part := func(reply string, err error) *shardRequest {
		r := &shardRequest{calls: callsOf("del k"), out: new(resp.Writer), err: err}
		r.out.Buf = []byte(reply)
		r.calls[0].end, r.calls[0].failed, r.done = len(reply), strings.HasPrefix(reply, "-"), 1
		return r
	}
	two, three, ok, syntax := part(":2\r\n", nil), part(":3\r\n", nil), part("+OK\r\n", nil), part("-ERR syntax error\r\n", nil)
	down, uncertain := part("", shard.ErrNotLeader), part("", shard.ErrUncertain)
	for name, c := range map[string]struct {
		parts []*shardRequest
		want  string
	}{
		"sum":                 {[]*shardRequest{two, three}, ":5"},
		"OK":                  {[]*shardRequest{ok, ok}, "+OK"},
		"the command's fault": {[]*shardRequest{syntax, syntax}, "-ERR syntax error"},
		"nothing done":        {[]*shardRequest{down, down}, "-" + shard.ErrNotLeader.Error()},
		"partly done":         {[]*shardRequest{two, down}, "-" + errPartly + shard.ErrNotLeader.Error()},
		"not known":           {[]*shardRequest{two, uncertain}, "-" + shard.ErrUncertain.Error()},
		"none known":          {[]*shardRequest{uncertain, down}, "-" + shard.ErrUncertain.Error()},
	} {
		var out resp.Writer
		if err := combine(&out, c.parts); err != nil {
			out.Error(errorText(err))
		}
		if got := string(out.Buf); got != c.want+"\r\n" {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A command that was routed by another number of shards than there are now is
// not run.
func TestSlotsChanged(t *testing.T) {
	s := startServer(t)
	c := newConn(s, pipeConn(t))
	c.ws = takeWorkspace(c)
	c.ws.slots = slot.NewMap(2)
	for _, line := range []string{"set sc 1", "get sc", "multi", "set sc 2"} {
		var args [][]byte
		for _, w := range strings.Fields(line) {
			args = append(args, []byte(w))
		}
		c.dispatch(resp.Command{Args: args})
	}
	c.finish()
	c.ws.slots = s.slots()
	c.dispatch(resp.Command{Args: [][]byte{[]byte("exec")}})
	down := "-" + string(errSlotsChanged) + "\r\n"
	if got, want := string(c.ws.out.Buf), down+down+"+OK\r\n+QUEUED\r\n"+down; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	dial(t, s).roundTrip("exists sc\r\n", ":0\r\n")
}
