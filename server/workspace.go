package server

import (
	"errors"
	"sync"
	"time"

	"dkv/cluster"
	"dkv/cluster/raftlog"
	"dkv/cluster/slot"
	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

const (
	maxReadRun    = 1e6 // nanoseconds that reads share one barrier and one time
	maxKeptOutput = 256 << 10
)

// workspace is what a connection needs while it has commands to run. It is
// shared through a pool: an idle connection has none.
type workspace struct {
	conn  *Conn
	slots slot.Map // commands are routed by
	out   resp.Writer
	x     command.Ctx
	tally

	collected
	readers []*reader     // by shard
	reading bool          // some reader is open
	readAt  int64         // nanotime of the end of the last read; 0: not known
	spent   int64         // set by a bound handler that knows better how long it took
	hits    uint64        // keyspace hits of requests, and misses, not yet counted
	misses  uint64        //
	last    *command.Spec // the last command
	leave   func()        // conn.leave
	allowed allowance
}

// reader is a Tx for reading one shard.
type reader struct {
	tx   keyspace.Tx
	open bool
	end  int64     // nanotime when it must be renewed
	seen [2]uint64 // tx.Hits and tx.Misses that were counted
}

var workspaces = sync.Pool{New: func() any {
	ws := new(workspace)
	ws.leave = func() { ws.conn.leave() }
	ws.allowed.more = ws.moreReply
	return ws
}}

func takeWorkspace(c *Conn) *workspace {
	ws := workspaces.Get().(*workspace)
	ws.conn = c
	ws.slots = c.srv.slots()
	ws.out.Proto = c.proto
	ws.maxStr = c.srv.config.ProtoMaxBulkLen.Load()
	ws.last = nil
	c.hold()
	return ws
}

// release gives the workspace back. What could not be sent to its client goes to no
// other one.
func (ws *workspace) release() {
	if ws.out.Buf = ws.out.Buf[:0]; cap(ws.out.Buf) > maxKeptOutput {
		ws.out.Buf = nil
	}
	for _, r := range ws.requests {
		r.trim()
	}
	ws.x.Args, ws.x.Tx = nil, nil
	ws.conn.ws, ws.conn = nil, nil
	workspaces.Put(ws)
}

func (ws *workspace) countLookups(st *Stats) {
	hits, misses := ws.hits, ws.misses
	for _, rd := range ws.readers {
		hits += rd.tx.Hits - rd.seen[0]
		misses += rd.tx.Misses - rd.seen[1]
		rd.seen = [2]uint64{rd.tx.Hits, rd.tx.Misses}
	}
	ws.hits, ws.misses = 0, 0
	if hits != 0 {
		st.KeyspaceHits.Add(hits)
	}
	if misses != 0 {
		st.KeyspaceMisses.Add(misses)
	}
}

// ctx readies the context of one command.
func (ws *workspace) ctx(spec *command.Spec, args [][]byte) *command.Ctx {
	x := &ws.x
	x.Spec, x.Args, x.DB, x.Tx, x.Out, x.MaxStringLen = spec, args, ws.conn.db, nil, &ws.out, ws.maxStr
	x.Limits = &ws.conn.srv.config.Encodings
	x.Sharded = ws.slots.Shards() > 1
	x.Scripts, x.Shard = ws.conn.srv.scripts, 0
	x.Lengthy, x.Read = nil, 0
	x.MaxKept = ws.conn.srv.config.CommandMemoryLimit.Load()
	x.MaxReply = ws.conn.srv.config.OutputLimitNormal.Hard.Load()
	ws.conn.caller().of(x)
	return x
}

// reader returns the reader of a shard.
func (ws *workspace) reader(id raftlog.ShardID) *reader {
	for len(ws.readers) <= int(id) {
		ws.readers = append(ws.readers, new(reader))
	}
	return ws.readers[id]
}

// begin opens a shard's reader, after the read barrier. A client that has chosen
// READONLY waits for none, unless it could see less than what the reply to a
// write of its own has told it.
func (c *Conn) begin(id raftlog.ShardID, snapshot bool) (*reader, error) {
	rd := c.ws.reader(id)
	o := cluster.ReadOptions{Snapshot: snapshot, Stale: c.stale(id)}
	return rd, c.began(id, rd, c.open(id, rd, o))
}

// beginAll opens the readers of several shards, each of which sees one state.
func (c *Conn) beginAll(ids []raftlog.ShardID) error {
	var waiting sync.WaitGroup
	errs := make([]error, len(ids))
	for i, id := range ids {
		rd := c.ws.reader(id)
		o := cluster.ReadOptions{Snapshot: true, Stale: c.stale(id)}
		waiting.Go(func() { errs[i] = c.open(id, rd, o) })
	}
	waiting.Wait()
	for i, id := range ids {
		errs[i] = c.began(id, c.ws.reader(id), errs[i])
	}
	for _, err := range errs {
		if err != nil {
			return resp.Error(taskErrorText(err))
		}
	}
	return nil
}

// stale says whether a read takes what this node has.
func (c *Conn) stale(id raftlog.ShardID) bool {
	return c.fresh>>id&1 != 0 || c.readOnly && c.wrote>>id&1 == 0
}

// open waits for the read barrier. It touches nothing of the connection's but rd.
func (c *Conn) open(id raftlog.ShardID, rd *reader, o cluster.ReadOptions) error {
	if c.ws.slots != c.srv.slots() {
		return errSlotsChanged
	}
	if !o.Stale && !c.srv.node.ReadsAtOnce(id) {
		c.leave()
	}
	err := c.srv.node.Read(c.srv.work, id, &rd.tx, o)
	if err != nil {
		return errors.Join(err, rd.tx.Close())
	}
	return nil
}

// began notes that a reader was opened, unless err says that it was not.
func (c *Conn) began(id raftlog.ShardID, rd *reader, err error) error {
	if err != nil {
		return err
	}
	c.wrote &^= 1 << id // there was a barrier, or nothing to wait for
	rd.tx.NoTouch = c.noTouch
	rd.open, c.ws.reading = true, true
	return nil
}

// read runs a reading keyspace command on the connection's own goroutine.
// Consecutive reads of a shard share one barrier: they had all arrived before
// it. The error, which was replied, says that the shard cannot be read.
func (ws *workspace) read(id raftlog.ShardID, spec *command.Spec, args [][]byte) error {
	c := ws.conn
	x := ws.ctx(spec, args)
	mark := len(ws.out.Buf)
	snapshot := spec.WantsSnapshot(args)
	rd := ws.reader(id)
	if rd.open && (snapshot || ws.readAt > rd.end) {
		ws.endRead(rd)
	}
	if rd.open && ws.readAt == 0 {
		ws.readAt = nanotime() // replies were sent since, which is not this command's time
	}
	if !rd.open {
		if _, err := c.begin(id, snapshot); err != nil {
			ws.error(taskErrorText(err))
			ws.ran(spec, args, 0, true)
			c.mute(mark)
			return err
		}
		ws.readAt = nanotime()
		rd.end = ws.readAt + maxReadRun
	}
	x.Tx, x.Shard = &rd.tx, int(id)
	if c.host != nil && c.sock.loop.cold() {
		c.leave()
		ws.readAt = nanotime()
	}
	if spec.Counted {
		x.Lengthy = ws.leave
	}
	ws.beginReply()
	err := ws.replyError(c.srv.guard(x))
	ws.endReply()
	if thawed := rd.tx.Thaw(); err == nil {
		err = thawed
	}
	if err != nil {
		ws.out.Buf = ws.out.Buf[:mark]
		ws.error(errorText(err))
		if err == command.ErrReplyTooLong {
			c.outputLimit()
		}
	}
	now := nanotime()
	ws.ran(spec, args, now-ws.readAt, err != nil)
	switch {
	case c.sock == nil:
	case spec.Flags&command.FlagFast != 0:
		c.sock.loop.took((now - ws.readAt) / int64(lookups(spec, args)))
	case spec.Counted:
		c.sock.loop.tookFor(now-ws.readAt, x.Read)
	}
	ws.readAt = now
	if snapshot {
		ws.endRead(rd)
	}
	c.mute(mark)
	return nil
}

// endReads closes all readers.
func (ws *workspace) endReads() {
	ws.reading = false
	for _, rd := range ws.readers {
		if rd.open {
			ws.endRead(rd)
		}
	}
}

func (ws *workspace) endRead(rd *reader) {
	rd.open = false
	if err := rd.tx.Close(); err != nil {
		ws.conn.srv.log.Error("cannot close a snapshot", "err", err)
	}
}

// error replies an error and counts it.
func (ws *workspace) error(text string) {
	ws.out.Error(text)
	ws.conn.srv.stats.countError(text)
}

// errorText is the reply line for what a handler returned: its text when it is
// a reply, otherwise a failure of ours.
func errorText(err error) string {
	var reply resp.Error
	if errors.As(err, &reply) {
		return string(reply)
	}
	return string(resp.ErrInternal) + ": " + err.Error()
}

// taskErrorText is the reply line for a task's error, whose text is one.
func taskErrorText(err error) string { return err.Error() }

// ran does what follows every command that ran: statistics, the slow log, the
// latency monitor, MONITOR.
func (ws *workspace) ran(spec *command.Spec, args [][]byte, nanos int64, failed bool) {
	ws.count(spec, args, nanos, failed)
	ws.conn.show(spec, args)
}

// show shows a command to monitors.
func (c *Conn) show(spec *command.Spec, args [][]byte) {
	if c.srv.monitors.any() && spec.Flags&(command.FlagSkipMonitor|command.FlagAdmin) == 0 {
		c.srv.monitors.feed(c, c.db, args)
	}
}

// count is ran without MONITOR.
func (ws *workspace) count(spec *command.Spec, args [][]byte, nanos int64, failed bool) {
	c := ws.conn
	ws.last = spec
	ws.tally.add(c.srv.stats, spec, uint64(max(nanos, 0)), failed)
	if d := time.Duration(nanos); c.srv.slowlog.slow(d) || d >= minLatencyEvent {
		c.observe(spec, args, d)
	}
}

// minLatencyEvent is the lowest threshold that the latency monitor can have.
const minLatencyEvent = time.Millisecond

// observe tells the slow log and the latency monitor of a slow command.
func (c *Conn) observe(spec *command.Spec, args [][]byte, d time.Duration) {
	if spec.Flags&command.FlagSkipSlowlog == 0 && c.srv.slowlog.slow(d) {
		c.srv.slowlog.add(c.addr, c.name, args, d)
	}
	event := latencyCommand
	if spec.Flags&command.FlagFast != 0 {
		event = latencyFastCommand
	}
	c.srv.latency.Observe(event, d)
}
