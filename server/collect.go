package server

import (
	"errors"
	"sync"

	"dkv/cluster"
	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/server/command"
)

// Limits of one task. A longer run of writes becomes several tasks.
const (
	maxTaskCommands = 1024
	maxTaskBytes    = 1 << 20 // of requests
	maxTaskReply    = 1 << 20 // replies; the command that reaches it is the last
	maxTaskReads    = 64
	maxKeptCalls    = 4 * maxTaskCommands
)

// collected are commands that wait to be run: the writes of a pipeline, and fast
// reads between them.
type collected struct {
	requests []*shardRequest   // by shard
	active   []*shardRequest   // those that have calls
	due      []*shardRequest   // those that runDue has submitted
	order    []raftlog.ShardID // of the calls, as the client sent them
	bytes    int               // of their requests
	riders   int               // how many of them are reads
	reads    []call            // put off, see Conn.defers
	maxStr   int64             // proto-max-bulk-len
}

// request returns the request of a shard, readied for the connection.
func (ws *workspace) request(id raftlog.ShardID) *shardRequest {
	for len(ws.requests) <= int(id) {
		ws.requests = append(ws.requests, newRequest(raftlog.ShardID(len(ws.requests))))
	}
	r := ws.requests[id]
	r.srv, r.out, r.slots = ws.conn.srv, &ws.out, ws.slots
	r.noTouch, r.maxString, r.maxReply = ws.conn.noTouch, ws.maxStr, maxTaskReply
	r.caller = ws.conn.caller()
	r.writer = ws.conn.writerName()
	return r
}

// add puts a command into the request that is being collected for a shard.
func (ws *workspace) add(id raftlog.ShardID, spec *command.Spec, args [][]byte, size int) {
	if ws.reading {
		ws.endReads()
	}
	c := ws.conn
	if !ws.has(id) {
		ws.active = append(ws.active, ws.request(id))
	}
	r := ws.requests[id]
	r.calls = append(r.calls, call{spec: spec, args: args, db: c.db, proto: c.proto, shard: id})
	ws.order = append(ws.order, id)
	ws.bytes += size
}

// has reports whether calls were collected for a shard.
func (ws *workspace) has(id raftlog.ShardID) bool {
	return int(id) < len(ws.requests) && len(ws.requests[id].calls) > 0
}

// joins says whether a read goes along with the writes before it, instead of
// waiting for them: then a pipeline of both is one task and one commit, not
// one for each change between them. The writer's time is everybody's, so only
// fast reads do, and not many.
func (ws *workspace) joins(spec *command.Spec) bool {
	if len(ws.order) == 0 || !spec.Quick() || ws.riders == maxTaskReads {
		return false
	}
	ws.riders++
	return true
}

func (ws *workspace) full() bool {
	return len(ws.order) >= maxTaskCommands || ws.bytes >= maxTaskBytes
}

// finish runs what was collected and ends a run of reads.
func (c *Conn) finish() {
	c.finishWrites()
	c.finishReads()
	if c.ws.reading {
		c.ws.endReads()
	}
}

// finishWrites has the collected commands done and waits until their writes are
// committed: nearly always one task a shard, more when the replies are large.
//
// Commands of one pipeline for different shards run side by side: a client that
// sends the second before it has the reply to the first cannot rely on their
// order, as little as with two nodes of Redis Cluster. What is for one shard
// keeps its order, and replies always have that of the requests.
func (c *Conn) finishWrites() {
	ws := c.ws
	switch len(ws.active) {
	case 0:
		return
	case 1:
		c.runOne(ws.active[0])
	default:
		c.runSeveral()
	}
	ws.forget()
}

// forget readies for collecting anew.
func (ws *workspace) forget() {
	for _, r := range ws.active {
		r.clear()
	}
	ws.active, ws.order = ws.active[:0], ws.order[:0]
	ws.bytes, ws.riders = 0, 0
}

