package command

import (
	"math"

	"dkv/engine/keyspace"
	"dkv/resp"
)

// readList looks a key up for reading and refuses other types.
func (c *Ctx) readList(key []byte) (keyspace.List, error) {
	col, err := c.readCollection(key, keyspace.TypeList)
	return keyspace.List{Collection: col}, err
}

// findList looks a key up for writing and refuses other types.
func (c *Ctx) findList(key []byte) (keyspace.List, error) {
	col, err := c.findCollection(key, keyspace.TypeList)
	return keyspace.List{Collection: col}, err
}

func lpush(c *Ctx) error  { return c.push(true, false) }
func rpush(c *Ctx) error  { return c.push(false, false) }
func lpushx(c *Ctx) error { return c.push(true, true) }
func rpushx(c *Ctx) error { return c.push(false, true) }

func (c *Ctx) push(front, existing bool) error {
	l, err := c.findList(c.Args[1])
	if err != nil {
		return err
	}
	if existing && !l.Exists() {
		c.Out.Int(0)
		return nil
	}
	if err := c.pushAll(&l, front, c.Args[2:]); err != nil {
		return err
	}
	c.notifyPushed(c.Args[1], front)
	c.Out.Int(l.Len())
	return nil
}

// pushAll adds elements one after the other and saves the list.
func (c *Ctx) pushAll(l *keyspace.List, front bool, elements [][]byte) error {
	if err := c.growList(l, elements); err != nil {
		return err
	}
	for _, e := range elements {
		if err := l.Push(front, e); err != nil {
			return err
		}
	}
	return l.Save()
}

func lpop(c *Ctx) error { return c.popList(true) }
func rpop(c *Ctx) error { return c.popList(false) }

func (c *Ctx) popList(front bool) error {
	if len(c.Args) > 3 {
		return resp.ErrWrongArity(c.Spec.Name)
	}
	counted := len(c.Args) == 3
	count := int64(1)
	if counted {
		var err error
		if count, err = c.positiveArg(2); err != nil {
			return err
		}
	}
	l, err := c.findList(c.Args[1])
	switch {
	case err != nil:
		return err
	case !l.Exists() && counted:
		c.Out.NullArray()
		return nil
	case !l.Exists():
		c.Out.Null()
		return nil
	case counted:
		return c.replyPopped(&l, front, min(count, l.Len()))
	}
	return c.replyOne(&l, front)
}

// replyOne removes an element and replies it.
func (c *Ctx) replyOne(l *keyspace.List, front bool) error {
	err := c.popOne(l, front, c.Out.Bulk)
	if err == nil {
		c.notifyPopped(l, front, 1)
	}
	return err
}

// popOne removes an element and gives it to reply, then saves the list.
func (c *Ctx) popOne(l *keyspace.List, front bool, reply func(element []byte)) error {
	if err := l.Pop(front, 1, reply); err != nil {
		return err
	}
	return c.saveShrunk(l)
}

// replyPopped removes n elements, of which there are as many, and replies their
// array.
func (c *Ctx) replyPopped(l *keyspace.List, front bool, n int64) error {
	if n > math.MaxInt32 {
		return resp.ErrOutOfRange
	}
	c.Out.Array(int(n))
	if n == 0 {
		return nil
	}
	if err := l.Pop(front, n, c.Out.Bulk); err != nil {
		return err
	}
	if err := c.saveShrunk(l); err != nil {
		return err
	}
	c.notifyPopped(l, front, n)
	return nil
}

func llen(c *Ctx) error { return c.replyLen(keyspace.TypeList) }

func lindex(c *Ctx) error {
	l, err := c.readList(c.Args[1])
	if err != nil {
		return err
	}
	if !l.Exists() {
		c.Out.Null()
		return nil
	}
	index, err := c.integerArg(2)
	if err != nil {
		return err
	}
	if index < 0 {
		index += l.Len()
	}
	if index < 0 || index >= l.Len() {
		c.Out.Null()
		return nil
	}
	if cap(c.scratch) > maxScratch {
		c.scratch = nil
	}
	if c.scratch, err = l.At(c.scratch[:0], index); err != nil {
		return err
	}
	c.Out.Bulk(c.scratch)
	return nil
}

// indexRange parses the first and last index in arguments 2 and 3.
func (c *Ctx) indexRange() (first, last int64, err error) {
	if first, err = c.integerArg(2); err != nil {
		return 0, 0, err
	}
	last, err = c.integerArg(3)
	return first, last, err
}

// within cuts a range of indexes, which may count from the end, to what a list has.
// first is above last when that is nothing.
func within(first, last, length int64) (int64, int64) {
	if first < 0 {
		first = max(first+length, 0)
	}
	if last < 0 {
		last += length
	}
	return first, min(last, length-1)
}

