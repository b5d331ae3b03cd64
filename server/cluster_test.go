package server

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"dkv/cluster"
	"dkv/cluster/raftlog"
	"dkv/cluster/slot"
	"dkv/resp"
)

// threeNodes is what node 2 sees of a cluster: node 1 leads shards 0 and 1, node
// 2 leads shard 2, node 3 is not connected, node 7 catches up.
func threeNodes() *topology {
	at := func(leader, voter bool) cluster.MemberShard { return cluster.MemberShard{Leader: leader, Voter: voter} }
	known := func(m cluster.MemberShard, match raftlog.Index, lag uint64, progress string) cluster.MemberShard {
		m.Term, m.Match, m.Lag, m.Known, m.LagKnown, m.Progress = 4, match, lag, true, true, progress
		return m
	}
	learner := known(cluster.MemberShard{Learner: true}, 5, 95, "snapshot")
	return newTopology(cluster.Info{
		Enabled: true, OK: true, State: "member", ClusterID: "c", Self: 2, Shards: 3, Voters: 3, Members: 4, Term: 9,
		Changes: []string{"adding node 7 (h7:107)"},
	}, []cluster.Member{
		{ID: 1, PeerAddr: "h1:101", ClientAddr: "h1:1", State: "voter", Connected: true,
			Shards: []cluster.MemberShard{at(true, true), at(true, true), known(at(false, true), 100, 0, "replicate")}},
		{ID: 2, PeerAddr: "h2:102", ClientAddr: "h2:2", State: "voter", Connected: true, Self: true,
			Shards: []cluster.MemberShard{at(false, true), at(false, true), known(at(true, true), 100, 0, "")}},
		{ID: 3, PeerAddr: "h3:103", State: "voter",
			Shards: []cluster.MemberShard{at(false, true), at(false, true), known(at(false, true), 90, 10, "probe")}},
		{ID: 7, PeerAddr: "[::1]:107", ClientAddr: "[::1]:7", State: "learner", Connected: true,
			Shards: []cluster.MemberShard{{Learner: true}, {Learner: true}, learner}},
	})
}

// The reply texts have names like <1> for the 40 digits of node 1.
func shorten(t *topology, text string) string {
	for _, m := range t.members {
		text = strings.ReplaceAll(text, m.name, fmt.Sprintf("<%d>", m.ID))
	}
	return text
}

func TestClusterNodesText(t *testing.T) {
	top := threeNodes()
	const want = "" +
		"<1> h1:1@101 master - 0 0 9 connected 0-10921\n" +
		"<2> h2:2@102 myself,master - 0 0 9 connected 10922-16383\n" +
		"<3> :0@103 slave,fail,noaddr <1> 0 0 9 disconnected\n" +
		"<7> ::1:7@107 slave,nofailover <1> 0 0 9 connected\n"
	if got := shorten(top, top.nodes()); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	top.leaders = []int{-1, -1, -1} // an election is going on
	if got := shorten(top, top.nodeLine(1)); got != "<2> h2:2@102 myself,master - 0 0 9 connected" {
		t.Error(got)
	}
	for _, m := range top.members {
		if !regexp.MustCompile(`^[0-9a-f]{40}$`).MatchString(m.name) {
			t.Errorf("node %d is called %s", m.ID, m.name)
		}
	}
}

