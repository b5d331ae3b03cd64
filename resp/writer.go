package resp

import (
	"math"
	"slices"
	"strconv"

	"github.com/tidwall/redcon"
)

// Writer builds replies in Buf. The zero value writes RESP2. It never fails
// and does no I/O; whoever owns it sends Buf and calls Reset.
type Writer struct {
	// Buf holds the replies that were built. Callers may truncate it to an
	// earlier length to take replies back.
	Buf []byte
	// Proto is the version of the protocol, 2 or 3; anything below 3 is 2.
	Proto int

	limit int // see Limit
	full  bool
	more  func(length int) (limit int)
}

// Reset empties the buffer and keeps its memory.
func (w *Writer) Reset() { w.Buf = w.Buf[:0] }

// Limit has Buf grow no longer than about limit bytes; 0: as long as it likes. What
// would be longer asks more, unless that is nil, which returns a higher limit, or one that
// is still too low. Then the Writer is full: strings and integers are dropped from then on,
// and the whole reply has to be taken back. Errors and headers are never dropped.
func (w *Writer) Limit(limit int, more func(length int) (limit int)) {
	w.limit, w.more, w.full = limit, more, false
}

// Full reports whether something was dropped since Limit was called.
func (w *Writer) Full() bool { return w.full }

// takes reports whether n bytes may be appended.
func (w *Writer) takes(n int) bool {
	if w.limit == 0 || len(w.Buf)+n <= w.limit && !w.full {
		return true
	}
	return w.grow(len(w.Buf) + n)
}

// headerBytes is more than what stands before and behind a string.
const headerBytes = 64

// grow asks for a limit of at least length.
func (w *Writer) grow(length int) bool {
	if w.full {
		return false
	}
	if w.more != nil {
		w.limit = max(w.more(length), 1)
	}
	w.full = length > w.limit
	if !w.full && length > cap(w.Buf) {
		// Twice as much: what append makes of a large buffer is copied five times in all, and nobody
		// else gets on while the collector waits for the end of a copy.
		w.Buf = slices.Grow(w.Buf, max(2*cap(w.Buf), length+headerBytes)-len(w.Buf))
	}
	return !w.full
}

// Raw appends a reply that is already in wire form.
func (w *Writer) Raw(b []byte) {
	if w.takes(len(b)) {
		w.Buf = append(w.Buf, b...)
	}
}

// Simple appends a simple string. Line breaks in s become spaces.
func (w *Writer) Simple(s string) { w.Buf = redcon.AppendString(w.Buf, s) }

// OK appends +OK.
func (w *Writer) OK() { w.Buf = redcon.AppendOK(w.Buf) }

// Error appends an error line; text comes without the leading '-' and starts
// with its code ("ERR ..."). Line breaks in it become spaces.
func (w *Writer) Error(text string) { w.Buf = redcon.AppendError(w.Buf, text) }

// Int appends an integer.
func (w *Writer) Int(n int64) {
	if w.takes(0) {
		w.Buf = redcon.AppendInt(w.Buf, n)
	}
}

// Uint appends an unsigned integer.
func (w *Writer) Uint(n uint64) { w.Buf = redcon.AppendUint(w.Buf, n) }

// Bulk appends a bulk string. A nil slice is the empty string; see Null.
func (w *Writer) Bulk(b []byte) {
	if !w.takes(len(b)) {
		return
	}
	w.bulkLength(len(b))
	w.Buf = append(append(w.Buf, b...), "\r\n"...)
}

// bulkLength appends what stands before a bulk string. Nearly all are short, and there
// can be thousands in a reply.
func (w *Writer) bulkLength(n int) {
	switch {
	case n < 10:
		w.Buf = append(w.Buf, '$', byte('0'+n), '\r', '\n')
	case n < 100:
		w.Buf = append(w.Buf, '$', byte('0'+n/10), byte('0'+n%10), '\r', '\n')
	case n < 1000:
		w.Buf = append(w.Buf, '$', byte('0'+n/100), byte('0'+n/10%10), byte('0'+n%10), '\r', '\n')
	default:
		w.Buf = append(strconv.AppendInt(append(w.Buf, '$'), int64(n), 10), '\r', '\n')
	}
}

// BulkString appends a bulk string.
func (w *Writer) BulkString(s string) {
	if !w.takes(len(s)) {
		return
	}
	w.bulkLength(len(s))
	w.Buf = append(append(w.Buf, s...), "\r\n"...)
}

// BulkInt appends a bulk string that holds n in decimal.
func (w *Writer) BulkInt(n int64) {
	var digits [20]byte
	w.Bulk(strconv.AppendInt(digits[:0], n, 10))
}

// Null appends the absent value.
func (w *Writer) Null() {
	if w.Proto >= 3 {
		w.Buf = append(w.Buf, "_\r\n"...)
		return
	}
	w.Buf = redcon.AppendNull(w.Buf)
}

// NullArray appends the absent array, which RESP3 does not tell from Null.
func (w *Writer) NullArray() {
	if w.Proto >= 3 {
		w.Buf = append(w.Buf, "_\r\n"...)
		return
	}
	w.Buf = append(w.Buf, "*-1\r\n"...)
}

// Array starts an array of n replies that the caller appends next.
func (w *Writer) Array(n int) { w.Buf = redcon.AppendArray(w.Buf, n) }

