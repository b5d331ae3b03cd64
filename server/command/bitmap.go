package command

import (
	"encoding/binary"
	"math/bits"

	"dkv/engine/keyspace"
	"dkv/resp"
)

// The commands on bitmaps, but for BITFIELD. A bitmap is a string, and a string is one
// record: a change of one bit reads and writes all of it. Bit 0 is the highest of the
// first byte.

const (
	errBitOffset resp.Error = "ERR bit offset is not an integer or out of range"
	errBitValue  resp.Error = "ERR bit is not an integer or out of range"
	errBitposBit resp.Error = "ERR The bit argument must be 1 or 0."
	errBitopNot  resp.Error = "ERR BITOP NOT must be called with a single source key."
)

const maxBitsInByte = 8

// bitOffset parses the place of a bit, which must be in a string of the longest kind.
// "#n" is place n of an array of fields of width bits; 0: there is no such form.
func (c *Ctx) bitOffset(arg []byte, width int) (int64, error) {
	scale := int64(1)
	if width > 0 && len(arg) > 0 && arg[0] == '#' {
		arg, scale = arg[1:], int64(width)
	}
	n, ok := keyspace.ParseInt(arg)
	if !ok || n < 0 || n > (c.maxStringLen()*maxBitsInByte-1)/scale {
		return 0, errBitOffset
	}
	return n * scale, nil
}

// bitRange are the bits from first to last of a string, both inclusive.
type bitRange struct{ first, last int64 }

// growString returns the body of a string, with zero bytes at its end until it has
// size of them, and whether it is another value, or of another encoding in Redis.
func growString(e *keyspace.Entry, size int64) (value []byte, changed bool) {
	value = e.Body
	if grow := size - int64(len(value)); grow > 0 {
		return append(value, make([]byte, grow)...), true
	}
	name, err := e.Encoding()
	return value, err != nil || name != "raw"
}

func setbit(c *Ctx) error {
	at, err := c.bitOffset(c.Args[2], 0)
	if err != nil {
		return err
	}
	bit, ok := keyspace.ParseInt(c.Args[3])
	if !ok || bit != 0 && bit != 1 {
		return errBitValue
	}
	e, err := c.findString(c.Args[1])
	if err != nil {
		return err
	}
	value, changed := growString(&e, at/8+1)
	mask := byte(0x80) >> (at & 7)
	was := value[at/8]&mask != 0
	if was != (bit == 1) {
		value[at/8] ^= mask
		changed = true
	}
	if changed {
		c.Tx.SetString(&e, value, e.ExpireAt, keyspace.FormRaw)
		c.notify(keyspace.ClassString, "setbit", c.Args[1])
	}
	c.Out.Int(boolInt(was))
	return nil
}

func getbit(c *Ctx) error {
	at, err := c.bitOffset(c.Args[2], 0)
	if err != nil {
		return err
	}
	e, err := c.readString(c.Args[1])
	if err != nil {
		return err
	}
	c.Out.Int(boolInt(at/8 < int64(len(e.Body)) && e.Body[at/8]&(0x80>>(at&7)) != 0))
	c.Tx.Trim()
	return nil
}

// bitRangeOptions are the range of BITCOUNT and BITPOS as it was given.
type bitRangeOptions struct {
	start, end   int64
	started      bool
	ended        bool
	bits         bool // counted in bits, not in bytes
	crossedEmpty bool // from the end on both sides, in the wrong order, is empty
}

// unitArg parses BYTE or BIT.
func (c *Ctx) unitArg(i int) (inBits bool, err error) {
	switch {
	case isWord(c.Args[i], "BIT"):
		return true, nil
	case isWord(c.Args[i], "BYTE"):
		return false, nil
	}
	return false, resp.ErrSyntax
}

// within returns the bits of a string of n bytes that the range means; first is behind
// last when there are none.
func (o *bitRangeOptions) within(n int64) bitRange {
	total := n
	if o.bits {
		total *= maxBitsInByte
	}
	start, end := o.start, o.end
	if !o.ended {
		end = total - 1
	}
	if o.crossedEmpty && start < 0 && end < 0 && start > end {
		return bitRange{0, -1}
	}
	if start < 0 {
		start = max(total+start, 0)
	}
	if end < 0 {
		end = max(total+end, 0)
	}
	end = min(end, total-1)
	switch {
	case start > end:
		return bitRange{0, -1}
	case o.bits:
		return bitRange{start, end}
	}
	return bitRange{start * maxBitsInByte, end*maxBitsInByte + 7}
}

func bitcount(c *Ctx) error {
	o := bitRangeOptions{crossedEmpty: true}
	switch n := len(c.Args); n {
	case 2:
	case 4, 5:
		var err error
		if o.start, err = c.integerArg(2); err != nil {
			return err
		}
		if o.end, err = c.integerArg(3); err != nil {
			return err
		}
		o.started, o.ended = true, true
		if n == 5 {
			if o.bits, err = c.unitArg(4); err != nil {
				return err
			}
		}
	default:
		return resp.ErrSyntax
	}
	e, err := c.readString(c.Args[1])
	if err != nil {
		return err
	}
	c.Out.Int(countBits(e.Body, o.within(int64(len(e.Body)))))
	c.Tx.Trim()
	return nil
}

