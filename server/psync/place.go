package psync

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"dkv/cluster/shard"
	"dkv/engine/keyspace"
)

const (
	// historyPrefix begins the history of a place in a Redis server's stream; its
	// replication id follows. The place's index is the offset, its term the selected
	// database.
	historyPrefix = "redis "
	replIDBytes   = 40
)

// ReplID returns the replication id of a Redis server whose history a place is in.
func ReplID(history string) (id string, ok bool) { return strings.CutPrefix(history, historyPrefix) }

// errTorn: the places of the shards do not belong to each other. Everything is copied
// again then.
var errTorn = errors.New("the shards are at places in the source's stream from which they cannot go on together")

// resume returns from where shards at these places can go on: from the lowest, and each
// passes over what it has. ok is false when they cannot.
//
// Places of two histories are those of a crash while the source's new id was written
// down, which is done at one offset, and in the first shard at first.
func resume(at []shard.SourcePosition) (from shard.SourcePosition, ok bool) {
	from = at[0]
	same, level := true, true
	for _, p := range at {
		if _, ok := ReplID(p.History); !ok {
			return from, false
		}
		same = same && p.History == at[0].History
		level = level && p.Index == at[0].Index
		if p.Index < from.Index {
			from = p
		}
	}
	from.History = at[0].History
	return from, same || level
}

// level reports whether all shards are at one offset.
func (c *conversation) level() bool {
	for _, p := range c.at {
		if p.Index != c.at[0].Index {
			return false
		}
	}
	return true
}

// step evaluates f in a shard, which is then at a place.
func (c *conversation) step(ctx context.Context, i int, to shard.SourcePosition, f func(tx *keyspace.Tx) error) error {
	if err := c.evaluate(ctx, i, &shard.SourceStep{From: c.at[i], To: to}, f); err != nil {
		return err
	}
	c.at[i] = to
	return nil
}

// each calls f for shards, at the same time, and waits for all.
func each(shards []int, f func(i int) error) error {
	if len(shards) == 1 {
		return f(shards[0])
	}
	errs := make([]error, len(shards))
	var running sync.WaitGroup
	for n, i := range shards {
		running.Go(func() { errs[n] = f(i) })
	}
	running.Wait()
	return errors.Join(errs...)
}

func nothing(*keyspace.Tx) error { return nil }

// rename writes down a new id of the source, when there are several shards: one is at
// the same offset under both ids, and what a shard does next would be of the new one.
func (c *conversation) rename(ctx context.Context) error {
	if len(c.at) == 1 {
		return nil // the next step says it
	}
	for i := range c.at {
		if c.at[i].History == c.next.History {
			continue
		}
		to := c.at[i]
		to.History = c.next.History
		if err := c.step(ctx, i, to, nothing); err != nil {
			return fmt.Errorf("write down the source's new id: %w", err)
		}
	}
	return nil
}
