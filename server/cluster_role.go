package server

import (
	"strconv"

	"dkv/cluster"
	"dkv/server/command"
)

func init() { bind("role", role) }

// role is ROLE. Every member of a cluster takes writes, so it is a master; those
// that it sends the log to, where it leads, are its replicas, and so are those that
// follow it on their own.
func role(c *Conn, x *command.Ctx) error {
	if from, ok := c.srv.node.Following(); ok {
		f := c.srv.following(&from)
		state := "connect"
		switch {
		case f.up:
			state = "connected"
		case f.copying:
			state = "sync"
		}
		x.Out.Array(5)
		x.Out.BulkString("slave")
		x.Out.BulkString(f.host)
		x.Out.Int(int64(f.port))
		x.Out.BulkString(state)
		x.Out.Uint(f.offset)
		return nil
	}
	r := c.srv.replication()
	x.Out.Array(3)
	x.Out.BulkString("master")
	x.Out.Uint(r.offset)
	x.Out.Array(len(r.followers))
	for _, f := range r.followers {
		x.Out.Array(3)
		x.Out.BulkString(f.host)
		x.Out.BulkString(strconv.Itoa(f.port))
		x.Out.BulkString(strconv.FormatUint(f.offset, 10))
	}
	return nil
}

// replication is what Redis's replies say about a master and its replicas, put
// together from the shards that this node leads.
type replication struct {
	// offset is zero for a node that stands alone; otherwise a position in the
	// logs: the sum of the commit indexes of the shards that this node leads,
	// or of what it has applied of all of them when it leads none.
	offset    uint64
	followers []follower
}

// follower is another member of the shards that this node leads.
type follower struct {
	host   string
	port   int
	offset uint64 // comparable with replication.offset
	state  string // online, send_bulk (it is sent a raft snapshot), wait_bgsave (not connected)
	lag    int64  // seconds since it was heard of, of an asynchronous replica
}

func (s *Server) replication() replication {
	m := s.node.Metrics()
	r := newReplication(s.topology(), m)
	r.addReplicas(s, m)
	return r
}

func newReplication(t *topology, m cluster.Metrics) replication {
	var r replication
	if !t.info.Enabled {
		return r
	}
	led := t.leads(t.self)
	for _, id := range led {
		if int(id) < len(m.Shards) {
			r.offset += uint64(m.Shards[id].Status.Commit)
		}
	}
	if len(led) == 0 {
		r.offset = appliedIndex(m)
		return r
	}
	for i := range t.members {
		if i == t.self {
			continue
		}
		v := &t.members[i]
		f := follower{host: v.host, port: v.port, state: "online"}
		for _, id := range led {
			place := v.place(id)
			f.offset += uint64(place.Match)
			if place.Progress == "snapshot" {
				f.state = "send_bulk"
			}
		}
		if !v.Connected {
			f.state = "wait_bgsave"
		}
		r.followers = append(r.followers, f)
	}
	return r
}
