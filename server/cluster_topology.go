package server

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"net"
	"strconv"

	"dkv/cluster"
	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
	"dkv/cluster/slot"
)

// topology is a moment's view of the cluster for the replies that describe it.
type topology struct {
	info    cluster.Info
	slots   slot.Map
	members []member
	// leaders has the index in members of each shard's leader, -1 where this
	// node knows of none.
	leaders []int
	self    int // index in members; -1 while this node is in no cluster
}

// member is a node with its addresses taken apart. host is empty when the
// address for clients is not known.
type member struct {
	cluster.Member
	name      string // what Redis calls the node id
	host      string
	port, bus int
}

func (s *Server) topology() *topology {
	return newTopology(s.node.ClusterInfo(), s.node.Members())
}

func newTopology(info cluster.Info, members []cluster.Member) *topology {
	t := &topology{info: info, slots: slot.NewMap(max(info.Shards, 1)), self: -1}
	t.leaders = make([]int, t.slots.Shards())
	for i := range t.leaders {
		t.leaders[i] = -1
	}
	for i, m := range members {
		v := member{Member: m, name: nodeName(info.ClusterID, m.ID)}
		v.host, v.port = splitAddr(m.ClientAddr)
		_, v.bus = splitAddr(m.PeerAddr)
		t.members = append(t.members, v)
		if m.Self {
			t.self = i
		}
		for id, place := range m.Shards {
			if place.Leader && id < len(t.leaders) {
				t.leaders[id] = i
			}
		}
	}
	return t
}

// nodeName is the id that Redis Cluster's replies have for a node: 40
// hexadecimal digits, the same for as long as the node is a member.
func nodeName(clusterID string, id consensus.NodeID) string {
	return nameOf(fmt.Sprintf("node %d of %s", id, clusterID))
}

// shardName is what CLUSTER MYSHARDID and its like call a shard.
func shardName(clusterID string, id raftlog.ShardID) string {
	return nameOf(fmt.Sprintf("shard %d of %s", id, clusterID))
}

func nameOf(text string) string {
	sum := sha1.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

func splitAddr(addr string) (host string, port int) {
	host, digits, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0
	}
	port, err = strconv.Atoi(digits)
	if err != nil || port == 0 {
		return "", 0
	}
	return host, port
}

// leads returns the shards that member i leads; none for i = -1.
func (t *topology) leads(i int) []raftlog.ShardID {
	var ids []raftlog.ShardID
	if i < 0 {
		return nil
	}
	for id, leader := range t.leaders {
		if leader == i {
			ids = append(ids, raftlog.ShardID(id))
		}
	}
	return ids
}

// masters is how many members lead something.
func (t *topology) masters() int {
	n := 0
	for i := range t.members {
		if len(t.leads(i)) > 0 {
			n++
		}
	}
	return n
}

// masterOf is the member that i, which leads nothing, is shown to follow: the
// leader of the first shard that has one; -1 when none has.
func (t *topology) masterOf(i int) int {
	for _, leader := range t.leaders {
		if leader >= 0 && leader != i {
			return leader
		}
	}
	return -1
}

// slotRange is a run of slots, both ends included.
type slotRange struct{ first, last slot.Slot }

func (r slotRange) String() string {
	if r.first == r.last {
		return fmt.Sprint(r.first)
	}
	return fmt.Sprintf("%d-%d", r.first, r.last)
}

// ranges returns the slots of shards, which are in ascending order; neighbours are
// joined.
func (t *topology) ranges(shards []raftlog.ShardID) []slotRange {
	var out []slotRange
	for _, id := range shards {
		first, last := t.slots.Range(id)
		if n := len(out); n > 0 && out[n-1].last+1 == first {
			out[n-1].last = last
			continue
		}
		out = append(out, slotRange{first, last})
	}
	return out
}

// slotsServed is how many slots have a leader that this node knows.
func (t *topology) slotsServed() int {
	n := 0
	for id, leader := range t.leaders {
		if leader >= 0 {
			first, last := t.slots.Range(raftlog.ShardID(id))
			n += int(last-first) + 1
		}
	}
	return n
}

// named returns the index of the member with a node name, -1 when there is none.
func (t *topology) named(name string) int {
	for i := range t.members {
		if t.members[i].name == name {
			return i
		}
	}
	return -1
}

// followers returns the members of a shard that clients are told of beside its
// leader: those that they can reach. Members that catch up are left out, and so
// are those that lead another shard: in Redis Cluster a node is a master or a
// replica and never both, and libraries rely on it (ioredis sends READONLY to
// replicas only, and would be sent away by a master that it takes for a replica).
func (t *topology) followers(id raftlog.ShardID) []int {
	var out []int
	for i := range t.members {
		m := &t.members[i]
		if m.Connected && m.host != "" && m.place(id).Voter && len(t.leads(i)) == 0 {
			out = append(out, i)
		}
	}
	return out
}

// place is a member's part in a shard; the zero value when it has none.
func (m *member) place(id raftlog.ShardID) cluster.MemberShard {
	if int(id) < len(m.Shards) {
		return m.Shards[id]
	}
	return cluster.MemberShard{}
}

// role is a member's part in a shard in one word.
func (m *member) role(id raftlog.ShardID) string {
	switch place := m.place(id); {
	case place.Leader:
		return "leader"
	case place.Voter:
		return "follower"
	case place.Learner:
		return "learner"
	}
	return "none"
}
