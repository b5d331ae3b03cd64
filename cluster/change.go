package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/engine"
)

// What shard 0's leader is asked to do with the members table.
const (
	opAdd      = "add"      // Addr
	opRemove   = "remove"   // Node, Force
	opAnnounce = "announce" // Member
)

type tableRequest struct {
	Op     string      `json:"op"`
	Addr   string      `json:"addr,omitempty"`
	Node   string      `json:"node,omitempty"`
	Force  bool        `json:"force,omitempty"`
	Member tableMember `json:"member,omitzero"`
}

// tableAnswer is the member that the request was about.
type tableAnswer struct {
	ID uint64 `json:"id"`
}

// askTable has shard 0's leader change the members table. All its requests can be
// made twice.
func (n *Node) askTable(ctx context.Context, req tableRequest) (tableAnswer, error) {
	payload, err := json.Marshal(req)
	if err != nil {
		return tableAnswer{}, fmt.Errorf("cluster: encode request: %w", err)
	}
	data, err := n.askLeader(ctx, 0, callTable, payload, n.answerTable)
	if err != nil {
		return tableAnswer{}, err
	}
	var a tableAnswer
	if err := json.Unmarshal(data, &a); err != nil {
		return tableAnswer{}, fmt.Errorf("cluster: decode answer: %w", err)
	}
	return a, nil
}

// askLeader has a shard's leader answer, which may be this node. It asks again
// when it does not know what became of it. It waits for a leader as long as ctx
// lasts, but no longer than Options.Timeout.
func (n *Node) askLeader(ctx context.Context, id raftlog.ShardID, kind transportKind, payload []byte,
	here func(context.Context, []byte) ([]byte, error)) ([]byte, error) {
	s, err := n.serving(id)
	if err != nil {
		return nil, err
	}
	w := waiter{n: n, s: s, ctx: ctx}
	defer w.stop()
	for {
		changed := s.Group().LeaderChanged()
		var data []byte
		err := errTryAgain
		if s.leads() {
			data, err = here(ctx, payload)
		} else if r := s.route.Load(); r != nil && r.leader != n.identity().node() {
			data, err = n.forward(ctx, r, id, kind, payload)
		}
		if !tryAgain(err) && !errors.Is(err, shard.ErrUncertain) {
			return data, err
		}
		if why := w.wait(changed); why != nil {
			return nil, why
		}
	}
}

// AskLeader has the node that leads a shard run a payload by its Executor, beside the
// shard's queue or not, as that decides. It returns nothing where this node leads. Errors: as
// Run's, but none is uncertain: it asks again when the answer is lost.
func (n *Node) AskLeader(ctx context.Context, id raftlog.ShardID, payload []byte) ([]byte, error) {
	return n.askLeader(ctx, id, callRun, payload, func(context.Context, []byte) ([]byte, error) { return nil, nil })
}

