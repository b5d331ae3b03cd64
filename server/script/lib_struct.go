package script

import (
	"encoding/binary"
	"math"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// openStruct is the library that turns values into C's structures and back,
// www.inf.puc-rio.br/~roberto/struct.
func (s *state) openStruct() {
	s.open("struct", map[string]func(frame) int{"pack": structPack, "unpack": structUnpack, "size": structSize})
}

const (
	maxIntegerBytes = 32
	nativeAlign     = 8
)

// layout reads a format, option by option.
type layout struct {
	f      frame
	format string
	at     int
	big    bool
	align  int
}

// item is one option: its letter, its size in bytes, and how many bytes of padding
// come before it at position pos.
type item struct {
	option byte
	size   int
	pad    int
}

func (l *layout) done() bool { return l.at >= len(l.format) }

func (l *layout) number(def int) int {
	if l.done() || !isDigit(l.format[l.at]) {
		return def
	}
	n := 0
	for ; !l.done() && isDigit(l.format[l.at]); l.at++ {
		if n = n*10 + int(l.format[l.at]-'0'); n > math.MaxInt32 {
			l.f.fail("integral size overflow")
		}
	}
	return n
}

func (l *layout) next(pos int) item {
	it := item{option: l.format[l.at]}
	l.at++
	switch it.option {
	case 'B', 'b', 'x':
		it.size = 1
	case 'H', 'h':
		it.size = 2
	case 'L', 'l', 'T', 'd':
		it.size = 8
	case 'f':
		it.size = 4
	case 'c':
		it.size = l.number(1)
		return it
	case 'i', 'I':
		it.size = l.number(4)
		if it.size > maxIntegerBytes {
			l.f.fail("integral size %d is larger than limit of %d", it.size, maxIntegerBytes)
		}
	default:
		return it
	}
	if size := min(it.size, l.align); size > 1 {
		it.pad = (size - pos&(size-1)) & (size - 1)
	}
	return it
}

// control takes an option that only changes how the others are read.
func (l *layout) control(option byte) {
	switch option {
	case ' ':
	case '>':
		l.big = true
	case '<':
		l.big = false
	case '!':
		l.align = l.number(nativeAlign)
		if l.align <= 0 || l.align&(l.align-1) != 0 {
			l.f.fail("alignment %d is not a power of 2", l.align)
		}
	default:
		l.f.bad(1, "invalid format option '"+string([]byte{option})+"'")
	}
}

func structPack(f frame) int {
	l := layout{f: f, format: f.str(1), align: 1}
	var b []byte
	arg := 1
	for !l.done() {
		it := l.next(len(b))
		f.spend(1)
		f.charge(it.pad + min(it.size, maxIntegerBytes))
		b = append(b, make([]byte, it.pad)...)
		switch it.option {
		case 'b', 'B', 'h', 'H', 'l', 'L', 'T', 'i', 'I':
			arg++
			b = l.appendInteger(b, f.num(arg), it.size)
		case 'x':
			b = append(b, 0)
		case 'f':
			arg++
			b = l.order().AppendUint32(b, math.Float32bits(float32(f.num(arg))))
		case 'd':
			arg++
			b = l.order().AppendUint64(b, math.Float64bits(f.num(arg)))
		case 'c', 's':
			arg++
			b = f.appendChars(b, it, arg)
		default:
			l.control(it.option)
		}
	}
	return f.push(string(b))
}

func (l *layout) order() interface {
	binary.ByteOrder
	binary.AppendByteOrder
} {
	if l.big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

func (f frame) appendChars(b []byte, it item, arg int) []byte {
	str := f.str(arg)
	f.charge(len(str))
	if it.option == 's' {
		return append(append(b, str...), 0)
	}
	if it.size == 0 {
		return append(b, str...)
	}
	if len(str) < it.size {
		f.bad(arg+1, "string too short")
	}
	return append(b, str[:it.size]...)
}

func (l *layout) appendInteger(b []byte, n float64, size int) []byte {
	v := uint64(toInt(n))
	if n >= math.MaxInt64 {
		v = uint64(n)
	}
	first := len(b)
	for range size {
		b = append(b, byte(v))
		v >>= 8
	}
	if l.big {
		reverse(b[first:])
	}
	return b
}

func reverse(b []byte) {
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
}

func (l *layout) integer(b []byte, signed bool) float64 {
	v := uint64(0)
	for i := range b {
		c := b[i]
		if !l.big {
			c = b[len(b)-1-i]
		}
		v = v<<8 | uint64(c)
	}
	if !signed {
		return float64(v)
	}
	if bits := len(b) * 8; bits < 64 && bits > 0 && v>>(bits-1) != 0 {
		v |= ^uint64(0) << bits
	}
	return float64(int64(v))
}

func structUnpack(f frame) int {
	l := layout{f: f, format: f.str(1), align: 1}
	data := f.str(2)
	pos := f.optInt(3, 1) - 1
	if pos == -1 {
		f.bad(3, "offset must be 1 or greater")
	}
	if pos < 0 { // a large number in C
		pos = math.MaxInt32
	}
	n := 0
	for !l.done() {
		it := l.next(pos)
		f.spend(1)
		pos = min(pos, math.MaxInt32) + it.pad
		if it.size > len(data) || pos > len(data)-it.size {
			f.bad(2, "data string too short")
		}
		v, used := l.value(it, data, pos, n)
		pos += used
		if v != nil {
			if n++; n > maxUnpack {
				f.fail("too many results to unpack")
			}
			f.Push(v)
		}
	}
	f.pushNum(float64(pos + 1))
	return n + 1
}

// value reads an item, whose fixed size is there, and returns how many bytes it takes;
// nil for what is no value.
func (l *layout) value(it item, data string, pos, n int) (lua.LValue, int) {
	b := []byte(data[pos : pos+it.size])
	switch it.option {
	case 'b', 'h', 'l', 'i':
		return lua.LNumber(l.integer(b, true)), it.size
	case 'B', 'H', 'L', 'T', 'I':
		return lua.LNumber(l.integer(b, false)), it.size
	case 'x':
		return nil, 1
	case 'f':
		return lua.LNumber(math.Float32frombits(l.order().Uint32(b))), 4
	case 'd':
		return lua.LNumber(math.Float64frombits(l.order().Uint64(b))), 8
	case 'c':
		return l.chars(it, data, pos, n)
	case 's':
		end := strings.IndexByte(data[pos:], 0)
		if end < 0 {
			l.f.fail("unfinished string in data")
		}
		l.f.charge(end)
		return lua.LString(data[pos : pos+end]), end + 1
	}
	l.control(it.option)
	return nil, 0
}

// chars reads c<n>; the number before gives the length of c0, in whose place it comes.
func (l *layout) chars(it item, data string, pos, n int) (lua.LValue, int) {
	size := it.size
	if size == 0 {
		count, ok := l.f.Get(-1).(lua.LNumber)
		if n == 0 || !ok {
			l.f.fail("format 'c0' needs a previous size")
		}
		size = toInt(float64(count))
		if size < 0 || size > len(data)-pos {
			l.f.bad(2, "data string too short")
		}
		str := lua.LString(data[pos : pos+size])
		l.f.Pop(1)
		l.f.Push(str)
		return nil, size
	}
	return lua.LString(data[pos : pos+size]), size
}

func structSize(f frame) int {
	l := layout{f: f, format: f.str(1), align: 1}
	pos := 0
	for !l.done() {
		it := l.next(pos)
		switch {
		case it.option == 's':
			f.bad(1, "option 's' has no fixed size")
		case it.option == 'c' && it.size == 0:
			f.bad(1, "option 'c0' has no fixed size")
		case strings.IndexByte("bBhHlLTiIfdxc", it.option) < 0:
			l.control(it.option)
		}
		pos += it.pad + it.size
	}
	return f.pushNum(float64(pos))
}
