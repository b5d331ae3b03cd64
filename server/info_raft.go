package server

import (
	"fmt"
	"strings"

	"dkv/cluster/raftlog"
)

// infoRaft tells of each shard's Raft group. It has a line a shard and, where
// this node leads, one for each of the other members:
//
//	shard0:role=leader,term=7,leader=1,commit=90,applied=90,apply_lag=0,...
//	shard0_node2:state=replicate,match=88,lag=2,connected=1,voter=1
//
// then one for each connection to another member.
func infoRaft(w *infoWriter) {
	t := w.srv.topology()
	w.line("raft_node_id", t.info.Self)
	w.line("raft_node_state", t.info.State)
	if t.info.Reason != "" {
		w.line("raft_node_reason", t.info.Reason)
	}
	w.line("raft_shards", t.slots.Shards())
	w.line("raft_shards_led", t.info.Led)
	w.line("raft_voters", t.info.Voters)
	w.line("raft_read_mode", w.srv.config.String("read-mode"))
	for i, text := range t.info.Changes {
		w.line(fmt.Sprintf("raft_change%d", i), text)
	}
	for i := range w.node.Shards {
		if t.self >= 0 {
			writeRaftShard(w, t, raftlog.ShardID(i))
		}
	}
	for _, p := range w.node.Peers.Peers {
		fmt.Fprintf(w, "peer%d:addr=%s,connected=%d,connects=%d,queued=%d,queued_bytes=%d,sent=%d,received=%d,dropped=%d,"+
			"calls=%d,calls_waiting=%d,calls_broken=%d,snapshots_sent=%d,snapshot_bytes_sent=%d\r\n",
			p.ID, p.Addr, oneIf(p.Connected), p.Connects, p.QueuedMessages, p.QueuedBytes, p.SentMessages, p.ReceivedMessages, p.DroppedMessages,
			p.Calls, p.CallsWaiting, p.CallsBroken, p.SnapshotsSent, p.SnapshotSentBytes)
	}
}

func writeRaftShard(w *infoWriter, t *topology, id raftlog.ShardID) {
	m := &w.node.Shards[id]
	st := &m.Status
	role := t.members[t.self].role(id)
	fields := []string{
		fmt.Sprint("role=", role),
		fmt.Sprint("term=", st.Term),
		fmt.Sprint("leader=", st.Leader),
		fmt.Sprint("commit=", st.Commit),
		fmt.Sprint("applied=", m.Applied),
		fmt.Sprint("apply_lag=", applyLag(st.Commit, m.Applied)),
		fmt.Sprint("log_first=", m.LogFirst),
		fmt.Sprint("log_holds=", m.LogHolds),
		fmt.Sprint("proposals=", st.Counters.Proposals),
		fmt.Sprint("leader_changes=", st.Counters.LeaderChanges),
		fmt.Sprint("read_rounds=", st.Counters.ReadRounds),
		fmt.Sprint("queue=", m.QueueLength),
		fmt.Sprint("inbox=", st.Inbox),
		fmt.Sprint("dropped=", st.Dropped),
		fmt.Sprint("refused=", st.Counters.Refused),
	}
	fmt.Fprintf(w, "shard%d:%s\r\n", id, strings.Join(fields, ","))
	if int(id) < len(w.node.Snapshots) {
		if s := &w.node.Snapshots[id]; s.Begun > 0 {
			fmt.Fprintf(w, "shard%d_snapshot:receiving=%d,received_bytes=%d,estimated_bytes=%d,begun=%d,completed=%d,switched=%d,failed=%d\r\n",
				id, oneIf(s.Receiving), s.ReceivedBytes, s.EstimatedBytes, s.Begun, s.Completed, s.Switched, s.Failed)
		}
	}
	if role != "leader" {
		return
	}
	for i := range t.members {
		v := &t.members[i]
		place := v.place(id)
		if i == t.self || !place.Known {
			continue
		}
		fmt.Fprintf(w, "shard%d_node%d:state=%s,match=%d,lag=%d,connected=%d,voter=%d\r\n",
			id, v.ID, place.Progress, place.Match, place.Lag, oneIf(v.Connected), oneIf(place.Voter))
	}
}

// applyLag is how many committed entries this node has not applied.
func applyLag(commit, applied raftlog.Index) uint64 {
	return uint64(commit - min(applied, commit))
}

func infoCluster(w *infoWriter) {
	w.line("cluster_enabled", oneIf(w.srv.clusterEnabled()))
}
