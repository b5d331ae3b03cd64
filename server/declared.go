package server

import (
	"dkv/cluster"
	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

// declaredFlags returns a command's flags as what is checked before it runs goes by
// them: those of a script are what it says of itself, those of EXEC the ones of all
// queued commands.
func (c *Conn) declaredFlags(spec *command.Spec, args [][]byte) command.Flags {
	switch {
	case spec == specExec:
		return c.queuedFlags()
	case !runsScript(spec):
		return spec.Flags
	}
	at, refusal := route{}, resp.Error("")
	if c.routes() {
		at, refusal = c.route(spec, args)
	}
	if refusal != "" || at.kind != routeOne {
		return spec.Flags // it goes nowhere
	}
	// Here and now: nobody waits to be told that it is refused.
	var tx keyspace.Tx
	err := c.srv.node.Read(c.srv.work, at.shard, &tx, cluster.ReadOptions{Stale: true})
	flags := spec.Flags
	if err == nil {
		flags = c.srv.scripts.CommandFlags(&command.Ctx{Spec: spec, Args: args, DB: c.db, Tx: &tx})
	}
	if err := tx.Close(); err != nil {
		c.srv.log.Error("cannot end a read", "err", err)
	}
	return flags
}

// runsScript says whether a command runs a script, or a function.
func runsScript(spec *command.Spec) bool {
	switch spec.Name {
	case "eval", "eval_ro", "evalsha", "evalsha_ro", "fcall", "fcall_ro":
		return true
	}
	return false
}

// queuedFlags are those of EXEC: what any of the queued commands has counts, and
// FlagStale when all have it.
func (c *Conn) queuedFlags() command.Flags {
	flags := specExec.Flags
	for i := range c.txn.calls {
		k := &c.txn.calls[i]
		f := c.declaredFlags(k.spec, k.args)
		flags |= f & (command.FlagWrite | command.FlagDenyOOM)
		flags &^= command.FlagStale &^ f
	}
	return flags
}
