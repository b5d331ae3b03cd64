package server

import (
	"fmt"
	"strconv"
	"strings"

	"dkv/cluster"
	"dkv/resp"
)

// Memory for clients: requests that are not complete, transactions that are not
// executed, replies that are being made and replies that wait to be sent. Each has a
// limit of its own (client-query-buffer-limit, command-memory-limit, maxPendingOutput);
// maxmemory-clients is that of all of them together.
const (
	// freeReply is what a reply may take without being counted; then it is counted in
	// steps of replyStep.
	freeReply = 1 << 20
	replyStep = 4 << 20
	// clientsShare is the part of the machine's memory that clients may take unless
	// maxmemory-clients says how much; leastForClients is the least of it. A large write takes some
	// four times as much as its request, until it is in the log and applied.
	clientsShare    = 8
	leastForClients = 64 << 20
	// littlePending takes maxPendingOutput's place while clients take more than half of
	// what they may: then one that does not read is not read from, though it would wait for
	// itself if it sent a large pipeline before it read.
	littlePending = 1 << 20
	// leastEvicted is what a client takes, at least, that has to go for others.
	leastEvicted = 1 << 20
)

// errReplyMemory: what is there for all clients together is used up.
const errReplyMemory resp.Error = "OOM the reply does not fit into maxmemory-clients, together with what other clients take of it"

// errReplySize is the reply to a command whose reply would be too large.
func errReplySize(limit int64) resp.Error {
	return resp.Error(fmt.Sprintf("ERR the reply is larger than command-memory-limit (%d bytes)", limit))
}

// clientMemoryLimit is how many bytes clients may take in all; a percentage is one of maxmemory.
func (s *Server) clientMemoryLimit() int64 {
	text := s.config.String("maxmemory-clients")
	n := int64(0)
	if percent, ok := strings.CutSuffix(text, "%"); ok {
		p, _ := strconv.ParseInt(percent, 10, 64) // the parameter was checked
		n = s.config.Int("maxmemory") / 100 * p
	} else {
		n, _ = strconv.ParseInt(text, 10, 64)
	}
	if n == 0 {
		n = max(cluster.UsableMemory()/clientsShare, leastForClients)
	}
	return n
}

// charge counts bytes that the client takes, or gives back.
func (c *Conn) charge(bytes int64) {
	if bytes == 0 {
		return
	}
	c.memory.Add(bytes)
	c.srv.taken.Add(bytes)
	if c.dead.Load() {
		c.uncharge()
	}
}

// uncharge gives back all that the client takes.
func (c *Conn) uncharge() {
	c.srv.taken.Add(-c.memory.Swap(0))
}

// hasRoom reports whether clients may take some more bytes, for which those that
// take the most are cut: c, which asks, is not.
func (s *Server) hasRoom(c *Conn, bytes int64) bool {
	limit := s.clientMemoryLimit()
	for s.taken.Load()+bytes > limit {
		if !s.evictClient(c) {
			return false
		}
	}
	return true
}

// keepClientMemory cuts clients while all together take too much.
func (s *Server) keepClientMemory() {
	limit := s.clientMemoryLimit()
	for s.taken.Load() > limit && s.evictClient(nil) {
	}
}

// evictClient cuts the client that takes the most, as Redis's maxmemory-clients does. It reports
// whether there was one; asker, and who takes no more than that, is spared.
func (s *Server) evictClient(asker *Conn) bool {
	least := int64(leastEvicted)
	if asker != nil {
		least = max(least, asker.memory.Load())
	}
	var most *Conn
	s.clients.each(func(c *Conn) {
		if n := c.memory.Load(); c != asker && n > least && c.shared.flags.Load()&(flagNoEvict|flagReplica) == 0 {
			most, least = c, n
		}
	})
	if most == nil {
		return false
	}
	if !most.kill() {
		most.uncharge() // it goes already
		return true
	}
	s.stats.ClientsEvicted.Add(1)
	s.log.Warn("client closed: maxmemory-clients", "id", most.id, "addr", most.addr, "bytes", least)
	return true
}

