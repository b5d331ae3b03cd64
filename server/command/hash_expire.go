package command

import (
	"math"

	"dkv/engine/keyspace"
	"dkv/resp"
)

// The commands about the expiry of hash fields, those of Redis 7.4, and HGETEX and
// HSETEX of 8.0.

const (
	errFieldsMissing  resp.Error = "ERR Mandatory argument FIELDS is missing or not at the right position"
	errFieldsNumber   resp.Error = "ERR Number of fields must be a positive integer"
	errFieldsAboveOne resp.Error = "ERR Parameter `numFields` should be greater than 0"
	errFieldsMatch    resp.Error = "ERR The `numfields` parameter must match the number of arguments"
	errFieldsInvalid  resp.Error = "ERR invalid number of fields"
	errExpireNegative resp.Error = "ERR invalid expire time, must be >= 0"
	errExpireMissing  resp.Error = "ERR missing expire time"
	errFieldCondition resp.Error = "ERR Only one of FXX or FNX arguments can be specified"
	errFieldExpiry    resp.Error = "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified"
)

// maxFieldExpiry is the last time that a field can expire at, in ms: Redis's limit.
const maxFieldExpiry = 1<<46 - 1

// Replies about a field.
const (
	fieldMissing  = -2
	fieldNoExpiry = -1
	fieldRefused  = 0
	fieldDone     = 1
	fieldDeleted  = 2
)

func hexpire(c *Ctx) error    { return c.expireFields(expiryEX) }
func hpexpire(c *Ctx) error   { return c.expireFields(expiryPX) }
func hexpireat(c *Ctx) error  { return c.expireFields(expiryEXAT) }
func hpexpireat(c *Ctx) error { return c.expireFields(expiryPXAT) }

// fieldTime parses a field's expiry.
func (c *Ctx) fieldTime(kind expiryKind, arg int) (int64, error) {
	n, err := c.integerArg(arg)
	if err != nil {
		return 0, err
	}
	if n < 0 {
		return 0, errExpireNegative
	}
	if kind == expiryEX || kind == expiryEXAT {
		if n > maxFieldExpiry/1000 {
			return 0, resp.ErrInvalidExpire(c.Spec.Name)
		}
		n *= 1000
	}
	base := int64(0)
	if kind.relative() {
		base = c.Tx.Now()
	}
	if n > maxFieldExpiry-base {
		return 0, resp.ErrInvalidExpire(c.Spec.Name)
	}
	return n + base, nil
}

// fieldsArg parses FIELDS and the number of fields, and returns the fields, which are
// the rest of the arguments.
func (c *Ctx) fieldsArg(at int, notPositive resp.Error) ([][]byte, error) {
	if at+1 >= len(c.Args) || !isWord(c.Args[at], "FIELDS") {
		return nil, errFieldsMissing
	}
	n, ok := keyspace.ParseInt(c.Args[at+1])
	if !ok || n < 1 {
		return nil, notPositive
	}
	fields := c.Args[at+2:]
	if n != int64(len(fields)) {
		return nil, errFieldsMatch
	}
	return fields, nil
}

func (c *Ctx) expireFields(kind expiryKind) error {
	h, err := c.findCollection(c.Args[1], keyspace.TypeHash)
	if err != nil {
		return err
	}
	when, err := c.fieldTime(kind, 2)
	if err != nil {
		return err
	}
	var cond expireConditions
	at := 4
	switch arg := c.Args[3]; {
	case isWord(arg, "NX"):
		cond.nx = true
	case isWord(arg, "XX"):
		cond.xx = true
	case isWord(arg, "GT"):
		cond.gt = true
	case isWord(arg, "LT"):
		cond.lt = true
	default:
		at = 3
	}
	fields, err := c.fieldsArg(at, errFieldsAboveOne)
	if err != nil {
		return err
	}
	c.Out.Array(len(fields))
	set, removed := int64(0), int64(0)
	for _, field := range fields {
		done, err := c.expireField(&h, field, when, cond)
		if err != nil {
			return err
		}
		set += boolInt(done == fieldDone)
		removed += boolInt(done == fieldDeleted)
		c.Out.Int(done)
	}
	return c.saveFields(&h, "hexpire", set, removed)
}

