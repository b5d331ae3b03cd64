package script

import (
	"encoding/binary"
	"math"

	lua "github.com/yuin/gopher-lua"
)

// Limits of MessagePack: deeper tables are packed as nil, as the library that Redis
// has does; deeper data is refused.
const (
	maxPackLevels   = 16
	maxUnpackLevels = 1000
)

// openMsgpack is lua-cmsgpack: MessagePack, github.com/msgpack/msgpack/blob/master/spec.md.
func (s *state) openMsgpack() {
	t := s.open("cmsgpack", map[string]func(frame) int{
		"pack": msgPack, "unpack": msgUnpack, "unpack_one": msgUnpackOne, "unpack_limit": msgUnpackLimit,
	})
	t.RawSetString("_NAME", lua.LString("cmsgpack"))
	t.RawSetString("_VERSION", lua.LString("lua-cmsgpack 0.4.0"))
	t.RawSetString("_DESCRIPTION", lua.LString("MessagePack for Lua"))
}

func msgPack(f frame) int {
	if f.GetTop() == 0 {
		f.bad(0, "MessagePack pack needs input.")
	}
	var b []byte
	for i := 1; i <= f.GetTop(); i++ {
		b = f.appendMsg(b, f.Get(i), 0)
	}
	return f.push(string(b))
}

func (f frame) appendMsg(b []byte, v lua.LValue, level int) []byte {
	f.spend(1)
	f.charge(valueBytes)
	switch v := v.(type) {
	case lua.LString:
		f.charge(len(v))
		return append(appendMsgString(b, len(v)), v...)
	case lua.LBool:
		if v {
			return append(b, 0xc3)
		}
		return append(b, 0xc2)
	case lua.LNumber:
		return appendMsgNumber(b, float64(v))
	case *lua.LTable:
		if level < maxPackLevels {
			return f.appendMsgTable(b, f.s.behind(v), level)
		}
	}
	return append(b, 0xc0)
}

func appendMsgString(b []byte, n int) []byte {
	switch {
	case n < 32:
		return append(b, 0xa0|byte(n))
	case n <= math.MaxUint8:
		return append(b, 0xd9, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xda), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, 0xdb), uint32(n))
}

func appendMsgNumber(b []byte, n float64) []byte {
	switch {
	case n != math.Trunc(n) || n >= 1<<63 || n < -1<<63:
		if float64(float32(n)) == n {
			return binary.BigEndian.AppendUint32(append(b, 0xca), math.Float32bits(float32(n)))
		}
		return binary.BigEndian.AppendUint64(append(b, 0xcb), math.Float64bits(n))
	case n >= 0:
		return appendMsgPositive(b, uint64(n))
	case n >= -32:
		return append(b, byte(int8(n)))
	case n >= math.MinInt8:
		return append(b, 0xd0, byte(int8(n)))
	case n >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(b, 0xd1), uint16(int16(n)))
	case n >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(b, 0xd2), uint32(int32(n)))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(int64(n)))
}

func appendMsgPositive(b []byte, n uint64) []byte {
	switch {
	case n < 128:
		return append(b, byte(n))
	case n <= math.MaxUint8:
		return append(b, 0xcc, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xcf), n)
}

// appendMsgTable packs a table whose keys are 1 to n as an array, any other as a map.
func (f frame) appendMsgTable(b []byte, t *lua.LTable, level int) []byte {
	count, most, array := 0, 0, true
	t.ForEach(func(k, _ lua.LValue) {
		count++
		n, ok := k.(lua.LNumber)
		if !ok || float64(n) != math.Trunc(float64(n)) || n < 1 || n > math.MaxInt32 {
			array = false
			return
		}
		most = max(most, int(n))
	})
	f.spend(count)
	if array && most == count {
		b = appendMsgHeader(b, count, 0x90, 0xdc)
		for i := 1; i <= count; i++ {
			b = f.appendMsg(b, t.RawGet(lua.LNumber(i)), level+1)
		}
		return b
	}
	b = appendMsgHeader(b, count, 0x80, 0xde)
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		b = f.appendMsg(b, k, level+1)
		b = f.appendMsg(b, v, level+1)
	}
	return b
}

// appendMsgHeader appends the length of an array or map: in the byte fix itself, or
// after long or long+1.
func appendMsgHeader(b []byte, n int, fix, long byte) []byte {
	switch {
	case n < 16:
		return append(b, fix|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, long), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, long+1), uint32(n))
}

func msgUnpack(f frame) int { return f.unpackMsg(0, 0) }

