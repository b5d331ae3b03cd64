package server

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"

	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

// splitters run commands whose keys are in several shards: each shard gets its
// share, and the replies are put together. They are not atomic across shards.
var splitters = map[string]func(c *Conn, x *command.Ctx) error{
	"del":    splitWrite,
	"unlink": splitWrite,
	"mset":   splitWrite,
	"exists": splitCount,
	"touch":  splitCount,
	"mget":   splitList,
	// Does the same for keys of one shard.
	"migrate": migrate,
}

// everywhere runs commands about whole databases in all shards that ids names.
var everywhere = map[string]func(c *Conn, x *command.Ctx, ids []raftlog.ShardID) error{
	"dbsize":    sumEverywhere,
	"keys":      keysEverywhere,
	"scan":      scanEverywhere,
	"randomkey": randomEverywhere,
	"flushdb":   writeEverywhere,
	"flushall":  writeEverywhere,
	"swapdb":    writeEverywhere,

	"script|load":  scriptEverywhere,
	"script|flush": scriptEverywhere,

	"function|load":    writeEverywhere,
	"function|delete":  writeEverywhere,
	"function|flush":   writeEverywhere,
	"function|restore": writeEverywhere,
}

// errPartly begins the reply to a command that some shards have done and others
// have not: what became of it as a whole is for the client to find out.
const errPartly = "UNCERTAIN The command was done in some shards and not in others: "

// runAcross runs a command that goes to several shards.
func (c *Conn) runAcross(spec *command.Spec, args [][]byte, at route) {
	ws := c.ws
	mark := len(ws.out.Buf)
	began := nanotime()
	x := ws.ctx(spec, args)
	ws.beginReply()
	var err error
	if at.kind == routeAll {
		err = everywhere[spec.Name](c, x, c.allShards())
	} else {
		err = splitters[spec.Name](c, x)
	}
	err = ws.replyError(err)
	ws.endReply()
	ws.endReads()
	ws.forget()
	if err != nil {
		ws.out.Buf = ws.out.Buf[:mark]
		ws.error(errorText(err))
	}
	ws.ran(spec, args, nanotime()-began, err != nil)
	c.mute(mark)
}

// splitWrite gives each shard the keys, with what follows each, that it has.
func splitWrite(c *Conn, x *command.Ctx) error {
	ws, p := c.ws, &plans[x.Spec.ID]
	for i := p.first; i < len(x.Args); i += p.step {
		id := ws.shardOf(x.Args[i])
		if !ws.has(id) {
			ws.add(id, x.Spec, x.Args[:p.first:p.first], 0)
		}
		k := &ws.requests[id].calls[0]
		k.args = append(k.args, x.Args[i:i+p.step]...)
	}
	return c.gather(x)
}

// writeEverywhere gives each shard the whole command.
func writeEverywhere(c *Conn, x *command.Ctx, ids []raftlog.ShardID) error {
	for _, id := range ids {
		c.ws.add(id, x.Spec, x.Args, 0)
	}
	return c.gather(x)
}

// gather has one call of each shard done and makes one reply of theirs.
func (c *Conn) gather(x *command.Ctx) error {
	c.runDue()
	return combine(x.Out, c.ws.active)
}

// combine replies the sum of what requests of one call each reply, if they
// count, otherwise what one replies: it is +OK of all.
func combine(out *resp.Writer, requests []*shardRequest) error {
	var failed, uncertain error
	done := 0
	sum, counts := int64(0), false
	var reply []byte
	for _, r := range requests {
		switch {
		case errors.Is(r.err, shard.ErrUncertain):
			uncertain = resp.Error(taskErrorText(r.err))
			continue
		case r.err != nil:
			failed = resp.Error(taskErrorText(r.err))
			continue
		case r.calls[0].failed:
			failed = resp.Error(errorLine(r.reply(0)))
			continue
		}
		done++
		reply = r.reply(0)
		if n, ok := integerReply(reply); ok {
			sum, counts = sum+n, true
		}
	}
	switch {
	case uncertain != nil:
		return uncertain
	case failed != nil && done > 0:
		return resp.Error(errPartly + failed.Error())
	case failed != nil:
		return failed
	case counts:
		out.Int(sum)
	default:
		out.Raw(reply)
	}
	return nil
}

// integerReply returns the number of a reply that is one.
func integerReply(reply []byte) (n int64, ok bool) {
	if len(reply) < 4 || reply[0] != ':' {
		return 0, false
	}
	n, err := strconv.ParseInt(string(reply[1:len(reply)-2]), 10, 64)
	return n, err == nil
}

// reads runs x's command with these arguments in a shard whose reader is open,
// and returns its reply, which is appended to into.
func (c *Conn) reads(x *command.Ctx, id raftlog.ShardID, args [][]byte, into *resp.Writer) ([]byte, error) {
	into.Proto = x.Out.Proto
	mark := len(into.Buf)
	one := command.Ctx{
		Args: args, DB: x.DB, Tx: &c.ws.reader(id).tx, Out: into, Spec: x.Spec, MaxStringLen: x.MaxStringLen,
	}
	c.srv.limitReply(into, mark)
	if err := c.srv.replied(into, c.srv.guard(&one)); err != nil {
		return nil, err
	}
	return into.Buf[mark:], nil
}

