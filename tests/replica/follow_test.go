package replica

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"dkv/tests/harness"
)

const readOnly = "-READONLY You can't write against a read only replica.\r\n"

// awaitGet waits until a key has a value.
func awaitGet(t *testing.T, c *harness.TestConn, key, want string) {
	t.Helper()
	harness.Until(t, patience, key+" to be "+want, func() bool { return string(c.Do("GET", key).Str) == want })
}

// TestReplica: what a replica serves, what it refuses, and what both sides say.
func TestReplica(t *testing.T) {
	source := harness.Dkv(t)
	s := source.Dial(t)
	s.OK("SET", "before", "1")
	replica := replicaOf(t, source)
	r := replica.Dial(t)
	awaitUp(t, replica)
	awaitGet(t, r, "before", "1")
	s.OK("SET", "after", "2")
	awaitGet(t, r, "after", "2")

	r.Want(readOnly, "SET", "k", "v")
	r.Want(readOnly, "FLUSHALL")
	r.OK("MULTI")
	r.Want(readOnly, "INCR", "n")
	r.Want("-EXECABORT Transaction discarded because of previous errors.\r\n", "EXEC")
	r.OK("MULTI")
	r.Want("+QUEUED\r\n", "GET", "before")
	r.Want("*1\r\n$1\r\n1\r\n", "EXEC")

	// Transactions and databases arrive whole.
	s.OK("SELECT", "3")
	s.OK("MULTI")
	s.Want("+QUEUED\r\n", "SET", "a", "1")
	s.Want("+QUEUED\r\n", "SET", "b", "1")
	s.Do("EXEC")
	s.OK("SWAPDB", "3", "4")
	s.OK("SELECT", "4")
	s.Want("$1\r\n1\r\n", "GET", "a")
	r.OK("SELECT", "4")
	awaitGet(t, r, "b", "1")
	r.Want("$1\r\n1\r\n", "GET", "a")
	r.OK("SELECT", "0")

	info := r.Info("replication")
	host, port, _ := net.SplitHostPort(source.Addr())
	for field, want := range map[string]string{
		"role": "slave", "master_host": host, "master_port": port, "master_link_status": "up",
		"master_sync_in_progress": "0", "slave_read_only": "1", "connected_slaves": "0",
	} {
		if info[field] != want {
			t.Errorf("INFO replication on the replica: %s is %q, want %q", field, info[field], want)
		}
	}
	harness.Until(t, patience, "the replica to be where its source is", func() bool {
		return r.Info("replication")["master_repl_offset"] == s.Info("replication")["master_repl_offset"]
	})
	if a, b := s.Info("replication")["master_replid"], info["master_replid"]; a != b || len(a) != 40 {
		t.Errorf("master_replid is %q on the source and %q on the replica", a, b)
	}
	want := fmt.Sprintf("ip=127.0.0.1,port=%d,state=online,offset=%s,lag=", replica.Port(), s.Info("replication")["master_repl_offset"])
	harness.Until(t, patience, "the source to list "+want, func() bool {
		return strings.HasPrefix(s.Info("replication")["slave0"], want)
	})
	role := r.Do("ROLE")
	if len(role.Elems) != 5 || string(role.Elems[0].Str) != "slave" || string(role.Elems[3].Str) != "connected" {
		t.Errorf("ROLE on the replica: %s", role)
	}
	if role = s.Do("ROLE"); len(role.Elems) != 3 || len(role.Elems[2].Elems) != 1 {
		t.Errorf("ROLE on the source: %s", role)
	}
	if line := string(s.Do("CLIENT", "LIST", "TYPE", "replica").Str); !strings.Contains(line, "flags=S") || !strings.Contains(line, "cmd=dkv.sync") {
		t.Errorf("CLIENT LIST TYPE replica: %q", line)
	}
	awaitSame(t, source, replica)
}

