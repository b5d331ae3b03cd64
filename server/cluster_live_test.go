package server

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"dkv/cluster"
	"dkv/cluster/raftlog"
	"dkv/cluster/slot"
)

// leadersOf returns the numbers of the nodes that lead, by shard, as a server
// knows them.
func leadersOf(s *Server) string {
	var ids []string
	for id := range s.node.Shards() {
		m, known := s.node.Leader(raftlog.ShardID(id))
		if !known {
			ids = append(ids, "?")
			continue
		}
		ids = append(ids, fmt.Sprint(m.ID))
	}
	return strings.Join(ids, " ")
}

// idOf is the number of a server's node.
func idOf(s *Server) string { return fmt.Sprint(s.node.ClusterInfo().Self) }

func TestClusterCommandsLive(t *testing.T) {
	servers := startCluster(t, 3, 2)
	for _, s := range servers {
		c := dial(t, s)
		for _, tc := range []struct{ words, want string }{
			{"CLUSTER INFO", "cluster_state:ok\r\n"}, {"CLUSTER INFO", "cluster_known_nodes:3\r\n"}, {"CLUSTER INFO", "dkv_voters:3\r\n"},
			{"INFO cluster", "cluster_enabled:1\r\n"}, {"INFO server", "redis_mode:cluster\r\n"}, {"INFO raft", "shard1:role="},
			{"INFO raft", "raft_voters:3\r\n"}, {"HELLO", "$7\r\ncluster\r\n"}, {"CLUSTER NODES", "myself,"},
			{"CLUSTER REPLICAS x", "-ERR Unknown node x"}, {"CLUSTER COUNT-FAILURE-REPORTS x", "-ERR Unknown node x"},
			{"CLUSTER SAVECONFIG", "+OK"}, {"CLUSTER MEET h 1", "use CLUSTER ADDNODE"}, {"CLUSTER SETSLOT 1 STABLE", "-ERR dkv has no CLUSTER SETSLOT"},
			{"CLUSTER REMOVENODE 99", "-ERR There is no member 99"}, {"CLUSTER ADDNODE nonsense", "-ERR"},
			{"CLUSTER TRANSFERLEADER 99", "-ERR There is no member 99"}, {"CLUSTER FAILOVER NOW", "-ERR syntax error"},
		} {
			if got := c.do(strings.Fields(tc.words)...); !strings.Contains(got, tc.want) {
				t.Errorf("%s: %q, want %q", tc.words, got, tc.want)
			}
		}
		if got := c.do("CLUSTER", "LISTNODES"); strings.Count(got, "$5\r\nvoter\r\n") != 3 {
			t.Errorf("LISTNODES: %q", got)
		}
		top := s.topology()
		if got := c.do("CLUSTER", "MYID"); !strings.Contains(got, top.members[top.self].name) {
			t.Errorf("MYID: %q", got)
		}
		if got := c.do("CLUSTER", "COUNT-FAILURE-REPORTS", top.members[top.self].name); got != ":0\r\n" {
			t.Errorf("COUNT-FAILURE-REPORTS: %q", got)
		}
	}
	key := "some key"
	if got := dial(t, servers[0]).do("SET", key, "x"); got != "+OK\r\n" {
		t.Fatal(got)
	}
	for _, s := range servers {
		if got := dial(t, s).do("CLUSTER", "COUNTKEYSINSLOT", fmt.Sprint(slot.Of([]byte(key)))); got != ":1\r\n" {
			t.Errorf("COUNTKEYSINSLOT: %q", got)
		}
	}
}

