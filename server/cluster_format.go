package server

import (
	"fmt"
	"strings"

	"dkv/cluster/raftlog"
	"dkv/resp"
)

// The replies of this file have the form of Redis Cluster's, so that its tools
// and client libraries can read them. What dkv knows beyond that stands in
// CLUSTER LISTNODES, INFO raft, and at the end of CLUSTER INFO.

// nodeLine is a line of CLUSTER NODES (https://redis.io/docs/latest/commands/cluster-nodes/):
//
//	<id> <host>:<port>@<peer port> <flags> <master> <ping sent> <pong received> <term> <link> <slots>...
//
// A node that leads a shard is a master with the slots of all that it leads; one
// that leads none is a slave.
func (t *topology) nodeLine(i int) string {
	m := &t.members[i]
	master, leads := "-", t.leads(i)
	var flags []string
	if i == t.self {
		flags = append(flags, "myself")
	}
	if at := t.masterOf(i); len(leads) == 0 && at >= 0 {
		flags = append(flags, "slave")
		master = t.members[at].name
	} else {
		flags = append(flags, "master")
	}
	link := "connected"
	if !m.Connected {
		flags = append(flags, "fail")
		link = "disconnected"
	}
	switch {
	case m.State == "joining":
		flags = append(flags, "handshake")
	case m.State == "learner":
		flags = append(flags, "nofailover") // it cannot become a leader yet
	}
	if m.host == "" {
		flags = append(flags, "noaddr")
	}
	line := fmt.Sprintf("%s %s:%d@%d %s %s 0 0 %d %s", m.name, m.host, m.port, m.bus,
		strings.Join(flags, ","), master, t.info.Term, link)
	for _, r := range t.ranges(leads) {
		line += " " + r.String()
	}
	return line
}

// nodes is the reply of CLUSTER NODES.
func (t *topology) nodes() string {
	var b strings.Builder
	for i := range t.members {
		b.WriteString(t.nodeLine(i) + "\n")
	}
	return b.String()
}

// writeSlots replies CLUSTER SLOTS: for each shard with a leader its slots, then
// the leader and the followers. A node that clients cannot be told an address of
// is left out.
func (t *topology) writeSlots(w *resp.Writer) {
	ids := t.reachable()
	w.Array(len(ids))
	for _, id := range ids {
		first, last := t.slots.Range(id)
		followers := t.followers(id)
		w.Array(3 + len(followers))
		w.Int(int64(first))
		w.Int(int64(last))
		for _, i := range append([]int{t.leaders[id]}, followers...) {
			m := &t.members[i]
			w.Array(4)
			w.BulkString(m.host)
			w.Int(int64(m.port))
			w.BulkString(m.name)
			w.Map(0)
		}
	}
}

// reachable returns the shards whose leader has an address for clients.
func (t *topology) reachable() []raftlog.ShardID {
	var ids []raftlog.ShardID
	for id, leader := range t.leaders {
		if leader >= 0 && t.members[leader].host != "" {
			ids = append(ids, raftlog.ShardID(id))
		}
	}
	return ids
}

// writeShards replies CLUSTER SHARDS: all shards, each with its leader and the
// nodes that lead none (see followers), in whatever state they are.
func (t *topology) writeShards(w *resp.Writer) {
	w.Array(len(t.leaders))
	for shard, leader := range t.leaders {
		id := raftlog.ShardID(shard)
		first, last := t.slots.Range(id)
		w.Map(2)
		w.BulkString("slots")
		w.Array(2)
		w.Int(int64(first))
		w.Int(int64(last))
		w.BulkString("nodes")
		var known []int
		for i := range t.members {
			if t.members[i].host != "" && (i == leader || len(t.leads(i)) == 0) {
				known = append(known, i)
			}
		}
		w.Array(len(known))
		for _, i := range known {
			t.writeShardNode(w, i, id, i == leader)
		}
	}
}

