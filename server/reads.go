package server

import (
	"sync"

	"dkv/cluster"
	"dkv/cluster/raftlog"
	"dkv/server/command"
)

// maxPutOff bounds the reads that are put off.
const maxPutOff = 256

// defers reports whether a read waits for those behind it in the pipeline. Where
// there are several shards, the reads of a pipeline would otherwise wait for one
// read barrier after the other; together they wait once. And on an event loop all
// reads of a round wait for one barrier together, those of other clients too.
func (c *Conn) defers(id raftlog.ShardID, spec *command.Spec, args [][]byte) bool {
	if c.muting() || spec.WantsSnapshot(args) {
		return false
	}
	if c.host != nil && spec.Quick() && !c.stale(id) && !c.srv.node.ReadsAtOnce(id) {
		return true
	}
	return c.ws.slots.Shards() > 1 && (len(c.ws.reads) > 0 || c.reader.Buffered() > 0)
}

// putOff keeps a read for finishReads.
func (c *Conn) putOff(id raftlog.ShardID, spec *command.Spec, args [][]byte) {
	ws := c.ws
	ws.reads = append(ws.reads, call{spec: spec, args: args, db: c.db, shard: id})
	if len(ws.reads) >= maxPutOff {
		c.finishReads()
	}
}

// finishReads runs the reads that were put off. Invariant: nothing else has run
// since the first of them.
func (c *Conn) finishReads() {
	ws := c.ws
	if len(ws.reads) == 0 {
		return
	}
	failed := c.openFor(ws.reads)
	for i := range ws.reads {
		k := &ws.reads[i]
		if failed != nil && failed[k.shard] != nil {
			ws.fail(k, failed[k.shard])
			continue
		}
		_ = ws.read(k.shard, k.spec, k.args) // an error was replied
		if len(ws.out.Buf) >= flushBytes {
			c.flush()
		}
	}
	ws.reads = ws.reads[:0]
}

// openFor opens the readers that these reads need, all at the same time. It
// returns the errors of shards that cannot be read, by shard; nil when there are
// none.
func (c *Conn) openFor(reads []call) map[raftlog.ShardID]error {
	ws := c.ws
	var wanted []raftlog.ShardID
	var seen uint64
	for i := range reads {
		id := reads[i].shard
		if seen>>id&1 == 0 && !ws.reader(id).open {
			wanted = append(wanted, id)
		}
		seen |= 1 << id
	}
	var waiting sync.WaitGroup
	errs := make([]error, len(wanted))
	for i, id := range wanted {
		rd, o := ws.reader(id), cluster.ReadOptions{Stale: c.stale(id)}
		if i == len(wanted)-1 || o.Stale {
			errs[i] = c.open(id, rd, o)
			continue
		}
		c.leave()
		waiting.Go(func() { errs[i] = c.open(id, rd, o) })
	}
	waiting.Wait()
	var failed map[raftlog.ShardID]error
	ws.readAt = nanotime()
	for i, id := range wanted {
		rd := ws.reader(id)
		rd.end = ws.readAt + maxReadRun
		if err := c.began(id, rd, errs[i]); err != nil {
			if failed == nil {
				failed = make(map[raftlog.ShardID]error)
			}
			failed[id] = err
		}
	}
	return failed
}
