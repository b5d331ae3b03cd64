package script

import (
	"math"
	"strconv"
	"strings"
)

// formatNumber is a number as Lua prints it: with 14 digits.
func formatNumber(f float64) string {
	var buf [32]byte
	return string(appendNumber(buf[:0], f))
}

func appendNumber(dst []byte, f float64) []byte {
	if f > -1e14 && f < 1e14 && f == math.Trunc(f) && (f != 0 || !math.Signbit(f)) {
		return strconv.AppendInt(dst, int64(f), 10)
	}
	return appendG(dst, f, 14)
}

// appendG appends f as C's %.<precision>g does.
func appendG(dst []byte, f float64, precision int) []byte {
	switch {
	case math.IsNaN(f) && math.Signbit(f):
		return append(dst, "-nan"...)
	case math.IsNaN(f):
		return append(dst, "nan"...)
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	}
	return strconv.AppendFloat(dst, f, 'g', max(precision, 1), 64)
}

// parseNumber reads a number as C's strtod does, with spaces around it.
func parseNumber(s string) (float64, bool) {
	s = strings.Trim(s, " \t\n\v\f\r")
	if s == "" || strings.IndexByte(s, '_') >= 0 {
		return 0, false
	}
	digits := strings.TrimLeft(s, "+-")
	if len(digits) < len(s)-1 {
		return 0, false
	}
	if len(digits) > 2 && digits[0] == '0' && digits[1]|0x20 == 'x' && !strings.ContainsAny(digits, "pP") {
		s += "p0"
	}
	if c := digits; c != "" && (c[0]|0x20 == 'i' || c[0]|0x20 == 'n') {
		return parseWord(s[0] == '-', strings.ToLower(digits))
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}

func parseWord(negative bool, word string) (float64, bool) {
	sign := 1
	if negative {
		sign = -1
	}
	switch word {
	case "inf", "infinity":
		return math.Inf(sign), true
	case "nan":
		return math.NaN(), true
	}
	return 0, false
}

// toInt cuts a number to an integer; what no integer holds becomes the nearest.
func toInt(f float64) int {
	switch {
	case f != f:
		return 0
	case f >= math.MaxInt64:
		return math.MaxInt64
	case f <= math.MinInt64:
		return math.MinInt64
	}
	return int(f)
}

// cInteger cuts a number to an integer as the processors that Redis mostly runs on do: what
// no integer holds, and no number, is the least one.
func cInteger(f float64) int64 {
	if f != f || f >= math.MaxInt64 || f < math.MinInt64 {
		return math.MinInt64
	}
	return int64(f)
}

// lrand48 is the generator of that name in the C library, with a state of its own.
type lrand48 struct{ x uint64 }

const lrandMask = 1<<48 - 1

func (r *lrand48) seed(n int32) { r.x = uint64(uint32(n))<<16 | 0x330e }

// next returns 31 random bits.
func (r *lrand48) next() int64 {
	r.x = (r.x*0x5deece66d + 0xb) & lrandMask
	return int64(r.x >> 17)
}

// float returns a number in [0, 1), as Lua makes it of what C's rand returns.
func (r *lrand48) float() float64 {
	return float64(r.next()%math.MaxInt32) / math.MaxInt32
}
