package rdb

import (
	"encoding/binary"
	"math"
	"strconv"
)

// The values that this package writes are in the plain forms, which every Redis since
// 4.0 reads and brings into the form that it would choose itself.

// AppendLength appends a length.
func AppendLength(dst []byte, n uint64) []byte {
	switch {
	case n < 1<<6:
		return append(dst, byte(n))
	case n < 1<<14:
		return append(dst, 0x40|byte(n>>8), byte(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, 0x80), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0x81), n)
}

// maxEncodedDigits is the length up to which a string may be a number of 32 bits.
const maxEncodedDigits = 11

// AppendString appends a string, a small number as such.
func AppendString(dst, s []byte) []byte {
	if len(s) <= maxEncodedDigits && len(s) > 0 {
		if n, err := strconv.ParseInt(string(s), 10, 32); err == nil {
			var digits [maxEncodedDigits]byte
			if string(strconv.AppendInt(digits[:0], n, 10)) == string(s) {
				return appendEncodedInt(dst, n)
			}
		}
	}
	return append(AppendLength(dst, uint64(len(s))), s...)
}

func appendEncodedInt(dst []byte, n int64) []byte {
	const encoded = 0xc0
	switch {
	case n == int64(int8(n)):
		return append(dst, encoded|encodedInt8, byte(n))
	case n == int64(int16(n)):
		return binary.LittleEndian.AppendUint16(append(dst, encoded|encodedInt16), uint16(n))
	}
	return binary.LittleEndian.AppendUint32(append(dst, encoded|encodedInt32), uint32(n))
}

// AppendDouble appends a score, as TypeZSet2 has it.
func AppendDouble(dst []byte, f float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(f))
}
