package server

import (
	"dkv/cluster/shard"
	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

func init() {
	bind("multi", multi)
	bind("exec", exec)
	bind("discard", discard)
	bind("watch", watch)
	bind("unwatch", unwatch)
}

// txn is a client's transaction: keys that it watches, and the commands queued
// since MULTI.
type txn struct {
	open   bool
	failed bool // a command could not be queued: EXEC aborts
	calls  []call
	bytes  int64         // of the queued requests
	flags  command.Flags // of any queued command
	watch  []watched

	running bool  // EXEC is running the commands
	aborted bool  // set by evalExec: a watched key has changed
	nanos   int64 // set by evalExec: how long it took
}

// watched is a key as it was when WATCH was called.
//
// A position is remembered, not a mark in a table of watchers: so a change is
// noticed wherever it was made, and after the leader has changed.
type watched struct {
	db    int
	key   []byte
	since uint64 // changes after this position count
	at    int64  // Unix ms; the key expiring after it counts too
}

// The fixed costs of a queued command and argument, added to the bytes that
// client-query-buffer-limit bounds.
const (
	queuedCallBytes = 64
	queuedArgBytes  = 24
)

func multi(c *Conn, x *command.Ctx) error {
	if c.txn.open {
		return resp.ErrNestedMulti
	}
	c.txn.open = true
	c.shared.queued.Store(0)
	c.setFlag(flagTransaction, true)
	x.Out.OK()
	return nil
}

func discard(c *Conn, x *command.Ctx) error {
	if !c.txn.open {
		return resp.ErrDiscardWithoutMulti
	}
	c.closeTxn()
	x.Out.OK()
	return nil
}

// closeTxn forgets the queued commands and the watched keys.
func (c *Conn) closeTxn() {
	if c.txn.open {
		c.shared.queued.Store(-1)
		c.shared.held.Store(0)
		c.setFlag(flagTransaction, false)
	}
	c.txn = txn{}
}

func watch(c *Conn, x *command.Ctx) error {
	if c.txn.open {
		return resp.ErrWatchInMulti
	}
	// The position first: a change between the two counts then.
	since := c.srv.node.Watch()
	at := c.srv.clock().UnixMilli()
	for _, key := range x.Args[1:] {
		if !c.txn.watches(c.db, key) {
			c.txn.watch = append(c.txn.watch, watched{c.db, append([]byte(nil), key...), since, at})
		}
	}
	x.Out.OK()
	return nil
}

func (t *txn) watches(db int, key []byte) bool {
	for i := range t.watch {
		if t.watch[i].db == db && string(t.watch[i].key) == string(key) {
			return true
		}
	}
	return false
}

func unwatch(c *Conn, x *command.Ctx) error {
	c.txn.watch = nil
	x.Out.OK()
	return nil
}

// queue keeps a copy of a command for EXEC.
func (c *Conn) queue(spec *command.Spec, cmd resp.Command) {
	c.finish()
	t := &c.txn
	mark := len(c.ws.out.Buf)
	c.ws.last = spec
	if !t.failed {
		t.bytes += int64(cmd.Size) + queuedCallBytes + int64(len(cmd.Args))*queuedArgBytes
		if t.bytes > c.srv.config.ClientQueryBufferLimit.Load() {
			c.readFailed(resp.ErrQueryTooLong)
			c.kill()
			c.closing = true
			return
		}
		t.calls = append(t.calls, call{spec: spec, args: cloneArgs(cmd.Args)})
		t.flags |= spec.Flags
		c.shared.queued.Store(int32(len(t.calls)))
		c.shared.held.Store(t.bytes)
	}
	c.ws.out.Simple("QUEUED")
	c.mute(mark)
}

// cloneArgs copies arguments into one piece of memory.
func cloneArgs(args [][]byte) [][]byte {
	size := 0
	for _, a := range args {
		size += len(a)
	}
	data := make([]byte, 0, size)
	out := make([][]byte, len(args))
	for i, a := range args {
		n := len(data)
		data = append(data, a...)
		out[i] = data[n:len(data):len(data)]
	}
	return out
}

// exec runs the queued commands: as one task, which is one entry of the log,
// or on one snapshot when they only read.
func exec(c *Conn, x *command.Ctx) error {
	t := &c.txn
	if !t.open {
		return resp.ErrExecWithoutMulti
	}
	defer c.closeTxn()
	if t.failed {
		return resp.ErrExecAbort
	}
	before, db := len(c.ws.out.Buf), c.db
	var err error
	if t.flags&command.FlagWrite == 0 && len(t.watch) == 0 {
		err = c.execReading()
	} else {
		err = c.submitExec(&c.ws.exec)
	}
	if err != nil {
		// Nothing of it happened.
		c.ws.out.Buf = c.ws.out.Buf[:before]
		c.setDB(db)
		return resp.Error(taskErrorText(err))
	}
	c.ws.spent = t.nanos
	if t.aborted {
		c.ws.out.Buf = c.ws.out.Buf[:before]
		c.ws.out.NullArray()
		return nil
	}
	for i := range t.calls {
		k := &t.calls[i]
		c.ws.ran(k.spec, k.args, k.nanos, k.failed)
	}
	return nil
}

func (c *Conn) submitExec(task *shard.Task) error {
	c.srv.node.Submit(task)
	return task.Wait()
}

// execReading runs a transaction that writes nothing on the connection's
// goroutine.
func (c *Conn) execReading() error {
	tx := &c.ws.tx
	if err := c.srv.node.BeginRead(tx, true); err != nil {
		return err
	}
	defer tx.Close()
	c.ws.runQueued(tx)
	return nil
}

// evalExec runs a transaction on the shard's writer while the connection's
// goroutine waits.
func (ws *workspace) evalExec(tx *keyspace.Tx) {
	t := &ws.conn.txn
	for i := range t.watch {
		w := &t.watch[i]
		changed := tx.Changed(w.db, w.key, w.since)
		if !changed {
			expired, err := tx.ExpiredSince(w.db, w.key, w.at)
			changed = expired || err != nil
		}
		if changed {
			t.aborted = true
			return
		}
	}
	hits, misses := tx.Hits, tx.Misses
	ws.runQueued(tx)
	ws.hits += tx.Hits - hits
	ws.misses += tx.Misses - misses
	tx.NoTouch = false
}

// runQueued runs the queued commands in tx and replies their array. As in
// Redis, one that fails leaves the others alone.
func (ws *workspace) runQueued(tx *keyspace.Tx) {
	c := ws.conn
	t := &c.txn
	writing := t.flags&command.FlagWrite != 0 || len(t.watch) != 0
	t.running = true
	tx.NoTouch = c.noTouch
	ws.out.Array(len(t.calls))
	began := nanotime()
	last := began
	for i := range t.calls {
		k := &t.calls[i]
		x := ws.ctx(k.spec, k.args)
		x.Tx = tx
		mark := len(ws.out.Buf)
		switch {
		case k.spec.Handler == nil:
			k.failed = c.replyFailure(mark, c.runBoundIn(x))
		case writing:
			k.failed = c.runWrite(x)
		default:
			k.failed = c.replyFailure(mark, c.guard(x))
		}
		now := nanotime()
		k.nanos, last = now-last, now
	}
	t.nanos = last - began
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
