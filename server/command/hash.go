package command

import (
	"math"
	"strconv"

	"dkv/engine/keyspace"
	"dkv/resp"
)

const (
	errHashNotInt   resp.Error = "ERR hash value is not an integer"
	errHashNotFloat resp.Error = "ERR hash value is not a float"
	errNaNOrInf     resp.Error = "ERR value is NaN or Infinity"
)

// putField sets a field and keeps the encoding up.
func (c *Ctx) putField(h *keyspace.Collection, field, value []byte) (added bool, err error) {
	return c.putFieldBy(h, field, value, func() (bool, error) { return h.Put(field, value) })
}

// keepField is putField, and leaves the field's expiry as it is.
func (c *Ctx) keepField(h *keyspace.Collection, field, value []byte) error {
	_, err := c.putFieldBy(h, field, value, func() (bool, error) { return h.PutKeeping(field, value) })
	return err
}

// putFieldBy sets a field by put and keeps the encoding up.
func (c *Ctx) putFieldBy(h *keyspace.Collection, field, value []byte, put func() (bool, error)) (added bool, err error) {
	added, err = put()
	l := c.limits()
	if int64(len(field)) > l.HashListpackValue.Load() || int64(len(value)) > l.HashListpackValue.Load() || h.Len() > l.HashListpackEntries.Load() {
		h.Encode(keyspace.HashTable)
	}
	return added, err
}

func hset(c *Ctx) error {
	added, err := c.setFields()
	if err == nil {
		c.Out.Int(added)
	}
	return err
}

func hmset(c *Ctx) error {
	_, err := c.setFields()
	if err == nil {
		c.Out.OK()
	}
	return err
}

func (c *Ctx) setFields() (added int64, err error) {
	if len(c.Args)%2 != 0 {
		return 0, resp.ErrWrongArity(c.Spec.Name)
	}
	h, err := c.findCollection(c.Args[1], keyspace.TypeHash)
	if err != nil {
		return 0, err
	}
	for i := 2; i < len(c.Args); i += 2 {
		fresh, err := c.putField(&h, c.Args[i], c.Args[i+1])
		if err != nil {
			return 0, err
		}
		added += boolInt(fresh)
	}
	if err := h.Save(); err != nil {
		return 0, err
	}
	c.notify(keyspace.ClassHash, "hset", c.Args[1])
	return added, nil
}

func hsetnx(c *Ctx) error {
	h, err := c.findCollection(c.Args[1], keyspace.TypeHash)
	if err != nil {
		return err
	}
	_, found, err := c.get(&h, c.Args[2])
	if err != nil {
		return err
	}
	if !found {
		if _, err := c.putField(&h, c.Args[2], c.Args[3]); err != nil {
			return err
		}
		if err := h.Save(); err != nil {
			return err
		}
		c.notify(keyspace.ClassHash, "hset", c.Args[1])
	}
	c.Out.Int(boolInt(!found))
	return nil
}

func hget(c *Ctx) error {
	h, err := c.readCollection(c.Args[1], keyspace.TypeHash)
	if err != nil {
		return err
	}
	return c.replyField(&h, c.Args[2])
}

func (c *Ctx) replyField(h *keyspace.Collection, field []byte) error {
	value, found, err := c.get(h, field)
	if err != nil {
		return err
	}
	if found {
		c.Out.Bulk(value)
	} else {
		c.Out.Null()
	}
	return nil
}

func hmget(c *Ctx) error {
	h, err := c.readCollection(c.Args[1], keyspace.TypeHash)
	if err != nil {
		return err
	}
	c.Out.Array(len(c.Args) - 2)
	for _, field := range c.Args[2:] {
		if c.Out.Full() {
			break
		}
		if err := c.replyField(&h, field); err != nil {
			return err
		}
	}
	return nil
}