// saveFields saves a hash of which some fields' expiries were set, with this event, and
// some were removed.
func (c *Ctx) saveFields(h *keyspace.Collection, event string, set, removed int64) error {
	if err := h.Save(); err != nil {
		return err
	}
	if set > 0 {
		c.notify(keyspace.ClassHash, event, c.Args[1])
	}
	c.notifyRemoved(keyspace.TypeHash, "hdel", h, removed)
	return nil
}

// expireField gives a field an expiry; one that is past deletes it.
func (c *Ctx) expireField(h *keyspace.Collection, field []byte, when int64, cond expireConditions) (done int64, err error) {
	current, found, err := h.FieldExpiry(field)
	switch {
	case err != nil:
		return 0, err
	case !found:
		return fieldMissing, nil
	case !cond.met(when, current):
		return fieldRefused, nil
	case c.Tx.Past(when):
		_, err := h.Remove(field)
		return fieldDeleted, err
	}
	return fieldDone, c.setFieldExpiry(h, field, when)
}

// setFieldExpiry gives a field that exists an expiry, or none.
func (c *Ctx) setFieldExpiry(h *keyspace.Collection, field []byte, when int64) error {
	value, _, err := c.get(h, field)
	if err == nil {
		_, err = h.PutExpiring(field, value, when)
	}
	return err
}

func httl(c *Ctx) error         { return c.replyFieldExpiries(false, true) }
func hpttl(c *Ctx) error        { return c.replyFieldExpiries(false, false) }
func hexpiretime(c *Ctx) error  { return c.replyFieldExpiries(true, true) }
func hpexpiretime(c *Ctx) error { return c.replyFieldExpiries(true, false) }

// replyFieldExpiries replies when (absolute) or after what time fields expire, rounded
// up to seconds if that is the unit.
func (c *Ctx) replyFieldExpiries(absolute, seconds bool) error {
	h, err := c.readCollection(c.Args[1], keyspace.TypeHash)
	if err != nil {
		return err
	}
	fields, err := c.fieldsArg(2, errFieldsNumber)
	if err != nil {
		return err
	}
	c.Out.Array(len(fields))
	for _, field := range fields {
		when, found, err := h.FieldExpiry(field)
		switch {
		case err != nil:
			return typed(err)
		case !found:
			c.Out.Int(fieldMissing)
			continue
		case when == 0:
			c.Out.Int(fieldNoExpiry)
			continue
		}
		if !absolute {
			when -= c.Tx.Now()
		}
		if seconds {
			when = (when + 999) / 1000
		}
		c.Out.Int(when)
	}
	return nil
}

func hpersist(c *Ctx) error {
	h, err := c.findCollection(c.Args[1], keyspace.TypeHash)
	if err != nil {
		return err
	}
	fields, err := c.fieldsArg(2, errFieldsNumber)
	if err != nil {
		return err
	}
	c.Out.Array(len(fields))
	set := int64(0)
	for _, field := range fields {
		when, found, err := h.FieldExpiry(field)
		done := int64(fieldDone)
		switch {
		case err != nil:
			return err
		case !found:
			done = fieldMissing
		case when == 0:
			done = fieldNoExpiry
		default:
			if err := c.setFieldExpiry(&h, field, 0); err != nil {
				return err
			}
			set++
		}
		c.Out.Int(done)
	}
	return c.saveFields(&h, "hpersist", set, 0)
}

func hgetex(c *Ctx) error {
	h, err := c.findCollection(c.Args[1], keyspace.TypeHash)
	if err != nil {
		return err
	}
	at, when, timed, persist := 2, int64(0), false, false
	if kind := expiryWord(c.Args[2]); kind != noExpiry {
		if when, err = c.fieldTime(kind, 3); err != nil {
			return err
		}
		at, timed = 4, true
	} else if isWord(c.Args[2], "PERSIST") {
		at, persist = 3, true
	}
	fields, err := c.fieldsArg(at, errFieldsNumber)
	if err != nil {
		return err
	}
	c.Out.Array(len(fields))
	event, set, removed := "hexpire", int64(0), int64(0)
	if persist {
		event = "hpersist"
	}
	for _, field := range fields {
		value, found, err := c.get(&h, field)
		if err != nil {
			return err
		}
		if !found {
			c.Out.Null()
			continue
		}
		c.Out.Bulk(value)
		switch {
		case timed && c.Tx.Past(when):
			removed++
			_, err = h.Remove(field)
		case timed, persist:
			var changed bool
			changed, err = c.changeFieldExpiry(&h, field, value, when)
			set += boolInt(changed)
		}
		if err != nil {
			return err
		}
	}
	return c.saveFields(&h, event, set, removed)
}

