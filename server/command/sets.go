package command

import (
	"errors"
	"math"
	"slices"

	"dkv/engine/keyspace"
	"dkv/resp"
)

// The commands on sets. The command SET is in set.go.

// addMember adds a member and keeps the encoding up.
func (c *Ctx) addMember(s *keyspace.Collection, member []byte) (added bool, err error) {
	added, err = s.Put(member, nil)
	if !added {
		return false, err
	}
	l := c.limits()
	compact := s.Len() <= l.SetListpackEntries.Load() && int64(len(member)) <= l.SetListpackValue.Load()
	switch s.RedisEncoding() {
	case keyspace.SetIntset:
		_, number := keyspace.ParseInt(member)
		switch {
		case number && s.Len() <= l.SetIntsetEntries.Load():
		case !number && compact:
			s.Encode(keyspace.SetListpack)
		default:
			s.Encode(keyspace.SetTable)
		}
	case keyspace.SetListpack:
		if !compact {
			s.Encode(keyspace.SetTable)
		}
	}
	return true, nil
}

func sadd(c *Ctx) error {
	s, err := c.findCollection(c.Args[1], keyspace.TypeSet)
	if err != nil {
		return err
	}
	n := int64(0)
	for _, member := range c.Args[2:] {
		added, err := c.addMember(&s, member)
		if err != nil {
			return err
		}
		n += boolInt(added)
	}
	if err := s.Save(); err != nil {
		return err
	}
	if n > 0 {
		c.notify(keyspace.ClassSet, "sadd", c.Args[1])
	}
	c.Out.Int(n)
	return nil
}

func srem(c *Ctx) error      { return c.removeAll(keyspace.TypeSet) }
func scard(c *Ctx) error     { return c.replyLen(keyspace.TypeSet) }
func sismember(c *Ctx) error { return c.replyHas(keyspace.TypeSet) }

func smismember(c *Ctx) error {
	s, err := c.readCollection(c.Args[1], keyspace.TypeSet)
	if err != nil {
		return err
	}
	c.Out.Array(len(c.Args) - 2)
	for _, member := range c.Args[2:] {
		_, found, err := c.get(&s, member)
		if err != nil {
			return err
		}
		c.Out.Int(boolInt(found))
	}
	return nil
}

func smembers(c *Ctx) error {
	s, err := c.readCollection(c.Args[1], keyspace.TypeSet)
	if err != nil {
		return err
	}
	c.reads(s.Len())
	mark := len(c.Out.Buf)
	c.Out.Set(int(s.Len()))
	return s.Each(func(member, _ []byte) bool {
		c.Out.Bulk(member)
		return c.watch(mark)
	})
}

func sscan(c *Ctx) error {
	return c.scanElements(keyspace.TypeSet, func(l *list, member, _ []byte) error {
		l.add(member)
		return nil
	})
}

func srandmember(c *Ctx) error {
	if len(c.Args) == 2 {
		return c.replyRandom(keyspace.TypeSet)
	}
	if len(c.Args) > 3 {
		return resp.ErrSyntax
	}
	o, err := c.parseRandomOptions("")
	if err != nil {
		return err
	}
	return c.replyRandoms(keyspace.TypeSet, o, nil)
}

func spop(c *Ctx) error {
	if len(c.Args) > 3 {
		return resp.ErrSyntax
	}
	count := int64(-1)
	if len(c.Args) == 3 {
		var err error
		if count, err = c.positiveArg(2); err != nil {
			return err
		}
	}
	s, err := c.findCollection(c.Args[1], keyspace.TypeSet)
	if err != nil {
		return err
	}
	switch {
	case count < 0 && !s.Exists():
		c.Out.Null()
		return nil
	case count == 0 || !s.Exists():
		c.Out.Set(0)
		return nil
	case count < 0:
		member, err := s.PopRandom()
		if err != nil {
			return err
		}
		c.Out.Bulk(member)
		if err := s.Save(); err != nil {
			return err
		}
	default:
		if err := c.popMembers(&s, min(count, s.Len())); err != nil {
			return err
		}
	}
	c.notifyRemoved(keyspace.TypeSet, "spop", &s, 1)
	return nil
}

func (c *Ctx) popMembers(s *keyspace.Collection, n int64) error {
	c.Out.Set(int(n))
	if n == s.Len() {
		err := s.Each(func(member, _ []byte) bool {
			c.Out.Bulk(member)
			return true
		})
		if err != nil {
			return err
		}
		s.Clear()
		return s.Save()
	}
	for range n {
		if c.Out.Full() {
			return nil // all of it is undone
		}
		member, err := s.PopRandom()
		if err != nil {
			return err
		}
		c.Out.Bulk(member)
	}
	return s.Save()
}

