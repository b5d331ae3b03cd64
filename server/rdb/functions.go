package rdb

import "errors"

// What FUNCTION DUMP returns:
//
//	{ 245  string } version(2 bytes) checksum(8 bytes)
//
// A string is the source text of a library. The footer is that of DUMP (payload.go).

// ErrNoFunction: a payload of FUNCTION DUMP has something else than a library.
var ErrNoFunction = errors.New("rdb: not a library of functions")

// AppendFunction adds a library to a payload of FUNCTION DUMP, which AppendFooter ends.
func AppendFunction(dst, code []byte) []byte { return AppendString(append(dst, codeFunction), code) }

// Functions hands out the source texts in a payload of FUNCTION DUMP, each valid until
// emit returns. One that is compressed must not become longer than mostBytes. Errors:
// ErrPayload, ErrNoFunction, ErrFormat, emit's.
func Functions(b []byte, mostBytes int, emit func(code []byte) error) error {
	body, err := checkFooter(b)
	if err != nil {
		return err
	}
	r := NewBytes(body)
	r.mostBytes = uint64(mostBytes)
	for r.pos < r.end {
		code, err := r.byte()
		if err != nil {
			return err
		}
		if code != codeFunction {
			return ErrNoFunction
		}
		text, err := r.str()
		if err != nil {
			return err
		}
		if err := emit(text); err != nil {
			return err
		}
	}
	return nil
}
