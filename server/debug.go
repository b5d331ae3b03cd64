package server

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"dkv/cluster/raftlog"
	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

func init() { bind("debug", debugCmd) }

// debugSub is a subcommand of DEBUG. It takes args arguments after its name; at
// least so many when more is set.
type debugSub struct {
	args int
	more bool
	run  func(c *Conn, x *command.Ctx, args [][]byte) error
}

var debugSubs = map[string]debugSub{
	"sleep":                      {1, false, debugSleep},
	"set-active-expire":          {1, false, debugActiveExpire},
	"object":                     {1, true, debugObject},
	"digest":                     {0, false, debugDigest},
	"digest-value":               {0, true, debugDigestValue},
	"reload":                     {0, true, debugReload},
	"loadaof":                    {0, false, debugReload},
	"populate":                   {1, true, debugPopulate},
	"protocol":                   {1, false, debugProtocol},
	"error":                      {1, false, debugError},
	"log":                        {1, false, debugLog},
	"config-rewrite-force-all":   {0, false, debugRewriteAll},
	"change-repl-id":             {0, false, debugChangeReplID},
	"stringmatch-len":            {2, false, debugStringMatch},
	"quicklist-packed-threshold": {1, false, debugPackedThreshold},
	// These tune what dkv does not have, and are accepted for the sake of
	// suites that call them.
	"replybuffer":              {2, false, debugReplyBuffer},
	"pause-cron":               {1, false, debugNothing},
	"set-disable-deny-scripts": {1, false, debugAllowAll},
	"dict-resizing":            {1, false, debugNothing},
	"aof-flush-sleep":          {1, false, debugNothing},
	"help":                     {0, false, func(c *Conn, x *command.Ctx, _ [][]byte) error { return debugHelp(c, x) }},
}

var debugHelp = help("DEBUG",
	"CHANGE-REPL-ID",
	"    Give the history of this node a new name.",
	"CONFIG-REWRITE-FORCE-ALL",
	"    CONFIG REWRITE with all parameters, those at their defaults included.",
	"DIGEST",
	"    Return a signature of all data.",
	"DIGEST-VALUE <key> [<key> ...]",
	"    Return signatures of the values of keys.",
	"ERROR <string>",
	"    Return an error with this text.",
	"LOADAOF",
	"    Flush the engine.",
	"LOG <message>",
	"    Write a line to the server's log.",
	"OBJECT <key>",
	"    Tell about the value of a key.",
	"POPULATE <count> [<prefix>] [<size>]",
	"    Create string keys <prefix>:<n>, where there are none of that name.",
	"PROTOCOL <type>",
	"    Return a value of a type: string, integer, double, bignum, null, array, set,",
	"    map, attrib, push, verbatim, true, false.",
	"RELOAD",
	"    Flush the engine.",
	"SET-ACTIVE-EXPIRE <0|1>",
	"    Stop or start the deletion of expired keys that nobody asks for.",
	"SET-DISABLE-DENY-SCRIPTS <0|1>",
	"    Let scripts call DEBUG and CLIENT LIST, or not.",
	"SLEEP <seconds>",
	"    Hold this connection for so long.",
	"STRINGMATCH-LEN <pattern> <string>",
	"    Tell whether a glob pattern matches a string.")

const errDebugDenied resp.Error = "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server."

func debugCmd(c *Conn, x *command.Ctx) error {
	args := x.Args[2:]
	sub, ok := debugSubs[lower(x.Args[1])]
	if !ok || len(args) < sub.args || len(args) > sub.args && !sub.more {
		return resp.ErrSubcommandSyntax(x.Args[1], "debug")
	}
	return sub.run(c, x, args)
}

// lower returns a short word in lower case.
func lower(b []byte) string {
	if len(b) > maxWord {
		return ""
	}
	w := make([]byte, len(b))
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		w[i] = c
	}
	return string(w)
}

const maxWord = 64

func debugNothing(_ *Conn, x *command.Ctx, _ [][]byte) error {
	x.Out.OK()
	return nil
}

func debugReplyBuffer(c *Conn, x *command.Ctx, args [][]byte) error {
	if !equalFold(args[0], "peak-reset-time") && !equalFold(args[0], "resizing") {
		return resp.ErrSubcommandSyntax(x.Args[1], "debug")
	}
	return debugNothing(c, x, args)
}

// debugSleep holds this connection, not the server.
func debugSleep(c *Conn, x *command.Ctx, args [][]byte) error {
	seconds, err := strconv.ParseFloat(string(args[0]), 64)
	if err == nil && seconds > 0 && seconds < math.MaxInt64/1e9 {
		c.sleep(time.Duration(seconds * float64(time.Second)))
	}
	x.Out.OK()
	return nil
}

func debugActiveExpire(c *Conn, x *command.Ctx, args [][]byte) error {
	n, _ := strconv.Atoi(string(args[0]))
	c.srv.node.SetActiveExpire(n != 0)
	x.Out.OK()
	return nil
}

// debugAllowAll is SET-DISABLE-DENY-SCRIPTS.
func debugAllowAll(c *Conn, x *command.Ctx, args [][]byte) error {
	n, _ := strconv.Atoi(string(args[0]))
	c.srv.admin.allowAll.Store(n != 0)
	x.Out.OK()
	return nil
}

// debugReload is RELOAD and LOADAOF: what they prove in Redis, that the data
// survives a way through the disk, is true of dkv at any time. They flush.
func debugReload(c *Conn, x *command.Ctx, args [][]byte) error {
	for _, a := range args {
		if !equalFold(a, "merge") && !equalFold(a, "noflush") && !equalFold(a, "nosave") {
			return resp.Error("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")
		}
	}
	if err := c.srv.saveNow(); err != nil && err != errSaving {
		return err
	}
	x.Out.OK()
	return nil
}

