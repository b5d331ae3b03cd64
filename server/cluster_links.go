package server

import (
	"dkv/cluster"
	"dkv/cluster/consensus"
	"dkv/server/command"
)

// clusterLinks is CLUSTER LINKS: a connection from each peer and one to it, where
// there are.
func clusterLinks(c *Conn, x *command.Ctx) error {
	t := c.srv.topology()
	var peers []int
	for i := range t.members {
		if i != t.self && t.members[i].Connected {
			peers = append(peers, i)
		}
	}
	queued := c.srv.queuedFor()
	x.Out.Array(2 * len(peers))
	for _, i := range peers {
		m := &t.members[i]
		for _, direction := range []string{"to", "from"} {
			used := int64(0)
			if direction == "to" {
				used = queued[m.ID]
			}
			x.Out.Map(6)
			x.Out.BulkString("direction")
			x.Out.BulkString(direction)
			x.Out.BulkString("node")
			x.Out.BulkString(m.name)
			x.Out.BulkString("create-time")
			x.Out.Int(c.srv.started.UnixMilli())
			x.Out.BulkString("events")
			x.Out.BulkString("rw")
			x.Out.BulkString("send-buffer-allocated")
			x.Out.Int(used)
			x.Out.BulkString("send-buffer-used")
			x.Out.Int(used)
		}
	}
	return nil
}

// queuedFor is how many bytes of raft messages wait to be sent to each peer.
func (s *Server) queuedFor() map[consensus.NodeID]int64 {
	queued := make(map[consensus.NodeID]int64)
	for _, p := range s.node.Metrics().Peers.Peers {
		queued[p.ID] = p.QueuedBytes
	}
	return queued
}

// peerMessages is how many raft messages were sent to peers, and received.
func (s *Server) peerMessages() (sent, received uint64) {
	for _, p := range s.node.Metrics().Peers.Peers {
		sent += p.SentMessages
		received += p.ReceivedMessages
	}
	return sent, received
}

// peerConnections is how many of the other members this node is connected with.
func peerConnections(m cluster.Metrics) int {
	n := 0
	for _, p := range m.Peers.Peers {
		n += oneIf(p.Connected)
	}
	return n
}