func smove(c *Ctx) error {
	src, err := c.Tx.Find(c.DB, c.Args[1])
	if err != nil {
		return err
	}
	if !src.Exists() {
		c.Out.Int(0)
		return nil
	}
	from, err := c.Tx.Collection(src, keyspace.TypeSet)
	if err != nil {
		return typed(err)
	}
	dst, err := c.Tx.FindTarget(c.DB, c.Args[2])
	if err != nil {
		return err
	}
	to, err := c.Tx.Collection(dst, keyspace.TypeSet)
	if err != nil {
		return typed(err)
	}
	member := c.Args[3]
	if string(c.Args[1]) == string(c.Args[2]) {
		_, found, err := c.get(&from, member)
		c.Out.Int(boolInt(found))
		return err
	}
	removed, err := from.Remove(member)
	if err != nil {
		return err
	}
	if removed {
		to.Own() // from's record is written first
		if err := from.Save(); err != nil {
			return err
		}
		c.notifyRemoved(keyspace.TypeSet, "srem", &from, 1)
		added, err := c.addMember(&to, member)
		if err != nil {
			return err
		}
		if err := to.Save(); err != nil {
			return err
		}
		if added {
			c.notify(keyspace.ClassSet, "sadd", c.Args[2])
		}
	}
	c.Out.Int(boolInt(removed))
	return nil
}

// setOperation is a way to combine sets: it calls emit for each member of the result,
// once, until that returns false.
type setOperation func(c *Ctx, sets []keyspace.Collection, emit func(member []byte) bool) error

func sinter(c *Ctx) error      { return c.replySets(intersect) }
func sunion(c *Ctx) error      { return c.replySets((*Ctx).unite) }
func sdiff(c *Ctx) error       { return c.replySets(subtract) }
func sinterstore(c *Ctx) error { return c.storeSets(intersect) }
func sunionstore(c *Ctx) error { return c.storeSets((*Ctx).unite) }
func sdiffstore(c *Ctx) error  { return c.storeSets(subtract) }

// readSets looks up sets that are all used together.
func (c *Ctx) readSets(keys [][]byte) ([]keyspace.Collection, error) {
	sets := make([]keyspace.Collection, len(keys))
	for i, key := range keys {
		s, err := c.readCollection(key, keyspace.TypeSet)
		if err != nil {
			return nil, err
		}
		s.Own()
		sets[i] = s
	}
	return sets, nil
}

func (c *Ctx) replySets(op setOperation) error {
	sets, err := c.readSets(c.Args[1:])
	if err != nil {
		return err
	}
	items := c.beginList()
	err = op(c, sets, func(member []byte) bool {
		items.add(member)
		return c.watch(items.start)
	})
	if err != nil {
		return err
	}
	items.endSet()
	return nil
}

func (c *Ctx) storeSets(op setOperation) error {
	sets, err := c.readSets(c.Args[2:])
	if err != nil {
		return err
	}
	var members [][]byte // all, before the first write: a source may be overwritten
	kept, tooMuch := c.keeps(), error(nil)
	err = op(c, sets, func(member []byte) bool {
		members = append(members, slices.Clone(member))
		tooMuch = kept.take(len(member))
		return tooMuch == nil
	})
	if err = errors.Join(err, tooMuch); err != nil {
		return err
	}
	s, err := c.replace(c.Args[1], keyspace.TypeSet)
	if err != nil {
		return err
	}
	for _, member := range members {
		if s.RedisEncoding() == keyspace.SetTable && !s.Inline() {
			err = s.Add(member)
		} else {
			_, err = c.addMember(&s, member)
		}
		if err != nil {
			return err
		}
	}
	if err := s.Save(); err != nil {
		return err
	}
	c.notifyStored(keyspace.TypeSet, &s, len(members))
	c.Out.Int(int64(len(members)))
	return nil
}

// replace deletes what a key holds and returns a new collection for it.
func (c *Ctx) replace(key []byte, t keyspace.Type) (keyspace.Collection, error) {
	e, err := c.Tx.Find(c.DB, key)
	if err != nil {
		return keyspace.Collection{}, err
	}
	c.Tx.Delete(&e)
	return c.Tx.Collection(e, t)
}

func sintercard(c *Ctx) error {
	keys, next, err := c.numberedKeys(1)
	if err != nil {
		return err
	}
	limit := int64(0)
	for i := next; i < len(c.Args); i += 2 {
		if !isWord(c.Args[i], "LIMIT") || i+1 == len(c.Args) {
			return resp.ErrSyntax
		}
		if limit, err = c.limitArg(i + 1); err != nil {
			return err
		}
	}
	sets, err := c.readSets(keys)
	if err != nil {
		return err
	}
	n := int64(0)
	err = intersect(c, sets, func([]byte) bool {
		n++
		return n != limit
	})
	c.Out.Int(n)
	return err
}

const (
	errNumkeys     resp.Error = "ERR numkeys should be greater than 0"
	errTooManyKeys resp.Error = "ERR Number of keys can't be greater than number of args"
	errLimit       resp.Error = "ERR LIMIT can't be negative"
)

// numberedKeys returns the keys that follow their number in argument i, and the
// position behind them.
func (c *Ctx) numberedKeys(i int) (keys [][]byte, next int, err error) {
	n, ok := keyspace.ParseInt(c.Args[i])
	if !ok || n < 1 || n > math.MaxInt32 {
		return nil, 0, errNumkeys
	}
	if n > int64(len(c.Args)-i-1) {
		return nil, 0, errTooManyKeys
	}
	next = i + 1 + int(n)
	return c.Args[i+1 : next], next, nil
}

func (c *Ctx) limitArg(i int) (int64, error) {
	n, ok := keyspace.ParseInt(c.Args[i])
	if !ok || n < 0 {
		return 0, errLimit
	}
	return n, nil
}
