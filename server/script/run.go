package script

import (
	"bytes"
	"strings"
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
	oom      bool       // what takes memory is refused until the first write
	pending  int        // bytes of the batch before the script
	records  int        // records of the batch before the script
	began    time.Time
	busyFrom time.Time
	until    time.Time // it must have ended; zero: no such time

	stop  atomic.Uint32 // stopKilled, stopClosing
	late  atomic.Bool   // it has run for too long
	wrote atomic.Bool

	// met are the errors that commands have replied, by their text up to the first space:
	// INFO counts them once, here or as the script's own reply.
	met map[string]int

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
	clear(r.met)
	r.oom = f&flagAllowOOM == 0 && r.engine.outOfMemory()
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
	defer r.tellMet()
	m := &r.state.meter
	if failed == nil && m.err == nil {
		mark := len(r.x.Out.Buf)
		r.reply(v, 0)
		reply := r.x.Out.Buf[mark:]
		switch {
		case m.err != nil:
		case len(reply) > 0 && reply[0] == '-': // an error that is returned is one, too
			err := resp.Error(reply[1 : len(reply)-len("\r\n")])
			r.x.Out.Buf = r.x.Out.Buf[:mark]
			return command.Kept{Err: err}
		default:
			return nil
		}
		r.x.Out.Buf = r.x.Out.Buf[:mark]
	}
	if failed != nil && failed.RawGetString(countedField) == lua.LTrue {
		r.unmeet(errorField(failed))
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

// maxMet bounds the kinds of errors that are counted for one script.
const maxMet = 64

// meet notes an error that a command has replied.
func (r *run) meet(text string) {
	code, _, _ := strings.Cut(text, " ")
	if r.met == nil {
		r.met = make(map[string]int)
	}
	if _, known := r.met[code]; known || len(r.met) < maxMet {
		r.met[code]++
	}
}

// unmeet takes an error back that the script replies: who sends the reply counts it.
func (r *run) unmeet(text string) {
	code, _, _ := strings.Cut(text, " ")
	if r.met[code] > 0 {
		r.met[code]--
	}
}

// tellMet counts what is left of the errors.
func (r *run) tellMet() {
	for code, n := range r.met {
		for range n {
			r.engine.o.Failed(code)
		}
	}
}

// call runs a command, whose reply goes to r.out, and tells of it.
func (r *run) call(args [][]byte) error {
	spec, err := r.admit(args)
	if err != nil {
		if r.meet(errorText(err)); spec != nil {
			r.engine.o.Called(Call{Spec: spec, Args: args, DB: r.db, Rejected: true, Failed: true})
		}
		return err
	}
	db, began := r.db, time.Now()
	err = r.perform(spec, args)
	failed := err != nil
	switch {
	case failed:
		r.meet(errorText(err))
	case len(r.out.Buf) > 0 && r.out.Buf[0] == '-':
		failed = true
		line, _, _ := bytes.Cut(r.out.Buf[1:], []byte("\r\n"))
		r.meet(string(line))
	}
	r.engine.o.Called(Call{Spec: spec, Args: args, DB: db, Took: time.Since(began), Failed: failed})
	return err
}

// perform runs a command that was admitted.
func (r *run) perform(spec *command.Spec, args [][]byte) (err error) {
	x := &r.sub
	o := r.x
	x.Args, x.DB, x.Tx, x.Out, x.Spec, x.Shard = args, r.db, o.Tx, &r.out, spec, o.Shard
	x.MaxReply, x.MaxKept = int64(r.limit), int64(r.limit)
	x.MaxStringLen, x.Limits, x.Sharded, x.Scripted = o.MaxStringLen, o.Limits, o.Sharded, true
	x.Caller = o.Caller
	r.out.Reset()
	r.out.Proto = r.proto
	r.out.Limit(r.limit, nil)
	if spec.Handler == nil {
		if own := ownCommands[spec.Name]; own != nil {
			return own(r, x)
		}
		if known, err := r.engine.o.Own(x); known {
			return err
		}
		return errNotAllowed
	}
	if o.Tx.ReadOnly() {
		return r.replied(r.engine.o.Guard(x))
	}
	mark := o.Tx.Mark()
	if err = r.replied(r.engine.o.Guard(x)); err != nil {
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

// replied returns err, or that the reply to a command is more than the script may take.
func (r *run) replied(err error) error {
	if err == nil && r.out.Full() {
		return command.ErrReplyTooLong
	}
	return err
}

// Errors of redis.call.
const (
	errUnknownCommand resp.Error = "ERR Unknown Redis command called from script"
	errArity          resp.Error = "ERR Wrong number of args calling Redis command from script"
	errNotAllowed     resp.Error = "ERR This Redis command is not allowed from script"
	errStale          resp.Error = "ERR Can not execute the command on a stale replica"
	errNonLocal       resp.Error = "ERR Script attempted to access a non local key in a cluster node"
)

// admit returns the row of a command, and why the script may not call it.
func (r *run) admit(args [][]byte) (*command.Spec, error) {
	spec := command.Lookup(args[0])
	if spec != nil && spec.Subcommands != nil && len(args) > 1 {
		spec = spec.Sub(args[1])
	}
	switch {
	case spec == nil:
		return nil, errUnknownCommand
	case !spec.GoodArity(len(args)):
		return spec, errArity
	case spec.Flags&command.FlagNoScript != 0 && !(spec.Handler == nil && r.engine.o.AllowAll()):
		return spec, errNotAllowed
	}
	if r.x.Caller != nil {
		if denial := r.x.Caller.Deny(spec, args); denial != "" {
			return spec, resp.Error(denial)
		}
	}
	switch {
	case waitsForStream(spec, args):
		return spec, resp.Error("ERR " + string(args[0]) + " command is not allowed with BLOCK option from scripts")
	case spec.Flags&(command.FlagWrite|command.FlagMayReplicate) != 0 && r.refusal != "":
		return spec, r.refusal
	case spec.Flags&command.FlagWrite != 0 && r.engine.o.Alone():
		return spec, resp.ErrNoReplicas
	case r.oom && spec.Flags&command.FlagDenyOOM != 0 && !r.wrote.Load():
		return spec, resp.ErrOOM
	case spec.Flags&command.FlagStale == 0 && r.engine.o.Stale():
		return spec, errStale
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
			return spec, errNonLocal
		}
	}
	return spec, nil
}
