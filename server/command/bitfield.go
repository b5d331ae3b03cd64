package command

import (
	"math"

	"dkv/engine/keyspace"
	"dkv/resp"
)

const (
	errBitfieldType     resp.Error = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
	errBitfieldOverflow resp.Error = "ERR Invalid OVERFLOW type specified"
	errBitfieldReadOnly resp.Error = "ERR BITFIELD_RO only supports the GET subcommand"
)

// bitfieldOverflow says what becomes of a number that its field has no room for.
type bitfieldOverflow uint8

const (
	overflowWrap bitfieldOverflow = iota
	overflowSat
	overflowFail
)

type bitfieldKind uint8

const (
	bitfieldGet bitfieldKind = iota
	bitfieldSet
	bitfieldIncrby
)

// fieldType is the type of a field: u1 to u63, i1 to i64.
type fieldType struct {
	signed bool
	width  int
}

func parseFieldType(arg []byte) (t fieldType, ok bool) {
	if len(arg) == 0 || arg[0] != 'i' && arg[0] != 'u' {
		return t, false
	}
	t.signed = arg[0] == 'i'
	n, ok := keyspace.ParseInt(arg[1:])
	if !ok || n < 1 || n > 64 || n == 64 && !t.signed {
		return t, false
	}
	t.width = int(n)
	return t, true
}

// bitfieldOp is one operation of a BITFIELD. by is what SET sets and INCRBY adds.
type bitfieldOp struct {
	kind     bitfieldKind
	field    fieldType
	at, by   int64
	overflow bitfieldOverflow
}

// parseBitfield parses the operations; highest is the last bit that one of them
// writes, -1 when all of them read.
func (c *Ctx) parseBitfield() (ops []bitfieldOp, highest int64, err error) {
	overflow := overflowWrap
	highest = -1
	for i := 2; i < len(c.Args); {
		arg, left := c.Args[i], len(c.Args)-i-1
		op := bitfieldOp{overflow: overflow}
		args := 2
		switch {
		case isWord(arg, "GET") && left >= 2:
		case isWord(arg, "SET") && left >= 3:
			op.kind, args = bitfieldSet, 3
		case isWord(arg, "INCRBY") && left >= 3:
			op.kind, args = bitfieldIncrby, 3
		case isWord(arg, "OVERFLOW") && left >= 1:
			if overflow, err = parseOverflow(c.Args[i+1]); err != nil {
				return nil, 0, err
			}
			i += 2
			continue
		default:
			return nil, 0, resp.ErrSyntax
		}
		var ok bool
		if op.field, ok = parseFieldType(c.Args[i+1]); !ok {
			return nil, 0, errBitfieldType
		}
		if op.at, err = c.bitOffset(c.Args[i+2], op.field.width); err != nil {
			return nil, 0, err
		}
		if op.kind != bitfieldGet {
			highest = max(highest, op.at+int64(op.field.width)-1)
			if op.by, err = c.integerArg(i + 3); err != nil {
				return nil, 0, err
			}
		}
		ops = append(ops, op)
		i += 1 + args
	}
	return ops, highest, nil
}

func parseOverflow(arg []byte) (bitfieldOverflow, error) {
	switch {
	case isWord(arg, "WRAP"):
		return overflowWrap, nil
	case isWord(arg, "SAT"):
		return overflowSat, nil
	case isWord(arg, "FAIL"):
		return overflowFail, nil
	}
	return 0, errBitfieldOverflow
}

func bitfield(c *Ctx) error {
	ops, highest, err := c.parseBitfield()
	if err != nil {
		return err
	}
	if highest < 0 {
		return c.readFields(ops)
	}
	e, err := c.findString(c.Args[1])
	if err != nil {
		return err
	}
	value, changed := growString(&e, highest/8+1)
	c.Out.Array(len(ops))
	for _, op := range ops {
		changed = c.runField(value, op) || changed
	}
	if changed {
		c.Tx.SetString(&e, value, e.ExpireAt, keyspace.FormRaw)
		c.notify(keyspace.ClassString, "setbit", c.Args[1])
	}
	return nil
}

