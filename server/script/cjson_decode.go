package script

import (
	"strings"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"
)

// token is a piece of JSON; its names are those of the messages.
type token string

const (
	objBegin   token = "T_OBJ_BEGIN"
	objEnd     token = "T_OBJ_END"
	arrBegin   token = "T_ARR_BEGIN"
	arrEnd     token = "T_ARR_END"
	strToken   token = "T_STRING"
	numToken   token = "T_NUMBER"
	boolToken  token = "T_BOOLEAN"
	nullToken  token = "T_NULL"
	colonToken token = "T_COLON"
	commaToken token = "T_COMMA"
	endToken   token = "T_END"
)

var punctuation = map[byte]token{'{': objBegin, '}': objEnd, '[': arrBegin, ']': arrEnd, ':': colonToken, ',': commaToken}

// A decoder reads JSON, and more as lua-cjson does: hexadecimal numbers, inf and nan.
type decoder struct {
	f   frame
	o   jsonOptions
	b   string
	at  int
	tok token // the present one, or what is wrong with it
	pos int   // where it begins
	val lua.LValue
}

func jsonDecode(f frame) int {
	if f.GetTop() != 1 {
		f.bad(1, "expected 1 argument")
	}
	d := decoder{f: f, o: f.s.json, b: f.str(1)}
	if len(d.b) >= 2 && (d.b[0] == 0 || d.b[1] == 0) {
		f.fail("JSON parser does not support UTF-16 or UTF-32")
	}
	d.next()
	v := d.value(0)
	d.next()
	if d.tok != endToken {
		d.expected("the end")
	}
	f.Push(v)
	return 1
}

func (d *decoder) expected(what string) {
	d.f.fail("Expected %s but found %s at character %d", what, string(d.tok), d.pos+1)
}

// value reads the value that begins with the present token.
func (d *decoder) value(depth int) lua.LValue {
	switch d.tok {
	case strToken, numToken, boolToken, nullToken:
		return d.val
	case objBegin:
		return d.object(depth + 1)
	case arrBegin:
		return d.array(depth + 1)
	}
	d.expected("value")
	return lua.LNil
}

func (d *decoder) deeper(depth int) *lua.LTable {
	if depth > d.o.decodeDepth {
		d.f.fail("Found too many nested data structures (%d) at character %d", depth, d.at)
	}
	d.f.charge(tableBytes)
	return d.f.NewTable()
}

func (d *decoder) object(depth int) lua.LValue {
	t := d.deeper(depth)
	d.next()
	if d.tok == objEnd {
		return t
	}
	for {
		if d.tok != strToken {
			d.expected("object key string")
		}
		k := d.val
		if d.next(); d.tok != colonToken {
			d.expected("colon")
		}
		d.next()
		d.f.charge(entryBytes)
		t.RawSet(k, d.value(depth))
		d.next()
		if d.tok == objEnd {
			return t
		}
		if d.tok != commaToken {
			d.expected("comma or object end")
		}
		d.next()
	}
}

func (d *decoder) array(depth int) lua.LValue {
	t := d.deeper(depth)
	d.next()
	if d.tok == arrEnd {
		return t
	}
	for {
		d.f.charge(2 * valueBytes)
		t.Append(d.value(depth))
		d.next()
		if d.tok == arrEnd {
			return t
		}
		if d.tok != commaToken {
			d.expected("comma or array end")
		}
		d.next()
	}
}

// next reads the next token.
func (d *decoder) next() {
	d.f.spend(1)
	for d.at < len(d.b) && strings.IndexByte(" \t\n\r", d.b[d.at]) >= 0 {
		d.at++
	}
	d.pos = d.at
	if d.at == len(d.b) || d.b[d.at] == 0 {
		d.tok = endToken
		return
	}
	c, rest := d.b[d.at], d.b[d.at:]
	if tok := punctuation[c]; tok != "" {
		d.at++
		d.tok = tok
		return
	}
	switch {
	case c == '"':
		d.text()
	case c == '-' || isDigit(c):
		if !d.o.decodeAnyNumber && invalidNumber(rest) {
			d.wrong("invalid number", d.at)
			return
		}
		d.number()
	case strings.HasPrefix(rest, "true"):
		d.word(boolToken, lua.LTrue, 4)
	case strings.HasPrefix(rest, "false"):
		d.word(boolToken, lua.LFalse, 5)
	case strings.HasPrefix(rest, "null"):
		d.word(nullToken, d.f.s.null, 4)
	case d.o.decodeAnyNumber && invalidNumber(rest):
		d.number()
	default:
		d.wrong("invalid token", d.at)
	}
}

func (d *decoder) word(tok token, v lua.LValue, n int) {
	d.tok, d.val = tok, v
	d.at += n
}

// wrong makes the present token one that nothing expects.
func (d *decoder) wrong(what string, at int) { d.tok, d.pos = token(what), at }

