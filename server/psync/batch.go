package psync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dkv/cluster/raftlog"
	"dkv/cluster/replica"
	"dkv/cluster/shard"
	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

const (
	// A shard for which nothing comes is brought to the others' place when it is that
	// far behind them, or when that was last done so long ago: what is behind the lowest
	// place is what the source must still have after a crash.
	lagBytes     = 256 << 10
	levelPause   = time.Second
	levelTimeout = 5 * time.Second
)

// batch is what the shards are to do next, to be one entry of the log of each.
type batch struct {
	of    [][]item             // by shard
	end   shard.SourcePosition // where it leads
	units int
}

// item is a share in a batch.
type item struct {
	share
	unit int
	from shard.SourcePosition // the place before its unit
}

func (b *batch) begin(shards int, at shard.SourcePosition) {
	b.of, b.end, b.units = make([][]item, shards), at, 0
}

// add adds the shares of a unit, which leads to a place.
func (b *batch) add(at []shard.SourcePosition, end raftlog.Index, shares []share) {
	for _, s := range shares {
		if at[s.shard].Index < end {
			b.of[s.shard] = append(b.of[s.shard], item{s, b.units, b.end})
		}
	}
}

// lead ends a unit at a place.
func (b *batch) lead(end raftlog.Index, db int) {
	b.end.Index, b.end.Term = end, raftlog.Term(db)
	b.units++
}

// close takes a unit, which ends at the present offset, into the batch. One of which a
// command crosses shards is taken, and applied, command by command.
func (st *stream) close(u *unit) error {
	slots := st.c.slots
	all := make([][]share, len(u.calls))
	apart := false
	for i := range u.calls {
		shares, crosses, err := divide(slots, &u.calls[i])
		if err != nil {
			return err
		}
		all[i], apart = shares, apart || crosses
		if crosses {
			all[i] = append([]share{{shard: -1}}, shares...)
		}
	}
	for i := range u.calls {
		k := &u.calls[i]
		switch {
		case len(all[i]) > 0 && all[i][0].shard < 0:
			if err := st.cross(k, all[i][1:]); err != nil {
				return err
			}
		default:
			st.batch.add(st.c.at, k.end, all[i])
			if apart {
				st.batch.lead(k.end, k.db)
			}
		}
	}
	st.batch.lead(st.offset(), st.db)
	return nil
}

// apply has the shards do the batch, and writes down how far it leads. When a command
// fails, what was before it in its shard is applied all the same.
func (st *stream) apply() error {
	c, b := st.c, st.batch
	asked := st.asked
	st.bytes, st.commands, st.asked = 0, 0, false
	if st.failed || b.end == c.next {
		return nil
	}
	st.batch.begin(len(c.at), b.end)
	now := c.l.Clock()
	all := now.Sub(st.levelled) >= levelPause
	var shards []int
	for i := range c.at {
		behind := c.at[i].Index < b.end.Index
		if behind && (all || len(c.at) == 1 || len(b.of[i]) > 0 || b.end.Index-c.at[i].Index > lagBytes) {
			shards = append(shards, i)
		}
	}
	if all {
		st.levelled = now
	}
	if len(shards) > 0 {
		if err := each(shards, func(i int) error { return st.applyTo(i, b.of[i], b.end) }); err != nil {
			st.failed = true
			return err
		}
	}
	st.reached(b.end)
	if asked {
		return c.ack()
	}
	return nil
}

// reached notes that everything before a place is applied.
func (st *stream) reached(to shard.SourcePosition) {
	c := st.c
	c.next = to
	c.applied.Store(int64(to.Index))
	c.l.Update(func(s *replica.LinkStatus) { s.At = to.Index })
}

// applyTo has a shard do its part of a batch.
func (st *stream) applyTo(i int, items []item, to shard.SourcePosition) error {
	failed, err := st.applyItems(i, items, to)
	if err == nil || failed < 0 {
		return err
	}
	unit, before := items[failed].unit, 0
	for before < len(items) && items[before].unit < unit {
		before++
	}
	if before == 0 {
		return err
	}
	_, again := st.applyItems(i, items[:before], items[failed].from)
	return errors.Join(err, again)
}

// applyItems evaluates shares as one entry of a shard's log. failed is the number of the
// one that failed, -1 when it was none of them.
func (st *stream) applyItems(i int, items []item, to shard.SourcePosition) (failed int, err error) {
	c := st.c
	var out resp.Writer
	failed = -1
	err = c.step(st.ctx, i, to, func(tx *keyspace.Tx) error {
		failed = -1
		for j := range items {
			if err := c.evaluateShare(&items[j].share, tx, &out, nil); err != nil {
				failed = j
				return fmt.Errorf("%w: the command %s of its stream: %w", ErrUnsupported, items[j].name(), err)
			}
		}
		return nil
	})
	return failed, err
}

func (s *share) name() string {
	if s.spec == nil {
		return "rename"
	}
	return s.spec.Name
}

// evaluateShare does a share in a transaction of its shard.
func (c *conversation) evaluateShare(s *share, tx *keyspace.Tx, out *resp.Writer, borrowed []lent) error {
	out.Buf = out.Buf[:0]
	x := command.Ctx{Tx: tx, Out: out, Limits: c.f.o.Limits, MaxStringLen: maxStringBytes, Sharded: len(c.at) > 1, Shard: s.shard}
	if c.f.o.Scripts != nil {
		x.Scripts = c.f.o.Scripts
	}
	return s.run(&x, borrowed)
}

// cross does a command that reads in one shard and writes in another, when all that
// was before it is applied.
func (st *stream) cross(k *call, shares []share) error {
	if err := st.apply(); err != nil {
		return err
	}
	c := st.c
	to := c.next
	to.Index, to.Term = k.end, raftlog.Term(k.db)
	for i := range shares {
		if err := st.crossShare(&shares[i], to); err != nil {
			st.failed = true
			return fmt.Errorf("the command %s of its stream: %w", k.spec.Name, err)
		}
	}
	st.batch.lead(to.Index, k.db)
	st.reached(to)
	return nil
}

// crossShare does a share of such a command, unless it is done.
func (st *stream) crossShare(s *share, to shard.SourcePosition) error {
	c := st.c
	if c.at[s.shard].Index >= to.Index {
		return nil
	}
	for _, b := range s.borrowed {
		if c.at[b.shard].Index >= to.Index {
			c.f.anew.Store(true)
			return errTorn
		}
	}
	borrowed, err := c.lend(st.ctx, s)
	if err != nil {
		return err
	}
	var out resp.Writer
	return c.step(st.ctx, s.shard, to, func(tx *keyspace.Tx) error {
		if err := c.evaluateShare(s, tx, &out, borrowed); err != nil {
			return fmt.Errorf("%w: %w", ErrUnsupported, err)
		}
		return nil
	})
}

// finish brings all shards to one place at the end of a connection: the next one may
// then be to a source with another id.
func (st *stream) finish() error {
	c := st.c
	if st.failed || len(c.at) == 1 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(st.ctx), levelTimeout)
	defer cancel()
	for i := range c.at {
		if c.at[i].Index >= c.next.Index {
			continue
		}
		if err := c.step(ctx, i, c.next, nothing); err != nil {
			return err
		}
	}
	return nil
}