// TestExpiryOnReplica: a key whose time has come is hidden there at once, and deleted
// when the source says so.
func TestExpiryOnReplica(t *testing.T) {
	source := harness.Dkv(t)
	s := source.Dial(t)
	replica := replicaOf(t, source)
	r := replica.Dial(t)
	s.OK("SET", "lasting", "v")
	awaitGet(t, r, "lasting", "v")
	s.OK("DEBUG", "SET-ACTIVE-EXPIRE", "0")
	s.OK("SET", "short", "v", "PX", "1500")
	awaitGet(t, r, "short", "v")
	harness.Until(t, patience, "the key to be hidden", func() bool { return r.Do("GET", "short").Null })
	r.Want(":0\r\n", "EXISTS", "short")
	r.Want("*1\r\n$7\r\nlasting\r\n", "KEYS", "*")
	r.Want(":2\r\n", "DBSIZE") // it is only hidden
	s.OK("DEBUG", "SET-ACTIVE-EXPIRE", "1")
	harness.Until(t, patience, "the key to be deleted", func() bool { return r.DoInt("DBSIZE") == 1 })
}

// TestReplicaOf at run time: followed, kept over restarts, promoted, demoted.
func TestReplicaOf(t *testing.T) {
	harness.NeedItself(t)
	source, replica := harness.Dkv(t), harness.Dkv(t)
	s, r := source.Dial(t), replica.Dial(t)
	s.OK("SET", "a", "1")
	r.OK("SET", "own", "1")
	r.Want("-ERR Invalid master port\r\n", "REPLICAOF", "127.0.0.1", "http")
	r.Want("-ERR Invalid master port\r\n", "REPLICAOF", "127.0.0.1", "70000")
	r.OK("REPLICAOF", "NO", "ONE")
	port := strconv.Itoa(source.Port())
	r.OK("REPLICAOF", "127.0.0.1", port)
	r.Want("+OK Already connected to specified master\r\n", "SLAVEOF", "127.0.0.1", port)
	r.Want("*2\r\n$9\r\nreplicaof\r\n$"+strconv.Itoa(len("127.0.0.1 "+port))+"\r\n127.0.0.1 "+port+"\r\n", "CONFIG", "GET", "replicaof")
	awaitGet(t, r, "a", "1")
	r.Want("$-1\r\n", "GET", "own")

	replica.Kill()
	s.OK("SET", "a", "2")
	replica.MustStart(t)
	r = replica.Dial(t)
	awaitGet(t, r, "a", "2")
	r.Want(readOnly, "SET", "own", "1")
	if got := infoField(source, "stats", "sync_full"); got != "1" {
		t.Errorf("sync_full is %s after a restart of the replica", got)
	}

	r.OK("REPLICAOF", "no", "one")
	r.OK("SET", "own", "2")
	replica.Kill()
	replica.MustStart(t)
	r = replica.Dial(t)
	r.OK("SET", "own", "3")
	r.Want("$1\r\n2\r\n", "GET", "a")
	if role := r.Info("replication")["role"]; role != "master" {
		t.Errorf("role is %s after the promotion", role)
	}
	harness.Until(t, patience, "the source to forget it", func() bool { return infoField(source, "replication", "connected_slaves") == "0" })

	// The roles are changed: nothing of the other history is left.
	s.OK("SET", "lost", "1")
	s.OK("REPLICAOF", "127.0.0.1", strconv.Itoa(replica.Port()))
	awaitGet(t, s, "own", "3")
	s.Want("$-1\r\n", "GET", "lost")
	awaitSame(t, replica, source)
}

// TestChain: a replica of a replica, which survives a restart of the one in between.
func TestChain(t *testing.T) {
	source := harness.Dkv(t)
	middle := replicaOf(t, source)
	last := replicaOf(t, middle)
	stop := load(source.Addr(), 1, 2)
	for range 3 {
		awaitUp(t, last)
		middle.Kill()
		middle.MustStart(t)
		awaitUp(t, middle)
	}
	if stop() == 0 {
		t.Error("nothing was written")
	}
	awaitSame(t, source, middle, last)
	if got := infoField(source, "stats", "sync_full"); got != "1" {
		t.Errorf("%s full copies of the source", got)
	}
}

