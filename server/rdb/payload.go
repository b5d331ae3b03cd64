package rdb

import (
	"encoding/binary"
	"fmt"
)

// footerBytes is what ends a payload of DUMP: the version (2 bytes) and a checksum of
// all before it (8), both little endian. A type (1) begins it.
const footerBytes = 2 + 8

// ErrPayload: the footer of a payload of DUMP is of a later version, or its checksum
// wrong.
var ErrPayload = fmt.Errorf("%w: a payload's version or checksum", ErrFormat)

// OpenPayload checks the footer of a payload of DUMP and returns the value's type and
// a Reader of it. Errors: ErrPayload.
func OpenPayload(b []byte) (Type, *Reader, error) {
	if len(b) < 1+footerBytes {
		return 0, nil, ErrPayload
	}
	end := len(b) - footerBytes
	if binary.LittleEndian.Uint16(b[end:]) > MaxVersion || binary.LittleEndian.Uint64(b[end+2:]) != updateSum(0, b[:end+2]) {
		return 0, nil, ErrPayload
	}
	return Type(b[0]), NewBytes(b[1:end:end]), nil
}

// AppendFooter ends the payload that dst consists of from some place on.
func AppendFooter(dst []byte, from int) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, Version)
	return binary.LittleEndian.AppendUint64(dst, updateSum(0, dst[from:]))
}

// PayloadValue returns the part of a payload of DUMP that stands in an RDB file too:
// the value's type, and the value. Errors: ErrPayload.
func PayloadValue(b []byte) (Type, []byte, error) {
	t, r, err := OpenPayload(b)
	if err != nil {
		return 0, nil, err
	}
	return t, r.buf, nil
}
