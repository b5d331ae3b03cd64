package cluster

import (
	"context"
	"time"

	"dkv/cluster/consensus"
)

// askTimeout bounds a question to one member for its members table.
const askTimeout = 500 * time.Millisecond

// askMembers asks the members that this node is connected with for their members
// table, and takes a newer one over. Shard 0's log brings it as well, but not if that
// shard is led by a member that was added while this node was cut off: this node would
// refuse the only one from whom it could hear who that is. A table is a record of a
// committed entry, so the newer of two is right, whoever has it. Called by the keeper.
func (n *Node) askMembers(ctx context.Context) {
	known := n.members()
	for _, m := range known.Members {
		id := consensus.NodeID(m.ID)
		if id == n.identity().node() || !n.isConnected(id) {
			continue
		}
		t, err := n.askTableOf(ctx, id)
		if err != nil {
			n.o.Logger.Debug("a member did not say who the members are", "node", m.ID, "err", err)
			continue
		}
		if t.Version > known.Version {
			n.takeTable(t)
			return
		}
	}
}

func (n *Node) askTableOf(ctx context.Context, id consensus.NodeID) (memberTable, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	data, err := n.transport.Call(ctx, id, callMembers, 0, nil)
	if err != nil {
		return memberTable{}, decodeError(err)
	}
	return decodeTable(data)
}

// takeTable goes by a table that this node has not applied yet, as it does by the one
// on file while its log is replayed.
func (n *Node) takeTable(t memberTable) {
	id := *n.identity()
	id.Table = t
	if err := n.setIdentity(id); err != nil {
		n.o.Logger.Error("cannot write the identity down", "err", err)
		return // who was refused comes again
	}
	n.o.Logger.Info("members, as another one has them", "version", t.Version, "addrs", t.addrs())
	n.tellTransport()
	n.kickReconcilers()
}
