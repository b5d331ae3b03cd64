package rdb

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// Value reads a value of a type, of which the source is at the beginning, and calls
// emit with its elements. Errors: ErrFormat, ErrModule, ErrEmpty, emit's, the
// source's.
func (r *Reader) Value(t Type, emit Emit) error {
	defer r.trim()
	switch t {
	case TypeString:
		b, err := r.str()
		if err != nil {
			return err
		}
		return r.emitOne(emit, b)
	case TypeList, TypeSet, TypeHash, TypeZSet, TypeZSet2, TypeHashExpiry, TypeHashExpiryPre:
		return r.plainValue(t, emit)
	case TypeListQuicklist, TypeListQuicklist2:
		return r.quicklist(t, emit)
	case TypeHashZipmap, TypeSetIntset, TypeListZiplist, TypeZSetZiplist, TypeHashZiplist, TypeHashListpack, TypeZSetListpack,
		TypeSetListpack, TypeHashExpiryListpack, TypeHashExpiryPackPre:
		return r.packedValue(t, emit)
	case TypeStream, TypeStream2, TypeStream3:
		return r.stream(t, emit)
	case TypeModule, TypeModule2:
		id, err := r.count()
		if err != nil {
			return err
		}
		return fmt.Errorf("%w: %s", ErrModule, moduleName(id))
	}
	return badFormat("a value of type %d", t)
}

// emitOne emits an element that is one string.
func (r *Reader) emitOne(emit Emit, b []byte) error {
	r.el = Element{Value: b}
	return emit(&r.el)
}

// plainValue reads a value whose elements stand one after the other as strings.
func (r *Reader) plainValue(t Type, emit Emit) error {
	var soonest int64 // of a hash's fields
	if t == TypeHashExpiry {
		var err error
		if soonest, err = r.millis(); err != nil {
			return err
		}
	}
	n, err := r.count()
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrEmpty
	}
	for ; n > 0; n-- {
		r.el = Element{}
		if t == TypeHashExpiry || t == TypeHashExpiryPre {
			if err := r.fieldExpiry(t, soonest); err != nil {
				return err
			}
		}
		b, err := r.str()
		if err != nil {
			return err
		}
		switch r.el.Value = b; t {
		case TypeZSet:
			r.el.Value = r.hold(b)
			r.el.Score, err = r.decimal()
		case TypeZSet2:
			r.el.Value = r.hold(b)
			r.el.Score, err = r.double()
		case TypeHash, TypeHashExpiry, TypeHashExpiryPre:
			r.el.Value = r.hold(b)
			r.el.Second, err = r.str()
		}
		if err != nil {
			return err
		}
		if err := emit(&r.el); err != nil {
			return err
		}
	}
	return nil
}

// fieldExpiry reads when a hash's field expires: in what was released, as a distance
// from the soonest such time, plus one.
func (r *Reader) fieldExpiry(t Type, soonest int64) error {
	n, err := r.count()
	if err != nil || n == 0 {
		return err
	}
	r.el.ExpireAt = int64(n)
	if t == TypeHashExpiry {
		r.el.ExpireAt = soonest + int64(n) - 1
	}
	if r.el.ExpireAt <= 0 {
		return badFormat("a field's expiry")
	}
	return nil
}

// quicklist reads a list of nodes, each a ziplist, or a listpack or one plain item.
func (r *Reader) quicklist(t Type, emit Emit) error {
	const plain, listpack = 1, 2
	n, err := r.count()
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrEmpty
	}
	items := 0
	counted := func(el *Element) error {
		items++
		return emit(el)
	}
	for ; n > 0; n-- {
		container := uint64(listpack)
		if t == TypeListQuicklist2 {
			if container, err = r.count(); err != nil {
				return err
			}
		}
		b, err := r.str()
		if err != nil {
			return err
		}
		var p *packed
		switch {
		case container == plain:
			if err := r.emitOne(counted, b); err != nil {
				return err
			}
			continue
		case container != listpack:
			return badFormat("a quicklist's node of kind %d", container)
		case t == TypeListQuicklist:
			p, err = newZiplist(b)
		default:
			p, err = newListpack(b)
		}
		if err != nil {
			return err
		}
		if err := r.packedElements(p, 1, r.packedOne, counted); err != nil {
			return err
		}
	}
	if items == 0 {
		return ErrEmpty
	}
	return nil
}

