package server

import (
	"context"
	"net"
	"strconv"
	"sync"
	"time"

	"dkv/cluster/raftlog"
	"dkv/cluster/replica"
	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

func init() {
	bind("replconf", replconf)
	bind("dkv.sync", dkvSync)
}

// replicaConf is what a connection has said by REPLCONF.
type replicaConf struct {
	id, host string
	history  string // the cluster id of the node that is to be a replica
	port     int64
	messages bool // it takes what is published
	// What redis-cli says: it takes a file that ends with a mark, and nothing else.
	capaEOF, rdbOnly bool
}

// maxReplicaName bounds what a replica says about itself, bytes.
const maxReplicaName = 255

// replconf is REPLCONF option value ... Options that are not known are passed over:
// a later version may have more.
func replconf(c *Conn, x *command.Ctx) error {
	args := x.Args[1:]
	if len(args)%2 != 0 {
		return resp.ErrSyntax
	}
	for ; len(args) > 0; args = args[2:] {
		value := args[1]
		if len(value) > maxReplicaName {
			return resp.Error("ERR REPLCONF " + cText(args[0]) + " is too long")
		}
		switch {
		case equalFold(args[0], "listening-port"):
			port, ok := keyspace.ParseInt(value)
			if !ok || port < 0 || port > 65535 {
				return resp.ErrNotInt
			}
			c.replica.port = port
		case equalFold(args[0], "ip-address"):
			c.replica.host = string(value)
		case equalFold(args[0], "capa"):
			c.replica.capaEOF = c.replica.capaEOF || equalFold(value, "eof")
		case equalFold(args[0], "rdb-only"):
			c.replica.rdbOnly = string(value) == "1"
		case equalFold(args[0], "dkv-id"):
			c.replica.id = string(value)
		case equalFold(args[0], "dkv-history"):
			c.replica.history = string(value)
		case equalFold(args[0], "dkv-messages"):
			c.replica.messages = string(value) == "1"
		}
	}
	x.Out.OK()
	return nil
}

// addr is where a replica is for clients: what it says, and its address.
func (r *replicaConf) addr(from string) string {
	host, _, err := net.SplitHostPort(from)
	if err != nil {
		host = "127.0.0.1" // a unix socket
	}
	if r.host != "" {
		host = r.host
	}
	return net.JoinHostPort(host, strconv.FormatInt(r.port, 10))
}

// dkvSync is DKV.SYNC, after which the connection is a stream of a shard's log. It
// leaves its event loop for good.
func dkvSync(c *Conn, x *command.Ctx) error {
	if c.txn.running || c.muting() {
		return resp.ErrNotAllowedInMulti
	}
	args := make([]string, 0, len(x.Args)-1)
	for _, a := range x.Args[1:] {
		args = append(args, string(a))
	}
	req, err := replica.ParseRequest(args)
	if err != nil {
		return resp.Error(err.Error())
	}
	req.Addr, req.Replica, req.Messages = c.replica.addr(c.addr), c.replica.id, c.replica.messages
	req.Own = c.replica.history
	if req.Replica == "" {
		req.Replica = req.Addr
	}
	c.leave()
	ss, reply, err := c.srv.node.Source().Open(req)
	if err != nil {
		return resp.Error(err.Error())
	}
	x.Out.Simple(reply)
	if ss == nil {
		return nil
	}
	c.flush()
	c.awaitEmpty()
	c.closing = true
	c.setFlag(flagReplica, true)
	c.shared.last.Store(int32(x.Spec.ID) + 1)
	c.serveReplica(ss, &req)
	c.ws.spent = 0
	return nil
}

// serveReplica runs a session on the connection until it ends.
func (c *Conn) serveReplica(ss *replica.Session, req *replica.Request) {
	log := c.srv.log.With("replica", req.Addr, "shard", req.Shard)
	nc := c.nc
	if c.sock != nil {
		stream, err := c.sock.stream()
		if err != nil {
			log.Error("cannot serve a replica", "err", err)
			ss.Cancel()
			return
		}
		defer stream.Close()
		nc = stream
	}
	ctx, cancel := context.WithCancel(c.srv.work)
	var others sync.WaitGroup
	defer others.Wait()
	defer cancel()
	others.Go(func() {
		select {
		case <-ctx.Done():
		case <-c.srv.done:
		case <-c.cut:
		}
		cancel()
		_ = nc.SetDeadline(time.Unix(1, 0)) // fails when it is closed already
	})
	others.Go(func() {
		c.readAcks(nc, ss)
		cancel()
	})
	log.Info("a replica follows", "from", req.From.Index)
	w := &frameWriter{c: c, nc: nc}
	err := ss.Run(ctx, w.write)
	if reason := replica.DropReason(err); reason != "" && ctx.Err() == nil {
		log.Warn("a replica was dropped: "+reason, "from", req.From.Index)
		return
	}
	log.Info("a replica is gone", "err", err)
}

// frameWriter sends frames to a replica.
type frameWriter struct {
	c   *Conn
	nc  net.Conn
	buf []byte
}

const (
	// maxWritePiece is what a replica has to take within repl-timeout.
	maxWritePiece = 256 << 10
	maxKeptFrame  = 4 << 20
)

func (w *frameWriter) write(frame []byte) error {
	w.buf = replica.AppendFrame(w.buf[:0], frame)
	rest := w.buf
	for len(rest) > 0 {
		if err := w.nc.SetWriteDeadline(time.Now().Add(w.c.srv.replTimeout())); err != nil {
			return err
		}
		n, err := w.nc.Write(rest[:min(len(rest), maxWritePiece)])
		w.c.srv.stats.NetOutput.Add(uint64(n))
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	w.c.shared.active.Store(nanotime())
	if cap(w.buf) > maxKeptFrame {
		w.buf = nil
	}
	return nil
}

func (s *Server) replTimeout() time.Duration {
	return time.Duration(s.config.Int("repl-timeout")) * time.Second
}

// readAcks reads what the replica says until the connection ends. The connection's
// goroutine waits for it, and touches the reader no more.
func (c *Conn) readAcks(nc net.Conn, ss *replica.Session) {
	for {
		cmd, ok, err := c.reader.Next()
		if err != nil {
			return
		}
		if !ok {
			if c.reader.Fill(nc) != nil {
				return
			}
			continue
		}
		// REPLCONF ACK index [FACK index]
		if len(cmd.Args) < 3 || !equalFold(cmd.Args[0], "replconf") || !equalFold(cmd.Args[1], "ack") {
			continue
		}
		index, ok := keyspace.ParseInt(cmd.Args[2])
		if !ok || index < 0 {
			return
		}
		durable := len(cmd.Args) >= 5 && equalFold(cmd.Args[3], "fack")
		ss.Ack(raftlog.Index(index), durable)
	}
}