// eachKey runs x's command for each of its keys by itself, in the shard that has
// it; each shard is seen in one state.
func (c *Conn) eachKey(x *command.Ctx, take func(reply []byte)) error {
	first := plans[x.Spec.ID].first
	var ids []raftlog.ShardID
	for _, key := range x.Args[first:] {
		if id := c.ws.shardOf(key); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if err := c.beginAll(ids); err != nil {
		return err
	}
	var scratch resp.Writer
	args := append([][]byte(nil), x.Args[:first+1]...)
	for _, key := range x.Args[first:] {
		args[first] = key
		scratch.Reset()
		reply, err := c.reads(x, c.ws.shardOf(key), args, &scratch)
		if err != nil {
			return err
		}
		take(reply)
	}
	return nil
}

// eachShard runs x's command in every shard that ids names.
func (c *Conn) eachShard(x *command.Ctx, ids []raftlog.ShardID, take func(reply []byte)) error {
	if err := c.beginAll(ids); err != nil {
		return err
	}
	var scratch resp.Writer
	for _, id := range ids {
		scratch.Reset()
		reply, err := c.reads(x, id, x.Args, &scratch)
		if err != nil {
			return err
		}
		take(reply)
	}
	return nil
}

// splitCount is EXISTS and TOUCH.
func splitCount(c *Conn, x *command.Ctx) error {
	sum := int64(0)
	err := c.eachKey(x, func(reply []byte) {
		n, _ := integerReply(reply)
		sum += n
	})
	x.Out.Int(sum)
	return err
}

// splitList is MGET: the reply to each key is an array of one.
func splitList(c *Conn, x *command.Ctx) error {
	const header = "*1\r\n"
	x.Out.Array(len(x.Args) - 1)
	return c.eachKey(x, func(reply []byte) { x.Out.Raw(reply[len(header):]) })
}

// sumEverywhere is DBSIZE.
func sumEverywhere(c *Conn, x *command.Ctx, ids []raftlog.ShardID) error {
	sum := int64(0)
	err := c.eachShard(x, ids, func(reply []byte) {
		n, _ := integerReply(reply)
		sum += n
	})
	x.Out.Int(sum)
	return err
}

// keysEverywhere is KEYS.
func keysEverywhere(c *Conn, x *command.Ctx, ids []raftlog.ShardID) error {
	var all []byte
	total := 0
	err := c.eachShard(x, ids, func(reply []byte) {
		n, items := arrayReply(reply)
		total += n
		all = append(all, items...)
	})
	x.Out.Array(total)
	x.Out.Raw(all)
	return err
}

// arrayReply returns the length of a reply that is an array, and its elements.
func arrayReply(reply []byte) (n int, items []byte) {
	for i := 1; i < len(reply); i++ {
		if reply[i] == '\n' {
			n, _ = strconv.Atoi(string(reply[1 : i-1]))
			return n, reply[i+1:]
		}
	}
	return 0, nil
}

// scanEverywhere is SCAN: it goes through one shard after the other. The cursor
// holds a slot, and so the shard; at the end of one the scan goes on at the
// first slot of the next.
func scanEverywhere(c *Conn, x *command.Ctx, ids []raftlog.ShardID) error {
	const over = "*2\r\n$1\r\n0\r\n" // what a reply begins with when a shard's scan is
	slots := c.ws.slots
	cursor, ok := command.ParseCursor(x.Args[1])
	if !ok {
		return resp.ErrInvalidCursor
	}
	at := slots.ShardOf(cursor.Slot())
	for i, id := range ids {
		if id < at {
			continue
		}
		args := x.Args
		if id > at { // the cursor's shard is not asked: the scan goes on here
			first, _ := slots.Range(id)
			args = append([][]byte(nil), args...)
			args[1] = strconv.AppendUint(nil, uint64(keyspace.CursorAt(first)), 10)
		}
		if _, err := c.begin(id, true); err != nil {
			return resp.Error(taskErrorText(err))
		}
		var scratch resp.Writer
		reply, err := c.reads(x, id, args, &scratch)
		if err != nil {
			return err
		}
		if i+1 < len(ids) && len(reply) > len(over) && string(reply[:len(over)]) == over {
			first, _ := slots.Range(ids[i+1])
			x.Out.Array(2)
			x.Out.BulkString(strconv.FormatUint(uint64(keyspace.CursorAt(first)), 10))
			reply = reply[len(over):]
		}
		x.Out.Raw(reply)
		return nil
	}
	x.Out.Array(2)
	x.Out.BulkString("0")
	x.Out.Array(0)
	return nil
}

// randomEverywhere is RANDOMKEY: of a shard that is chosen by its number of keys.
func randomEverywhere(c *Conn, x *command.Ctx, ids []raftlog.ShardID) error {
	if err := c.beginAll(ids); err != nil {
		return err
	}
	sizes := make([]int64, len(ids))
	total := int64(0)
	for i, id := range ids {
		size, err := c.ws.reader(id).tx.DBSize(x.DB)
		if err != nil {
			return err
		}
		sizes[i] = size
		total += size
	}
	first := weighted(sizes, total)
	var scratch resp.Writer
	for i := range ids {
		// A shard may have none but expired keys.
		scratch.Reset()
		reply, err := c.reads(x, ids[(first+i)%len(ids)], x.Args, &scratch)
		if err != nil {
			return err
		}
		if len(reply) > 1 && reply[0] == '$' && reply[1] != '-' {
			x.Out.Raw(reply)
			return nil
		}
	}
	x.Out.Null()
	return nil
}

// weighted returns an index of sizes, the more likely the larger its size is.
func weighted(sizes []int64, total int64) int {
	if total <= 0 {
		return 0
	}
	n := rand.Int64N(total)
	for i, size := range sizes {
		if n -= size; n < 0 {
			return i
		}
	}
	return 0
}
