package compat

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"dkv/tests/harness"
)

// line starts dkvsrv by a command line of the older store. H:P in it is the address
// for clients, D a folder.
type line struct {
	srv  *harness.Server
	addr string
}

func olderServer(t *testing.T, words ...string) *line {
	t.Helper()
	harness.NeedItself(t)
	l := &line{addr: harness.FreeAddrs(t, 1)[0]}
	dir := filepath.Join(t.TempDir(), "D")
	l.srv = harness.NewServer(harness.Spec{Program: harness.NeedDkv(t, "dkvsrv"), Args: func(port int) []string {
		l.addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		args := make([]string, len(words))
		for i, w := range words {
			args[i] = strings.NewReplacer("H:P", l.addr, "D", dir).Replace(w)
			if strings.HasPrefix(w, "-") {
				args[i] = w
			}
		}
		return args
	}})
	t.Cleanup(func() {
		l.srv.Kill()
		if t.Failed() {
			t.Logf("dkvsrv %v:\n%s", words, l.srv.Logs())
		}
	})
	return l
}

// ctl runs dkvctl and returns what it prints, errors too.
func (l *line) ctl(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, _ := run(t, "", harness.NeedDkv(t, "dkvctl"), append([]string{"-dkvAddr", l.addr}, args...)...)
	return out + errs
}

func (l *line) want(t *testing.T, output string, args ...string) {
	t.Helper()
	if got := l.ctl(t, args...); got != output {
		t.Errorf("dkvctl %v: %q, want %q", args, got, output)
	}
}

// session is what the older store's readers tried first.
func (l *line) session(t *testing.T) {
	t.Helper()
	l.want(t, "OK\n", "-set", "hello", "world")
	l.want(t, "world\n", "-get", "hello")
	l.want(t, "hello => world\n", "-iter", "*")
	l.want(t, "1\n", "-del", "hello")
	l.want(t, "", "-get", "hello")
	l.want(t, "", "-iter", "*")
	l.want(t, "OK\n", "-set", "hello", "world")
}

// TestOlderStandalone: one node, on each engine and in memory.
func TestOlderStandalone(t *testing.T) {
	for _, words := range []string{
		"-db-engine rocksdb", "-db-engine badger", "-db-engine pebble", "-dbDiskless", "-diskless -db-engine badger",
	} {
		t.Run(words, func(t *testing.T) {
			if strings.Contains(words, "rocksdb") {
				harness.NeedEngine(t, "rocksdb")
			}
			l := olderServer(t, append(strings.Fields("-db-folder D -listen-addr H:P"), strings.Fields(words)...)...)
			l.srv.MustStart(t)
			l.session(t)
			if strings.Contains(strings.ToLower(words), "diskless") {
				return
			}
			l.srv.Kill()
			l.srv.MustStart(t)
			l.want(t, "hello => world\n", "-iter", "*")
		})
	}
}

// TestOlderCluster: three masters, and a fourth that is added.
func TestOlderCluster(t *testing.T) {
	peers := harness.FreeAddrs(t, 4)
	urls := func(n int) string { return "http://" + strings.Join(peers[:n], ",http://") }
	node := func(i, known int, more ...string) *line {
		words := append(strings.Fields("-db-folder D -listen-addr H:P -role master"),
			"-nexus-node-url", "http://"+peers[i], "-nexus-cluster-url", urls(known))
		return olderServer(t, append(words, more...)...)
	}
	var nodes []*line
	for i := range 3 {
		nodes = append(nodes, node(i, 3))
	}
	var starting sync.WaitGroup
	for _, l := range nodes {
		starting.Go(func() {
			if err := l.srv.Start(); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	harness.Until(t, clusterLimit, "the cluster to take writes", func() bool { return nodes[0].ctl(t, "-set", "hello", "world") == "OK\n" })
	for _, l := range nodes {
		l.session(t)
	}
	nodes[0].want(t, "OK\n", "-set", "of", "the first")
	nodes[2].want(t, "the first\n", "-get", "of")

	fourth := node(3, 4, "-nexusJoin")
	fourth.srv.MustStart(t)
	nodes[1].want(t, "OK\n", "-addNode", "http://"+peers[3])
	fourth.want(t, "world\n", "-get", "hello")
	fourth.want(t, "OK\n", "-set", "of", "the fourth")
	nodes[0].want(t, "the fourth\n", "-get", "of")
	if got := nodes[0].ctl(t, "-listNodes"); strings.Count(got, " voter ") != 4 {
		t.Errorf("-listNodes: %s", got)
	}
}

// TestOlderMasterAndSlave: a slave on each engine and in memory, which the older store
// had poll each five seconds.
func TestOlderMasterAndSlave(t *testing.T) {
	for _, tc := range []struct{ master, slave string }{
		{"-db-engine rocksdb", "-db-engine rocksdb"},
		{"-db-engine badger", "-db-engine badger"},
		{"-db-engine rocksdb", "-diskless"},
		{"-db-engine badger", "-dbDiskless -db-engine badger"},
		{"-dbDiskless", "-diskless -repl-poll-interval 100ms"},
	} {
		t.Run(fmt.Sprintf("%s, %s", tc.master, tc.slave), func(t *testing.T) {
			if strings.Contains(tc.master, "rocksdb") {
				harness.NeedEngine(t, "rocksdb")
			}
			base := strings.Fields("-db-folder D -listen-addr H:P")
			words := append(base[:len(base):len(base)], "-role", "master")
			master := olderServer(t, append(words, strings.Fields(tc.master)...)...)
			master.srv.MustStart(t)
			master.session(t)
			words = append(base[:len(base):len(base)], "-role", "slave", "-repl-master-addr", master.addr)
			slave := olderServer(t, append(words, strings.Fields(tc.slave)...)...)
			slave.srv.MustStart(t)
			harness.Until(t, clusterLimit, "the slave to have it", func() bool { return slave.ctl(t, "-get", "hello") == "world\n" })
			slave.want(t, "hello => world\n", "-iter", "*")
			master.want(t, "OK\n", "-set", "hello", "slave")
			harness.Until(t, clusterLimit, "the slave to follow", func() bool { return slave.ctl(t, "-get", "hello") == "slave\n" })
			slave.want(t, "(error) READONLY You can't write against a read only replica.\n", "-set", "no", "way")
			master.want(t, "1\n", "-del", "hello")
			harness.Until(t, clusterLimit, "the slave to delete it", func() bool { return slave.ctl(t, "-iter", "*") == "" })
		})
	}
}