func (t *topology) writeShardNode(w *resp.Writer, i int, id raftlog.ShardID, leads bool) {
	m := &t.members[i]
	role, health := "replica", "online"
	if leads {
		role = "master"
	}
	place := m.place(id)
	switch {
	case !m.Connected:
		health = "failed"
	case !place.Voter:
		health = "loading"
	}
	w.Map(7)
	w.BulkString("id")
	w.BulkString(m.name)
	w.BulkString("port")
	w.Int(int64(m.port))
	w.BulkString("ip")
	w.BulkString(m.host)
	w.BulkString("endpoint")
	w.BulkString(m.host)
	w.BulkString("role")
	w.BulkString(role)
	w.BulkString("replication-offset")
	w.Uint(uint64(place.Match))
	w.BulkString("health")
	w.BulkString(health)
}

// clusterInfo is the reply of CLUSTER INFO. What follows Redis's fields is dkv's.
func (t *topology) clusterInfo(sent, received uint64) string {
	const slotCount = 16384
	state := "ok"
	if !t.info.OK {
		state = "fail"
	}
	served := t.slotsServed()
	var b strings.Builder
	line := func(name string, value any) { fmt.Fprintf(&b, "%s:%v\r\n", name, value) }
	line("cluster_state", state)
	line("cluster_slots_assigned", slotCount)
	line("cluster_slots_ok", served)
	line("cluster_slots_pfail", 0)
	line("cluster_slots_fail", slotCount-served)
	line("cluster_known_nodes", len(t.members))
	line("cluster_size", t.masters())
	line("cluster_current_epoch", t.info.Term)
	line("cluster_my_epoch", t.info.Term)
	line("cluster_stats_messages_sent", sent)
	line("cluster_stats_messages_received", received)
	line("total_cluster_links_buffer_limit_exceeded", 0)
	line("dkv_cluster_id", t.info.ClusterID)
	line("dkv_node_id", t.info.Self)
	line("dkv_node_state", t.info.State)
	if t.info.Reason != "" {
		line("dkv_node_reason", t.info.Reason)
	}
	line("dkv_shards", t.slots.Shards())
	line("dkv_shards_led", t.info.Led)
	line("dkv_voters", t.info.Voters)
	for i, text := range t.info.Changes {
		line(fmt.Sprintf("dkv_change%d", i), text)
	}
	return b.String()
}

// writeNodes replies CLUSTER LISTNODES, dkv's own. What is not known is null.
func (t *topology) writeNodes(w *resp.Writer) {
	w.Array(len(t.members))
	for i := range t.members {
		m := &t.members[i]
		w.Map(8)
		w.BulkString("id")
		w.Uint(uint64(m.ID))
		w.BulkString("node-id")
		w.BulkString(m.name)
		w.BulkString("peer-addr")
		w.BulkString(m.PeerAddr)
		w.BulkString("client-addr")
		w.BulkString(m.ClientAddr)
		w.BulkString("state")
		w.BulkString(m.State)
		w.BulkString("self")
		w.Int(int64(oneIf(m.Self)))
		w.BulkString("connected")
		w.Int(int64(oneIf(m.Connected)))
		w.BulkString("shards")
		w.Array(len(t.leaders))
		for shard := range t.leaders {
			t.writePlace(w, m, raftlog.ShardID(shard))
		}
	}
}

// writePlace writes a node's part in a shard. Term, match and lag are null where
// the shard's leader was not to be asked, but for what a node has itself.
func (t *topology) writePlace(w *resp.Writer, m *member, id raftlog.ShardID) {
	place := m.place(id)
	w.Map(6)
	w.BulkString("shard")
	w.Int(int64(id))
	w.BulkString("role")
	w.BulkString(m.role(id))
	w.BulkString("term")
	writeKnown(w, place.Term != 0, uint64(place.Term))
	w.BulkString("match")
	writeKnown(w, place.Known, uint64(place.Match))
	w.BulkString("lag")
	writeKnown(w, place.LagKnown, place.Lag)
	w.BulkString("progress")
	w.BulkString(place.Progress)
}

// writeKnown writes a number, or null where it is not known.
func writeKnown(w *resp.Writer, known bool, v uint64) {
	if known {
		w.Uint(v)
	} else {
		w.Null()
	}
}
