package server

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"dkv/cluster/shard"
	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

// Limits of one task. A longer run of writes becomes several tasks.
const (
	maxTaskCommands = 1024
	maxTaskBytes    = 1 << 20 // of requests
	maxTaskReply    = 1 << 20 // replies; the command that reaches it is the last
	maxTaskReads    = 64
	maxReadRun      = 1e6 // nanoseconds that reads share one barrier and one time
	maxKeptOutput   = 256 << 10
	maxKeptCalls    = 4 * maxTaskCommands
)

// workspace is what a connection needs while it has commands to run. It is
// shared through a pool: an idle connection has none.
type workspace struct {
	conn *Conn
	out  resp.Writer
	x    command.Ctx
	tx   keyspace.Tx // for reading
	tally

	calls   []call // writes that wait to be run
	bytes   int    // of their requests
	reads   int    // how many of calls are reads
	done    int    // how many of calls the task has run
	task    shard.Task
	exec    shard.Task
	spent   int64  // set by a bound handler that knows better how long it took
	hits    uint64 // keyspace hits of tasks, and misses, not yet counted
	misses  uint64
	last    *command.Spec // the last command
	reading bool          // tx is in use by a run of reads
	readAt  int64         // nanotime of the end of the last read; 0: not known
	readEnd int64         // nanotime when tx must be renewed
	seen    [2]uint64     // tx.Hits and tx.Misses that were counted
}

// call is a command that waits to be run.
type call struct {
	spec   *command.Spec
	args   [][]byte
	nanos  int64 // it took
	failed bool
}

var workspaces = sync.Pool{New: func() any {
	ws := new(workspace)
	ws.task.Eval = ws.evalCalls
	ws.exec.Eval = ws.evalExec
	return ws
}}

func takeWorkspace(c *Conn) *workspace {
	ws := workspaces.Get().(*workspace)
	ws.conn = c
	ws.out.Proto = c.proto
	ws.x.MaxStringLen = c.srv.config.ProtoMaxBulkLen.Load()
	ws.last = nil
	return ws
}

// release gives the workspace back.
func (ws *workspace) release() {
	if cap(ws.out.Buf) > maxKeptOutput {
		ws.out.Buf = nil
	}
	if cap(ws.calls) > maxKeptCalls {
		ws.calls = nil
	}
	ws.x.Args, ws.x.Tx = nil, nil
	ws.conn.ws, ws.conn = nil, nil
	workspaces.Put(ws)
}

func (ws *workspace) countLookups(st *Stats) {
	hits := ws.hits + ws.tx.Hits - ws.seen[0]
	misses := ws.misses + ws.tx.Misses - ws.seen[1]
	ws.hits, ws.misses = 0, 0
	ws.seen = [2]uint64{ws.tx.Hits, ws.tx.Misses}
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
	x.Spec, x.Args, x.DB, x.Tx, x.Out = spec, args, ws.conn.db, nil, &ws.out
	return x
}

// add puts a write into the task that is being collected.
func (ws *workspace) add(spec *command.Spec, cmd resp.Command) {
	if ws.reading {
		ws.endReads()
	}
	ws.calls = append(ws.calls, call{spec: spec, args: cmd.Args})
	ws.bytes += cmd.Size
}

// joins says whether a read goes into the task of the writes before it, instead
// of waiting for them: then a pipeline of both is one task and one commit, not
// one for each change between them. The writer's time is everybody's, so only
// fast reads do, and not many.
func (ws *workspace) joins(spec *command.Spec) bool {
	if len(ws.calls) == 0 || spec.Flags&command.FlagFast == 0 || ws.reads == maxTaskReads {
		return false
	}
	ws.reads++
	return true
}

func (ws *workspace) full() bool {
	return len(ws.calls) >= maxTaskCommands || ws.bytes >= maxTaskBytes
}

// finish runs what was collected and ends a run of reads.
func (c *Conn) finish() {
	c.finishWrites()
	if c.ws.reading {
		c.ws.endReads()
	}
}

// finishWrites sends the collected commands to the shard and waits until their
// writes are committed: nearly always one task, more when the replies are large.
func (c *Conn) finishWrites() {
	ws := c.ws
	if len(ws.calls) > 0 {
		c.warm(ws.calls)
	}
	for len(ws.calls) > 0 {
		mark := len(ws.out.Buf)
		ws.done = 0
		c.srv.node.Submit(&ws.task)
		err := ws.task.Wait()
		if ws.done == 0 {
			ws.done = len(ws.calls) // refused before it was evaluated
		}
		if err != nil {
			ws.out.Buf = ws.out.Buf[:mark]
			ws.failCalls(err)
		} else {
			for i := range ws.calls[:ws.done] {
				k := &ws.calls[i]
				ws.ran(k.spec, k.args, k.nanos, k.failed)
			}
		}
		c.mute(mark)
		ws.calls = ws.calls[:copy(ws.calls, ws.calls[ws.done:])]
		if len(ws.calls) > 0 && len(ws.out.Buf) >= flushBytes {
			c.flush()
		}
	}
	ws.bytes, ws.reads = 0, 0
}