// packedValue reads a value that is one string.
func (r *Reader) packedValue(t Type, emit Emit) error {
	if t == TypeHashExpiryListpack {
		if _, err := r.millis(); err != nil { // the soonest expiry, which the fields say too
			return err
		}
	}
	b, err := r.str()
	if err != nil {
		return err
	}
	switch t {
	case TypeHashZipmap:
		return r.zipmap(b, emit)
	case TypeSetIntset:
		return r.intset(b, emit)
	}
	var p *packed
	switch t {
	case TypeListZiplist, TypeZSetZiplist, TypeHashZiplist:
		p, err = newZiplist(b)
	default:
		p, err = newListpack(b)
	}
	if err != nil {
		return err
	}
	if p.pos == len(p.b) {
		return ErrEmpty
	}
	switch t {
	case TypeListZiplist, TypeSetListpack:
		return r.packedElements(p, 1, r.packedOne, emit)
	case TypeHashZiplist, TypeHashListpack:
		return r.packedElements(p, 2, r.packedField, emit)
	case TypeZSetZiplist, TypeZSetListpack:
		return r.packedElements(p, 2, r.packedScore, emit)
	}
	return r.packedElements(p, 3, r.packedExpiring, emit)
}

// packedElements emits the elements of a listpack or ziplist, of some entries each.
func (r *Reader) packedElements(p *packed, entries int, element func([]item) error, emit Emit) error {
	var its [3]item
	for {
		for i := range entries {
			it, ok, err := p.next()
			if err != nil {
				return err
			}
			if !ok {
				if i > 0 {
					return badFormat("the last of the elements is not whole")
				}
				return nil
			}
			its[i] = it
		}
		r.el = Element{}
		if err := element(its[:entries]); err != nil {
			return err
		}
		if err := emit(&r.el); err != nil {
			return err
		}
	}
}

func (r *Reader) packedOne(its []item) error {
	r.el.Value = its[0].text(&r.digits[0])
	return nil
}

func (r *Reader) packedField(its []item) error {
	r.el.Value, r.el.Second = its[0].text(&r.digits[0]), its[1].text(&r.digits[1])
	return nil
}

func (r *Reader) packedScore(its []item) (err error) {
	r.el.Value = its[0].text(&r.digits[0])
	if its[1].number {
		r.el.Score = float64(its[1].num)
		return nil
	}
	r.el.Score, err = parseScore(its[1].str)
	return err
}

func (r *Reader) packedExpiring(its []item) error {
	if !its[2].number || its[2].num < 0 {
		return badFormat("a field's expiry")
	}
	r.el.ExpireAt = its[2].num
	return r.packedField(its)
}

// intset emits the members of an intset.
//
//	bytes of a number 4, numbers 4, numbers ...     (little endian, ascending)
func (r *Reader) intset(b []byte, emit Emit) error {
	if len(b) < 8 {
		return badFormat("an intset's frame")
	}
	size, n := uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[4:]))
	if size != 2 && size != 4 && size != 8 || uint64(len(b)-8) != size*n {
		return badFormat("an intset's frame")
	}
	if n == 0 {
		return ErrEmpty
	}
	p := &packed{b: b, pos: 8}
	last := int64(0)
	for i := range n {
		it, err := p.takeInt(int(size))
		if err != nil {
			return err
		}
		if i > 0 && it.num <= last {
			return badFormat("an intset that is not in order")
		}
		last = it.num
		if err := r.emitOne(emit, strconv.AppendInt(r.digits[0][:0], it.num, 10)); err != nil {
			return err
		}
	}
	return nil
}

// zipmap emits the fields of a zipmap, the form of small hashes before Redis 2.6.
//
//	entries 1, { length, field, length, spare 1, value, spare bytes } ..., 0xff
func (r *Reader) zipmap(b []byte, emit Emit) error {
	if len(b) < 2 || b[len(b)-1] != packedEnd {
		return badFormat("a zipmap's frame")
	}
	p := &packed{b: b[:len(b)-1], pos: 1}
	if p.pos == len(p.b) {
		return ErrEmpty
	}
	for p.pos < len(p.b) {
		n, err := p.zipmapLength()
		if err != nil {
			return err
		}
		field, err := p.take(n)
		if err != nil {
			return err
		}
		if n, err = p.zipmapLength(); err != nil {
			return err
		}
		spare, err := p.take(1)
		if err != nil {
			return err
		}
		value, err := p.take(n)
		if err != nil {
			return err
		}
		if _, err := p.take(int(spare[0])); err != nil {
			return err
		}
		r.el = Element{Value: field, Second: value}
		if err := emit(&r.el); err != nil {
			return err
		}
	}
	return nil
}

func (p *packed) zipmapLength() (int, error) {
	b, err := p.take(1)
	if err != nil {
		return 0, err
	}
	if b[0] < 254 {
		return int(b[0]), nil
	}
	if b[0] == 255 {
		return 0, badFormat("a zipmap that ends too early")
	}
	if b, err = p.take(4); err != nil {
		return 0, err
	}
	return int(binary.LittleEndian.Uint32(b)), nil
}

// moduleName is the name that is in the id of a module's type: 9 characters of 6
// bits, then a version of 10.
func moduleName(id uint64) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	var name [9]byte
	for i := range name {
		name[i] = letters[id>>(10+6*(8-i))&0x3f]
	}
	return string(name[:])
}