// pendingLimit is how much output may wait for a client before its requests are not
// read any more.
func (s *Server) pendingLimit() int {
	if n := s.taken.Load(); n > leastForClients/2 && n > s.clientMemoryLimit()/2 {
		return littlePending
	}
	return maxPendingOutput
}

// allowance is what the replies to one command, or transaction, may take.
type allowance struct {
	base    int // where they begin
	limit   int // up to where they may go for now
	charged int64
	refusal resp.Error // why they may not
	more    func(length int) int
}

// beginReply readies the output for a reply of a bounded size. endReply must follow.
func (ws *workspace) beginReply() {
	a := &ws.allowed
	a.base = len(ws.out.Buf)
	a.limit = a.base + freeReply
	a.refusal = ""
	ws.out.Limit(a.limit, a.more)
}

// moreReply is resp.Writer's more: the reply is to reach length. It is called on the
// connection's goroutine.
func (ws *workspace) moreReply(length int) int {
	a, c := &ws.allowed, ws.conn
	most := int64(a.base) + c.srv.config.CommandMemoryLimit.Load()
	if int64(length) > most {
		a.refusal = errReplySize(c.srv.config.CommandMemoryLimit.Load())
		return a.limit
	}
	next := int(min(int64(length)+replyStep, most))
	bytes := int64(next - a.limit)
	if c.dead.Load() || !c.srv.hasRoom(c, bytes) {
		a.refusal = errReplyMemory
		return a.limit
	}
	c.charge(bytes)
	a.charged += bytes
	a.limit = next
	return next
}

// replyError returns err, or that the reply, which is to be taken back then, has become too
// large.
func (ws *workspace) replyError(err error) error {
	if err != nil || !ws.out.Full() {
		return err
	}
	ws.out.Limit(ws.allowed.limit, ws.allowed.more)
	return ws.allowed.refusal
}

// endReply ends what beginReply began.
func (ws *workspace) endReply() { ws.out.Limit(0, nil) }

// sent gives back what was counted for replies that have left, or that the outbox counts by now.
func (ws *workspace) sent() {
	if n := ws.allowed.charged; n != 0 {
		ws.allowed.charged = 0
		ws.conn.charge(-n)
	}
}

// chargeInput counts what the client has sent that waits: the beginning of a request, and the
// commands of a transaction.
func (c *Conn) chargeInput() {
	n := c.shared.pending.Load() + c.shared.held.Load()
	if n == c.charged {
		return
	}
	grown := n - c.charged
	c.charged = n
	c.charge(grown)
	if grown > 0 && n > leastEvicted {
		c.srv.keepClientMemory()
	}
}

// chargeLocked counts own output that waits now.
func (o *outbox) chargeLocked(c *Conn, bytes int) {
	o.charged += bytes
	c.charge(int64(bytes))
}

// unchargeLocked gives back what was counted for output that has left. Messages of
// others wait in the same queue, and are not counted: one may wait for many clients, and
// is in memory once; client-output-buffer-limit bounds them.
func (o *outbox) unchargeLocked(c *Conn) {
	if gone := o.charged - o.bytes; gone > 0 {
		o.charged -= gone
		c.charge(int64(-gone))
	}
}

// limitReply is for a writer of the server's that is nobody's output yet: it may have
// command-memory-limit behind mark.
func (s *Server) limitReply(w *resp.Writer, mark int) {
	w.Limit(mark+int(min(s.config.CommandMemoryLimit.Load(), 1<<40)), nil)
}

// replied returns err, or that the reply in w, which limitReply limits, is too large.
func (s *Server) replied(w *resp.Writer, err error) error {
	if err != nil || !w.Full() {
		return err
	}
	return errReplySize(s.config.CommandMemoryLimit.Load())
}
