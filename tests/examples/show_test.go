package examples

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"dkv/tests/harness"
)

// show returns a reply as redis-cli prints it on a terminal; indent is what lines after
// the first begin with.
func show(r harness.Reply, indent string) string {
	switch {
	case r.IsError():
		return "(error) " + string(r.Str)
	case r.Null:
		return "(nil)"
	}
	switch r.Kind {
	case '+':
		return string(r.Str)
	case ':':
		return "(integer) " + string(r.Str)
	case ',':
		return "(double) " + string(r.Str)
	case '#':
		return map[string]string{"t": "(true)", "f": "(false)"}[string(r.Str)]
	case '(', '=':
		return string(r.Str)
	case '$':
		return quote(r.Str)
	case '%':
		return showAll(r, indent, "hash", '#', 2)
	case '~':
		return showAll(r, indent, "set", '~', 1)
	case '>':
		return showAll(r, indent, "push", ')', 1)
	}
	return showAll(r, indent, "array", ')', 1)
}

// showAll shows the elements of a reply, numbered.
func showAll(r harness.Reply, indent, name string, mark byte, step int) string {
	if len(r.Elems) == 0 {
		return "(empty " + name + ")"
	}
	count := len(r.Elems) / step
	width := len(strconv.Itoa(count))
	inner := indent + strings.Repeat(" ", width+2)
	var b strings.Builder
	for i := range count {
		if i > 0 {
			b.WriteString("\n" + indent)
		}
		fmt.Fprintf(&b, "%*d%c %s", width, i+1, mark, show(r.Elems[i*step], inner))
		if step == 2 {
			b.WriteString(" => " + show(r.Elems[i*step+1], inner))
		}
	}
	return b.String()
}

// quote writes a string as redis-cli does.
func quote(s []byte) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, ch := range s {
		switch ch {
		case '\\', '"':
			b.WriteByte('\\')
			b.WriteByte(ch)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		case '\a':
			b.WriteString(`\a`)
		case '\b':
			b.WriteString(`\b`)
		default:
			if ch < ' ' || ch > '~' {
				fmt.Fprintf(&b, `\x%02x`, ch)
			} else {
				b.WriteByte(ch)
			}
		}
	}
	b.WriteByte('"')
	return b.String()
}

func TestShow(t *testing.T) {
	bulk := func(s string) harness.Reply { return harness.Reply{Kind: '$', Str: []byte(s)} }
	list := harness.Reply{Kind: '*'}
	for i := range 10 {
		list.Elems = append(list.Elems, harness.Reply{Kind: ':', Str: []byte(strconv.Itoa(i))})
	}
	nested := harness.Reply{Kind: '*', Elems: []harness.Reply{bulk("a\"\x00"), {Kind: '*', Elems: []harness.Reply{bulk("b"), {Kind: '*'}, {Kind: '*', Null: true}}}}}
	for want, r := range map[string]harness.Reply{
		"1) \"a\\\"\\x00\"\n2) 1) \"b\"\n   2) (empty array)\n   3) (nil)": nested,
		" 1) (integer) 0\n 2) (integer) 1\n":                               list,
	} {
		if got := show(r, ""); !strings.HasPrefix(got, want) {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}
