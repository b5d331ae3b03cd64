package command

import (
	"math"

	"dkv/engine/keyspace"
	"dkv/resp"
)

// setOptions are the options of SET and GETEX.
type setOptions struct {
	nx, xx, get      bool
	keepTTL, persist bool
	expiry           expiryKind
	expiryArg        int // index of its argument
}

// expiryKind says how an expiry was given.
type expiryKind uint8

const (
	noExpiry   expiryKind = iota
	expiryEX              // seconds from now
	expiryPX              // milliseconds from now
	expiryEXAT            // Unix time in seconds
	expiryPXAT            // Unix time in milliseconds
)

func (k expiryKind) relative() bool { return k == expiryEX || k == expiryPX }

var expiryWords = [...]string{noExpiry: "", expiryEX: "EX", expiryPX: "PX", expiryEXAT: "EXAT", expiryPXAT: "PXAT"}

// parseSetOptions parses what follows the key and value of SET (isSet) or the key of
// GETEX. An option may be repeated, the last one counts; two kinds of expiry exclude
// each other.
func (c *Ctx) parseSetOptions(from int, isSet bool) (o setOptions, err error) {
	for i := from; i < len(c.Args); i++ {
		arg := c.Args[i]
		switch {
		case isSet && isWord(arg, "NX") && !o.xx:
			o.nx = true
		case isSet && isWord(arg, "XX") && !o.nx:
			o.xx = true
		case isSet && isWord(arg, "GET"):
			o.get = true
		case isSet && isWord(arg, "KEEPTTL") && o.expiry == noExpiry:
			o.keepTTL = true
		case !isSet && isWord(arg, "PERSIST") && o.expiry == noExpiry:
			o.persist = true
		default:
			kind := expiryWord(arg)
			if kind == noExpiry || o.keepTTL || o.persist || o.expiry != noExpiry && o.expiry != kind ||
				i+1 == len(c.Args) {
				return o, resp.ErrSyntax
			}
			i++
			o.expiry, o.expiryArg = kind, i
		}
	}
	return o, nil
}

func expiryWord(arg []byte) expiryKind {
	for kind := expiryEX; kind <= expiryPXAT; kind++ {
		if isWord(arg, expiryWords[kind]) {
			return kind
		}
	}
	return noExpiry
}

// expireAt returns the time that an expiry argument means, Unix time in ms. It must
// be positive, as it is given and as a time.
func (c *Ctx) expireAt(kind expiryKind, arg int) (int64, error) {
	n, err := c.integerArg(arg)
	if err != nil {
		return 0, err
	}
	seconds := kind == expiryEX || kind == expiryEXAT
	if n <= 0 || seconds && n > math.MaxInt64/1000 {
		return 0, resp.ErrInvalidExpire(c.Spec.Name)
	}
	if seconds {
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

func set(c *Ctx) error {
	if len(c.Args) == 3 {
		e, err := c.Tx.Find(c.DB, c.Args[1])
		if err != nil {
			return err
		}
		c.Tx.SetString(&e, c.Args[2], 0, keyspace.FormAuto)
		c.notify(keyspace.ClassString, "set", c.Args[1])
		c.Out.OK()
		return nil
	}
	o, err := c.parseSetOptions(3, true)
	if err != nil {
		return err
	}
	var expireAt int64
	if o.expiry != noExpiry {
		if expireAt, err = c.expireAt(o.expiry, o.expiryArg); err != nil {
			return err
		}
	}
	var e keyspace.Entry
	if o.get {
		e, err = c.readString(c.Args[1])
	} else {
		e, err = c.Tx.Find(c.DB, c.Args[1])
	}
	if err != nil {
		return err
	}
	met := !(o.nx && e.Exists() || o.xx && !e.Exists())
	switch {
	case o.get:
		c.bulkOrNull(&e)
	case met:
		c.Out.OK()
	default:
		c.Out.Null()
	}
	if met {
		if o.keepTTL {
			expireAt = e.ExpireAt
		}
		c.Tx.SetString(&e, c.Args[2], expireAt, keyspace.FormAuto)
		c.notify(keyspace.ClassString, "set", c.Args[1])
		if o.expiry != noExpiry {
			c.notify(keyspace.ClassGeneric, "expire", c.Args[1])
		}
	}
	return nil
}

func setnx(c *Ctx) error {
	e, err := c.Tx.Find(c.DB, c.Args[1])
	if err != nil {
		return err
	}
	if e.Exists() {
		c.Out.Int(0)
		return nil
	}
	c.Tx.SetString(&e, c.Args[2], 0, keyspace.FormAuto)
	c.notify(keyspace.ClassString, "set", c.Args[1])
	c.Out.Int(1)
	return nil
}

func setex(c *Ctx) error  { return c.setWithExpiry(expiryEX) }
func psetex(c *Ctx) error { return c.setWithExpiry(expiryPX) }

func (c *Ctx) setWithExpiry(kind expiryKind) error {
	expireAt, err := c.expireAt(kind, 2)
	if err != nil {
		return err
	}
	e, err := c.Tx.Find(c.DB, c.Args[1])
	if err != nil {
		return err
	}
	c.Tx.SetString(&e, c.Args[3], expireAt, keyspace.FormAuto)
	c.notify(keyspace.ClassString, "set", c.Args[1])
	c.notify(keyspace.ClassGeneric, "expire", c.Args[1])
	c.Out.OK()
	return nil
}

func getex(c *Ctx) error {
	o, err := c.parseSetOptions(2, false)
	if err != nil {
		return err
	}
	e, err := c.readString(c.Args[1])
	if err != nil {
		return err
	}
	if !e.Exists() {
		c.Out.Null()
		return nil
	}
	var expireAt int64
	if o.expiry != noExpiry {
		if expireAt, err = c.expireAt(o.expiry, o.expiryArg); err != nil {
			return err
		}
	}
	c.Out.Bulk(e.Body)
	switch {
	case o.expiry != noExpiry && c.Tx.Past(expireAt):
		c.Tx.Delete(&e)
		c.notifyDeleted(c.Args[1])
	case o.expiry != noExpiry:
		c.Tx.SetExpireAt(&e, expireAt)
		c.notify(keyspace.ClassGeneric, "expire", c.Args[1])
	case o.persist && e.ExpireAt != 0:
		c.Tx.SetExpireAt(&e, expireAt)
		c.notify(keyspace.ClassGeneric, "persist", c.Args[1])
	}
	return nil
}
