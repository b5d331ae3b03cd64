package script

import (
	"sync/atomic"
	"time"

	lua "github.com/yuin/gopher-lua"

	"dkv/cluster/slot"
	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

// Why a script is to stop.
const (
	stopKilled  = 1
	stopClosing = 2
)

// A run is one evaluation of a script. It is kept with its interpreter and used again.
type run struct {
	engine   *Engine
	state    *state
	x        *command.Ctx // the command that asked for it
	name     string       // SHA1 of the script, or name of the function
	function bool
	flags    flags

	db       int
	proto    int // of the replies that the script gets: 2 or 3
	slots    slot.Map
	limit    int        // of memory, bytes
	refusal  resp.Error // of writes; "" when they are allowed
	pending  int        // bytes of the batch before the script
	records  int        // records of the batch before the script
	began    time.Time
	busyFrom time.Time
	until    time.Time // it must have ended; zero: no such time

	stop  atomic.Uint32 // stopKilled, stopClosing
	late  atomic.Bool   // it has run for too long
	wrote atomic.Bool

	// Scratch: the command that the script calls, and its reply.
	sub  command.Ctx
	out  resp.Writer
	args [][]byte
	buf  []byte
}

// Refusals of writes.
const (
	errReadOnlyScript resp.Error = "ERR Write commands are not allowed from read-only scripts."
	errTooMuchWritten resp.Error = "ERR The writes of the script exceed lua-memory-limit"
)

func (r *run) reset(c *command.Ctx, name string, f flags, function bool) {
	o := &r.engine.o
	r.x, r.name, r.flags, r.function = c, name, f, function
	r.db, r.proto, r.slots = c.DB, 2, o.Slots()
	r.limit = int(o.MemoryLimit())
	r.began = time.Now()
	r.busyFrom = time.Time{}
	if d := o.BusyAfter(); d > 0 {
		r.busyFrom = r.began.Add(d)
	}
	r.stop.Store(0)
	r.late.Store(false)
	r.wrote.Store(false)
	r.refusal = ""
	r.pending, r.records = 0, 0
	switch {
	case f&flagNoWrites != 0, c.Spec.Flags&command.FlagReadOnly != 0:
		r.refusal = errReadOnlyScript
	case o.Follows():
		r.refusal = resp.ErrReadOnly
	case c.Tx.ReadOnly():
		r.refusal = errReadOnlyScript
	}
	if !c.Tx.ReadOnly() {
		r.pending, r.records = c.Tx.PendingBytes(), c.Tx.PendingRecords()
	}
}

// forget lets go of what belongs to others.
func (r *run) forget() {
	const maxKept = 64 << 10
	r.x, r.sub = nil, command.Ctx{}
	clear(r.args)
	r.args = r.args[:0]
	if cap(r.buf) > maxKept {
		r.buf = nil
	}
	if cap(r.out.Buf) > maxKept {
		r.out.Buf = nil
	}
}

func (r *run) busyError() resp.Error {
	if r.function {
		return ErrBusyFunction
	}
	return ErrBusy
}

// overdue returns why the script has to stop. When it has run for too long, others are
// told from now on.
func (r *run) overdue() error {
	switch r.stop.Load() {
	case stopKilled:
		if r.function {
			return errKilledFunction
		}
		return errKilledScript
	case stopClosing:
		return errClosing
	}
	if !r.until.IsZero() && time.Now().After(r.until) {
		return errLoadTimeout
	}
	if r.busyFrom.IsZero() || time.Now().Before(r.busyFrom) {
		return nil
	}
	if !r.late.Swap(true) {
		r.engine.overdue.Add(1)
		r.engine.o.Logger.Warn("a script is slow", "script", r.name, "for", time.Since(r.began))
	}
	if !r.x.Tx.ReadOnly() {
		r.engine.o.Refuse(r.x.Shard, r.busyError())
	}
	return nil
}

// finish replies what the script has returned, or returns its error. What a failed
// script has written stays.
func (r *run) finish(v lua.LValue, failed *lua.LTable) error {
	m := &r.state.meter
	if failed == nil && m.err == nil {
		mark := len(r.x.Out.Buf)
		if r.reply(v, 0); m.err == nil {
			return nil
		}
		r.x.Out.Buf = r.x.Out.Buf[:mark]
	}
	switch {
	case m.err == errClosing:
		return errClosing // all of it is undone
	case m.err != nil:
		if failed == nil {
			failed = r.state.L.NewTable()
		}
		failed.RawSetString("err", lua.LString(m.err.Error()))
	}
	return command.Kept{Err: resp.Error(r.message(failed))}
}

// message is the reply for an error that the script has raised or met.
func (r *run) message(e *lua.LTable) string {
	message := errorField(e)
	source, line := e.RawGetString("source"), e.RawGetString("line")
	if isText(source) && isText(line) {
		message += " script: " + r.name + ", on " + text(source) + ":" + text(line) + "."
	}
	return message
}

func errorField(e *lua.LTable) string {
	if v := e.RawGetString("err"); isText(v) {
		return text(v)
	}
	return "ERR unknown error"
}

// call runs a command, whose reply goes to r.out.
func (r *run) call(args [][]byte) error {
	spec, err := r.admit(args)
	if err != nil {
		return err
	}
	x := &r.sub
	o := r.x
	x.Args, x.DB, x.Tx, x.Out, x.Spec, x.Shard = args, r.db, o.Tx, &r.out, spec, o.Shard
	x.MaxStringLen, x.Limits, x.Sharded = o.MaxStringLen, o.Limits, o.Sharded
	r.out.Reset()
	r.out.Proto = r.proto
	if spec.Handler == nil {
		own := ownCommands[spec.Name]
		if own == nil {
			return errNotAllowed
		}
		return own(r, x)
	}
	if o.Tx.ReadOnly() {
		return r.engine.o.Guard(x)
	}
	mark := o.Tx.Mark()
	if err = r.engine.o.Guard(x); err != nil {
		o.Tx.Rollback(mark)
		return err
	}
	if o.Tx.PendingBytes()-r.pending > r.limit {
		o.Tx.Rollback(mark)
		return errTooMuchWritten
	}
	if o.Tx.PendingRecords() > r.records {
		r.wrote.Store(true)
	}
	return nil
}

// Errors of redis.call.
const (
	errUnknownCommand resp.Error = "ERR Unknown Redis command called from script"
	errArity          resp.Error = "ERR Wrong number of args calling Redis command from script"
	errNotAllowed     resp.Error = "ERR This Redis command is not allowed from script"
	errNonLocal       resp.Error = "ERR Script attempted to access a non local key in a cluster node"
)

// admit returns the row of a command that the script may call.
func (r *run) admit(args [][]byte) (*command.Spec, error) {
	spec := command.Lookup(args[0])
	if spec != nil && spec.Subcommands != nil && len(args) > 1 {
		spec = spec.Sub(args[1])
	}
	switch {
	case spec == nil:
		return nil, errUnknownCommand
	case !spec.GoodArity(len(args)):
		return nil, errArity
	case spec.Flags&command.FlagNoScript != 0:
		return nil, errNotAllowed
	case spec.Flags&(command.FlagWrite|command.FlagMayReplicate) != 0 && r.refusal != "":
		return nil, r.refusal
	}
	if r.slots.Shards() == 1 || len(spec.KeySpecs) == 0 {
		return spec, nil
	}
	keys, err := spec.Keys(args)
	if err != nil && len(keys) == 0 {
		return spec, nil // the command itself will say
	}
	for _, i := range keys {
		if int(r.slots.ShardOf(keyspace.SlotOf(args[i]))) != r.x.Shard {
			return nil, errNonLocal
		}
	}
	return spec, nil
}

// publish sends a message behind what the script has written: it travels in the same
// log entry, and each node that applies that tells its subscribers. The reply is how
// many there are on this node.
func (r *run) publish(x *command.Ctx, class keyspace.Class) error {
	x.Tx.NoteMessage(class, x.Args[1], x.Args[2])
	x.Out.Int(int64(r.engine.o.Receivers(class == keyspace.ClassShardMessage, x.Args[1])))
	return nil
}

// ownCommands are the commands without keys that scripts may call. They change only
// what the script itself sees.
var ownCommands = map[string]func(r *run, x *command.Ctx) error{
	"ping": func(_ *run, x *command.Ctx) error {
		switch len(x.Args) {
		case 1:
			x.Out.Simple("PONG")
		case 2:
			x.Out.Bulk(x.Args[1])
		default:
			return resp.ErrWrongArity("ping")
		}
		return nil
	},
	"echo": func(_ *run, x *command.Ctx) error {
		x.Out.Bulk(x.Args[1])
		return nil
	},
	"time": func(_ *run, x *command.Ctx) error {
		now := time.Now()
		x.Out.Array(2)
		x.Out.BulkInt(now.Unix())
		x.Out.BulkInt(int64(now.Nanosecond() / 1000))
		return nil
	},
	"publish":  func(r *run, x *command.Ctx) error { return r.publish(x, keyspace.ClassMessage) },
	"spublish": func(r *run, x *command.Ctx) error { return r.publish(x, keyspace.ClassShardMessage) },
	"select": func(r *run, x *command.Ctx) error {
		n, ok := keyspace.ParseInt(x.Args[1])
		if !ok {
			return resp.ErrNotInt
		}
		if n < 0 || n >= r.engine.o.Databases() {
			return resp.ErrDBIndexOutOfRange
		}
		r.db = int(n)
		x.Out.OK()
		return nil
	},
}
