package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dkv/cluster/transport"
)

// probeTimeout bounds one question to a node about who it is.
const probeTimeout = time.Second

// hello is what a node tells anybody about itself.
type hello struct {
	State       string   `json:"state"`
	ClusterID   string   `json:"cluster_id,omitempty"`
	NodeID      uint64   `json:"node_id,omitempty"`
	PeerAddr    string   `json:"peer_addr"`
	ClientAddr  string   `json:"client_addr,omitempty"`
	Incarnation string   `json:"incarnation"`
	Shards      int      `json:"shards"`
	Peers       []string `json:"peers,omitempty"`
	// Agreed, while forming, is the cluster that the node has agreed to be of.
	Agreed string `json:"agreed,omitempty"`
	// Founders are the first members of the cluster that the node is of.
	Founders []tableMember `json:"founders,omitempty"`
	// UpMillis is how long the node has been running.
	UpMillis int64 `json:"up_ms"`
}

func (n *Node) hello() *hello {
	id := n.identity()
	return &hello{
		State: id.State, ClusterID: id.ClusterID, NodeID: id.NodeID,
		PeerAddr: n.o.PeerAddr, ClientAddr: n.o.ClientAddr, Incarnation: id.Incarnation,
		Shards: id.Shards, Peers: id.Peers, Agreed: id.Agreed, Founders: id.Founders,
		UpMillis: n.up().Milliseconds(),
	}
}

// up is how long the node has been running.
func (n *Node) up() time.Duration { return time.Since(n.began) }

func (h *hello) encode() []byte {
	data, err := json.Marshal(h)
	if err != nil {
		panic(fmt.Sprintf("cluster: invariant: a hello has no JSON: %v", err))
	}
	return data
}

// isMember says that the node belongs to a cluster already.
func (h *hello) isMember() bool {
	return h.State == stateReady || h.State == stateCreating || h.State == stateRecovering
}

// probe asks the node at an address who it is.
func (n *Node) probe(ctx context.Context, addr string) (*hello, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	data, err := n.transport.Admin(ctx, addr, adminProbe, nil)
	if err != nil {
		return nil, err
	}
	h := &hello{}
	if err := json.Unmarshal(data, h); err != nil {
		return nil, fmt.Errorf("cluster: what %s says of itself: %w", addr, err)
	}
	return h, nil
}

// probeAll asks several at once. Who does not answer is missing in heard; where that
// is for TLS, refused has the reason.
func (n *Node) probeAll(ctx context.Context, addrs []string) (heard map[string]*hello, refused map[string]string) {
	type answer struct {
		addr string
		h    *hello
		err  error
	}
	answers := make(chan answer, len(addrs))
	for _, addr := range addrs {
		go func() {
			h, err := n.probe(ctx, addr)
			if err != nil {
				h = nil
			}
			answers <- answer{addr, h, err}
		}()
	}
	heard, refused = make(map[string]*hello), make(map[string]string)
	for range addrs {
		a := <-answers
		if a.h != nil {
			heard[a.addr] = a.h
		}
		var why *transport.TLSError
		if errors.As(a.err, &why) {
			refused[a.addr] = "TLS: " + why.Reason
		}
	}
	return heard, refused
}

// Errors of a node that cannot become a member of the cluster it was started for.
var (
	// ErrClusterExists: the others have a cluster already, and this node, as it
	// is now, is none of its members.
	ErrClusterExists = errors.New("the cluster exists already and this folder is not part of it: start the node with -join and add it with CLUSTER ADDNODE (after CLUSTER REMOVENODE if it was a member and lost its folder)")
	// ErrOtherCluster: the folder is of another cluster than the peers.
	ErrOtherCluster = errors.New("the folder belongs to another cluster than the listed peers")
	// ErrContradiction: the nodes were started with different lists or settings.
	ErrContradiction = errors.New("the nodes contradict each other")
)

// sameTime is how much earlier the other one of two that contradict each other
// must have been started to be the one that stays.
const sameTime = 2 * time.Second