// debugRewriteAll is CONFIG-REWRITE-FORCE-ALL.
func debugRewriteAll(c *Conn, x *command.Ctx, _ [][]byte) error { return rewriteConfig(c, x, true) }

func debugLog(c *Conn, x *command.Ctx, args [][]byte) error {
	c.srv.log.Warn("DEBUG LOG: " + string(args[0]))
	x.Out.OK()
	return nil
}

func debugError(_ *Conn, _ *command.Ctx, args [][]byte) error {
	return resp.Error(args[0])
}

func debugChangeReplID(c *Conn, x *command.Ctx, _ [][]byte) error {
	id := randomHex(20)
	c.srv.admin.replID.Store(&id)
	x.Out.OK()
	return nil
}

func debugStringMatch(_ *Conn, x *command.Ctx, args [][]byte) error {
	n := int64(0)
	if keyspace.Match(args[0], args[1], false) {
		n = 1
	}
	x.Out.Int(n)
	return nil
}

func debugPackedThreshold(_ *Conn, x *command.Ctx, args [][]byte) error {
	if n, err := parseMemory(string(args[0])); err != nil || n > 4<<30 {
		return resp.Error("ERR argument must be a memory value bigger than 1 and smaller than 4gb")
	}
	x.Out.OK()
	return nil
}

// debugObject tells what Redis tells of a key, as far as it means something
// here.
func debugObject(c *Conn, x *command.Ctx, args [][]byte) error {
	return c.inRead(c.ws.shardOf(args[0]), func(tx *keyspace.Tx) error {
		e, err := tx.Peek(x.DB, args[0])
		if err != nil {
			return err
		}
		if !e.Exists() {
			return resp.ErrNoSuchKey
		}
		value, _, err := command.AppendValue(nil, tx, &e)
		if err != nil {
			return err
		}
		length, idle := len(value), tx.Idle(&e)
		encoding, err := c.encoding(tx, x.DB, args[0])
		if err != nil {
			return err
		}
		clock := (c.srv.clock().Unix() - idle) & (1<<24 - 1)
		x.Out.Simple(fmt.Sprintf("Value at:0x0 refcount:1 encoding:%s serializedlength:%d lru:%d lru_seconds_idle:%d",
			encoding, length, clock, idle))
		return nil
	})
}

// encoding asks OBJECT ENCODING.
func (c *Conn) encoding(tx *keyspace.Tx, db int, key []byte) (string, error) {
	spec := lookupFull([]byte("object|encoding"))
	var out resp.Writer
	err := spec.Handler(&command.Ctx{
		Args: [][]byte{[]byte("object"), []byte("encoding"), key}, DB: db, Tx: tx, Out: &out, Spec: spec,
	})
	if err != nil {
		return "", err
	}
	return bulkText(out.Buf), nil
}

// inRead runs f with a Tx that sees one state of a shard.
func (c *Conn) inRead(id raftlog.ShardID, f func(tx *keyspace.Tx) error) error {
	rd, err := c.begin(id, true)
	if err != nil {
		return resp.Error(taskErrorText(err))
	}
	defer c.ws.endReads()
	rd.tx.NoTouch = true
	return f(&rd.tx)
}

// populateBatch is how many keys POPULATE creates in one write, and populateBytes about
// how many bytes of values; but one key in any case.
const (
	populateBatch = 1000
	populateBytes = 16 << 20
)

// debugPopulate creates keys as a SET NX for each would.
func debugPopulate(c *Conn, x *command.Ctx, args [][]byte) error {
	if c.txn.running {
		return resp.Error("ERR DEBUG POPULATE is not allowed inside a transaction")
	}
	count, ok := keyspace.ParseInt(args[0])
	if !ok || count < 0 {
		return resp.ErrNotPositive
	}
	prefix, size := []byte("key"), int64(0)
	if len(args) > 1 {
		prefix = args[1]
	}
	if len(args) > 2 {
		if size, ok = keyspace.ParseInt(args[2]); !ok || size < 0 || size > c.srv.config.ProtoMaxBulkLen.Load() {
			return resp.ErrNotPositive
		}
	}
	batch := min(populateBatch, max(populateBytes/max(size, 1), 1))
	for from := int64(0); from < count; from += batch {
		select {
		case <-c.cut: // there may be years to go
			return resp.ErrInternal
		case <-c.srv.done:
			return resp.ErrInternal
		default:
		}
		if err := c.populate(prefix, from, min(from+batch, count), size); err != nil {
			return err
		}
	}
	x.Out.OK()
	return nil
}

// populate has SET NX done for keys of these numbers.
func (c *Conn) populate(prefix []byte, from, to, size int64) error {
	ws := c.ws
	defer ws.forget()
	set := command.Lookup([]byte("set"))
	for i := from; i < to; i++ {
		value := fmt.Appendf(nil, "value:%d", i)
		if size > 0 {
			padded := make([]byte, size)
			copy(padded, value)
			value = padded
		}
		key := fmt.Appendf(append([]byte(nil), prefix...), ":%d", i)
		ws.add(c.ws.shardOf(key), set, [][]byte{[]byte("set"), key, value, []byte("nx")}, 0)
	}
	c.runDue()
	for _, r := range ws.active {
		if r.err != nil {
			return resp.Error(taskErrorText(r.err))
		}
		for i := range r.calls {
			if r.calls[i].failed {
				return resp.Error(errorLine(r.reply(i)))
			}
		}
	}
	return nil
}
