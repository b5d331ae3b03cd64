package server

import (
	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

// exec runs the queued commands. Those on keys are one request to their shard,
// which is one entry of its log, or run on one snapshot here when they only read.
// Commands of this package run after them, when nothing can fail any more; the
// replies are put in the order of the queue.
func exec(c *Conn, x *command.Ctx) error {
	t := &c.txn
	if !t.open {
		return resp.ErrExecWithoutMulti
	}
	defer c.closeTxn()
	if t.failed {
		return resp.ErrExecAbort
	}
	if refusal := c.misplaced(); refusal != "" {
		return refusal
	}
	if !c.account.Load().user.Load().All() || c.changesUser() {
		c.recheck()
	}
	for i := range t.calls {
		c.corkFor(t.calls[i].spec)
	}
	t.inTurn = c.showsInTurn()
	if c.tracking != nil {
		c.trackQueued()
	}
	var err error
	switch {
	case t.onKeys == 0 && len(t.watch) == 0:
		c.ws.runQueued(nil)
	case t.flags&command.FlagWrite == 0 && len(t.watch) == 0:
		err = c.execReading()
	default:
		err = c.execWriting()
	}
	if err != nil {
		return resp.Error(taskErrorText(err))
	}
	c.ws.spent = t.nanos
	c.trackingQueued()
	if t.aborted {
		c.ws.out.NullArray()
		return nil
	}
	for i := range t.calls {
		k := &t.calls[i]
		if t.inTurn {
			c.showInTurn(k) // unless it was
			c.ws.count(k.spec, k.args, k.nanos, k.failed)
			continue
		}
		c.ws.ran(k.spec, k.args, k.nanos, k.failed)
	}
	return nil
}

// misplaced returns why the transaction cannot run on this node, "" when it can.
func (c *Conn) misplaced() resp.Error {
	t := &c.txn
	switch {
	case t.crossed:
		return resp.ErrCrossSlot
	case t.slots != c.ws.slots:
		return errSlotsChanged
	}
	if !t.keyed || !c.srv.config.ClusterRedirect.Load() {
		return ""
	}
	return c.moved(route{shard: t.shard, slot: t.slot}, t.flags)
}

// execReading runs a transaction that writes nothing on the connection's
// goroutine.
func (c *Conn) execReading() error {
	rd, err := c.begin(c.txn.shard, true)
	if err != nil {
		return err
	}
	c.ws.runQueued(&rd.tx)
	c.ws.endReads()
	return nil
}

// runQueued runs commands that write nothing, those on keys in tx, and replies
// their array. As in Redis, one that fails leaves the others alone.
func (ws *workspace) runQueued(tx *keyspace.Tx) {
	c := ws.conn
	t := &c.txn
	t.running = true
	ws.out.Array(len(t.calls))
	began := nanotime()
	last := began
	for i := range t.calls {
		k := &t.calls[i]
		x := ws.ctx(k.spec, k.args)
		mark := len(ws.out.Buf)
		if k.db = c.db; t.inTurn && k.refused == "" {
			c.showInTurn(k)
		}
		switch {
		case k.refused != "":
			k.failed = c.replyFailure(mark, k.refused)
		case k.spec.Handler != nil:
			x.Tx, x.Shard = tx, int(t.shard)
			k.failed = c.replyFailure(mark, ws.replyError(c.srv.guard(x)))
		default:
			k.failed = c.replyFailure(mark, ws.replyError(c.runBoundIn(x)))
		}
		now := nanotime()
		k.nanos, last = now-last, now
	}
	t.nanos = last - began
}

// execWriting has the commands on keys done by their shard, together with the
// look at the watched keys, and then runs the others.
func (c *Conn) execWriting() error {
	ws, t := c.ws, &c.txn
	c.foresee()
	r := ws.request(t.shard)
	defer r.forgetTxn()
	for i := range t.calls {
		if t.calls[i].onKeys() {
			r.calls = append(r.calls, t.calls[i])
		}
	}
	r.watch, r.maxReply = t.watch, 0
	if t.inTurn {
		r.before = c.showInTurn
	}
	before := len(ws.out.Buf)
	mixed := len(r.calls) < len(t.calls)
	if mixed {
		r.out = &r.own
	} else {
		ws.out.Array(len(t.calls))
		r.mark = len(ws.out.Buf)
	}
	c.submit(r)
	if r.err != nil || r.aborted {
		t.aborted = r.aborted
		ws.out.Buf = ws.out.Buf[:before]
		return r.err
	}
	ws.collect(r)
	if mixed {
		ws.beginReply()
		ws.merge(r)
		return nil
	}
	for i := range r.calls {
		ws.takeOutcome(r, i, &t.calls[i])
	}
	return nil
}

// forgetTxn is clear for a request that had a transaction, whose memory is not
// kept.
func (r *shardRequest) forgetTxn() {
	clear(r.calls)
	r.clear()
}

// takeOutcome notes how call i of a transaction's request went.
func (ws *workspace) takeOutcome(r *shardRequest, i int, k *call) {
	k.nanos, k.failed, k.shown = r.calls[i].nanos, r.calls[i].failed, r.calls[i].shown
	ws.conn.txn.nanos += k.nanos
	if k.failed {
		ws.conn.srv.stats.countError(errorLine(r.reply(i)))
	}
}

// merge runs the queued commands of this package, and replies the array of all:
// r has the replies of the others.
func (ws *workspace) merge(r *shardRequest) {
	c := ws.conn
	t := &c.txn
	t.running = true
	ws.out.Array(len(t.calls))
	taken := 0
	last := nanotime()
	for i := range t.calls {
		k := &t.calls[i]
		if k.refused != "" {
			k.failed = c.replyFailure(len(ws.out.Buf), k.refused)
			continue
		}
		if k.spec.Handler != nil {
			ws.out.Buf = append(ws.out.Buf, r.reply(taken)...)
			ws.takeOutcome(r, taken, k)
			taken++
			continue
		}
		mark := len(ws.out.Buf)
		k.failed = c.replyFailure(mark, ws.replyError(c.runBoundIn(ws.ctx(k.spec, k.args))))
		now := nanotime()
		k.nanos, last = now-last, now
		t.nanos += k.nanos
	}
}

// foresee sets the database and the protocol that each queued command will meet:
// SELECT and HELLO among them change these for the commands that follow, which
// are run before SELECT and HELLO are.
func (c *Conn) foresee() {
	db, proto := c.db, c.proto
	for i := range c.txn.calls {
		k := &c.txn.calls[i]
		k.db, k.proto = db, proto
		switch k.spec {
		case specSelect:
			if n, err := c.databaseNamed(k.args[1]); err == nil {
				db = n
			}
		case specHello:
			if h, err := c.parseHello(k.args); err == nil && h.proto != 0 {
				proto = h.proto
			}
		}
	}
}

// replyFailure puts an error in the place of the reply that starts at mark.
func (c *Conn) replyFailure(mark int, err error) (failed bool) {
	if err == nil {
		return false
	}
	c.ws.out.Buf = c.ws.out.Buf[:mark]
	c.ws.error(errorText(err))
	return true
}
