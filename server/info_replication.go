package server

import (
	"fmt"
	"strings"
	"time"

	"dkv/cluster"
	"dkv/cluster/raftlog"
	"dkv/server/psync"
)

// infoReplication has the lines of Redis, and some of dkv's own, which begin with
// dkv_. Offsets are sums of log indexes over the shards: a replica's
// slave_repl_offset counts in its source's log, like the source's offsets do.
func infoReplication(w *infoWriter) {
	from, follows := w.srv.node.Following()
	var f following
	if follows {
		f = w.srv.following(&from)
		infoFollowing(w, &from, f)
	} else {
		w.line("role", "master")
	}
	r := newReplication(w.srv.topology(), w.node)
	r.addReplicas(w.srv, w.node)
	if follows && len(r.followers) == 0 {
		// As in Redis, the source's once all of its history is here. A node with replicas
		// of its own counts in the log that they follow.
		r.offset = f.offset
	}
	w.line("connected_slaves", len(r.followers))
	if n := w.srv.repl.minReplicas.Load(); n > 0 && w.srv.repl.maxLag.Load() > 0 && !follows {
		w.line("min_slaves_good_slaves", w.srv.goodReplicas())
	}
	for i, f := range r.followers {
		fmt.Fprintf(w, "slave%d:ip=%s,port=%d,state=%s,offset=%d,lag=%d\r\n", i, f.host, f.port, f.state, f.offset, f.lag)
	}
	w.line("master_failover_state", "no-failover")
	w.line("master_replid", w.srv.historyName(w.node.ClusterID))
	w.line("master_replid2", strings.Repeat("0", 40))
	w.line("master_repl_offset", r.offset)
	w.line("second_repl_offset", -1)
	w.line("repl_backlog_active", oneIf(len(r.followers) > 0))
	w.line("repl_backlog_size", w.srv.config.String("repl-log-size"))
	w.line("repl_backlog_first_byte_offset", 0)
	w.line("repl_backlog_histlen", 0)
}

// historyName is master_replid: that of the history which this node's data is of.
func (s *Server) historyName(clusterID string) string {
	if s.node.Follows() && s.admin.replID.Load() == nil {
		if local := s.node.Shard(0); local != nil {
			if at, ok := local.Source(); ok {
				if id, ok := psync.ReplID(at.History); ok {
					return id
				}
				return nameOf(at.History)
			}
		}
	}
	return s.replID(clusterID)
}

// following is what Redis's replies say about a replica's source, put together from
// the links of all shards.
type following struct {
	host          string
	port          int
	up            bool
	copying       bool
	copied, all   uint64
	offset, head  uint64
	heard, downAt time.Time
	err           string
}

// following puts together what is known of this node's source.
func (s *Server) following(f *cluster.Following) following {
	out := following{up: f.Up()}
	addr := f.Addrs[0]
	for i := range f.Links {
		l := &f.Links[i]
		if i == 0 && l.Addr != "" {
			addr = l.Addr
		}
		out.copying = out.copying || l.Copying
		if l.Copying {
			out.copied, out.all = out.copied+l.CopiedBytes, out.all+l.AllBytes
		}
		at := l.At
		if at == 0 && l.Heard.IsZero() && !l.Copying {
			at = s.kept(i)
		}
		out.offset += uint64(at)
		out.head += uint64(max(l.Head, at))
		if i == 0 || l.Heard.Before(out.heard) {
			out.heard = l.Heard
		}
		if !l.Up && (out.downAt.IsZero() || l.DownAt.Before(out.downAt)) {
			out.downAt = l.DownAt
		}
		if out.err == "" {
			out.err = l.Err
		}
	}
	out.host, out.port = splitAddr(addr)
	return out
}

// kept is where a shard of this replica is in the history that master_replid names, for
// as long as its link has not been up since the start: who promotes one of the replicas of
// a master that is gone goes by that. A Redis server has one history for all shards.
func (s *Server) kept(i int) raftlog.Index {
	local := s.node.Shard(raftlog.ShardID(i))
	if local == nil {
		return 0
	}
	at, ok := local.Source()
	if _, redis := psync.ReplID(at.History); !ok || at.Partial() || redis && i > 0 {
		return 0
	}
	return at.Index
}

func infoFollowing(w *infoWriter, from *cluster.Following, f following) {
	ago := int64(-1)
	if !f.heard.IsZero() {
		ago = int64(w.now.Sub(f.heard) / time.Second)
	}
	status := "down"
	if f.up {
		status = "up"
	}
	w.line("role", "slave")
	w.line("master_host", f.host)
	w.line("master_port", f.port)
	w.line("master_link_status", status)
	w.line("master_last_io_seconds_ago", ago)
	w.line("master_sync_in_progress", oneIf(f.copying))
	w.line("slave_read_repl_offset", f.head)
	w.line("slave_repl_offset", f.offset)
	if f.copying {
		w.line("master_sync_total_bytes", f.all)
		w.line("master_sync_read_bytes", f.copied)
		w.line("master_sync_left_bytes", f.all-min(f.copied, f.all))
		w.line("master_sync_perc", percentage(min(f.copied, f.all), f.all))
		w.line("master_sync_last_io_seconds_ago", ago)
	}
	if !f.up && !f.downAt.IsZero() {
		w.line("master_link_down_since_seconds", int64(w.now.Sub(f.downAt)/time.Second))
	}
	w.line("slave_priority", w.srv.config.Int("replica-priority"))
	w.line("slave_read_only", 1)
	w.line("replica_announced", oneIf(w.srv.config.Bool("replica-announced")))
	w.line("dkv_master_addrs", strings.Join(from.Addrs, ","))
	w.line("dkv_lag_entries", f.head-min(f.offset, f.head))
	if !f.up && f.err != "" {
		w.line("dkv_master_link_error", strings.NewReplacer("\r", " ", "\n", " ").Replace(f.err))
	}
}

// entriesBehind is how many entries this node has that a replica has not applied.
func (s *Server) entriesBehind(acked []raftlog.Index) (n uint64) {
	for i, index := range acked {
		if local := s.node.Shard(raftlog.ShardID(i)); local != nil {
			applied := local.Applied()
			n += uint64(applied - min(index, applied))
		}
	}
	return n
}

// addReplicas adds the asynchronous replicas to what is told of a node.
func (r *replication) addReplicas(s *Server, m cluster.Metrics) {
	list := s.node.Source().Replicas()
	if len(list) > 0 && r.offset == 0 {
		r.offset = appliedIndex(m)
	}
	for i := range list {
		a := &list[i]
		f := follower{state: a.State}
		f.host, f.port = splitAddr(a.Addr)
		for _, index := range a.Acked {
			f.offset += uint64(index)
		}
		if a.Heard.IsZero() {
			f.state = "wait_bgsave" // not all of its shards are connected
		} else {
			f.lag = max(int64(s.clock().Sub(a.Heard)/time.Second), 0)
		}
		r.followers = append(r.followers, f)
	}
}
