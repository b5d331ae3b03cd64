package replica

import (
	"encoding/hex"
	"strconv"

	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
)

// Request is what a replica asks for.
type Request struct {
	Version, Shards int
	Shard           raftlog.ShardID
	From            shard.SourcePosition // zero: nowhere yet
	// CopyID and Place are of a copy that is to be resumed; empty: none.
	CopyID string
	Place  []byte
	// Replica names the node, the same for all its shards; Addr is where it is for
	// clients, "" when it does not say.
	Replica, Addr string
	// Messages: it takes what is published too. REPLCONF says so.
	Messages bool
	// Own is the replica's cluster id, "" when it has none yet, or does not say. REPLCONF
	// says so.
	Own string
}

// ParseRequest reads the arguments of DKV.SYNC, the command's name left out. More
// than are known are passed over. Errors: ErrRequest, ErrVersion.
func ParseRequest(args []string) (r Request, err error) {
	const known = 6
	if len(args) < 1 {
		return r, ErrRequest
	}
	if r.Version, err = strconv.Atoi(args[0]); err != nil {
		return r, ErrRequest
	}
	if r.Version != ProtocolVersion {
		return r, ErrVersion
	}
	if len(args) < known {
		return r, ErrRequest
	}
	var n [4]uint64
	for i, arg := range []string{args[1], args[2], args[4], args[5]} {
		if n[i], err = strconv.ParseUint(arg, 10, 64); err != nil {
			return r, ErrRequest
		}
	}
	if n[0] > 1<<16 || n[1] > 1<<16 {
		return r, ErrRequest
	}
	r.Shards, r.Shard = int(n[0]), raftlog.ShardID(n[1])
	if args[3] != unknownHistory {
		r.From = shard.SourcePosition{History: args[3], Position: shard.Position{Index: raftlog.Index(n[2]), Term: raftlog.Term(n[3])}}
	}
	if len(args) >= known+2 {
		r.CopyID = args[known]
		if r.Place, err = hex.DecodeString(args[known+1]); err != nil {
			return r, ErrRequest
		}
	}
	return r, nil
}

// unknownHistory stands for the history of a replica that has followed nobody.
const unknownHistory = "?"

// args returns what ParseRequest reads.
func (r *Request) args() []string {
	history := r.From.History
	if history == "" {
		history = unknownHistory
	}
	args := []string{
		strconv.Itoa(ProtocolVersion), strconv.Itoa(r.Shards), strconv.Itoa(int(r.Shard)),
		history, strconv.FormatUint(uint64(r.From.Index), 10), strconv.FormatUint(uint64(r.From.Term), 10),
	}
	if r.CopyID != "" {
		args = append(args, r.CopyID, hex.EncodeToString(r.Place))
	}
	return args
}