// TestListNodesIsTheSameEverywhere: all nodes fill all columns, with the same.
func TestListNodesIsTheSameEverywhere(t *testing.T) {
	servers := startCluster(t, 3, 2)
	// Which one was asked is the only difference.
	myself := strings.NewReplacer("$4\r\nself\r\n:1\r\n", "$4\r\nself\r\n:0\r\n")
	eventually(t, "all nodes list the same", func() bool {
		var texts []string
		for _, s := range servers {
			texts = append(texts, myself.Replace(dial(t, s).do("CLUSTER", "LISTNODES")))
		}
		return texts[0] == texts[1] && texts[1] == texts[2] && strings.Count(texts[0], "$4\r\nterm\r\n:") == 6 &&
			strings.Count(texts[0], "$3\r\nlag\r\n:0\r\n") == 6 && strings.Count(texts[0], "$5\r\nmatch\r\n:") == 6
	})
	// What came before is answered, and in a transaction it does not ask the others.
	leaders := strings.Fields(leadersOf(servers[0]))
	c := dial(t, servers[0])
	c.send(request("PING") + request("CLUSTER", "LISTNODES") + request("MULTI") + request("CLUSTER", "LISTNODES") + request("EXEC"))
	if got := c.reply() + c.reply() + c.reply() + c.reply() + c.reply(); strings.Count(got, "$4\r\nterm\r\n") != 12 ||
		!strings.HasPrefix(got, "+PONG\r\n*3\r\n") {
		t.Errorf("in a pipeline: %q", got)
	} else if led := strings.Count(strings.Join(leaders, " "), idOf(servers[0])); strings.Count(got, "$3\r\nlag\r\n:") != 6+3*led {
		t.Errorf("in a transaction, leading %d of 2 shards: %q", led, got)
	}
}

func TestTransferLeader(t *testing.T) {
	servers := startCluster(t, 3, 2)
	c := dial(t, servers[0])
	eventually(t, "the addresses for clients are known", func() bool {
		for _, m := range servers[0].topology().members {
			if m.host == "" {
				return false
			}
		}
		return true
	})
	for _, s := range servers {
		// By the names that clients have for it: the id of CLUSTER NODES, then its
		// address for clients.
		top := s.topology()
		me := &top.members[top.self]
		for _, name := range []string{me.name, me.ClientAddr, me.PeerAddr, idOf(s)} {
			if got := c.do("CLUSTER", "TRANSFERLEADER", name); got != "+OK\r\n" {
				t.Fatalf("TRANSFERLEADER %s: %q", name, got)
			}
		}
		eventually(t, "all know the leader", func() bool {
			want := idOf(s) + " " + idOf(s)
			return leadersOf(servers[0]) == want && leadersOf(servers[1]) == want && leadersOf(servers[2]) == want
		})
		roleText := dial(t, s).do("ROLE")
		if !strings.HasPrefix(roleText, "*3\r\n$6\r\nmaster\r\n:") || strings.Count(roleText, "*3\r\n") != 3 {
			t.Errorf("ROLE of the leader: %q", roleText)
		}
		if got := dial(t, s).do("INFO", "replication"); !strings.Contains(got, "connected_slaves:2\r\n") || !strings.Contains(got, "state=online") {
			t.Errorf("INFO replication of the leader: %q", got)
		}
	}
	// Where processors are scarce there may be an election at any time, which puts a
	// leader elsewhere than where it was sent: then it is sent again.
	f := dial(t, servers[1])
	eventually(t, "FAILOVER", func() bool {
		got := f.do("CLUSTER", "FAILOVER", "FORCE")
		return got == "+OK\r\n" && strings.Count(f.do("INFO", "raft"), ":role=leader") == 2
	})
	want := idOf(servers[1]) + " " + idOf(servers[2])
	eventually(t, "one shard moved", func() bool {
		if leadersOf(servers[1])[:1] != idOf(servers[1]) {
			f.do("CLUSTER", "FAILOVER", "FORCE")
		}
		got := c.do("CLUSTER", "TRANSFERLEADER", idOf(servers[2]), "SHARD", "1")
		return got == "+OK\r\n" && leadersOf(servers[2]) == want
	})
}

