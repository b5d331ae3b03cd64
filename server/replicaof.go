package server

import (
	"errors"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"dkv/cluster"
	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

func init() {
	bind("replicaof", replicaof)
	bind("slaveof", replicaof)
}

// replicating is what the dispatcher has to know of replication.
type replicating struct {
	node        *cluster.Node
	minReplicas atomic.Int64 // min-replicas-to-write
	maxLag      atomic.Int64 // min-replicas-max-lag, seconds
	serveStale  atomic.Bool  // replica-serve-stale-data

	good struct {
		at    atomic.Int64 // nanotime when it was counted
		count atomic.Int64
	}
}

func (r *replicating) init(s *Server) {
	r.node = s.node
	for name, f := range map[string]func(v string){
		"min-replicas-to-write": func(string) { r.minReplicas.Store(s.config.Int("min-replicas-to-write")) },
		"min-replicas-max-lag": func(string) {
			r.maxLag.Store(s.config.Int("min-replicas-max-lag"))
			r.good.at.Store(0) // who is good is another question now
		},
		"replica-serve-stale-data": func(string) { r.serveStale.Store(s.config.Bool("replica-serve-stale-data")) },
	} {
		f("")
		s.config.OnChange(name, f)
	}
}

// restricts says whether some commands may have to be refused.
func (r *replicating) restricts() bool { return r.node.Follows() || r.minReplicas.Load() > 0 }

// restricted returns why a command may not run on this replica, or without more
// replicas, "" when it may. Scripts outside of transactions are asked when they run.
func (c *Conn) restricted(spec *command.Spec, args [][]byte) resp.Error {
	s, r, flags := c.srv, &c.srv.repl, spec.Flags
	if c.txn.open {
		flags = c.declaredFlags(spec, args)
	}
	writes := flags&command.FlagWrite != 0
	switch {
	case !r.node.Follows():
		if writes && s.lacksReplicas() {
			return resp.ErrNoReplicas
		}
	case writes:
		return resp.ErrReadOnly
	case spec.Flags&command.FlagLoading == 0 && spec != specReplicaof && spec != specSlaveof && s.loading():
		return resp.ErrLoading
	case flags&command.FlagStale == 0 && s.staleReplica():
		return resp.ErrMasterDown
	}
	return ""
}

// lacksReplicas reports whether writes are refused until there are more replicas. Scripts
// ask for themselves: only their text says whether they write.
func (s *Server) lacksReplicas() bool {
	r := &s.repl
	return r.minReplicas.Load() > 0 && r.maxLag.Load() > 0 && s.goodReplicas() < r.minReplicas.Load()
}

// staleReplica reports whether this is a replica that does not follow its source now and
// is not to serve what it has.
func (s *Server) staleReplica() bool {
	if s.repl.serveStale.Load() || !s.node.Follows() {
		return false
	}
	f, ok := s.node.Following()
	return ok && !f.Up()
}

// These may end a load, which they may not in Redis.
var (
	specReplicaof = command.Lookup([]byte("replicaof"))
	specSlaveof   = command.Lookup([]byte("slaveof"))
)

// loading says whether only a part of the source's data is here.
func (s *Server) loading() bool {
	local := s.node.Shard(0)
	if local == nil {
		return false
	}
	at, ok := local.Source()
	return ok && at.Partial()
}

// goodFor is how long the number of good replicas is good for: it is asked for by
// every write.
const goodFor = 50 * time.Millisecond

// goodReplicas is how many replicas have been heard of within min-replicas-max-lag.
func (s *Server) goodReplicas() int64 {
	g, now := &s.repl.good, nanotime()
	if at := g.at.Load(); at == 0 || now-at > int64(goodFor) {
		g.count.Store(int64(s.node.Source().Good(time.Duration(s.repl.maxLag.Load()) * time.Second)))
		g.at.Store(max(now, 1))
	}
	return g.count.Load()
}

// replicaof is REPLICAOF host port, or NO ONE.
func replicaof(c *Conn, x *command.Ctx) error {
	if equalFold(x.Args[1], "no") && equalFold(x.Args[2], "one") {
		switch err := c.srv.node.Unfollow(); {
		case errors.Is(err, cluster.ErrFollowAwaits):
			return resp.Error(err.Error())
		case err != nil:
			return resp.Error("ERR " + err.Error())
		}
		c.srv.noteSource("")
		x.Out.OK()
		return nil
	}
	port, ok := keyspace.ParseInt(x.Args[2])
	if !ok || port < 0 || port > 65535 {
		return resp.Error("ERR Invalid master port")
	}
	host := string(x.Args[1])
	addr := net.JoinHostPort(host, strconv.FormatInt(port, 10))
	if f, ok := c.srv.node.Following(); ok && len(f.Addrs) == 1 && f.Addrs[0] == addr {
		x.Out.Simple("OK Already connected to specified master")
		return nil
	}
	switch err := c.srv.node.Follow([]string{addr}); {
	case errors.Is(err, cluster.ErrFollowMember), errors.Is(err, cluster.ErrFollowAddr), errors.Is(err, cluster.ErrFollowAwaits):
		return resp.Error(err.Error())
	case err != nil:
		return resp.Error("ERR " + err.Error())
	}
	c.srv.noteSource(host + " " + strconv.FormatInt(port, 10))
	x.Out.OK()
	return nil
}

// noteSource has CONFIG GET and CONFIG REWRITE show whom this node follows.
func (s *Server) noteSource(value string) {
	for name, v := range map[string]string{"replicaof": value, "repl-master-addr": ""} {
		if err := s.config.Set(name, v); err != nil {
			s.log.Error("cannot set a parameter", "name", name, "err", err)
		}
	}
}
