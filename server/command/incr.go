package command

import (
	"math"
	"strconv"

	"dkv/engine/keyspace"
	"dkv/resp"
)

func incr(c *Ctx) error { return c.addInteger(1) }
func decr(c *Ctx) error { return c.addInteger(-1) }

func incrby(c *Ctx) error {
	n, err := c.integerArg(2)
	if err != nil {
		return err
	}
	return c.addInteger(n)
}

func decrby(c *Ctx) error {
	n, err := c.integerArg(2)
	if err != nil {
		return err
	}
	if n == math.MinInt64 {
		return resp.ErrDecrOverflow
	}
	return c.addInteger(-n)
}

func (c *Ctx) addInteger(by int64) error {
	e, err := c.findString(c.Args[1])
	if err != nil {
		return err
	}
	var n int64
	if e.Exists() {
		var ok bool
		if n, ok = keyspace.ParseInt(e.Body); !ok {
			return resp.ErrNotInt
		}
	}
	if by < 0 && n < math.MinInt64-by || by > 0 && n > math.MaxInt64-by {
		return resp.ErrOverflow
	}
	n += by
	var digits [20]byte
	c.Tx.SetString(&e, strconv.AppendInt(digits[:0], n, 10), e.ExpireAt, keyspace.FormAuto)
	c.notify(keyspace.ClassString, "incrby", c.Args[1])
	c.Out.Int(n)
	return nil
}

func incrbyfloat(c *Ctx) error {
	e, err := c.findString(c.Args[1])
	if err != nil {
		return err
	}
	value := zeroLongDouble()
	ok := true
	if e.Exists() {
		if value, ok = parseLongDouble(e.Body); !ok {
			return resp.ErrNotFloat
		}
	}
	by, ok := parseLongDouble(c.Args[2])
	if !ok {
		return resp.ErrNotFloat
	}
	if !value.add(by) {
		return resp.ErrNaNOrInf
	}
	text := value.appendTo(nil)
	c.Tx.SetString(&e, text, e.ExpireAt, keyspace.FormText)
	c.notify(keyspace.ClassString, "incrbyfloat", c.Args[1])
	c.Out.Bulk(text)
	return nil
}