func lrange(c *Ctx) error {
	first, last, err := c.indexRange()
	if err != nil {
		return err
	}
	l, err := c.readList(c.Args[1])
	if err != nil {
		return err
	}
	first, last = within(first, last, l.Len())
	if first > last {
		c.Out.Array(0)
		return nil
	}
	if last-first >= math.MaxInt32 {
		return resp.ErrOutOfRange
	}
	c.reads(last - first + 1)
	mark := len(c.Out.Buf)
	c.Out.Array(int(last - first + 1))
	return l.Range(first, last, false, func(element []byte) bool {
		c.Out.Bulk(element)
		return c.watch(mark)
	})
}

func lset(c *Ctx) error {
	l, err := c.findList(c.Args[1])
	if err != nil {
		return err
	}
	if !l.Exists() {
		return resp.ErrNoSuchKey
	}
	index, err := c.integerArg(2)
	if err != nil {
		return err
	}
	if index < 0 {
		index += l.Len()
	}
	if index < 0 || index >= l.Len() {
		return resp.ErrIndexOutOfRange
	}
	if err := c.growList(&l, c.Args[3:]); err != nil {
		return err
	}
	if err := l.Set(index, c.Args[3]); err != nil {
		return err
	}
	if err := c.saveShrunk(&l); err != nil {
		return err
	}
	c.notify(keyspace.ClassList, "lset", c.Args[1])
	c.Out.OK()
	return nil
}

func ltrim(c *Ctx) error {
	first, last, err := c.indexRange()
	if err != nil {
		return err
	}
	l, err := c.findList(c.Args[1])
	if err != nil {
		return err
	}
	if l.Exists() {
		if err := l.Trim(within(first, last, l.Len())); err != nil {
			return err
		}
		if err := c.saveShrunk(&l); err != nil {
			return err
		}
		c.notifyRemoved(keyspace.TypeList, "ltrim", &l.Collection, 1)
	}
	c.Out.OK()
	return nil
}

func lrem(c *Ctx) error {
	limit, err := c.integerArg(2)
	if err != nil {
		return err
	}
	limit = max(limit, -math.MaxInt64)
	l, err := c.findList(c.Args[1])
	if err != nil {
		return err
	}
	n, err := l.Remove(c.Args[3], max(limit, -limit), limit < 0)
	if err != nil {
		return err
	}
	if n > 0 {
		if err := c.saveShrunk(&l); err != nil {
			return err
		}
		c.notifyRemoved(keyspace.TypeList, "lrem", &l.Collection, n)
	}
	c.Out.Int(n)
	return nil
}

func linsert(c *Ctx) error {
	after := isWord(c.Args[2], "AFTER")
	if !after && !isWord(c.Args[2], "BEFORE") {
		return resp.ErrSyntax
	}
	l, err := c.findList(c.Args[1])
	if err != nil {
		return err
	}
	if !l.Exists() {
		c.Out.Int(0)
		return nil
	}
	at, found := int64(-1), false
	err = l.Each(func(element, _ []byte) bool {
		at++
		found = string(element) == string(c.Args[3])
		return !found
	})
	if err != nil {
		return err
	}
	if !found {
		c.Out.Int(-1)
		return nil
	}
	if err := c.growList(&l, c.Args[4:]); err != nil {
		return err
	}
	if after {
		at++
	}
	if err := l.Insert(at, c.Args[4]); err != nil {
		return err
	}
	c.notify(keyspace.ClassList, "linsert", c.Args[1])
	c.Out.Int(l.Len())
	return l.Save()
}

// growList is done before elements are added: it tells when Redis would give up the
// compact form for them.
func (c *Ctx) growList(l *keyspace.List, elements [][]byte) error {
	if l.RedisEncoding() != keyspace.ListListpack {
		return nil
	}
	bytes := uint64(0)
	for _, e := range elements {
		bytes += uint64(len(e))
	}
	packed, err := l.Packed()
	if err != nil {
		return err
	}
	mostBytes, mostElements := c.limits().listpack(1)
	if packed+bytes > mostBytes || l.Len()+int64(len(elements)) > mostElements {
		l.SetRedisEncoding(keyspace.ListQuicklist)
	}
	return nil
}

// saveShrunk saves a list that may have become small enough for the compact form.
func (c *Ctx) saveShrunk(l *keyspace.List) error {
	if l.RedisEncoding() == keyspace.ListQuicklist && l.Len() > 0 {
		packed, err := l.Packed()
		if err != nil {
			return err
		}
		if mostBytes, mostElements := c.limits().listpack(2); packed <= mostBytes && l.Len() <= mostElements {
			l.SetRedisEncoding(keyspace.ListListpack)
		}
	}
	return l.Save()
}

// listpack returns how large a list in the compact form may be, as list-max-listpack-size
// says: so many elements, or, below zero, one of five sizes; divided by a number.
func (l *Limits) listpack(by int64) (bytes uint64, elements int64) {
	n := l.ListMaxListpackSize.Load()
	if n < 0 {
		return 4 << 10 << (min(-n, 5) - 1) / uint64(by), math.MaxInt64
	}
	const safety = 8 << 10 // bytes, when elements are counted
	return safety, max(n, 1) / by
}
