package server

import (
	"math"
	"time"

	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/resp"
	"dkv/server/command"
	"dkv/server/script"
)

func init() {
	bind("script|debug", scriptDebug)
	bind("function|help", help("FUNCTION", functionHelp...))
	bind("script|help", help("SCRIPT",
		"DEBUG (YES|SYNC|NO)",
		"    Set the debug mode for subsequent scripts executed.",
		"EXISTS <sha1> [<sha1> ...]",
		"    Return information about the existence of the scripts in the script cache.",
		"FLUSH [ASYNC|SYNC]",
		"    Flush the Lua scripts cache. Very dangerous on replicas.",
		"    When called without the optional mode argument, the behavior is determined by the",
		"    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
		"    * ASYNC: Asynchronously flush the scripts cache.",
		"    * SYNC: Synchronously flush the scripts cache.",
		"KILL",
		"    Kill the currently executing Lua script.",
		"LOAD <script>",
		"    Load a script into the scripts cache without executing it."))
}

// newScripts makes the engine of scripts.
func newScripts(s *Server) *script.Engine {
	return script.New(script.Options{
		Slots:       s.slots,
		BusyAfter:   s.config.busyAfter,
		MemoryLimit: s.config.LuaMemoryLimit.Load,
		Databases:   s.config.Databases.Load,
		Guard:       s.guard,
		Refuse:      s.refuseQueued,
		Follows:     s.node.Follows,
		Stale:       s.staleReplica,
		Alone:       s.lacksReplicas,
		OutOfMemory: s.node.OutOfMemory,
		Receivers:   s.pubsub.receivers,
		Own:         s.runForScript,
		AllowAll:    s.admin.allowAll.Load,
		Called:      s.scriptCalled,
		Failed:      s.stats.countError,
		Logger:      s.log,
	})
}

// busyAfter is busy-reply-threshold.
func (c *Config) busyAfter() time.Duration {
	const most = math.MaxInt64 / time.Millisecond
	return min(time.Duration(c.BusyReplyThreshold.Load()), most) * time.Millisecond
}

// refuseQueued ends what waits for a shard's writer, on its goroutine.
func (s *Server) refuseQueued(id int, err error) {
	if local := s.node.Shard(raftlog.ShardID(id)); local != nil {
		local.Refuse(shard.Busy(err.Error()))
	}
}

// mayWrite reports whether a script has to be run as a write. On a replica it is not:
// its commands that write are refused.
func (c *Conn) mayWrite(spec *command.Spec, args [][]byte) bool {
	return !c.srv.node.Follows() && !c.srv.scripts.ReadsOnly(spec, args)
}

// busy returns why a command is refused while a script runs for too long: with one
// shard that holds for all commands, as in Redis; else for those of the script's shard.
func (c *Conn) busy(spec *command.Spec, at route) resp.Error {
	if !c.srv.scripts.Slow() || spec.Flags&command.FlagAllowBusy != 0 || spec == specShutdown {
		return ""
	}
	switch {
	case c.ws.slots.Shards() == 1 || at.kind != routeOne:
		return c.srv.scripts.Busy(-1)
	case spec.Handler == nil || !at.keyed:
		return ""
	}
	return c.srv.scripts.Busy(int(at.shard))
}

var specShutdown = command.Lookup([]byte("shutdown"))

// scriptEverywhere gives all shards the command, also those that others lead: a script
// that is loaded anywhere is known everywhere.
func scriptEverywhere(c *Conn, x *command.Ctx, _ []raftlog.ShardID) error {
	return writeEverywhere(c, x, c.ws.slots.All())
}

// scriptDebug is there for clients that ask; there is no debugger.
func scriptDebug(_ *Conn, x *command.Ctx) error {
	switch {
	case equalFold(x.Args[2], "no"), equalFold(x.Args[2], "yes"), equalFold(x.Args[2], "sync"):
		x.Out.OK()
		return nil
	}
	return resp.Error("ERR Use SCRIPT DEBUG YES/SYNC/NO")
}

var functionHelp = []string{
	"LOAD [REPLACE] <FUNCTION CODE>",
	"    Create a new library with the given library name and code.",
	"DELETE <LIBRARY NAME>",
	"    Delete the given library.",
	"LIST [LIBRARYNAME PATTERN] [WITHCODE]",
	"    Return general information on all the libraries:",
	"    * Library name",
	"    * The engine used to run the Library",
	"    * Library description",
	"    * Functions list",
	"    * Library code (if WITHCODE is given)",
	"    It also possible to get only function that matches a pattern using LIBRARYNAME argument.",
	"STATS",
	"    Return information about the current function running:",
	"    * Function name",
	"    * Command used to run the function",
	"    * Duration in MS that the function is running",
	"    If no function is running, return nil",
	"    In addition, returns a list of available engines.",
	"KILL",
	"    Kill the current running function.",
	"FLUSH [ASYNC|SYNC]",
	"    Delete all the libraries.",
	"    When called without the optional mode argument, the behavior is determined by the",
	"    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
	"    * ASYNC: Asynchronously flush the libraries.",
	"    * SYNC: Synchronously flush the libraries.",
	"DUMP",
	"    Return a serialized payload representing the current libraries, can be restored using FUNCTION RESTORE command",
	"RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
	"    Restore the libraries represented by the given payload, it is possible to give a restore policy to",
	"    control how to handle existing libraries (default APPEND):",
	"    * FLUSH: delete all existing libraries.",
	"    * APPEND: appends the restored libraries to the existing libraries. On collision, abort.",
	"    * REPLACE: appends the restored libraries to the existing libraries, On collision, replace the old",
	"      libraries with the new libraries (notice that even on this option there is a chance of failure",
	"      in case of functions name collision with another library).",
}
