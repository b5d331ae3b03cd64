package cluster

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
)

// AllShards stands for every shard in TransferLeader.
const AllShards raftlog.ShardID = math.MaxUint16

// ErrAlone says that the node has no peer address, so that there is no cluster
// to change.
var ErrAlone = errors.New("ERR This node has no peer address: it stands alone (see -peer-addr)")

// AddNode adds the node at url ("host:port" or "http://host:port"), which waits
// for it (Options.Join), and returns when it is a voter of every shard, or with
// async as soon as that has been decided. It can be called again when it was
// interrupted. Errors have the text of a reply.
func (n *Node) AddNode(ctx context.Context, url string, async bool) error {
	if n.transport == nil {
		return ErrAlone
	}
	a, err := n.askTable(ctx, tableRequest{Op: opAdd, Addr: url})
	if err != nil || async {
		return asReply(err)
	}
	id := consensus.NodeID(a.ID)
	for !n.votesEverywhere(id) {
		if n.members().wasRemoved(id) {
			return fmt.Errorf("ERR %s (node %d) was removed while it was being added", url, id)
		}
		if err := n.pauseServing(ctx); err != nil {
			return fmt.Errorf("ERR %s has become node %d and is still catching up: that goes on, see CLUSTER LISTNODES (%w)", url, id, err)
		}
	}
	return nil
}

// RemoveNode removes a member, by its address or id, and returns when no shard
// counts it any more. What would leave a shard without a majority that answers
// is refused unless forced.
func (n *Node) RemoveNode(ctx context.Context, urlOrID string, force bool) error {
	if n.transport == nil {
		return ErrAlone
	}
	a, err := n.askTable(ctx, tableRequest{Op: opRemove, Node: urlOrID, Force: force})
	if err != nil {
		return asReply(err)
	}
	id := consensus.NodeID(a.ID)
	for !n.members().wasRemoved(id) {
		if err := n.pauseServing(ctx); err != nil {
			if id == n.identity().node() && ctx.Err() == nil {
				return nil // this node: it serves no more
			}
			return fmt.Errorf("ERR Node %d is being removed, which goes on: see CLUSTER LISTNODES (%w)", id, err)
		}
	}
	return nil
}

// pauseServing waits a moment. Errors: ctx's, and why the node serves no more.
func (n *Node) pauseServing(ctx context.Context) error {
	if err := pause(ctx, retryPause); err != nil {
		return err
	}
	if n.ctx.Err() != nil {
		return shard.ErrClosed
	}
	_, err := n.serving(0)
	return err
}

// TransferLeader hands the leadership of a shard, or of AllShards, to the node
// with this address or id; to "" to whichever is best. It takes leadTimeout at most.
func (n *Node) TransferLeader(ctx context.Context, id raftlog.ShardID, to string) error {
	if n.transport == nil {
		return ErrAlone
	}
	var target consensus.NodeID
	if to != "" {
		m := n.members().named(to)
		if m == nil {
			return fmt.Errorf("ERR There is no member %s, see CLUSTER LISTNODES", to)
		}
		target = consensus.NodeID(m.ID)
	}
	return n.transfer(ctx, id, target)
}

// Failover makes this node the leader of all shards, or says within leadTimeout why
// it cannot be.
func (n *Node) Failover(ctx context.Context) error {
	if n.transport == nil {
		return ErrAlone
	}
	return n.transfer(ctx, AllShards, n.identity().node())
}

// transfer hands leadership to a member; zero: to any other.
func (n *Node) transfer(ctx context.Context, id raftlog.ShardID, to consensus.NodeID) error {
	if _, err := n.serving(0); err != nil {
		return err
	}
	if id != AllShards && int(id) >= n.Shards() {
		return fmt.Errorf("ERR There is no shard %d", id)
	}
	n.holdBalance()
	// All at once: a node that is cut off is to say so soon, however many there are.
	list := n.list()
	errs := make([]error, len(list))
	var waiting sync.WaitGroup
	for i := range list {
		if s := &list[i]; id == AllShards || id == s.id {
			waiting.Go(func() { errs[i] = n.askLead(ctx, s, to) })
		}
	}
	waiting.Wait()
	var failed []string
	for i, err := range errs {
		if err != nil {
			failed = append(failed, fmt.Sprintf("shard %d: %v", list[i].id, err))
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("ERR The leadership was not transferred: %s", strings.Join(failed, "; "))
	}
	return nil
}

// asReply gives an error the form of a reply: a code in capitals comes first.
func asReply(err error) error {
	if err == nil {
		return nil
	}
	code, _, _ := strings.Cut(err.Error(), " ")
	if code != "" && strings.ToUpper(code) == code && !strings.Contains(code, ":") {
		return err
	}
	return fmt.Errorf("ERR %w", err)
}