func hdel(c *Ctx) error    { return c.removeAll(keyspace.TypeHash) }
func hlen(c *Ctx) error    { return c.replyLen(keyspace.TypeHash) }
func hexists(c *Ctx) error { return c.replyHas(keyspace.TypeHash) }

func hstrlen(c *Ctx) error {
	h, err := c.readCollection(c.Args[1], keyspace.TypeHash)
	if err != nil {
		return err
	}
	value, _, err := c.get(&h, c.Args[2])
	if err != nil {
		return err
	}
	c.Out.Int(int64(len(value)))
	return nil
}

func hgetall(c *Ctx) error {
	return c.replyHash(c.Out.Map, func(field, value []byte) {
		c.Out.Bulk(field)
		c.Out.Bulk(value)
	})
}

func hkeys(c *Ctx) error {
	return c.replyHash(c.Out.Array, func(field, _ []byte) { c.Out.Bulk(field) })
}

func hvals(c *Ctx) error {
	return c.replyHash(c.Out.Array, func(_, value []byte) { c.Out.Bulk(value) })
}

func (c *Ctx) replyHash(begin func(int), emit func(field, value []byte)) error {
	h, err := c.readCollection(c.Args[1], keyspace.TypeHash)
	if err != nil {
		return err
	}
	c.reads(h.Len())
	n, err := h.Live()
	if err != nil {
		return err
	}
	mark := len(c.Out.Buf)
	begin(int(n))
	return h.Each(func(field, value []byte) bool {
		emit(field, value)
		return c.watch(mark)
	})
}

func hincrby(c *Ctx) error {
	by, err := c.integerArg(3)
	if err != nil {
		return err
	}
	h, err := c.findCollection(c.Args[1], keyspace.TypeHash)
	if err != nil {
		return err
	}
	value, found, err := c.get(&h, c.Args[2])
	if err != nil {
		return err
	}
	var n int64
	if found {
		if n, found = keyspace.ParseInt(value); !found {
			return errHashNotInt
		}
	}
	if by < 0 && n < math.MinInt64-by || by > 0 && n > math.MaxInt64-by {
		return resp.ErrOverflow
	}
	n += by
	if err := c.keepField(&h, c.Args[2], strconv.AppendInt(nil, n, 10)); err != nil {
		return err
	}
	if err := h.Save(); err != nil {
		return err
	}
	c.notify(keyspace.ClassHash, "hincrby", c.Args[1])
	c.Out.Int(n)
	return nil
}

func hincrbyfloat(c *Ctx) error {
	by, ok := parseLongDouble(c.Args[3])
	if !ok {
		return resp.ErrNotFloat
	}
	if by.f.IsInf() {
		return errNaNOrInf
	}
	h, err := c.findCollection(c.Args[1], keyspace.TypeHash)
	if err != nil {
		return err
	}
	old, found, err := c.get(&h, c.Args[2])
	if err != nil {
		return err
	}
	value := zeroLongDouble()
	if found {
		if value, ok = parseLongDouble(old); !ok {
			return errHashNotFloat
		}
	}
	if !value.add(by) {
		return resp.ErrNaNOrInf
	}
	text := value.appendTo(nil)
	if err := c.keepField(&h, c.Args[2], text); err != nil {
		return err
	}
	if err := h.Save(); err != nil {
		return err
	}
	c.notify(keyspace.ClassHash, "hincrbyfloat", c.Args[1])
	c.Out.Bulk(text)
	return nil
}

func hrandfield(c *Ctx) error {
	if len(c.Args) == 2 {
		return c.replyRandom(keyspace.TypeHash)
	}
	o, err := c.parseRandomOptions("WITHVALUES")
	if err != nil {
		return err
	}
	return c.replyRandoms(keyspace.TypeHash, o, func(value []byte) error {
		c.Out.Bulk(value)
		return nil
	})
}

func hscan(c *Ctx) error {
	return c.scanElements(keyspace.TypeHash, func(l *list, field, value []byte) error {
		l.add(field)
		l.add(value)
		return nil
	})
}
