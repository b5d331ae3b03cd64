package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
)

// surveyTimeout bounds how long Survey waits for other nodes. It is above
// progressTimeout, which they may need themselves.
const surveyTimeout = 500 * time.Millisecond

// shardView is what a shard's leader knows of the members.
type shardView struct {
	Shard   raftlog.ShardID `json:"shard"`
	Term    raftlog.Term    `json:"term"`
	Members []memberView    `json:"members"`
}

type memberView struct {
	ID       uint64        `json:"id"`
	Match    raftlog.Index `json:"match"`
	Lag      uint64        `json:"lag"`
	Progress string        `json:"progress"`
}

// Survey is Members with what the shards' leaders know, who are asked: so every
// node gives the same answer. Where a leader is not known, or does not reply
// within surveyTimeout, the rows of its shard are left without what only it
// knows, this node's among them: what it has itself it does know, but not how
// far that is behind.
func (n *Node) Survey(ctx context.Context) []Member {
	members := n.Members()
	list := n.list()
	// A node that was removed between the two calls has members and no shards.
	if len(members) == 0 || len(list) != len(members[0].Shards) {
		return members
	}
	views := n.askLeaders(ctx)
	for i := range list {
		if list[i].leads() {
			continue // Members has it all
		}
		id := list[i].id
		for j := range members {
			m := &members[j]
			if v := views[id]; v != nil {
				v.fill(m)
			} else if at := &m.Shards[id]; m.Self {
				at.LagKnown, at.Lag = false, 0
			}
		}
	}
	return members
}

// fill puts the leader's view of a member in the place of this node's.
func (v *shardView) fill(m *Member) {
	at := &m.Shards[v.Shard]
	at.Term, at.Known, at.LagKnown, at.Match, at.Lag, at.Progress = 0, false, false, 0, 0, ""
	for _, seen := range v.Members {
		if consensus.NodeID(seen.ID) == m.ID {
			at.Term, at.Known, at.LagKnown = v.Term, true, true
			at.Match, at.Lag, at.Progress = seen.Match, seen.Lag, seen.Progress
		}
	}
}

// askLeaders asks the other nodes that lead shards, each once and all at a time,
// for their view of them.
func (n *Node) askLeaders(ctx context.Context) map[raftlog.ShardID]*shardView {
	ctx, cancel := context.WithTimeout(ctx, surveyTimeout)
	defer cancel()
	var leaders []consensus.NodeID
	for i := range n.list() {
		r := n.list()[i].route.Load()
		if r != nil && r.leader != n.identity().node() && !slices.Contains(leaders, r.leader) {
			leaders = append(leaders, r.leader)
		}
	}
	answers := make([][]shardView, len(leaders))
	var waiting sync.WaitGroup
	for i, leader := range leaders {
		waiting.Go(func() {
			var err error
			if answers[i], err = n.askViews(ctx, leader); err != nil {
				n.o.Logger.Debug("a leader did not say how far the members are", "node", leader, "err", err)
			}
		})
	}
	waiting.Wait()
	views := make(map[raftlog.ShardID]*shardView)
	for _, answer := range answers {
		for i := range answer {
			v := &answer[i]
			// Two may believe that they lead, for a moment: the later one does.
			if old := views[v.Shard]; old == nil || old.Term < v.Term {
				views[v.Shard] = v
			}
		}
	}
	return views
}

func (n *Node) askViews(ctx context.Context, leader consensus.NodeID) ([]shardView, error) {
	data, err := n.transport.Call(ctx, leader, callViews, 0, nil)
	if err != nil {
		return nil, decodeError(err)
	}
	var views []shardView
	if err := json.Unmarshal(data, &views); err != nil {
		return nil, fmt.Errorf("cluster: decode answer: %w", err)
	}
	return views, nil
}

// answerViews is askViews on the leader: its view of the shards that it leads.
func (n *Node) answerViews() ([]byte, error) {
	views := []shardView{}
	members := n.Members()
	for i := range n.list() {
		s := &n.list()[i]
		st := s.Group().Status()
		if !st.Leading {
			continue
		}
		v := shardView{Shard: s.id, Term: st.Term}
		for _, m := range members {
			if at := m.Shards[s.id]; at.LagKnown {
				v.Members = append(v.Members, memberView{ID: uint64(m.ID), Match: at.Match, Lag: at.Lag, Progress: at.Progress})
			}
		}
		views = append(views, v)
	}
	return json.Marshal(views)
}