// Map starts a map of n pairs: the caller appends 2n replies, keys and values
// in turn. In RESP2 it is a flat array.
func (w *Writer) Map(n int) {
	if w.Proto >= 3 {
		w.header('%', n)
		return
	}
	w.Array(2 * n)
}

// Set starts a set of n replies; an array in RESP2.
func (w *Writer) Set(n int) {
	if w.Proto >= 3 {
		w.header('~', n)
		return
	}
	w.Array(n)
}

// Push starts an out-of-band message of n replies; an array in RESP2.
func (w *Writer) Push(n int) {
	if w.Proto >= 3 {
		w.header('>', n)
		return
	}
	w.Array(n)
}

// Double appends a floating point number, formatted as Redis 7.2 does (see
// AppendDouble); a bulk string in RESP2.
func (w *Writer) Double(f float64) {
	var text [maxDoubleLen]byte
	digits := AppendDouble(text[:0], f)
	if w.Proto >= 3 {
		w.Buf = append(w.Buf, ',')
		w.Buf = append(w.Buf, digits...)
		w.Buf = append(w.Buf, '\r', '\n')
		return
	}
	w.Bulk(digits)
}

// Bool appends a boolean; the integers 1 and 0 in RESP2.
func (w *Writer) Bool(b bool) {
	switch {
	case w.Proto >= 3 && b:
		w.Buf = append(w.Buf, "#t\r\n"...)
	case w.Proto >= 3:
		w.Buf = append(w.Buf, "#f\r\n"...)
	case b:
		w.Int(1)
	default:
		w.Int(0)
	}
}

// BigNumber appends an integer of any size, given in decimal; a bulk string in
// RESP2.
func (w *Writer) BigNumber(decimal string) {
	if w.Proto >= 3 {
		w.Buf = append(w.Buf, '(')
		w.Buf = append(w.Buf, decimal...)
		w.Buf = append(w.Buf, '\r', '\n')
		return
	}
	w.BulkString(decimal)
}

// Verbatim appends text with its format, which is three bytes long ("txt",
// "mkd"); a bulk string without the format in RESP2.
func (w *Writer) Verbatim(format, text string) {
	if w.Proto >= 3 {
		w.header('=', len(text)+len(format)+1)
		w.Buf = append(w.Buf, format...)
		w.Buf = append(w.Buf, ':')
		w.Buf = append(w.Buf, text...)
		w.Buf = append(w.Buf, '\r', '\n')
		return
	}
	w.BulkString(text)
}

func (w *Writer) header(kind byte, n int) {
	w.Buf = append(w.Buf, kind)
	w.Buf = strconv.AppendInt(w.Buf, int64(n), 10)
	w.Buf = append(w.Buf, '\r', '\n')
}

// maxDoubleLen bounds what AppendDouble appends: a sign, 17 digits, a point and
// up to seven zeros around them, or an exponent.
const maxDoubleLen = 32

// Every integer of this size or less is exact in a float64.
const maxExactInteger = 1 << 52

// AppendDouble appends f as Redis 7.2 prints a double: integers up to 2^52
// without a point, otherwise the shortest digits that read back as f, with an
// exponent ("1e+20", no padding) only when the plain form would need seven or
// more zeros; "inf", "-inf", "nan" and "-0".
func AppendDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "nan"...)
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	case f == 0:
		if math.Signbit(f) {
			return append(dst, "-0"...)
		}
		return append(dst, '0')
	case f > -maxExactInteger && f < maxExactInteger && f == math.Trunc(f):
		return strconv.AppendInt(dst, int64(f), 10)
	}
	var buf [maxDoubleLen]byte
	digits, exp10 := shortestDigits(buf[:0], f)
	// f = 0.d1d2d3... * 10^exp10; scale is how many places the digits are to
	// be shifted left (or right) to stand as an integer.
	n := len(digits)
	scale := exp10 - n
	magnitude := max(exp10-1, 1-exp10)
	if scale >= 0 && magnitude < n+7 || scale < 0 && (scale > -7 || magnitude < 4) {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	if f < 0 {
		dst = append(dst, '-')
	}
	dst = append(dst, digits[0])
	if n > 1 {
		dst = append(dst, '.')
		dst = append(dst, digits[1:]...)
	}
	dst = append(dst, 'e')
	if exp10 >= 1 {
		dst = append(dst, '+')
	} else {
		dst = append(dst, '-')
	}
	return strconv.AppendInt(dst, int64(magnitude), 10)
}

// shortestDigits appends to dst the fewest decimal digits that read back as f,
// without sign, point or trailing zeros, and returns the decimal exponent of
// 0.digits.
func shortestDigits(dst []byte, f float64) (digits []byte, exp10 int) {
	form := strconv.AppendFloat(dst, math.Abs(f), 'e', -1, 64) // d.ddde±xx
	n, i := 0, 0
	for ; form[i] != 'e'; i++ {
		if form[i] != '.' {
			form[n] = form[i]
			n++
		}
	}
	for _, c := range form[i+2:] {
		exp10 = exp10*10 + int(c-'0')
	}
	if form[i+1] == '-' {
		exp10 = -exp10
	}
	return form[:n], exp10 + 1
}
