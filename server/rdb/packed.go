package rdb

import (
	"encoding/binary"
	"strconv"
)

// item is an entry of a listpack or ziplist: a string, or a number.
type item struct {
	str    []byte
	num    int64
	number bool
}

// text returns the entry as a string; buf is where a number's digits go.
func (it *item) text(buf *[24]byte) []byte {
	if !it.number {
		return it.str
	}
	return strconv.AppendInt(buf[:0], it.num, 10)
}

// packed is a listpack or a ziplist that is gone over.
type packed struct {
	b    []byte
	pos  int
	prev int // ziplist: length of the entry before
	zip  bool
	left int // entries that the head says are left; -1: it does not say
}

const (
	listpackHead = 4 + 2
	ziplistHead  = 4 + 4 + 2
	packedEnd    = 0xff
	manyEntries  = 1<<16 - 1 // the head does not say how many
)

// newListpack checks a listpack's frame.
//
//	bytes 4, entries 2 (little endian), entries ..., 0xff
func newListpack(b []byte) (*packed, error) {
	if len(b) < listpackHead+1 || uint64(binary.LittleEndian.Uint32(b)) != uint64(len(b)) || b[len(b)-1] != packedEnd {
		return nil, badFormat("a listpack's frame")
	}
	return newPacked(b, listpackHead, int(binary.LittleEndian.Uint16(b[4:]))), nil
}

// newZiplist checks a ziplist's frame.
//
//	bytes 4, offset of the last entry 4, entries 2 (little endian), entries ..., 0xff
func newZiplist(b []byte) (*packed, error) {
	if len(b) < ziplistHead+1 || uint64(binary.LittleEndian.Uint32(b)) != uint64(len(b)) || b[len(b)-1] != packedEnd {
		return nil, badFormat("a ziplist's frame")
	}
	if tail := binary.LittleEndian.Uint32(b[4:]); tail < ziplistHead || uint64(tail) >= uint64(len(b)) {
		return nil, badFormat("a ziplist's last entry")
	}
	p := newPacked(b, ziplistHead, int(binary.LittleEndian.Uint16(b[8:])))
	p.zip = true
	return p, nil
}

func newPacked(b []byte, head, entries int) *packed {
	p := &packed{b: b[:len(b)-1], pos: head, left: entries}
	if entries == manyEntries {
		p.left = -1
	}
	return p
}

// next returns the next entry; ok is false at the end.
func (p *packed) next() (it item, ok bool, err error) {
	if p.pos == len(p.b) {
		if p.left > 0 {
			return it, false, badFormat("%d entries are missing", p.left)
		}
		return it, false, nil
	}
	if p.left == 0 {
		return it, false, badFormat("more entries than there should be")
	}
	if p.left > 0 {
		p.left--
	}
	if p.zip {
		it, err = p.ziplistEntry()
	} else {
		it, err = p.listpackEntry()
	}
	return it, err == nil, err
}

// take returns the next n bytes.
func (p *packed) take(n int) ([]byte, error) {
	if n < 0 || n > len(p.b)-p.pos {
		return nil, badFormat("an entry that is cut short")
	}
	p.pos += n
	return p.b[p.pos-n : p.pos : p.pos], nil
}

func (p *packed) takeString(n int) (it item, err error) {
	it.str, err = p.take(n)
	return it, err
}

// takeInt takes a number of n bytes, little endian.
func (p *packed) takeInt(n int) (it item, err error) {
	b, err := p.take(n)
	if err != nil {
		return it, err
	}
	var v uint64
	for i, c := range b {
		v |= uint64(c) << (8 * i)
	}
	shift := 64 - 8*n
	return item{num: int64(v<<shift) >> shift, number: true}, nil
}