// runOne has the calls of one request done, whose replies are the client's.
func (c *Conn) runOne(r *shardRequest) {
	ws := c.ws
	if !r.waiting {
		r.warm()
	}
	for r.from < len(r.calls) {
		if !r.waiting { // else the shard's writer replies to it already
			r.mark = len(ws.out.Buf)
		}
		mark := r.mark
		c.submit(r)
		ws.collect(r)
		for i := r.from; i < r.done; i++ {
			ws.settle(r, i)
		}
		c.mute(mark)
		r.from = r.done
		if r.from < len(r.calls) && len(ws.out.Buf) >= flushBytes {
			c.flush()
		}
	}
}

// runSeveral has the calls of several requests done at the same time and puts
// their replies in order. A request is not submitted again for its next part
// before the replies of the last one have been taken, so that what is held
// back is bounded.
func (c *Conn) runSeveral() {
	ws := c.ws
	for n := 0; n < len(ws.order); {
		c.runDue()
		for ; n < len(ws.order); n++ {
			r := ws.requests[ws.order[n]]
			if r.sent == r.done {
				break
			}
			if r.err == nil {
				ws.out.Raw(r.reply(r.sent))
			}
			ws.settle(r, r.sent)
			r.sent++
		}
		if n < len(ws.order) && len(ws.out.Buf) >= flushBytes {
			c.flush()
		}
	}
}

// runDue submits every active request that has calls left and no replies that
// wait to be taken. Where this node leads, that is a task in the shard's queue;
// only a request to another node needs a goroutine that waits for its answer.
func (c *Conn) runDue() {
	var elsewhere sync.WaitGroup
	ws := c.ws
	ws.due = ws.due[:0]
	for _, r := range ws.active {
		if r.waiting {
			// Nothing of it may be looked at before it was awaited: the shard's writer
			// is at it.
			ws.due = append(ws.due, r)
			continue
		}
		if r.sent < r.done || r.done == len(r.calls) {
			continue
		}
		ws.due = append(ws.due, r)
		r.separate()
		c.leave()
		if !r.enqueue() {
			elsewhere.Go(r.submit)
		}
	}
	for _, r := range ws.due {
		r.await()
	}
	elsewhere.Wait()
	for _, r := range ws.due {
		c.hasWritten(r)
		ws.collect(r)
	}
}

// submit has a request done of which the caller has only this one. It may be
// enqueued already.
func (c *Conn) submit(r *shardRequest) {
	if r.waiting {
		r.await()
	} else {
		c.leave()
		r.submit()
	}
	c.hasWritten(r)
}

// hasWritten notes that reads of the shard, those after READONLY too, have to see what
// a request has done; but not where it is certain that nothing was: without a majority
// reads after READONLY would then be refused as well.
func (c *Conn) hasWritten(r *shardRequest) {
	if r.err == nil || errors.Is(r.err, shard.ErrUncertain) || errors.Is(r.err, cluster.ErrAnswerTooLarge) {
		c.wrote |= 1 << r.shard
	}
}

// separate readies a request for the next part, whose replies are kept apart.
func (r *shardRequest) separate() {
	r.from, r.mark = r.done, 0
	r.own.Reset()
	r.out = &r.own
}

// collect counts what a part of a request that was done has looked up.
func (ws *workspace) collect(r *shardRequest) {
	if r.err == nil {
		ws.hits += r.hits
		ws.misses += r.misses
	}
}

// settle does what follows call i of a request when its reply is in the output,
// or makes that reply when the request has failed. Reads that were in such a
// one are run by themselves: they work on while a full disk stops writes.
func (ws *workspace) settle(r *shardRequest, i int) {
	k := &r.calls[i]
	switch {
	case r.err == nil:
		if k.failed {
			ws.conn.srv.stats.countError(errorLine(r.reply(i)))
		}
		ws.ran(k.spec, k.args, k.nanos, k.failed)
	case k.spec.MayWrite:
		ws.fail(k, r.err)
	case k.spec.Flags&command.FlagWrite == 0 && r.lost == nil:
		r.lost = ws.read(k.shard, k.spec, k.args)
		ws.endReads()
	case k.spec.Flags&command.FlagWrite == 0:
		ws.fail(k, r.lost)
	default:
		ws.fail(k, r.err)
	}
}

// fail replies for a call that was not done.
func (ws *workspace) fail(k *call, err error) {
	ws.error(taskErrorText(err))
	ws.ran(k.spec, k.args, 0, true)
}
