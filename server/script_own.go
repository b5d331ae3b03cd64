package server

import (
	"slices"
	"strings"

	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
	"dkv/server/script"
)

// forScripts are the commands of this package that a script may call: they look at
// the server, not at a connection, and wait for nothing. Every HELP is one, too.
var forScripts = map[string]bool{
	"command": true, "command|count": true, "command|docs": true, "command|getkeys": true, "command|getkeysandflags": true,
	"command|info": true, "command|list": true, "info": true, "lastsave": true, "lolwut": true, "memory|doctor": true,
	"memory|malloc-stats": true, "memory|stats": true, "pubsub|channels": true, "pubsub|numpat": true, "pubsub|numsub": true,
	"pubsub|shardchannels": true, "pubsub|shardnumsub": true,
}

// forTestScripts are those of DEBUG that a script may call after
// SET-DISABLE-DENY-SCRIPTS.
var forTestScripts = map[string]bool{
	"error": true, "log": true, "protocol": true, "set-active-expire": true, "stringmatch-len": true,
}

// runForScript implements script.Options.Own. It runs on the goroutine that evaluates
// the script: the shard's writer, as a rule.
func (s *Server) runForScript(x *command.Ctx) (known bool, err error) {
	name := x.Spec.Name
	switch {
	case name == "wait":
		return true, s.waitInScript(x)
	case name == "debug":
		if !s.admin.allowAll.Load() || !forTestScripts[lower(x.Args[1])] {
			return false, nil
		}
		sub := debugSubs[lower(x.Args[1])]
		if len(x.Args)-2 != sub.args {
			return true, resp.ErrSubcommandSyntax(x.Args[1], "debug")
		}
		return true, s.nobody(func(c *Conn, x *command.Ctx) error { return sub.run(c, x, x.Args[2:]) }, x)
	case name == "client|list":
		if !s.admin.allowAll.Load() {
			return false, nil
		}
	case !forScripts[name] && !strings.HasSuffix(name, "|help"):
		return false, nil
	}
	h := boundByID()[x.Spec.ID]
	if h == nil {
		return false, nil
	}
	return true, s.nobody(h, x)
}

// nobody runs a handler for no connection.
func (s *Server) nobody(h handler, x *command.Ctx) error {
	return (&Conn{srv: s}).guardBound(h, x)
}

// waitInScript is WAIT where nothing may wait: how many replicas there are.
func (s *Server) waitInScript(x *command.Ctx) error {
	if _, ok := keyspace.ParseInt(x.Args[1]); !ok {
		return resp.ErrNotInt
	}
	if _, err := parseWait(x.Args[2]); err != nil {
		return err
	}
	if s.node.Follows() {
		return errWaitOnReplica
	}
	x.Out.Int(int64(s.node.Source().Has(nil, false)))
	return nil
}

// scriptCalled counts a command that a script has called, and shows it to monitors.
func (s *Server) scriptCalled(call script.Call) {
	st := s.stats.Command(call.Spec)
	if call.Rejected {
		st.Rejected.Add(1)
		return
	}
	st.Calls.Add(1)
	st.Nanos.Add(uint64(call.Took))
	if call.Failed {
		st.Failed.Add(1)
	}
	if s.config.LatencyTracking.Load() {
		st.histogram().add(bucketOf(uint64(call.Took)), 1)
	}
	if s.monitors.any() && call.Spec.Flags&(command.FlagSkipMonitor|command.FlagAdmin) == 0 {
		db := call.DB
		if n, ok := keyspace.ParseInt(call.Args[len(call.Args)-1]); ok && call.Spec == specSelect && !call.Failed {
			db = int(n) // shown where it leads, as in Redis
		}
		s.monitors.show(s.clock(), db, "lua", call.Args)
	}
}

// announce shows a script to monitors before it runs, so that its commands come after
// it, and behind those that were sent before it.
//
// What it publishes comes to its own client after the reply.
func (c *Conn) announce(spec *command.Spec, args [][]byte) {
	c.corkFor(spec)
	if runsScript(spec) {
		c.shared.last.Store(int32(spec.ID) + 1) // what is denied to it is logged while it runs
	}
	if c.srv.monitors.any() && runsScript(spec) {
		c.finish()
		c.srv.monitors.feed(c, c.db, args)
	}
}

// corkFor holds messages back until a command that may publish some has its reply.
func (c *Conn) corkFor(spec *command.Spec) {
	if spec.MayWrite && c.subs.total() > 0 {
		c.cork()
	}
}

// showsInTurn reports whether the commands of a transaction are shown to monitors as each
// begins: when there is a script among them, whose own commands are shown then.
func (c *Conn) showsInTurn() bool {
	return c.srv.monitors.any() && slices.ContainsFunc(c.txn.calls, func(k call) bool { return runsScript(k.spec) })
}

// showInTurn shows a command of a transaction, once. It may be called where the shard
// evaluates it.
func (c *Conn) showInTurn(k *call) {
	if k.shown || !c.srv.monitors.any() || k.spec.Flags&command.FlagAdmin != 0 {
		return
	}
	db := k.db
	if k.spec == specSelect {
		if n, err := c.databaseNamed(k.args[1]); err == nil {
			db = n // shown where it leads, as in Redis
		}
	}
	if k.shown = true; runsScript(k.spec) || k.spec.Flags&command.FlagSkipMonitor == 0 {
		c.srv.monitors.feed(c, db, k.args)
	}
}