// listpackEntry takes an entry.
//
//	0nnnnnnn                    a number from 0 to 127
//	10llllll ...                a string
//	110nnnnn nnnnnnnn           a number of 13 bits
//	1110llll llllllll ...       a string
//	11110000 llll ...           a string, length little endian
//	11110001 ... 11110100       a number of 2, 3, 4, 8 bytes
//
// and then the length of all that, 7 bits a byte, to be read backwards.
func (p *packed) listpackEntry() (it item, err error) {
	start := p.pos
	head := p.b[p.pos]
	p.pos++
	switch {
	case head < 0x80:
		it = item{num: int64(head), number: true}
	case head < 0xc0:
		it, err = p.takeString(int(head & 0x3f))
	case head < 0xe0:
		var b []byte
		if b, err = p.take(1); err == nil {
			n := int64(head&0x1f)<<8 | int64(b[0])
			it = item{num: n << 51 >> 51, number: true}
		}
	case head < 0xf0:
		var b []byte
		if b, err = p.take(1); err == nil {
			it, err = p.takeString(int(head&0x0f)<<8 | int(b[0]))
		}
	case head == 0xf0:
		var b []byte
		if b, err = p.take(4); err == nil {
			it, err = p.takeString(int(binary.LittleEndian.Uint32(b)))
		}
	case head <= 0xf4:
		it, err = p.takeInt([...]int{2, 3, 4, 8}[head-0xf1])
	default:
		err = badFormat("a listpack's entry begins with %#x", head)
	}
	if err != nil {
		return it, err
	}
	return it, p.backLength(p.pos - start)
}

// backLength takes the length of a listpack's entry that stands behind it.
func (p *packed) backLength(n int) error {
	size := 1
	for limit := 127; n > limit && size < 5; size++ {
		limit = 1<<(7*(size+1)) - 2 // 127, then one less than the bits could hold
	}
	b, err := p.take(size)
	if err != nil {
		return err
	}
	got := 0
	for i, c := range b {
		if i > 0 != (c&0x80 != 0) {
			return badFormat("a listpack's entry has a bad length behind it")
		}
		got = got<<7 | int(c&0x7f)
	}
	if got != n {
		return badFormat("a listpack's entry has a bad length behind it")
	}
	return nil
}

// ziplistEntry takes an entry: the length of the one before (1 byte, or 0xfe and 4),
// then
//
//	00llllll ..., 01llllll llllllll ..., 10000000 llll ...      a string, length big endian
//	11000000, 11010000, 11100000, 11110000, 11111110            a number of 2, 4, 8, 3, 1 bytes
//	1111nnnn                                                    a number from 0 to 12, plus 1
func (p *packed) ziplistEntry() (it item, err error) {
	start := p.pos
	b, err := p.take(1)
	if err != nil {
		return it, err
	}
	before := int(b[0])
	if before == 0xfe {
		if b, err = p.take(4); err != nil {
			return it, err
		}
		before = int(binary.LittleEndian.Uint32(b))
	}
	if before != p.prev {
		return it, badFormat("a ziplist's entry has a bad length before it")
	}
	if b, err = p.take(1); err != nil {
		return it, err
	}
	switch head := b[0]; {
	case head < 0x40:
		it, err = p.takeString(int(head))
	case head < 0x80:
		if b, err = p.take(1); err == nil {
			it, err = p.takeString(int(head&0x3f)<<8 | int(b[0]))
		}
	case head == 0x80:
		if b, err = p.take(4); err == nil {
			it, err = p.takeString(int(binary.BigEndian.Uint32(b)))
		}
	case head == 0xc0:
		it, err = p.takeInt(2)
	case head == 0xd0:
		it, err = p.takeInt(4)
	case head == 0xe0:
		it, err = p.takeInt(8)
	case head == 0xf0:
		it, err = p.takeInt(3)
	case head == 0xfe:
		it, err = p.takeInt(1)
	case head > 0xf0 && head < 0xfe:
		it = item{num: int64(head&0x0f) - 1, number: true}
	default:
		err = badFormat("a ziplist's entry begins with %#x", head)
	}
	p.prev = p.pos - start
	return it, err
}
