package server

import (
	"sync"

	"dkv/resp"
	"dkv/server/command"
)

// handler serves a row of the command table that package command does not: one
// about the connection or the server rather than the keyspace. The error is
// replied as that of a command.Handler is.
//
// Inside EXEC (Conn.txn.running) it runs after the commands on keys, and must
// not wait.
type handler func(c *Conn, x *command.Ctx) error

// bound are the handlers by name; each file binds its own in init.
var bound = make(map[string]handler)

func bind(name string, h func(c *Conn, x *command.Ctx) error) {
	if bound[name] != nil {
		panic("server: two handlers for " + name)
	}
	bound[name] = h
}

// boundByID is bound by command.Spec.ID.
var boundByID = sync.OnceValue(func() []handler {
	list := make([]handler, len(command.All()))
	for _, spec := range command.All() {
		list[spec.ID] = bound[spec.Name]
	}
	return list
})

// Commands that the dispatcher knows.
var (
	specMulti   = command.Lookup([]byte("multi"))
	specExec    = command.Lookup([]byte("exec"))
	specDiscard = command.Lookup([]byte("discard"))
	specWatch   = command.Lookup([]byte("watch"))
	specQuit    = command.Lookup([]byte("quit"))
	specReset   = command.Lookup([]byte("reset"))
	specSelect  = command.Lookup([]byte("select"))
	specHello   = command.Lookup([]byte("hello"))
	specMigrate = command.Lookup([]byte("migrate"))
)

// dispatch runs a command, queues it, or refuses it. Writes to the keyspace
// are collected: consecutive ones go to the shard as one task. Everything else
// waits for them first, so replies keep the order of the requests.
func (c *Conn) dispatch(cmd resp.Command) {
	args := cmd.Args
	spec, refusal := c.admitted(args)
	if refusal != "" {
		c.finish()
		c.reject(spec, refusal)
		return
	}
	if spec == nil || c.srv.pause.on() && !c.waitPaused(spec, args) {
		c.closing = true
		return
	}
	var at route
	if c.routes() {
		if at, refusal = c.route(spec, args); refusal != "" {
			c.finish()
			c.reject(spec, refusal)
			return
		}
	}
	if refusal = c.busy(spec, at); refusal != "" {
		c.finish()
		c.reject(spec, refusal)
		return
	}
	if c.txn.open && !runsInMulti(spec) {
		c.queue(spec, cmd, at)
		return
	}
	c.run(spec, cmd, at)
}

// run runs a command, or collects it.
func (c *Conn) run(spec *command.Spec, cmd resp.Command, at route) {
	c.announce(spec, cmd.Args)
	if c.tracking != nil {
		c.track(spec, cmd.Args)
	}
	if spec.Timeout != nil {
		if timeout, waits := spec.Timeout(cmd.Args); waits {
			c.block(spec, cmd.Args, at.shard, timeout)
			return
		}
	}
	switch {
	case spec.Handler == nil:
		c.finish()
		c.leaveFor(spec, cmd.Args)
		c.runBound(spec, cmd.Args)
	case at.kind != routeOne:
		c.finish()
		c.leave()
		c.runAcross(spec, cmd.Args, at)
	case spec.Writes(cmd.Args), spec.MayWrite && c.mayWrite(spec, cmd.Args), c.ws.joins(spec):
		c.finishReads()
		c.ws.add(at.shard, spec, cmd.Args, cmd.Size)
		if c.ws.full() || c.muting() {
			c.finish()
		}
	default:
		c.finishWrites()
		if c.defers(at.shard, spec, cmd.Args) {
			c.putOff(at.shard, spec, cmd.Args)
			return
		}
		c.finishReads()
		c.leaveFor(spec, cmd.Args)
		_ = c.ws.read(at.shard, spec, cmd.Args) // an error was replied
	}
}

// leaveFor leaves the loop for a command that may take long. One that counts says so
// itself, when it has seen what it is to read.
func (c *Conn) leaveFor(spec *command.Spec, args [][]byte) {
	if !spec.Quick() && !spec.Counted || lookups(spec, args) > maxLookups {
		c.leave()
	}
}

// runsInMulti says whether a command is run, not queued, while MULTI is open.
func runsInMulti(spec *command.Spec) bool {
	switch spec {
	case specMulti, specExec, specDiscard, specWatch, specQuit, specReset:
		return true
	}
	return false
}