// changeFieldExpiry sets a field's expiry, unless it is that already.
func (c *Ctx) changeFieldExpiry(h *keyspace.Collection, field, value []byte, when int64) (changed bool, err error) {
	current, _, err := h.FieldExpiry(field)
	if err == nil && current != when {
		changed = true
		_, err = h.PutExpiring(field, value, when)
	}
	return changed, err
}

// hsetexOptions are what stands before the fields of HSETEX.
type hsetexOptions struct {
	when               int64
	timed, keep        bool
	ifNone, ifAllThere bool
}

func (c *Ctx) parseHsetex() (o hsetexOptions, pairs [][]byte, err error) {
	for i := 2; i < len(c.Args); i++ {
		arg := c.Args[i]
		kind := expiryWord(arg)
		switch {
		case isWord(arg, "FIELDS"):
			if i >= len(c.Args)-3 {
				return o, nil, resp.ErrWrongArity(c.Spec.Name)
			}
			n, ok := keyspace.ParseInt(c.Args[i+1])
			if !ok || n < 1 || n > math.MaxInt32 {
				return o, nil, errFieldsInvalid
			}
			pairs = c.Args[i+2:]
			if len(pairs)%2 != 0 || n != int64(len(pairs)/2) {
				return o, nil, resp.ErrWrongArity(c.Spec.Name)
			}
			return o, pairs, nil
		case kind != noExpiry, isWord(arg, "KEEPTTL"):
			if o.timed || o.keep {
				return o, nil, errFieldExpiry
			}
			if o.keep = kind == noExpiry; o.keep {
				continue
			}
			if i++; i == len(c.Args) {
				return o, nil, errExpireMissing
			}
			o.timed = true
			if o.when, err = c.fieldTime(kind, i); err != nil {
				return o, nil, err
			}
		case isWord(arg, "FXX"), isWord(arg, "FNX"):
			if o.ifNone || o.ifAllThere {
				return o, nil, errFieldCondition
			}
			o.ifNone = isWord(arg, "FNX")
			o.ifAllThere = !o.ifNone
		default:
			return o, nil, resp.Error("ERR unknown argument: " + cString(arg))
		}
	}
	return o, nil, resp.ErrWrongArity(c.Spec.Name)
}

func hsetex(c *Ctx) error {
	o, pairs, err := c.parseHsetex()
	if err != nil {
		return err
	}
	h, err := c.findCollection(c.Args[1], keyspace.TypeHash)
	if err != nil {
		return err
	}
	for i := 0; i < len(pairs) && (o.ifNone || o.ifAllThere); i += 2 {
		_, found, err := c.get(&h, pairs[i])
		if err != nil {
			return err
		}
		if found == o.ifNone {
			c.Out.Int(0)
			return nil
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		switch {
		case o.timed && c.Tx.Past(o.when):
			_, err = h.Remove(pairs[i])
		case o.timed:
			_, err = c.putFieldBy(&h, pairs[i], pairs[i+1], func() (bool, error) { return h.PutExpiring(pairs[i], pairs[i+1], o.when) })
		case o.keep:
			_, err = c.putFieldBy(&h, pairs[i], pairs[i+1], func() (bool, error) { return h.PutKeeping(pairs[i], pairs[i+1]) })
		default:
			_, err = c.putField(&h, pairs[i], pairs[i+1])
		}
		if err != nil {
			return err
		}
	}
	set, removed := int64(0), int64(0)
	switch {
	case o.timed && c.Tx.Past(o.when):
		removed = 1
	case o.timed:
		set = 1
	}
	if removed == 0 {
		c.notify(keyspace.ClassHash, "hset", c.Args[1])
	}
	c.Out.Int(1)
	return c.saveFields(&h, "hexpire", set, removed)
}
