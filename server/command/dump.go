package command

import (
	"errors"
	"fmt"

	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/rdb"
)

// dumper appends a value as an RDB file has it and returns its type. e is the latest
// that tx found; tx sees one state.
type dumper func(dst []byte, tx *keyspace.Tx, e *keyspace.Entry) ([]byte, rdb.Type, error)

// dumpers are those of the types that there are.
var dumpers = map[keyspace.Type]dumper{
	keyspace.TypeString: dumpString,
	keyspace.TypeList:   dumpList,
	keyspace.TypeSet:    dumpElements(rdb.TypeSet, appendMember),
	keyspace.TypeStream: dumpStream,
	keyspace.TypeZSet:   dumpElements(rdb.TypeZSet2, appendScored),
	keyspace.TypeHash:   dumpHash,
}

func dump(c *Ctx) error {
	e, err := c.Tx.Read(c.DB, c.Args[1])
	if err == nil {
		e, err = c.settle(e, c.Args[1])
	}
	if err != nil {
		return err
	}
	if !e.Exists() {
		c.Out.Null()
		return nil
	}
	payload, err := AppendPayload(nil, c.Tx, &e)
	if err != nil {
		return err
	}
	c.Out.Bulk(payload)
	c.Tx.Trim()
	return nil
}

// AppendPayload appends the payload that DUMP replies for a key. e is the latest that
// tx found; tx sees one state.
//
// Source: https://redis.io/docs/latest/commands/dump/
func AppendPayload(dst []byte, tx *keyspace.Tx, e *keyspace.Entry) ([]byte, error) {
	from := len(dst)
	dst = append(dst, 0) // the type
	dst, t, err := AppendValue(dst, tx, e)
	if err != nil {
		return dst, err
	}
	dst[from] = byte(t)
	return rdb.AppendFooter(dst, from), nil
}

// AppendValue appends a key's value as an RDB file has it, and returns its type. e is
// the latest that tx found; tx sees one state.
func AppendValue(dst []byte, tx *keyspace.Tx, e *keyspace.Entry) ([]byte, rdb.Type, error) {
	d := dumpers[e.Type]
	if d == nil {
		return dst, 0, fmt.Errorf("no dump of a %s", e.Type)
	}
	return d(dst, tx, e)
}

func dumpString(dst []byte, _ *keyspace.Tx, e *keyspace.Entry) ([]byte, rdb.Type, error) {
	return rdb.AppendString(dst, e.Body), rdb.TypeString, nil
}

// dumpElements returns the dumper of a type whose values are a number and then the
// elements.
func dumpElements(t rdb.Type, element func(dst, element, value []byte) ([]byte, error)) dumper {
	return func(dst []byte, tx *keyspace.Tx, e *keyspace.Entry) ([]byte, rdb.Type, error) {
		col, err := tx.Collection(*e, e.Type)
		if err != nil {
			return dst, t, err
		}
		dst = rdb.AppendLength(dst, uint64(col.Len()))
		var failed error
		n := int64(0)
		err = col.Each(func(e, v []byte) bool {
			n++
			dst, failed = element(dst, e, v)
			return failed == nil
		})
		if err == nil && failed == nil && n != col.Len() {
			failed = fmt.Errorf("%w: %d of %d elements", keyspace.ErrCorrupt, n, col.Len())
		}
		return dst, t, errors.Join(err, failed)
	}
}

func appendMember(dst, member, _ []byte) ([]byte, error) { return rdb.AppendString(dst, member), nil }

func appendField(dst, field, value []byte) ([]byte, error) {
	return rdb.AppendString(rdb.AppendString(dst, field), value), nil
}

func appendScored(dst, member, value []byte) ([]byte, error) {
	score, err := keyspace.ScoreOf(value)
	return rdb.AppendDouble(rdb.AppendString(dst, member), score), err
}

const (
	errBadPayload resp.Error = "ERR DUMP payload version or checksum are wrong"
	errBadFormat  resp.Error = "ERR Bad data format"
	errBusyKey    resp.Error = "BUSYKEY Target key name already exists."
	errBadTTL     resp.Error = "ERR Invalid TTL value, must be >= 0"
	errBadIdle    resp.Error = "ERR Invalid IDLETIME value, must be >= 0"
	errBadFreq    resp.Error = "ERR Invalid FREQ value, must be >= 0 and <= 255"
)

// restoreOptions are those of RESTORE.
type restoreOptions struct {
	replace, absolute bool
	idle, freq        int64 // -1: not given
}

func (c *Ctx) parseRestoreOptions() (o restoreOptions, err error) {
	o.idle, o.freq = -1, -1
	for i := 4; i < len(c.Args); i++ {
		more := i+1 < len(c.Args)
		switch {
		case isWord(c.Args[i], "REPLACE"):
			o.replace = true
		case isWord(c.Args[i], "ABSTTL"):
			o.absolute = true
		case isWord(c.Args[i], "IDLETIME") && more && o.freq == -1:
			i++
			if o.idle, err = c.integerArg(i); err != nil {
				return o, err
			}
			if o.idle < 0 {
				return o, errBadIdle
			}
		case isWord(c.Args[i], "FREQ") && more && o.idle == -1:
			i++
			if o.freq, err = c.integerArg(i); err != nil {
				return o, err
			}
			if o.freq < 0 || o.freq > 255 {
				return o, errBadFreq
			}
		default:
			return o, resp.ErrSyntax
		}
	}
	return o, nil
}

// restore is RESTORE. A payload is always checked in full, whatever
// sanitize-dump-payload says.
func restore(c *Ctx) error {
	o, err := c.parseRestoreOptions()
	if err != nil {
		return err
	}
	e, err := c.Tx.Find(c.DB, c.Args[1])
	if err != nil {
		return err
	}
	if e.Exists() && !o.replace {
		return errBusyKey
	}
	ttl, err := c.integerArg(2)
	if err != nil {
		return err
	}
	if ttl < 0 {
		return errBadTTL
	}
	t, r, err := rdb.OpenPayload(c.Args[3])
	if err != nil {
		return errBadPayload
	}
	if ttl != 0 && !o.absolute {
		ttl += c.Tx.Now()
		if ttl < 0 {
			return resp.ErrInvalidExpire(c.Spec.Name)
		}
	}
	c.Tx.Delete(&e)
	b, err := NewBuilder(c, e, t.Kind(), ttl)
	if err == nil {
		err = r.Value(t, b.Add)
	}
	switch {
	case err != nil:
	case ttl != 0 && c.Tx.Past(ttl):
		b.Drop()
	default:
		err = b.Save()
	}
	if errors.Is(err, rdb.ErrFormat) || errors.Is(err, rdb.ErrModule) || errors.Is(err, rdb.ErrEmpty) {
		return errBadFormat
	}
	if err != nil {
		return err
	}
	if o.idle >= 0 {
		c.Tx.SetIdle(&e, o.idle)
	}
	if o.freq >= 0 {
		c.Tx.SetUses(&e, o.freq)
	}
	c.Out.OK()
	c.Tx.Trim()
	return nil
}
