package main

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// appendTTY appends r as redis-cli shows it on a terminal: types spelled out,
// strings quoted, aggregates numbered and indented. indent is what the lines
// after the first one begin with. The result ends with a line end.
func appendTTY(dst []byte, r *reply, indent string) []byte {
	switch r.kind {
	case kindStatus:
		dst = append(dst, r.str...)
	case kindVerbatim:
		return appendText(dst, r.str)
	case kindError:
		dst = append(append(dst, "(error) "...), r.str...)
	case kindInt:
		dst = strconv.AppendInt(append(dst, "(integer) "...), r.num, 10)
	case kindBulk:
		dst = appendQuoted(dst, r.str)
	case kindNil:
		dst = append(dst, "(nil)"...)
	case kindDouble:
		dst = append(append(dst, "(double) "...), r.str...)
	case kindBigNum:
		dst = append(append(dst, "(big number) "...), r.str...)
	case kindBool:
		dst = append(dst, boolText(r.num)...)
	default:
		return appendTTYList(dst, r, indent)
	}
	return append(dst, '\n')
}

func boolText(n int64) string {
	if n != 0 {
		return "(true)"
	}
	return "(false)"
}

// listStyle is how an aggregate is shown: the word for an empty one and what
// follows the number of an element.
var listStyle = map[kind]struct{ empty, mark string }{
	kindArray: {"(empty array)\n", ") "},
	kindPush:  {"(empty push)\n", ") "},
	kindSet:   {"(empty set)\n", "~ "},
	kindMap:   {"(empty hash)\n", "# "},
}

func appendTTYList(dst []byte, r *reply, indent string) []byte {
	style := listStyle[r.kind]
	if len(r.elems) == 0 {
		return append(dst, style.empty...)
	}
	step := 1
	if r.kind == kindMap {
		step = 2
	}
	width := len(strconv.Itoa(len(r.elems) / step))
	inner := indent + strings.Repeat(" ", width+2)
	for i := 0; i < len(r.elems); i += step {
		if i > 0 {
			dst = append(dst, indent...)
		}
		number := strconv.Itoa(i/step + 1)
		dst = append(dst, strings.Repeat(" ", width-len(number))...)
		dst = append(append(dst, number...), style.mark...)
		dst = appendTTY(dst, &r.elems[i], inner)
		if step == 2 {
			dst = appendTTYValue(dst[:len(dst)-1], &r.elems[i+1], inner)
		}
	}
	return dst
}

// appendTTYValue appends the value of a map's pair: on the key's line if it
// takes one line, else below it.
func appendTTYValue(dst []byte, r *reply, indent string) []byte {
	dst = append(dst, " => "...)
	value := appendTTY(nil, r, indent)
	if len(r.elems) > 0 && bytes.IndexByte(value, '\n') < len(value)-1 {
		dst = append(append(dst, '\n'), indent...)
	}
	return append(dst, value...)
}

// appendText appends text for people, which brings its last line end or not.
func appendText(dst, text []byte) []byte {
	dst = append(dst, text...)
	if len(text) > 0 && text[len(text)-1] == '\n' {
		return dst
	}
	return append(dst, '\n')
}

// appendQuoted appends s in double quotes with the escapes that splitLine
// reads back: what is printed can be pasted.
func appendQuoted(dst, s []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, c := range s {
		switch c {
		case '\\', '"':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		case '\a':
			dst = append(dst, `\a`...)
		case '\b':
			dst = append(dst, `\b`...)
		default:
			if c >= 0x20 && c < 0x7f {
				dst = append(dst, c)
			} else {
				dst = append(dst, '\\', 'x', hex[c>>4], hex[c&15])
			}
		}
	}
	return append(dst, '"')
}

// appendShown appends a key or value of -get and -iter for a terminal: as it
// is when that is harmless and clear, quoted when it is not.
func appendShown(dst, s []byte) []byte {
	if plain(s) {
		return append(dst, s...)
	}
	return appendQuoted(dst, s)
}

// plain reports whether s is non-empty text that a terminal shows as it is: no
// control bytes, which could move the cursor or worse, and nothing that looks
// like our own quoting.
func plain(s []byte) bool {
	if len(s) == 0 || s[0] == '"' || s[0] == ' ' || s[len(s)-1] == ' ' || !utf8.Valid(s) {
		return false
	}
	for _, c := range string(s) {
		if !strconv.IsPrint(c) {
			return false
		}
	}
	return true
}
