package keyspace

import (
	"fmt"
	"slices"

	"dkv/engine"
)

// Look looks a pending entry up. One that is not there has zeros, and can be given to
// a consumer with Assign.
func (g *Group) Look(id StreamID) (p Pending, err error) {
	p.ID = id
	if g.pending == 0 || g.high.Less(id) || id.Less(g.low) {
		return p, nil
	}
	tx := g.s.tx
	value, found, err := g.s.get(tx.old[:0], id.appendKey(g.member(memberPending)))
	if err != nil || !found {
		return p, err
	}
	tx.old = value
	return parsePending(id, value)
}

// Assign makes an entry pending, as p says, and c's; c is to be one of the group's that
// are not for reading only (Consumer, CreateConsumer, Owner).
func (g *Group) Assign(p *Pending, c *Consumer) error {
	tx := g.s.tx
	if !p.OwnedBy(c) {
		if p.there {
			if err := g.disown(p); err != nil {
				return err
			}
		} else {
			g.pending++
			g.bounds.include(p.ID)
			if g.high.Less(p.ID) {
				g.high = p.ID
			}
		}
		c.pending++
		c.bounds.include(p.ID)
		tx.ov.Put(p.ID.appendKey(g.owned(c)), nil)
	}
	p.consumer, p.there = c.number, true
	tx.old = p.append(tx.old[:0])
	tx.ov.Put(p.ID.appendKey(g.member(memberPending)), tx.old)
	return nil
}

// Release makes an entry not pending any more.
func (g *Group) Release(p *Pending) error {
	if !p.there {
		return nil
	}
	if err := g.disown(p); err != nil {
		return err
	}
	g.s.tx.ov.Delete(p.ID.appendKey(g.member(memberPending)))
	p.there = false
	g.pending--
	g.bounds.exclude(g.pending, g.high)
	return nil
}

// disown takes an entry from its consumer.
func (g *Group) disown(p *Pending) error {
	c, err := g.Owner(p)
	if err != nil {
		return err
	}
	g.s.tx.ov.Delete(p.ID.appendKey(g.owned(c)))
	c.pending--
	c.bounds.exclude(c.pending, g.high)
	return nil
}

// include lowers the bound for an entry that is added.
func (b *bounds) include(id StreamID) {
	if id.Less(b.low) {
		b.low = id
	}
}

// exclude counts an entry that is removed; left are there still.
func (b *bounds) exclude(left uint64, high StreamID) {
	b.dead++
	if left == 0 {
		b.low, _ = high.Next()
		b.dead = 0
	}
}

// EachPending calls emit for the pending entries of the group, or of one consumer
// unless that is nil, with ids from one to another, both included, until it returns
// false. What it changes shows to the next walk.
func (g *Group) EachPending(c *Consumer, from, to StreamID, emit func(p Pending) bool) error {
	if c == nil {
		if from.Less(g.low) {
			from = g.low
		}
		return g.s.eachRecord(g.pendingRange(g.member(memberPending), from, to), false, func(key, value []byte) (bool, error) {
			id, err := pendingID(key)
			if err != nil {
				return false, err
			}
			p, err := parsePending(id, value)
			return err == nil && emit(p), err
		})
	}
	if from.Less(c.low) {
		from = c.low
	}
	return g.eachOwned(g.owned(c), from, to, func(id StreamID) (bool, error) {
		p, err := g.Look(id)
		if err == nil && !p.OwnedBy(c) {
			err = fmt.Errorf("%w: pending entry %s of a stream has another owner", ErrCorrupt, id)
		}
		return err == nil && emit(p), err
	})
}

// LastPending returns the id of the last pending entry of a group that has some.
func (g *Group) LastPending() (last StreamID, err error) {
	o := g.pendingRange(g.member(memberPending), g.low, g.high)
	o.KeysOnly = true
	err = g.s.eachRecord(o, true, func(key, _ []byte) (bool, error) {
		last, err = pendingID(key)
		return false, err
	})
	return last, err
}

// eachOwned goes over the ids of the records with a prefix, from one to another.
func (g *Group) eachOwned(prefix []byte, from, to StreamID, emit func(id StreamID) (bool, error)) error {
	o := g.pendingRange(prefix, from, to)
	o.KeysOnly = true
	return g.s.eachRecord(o, false, func(key, _ []byte) (bool, error) {
		id, err := pendingID(key)
		if err != nil {
			return false, err
		}
		return emit(id)
	})
}

func (g *Group) pendingRange(prefix []byte, from, to StreamID) (o engine.IterOptions) {
	o.Lower = from.appendKey(slices.Clone(prefix))
	o.Upper = append(to.appendKey(slices.Clone(prefix)), 0)
	return o
}

// pendingID returns the id that a key ends in.
func pendingID(key []byte) (StreamID, error) { return idAt(key, max(len(key)-streamIDBytes, 0)) }

// kindRange returns the bounds of all records of a kind.
func (s *Stream) kindRange(kind byte) (o engine.IterOptions) {
	o.Lower = slices.Clone(s.prefix(kind))
	o.Upper = slices.Clone(s.prefix(kind + 1))
	return o
}

// memberRange returns the bounds of all records of a kind that belong to a group.
func (g *Group) memberRange(kind byte) (o engine.IterOptions) {
	o.Lower = slices.Clone(g.member(kind))
	o.Upper = slices.Clone(g.member(kind + 1))
	return o
}