func TestClusterInfoText(t *testing.T) {
	top := threeNodes()
	text := top.clusterInfo(3, 4)
	for _, line := range []string{"cluster_state:ok", "cluster_slots_assigned:16384", "cluster_slots_ok:16384", "cluster_slots_fail:0",
		"cluster_known_nodes:4", "cluster_size:2", "cluster_current_epoch:9", "cluster_stats_messages_sent:3", "dkv_node_id:2",
		"dkv_shards:3", "dkv_change0:adding node 7 (h7:107)"} {
		if !strings.Contains(text, line+"\r\n") {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
	top.leaders[1], top.info.OK = -1, false
	text = top.clusterInfo(0, 0)
	for _, line := range []string{"cluster_state:fail", "cluster_slots_ok:10923", "cluster_slots_fail:5461"} {
		if !strings.Contains(text, line+"\r\n") {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
}

// flat renders a RESP2 reply on one line.
func flat(w *resp.Writer) string {
	var out []string
	for line := range strings.SplitSeq(strings.TrimSuffix(string(w.Buf), "\r\n"), "\r\n") {
		if !strings.HasPrefix(line, "$") {
			out = append(out, line)
		}
	}
	return strings.Join(out, " ")
}

func TestClusterSlotsReply(t *testing.T) {
	top := threeNodes()
	var w resp.Writer
	top.writeSlots(&w)
	const want = "*3 " +
		"*3 :0 :5460 *4 h1 :1 <1> *0 " +
		"*3 :5461 :10921 *4 h1 :1 <1> *0 " +
		"*3 :10922 :16383 *4 h2 :2 <2> *0"
	if got := shorten(top, flat(&w)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	top.leaders[0], top.leaders[2] = -1, 2 // unknown, and one without an address
	w.Reset()
	top.writeSlots(&w) // node 2 leads nothing now
	if got := shorten(top, flat(&w)); got != "*1 *4 :5461 :10921 *4 h1 :1 <1> *0 *4 h2 :2 <2> *0" {
		t.Error(got)
	}
}

func TestClusterShardsReply(t *testing.T) {
	top := threeNodes()
	var w resp.Writer
	top.writeShards(&w)
	got := shorten(top, flat(&w))
	const first = "*3 *4 slots *2 :0 :5460 nodes *2 " +
		"*14 id <1> port :1 ip h1 endpoint h1 role master replication-offset :0 health online " +
		"*14 id <7> port :7 ip ::1 endpoint ::1 role replica replication-offset :0 health loading " +
		"*4 slots *2 :5461 :10921 nodes "
	if !strings.HasPrefix(got, first) {
		t.Errorf("got  %s\nwant %s", got, first)
	}
	if !strings.Contains(got, "id <2> port :2 ip h2 endpoint h2 role master replication-offset :100 health online") {
		t.Error(got)
	}
}

func TestClusterListNodesReply(t *testing.T) {
	top := threeNodes()
	var w resp.Writer
	top.writeNodes(&w)
	got := shorten(top, flat(&w))
	const want = "*16 id :3 node-id <3> peer-addr h3:103 client-addr  state voter self :0 connected :0 shards *3 " +
		"*12 shard :0 role follower term match lag progress  " +
		"*12 shard :1 role follower term match lag progress  " +
		"*12 shard :2 role follower term :4 match :90 lag :10 progress probe"
	if !strings.Contains(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	w = resp.Writer{Proto: 3}
	top.writeNodes(&w)
	if !strings.HasPrefix(string(w.Buf), "*4\r\n%8\r\n$2\r\nid\r\n:1\r\n") || !strings.Contains(string(w.Buf), "$3\r\nlag\r\n_\r\n") {
		t.Errorf("RESP3: %q", w.Buf)
	}
}

func TestReplicationFigures(t *testing.T) {
	top := threeNodes()
	var m cluster.Metrics
	r := newReplication(top, m)
	if got := fmt.Sprint(r.followers); got != "[{h1 1 100 online 0} { 0 90 wait_bgsave 0} {::1 7 5 send_bulk 0}]" {
		t.Error(got)
	}
	top.self = 2 // leads nothing
	if r := newReplication(top, m); len(r.followers) != 0 {
		t.Error(r)
	}
	top.self = -1 // in no cluster yet
	if r := newReplication(top, m); len(r.followers) != 0 {
		t.Error(r)
	}
}

func TestMemberNamed(t *testing.T) {
	top := threeNodes()
	for arg, want := range map[string]string{
		top.members[1].name: "2", "h1:1": "1", "h1:101": "h1:101", "7": "7", "http://h2:102": "http://h2:102", "": "",
	} {
		if got := top.memberNamed([]byte(arg)); got != want {
			t.Errorf("%s is %q, want %q", arg, got, want)
		}
	}
}

// A node that stands alone is no cluster for clients, but tells of slots and of
// itself.
func TestClusterAlone(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	const disabled = "-ERR This instance has cluster support disabled\r\n"
	for _, words := range []string{"CLUSTER NODES", "CLUSTER SLOTS", "CLUSTER SHARDS", "CLUSTER LINKS", "CLUSTER MEET h 1",
		"CLUSTER RESET", "CLUSTER FAILOVER", "CLUSTER REPLICAS x", "CLUSTER SAVECONFIG"} {
		if got := c.do(strings.Fields(words)...); got != disabled {
			t.Errorf("%s: %q", words, got)
		}
	}
	c.roundTrip(request("CLUSTER", "KEYSLOT", "foo{hash}"), fmt.Sprintf(":%d\r\n", slot.Of([]byte("hash"))))
	if got := c.do("CLUSTER", "MYID"); !regexp.MustCompile(`^\$40\r\n[0-9a-f]{40}\r\n$`).MatchString(got) || got == c.do("CLUSTER", "MYSHARDID") {
		t.Errorf("MYID: %q", got)
	}
	for _, tc := range []struct{ words, want string }{
		{"CLUSTER INFO", "cluster_state:ok"}, {"CLUSTER HELP", "ADDNODE <url> [ASYNC]"}, {"INFO cluster", "cluster_enabled:0"},
		{"INFO server", "redis_mode:standalone"}, {"CLUSTER LISTNODES", "voter"}, {"CLUSTER ADDNODE http://h:1", "-ERR This node has no peer address"},
		{"CLUSTER ADDNODE http://h:1 LATER", "-ERR syntax error"}, {"CLUSTER REMOVENODE", "-ERR wrong number of arguments"},
		{"CLUSTER REMOVENODE 1 2 3", "-ERR syntax error"}, {"CLUSTER TRANSFERLEADER SHARD 1", "-ERR There is no shard 1"},
		{"CLUSTER TRANSFERLEADER a b c d", "-ERR syntax error"}, {"CLUSTER TRANSFERLEADER a SHARD x", "-ERR value is not an integer"},
		{"CLUSTER NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try CLUSTER HELP."}, {"CLUSTER", "-ERR wrong number of arguments for 'cluster' command"},
		{"ROLE", "*3\r\n$6\r\nmaster\r\n"}, {"INFO raft", "shard0:role=leader,term="}, {"INFO replication", "role:master\r\nconnected_slaves:0"},
	} {
		if got := c.do(strings.Fields(tc.words)...); !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.words, got, tc.want)
		}
	}
}

func TestKeysInSlot(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	c.roundTrip(request("MSET", "{a}1", "x", "{a}2", "x", "{a}3", "x", "b", "x")+request("SET", "{a}4", "x", "PX", "1"), "+OK\r\n+OK\r\n")
	in := fmt.Sprint(slot.Of([]byte("a")))
	eventually(t, "the key expires", func() bool { return c.do("EXISTS", "{a}4") == ":0\r\n" })
	c.roundTrip(request("CLUSTER", "COUNTKEYSINSLOT", in), ":3\r\n")
	c.roundTrip(request("CLUSTER", "GETKEYSINSLOT", in, "2"), "*2\r\n$4\r\n{a}1\r\n$4\r\n{a}2\r\n")
	c.roundTrip(request("CLUSTER", "GETKEYSINSLOT", in, "9"), "*3\r\n$4\r\n{a}1\r\n$4\r\n{a}2\r\n$4\r\n{a}3\r\n")
	c.roundTrip(request("CLUSTER", "GETKEYSINSLOT", in, "0"), "*0\r\n")
	c.roundTrip(request("SELECT", "1")+request("CLUSTER", "COUNTKEYSINSLOT", in), "+OK\r\n:0\r\n")
	c.roundTrip(request("MULTI")+request("CLUSTER", "COUNTKEYSINSLOT", in)+request("EXEC"), "+OK\r\n+QUEUED\r\n*1\r\n:0\r\n")
	c.roundTrip(request("MULTI")+request("CLUSTER", "ADDNODE", "h:1"), "+OK\r\n-ERR Command not allowed inside a transaction\r\n")
	c.roundTrip(request("DISCARD"), "+OK\r\n")
	for _, tc := range []struct{ words, want string }{
		{"COUNTKEYSINSLOT 16384", "-ERR Invalid slot\r\n"}, {"COUNTKEYSINSLOT -1", "-ERR Invalid slot\r\n"},
		{"COUNTKEYSINSLOT x", "-ERR value is not an integer or out of range\r\n"},
		{"GETKEYSINSLOT 1 -1", "-ERR Invalid slot or number of keys\r\n"}, {"GETKEYSINSLOT 16384 1", "-ERR Invalid slot or number of keys\r\n"},
		{"GETKEYSINSLOT 1 x", "-ERR value is not an integer or out of range\r\n"},
	} {
		c.roundTrip(request(append([]string{"CLUSTER"}, strings.Fields(tc.words)...)...), tc.want)
	}
}

func TestSlotRanges(t *testing.T) {
	top := threeNodes()
	top.leaders = []int{0, 2, 0}
	if got := fmt.Sprint(top.ranges(top.leads(0))); got != "[0-5460 10922-16383]" {
		t.Error(got)
	}
	if got := (slotRange{7, 7}).String(); got != "7" {
		t.Error(got)
	}
	if got := top.masters(); got != 2 {
		t.Error(got)
	}
}
