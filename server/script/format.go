package script

import (
	"math"
	"strconv"
	"strings"
)

// directive is one of string.format's: %[flags][width][.precision]verb.
type directive struct {
	minus, plus, space, sharp, zero bool
	width                           int
	precision                       int // -1: none
	verb                            byte
}

// strFormat is string.format, whose directives are C's.
func strFormat(f frame) int {
	format := f.str(1)
	var b []byte
	arg := 1
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b = append(b, format[i])
			continue
		}
		if i++; i < len(format) && format[i] == '%' {
			b = append(b, '%')
			continue
		}
		d, next := f.directive(format, i)
		i = next
		arg++
		before := len(b)
		b = f.appendDirective(b, d, arg)
		f.charge(len(b) - before)
	}
	return f.push(string(b))
}

// directive parses what follows a '%' at byte i, and returns where its verb is.
func (f frame) directive(format string, i int) (d directive, at int) {
	start := i
	for ; i < len(format) && strings.IndexByte("-+ #0", format[i]) >= 0; i++ {
		switch format[i] {
		case '-':
			d.minus = true
		case '+':
			d.plus = true
		case ' ':
			d.space = true
		case '#':
			d.sharp = true
		case '0':
			d.zero = true
		}
	}
	if i-start > 5 {
		f.fail("invalid format (repeated flags)")
	}
	number := func() int {
		n, digits := 0, 0
		for ; i < len(format) && isDigit(format[i]) && digits < 2; i++ {
			n = n*10 + int(format[i]-'0')
			digits++
		}
		return n
	}
	d.width = number()
	d.precision = -1
	if i < len(format) && format[i] == '.' {
		i++
		d.precision = number()
	}
	if i < len(format) && isDigit(format[i]) {
		f.fail("invalid format (width or precision too long)")
	}
	if i < len(format) {
		d.verb = format[i]
	}
	if strings.IndexByte("cdiouxXeEfgGqs", d.verb) < 0 || d.verb == 0 {
		f.fail("invalid option '%%%s' to 'format'", format[start:min(i+1, len(format))])
	}
	return d, i
}

func (f frame) appendDirective(b []byte, d directive, arg int) []byte {
	if arg > f.GetTop() {
		f.bad(arg, "no value")
	}
	switch d.verb {
	case 'c':
		d.zero = false
		return d.pad(b, string([]byte{byte(f.integer(arg))}), "")
	case 'd', 'i':
		n := f.integer(arg)
		digits := strconv.FormatUint(magnitude(n), 10)
		return d.integer(b, digits, d.sign(n < 0))
	case 'u':
		return d.integer(b, strconv.FormatUint(f.unsigned(arg), 10), "")
	case 'o':
		digits := strconv.FormatUint(f.unsigned(arg), 8)
		if d.sharp && digits[0] != '0' {
			digits = "0" + digits
		}
		return d.integer(b, digits, "")
	case 'x', 'X':
		n := f.unsigned(arg)
		digits, prefix := strconv.FormatUint(n, 16), ""
		if d.sharp && n != 0 {
			prefix = "0x"
		}
		if d.verb == 'X' {
			digits, prefix = strings.ToUpper(digits), strings.ToUpper(prefix)
		}
		return d.integer(b, digits, prefix)
	case 'q':
		return appendQuoted(b, f.str(arg))
	case 's':
		return f.appendString(b, d, arg)
	}
	return d.float(b, f.num(arg))
}

func magnitude(n int) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

func (f frame) unsigned(arg int) uint64 {
	n := f.num(arg)
	if n >= math.MaxInt64 {
		return uint64(n)
	}
	return uint64(toInt(n))
}

func (d *directive) sign(negative bool) string {
	switch {
	case negative:
		return "-"
	case d.plus:
		return "+"
	case d.space:
		return " "
	}
	return ""
}

// integer appends digits after a prefix (sign or 0x).
func (d *directive) integer(b []byte, digits, prefix string) []byte {
	if d.precision >= 0 {
		d.zero = false
		digits = strings.Repeat("0", max(d.precision-len(digits), 0)) + digits
	}
	return d.pad(b, digits, prefix)
}

// pad appends prefix and body with what fills the width.
func (d *directive) pad(b []byte, body, prefix string) []byte {
	fill := max(d.width-len(body)-len(prefix), 0)
	switch {
	case d.minus:
		b = append(append(b, prefix...), body...)
		return append(b, strings.Repeat(" ", fill)...)
	case d.zero:
		b = append(b, prefix...)
		b = append(b, strings.Repeat("0", fill)...)
		return append(b, body...)
	}
	b = append(b, strings.Repeat(" ", fill)...)
	return append(append(b, prefix...), body...)
}

func (d *directive) float(b []byte, n float64) []byte {
	prefix := d.sign(math.Signbit(n))
	upper := isUpper(d.verb)
	var body string
	switch {
	case math.IsNaN(n):
		body, d.zero = "nan", false
	case math.IsInf(n, 0):
		body, d.zero = "inf", false
	default:
		p := d.precision
		if p < 0 {
			p = 6
		}
		verb := d.verb | 0x20
		if verb == 'g' {
			p = max(p, 1)
		}
		body = strconv.FormatFloat(math.Abs(n), verb, p, 64)
	}
	if upper {
		body = strings.ToUpper(body)
	}
	return d.pad(b, body, prefix)
}

func (f frame) appendString(b []byte, d directive, arg int) []byte {
	var str string
	if v := f.Get(arg); isText(v) {
		str = text(v)
	} else {
		f.expected(arg, "string")
	}
	if d.precision >= 0 && len(str) > d.precision {
		str = str[:d.precision]
	}
	d.zero = false
	f.charge(len(str))
	return d.pad(b, str, "")
}

// appendQuoted appends a string as source text has it.
func appendQuoted(b []byte, str string) []byte {
	b = append(b, '"')
	for _, c := range []byte(str) {
		switch c {
		case '"', '\\', '\n':
			b = append(b, '\\', c)
		case '\r':
			b = append(b, `\r`...)
		case 0:
			b = append(b, `\000`...)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
