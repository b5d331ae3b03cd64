package server

import (
	"dkv/cluster/raftlog"
	"dkv/cluster/slot"
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
	onKeys int           // how many of calls are for the shard
	watch  []watched
	// seen are the keys in watch, for a client that watches many; nil: few.
	seen map[watchedKey]struct{}

	// All keys, the watched ones too, must be in one shard.
	slots   slot.Map
	keyed   bool // there are keys: shard and slot are those of the first
	shard   raftlog.ShardID
	slot    slot.Slot
	crossed bool // there are keys elsewhere: EXEC fails

	inTurn  bool  // see Conn.showsInTurn
	running bool  // EXEC is running the commands
	aborted bool  // a watched key has changed
	nanos   int64 // how long it took
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

type watchedKey struct {
	db  int
	key string
}

// fewWatched is how many watched keys are looked through one by one.
const fewWatched = 16

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
	c.txn.open, c.txn.slots = true, c.ws.slots
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
	t, id := &c.txn, c.ws.shardOf(x.Args[1])
	if len(t.watch) > 0 && id != t.shard {
		return resp.ErrCrossSlot // no EXEC could look at both
	}
	c.leave()
	// The position first: a change between the two counts then.
	since, err := c.srv.node.WatchPosition(c.srv.work, id)
	if err != nil {
		return resp.Error(taskErrorText(err))
	}
	at := c.srv.clock().UnixMilli()
	t.shard = id
	for _, key := range x.Args[1:] {
		if !t.watches(c.db, key) {
			t.add(watched{c.db, append([]byte(nil), key...), since, at})
		}
	}
	x.Out.OK()
	return nil
}

func (t *txn) watches(db int, key []byte) bool {
	if t.seen != nil {
		_, ok := t.seen[watchedKey{db, string(key)}]
		return ok
	}
	for i := range t.watch {
		if t.watch[i].db == db && string(t.watch[i].key) == string(key) {
			return true
		}
	}
	return false
}

// add has one more key watched, which is not yet.
func (t *txn) add(w watched) {
	if t.watch = append(t.watch, w); len(t.watch) < fewWatched {
		return
	}
	if t.seen == nil {
		t.seen = make(map[watchedKey]struct{}, 2*fewWatched)
		for _, w := range t.watch {
			t.seen[watchedKey{w.db, string(w.key)}] = struct{}{}
		}
	}
	t.seen[watchedKey{w.db, string(w.key)}] = struct{}{}
}

func unwatch(c *Conn, x *command.Ctx) error {
	c.txn.watch, c.txn.seen = nil, nil
	x.Out.OK()
	return nil
}

// queue keeps a copy of a command for EXEC.
func (c *Conn) queue(spec *command.Spec, cmd resp.Command, at route) {
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
		if spec.MayWrite {
			t.flags |= command.FlagWrite
		}
		t.goesTo(spec, at, c.srv.config.ClusterRedirect.Load())
		c.shared.queued.Store(int32(len(t.calls)))
		c.shared.held.Store(t.bytes)
	}
	c.ws.out.Simple("QUEUED")
	c.mute(mark)
}

// goesTo notes where a queued command belongs. That it is elsewhere than others
// is said by EXEC, as in Redis Cluster; when the node redirects, another slot is
// elsewhere, even if it is in the same shard.
func (t *txn) goesTo(spec *command.Spec, at route, redirect bool) {
	if spec.Handler != nil {
		t.onKeys++
	}
	switch {
	case !at.keyed:
	case !t.keyed:
		t.crossed = len(t.watch) > 0 && t.shard != at.shard
		t.keyed, t.shard, t.slot = true, at.shard, at.slot
	case t.shard != at.shard, redirect && t.slot != at.slot:
		t.crossed = true
	}
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