// answerTable is askTable on the leader.
func (n *Node) answerTable(ctx context.Context, payload []byte) ([]byte, error) {
	var req tableRequest
	if err := json.Unmarshal(payload, &req); err != nil {
		return nil, fmt.Errorf("ERR The request between nodes cannot be read: %w", err)
	}
	var a tableAnswer
	var err error
	switch req.Op {
	case opAdd:
		a.ID, err = n.addMember(ctx, req.Addr)
	case opRemove:
		a.ID, err = n.removeMember(ctx, req.Node, req.Force)
	case opAnnounce:
		if s, err := n.serving(0); err != nil || !s.leads() {
			return n.passOn(ctx, req)
		}
		a.ID, err = req.Member.ID, n.takeAnnouncement(req.Member)
	default:
		err = fmt.Errorf("ERR Unknown request %q between nodes: do they run the same version?", req.Op)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(a)
}

// passOn asks the leader for a node that does not know it.
func (n *Node) passOn(ctx context.Context, req tableRequest) ([]byte, error) {
	s, err := n.serving(0)
	if err != nil {
		return nil, err
	}
	r := s.route.Load()
	if r == nil || r.leader == n.identity().node() {
		return nil, shard.ErrNotLeader
	}
	payload, err := json.Marshal(req)
	if err != nil {
		return nil, fmt.Errorf("cluster: encode request: %w", err)
	}
	return n.forward(ctx, r, 0, callTable, payload)
}

// errUnchanged makes updateTable leave the table as it is.
var errUnchanged = errors.New("cluster: nothing to change")

// updateTable changes the members table, as a task of shard 0, which this node
// must lead. f may refuse, and may be called again after shard.ErrNotLeader.
func (n *Node) updateTable(f func(t *memberTable) error) error {
	s, err := n.serving(0)
	if err != nil {
		return err
	}
	var refused error
	task := shard.Task{EvalRaw: func(o *engine.Overlay) {
		refused = n.evalTable(o, f)
	}}
	s.Submit(&task)
	if err := task.Wait(); err != nil {
		return err
	}
	if errors.Is(refused, errUnchanged) {
		return nil
	}
	return refused
}

func (n *Node) evalTable(o *engine.Overlay, f func(t *memberTable) error) error {
	data, found, err := o.Get(nil, tableKey)
	if err != nil {
		return fmt.Errorf("cluster: read members table: %w", err)
	}
	t := n.identity().members(&n.o)
	if found {
		if t, err = decodeTable(data); err != nil {
			return err
		}
	}
	t = t.clone()
	if err := f(&t); err != nil {
		return err
	}
	t.Version++
	o.Put(tableKey, t.encode())
	return nil
}

// currentTable is the table as of now: what was decided before the call is in it.
func (n *Node) currentTable(ctx context.Context) (*memberTable, error) {
	s, err := n.serving(0)
	if err != nil {
		return nil, err
	}
	if err := n.barrier(ctx, s); err != nil {
		return nil, err
	}
	data, found, err := s.ReadRecord(tableKey)
	if err != nil {
		return nil, fmt.Errorf("cluster: read members table: %w", err)
	}
	if !found {
		return n.members(), nil
	}
	t, err := decodeTable(data)
	return &t, err
}

// addMember decides that the node at addr, which waits for it, is to be a member.
func (n *Node) addMember(ctx context.Context, addr string) (uint64, error) {
	addr, err := ParsePeerAddr(addr)
	if err != nil {
		return 0, fmt.Errorf("ERR %w", err)
	}
	t, err := n.currentTable(ctx)
	if err != nil {
		return 0, err
	}
	h, err := n.probe(ctx, addr)
	m := t.at(addr)
	switch {
	case err != nil && m != nil:
		return 0, fmt.Errorf("ERR %s is a member already (node %d), and does not answer", addr, m.ID)
	case err != nil:
		return 0, fmt.Errorf("ERR The node at %s does not answer: start it with -join and its peer address first (%w)", addr, err)
	}
	if id, err := n.mayAdd(t, m, addr, h); id != 0 || err != nil {
		return id, err
	}
	var id uint64
	err = n.updateTable(func(t *memberTable) error {
		if m := t.at(addr); m != nil {
			id = m.ID
			if m.Incarnation == h.Incarnation {
				return errUnchanged
			}
			return fmt.Errorf("ERR %s has just been added as node %d", addr, m.ID)
		}
		id = t.NextID
		t.NextID++
		t.Members = append(t.Members, tableMember{ID: id, PeerAddr: addr, ClientAddr: h.ClientAddr, Incarnation: h.Incarnation})
		return nil
	})
	return id, err
}

// mayAdd checks what the node at addr says of itself. It returns its id when it
// was added before.
func (n *Node) mayAdd(t *memberTable, m *tableMember, addr string, h *hello) (uint64, error) {
	ident := n.identity()
	if m != nil {
		switch {
		case m.Incarnation != h.Incarnation:
			return 0, fmt.Errorf("ERR %s is the address of node %d, which has lost its folder: CLUSTER REMOVENODE %d first", addr, m.ID, m.ID)
		case m.Leaving:
			return 0, fmt.Errorf("ERR %s (node %d) is being removed", addr, m.ID)
		case n.votesEverywhere(consensus.NodeID(m.ID)):
			return 0, fmt.Errorf("ERR %s is a member already (node %d)", addr, m.ID)
		}
		return m.ID, nil
	}
	switch {
	case h.isMember() && h.ClusterID == ident.ClusterID:
		return 0, fmt.Errorf("ERR %s is a member already (node %d, %s)", addr, h.NodeID, h.PeerAddr)
	case h.isMember():
		return 0, fmt.Errorf("ERR %s is in another cluster (%s): a node that is to be added needs an empty folder and -join", addr, h.ClusterID)
	case h.State == stateRemoved:
		return 0, fmt.Errorf("ERR %s was removed from a cluster: give it an empty folder and start it with -join", addr)
	case h.State != stateJoining:
		return 0, fmt.Errorf("ERR %s is there to form a cluster of its own: start it with -join instead of a list of peers", addr)
	case h.PeerAddr != addr:
		return 0, fmt.Errorf("ERR The node at %s says that its address is %s: add it by that", addr, h.PeerAddr)
	case h.Shards != 0 && h.Shards != ident.Shards:
		return 0, fmt.Errorf("ERR %s was started for %d shards, the cluster has %d", addr, h.Shards, ident.Shards)
	}
	if i := slices.IndexFunc(t.Members, func(m tableMember) bool { return m.Incarnation == h.Incarnation }); i >= 0 {
		return 0, fmt.Errorf("ERR %s is node %d already, by another address", addr, t.Members[i].ID)
	}
	return 0, nil
}

// votesEverywhere says whether a member is a voter of every shard.
func (n *Node) votesEverywhere(id consensus.NodeID) bool {
	list := n.list()
	for i := range list {
		if !slices.Contains(list[i].Group().Status().Voters, id) {
			return false
		}
	}
	return len(list) > 0
}

// inNoShard says whether a member is in none of the groups, as far as this node
// has applied their logs.
func (n *Node) inNoShard(id consensus.NodeID) bool {
	list := n.list()
	for i := range list {
		st := list[i].Group().Status()
		if slices.Contains(st.Voters, id) || slices.Contains(st.Learners, id) {
			return false
		}
	}
	return len(list) > 0
}

// removeMember decides that a member is to go. One after the other: of two that are
// harmless each by itself, both may be too much.
func (n *Node) removeMember(ctx context.Context, name string, force bool) (uint64, error) {
	select {
	case n.removing <- struct{}{}:
		defer func() { <-n.removing }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	t, err := n.currentTable(ctx)
	if err != nil {
		return 0, err
	}
	m := t.named(name)
	if m == nil {
		return 0, fmt.Errorf("ERR There is no member %s, see CLUSTER LISTNODES", name)
	}
	id := consensus.NodeID(m.ID)
	if m.Leaving {
		return m.ID, nil
	}
	if t.staying() == 1 {
		return 0, errLastNode
	}
	if !force {
		if err := n.keepsMajority(ctx, t, id); err != nil {
			return 0, err
		}
	}
	return m.ID, n.updateTable(func(t *memberTable) error {
		m := t.find(id)
		if m == nil || m.Leaving {
			return errUnchanged
		}
		if t.staying() == 1 {
			return errLastNode
		}
		m.Leaving = true
		return nil
	})
}

var errLastNode = errors.New("ERR It is the last node of the cluster")

// keepsMajority says whether the voters that are left without one of them have a
// majority that answers.
func (n *Node) keepsMajority(ctx context.Context, t *memberTable, without consensus.NodeID) error {
	s, err := n.serving(0)
	if err != nil {
		return err
	}
	if st := s.Group().Status(); !slices.Contains(st.Voters, without) {
		return nil // it does not count yet
	}
	// Whether a member is active is known once in an election timeout.
	until := time.Now().Add(2 * n.electionTimeout())
	for {
		peers, err := s.Group().Progress(ctx)
		if err != nil {
			return err
		}
		left, alive := 0, 0
		for _, p := range peers {
			if p.Learner || p.ID == without || !t.wants(p.ID) {
				continue
			}
			left++
			if p.Active && n.isConnected(p.ID) {
				alive++
			}
		}
		if alive > left/2 {
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("ERR Of the %d voters that would be left only %d answer, which is no majority: the cluster would stand still. FORCE removes it all the same.", left, alive)
		}
		if err := pause(ctx, retryPause); err != nil {
			return err
		}
	}
}

// takeAnnouncement writes a member's new addresses down.
func (n *Node) takeAnnouncement(now tableMember) error {
	return n.updateTable(func(t *memberTable) error {
		m := t.find(consensus.NodeID(now.ID))
		if m == nil {
			return fmt.Errorf("ERR Node %d is not a member", now.ID)
		}
		if other := t.at(now.PeerAddr); other != nil && other != m {
			return fmt.Errorf("ERR %s is the address of node %d", now.PeerAddr, other.ID)
		}
		if m.PeerAddr == now.PeerAddr && m.ClientAddr == now.ClientAddr && m.Incarnation == now.Incarnation {
			return errUnchanged
		}
		m.PeerAddr, m.ClientAddr, m.Incarnation = now.PeerAddr, now.ClientAddr, now.Incarnation
		return nil
	})
}
