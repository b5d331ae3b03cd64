package rdb

import (
	"encoding/binary"
	"io"
	"math"
	"strconv"
)

// Encodings of a string, in place of its length.
const (
	encodedInt8  = 0
	encodedInt16 = 1
	encodedInt32 = 2
	encodedLZF   = 3
)

// Reader reads values.
type Reader struct {
	source
	first  []byte // the first of two strings
	plain  []byte // what was compressed
	digits [2][24]byte
	el     Element
	part   StreamPart
}

// NewReader returns a Reader of a stream. It reads ahead.
func NewReader(src io.Reader) *Reader {
	r := new(Reader)
	r.src, r.buf = src, make([]byte, bufferBytes)
	return r
}

// NewBytes returns a Reader of b, which it does not change.
func NewBytes(b []byte) *Reader {
	r := new(Reader)
	r.buf, r.end = b, len(b)
	return r
}

// length reads a length, or says how a string is encoded instead.
func (r *Reader) length() (n uint64, encoded bool, err error) {
	head, err := r.byte()
	if err != nil {
		return 0, false, err
	}
	switch head >> 6 {
	case 0:
		return uint64(head & 0x3f), false, nil
	case 1:
		low, err := r.byte()
		return uint64(head&0x3f)<<8 | uint64(low), false, err
	case 3:
		return uint64(head & 0x3f), true, nil
	}
	switch head {
	case 0x80:
		b, err := r.bytes(4)
		if err != nil {
			return 0, false, err
		}
		return uint64(binary.BigEndian.Uint32(b)), false, nil
	case 0x81:
		b, err := r.bytes(8)
		if err != nil {
			return 0, false, err
		}
		return binary.BigEndian.Uint64(b), false, nil
	}
	return 0, false, badFormat("a length that begins with %#x", head)
}

// count reads a length that cannot be an encoding.
func (r *Reader) count() (uint64, error) {
	n, encoded, err := r.length()
	if err == nil && encoded {
		err = badFormat("an encoding in place of a length")
	}
	return n, err
}

// str reads a string, valid until the next call.
func (r *Reader) str() ([]byte, error) {
	n, encoded, err := r.length()
	if err != nil {
		return nil, err
	}
	if !encoded {
		return r.bytes(n)
	}
	var v int64
	switch n {
	case encodedInt8:
		b, err := r.byte()
		if err != nil {
			return nil, err
		}
		v = int64(int8(b))
	case encodedInt16:
		b, err := r.bytes(2)
		if err != nil {
			return nil, err
		}
		v = int64(int16(binary.LittleEndian.Uint16(b)))
	case encodedInt32:
		b, err := r.bytes(4)
		if err != nil {
			return nil, err
		}
		v = int64(int32(binary.LittleEndian.Uint32(b)))
	case encodedLZF:
		return r.compressed()
	default:
		return nil, badFormat("a string of encoding %d", n)
	}
	return strconv.AppendInt(r.digits[0][:0], v, 10), nil
}

// compressed reads a string that LZF made shorter.
func (r *Reader) compressed() ([]byte, error) {
	packed, err := r.count()
	if err != nil {
		return nil, err
	}
	size, err := r.count()
	if err != nil {
		return nil, err
	}
	if size > maxStringBytes || size > packed*maxLZFRatio {
		return nil, badFormat("%d bytes that are %d when compressed", size, packed)
	}
	b, err := r.bytes(packed)
	if err != nil {
		return nil, err
	}
	if cap(r.plain) > growBytes && size <= growBytes {
		r.plain = nil
	}
	r.plain, err = expandLZF(r.plain[:0], b, int(size))
	return r.plain, err
}

// hold copies a string, so that another one can be read.
func (r *Reader) hold(b []byte) []byte {
	if cap(r.first) > growBytes && len(b) <= growBytes {
		r.first = nil
	}
	r.first = append(r.first[:0], b...)
	return r.first
}

// double reads a score in binary.
func (r *Reader) double() (float64, error) {
	b, err := r.bytes(8)
	if err != nil {
		return 0, err
	}
	return notNaN(math.Float64frombits(binary.LittleEndian.Uint64(b)))
}

// decimal reads a score in decimal.
func (r *Reader) decimal() (float64, error) {
	n, err := r.byte()
	if err != nil {
		return 0, err
	}
	switch n {
	case 253:
		return notNaN(math.NaN())
	case 254:
		return math.Inf(1), nil
	case 255:
		return math.Inf(-1), nil
	}
	b, err := r.bytes(uint64(n))
	if err != nil {
		return 0, err
	}
	return parseScore(b)
}

func parseScore(b []byte) (float64, error) {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil && !math.IsInf(f, 0) || len(b) > 512 {
		return 0, badFormat("a score that is no number")
	}
	return notNaN(f)
}

func notNaN(f float64) (float64, error) {
	if math.IsNaN(f) {
		return 0, badFormat("a score that is no number")
	}
	return f, nil
}

// millis reads a time, Unix time in ms.
func (r *Reader) millis() (int64, error) {
	b, err := r.bytes(8)
	if err != nil {
		return 0, err
	}
	return int64(binary.LittleEndian.Uint64(b)), nil
}