// admitted finds the row of a command, and the reason why it may not run. spec
// is nil when there is no such command, and the reason empty with it when the
// connection was cut for an attack.
func (c *Conn) admitted(args [][]byte) (spec *command.Spec, refusal resp.Error) {
	spec = command.Lookup(args[0])
	if spec == nil {
		if isAttack(args[0]) {
			c.securityWarning()
			return nil, ""
		}
		return nil, resp.ErrUnknownCommand(args)
	}
	if spec.Subcommands != nil && len(args) > 1 {
		sub := spec.Sub(args[1])
		if sub == nil {
			return nil, resp.ErrUnknownSubcommand(args[1], string(args[0]))
		}
		spec = sub
	}
	if !spec.GoodArity(len(args)) {
		return spec, resp.ErrWrongArity(spec.Name)
	}
	if spec.Flags&command.FlagAdmin != 0 {
		if refusal := c.protected(spec); refusal != "" {
			return spec, refusal
		}
	}
	if c.mustAuthenticate() && spec.Flags&command.FlagNoAuth == 0 {
		return spec, resp.ErrNoAuth
	}
	if c.txn.open && (spec.Flags&command.FlagNoMulti != 0 || spec == specMigrate) {
		return spec, resp.ErrNotAllowedInMulti
	}
	if u := c.account.Load().user.Load(); !u.All() {
		if refusal := c.denied(u, spec, args); refusal != "" {
			return spec, refusal
		}
	}
	if c.subs.total() > 0 && c.proto == 2 && !whileSubscribed(spec) {
		return spec, resp.ErrSubscribed(spec.Name)
	}
	if c.monitoring.Load() && spec.Flags&(command.FlagWrite|command.FlagReadOnly|command.FlagMayReplicate) != 0 {
		return spec, "ERR Replica can't interact with the keyspace"
	}
	if c.srv.node.OutOfMemory() && c.deniesOOM(spec) {
		return spec, resp.ErrOOM
	}
	if c.srv.repl.restricts() {
		return spec, c.restricted(spec, args)
	}
	return spec, ""
}

// reject replies to a command that does not run. An open transaction is marked
// as failed; EXEC itself is aborted.
func (c *Conn) reject(spec *command.Spec, refusal resp.Error) {
	if c.txn.open {
		c.txn.failed = true
	}
	if spec != nil {
		c.srv.stats.Command(spec).Rejected.Add(1)
		c.ws.last = spec
	}
	mark := len(c.ws.out.Buf)
	if spec == specExec {
		c.closeTxn()
		refusal = "EXECABORT Transaction discarded because of: " + withoutERR(refusal)
	}
	c.ws.error(string(refusal))
	c.mute(mark)
}

// withoutERR returns an error's text as Redis quotes it in another one: the
// general code is left out, any other stays.
func withoutERR(e resp.Error) resp.Error {
	if e.Code() == "ERR" {
		return e[len("ERR "):]
	}
	return e
}

// runBound runs a command of this package.
func (c *Conn) runBound(spec *command.Spec, args [][]byte) {
	ws := c.ws
	mark := len(ws.out.Buf)
	began := nanotime()
	ws.spent = -1
	ws.last = spec
	x := ws.ctx(spec, args)
	ws.beginReply()
	err := ws.replyError(c.runBoundIn(x))
	ws.endReply()
	// A handler that waits has sent what stood before its reply.
	mark = min(mark, len(ws.out.Buf))
	if err != nil {
		ws.out.Buf = ws.out.Buf[:mark]
		ws.error(errorText(err))
	}
	if ws.spent < 0 {
		ws.spent = nanotime() - began
	}
	ws.ran(spec, args, ws.spent, err != nil)
	c.mute(mark)
	if c.corked {
		c.takeHeld()
	}
}

// runBoundIn runs the handler of x.Spec.
func (c *Conn) runBoundIn(x *command.Ctx) error {
	h := boundByID()[x.Spec.ID]
	if h == nil {
		return resp.ErrUnknownCommand(x.Args) // in the table, not built yet
	}
	return c.guardBound(h, x)
}

func (c *Conn) guardBound(h handler, x *command.Ctx) (err error) {
	defer c.srv.recovered(&err, x)
	return h(c, x)
}
