package server

import (
	"encoding/hex"
	"errors"
	"fmt"

	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

func init() { bind("dkv.checksum", checksum) }

// checksum is DKV.CHECKSUM [shard] [AT index], of this node's own data.
func checksum(c *Conn, x *command.Ctx) error {
	ids, at, err := c.checksumArgs(x.Args[1:])
	if err != nil {
		return err
	}
	sums := make([]shard.Checksum, len(ids))
	for i, id := range ids {
		if sums[i], err = c.srv.node.Checksum(c.srv.work, id, at); err != nil {
			return checksumError(id, err)
		}
	}
	x.Out.Array(len(sums))
	for i := range sums {
		writeChecksum(x.Out, ids[i], &sums[i])
	}
	return nil
}

func writeChecksum(out *resp.Writer, id raftlog.ShardID, s *shard.Checksum) {
	out.Map(6)
	out.BulkString("shard")
	out.Int(int64(id))
	out.BulkString("index")
	out.Uint(uint64(s.Index))
	out.BulkString("digest")
	out.BulkString(hex.EncodeToString(s.Digest[:]))
	out.BulkString("keys")
	out.Int(s.Keys)
	out.BulkString("history")
	out.BulkString(s.History)
	out.BulkString("log-index")
	out.Uint(uint64(s.Own))
}

// checksumArgs reads which shards are meant, and where; 0: as they are now.
func (c *Conn) checksumArgs(args [][]byte) (ids []raftlog.ShardID, at raftlog.Index, err error) {
	ids = c.srv.slots().All()
	if len(args) > 0 && !equalFold(args[0], "at") {
		n, ok := keyspace.ParseInt(args[0])
		if !ok {
			return nil, 0, resp.ErrNotInt
		}
		if n < 0 || n >= int64(len(ids)) {
			return nil, 0, resp.Error(fmt.Sprintf("ERR there are shards 0 to %d", len(ids)-1))
		}
		ids, args = ids[n:n+1], args[1:]
	}
	switch {
	case len(args) == 0:
		return ids, 0, nil
	case len(args) != 2 || !equalFold(args[0], "at"):
		return nil, 0, resp.ErrSyntax
	case len(ids) != 1:
		return nil, 0, resp.Error("ERR AT is of one shard: each has entries of its own")
	}
	n, ok := keyspace.ParseInt(args[1])
	if !ok || n < 1 {
		return nil, 0, resp.ErrNotInt
	}
	return ids, raftlog.Index(n), nil
}

func checksumError(id raftlog.ShardID, err error) error {
	switch {
	case errors.Is(err, shard.ErrPassed):
		return resp.Error(fmt.Sprintf("ERR shard %d has passed that entry (%v)", id, err))
	case errors.Is(err, shard.ErrNotReached):
		return resp.Error(fmt.Sprintf("ERR shard %d has not reached that entry in time (%v)", id, err))
	case errors.Is(err, shard.ErrManyMarks):
		return resp.Error("ERR too many checksums are being waited for")
	}
	return err
}