// edges returns the bytes that a range lies in, and which bits of the first and the
// last one belong to it.
func (r bitRange) edges(s []byte) (part []byte, firstMask, lastMask byte) {
	return s[r.first/8 : r.last/8+1], 0xff >> (r.first & 7), 0xff << (7 - r.last&7)
}

func countBits(s []byte, r bitRange) int64 {
	if r.first > r.last {
		return 0
	}
	part, firstMask, lastMask := r.edges(s)
	n := -bits.OnesCount8(part[0]&^firstMask) - bits.OnesCount8(part[len(part)-1]&^lastMask)
	for ; len(part) >= 8; part = part[8:] {
		n += bits.OnesCount64(binary.LittleEndian.Uint64(part))
	}
	for _, b := range part {
		n += bits.OnesCount8(b)
	}
	return int64(n)
}

func bitpos(c *Ctx) error {
	bit, err := c.integerArg(2)
	if err != nil {
		return err
	}
	if bit != 0 && bit != 1 {
		return errBitposBit
	}
	o, err := c.bitposRange()
	if err != nil {
		return err
	}
	e, err := c.readString(c.Args[1])
	if err != nil {
		return err
	}
	defer c.Tx.Trim()
	if !e.Exists() { // as good as zeros without end
		c.Out.Int(-bit)
		return nil
	}
	r := o.within(int64(len(e.Body)))
	at := findBit(e.Body, bit == 1, r)
	if at < 0 && bit == 0 && !o.ended && r.first <= r.last {
		at = int64(len(e.Body)) * maxBitsInByte // the first of the zeros behind the end
	}
	c.Out.Int(at)
	return nil
}

func (c *Ctx) bitposRange() (o bitRangeOptions, err error) {
	n := len(c.Args)
	if n > 6 {
		return o, resp.ErrSyntax
	}
	if n >= 4 {
		o.started = true
		if o.start, err = c.integerArg(3); err != nil {
			return o, err
		}
	}
	if n == 6 {
		if o.bits, err = c.unitArg(5); err != nil {
			return o, err
		}
	}
	if n >= 5 {
		o.ended = true
		o.end, err = c.integerArg(4)
	}
	return o, err
}

// findBit returns the place of the first bit in a range that is set, or not set; -1
// when there is none.
func findBit(s []byte, set bool, r bitRange) int64 {
	if r.first > r.last {
		return -1
	}
	part, firstMask, lastMask := r.edges(s)
	var flip byte // afterwards a set bit is what is looked for
	if !set {
		flip = 0xff
	}
	mask := firstMask
	for i := 0; i < len(part); i++ {
		if mask == 0xff && len(part)-i > 8 {
			i += skipBytes(part[i:len(part)-1], flip)
		}
		if i == len(part)-1 {
			mask &= lastMask
		}
		if b := (part[i] ^ flip) & mask; b != 0 {
			return r.first&^7 + int64(i)*8 + int64(bits.LeadingZeros8(b))
		}
		mask = 0xff
	}
	return -1
}

// skipBytes returns how many words of eight bytes s begins with that are all skip,
// in bytes.
func skipBytes(s []byte, skip byte) int {
	word := uint64(skip) * 0x0101010101010101
	n := 0
	for ; len(s) >= n+8; n += 8 {
		if binary.LittleEndian.Uint64(s[n:]) != word {
			break
		}
	}
	return n
}

func bitop(c *Ctx) error {
	op := c.Args[1]
	not := isWord(op, "NOT")
	var combine func(a, b uint64) uint64
	switch {
	case not:
	case isWord(op, "AND"):
		combine = func(a, b uint64) uint64 { return a & b }
	case isWord(op, "OR"):
		combine = func(a, b uint64) uint64 { return a | b }
	case isWord(op, "XOR"):
		combine = func(a, b uint64) uint64 { return a ^ b }
	default:
		return resp.ErrSyntax
	}
	if not && len(c.Args) != 4 {
		return errBitopNot
	}
	var result []byte
	for i, key := range c.Args[3:] {
		e, err := c.readString(key)
		if err != nil {
			return err
		}
		if i == 0 {
			result = append(result, e.Body...)
			continue
		}
		result = combineBits(result, e.Body, combine)
	}
	if not {
		for i := range result {
			result[i] = ^result[i]
		}
	}
	e, err := c.Tx.Find(c.DB, c.Args[2])
	if err != nil {
		return err
	}
	switch existed := e.Exists(); {
	case len(result) > 0:
		c.Tx.SetString(&e, result, 0, keyspace.FormRaw)
		c.notify(keyspace.ClassString, "set", c.Args[2])
	case existed:
		c.Tx.Delete(&e)
		c.notifyDeleted(c.Args[2])
	}
	c.Out.Int(int64(len(result)))
	return nil
}

// combineBits combines b into a; the shorter one ends in zeros.
func combineBits(a, b []byte, combine func(a, b uint64) uint64) []byte {
	if grow := len(b) - len(a); grow > 0 {
		a = append(a, make([]byte, grow)...)
	}
	i := 0
	for ; i+8 <= len(b); i += 8 {
		word := combine(binary.LittleEndian.Uint64(a[i:]), binary.LittleEndian.Uint64(b[i:]))
		binary.LittleEndian.PutUint64(a[i:], word)
	}
	for ; i < len(a); i++ {
		var other byte
		if i < len(b) {
			other = b[i]
		}
		a[i] = byte(combine(uint64(a[i]), uint64(other)))
	}
	return a
}
