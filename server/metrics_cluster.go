package server

import (
	"strconv"

	"dkv/cluster"
	"dkv/cluster/raftlog"
	"dkv/cluster/transport"
)

var (
	mClusterOK = gauge("cluster_ok", "1 while this node knows a leader of every shard.")
	mMembers   = gauge("cluster_members", "Nodes of the cluster.")

	mLeader        = gauge("raft_leader", "Number of the node that leads, 0 when none is known.", "shard")
	mProposals     = counter("raft_proposals", "Entries that this node proposed.", "shard")
	mLeaderChanges = counter("raft_leader_changes", "Times that this node saw another leader.", "shard")
	mReadRounds    = counter("raft_read_rounds", "Rounds of asking whether the leader still leads, for reads.", "shard")
	mApplyLag      = gauge("raft_apply_lag", "Committed entries that are not applied yet.", "shard")
	mInbox         = gauge("raft_inbox_length", "Messages of peers that wait.", "shard")
	mInboxDropped  = counter("raft_inbox_dropped", "Messages of peers that were dropped because too many waited.", "shard")
	mRefusedSpace  = counter("raft_entries_refused", "Messages with entries refused for lack of disk space.", "shard")
	mPeerLag       = gauge("raft_peer_lag", "Entries that a member is behind; known to the leader.", "shard", "node")
	mPeerMatch     = gauge("raft_peer_match_index", "Position that a member is known to have; known to the leader.", "shard", "node")

	mSnapReceiving = gauge("raft_snapshot_receiving", "1 while a raft snapshot is received.", "shard")
	mSnapReceived  = gauge("raft_snapshot_received_bytes", "Bytes of it that have arrived.", "shard")
	mSnapEstimated = gauge("raft_snapshot_estimated_bytes", "Its size, estimated by its sender.", "shard")
	mSnapBegun     = counter("raft_snapshots_begun", "Raft snapshots that began to arrive.", "shard")
	mSnapSwitched  = counter("raft_snapshots_switched", "Raft snapshots that replaced this node's data.", "shard")
	mSnapFailed    = counter("raft_snapshots_failed", "Raft snapshots that could not be received.", "shard")

	mPeerUp       = gauge("peer_connected", "1 while this node is connected to the peer.", "node")
	mPeerConnects = counter("peer_connects", "Times that a connection to the peer was made.", "node")
	mPeerQueue    = gauge("peer_queue_bytes", "Bytes of raft messages that wait to be sent.", "node")
	mPeerSent     = counter("peer_sent_messages", "Raft messages sent.", "node")
	mPeerSentB    = counter("peer_sent_bytes", "Bytes of raft messages sent.", "node")
	mPeerReceived = counter("peer_received_messages", "Raft messages received.", "node")
	mPeerRecvB    = counter("peer_received_bytes", "Bytes of raft messages received.", "node")
	mPeerDropped  = counter("peer_dropped_messages", "Raft messages dropped: not connected, or too many waited.", "node")
	mPeerCalls    = counter("peer_calls", "Requests to the peer, forwarded commands for the most part.", "node")
	mPeerWaiting  = gauge("peer_calls_waiting", "Requests that are not answered yet.", "node")
	mPeerBroken   = counter("peer_calls_broken", "Requests whose outcome is not known.", "node")
	mPeerSnaps    = counter("peer_snapshots_sent", "Raft snapshots sent.", "node")
	mPeerSnapB    = counter("peer_snapshot_sent_bytes", "Bytes of raft snapshots sent.", "node")
	mRefused      = counter("peer_handshakes_refused", "Connections of peers that were refused.", "reason")
)

// collectCluster renders what a node has only with peers, beside what each
// shard's group counts.
func (c collector) collectCluster(s sink, m *cluster.Metrics) {
	for i := range m.Shards {
		collectGroup(s, strconv.Itoa(i), m, i)
	}
	if !c.srv.clusterEnabled() {
		return
	}
	t := c.srv.topology()
	s.put(mClusterOK, float64(oneIf(t.info.OK)))
	s.put(mMembers, float64(len(t.members)))
	for i := range t.members {
		for id, place := range t.members[i].Shards {
			// What a follower knows of itself is not how far it is behind: it may be cut off.
			if place.LagKnown && t.self >= 0 && t.members[t.self].place(raftlog.ShardID(id)).Leader {
				node, shard := strconv.FormatUint(uint64(t.members[i].ID), 10), strconv.Itoa(id)
				s.put(mPeerLag, float64(place.Lag), shard, node)
				s.put(mPeerMatch, float64(place.Match), shard, node)
			}
		}
	}
	for i := range m.Peers.Peers {
		collectPeer(s, &m.Peers.Peers[i])
	}
	for reason, n := range m.Peers.Refused {
		s.put(mRefused, float64(n), reason.String())
	}
}

func collectGroup(s sink, label string, m *cluster.Metrics, i int) {
	put := func(f figure, v float64) { s.put(f, v, label) }
	shard := &m.Shards[i]
	st := &shard.Status
	put(mLeader, float64(st.Leader))
	put(mProposals, float64(st.Counters.Proposals))
	put(mLeaderChanges, float64(st.Counters.LeaderChanges))
	put(mReadRounds, float64(st.Counters.ReadRounds))
	put(mApplyLag, float64(applyLag(st.Commit, shard.Applied)))
	put(mInbox, float64(st.Inbox))
	put(mInboxDropped, float64(st.Dropped))
	put(mRefusedSpace, float64(st.Counters.Refused))
	if i < len(m.Snapshots) {
		snap := &m.Snapshots[i]
		put(mSnapReceiving, float64(oneIf(snap.Receiving)))
		put(mSnapReceived, float64(snap.ReceivedBytes))
		put(mSnapEstimated, float64(snap.EstimatedBytes))
		put(mSnapBegun, float64(snap.Begun))
		put(mSnapSwitched, float64(snap.Switched))
		put(mSnapFailed, float64(snap.Failed))
	}
}

func collectPeer(s sink, p *transport.PeerMetrics) {
	node := strconv.FormatUint(uint64(p.ID), 10)
	put := func(f figure, v float64) { s.put(f, v, node) }
	put(mPeerUp, float64(oneIf(p.Connected)))
	put(mPeerConnects, float64(p.Connects))
	put(mPeerQueue, float64(p.QueuedBytes))
	put(mPeerSent, float64(p.SentMessages))
	put(mPeerSentB, float64(p.SentBytes))
	put(mPeerReceived, float64(p.ReceivedMessages))
	put(mPeerRecvB, float64(p.ReceivedBytes))
	put(mPeerDropped, float64(p.DroppedMessages))
	put(mPeerCalls, float64(p.Calls))
	put(mPeerWaiting, float64(p.CallsWaiting))
	put(mPeerBroken, float64(p.CallsBroken))
	put(mPeerSnaps, float64(p.SnapshotsSent))
	put(mPeerSnapB, float64(p.SnapshotSentBytes))
}
