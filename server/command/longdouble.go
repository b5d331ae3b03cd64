package command

import (
	"bytes"
	"math/big"
)

// Redis does the arithmetic of INCRBYFLOAT in C's long double, which on x86 is the
// 80-bit format: a mantissa of 64 bits, and exponents up to 2^16384. A float64 gives
// other digits, so the format is worked out here with math/big.
const (
	longDoubleBits   = 64
	longDoubleMaxExp = 16384  // every value is below 2^16384
	longDoubleMinExp = -16445 // the smallest value above zero is 2^-16445

	// maxLongDoubleText is the length of a number's text that Redis refuses.
	maxLongDoubleText = 5 * 1024

	// A decimal exponent (of 0.ddd) beyond these is out of range for sure.
	maxDecimalExp = 4933
	minDecimalExp = -4951
)

// longDouble is a finite value or an infinity.
type longDouble struct{ f *big.Float }

func zeroLongDouble() longDouble {
	return longDouble{new(big.Float).SetPrec(longDoubleBits)}
}

// add adds o, and reports whether the result is a finite number.
func (d longDouble) add(o longDouble) bool {
	if d.f.IsInf() || o.f.IsInf() {
		return false
	}
	d.f.Add(d.f, o.f)
	return d.f.MantExp(nil) <= longDoubleMaxExp
}

// appendTo appends the number with up to 17 digits after the point and without
// zeros at its end, as "%.17Lf" and a cut give them.
func (d longDouble) appendTo(dst []byte) []byte {
	start := len(dst)
	dst = d.f.Append(dst, 'f', 17)
	dst = bytes.TrimRight(dst, "0")
	dst = bytes.TrimSuffix(dst, []byte("."))
	if string(dst[start:]) == "-0" {
		return append(dst[:start], '0')
	}
	return dst
}

// parseLongDouble parses what C's strtold does, all of it: decimal and hexadecimal
// numbers and infinities, in any case, but no space, no NaN, and nothing that is too
// large or too close to zero for the format.
func parseLongDouble(b []byte) (d longDouble, ok bool) {
	if len(b) == 0 || len(b) >= maxLongDoubleText {
		return d, false
	}
	d = zeroLongDouble()
	negative := b[0] == '-'
	if negative || b[0] == '+' {
		b = b[1:]
	}
	switch {
	case bytes.EqualFold(b, []byte("inf")), bytes.EqualFold(b, []byte("infinity")):
		d.f.SetInf(false)
		ok = true
	case len(b) > 2 && b[0] == '0' && (b[1] == 'x' || b[1] == 'X'):
		ok = d.parse(b[2:], 16)
	default:
		ok = d.parse(b, 10)
	}
	if negative {
		d.f.Neg(d.f)
	}
	return d, ok
}

// parse sets d to the number that digits, point and exponent mean, rounded once. The
// exponent is a power of ten after 'e', or of two after 'p' with base 16.
func (d longDouble) parse(b []byte, base int) bool {
	digits, point, exp, ok := splitNumber(b, base)
	if !ok {
		return false
	}
	mantissa, ok := new(big.Int).SetString(string(digits), base)
	if !ok {
		return false
	}
	if mantissa.Sign() == 0 {
		return true
	}
	if base == 16 {
		d.f.SetInt(mantissa)
		e := int64(d.f.MantExp(nil)) + exp - 4*int64(point)
		if e > longDoubleMaxExp || e < longDoubleMinExp {
			return false
		}
		d.f.SetMantExp(d.f, int(exp-4*int64(point)))
		return d.inRange()
	}
	exp -= int64(point)
	leading := exp + int64(len(bytes.TrimLeft(digits, "0")))
	if leading > maxDecimalExp || leading < minDecimalExp {
		return false
	}
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(max(exp, -exp)), nil)
	if exp >= 0 {
		d.f.SetInt(mantissa.Mul(mantissa, power))
	} else {
		// A quotient is rounded once when its operands are exact.
		d.f.Quo(exactFloat(mantissa), exactFloat(power))
	}
	return d.inRange()
}

func exactFloat(n *big.Int) *big.Float {
	return new(big.Float).SetPrec(uint(max(n.BitLen(), longDoubleBits))).SetInt(n)
}

func (d longDouble) inRange() bool {
	e := d.f.MantExp(nil) // the value is in [2^(e-1), 2^e)
	return e <= longDoubleMaxExp && e >= longDoubleMinExp
}

// splitNumber cuts a number into its digits, how many of them stand after the point,
// and its exponent.
func splitNumber(b []byte, base int) (digits []byte, point int, exp int64, ok bool) {
	seen := false
	i := 0
	for ; i < len(b); i++ {
		c := b[i]
		if c == '.' && !seen {
			seen = true
			continue
		}
		if !isDigit(c, base) {
			break
		}
		digits = append(digits, c)
		if seen {
			point++
		}
	}
	if len(digits) == 0 {
		return nil, 0, 0, false
	}
	if i == len(b) {
		return digits, point, 0, true
	}
	mark := byte('e')
	if base == 16 {
		mark = 'p'
	}
	if b[i]|0x20 != mark {
		return nil, 0, 0, false
	}
	exp, ok = parseExponent(b[i+1:])
	return digits, point, exp, ok
}

// parseExponent parses an exponent, cut to a size that is out of range anyway.
func parseExponent(b []byte) (exp int64, ok bool) {
	const most = 1 << 30
	negative := len(b) != 0 && b[0] == '-'
	if negative || len(b) != 0 && b[0] == '+' {
		b = b[1:]
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		exp = min(exp*10+int64(c-'0'), most)
	}
	if negative {
		exp = -exp
	}
	return exp, len(b) != 0
}

func isDigit(c byte, base int) bool {
	if c >= '0' && c <= '9' {
		return true
	}
	c |= 0x20
	return base == 16 && c >= 'a' && c <= 'f'
}
