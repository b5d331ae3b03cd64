package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"dkv/cluster/consensus"
	"dkv/cluster/transport"
)

// memberTable says who is in the cluster, and who is to be: what the
// configuration of each shard's group is brought to, step by step. It is a
// record of shard 0's engine (tableKey) as JSON, changed only by tasks of shard
// 0's leader, and seen by every node as it applies shard 0's log.
//
// Invariant: an id below NextID that is no member's was removed, and is never
// used again.
type memberTable struct {
	// Version grows by one with each change. Zero: the cluster was created with
	// these members and has no record yet.
	Version uint64        `json:"version"`
	NextID  uint64        `json:"next_id"`
	Members []tableMember `json:"members"` // by id
}

type tableMember struct {
	ID          uint64 `json:"id"`
	PeerAddr    string `json:"peer_addr"`
	ClientAddr  string `json:"client_addr,omitempty"`
	Incarnation string `json:"incarnation"`
	// Leaving members are taken out of the groups, then out of the table.
	Leaving bool `json:"leaving,omitempty"`
}

// tableKey is the record's key.
var tableKey = []byte("smembers")

// maxRemovedIDs bounds the removed members that the transport is told of; those
// removed before are refused as unknown.
const maxRemovedIDs = 1024

func decodeTable(data []byte) (memberTable, error) {
	var t memberTable
	if err := json.Unmarshal(data, &t); err != nil {
		return t, fmt.Errorf("cluster: members table: %w", err)
	}
	if len(t.Members) == 0 || t.Version == 0 {
		return t, errors.New("cluster: members table: it is empty")
	}
	return t, nil
}

func (t *memberTable) encode() []byte {
	data, err := json.Marshal(t)
	if err != nil {
		panic(fmt.Sprintf("cluster: invariant: a members table has no JSON: %v", err))
	}
	return data
}

func (t *memberTable) clone() memberTable {
	c := *t
	c.Members = slices.Clone(t.Members)
	return c
}

// find returns the member with that id, nil when there is none. It belongs to t.
func (t *memberTable) find(id consensus.NodeID) *tableMember {
	for i := range t.Members {
		if t.Members[i].ID == uint64(id) {
			return &t.Members[i]
		}
	}
	return nil
}

// named returns the member that a user means with an address or an id.
func (t *memberTable) named(s string) *tableMember {
	if id, err := strconv.ParseUint(strings.TrimSpace(s), 10, 64); err == nil {
		return t.find(consensus.NodeID(id))
	}
	addr, err := ParsePeerAddr(s)
	if err != nil {
		return nil
	}
	return t.at(addr)
}

func (t *memberTable) at(addr string) *tableMember {
	for i := range t.Members {
		if t.Members[i].PeerAddr == addr {
			return &t.Members[i]
		}
	}
	return nil
}

// wasRemoved says whether id was a member and is not any more.
func (t *memberTable) wasRemoved(id consensus.NodeID) bool {
	return uint64(id) < t.NextID && t.find(id) == nil
}

// wants says whether id is to be a voter.
func (t *memberTable) wants(id consensus.NodeID) bool {
	m := t.find(id)
	return m != nil && !m.Leaving
}

// staying is how many members are not leaving.
func (t *memberTable) staying() (n int) {
	for _, m := range t.Members {
		if !m.Leaving {
			n++
		}
	}
	return n
}

func (t *memberTable) addrs() []string {
	addrs := make([]string, len(t.Members))
	for i, m := range t.Members {
		addrs[i] = m.PeerAddr
	}
	return addrs
}

// drop takes a member out.
func (t *memberTable) drop(id consensus.NodeID) {
	t.Members = slices.DeleteFunc(t.Members, func(m tableMember) bool { return m.ID == uint64(id) })
}

// peers is what the transport needs to know: the others, and who was removed.
func (t *memberTable) peers(self consensus.NodeID) (map[consensus.NodeID]transport.Peer, []consensus.NodeID) {
	peers := make(map[consensus.NodeID]transport.Peer)
	for _, m := range t.Members {
		if id := consensus.NodeID(m.ID); id != self {
			peers[id] = transport.Peer{Addr: m.PeerAddr, Incarnation: m.Incarnation}
		}
	}
	var removed []consensus.NodeID
	for id := t.NextID; id > 1 && len(removed) < maxRemovedIDs; {
		id--
		if t.find(consensus.NodeID(id)) == nil {
			removed = append(removed, consensus.NodeID(id))
		}
	}
	return peers, removed
}