func msgUnpackOne(f frame) int { return f.unpackMsg(1, f.optInt(2, 0)) }

func msgUnpackLimit(f frame) int { return f.unpackMsg(f.integer(2), f.optInt(3, 0)) }

// unpackMsg unpacks up to limit values from an offset on; limit 0 and offset 0: all,
// and then without the offset of what follows.
func (f frame) unpackMsg(limit, offset int) int {
	data := f.str(1)
	if offset < 0 || limit < 0 {
		f.fail("Invalid request to unpack with offset of %d and limit of %d.", offset, len(data))
	}
	if offset > len(data) {
		f.fail("Start offset %d greater than input length %d.", offset, len(data))
	}
	all := limit == 0 && offset == 0
	if all {
		limit = math.MaxInt
	}
	d := unpacker{f: f, b: data, at: offset}
	var values []lua.LValue
	for len(values) < limit && d.at < len(d.b) {
		if len(values) > maxUnpack {
			f.fail("too many results to unpack")
		}
		values = append(values, d.value(0))
	}
	n := len(values)
	if !all {
		next := d.at
		if next == len(d.b) {
			next = -1
		}
		f.pushNum(float64(next))
		n++
	}
	for _, v := range values {
		f.Push(v)
	}
	return n
}

// An unpacker reads MessagePack. Lengths that are announced allocate nothing.
type unpacker struct {
	f  frame
	b  string
	at int
}

func (d *unpacker) take(n int) string {
	if n > len(d.b)-d.at {
		d.f.fail("Missing bytes in input.")
	}
	b := d.b[d.at : d.at+n]
	d.at += n
	return b
}

// number reads an unsigned integer of n bytes.
func (d *unpacker) number(n int) uint64 {
	v := uint64(0)
	for _, c := range []byte(d.take(n)) {
		v = v<<8 | uint64(c)
	}
	return v
}

func (d *unpacker) value(level int) lua.LValue {
	d.f.spend(1)
	d.f.charge(valueBytes)
	if level > maxUnpackLevels {
		d.f.fail("Bad data format in input.")
	}
	c := d.take(1)[0]
	switch {
	case c < 0x80:
		return lua.LNumber(c)
	case c < 0x90:
		return d.mapping(int(c&0xf), level)
	case c < 0xa0:
		return d.array(int(c&0xf), level)
	case c < 0xc0:
		return d.text(int(c & 0x1f))
	case c >= 0xe0:
		return lua.LNumber(int8(c))
	}
	switch c {
	case 0xc0:
		return lua.LNil
	case 0xc2:
		return lua.LFalse
	case 0xc3:
		return lua.LTrue
	case 0xca:
		return lua.LNumber(math.Float32frombits(uint32(d.number(4))))
	case 0xcb:
		return lua.LNumber(math.Float64frombits(d.number(8)))
	case 0xcc, 0xcd, 0xce, 0xcf:
		return lua.LNumber(int64(d.number(1 << (c - 0xcc)))) // Redis's has no unsigned ones
	case 0xd0:
		return lua.LNumber(int8(d.number(1)))
	case 0xd1:
		return lua.LNumber(int16(d.number(2)))
	case 0xd2:
		return lua.LNumber(int32(d.number(4)))
	case 0xd3:
		return lua.LNumber(int64(d.number(8)))
	case 0xd9, 0xda, 0xdb:
		return d.text(int(d.number(1 << (c - 0xd9))))
	case 0xdc, 0xdd:
		return d.array(int(d.number(2<<(c-0xdc))), level)
	case 0xde, 0xdf:
		return d.mapping(int(d.number(2<<(c-0xde))), level)
	}
	d.f.fail("Bad data format in input.")
	return lua.LNil
}

func (d *unpacker) text(n int) lua.LValue {
	b := d.take(n)
	d.f.charge(n)
	return lua.LString(b)
}

func (d *unpacker) array(n, level int) lua.LValue {
	t := d.f.NewTable()
	d.f.charge(tableBytes)
	for i := 1; i <= n; i++ {
		d.f.s.rawSet(d.f.LState, t, lua.LNumber(i), d.value(level+1))
	}
	return t
}

func (d *unpacker) mapping(n, level int) lua.LValue {
	t := d.f.NewTable()
	d.f.charge(tableBytes)
	for range n {
		k := d.value(level + 1)
		v := d.value(level + 1)
		d.f.charge(entryBytes)
		d.f.s.rawSet(d.f.LState, t, k, v)
	}
	return t
}

// What a table takes, and a value of it that is not in its array part, about.
const (
	tableBytes = 600
	entryBytes = 100
)