func bitfieldRO(c *Ctx) error {
	ops, highest, err := c.parseBitfield()
	if err != nil {
		return err
	}
	if highest >= 0 {
		return errBitfieldReadOnly
	}
	return c.readFields(ops)
}

// readFields runs operations that are all GET.
func (c *Ctx) readFields(ops []bitfieldOp) error {
	e, err := c.readString(c.Args[1])
	if err != nil {
		return err
	}
	c.Out.Array(len(ops))
	for _, op := range ops {
		c.runField(e.Body, op)
	}
	c.Tx.Trim()
	return nil
}

// runField runs an operation on a string that is long enough for what it writes, and
// replies its result.
func (c *Ctx) runField(s []byte, op bitfieldOp) (wrote bool) {
	raw := getField(s, op.at, op.field.width)
	if op.kind == bitfieldGet {
		c.Out.Int(op.field.number(raw))
		return false
	}
	old := op.field.number(raw)
	next, fits := op.next(old)
	if !fits && op.overflow == overflowFail {
		c.Out.Null()
		return false
	}
	setField(s, op.at, op.field.width, uint64(next))
	if op.kind == bitfieldSet {
		next = old
	}
	c.Out.Int(next)
	return true
}

// number is what a field's bits mean. Those of an unsigned field are a positive
// int64, as it has 63 bits at most.
func (t fieldType) number(raw uint64) int64 {
	if !t.signed {
		return int64(raw)
	}
	unused := 64 - t.width
	return int64(raw<<unused) >> unused
}

// limits returns the lowest and highest number of the type.
func (t fieldType) limits() (low, high int64) {
	if t.signed {
		high = math.MaxInt64 >> (64 - t.width)
		return -high - 1, high
	}
	return 0, math.MaxInt64 >> (63 - t.width)
}

// next returns what the operation writes over a number, and whether that is what was
// asked for, because the field has room for it.
func (op *bitfieldOp) next(old int64) (n int64, fits bool) {
	low, high := op.field.limits()
	value, by := old, op.by
	if op.kind == bitfieldSet {
		value, by = op.by, 0
	}
	// SET of a negative number to an unsigned field is one above all that fit.
	above := value > high || !op.field.signed && value < 0 || by > 0 && uint64(high-value) < uint64(by)
	// So is, in Redis, one so low that its distance to high overflows.
	above = above || op.field.signed && value < low && high-value < 0
	below := !above && (value < low || by < 0 && uint64(value-low) < -uint64(by))
	switch {
	case !above && !below:
		return value + by, true
	case op.overflow == overflowSat && above:
		return high, false
	case op.overflow == overflowSat:
		return low, false
	}
	return op.field.number(uint64(value+by) & (math.MaxUint64 >> (64 - op.field.width))), false
}

// getField reads width bits of a string from a place on; zeros behind its end.
func getField(s []byte, at int64, width int) (raw uint64) {
	for done := 0; done < width; {
		var b byte
		if i := at / 8; i < int64(len(s)) {
			b = s[i]
		}
		// The bits of this byte from at on that belong to the field.
		skip := int(at & 7)
		n := min(8-skip, width-done)
		raw = raw<<n | uint64(b<<skip>>(8-n))
		done += n
		at += int64(n)
	}
	return raw
}

// setField writes the lowest width bits of raw.
func setField(s []byte, at int64, width int, raw uint64) {
	for left := width; left > 0; {
		skip := int(at & 7)
		n := min(8-skip, left)
		mask := byte(0xff) >> skip &^ (0xff >> (skip + n))
		bits := byte(raw>>(left-n)) << (8 - n) >> skip
		s[at/8] = s[at/8]&^mask | bits&mask
		left -= n
		at += int64(n)
	}
}