func TestAddAndRemoveNode(t *testing.T) {
	servers := startCluster(t, 1, 2)
	addr := freeAddrs(t, 1)[0]
	node, err := cluster.Open(cluster.Options{
		Dir: t.TempDir(), Fsync: raftlog.FsyncNo, PeerAddr: addr, Join: true, ReserveDiskBytes: -1, LogSegmentBytes: 1 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	joining := serveNode(t, node)
	j := dial(t, joining)
	eventually(t, "the new node waits", func() bool {
		return strings.HasPrefix(j.do("CLUSTER", "LISTNODES"), "-CLUSTERDOWN This node waits to be added")
	})
	for _, tc := range []struct{ words, want string }{
		{"CLUSTER INFO", "cluster_state:fail\r\n"}, {"CLUSTER SLOTS", "*0\r\n"},
		{"CLUSTER NODES", "$0\r\n"}, {"ROLE", "*3\r\n$6\r\nmaster\r\n:0\r\n"}, {"INFO", "raft_node_state:joining"}, {"CLUSTER MYSHARDID", "$40\r\n"},
		{"CLUSTER COUNTKEYSINSLOT 1", "-CLUSTERDOWN"}, {"CLUSTER LINKS", "*0\r\n"},
	} {
		if got := j.do(strings.Fields(tc.words)...); !strings.Contains(got, tc.want) {
			t.Errorf("a node that waits, %s: %q, want %q", tc.words, got, tc.want)
		}
	}
	c := dial(t, servers[0])
	c.do("SET", "k", "v")
	if got := c.do("CLUSTER", "ADDNODE", "http://"+addr); got != "+OK\r\n" {
		t.Fatalf("ADDNODE: %q", got)
	}
	eventually(t, "the new node serves", func() bool { return j.do("GET", "k") == "$1\r\nv\r\n" })
	if got := c.do("CLUSTER", "ADDNODE", addr); !strings.HasPrefix(got, "-ERR "+addr+" is a member already") {
		t.Errorf("ADDNODE again: %q", got)
	}
	if got := c.do("CLUSTER", "REMOVENODE", idOf(joining)); got != "+OK\r\n" {
		t.Fatalf("REMOVENODE: %q", got)
	}
	eventually(t, "the removed node says so", func() bool {
		return strings.HasPrefix(j.do("CLUSTER", "LISTNODES"), "-CLUSTERDOWN This node was removed")
	})
	if got := c.do("GET", "k"); got != "$1\r\nv\r\n" {
		t.Errorf("the one that is left: %q", got)
	}
}

func TestClusterMetrics(t *testing.T) {
	servers := startCluster(t, 3, 1)
	leader := servers[0]
	eventually(t, "the leader knows how far the others are", func() bool {
		for _, s := range servers {
			if leadersOf(s) == idOf(s) {
				leader = s
			}
		}
		text := metricsOf(leader)
		return strings.Count(text, "\ndkv_raft_peer_lag{") == 3 && strings.Count(text, "} 1\ndkv_peer_connected") == 1
	})
	for _, s := range servers {
		if _, figures, found := strings.Cut(metricsOf(s), "\ndkv_raft_peer_"); s != leader && found {
			t.Errorf("a node that leads nothing says how far others, or it, are behind: %.100s", figures)
		}
	}
	text := metricsOf(leader)
	for _, line := range []string{
		"dkv_cluster_ok 1\n", "dkv_cluster_members 3\n", `dkv_raft_leader{shard="0"} ` + idOf(leader), `dkv_raft_proposals_total{shard="0"}`,
		`dkv_raft_apply_lag{shard="0"}`, `dkv_raft_snapshot_receiving{shard="0"} 0`, `dkv_peer_sent_messages_total{node="`,
		`dkv_shard_batch_duration_seconds_count{shard="0"}`, "dkv_log_sync_duration_seconds_count",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("/metrics lacks %s", line)
		}
	}
}

func metricsOf(s *Server) string {
	w := httptest.NewRecorder()
	s.HTTPHandler(false).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}
