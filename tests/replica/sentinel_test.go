package replica

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

// sentinelOf starts a redis-sentinel that watches a master by the name "pair". Debian
// has the same program under two names.
func sentinelOf(t *testing.T, master *harness.Server) *harness.Server {
	t.Helper()
	program, err := exec.LookPath("redis-sentinel")
	if err != nil {
		program = harness.NeedProgram(t, "redis-server", "redis-sentinel")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "sentinel.conf")
	host, port, _ := net.SplitHostPort(master.Addr())
	conf := fmt.Sprintf("dir %s\nsentinel monitor pair %s %s 1\nsentinel down-after-milliseconds pair 500\nsentinel failover-timeout pair 5000\n", dir, host, port)
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	s := harness.NewServer(harness.Spec{Program: program, Args: func(port int) []string {
		return []string{file, "--sentinel", "--port", strconv.Itoa(port), "--bind", "127.0.0.1"}
	}})
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("output of the sentinel:\n%s", s.Logs())
		}
	})
	s.MustStart(t)
	return s
}

// TestSentinel: a redis-sentinel finds the replica of a master, notices that the master
// is dead, promotes the replica, tells its subscribers, and makes the old master a
// replica when it is back.
func TestSentinel(t *testing.T) {
	harness.NeedItself(t)
	master := harness.Dkv(t)
	m := master.Dial(t)
	// The replica has a configuration file, which CONFIG REWRITE changes.
	dir := t.TempDir()
	file := filepath.Join(dir, "dkv.conf")
	conf := fmt.Sprintf("replicaof 127.0.0.1 %d\nreplica-priority 7\n", master.Port())
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	spec, err := harness.DkvSpec(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	args := spec.Args
	spec.Args = func(port int) []string { return append([]string{file}, args(port)...) }
	replica := harness.NewServer(spec)
	t.Cleanup(func() {
		replica.Kill()
		if t.Failed() {
			t.Logf("output of the replica:\n%s", replica.Logs())
		}
	})
	replica.MustStart(t)
	awaitUp(t, replica)
	m.OK("SET", "before", "1")
	m.Want(":1\r\n", "WAIT", "1", "0")

	sentinel := sentinelOf(t, master)
	s := sentinel.Dial(t)
	// Sentinels meet by messages, over the channel of master and replica.
	hello := replica.Dial(t)
	hello.Do("SUBSCRIBE", "__sentinel__:hello")
	harness.Until(t, patience, "the sentinel to find the replica", func() bool {
		r := sentinelFields(s.Do("SENTINEL", "REPLICAS", "pair"), 0)
		return r["port"] == strconv.Itoa(replica.Port()) && r["flags"] == "slave" && r["master-link-status"] == "ok" && r["slave-priority"] == "7"
	})
	hello.SetDeadline(time.Now().Add(patience))
	if r, err := hello.Read(); err != nil || len(r.Elems) != 3 || !strings.Contains(string(r.Elems[2].Str), ",pair,127.0.0.1,"+strconv.Itoa(master.Port())+",") {
		t.Errorf("the sentinel says nothing of itself: %s, %v", r, err)
	}
	hello.Close()
	events := sentinel.Dial(t)
	events.Do("SUBSCRIBE", "+switch-master")

	master.Kill()
	harness.Until(t, patience, "the replica to be promoted", func() bool { return infoField(replica, "replication", "role") == "master" })
	events.SetDeadline(time.Now().Add(patience))
	want := fmt.Sprintf("pair 127.0.0.1 %d 127.0.0.1 %d", master.Port(), replica.Port())
	if r, err := events.Read(); err != nil || len(r.Elems) != 3 || string(r.Elems[2].Str) != want {
		t.Fatalf("the sentinel tells %s, %v, want %s", r, err, want)
	}
	// A client asks the sentinel where to go.
	s.Want(fmt.Sprintf("*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%d\r\n", len(strconv.Itoa(replica.Port())), replica.Port()),
		"SENTINEL", "GET-MASTER-ADDR-BY-NAME", "pair")
	r := replica.Dial(t)
	r.Want("$1\r\n1\r\n", "GET", "before")
	r.OK("SET", "after", "2")
	if text, err := os.ReadFile(file); err != nil || strings.Contains(string(text), "replicaof 127") || !strings.Contains(string(text), "replica-priority 7") {
		t.Errorf("the configuration file of the promoted replica: %q, %v", text, err)
	}

	master.MustStart(t)
	harness.Until(t, patience, "the old master to follow the new one", func() bool {
		return infoField(master, "replication", "master_port") == strconv.Itoa(replica.Port()) && infoField(master, "replication", "master_link_status") == "up"
	})
	awaitGet(t, master.Dial(t), "after", "2")
	master.Dial(t).Want(readOnly, "SET", "k", "v")
	awaitSame(t, replica, master)
	// It stays so over a restart of both.
	replica.Kill()
	master.Kill()
	replica.MustStart(t)
	master.MustStart(t)
	if role := infoField(replica, "replication", "role"); role != "master" {
		t.Errorf("the promoted replica is a %s after a restart", role)
	}
	awaitUp(t, master)
}

// sentinelFields is one of the maps that SENTINEL replies.
func sentinelFields(r harness.Reply, i int) map[string]string {
	fields := make(map[string]string)
	if i >= len(r.Elems) {
		return fields
	}
	e := r.Elems[i].Elems
	for n := 0; n+1 < len(e); n += 2 {
		fields[string(e[n].Str)] = string(e[n+1].Str)
	}
	return fields
}
