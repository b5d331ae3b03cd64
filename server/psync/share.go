package psync

import (
	"bytes"
	"fmt"
	"strings"

	"dkv/cluster/slot"
	"dkv/server/command"
)

// share is what one shard does of a command.
type share struct {
	shard int
	// spec is nil for the two halves of RENAME: the key in args is given what is
	// borrowed, or deleted.
	spec *command.Spec
	args [][]byte
	db   int
	// borrowed are keys of other shards that the command reads here.
	borrowed []borrowed
}

// borrowed is a key, or a part of one, that is lent to another shard while a command
// runs there.
type borrowed struct {
	shard int
	key   []byte
	part  lentPart
	what  []byte // of lentMember
}

type lentPart uint8

const (
	lentWhole  lentPart = iota
	lentHead            // the first element of a list
	lentTail            // the last one
	lentMember          // of a set
)

// everywhere are the commands that each shard does for itself.
func everywhere(spec *command.Spec) bool {
	switch spec.Name {
	case "flushall", "flushdb", "swapdb":
		return true
	}
	return strings.HasPrefix(spec.Name, "function|")
}

// splitters are the commands of which each shard does what is said of its keys: how
// many arguments that is a key. A source passes MSETNX and RENAMENX on when they have
// done something, so the condition was true.
var splitters = map[string]struct {
	step int
	as   *command.Spec
}{
	"del":    {1, command.Lookup([]byte("del"))},
	"unlink": {1, command.Lookup([]byte("unlink"))},
	"mset":   {2, command.Lookup([]byte("mset"))},
	"msetnx": {2, command.Lookup([]byte("mset"))},
}

var (
	specLpop = command.Lookup([]byte("lpop"))
	specRpop = command.Lookup([]byte("rpop"))
	specSrem = command.Lookup([]byte("srem"))
)

// divide says which shard does what of a command. The shares of one that crosses are
// done one after the other, each when those before it are there; all others at once.
//
// What crosses reads in one shard and writes in another. The share that reads comes
// first, so until it is done nothing that it needs has changed, and when it is done
// nothing of the others needs what it has read: a crash between them leaves what can
// be gone on with.
func divide(slots slot.Map, k *call) (shares []share, crosses bool, err error) {
	one := share{spec: k.spec, args: k.args, db: k.db}
	if slots.Shards() == 1 {
		return []share{one}, false, nil
	}
	if everywhere(k.spec) {
		for i := range slots.Shards() {
			one.shard = i
			shares = append(shares, one)
		}
		return shares, false, nil
	}
	keys, err := k.spec.KeyPositions(k.args)
	if err == nil && len(keys) == 0 {
		err = command.ErrNoKeyArguments
	}
	if err != nil {
		return nil, false, fmt.Errorf("%w: the command %s of its stream: %w", ErrUnsupported, k.spec.Name, err)
	}
	shardOf := func(arg int) int { return shardOfKey(slots, k.args[arg]) }
	one.shard = shardOf(keys[0].Arg)
	for _, p := range keys {
		crosses = crosses || shardOf(p.Arg) != one.shard
	}
	if !crosses {
		return []share{one}, false, nil
	}
	if s, ok := splitters[k.spec.Name]; ok && (len(k.args)-1)%s.step == 0 {
		return split(k, s.step, s.as, shardOf), false, nil
	}
	shares, err = cross(k, keys, shardOf)
	return shares, true, err
}

// split gives each shard the keys that it has, with what follows each.
func split(k *call, step int, as *command.Spec, shardOf func(arg int) int) []share {
	var shares []share
	where := make(map[int]int)
	for i := 1; i+step <= len(k.args); i += step {
		n, there := where[shardOf(i)]
		if !there {
			n = len(shares)
			where[shardOf(i)] = n
			shares = append(shares, share{shard: shardOf(i), spec: as, args: [][]byte{k.args[0]}, db: k.db})
		}
		shares[n].args = append(shares[n].args, k.args[i:i+step]...)
	}
	return shares
}

// cross makes the shares of a command that reads in one shard and writes in another.
func cross(k *call, keys []command.KeyPosition, shardOf func(arg int) int) ([]share, error) {
	one := share{spec: k.spec, args: k.args, db: k.db}
	// Of two keys: the second one's shard borrows what it needs of the first one's.
	moves := func(part lentPart, what []byte, rest *command.Spec, args ...[]byte) []share {
		one.shard = shardOf(2)
		one.borrowed = []borrowed{{shardOf(1), k.args[1], part, what}}
		return []share{one, {shard: shardOf(1), spec: rest, args: args, db: k.db}}
	}
	switch k.spec.Name {
	case "rename", "renamenx":
		shares := moves(lentWhole, nil, nil, k.args[1])
		shares[0].spec, shares[0].args = nil, k.args[2:3]
		return shares, nil
	case "smove":
		return moves(lentMember, k.args[3], specSrem, []byte("SREM"), k.args[1], k.args[3]), nil
	case "lmove", "blmove":
		if bytes.EqualFold(k.args[3], []byte("left")) {
			return moves(lentHead, nil, specLpop, []byte("LPOP"), k.args[1]), nil
		}
		return moves(lentTail, nil, specRpop, []byte("RPOP"), k.args[1]), nil
	case "rpoplpush", "brpoplpush":
		return moves(lentTail, nil, specRpop, []byte("RPOP"), k.args[1]), nil
	case "sort":
		if sortsByKeys(k.args) {
			return nil, acrossShards(k)
		}
	}
	writer := -1
	for _, p := range keys {
		if k.spec.ActualFlags(k.args, p.Flags)&command.KeyRO != 0 {
			continue
		}
		if writer >= 0 && writer != shardOf(p.Arg) {
			return nil, acrossShards(k)
		}
		writer = shardOf(p.Arg)
	}
	if writer < 0 {
		return nil, acrossShards(k)
	}
	one.shard = writer
	for _, p := range keys {
		lent := borrowed{shard: shardOf(p.Arg), key: k.args[p.Arg]}
		twice := false
		for _, b := range one.borrowed {
			twice = twice || bytes.Equal(b.key, lent.key)
		}
		if lent.shard != writer && !twice {
			one.borrowed = append(one.borrowed, lent)
		}
	}
	return []share{one}, nil
}

// sortsByKeys reports whether SORT reads keys that its elements name.
func sortsByKeys(args [][]byte) bool {
	for i := 2; i+1 < len(args); i++ {
		switch strings.ToLower(string(args[i])) {
		case "limit":
			i += 2
		case "store":
			i++
		case "by", "get":
			i++
			if bytes.IndexByte(args[i], '*') >= 0 {
				return true
			}
		}
	}
	return false
}

// acrossShards is the error for a command that cannot be done over several shards.
func acrossShards(k *call) error {
	return fmt.Errorf("%w: the command %s of its stream, of keys in several shards (for example %.60q): follow it without -shards",
		ErrUnsupported, k.spec.Name, k.args[1])
}

// shardOfKey is the number of the shard that a key belongs to.
func shardOfKey(slots slot.Map, key []byte) int { return int(slots.ShardOf(slot.Of(key))) }