// invalidNumber reports whether a number is not of JSON's grammar: 0x10, 01, inf.
func invalidNumber(s string) bool {
	if s[0] == '+' {
		return true
	}
	s = strings.TrimPrefix(s, "-")
	switch {
	case s == "":
		return false
	case s[0] == '0':
		return len(s) > 1 && (s[1]|0x20 == 'x' || isDigit(s[1]))
	case s[0] <= '9':
		return false
	}
	return len(s) >= 3 && (strings.EqualFold(s[:3], "inf") || strings.EqualFold(s[:3], "nan"))
}

func (d *decoder) number() {
	n := numberPrefix(d.b[d.at:])
	v, ok := parseNumber(d.b[d.at : d.at+n])
	if n == 0 || !ok {
		d.wrong("invalid number", d.at)
		return
	}
	d.tok, d.val = numToken, lua.LNumber(v)
	d.at += n
}

// numberPrefix returns how many bytes C's strtod takes from the beginning of s.
func numberPrefix(s string) int {
	i := 0
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		i++
	}
	for _, w := range []string{"infinity", "inf", "nan"} {
		if len(s)-i >= len(w) && strings.EqualFold(s[i:i+len(w)], w) {
			return i + len(w)
		}
	}
	digit, exponent := isDigit, byte('e')
	if len(s)-i > 2 && s[i] == '0' && s[i+1]|0x20 == 'x' && (isHex(s[i+2]) || s[i+2] == '.') {
		digit, exponent = isHex, 'p'
		i += 2
	}
	count := 0
	digits := func() {
		for ; i < len(s) && digit(s[i]); i++ {
			count++
		}
	}
	digits()
	if i < len(s) && s[i] == '.' {
		i++
		digits()
	}
	if count == 0 {
		return 0
	}
	if i < len(s) && s[i]|0x20 == exponent {
		j := i + 1
		if j < len(s) && (s[j] == '-' || s[j] == '+') {
			j++
		}
		if j < len(s) && isDigit(s[j]) {
			for ; j < len(s) && isDigit(s[j]); j++ {
			}
			i = j
		}
	}
	return i
}

func isHex(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

// text reads a string.
func (d *decoder) text() {
	begin := d.at + 1
	end := begin
	for end < len(d.b) && d.b[end] != '"' && d.b[end] != '\\' && d.b[end] != 0 {
		end++
	}
	d.f.spend((end - begin) / 8)
	if end < len(d.b) && d.b[end] == '"' { // nothing is escaped
		d.f.charge(end - begin)
		d.tok, d.val, d.at = strToken, lua.LString(d.b[begin:end]), end+1
		return
	}
	b := []byte(d.b[begin:end])
	for i := end; i < len(d.b); {
		c := d.b[i]
		switch {
		case c == '"':
			d.f.charge(len(b))
			d.tok, d.val, d.at = strToken, lua.LString(b), i+1
			return
		case c == 0:
			d.wrong("unexpected end of string", i)
			return
		case c != '\\':
			b = append(b, c)
			i++
			continue
		}
		var n int
		if b, n = appendEscaped(b, d.b[i:]); n <= 0 {
			what := "invalid escape code"
			if n < 0 {
				what = "invalid unicode escape code"
			}
			d.wrong(what, i)
			return
		}
		i += n
	}
	d.wrong("unexpected end of string", len(d.b))
}

// appendEscaped appends what the escape at the beginning of s stands for, and returns
// its length: 0 and -1 for escapes that there are not.
func appendEscaped(b []byte, s string) ([]byte, int) {
	if len(s) < 2 {
		return b, 0
	}
	switch c := s[1]; c {
	case '"', '\\', '/':
		return append(b, c), 2
	case 'b':
		return append(b, '\b'), 2
	case 't':
		return append(b, '\t'), 2
	case 'n':
		return append(b, '\n'), 2
	case 'f':
		return append(b, '\f'), 2
	case 'r':
		return append(b, '\r'), 2
	case 'u':
		return appendUnicode(b, s)
	}
	return b, 0
}

func appendUnicode(b []byte, s string) ([]byte, int) {
	r := hex4(s)
	n := 6
	switch {
	case r < 0 || r&0xfc00 == 0xdc00:
		return b, -1
	case r&0xfc00 == 0xd800:
		low := hex4(s[6:])
		if low&^0x3ff != 0xdc00 {
			return b, -1
		}
		r = 0x10000 + (r&0x3ff)<<10 + low&0x3ff
		n = 12
	}
	return utf8.AppendRune(b, rune(r)), n
}

// hex4 returns the number of \uXXXX, -1 when that is not what s begins with.
func hex4(s string) int {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return -1
	}
	n := 0
	for _, c := range []byte(s[2:6]) {
		i := strings.IndexByte(hexDigits, c|0x20)
		if isDigit(c) {
			i = int(c - '0')
		}
		if i < 0 {
			return -1
		}
		n = n<<4 | i
	}
	return n
}