// decide is the rule by which the nodes of a list become a cluster, in which no
// two can come to different results:
//
// Each knows the incarnations of all, from which the cluster's id is computed, and
// writes down that it agrees to it before it says so. Once all have agreed to the
// same id, the cluster is. Who has got that far tells the others, who then need not
// hear from everybody. A node that lost its folder in between has another
// incarnation, so that it does not pass for the one that agreed.
//
// It returns what the node is to be next, which is to be written down when it
// differs from id, and whom or what it waits for, in words.
func decide(id identity, self string, up time.Duration, heard map[string]*hello) (next identity, waits []string, err error) {
	next = id
	founders := []tableMember{{PeerAddr: self, Incarnation: id.Incarnation}}
	for _, addr := range id.Peers {
		h := heard[addr]
		if addr == self {
			continue
		}
		if h == nil {
			waits = append(waits, addr)
			continue
		}
		if h.isMember() {
			return adopt(id, self, addr, h)
		}
		if why := contradiction(id, self, addr, h); why != "" {
			if older(id, up, h) {
				return id, nil, fmt.Errorf("cluster: %w: %s", ErrContradiction, why)
			}
			waits = append(waits, addr+" ("+why+")")
			continue
		}
		founders = append(founders, tableMember{PeerAddr: addr, ClientAddr: h.ClientAddr, Incarnation: h.Incarnation})
	}
	if len(waits) > 0 {
		return id, waits, nil
	}
	slices.SortFunc(founders, func(a, b tableMember) int { return strings.Compare(a.PeerAddr, b.PeerAddr) })
	for i := range founders {
		founders[i].ID = uint64(i + 1)
	}
	agreed := foundedID(founders, id.Shards)
	if id.Agreed != agreed {
		next.Agreed, next.Founders = agreed, founders
		return next, nil, nil
	}
	for _, addr := range id.Peers {
		if addr != self && heard[addr].Agreed != agreed {
			waits = append(waits, addr+" (to agree)")
		}
	}
	if len(waits) > 0 {
		return id, waits, nil
	}
	return found(id, self, agreed, founders), nil, nil
}

// adopt makes the node a member of the cluster that another one has formed.
func adopt(id identity, self, addr string, h *hello) (identity, []string, error) {
	for _, m := range h.Founders {
		if m.PeerAddr == self && m.Incarnation == id.Incarnation && h.ClusterID == foundedID(h.Founders, h.Shards) {
			return found(id, self, h.ClusterID, h.Founders), nil, nil
		}
	}
	return id, nil, fmt.Errorf("cluster: %s is of cluster %s: %w", addr, h.ClusterID, ErrClusterExists)
}

// found returns the identity of a member of a new cluster.
func found(id identity, self, clusterID string, founders []tableMember) identity {
	id.State, id.ClusterID, id.Agreed, id.Founders = stateCreating, clusterID, "", founders
	id.Table = memberTable{NextID: uint64(len(founders) + 1), Members: founders}
	id.NodeID = id.Table.at(self).ID
	return id
}

// foundedID is the id of the cluster of these nodes. Addresses that clients use
// may change and do not count.
func foundedID(founders []tableMember, shards int) string {
	h := sha256.New()
	fmt.Fprintf(h, "dkv cluster, %d shards\n", shards)
	for _, m := range founders {
		fmt.Fprintf(h, "%d %s %s\n", m.ID, m.PeerAddr, m.Incarnation)
	}
	return hex.EncodeToString(h.Sum(nil)[:20])
}

// contradiction returns why two nodes cannot form a cluster, or "".
func contradiction(id identity, self, addr string, h *hello) string {
	switch {
	case h.Incarnation == id.Incarnation:
		return fmt.Sprintf("%s and %s in the list of peers are the same node", self, addr)
	case h.PeerAddr != addr:
		return fmt.Sprintf("the node at %s says that its address is %s", addr, h.PeerAddr)
	case h.State == stateJoining:
		return fmt.Sprintf("%s waits to be added to a cluster (-join), this node is to form one with it", addr)
	case h.State != stateForming:
		return fmt.Sprintf("%s is %s", addr, h.State)
	case !slices.Equal(h.Peers, id.Peers):
		return fmt.Sprintf("the list of peers of %s is %s, that of %s is %s", self, strings.Join(id.Peers, ","), addr, strings.Join(h.Peers, ","))
	case h.Shards != id.Shards:
		return fmt.Sprintf("%s was started with %d shards, %s with %d", self, id.Shards, addr, h.Shards)
	}
	return ""
}

// older says that the other one of two that contradict each other stays: the one
// that has been there for longer, so that a node that was started wrongly does not
// stop those that wait.
func older(id identity, up time.Duration, h *hello) bool {
	if h.Incarnation == id.Incarnation {
		return true
	}
	diff := time.Duration(h.UpMillis)*time.Millisecond - up
	if diff.Abs() < sameTime {
		return h.Incarnation < id.Incarnation
	}
	return diff > 0
}
