package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dkv/cluster/consensus"
)

// Pauses between two looks, where nothing says that something has changed.
const (
	formInterval  = 100 * time.Millisecond
	tableInterval = 500 * time.Millisecond
	checkInterval = 2 * time.Second
	// announceTimeout bounds one try to tell the cluster of a new address.
	announceTimeout = time.Second
)

// keep makes the node a member, if it is none, and then keeps its identity and its
// transport in step with the members table. It is the owner of the identity.
func (n *Node) keep(ctx context.Context) {
	if err := n.becomeMember(ctx); err != nil {
		if ctx.Err() == nil {
			n.setDown("This node is not part of a cluster, see its log")
			n.stop(err)
		}
		return
	}
	n.goes(n.checkPeers)
	tick := time.NewTicker(tableInterval)
	defer tick.Stop()
	for {
		if n.followTable(n.list()) {
			n.leave()
			return
		}
		n.announce(ctx)
		select {
		case <-ctx.Done():
			return
		case <-n.removed:
			n.leave()
			return
		case <-n.tableKick:
		case <-n.strangers:
			n.askMembers(ctx)
		case <-tick.C:
		}
	}
}

// becomeMember returns when the node has its shards.
func (n *Node) becomeMember(ctx context.Context) error {
	var next identity
	var err error
	switch id := n.identity(); id.State {
	case stateForming:
		next, err = n.form(ctx)
	case stateJoining:
		next, err = n.waitWelcome(ctx)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	n.o.Logger.Info("the node is a member", "cluster", next.ClusterID, "node", next.NodeID, "members", next.Table.addrs())
	return n.openShards()
}

// form returns when the cluster is formed, and this node's identity in it written
// down.
func (n *Node) form(ctx context.Context) (identity, error) {
	id := *n.identity()
	n.o.Logger.Info("forming a cluster", "peers", id.Peers)
	others := slices.DeleteFunc(slices.Clone(id.Peers), func(a string) bool { return a == n.o.PeerAddr })
	waited := ""
	for {
		heard, refused := n.probeAll(ctx, others)
		next, waits, err := decide(id, n.o.PeerAddr, n.up(), heard)
		if err != nil {
			return id, err
		}
		for i, addr := range waits {
			if why := refused[addr]; why != "" {
				waits[i] = addr + " (" + why + ")"
			}
		}
		if why := strings.Join(waits, ", "); why != waited {
			waited = why
			if why == "" {
				n.setDown("The cluster is being formed")
			} else {
				n.setDown("The cluster is being formed; waiting for " + why)
				n.o.Logger.Info("waiting for peers", "peers", why)
			}
		}
		if next.State != id.State || next.Agreed != id.Agreed {
			if m := next.Table.find(next.node()); m != nil {
				m.ClientAddr = n.o.ClientAddr // of the others it was heard
			}
			if err := n.setIdentity(next); err != nil {
				return id, err
			}
			id = next
			if id.State != stateForming {
				return id, nil
			}
			continue
		}
		if err := pause(ctx, formInterval); err != nil {
			return id, err
		}
	}
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// welcome makes a node that waits for it a member.
type welcome struct {
	ClusterID   string      `json:"cluster_id"`
	NodeID      uint64      `json:"node_id"`
	Incarnation string      `json:"incarnation"` // whom it is meant for
	Shards      int         `json:"shards"`
	Table       memberTable `json:"table"`
}

type welcomeRequest struct {
	welcome
	reply chan error // of capacity one
}

// waitWelcome returns when the node has been added to a cluster.
func (n *Node) waitWelcome(ctx context.Context) (identity, error) {
	n.setDown("This node waits to be added to a cluster: CLUSTER ADDNODE " + n.o.PeerAddr + " on one of its nodes")
	n.o.Logger.Info("waiting to be added to a cluster", "peer_addr", n.o.PeerAddr)
	for {
		select {
		case <-ctx.Done():
			return identity{}, ctx.Err()
		case w := <-n.welcomes:
			next, err := w.accept(*n.identity(), n.o.Shards)
			if err == nil {
				err = n.setIdentity(next)
			}
			w.reply <- err
			if err == nil {
				return next, nil
			}
			n.o.Logger.Warn("this node was not added", "err", err)
		}
	}
}

// accept returns what the node becomes.
func (w *welcome) accept(id identity, shards int) (identity, error) {
	m := w.Table.find(consensus.NodeID(w.NodeID))
	switch {
	case w.Incarnation != id.Incarnation:
		return id, errors.New("cluster: the welcome is for a node that had this address before")
	case m == nil || m.Incarnation != id.Incarnation || w.ClusterID == "" || w.Table.Version == 0 || w.Shards < 1 || w.Shards > MaxShards:
		return id, errors.New("cluster: the welcome makes no sense: do the nodes run the same version?")
	case shards != 0 && shards != w.Shards:
		return id, fmt.Errorf("cluster: %w: the cluster has %d, this node was started for %d", ErrShards, w.Shards, shards)
	}
	id.State, id.ClusterID, id.NodeID = stateCreating, w.ClusterID, w.NodeID
	id.Shards, id.Table = w.Shards, w.Table
	return id, nil
}

// takeWelcome answers a welcome. It may come more than once.
func (n *Node) takeWelcome(ctx context.Context, payload []byte) error {
	w := welcomeRequest{reply: make(chan error, 1)}
	if err := json.Unmarshal(payload, &w.welcome); err != nil {
		return fmt.Errorf("cluster: a welcome: %w", err)
	}
	for {
		id := n.identity()
		switch {
		case id.ClusterID == w.ClusterID && id.NodeID == w.NodeID && id.Incarnation == w.Incarnation:
			return nil
		case id.State != stateJoining:
			return fmt.Errorf("cluster: the node is %s and does not wait to be added", id.State)
		}
		select {
		case n.welcomes <- w:
			return <-w.reply
		case <-ctx.Done():
			return ctx.Err()
		case <-n.ctx.Done():
			return n.ctx.Err()
		case <-time.After(formInterval):
			// Another one may have been quicker.
		}
	}
}

// followTable takes over the members table that shard 0 has applied. true: this
// node is no member any more. Called by the keeper, and by Open before it runs.
func (n *Node) followTable(set []openShard) (removed bool) {
	if len(set) == 0 {
		return false
	}
	data, found, err := set[0].ReadRecord(tableKey)
	if err == nil && !found {
		return false
	}
	var t memberTable
	if err == nil {
		t, err = decodeTable(data)
	}
	if err != nil {
		n.o.Logger.Error("cannot read the members table", "err", err)
		return false
	}
	if old := n.table.Load(); old == nil || old.Version < t.Version {
		n.table.Store(&t)
		if t.Version > n.identity().Table.Version {
			n.o.Logger.Info("members", "version", t.Version, "addrs", t.addrs())
		}
		n.tellTransport()
		n.kickReconcilers()
	}
	id := *n.identity()
	if id.Table.Version < t.Version {
		id.Table = t
		if err := n.setIdentity(id); err != nil {
			n.o.Logger.Error("cannot write the identity down", "err", err) // tried again the next time
		}
	}
	// While the log is replayed, what is on file is newer.
	return n.members().wasRemoved(id.node())
}

// members is the newest table that is known.
func (n *Node) members() *memberTable {
	id := n.identity()
	if t := n.table.Load(); t != nil && t.Version >= id.Table.Version {
		return t
	}
	t := id.members(&n.o)
	return &t
}

// tellTransport gives the transport the members' addresses.
func (n *Node) tellTransport() {
	if n.transport == nil || n.shards.Load() == nil {
		return
	}
	peers, removed := n.members().peers(n.identity().node())
	n.transport.SetRemoved(removed)
	n.transport.SetPeers(peers)
	n.messagesOnlyTo(peers)
}

// announce tells the cluster when this node is reached by other addresses than
// the table says.
func (n *Node) announce(ctx context.Context) {
	t, id := n.members(), n.identity()
	m := t.find(id.node())
	if m == nil || t.Version == 0 && len(t.Members) == 1 {
		return
	}
	now := *m
	now.PeerAddr, now.Incarnation = n.o.PeerAddr, id.Incarnation
	if n.o.ClientAddr != "" {
		now.ClientAddr = n.o.ClientAddr
	}
	if now == *m {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, announceTimeout)
	defer cancel()
	if err := n.announceAnywhere(ctx, t, tableRequest{Op: opAnnounce, Member: now}); err != nil {
		n.o.Logger.Debug("cannot announce the node's addresses yet", "err", err)
	}
}

// announceAnywhere asks shard 0's leader, or whoever can be reached: a node whose
// address has changed hears nothing from the others, and so knows no leader.
func (n *Node) announceAnywhere(ctx context.Context, t *memberTable, req tableRequest) error {
	s, err := n.serving(0)
	if err != nil {
		return err
	}
	if s.Group().Status().Leader != 0 {
		_, err := n.askTable(ctx, req)
		return err
	}
	payload, err := json.Marshal(req)
	if err != nil {
		return fmt.Errorf("cluster: encode request: %w", err)
	}
	err = errNobodyElse
	for _, m := range t.Members {
		if id := consensus.NodeID(m.ID); id != n.identity().node() && n.isConnected(id) {
			if _, err = n.transport.Call(ctx, id, callTable, 0, payload); err == nil {
				return nil
			}
		}
	}
	return err
}

// leave ends this node's membership: the others go on without it, and what it has
// must not pass for the cluster's data.
func (n *Node) leave() {
	n.setDown("This node was removed from the cluster")
	set := n.shards.Swap(nil)
	n.transport.SetPeers(nil)
	id := *n.identity()
	id.State = stateRemoved
	if err := n.setIdentity(id); err != nil {
		n.o.Logger.Error("cannot write down that the node was removed", "err", err)
	}
	n.o.Logger.Warn("this node is no member of the cluster any more", "node", id.NodeID)
	if set == nil {
		return
	}
	if err := closeShards(*set); err != nil {
		n.o.Logger.Error("cannot close the shards of a removed node", "err", err)
	}
}

// checkPeers ends a node whose folder belongs to another cluster than all the
// peers that it was started with. Were it only some of them, it would be they.
func (n *Node) checkPeers(ctx context.Context) {
	id := n.identity()
	others := slices.DeleteFunc(slices.Clone(n.o.Peers), func(a string) bool { return a == n.o.PeerAddr })
	for len(others) > 0 {
		foreign, other := 0, ""
		heard, _ := n.probeAll(ctx, others)
		for _, h := range heard {
			switch {
			case !h.isMember():
			case h.ClusterID == id.ClusterID:
				return
			case other == "" || h.ClusterID == other:
				other = h.ClusterID
				foreign++
			}
		}
		if foreign == len(others) {
			n.stop(fmt.Errorf("cluster: %s: %w: it is of %s, they are of %s", n.o.Dir, ErrOtherCluster, id.ClusterID, other))
			return
		}
		if pause(ctx, checkInterval) != nil {
			return
		}
	}
}
