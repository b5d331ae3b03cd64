package command

import (
	"math"

	"dkv/engine/keyspace"
	"dkv/resp"
)

func expire(c *Ctx) error    { return c.setExpiry(expiryEX) }
func pexpire(c *Ctx) error   { return c.setExpiry(expiryPX) }
func expireat(c *Ctx) error  { return c.setExpiry(expiryEXAT) }
func pexpireat(c *Ctx) error { return c.setExpiry(expiryPXAT) }

// setExpiry gives a key an expiry, if the conditions are met. A time in the past
// deletes the key.
func (c *Ctx) setExpiry(kind expiryKind) error {
	cond, err := c.parseExpireConditions()
	if err != nil {
		return err
	}
	when, err := c.anyTime(kind, 2)
	if err != nil {
		return err
	}
	e, err := c.Tx.Find(c.DB, c.Args[1])
	if err != nil {
		return err
	}
	switch {
	case !e.Exists() || !cond.met(when, e.ExpireAt):
		c.Out.Int(0)
		c.Tx.Trim()
		return nil
	case c.Tx.Past(when):
		c.Tx.Delete(&e)
		c.notifyDeleted(c.Args[1])
	default:
		c.Tx.SetExpireAt(&e, max(when, 1))
		c.notify(keyspace.ClassGeneric, "expire", c.Args[1])
	}
	c.Out.Int(1)
	c.Tx.Trim()
	return nil
}

// anyTime is expireAt for times that may be in the past.
func (c *Ctx) anyTime(kind expiryKind, arg int) (int64, error) {
	n, err := c.integerArg(arg)
	if err != nil {
		return 0, err
	}
	if kind == expiryEX || kind == expiryEXAT {
		if n > math.MaxInt64/1000 || n < math.MinInt64/1000 {
			return 0, resp.ErrInvalidExpire(c.Spec.Name)
		}
		n *= 1000
	}
	if kind.relative() {
		if n > math.MaxInt64-c.Tx.Now() {
			return 0, resp.ErrInvalidExpire(c.Spec.Name)
		}
		n += c.Tx.Now()
	}
	return n, nil
}

// expireConditions say when EXPIRE and its kin do anything.
type expireConditions struct{ nx, xx, gt, lt bool }

func (c *Ctx) parseExpireConditions() (o expireConditions, err error) {
	for _, arg := range c.Args[3:] {
		switch {
		case isWord(arg, "NX"):
			o.nx = true
		case isWord(arg, "XX"):
			o.xx = true
		case isWord(arg, "GT"):
			o.gt = true
		case isWord(arg, "LT"):
			o.lt = true
		default:
			return o, resp.Error("ERR Unsupported option " + cString(arg))
		}
	}
	if o.nx && (o.xx || o.gt || o.lt) {
		return o, resp.ErrExpireNXWithOthers
	}
	if o.gt && o.lt {
		return o, resp.ErrExpireGTWithLT
	}
	return o, nil
}

// met tells whether a key may get the expiry when; it has the expiry current (0:
// none, which counts as later than any).
func (o expireConditions) met(when, current int64) bool {
	switch {
	case o.nx && current != 0,
		o.xx && current == 0,
		o.gt && (current == 0 || when <= current),
		o.lt && current != 0 && when >= current:
		return false
	}
	return true
}

func ttl(c *Ctx) error         { return c.replyExpiry(false, true) }
func pttl(c *Ctx) error        { return c.replyExpiry(false, false) }
func expiretime(c *Ctx) error  { return c.replyExpiry(true, true) }
func pexpiretime(c *Ctx) error { return c.replyExpiry(true, false) }

// replyExpiry replies when (absolute) or after what time a key expires, rounded to
// the nearest second if that is the unit; -1: never, -2: no such key.
func (c *Ctx) replyExpiry(absolute, seconds bool) error {
	e, err := c.Tx.Peek(c.DB, c.Args[1])
	if err != nil {
		return err
	}
	c.Out.Int(expiryReply(&e, c.Tx.Now(), absolute, seconds))
	c.Tx.Trim()
	return nil
}

func expiryReply(e *keyspace.Entry, now int64, absolute, seconds bool) int64 {
	if !e.Exists() {
		return -2
	}
	if e.ExpireAt == 0 {
		return -1
	}
	t := e.ExpireAt
	if !absolute {
		t = max(t-now, 0)
	}
	if seconds {
		t = t/1000 + (t%1000+500)/1000
	}
	return t
}

func persist(c *Ctx) error {
	e, err := c.Tx.Find(c.DB, c.Args[1])
	if err != nil {
		return err
	}
	if !e.Exists() || e.ExpireAt == 0 {
		c.Out.Int(0)
		c.Tx.Trim()
		return nil
	}
	c.Tx.SetExpireAt(&e, 0)
	c.notify(keyspace.ClassGeneric, "persist", c.Args[1])
	c.Out.Int(1)
	c.Tx.Trim()
	return nil
}