// warm looks up the keys that the calls will change, so that the shard's writer
// finds their records in memory: lookups run on many goroutines, the writer is
// one. A failure here says nothing; the writer will meet it again.
func (c *Conn) warm(calls []call) {
	if !c.srv.node.Warms() {
		return
	}
	tx := &c.ws.tx
	if err := c.srv.node.BeginRead(tx, false); err != nil {
		return
	}
	for i := range calls {
		spec, args := calls[i].spec, calls[i].args
		if spec.FirstKey == 0 || spec.Flags&command.FlagWrite == 0 {
			continue
		}
		last := spec.LastKey
		if last < 0 {
			last += len(args)
		}
		for k := spec.FirstKey; k <= last && k < len(args); k += spec.KeyStep {
			if _, err := tx.Inspect(c.db, args[k]); err != nil {
				break
			}
		}
	}
	if err := tx.Close(); err != nil {
		c.srv.log.Error("cannot end a read", "err", err)
	}
}

// failCalls replies for a task that was not committed. Reads that were in it
// are run by themselves: they work on while a full disk stops writes.
func (ws *workspace) failCalls(err error) {
	for i := range ws.calls[:ws.done] {
		k := &ws.calls[i]
		if k.spec.Flags&command.FlagWrite == 0 {
			ws.read(k.spec, k.args)
			continue
		}
		ws.error(taskErrorText(err))
		ws.ran(k.spec, k.args, k.nanos, true)
	}
	if ws.reading {
		ws.endReads()
	}
}

// evalCalls runs the collected writes on the shard's writer, while the
// connection's goroutine waits.
func (ws *workspace) evalCalls(tx *keyspace.Tx) {
	c := ws.conn
	tx.NoTouch = c.noTouch
	hits, misses := tx.Hits, tx.Misses
	start := len(ws.out.Buf)
	began := nanotime()
	for ws.done < len(ws.calls) && len(ws.out.Buf)-start < maxTaskReply {
		k := &ws.calls[ws.done]
		x := ws.ctx(k.spec, k.args)
		x.Tx = tx
		k.failed = c.runWrite(x)
		now := nanotime()
		k.nanos, began = now-began, now
		ws.done++
	}
	ws.hits += tx.Hits - hits
	ws.misses += tx.Misses - misses
	tx.NoTouch = false
}

// runWrite runs a keyspace command in a write Tx. What a failed command had
// done and replied is undone.
func (c *Conn) runWrite(x *command.Ctx) (failed bool) {
	mark, before := x.Tx.Mark(), len(x.Out.Buf)
	err := c.guard(x)
	if err != nil {
		x.Tx.Rollback(mark)
		x.Out.Buf = x.Out.Buf[:before]
		c.ws.error(errorText(err))
	}
	return err != nil
}

// read runs a reading keyspace command on the connection's own goroutine.
// Consecutive reads share one barrier: they had all arrived before it.
func (ws *workspace) read(spec *command.Spec, args [][]byte) {
	c := ws.conn
	x := ws.ctx(spec, args)
	mark := len(ws.out.Buf)
	snapshot := spec.WantsSnapshot(args)
	if ws.reading && (snapshot || ws.readAt > ws.readEnd) {
		ws.endReads()
	}
	if ws.reading && ws.readAt == 0 {
		ws.readAt = nanotime() // replies were sent since, which is not this command's time
	}
	if !ws.reading {
		if err := c.srv.node.BeginRead(&ws.tx, snapshot); err != nil {
			ws.error(taskErrorText(err))
			ws.ran(spec, args, 0, true)
			c.mute(mark)
			return
		}
		ws.tx.NoTouch = c.noTouch
		ws.reading = true
		ws.readAt = nanotime()
		ws.readEnd = ws.readAt + maxReadRun
	}
	x.Tx = &ws.tx
	err := c.guard(x)
	if err != nil {
		ws.out.Buf = ws.out.Buf[:mark]
		ws.error(errorText(err))
	}
	now := nanotime()
	ws.ran(spec, args, now-ws.readAt, err != nil)
	ws.readAt = now
	if snapshot {
		ws.endReads()
	}
	c.mute(mark)
}

func (ws *workspace) endReads() {
	ws.reading = false
	if err := ws.tx.Close(); err != nil {
		ws.conn.srv.log.Error("cannot close a snapshot", "err", err)
	}
}

// guard runs a keyspace handler and turns its panic into an error.
func (c *Conn) guard(x *command.Ctx) (err error) {
	defer c.recovered(&err, x)
	return x.Spec.Handler(x)
}

// recovered is deferred around handlers: a bug in one of them fails its
// command, not the node.
func (c *Conn) recovered(err *error, x *command.Ctx) {
	p := recover()
	if p == nil {
		return
	}
	c.srv.log.Error("a command panicked", "command", x.Spec.Name, "args", len(x.Args), "panic", fmt.Sprint(p),
		"stack", string(debug.Stack()))
	*err = resp.ErrInternal
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
	c := ws.conn
	ws.last = spec
	ws.tally.add(c.srv.stats, spec, uint64(max(nanos, 0)), failed)
	if d := time.Duration(nanos); c.srv.slowlog.slow(d) || d >= minLatencyEvent {
		c.observe(spec, args, d)
	}
	if c.srv.monitors.any() && spec.Flags&(command.FlagSkipMonitor|command.FlagAdmin) == 0 {
		c.srv.monitors.feed(c, args)
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