// TestPassword: a replica authenticates, and says so when it cannot.
func TestPassword(t *testing.T) {
	source := harness.Dkv(t, "-requirepass", "secret")
	// Without -shards it has to ask for their number first.
	for _, flags := range [][]string{{"-shards", "1"}, nil} {
		replica := replicaOf(t, source, flags...)
		r := replica.Dial(t)
		said := func(what string) {
			t.Helper()
			harness.Until(t, patience, "the refusal to be told", func() bool {
				return strings.Contains(r.Info("replication")["dkv_master_link_error"], what)
			})
		}
		said("NOAUTH")
		r.OK("CONFIG", "SET", "masterauth", "wrong")
		said("WRONGPASS")
		r.OK("CONFIG", "SET", "masterauth", "secret")
		awaitUp(t, replica)
	}
}

// TestClusterAsSource: a replica goes on with another member when its own dies, without
// another copy.
func TestClusterAsSource(t *testing.T) {
	harness.NeedItself(t)
	c := harness.StartCluster(t, harness.ClusterOptions{Nodes: 3})
	var addrs []string
	for _, n := range c.Nodes() {
		addrs = append(addrs, n.Addr())
	}
	replica := harness.Dkv(t, "-role", "slave", "-repl-master-addr", strings.Join(addrs, ","))
	stop := load(c.MustLeader(t).Addr(), 1, 2)
	awaitUp(t, replica)
	for range 2 {
		port := infoField(replica, "replication", "master_port")
		for _, n := range c.Nodes() {
			if strconv.Itoa(n.Port()) != port {
				continue
			}
			n.Kill()
			harness.Until(t, patience, "the replica to follow another member", func() bool {
				return infoField(replica, "replication", "master_link_status") == "up" && infoField(replica, "replication", "master_port") != port
			})
			n.MustStart(t)
		}
	}
	leader := c.MustLeader(t)
	leader.Kill()
	leader.MustStart(t)
	stop()
	if _, err := c.AwaitSame(patience); err != nil {
		t.Fatal(err)
	}
	awaitSame(t, c.Nodes()[0].Server, replica)
	full := 0
	for _, n := range c.Nodes() {
		k, _ := strconv.Atoi(infoField(n.Server, "stats", "sync_full"))
		full += k
	}
	if full > 1 || strings.Count(replica.Logs(), "copying the source in full") != 1 {
		t.Errorf("%d full copies by members that still count them; the replica's log has %d", full, strings.Count(replica.Logs(), "copying the source in full"))
	}
	c.Nodes()[0].Must(t, "PING")
	if r, err := c.Nodes()[0].Call(patience, "REPLICAOF", "127.0.0.1", "1"); err != nil || !strings.Contains(string(r.Str), "REPLICAOF not allowed in cluster mode.") {
		t.Errorf("REPLICAOF on a member: %s %v", r, err)
	}
}

// TestReplicaFirst: a replica may be started before its source. It has as many shards
// as that, which it has to ask for.
func TestReplicaFirst(t *testing.T) {
	source := harness.Dkv(t, "-shards", "3")
	source.Dial(t).OK("SET", "k", "v")
	source.Kill()
	replica := replicaOf(t, source)
	r := replica.Dial(t)
	r.Want("-LOADING This replica has not reached its master yet\r\n", "GET", "k")
	r.Want(readOnly, "SET", "k", "v")
	for _, args := range [][]string{{"REPLICAOF", "NO", "ONE"}, {"REPLICAOF", "127.0.0.1", "1"}} {
		r.Want("-ERR This replica is new and has not reached its master yet: start it again with another -repl-master-addr, or without\r\n", args...)
	}
	if info := r.Info("replication"); info["role"] != "slave" || info["master_link_status"] != "down" {
		t.Errorf("INFO replication: %v", info)
	}
	replica.Kill()
	replica.MustStart(t)
	source.MustStart(t)
	awaitUp(t, replica)
	r = replica.Dial(t)
	awaitGet(t, r, "k", "v")
	awaitSame(t, source, replica)
	if shards := infoField(replica, "dkv", "shards"); shards != "3" {
		t.Errorf("%s shards", shards)
	}
}
