package script

import (
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// reply replies a value that a script has returned. It ends early when the meter says
// so, and the reply then counts for nothing.
func (r *run) reply(v lua.LValue, depth int) {
	w := r.x.Out
	if depth > maxReplyDepth {
		w.Error("ERR reached lua stack limit")
		return
	}
	before := len(w.Buf)
	switch v := v.(type) {
	case lua.LString:
		if r.state.meter.fits(len(v) + valueBytes) {
			w.BulkString(string(v))
		}
		return
	case lua.LNumber:
		w.Int(cInteger(float64(v)))
	case lua.LBool:
		r.replyBool(bool(v))
	case *lua.LTable:
		r.replyTable(r.state.behind(v), depth)
		return
	default:
		w.Null()
	}
	r.state.meter.fits(len(w.Buf) - before)
}

func (r *run) replyBool(b bool) {
	switch w := r.x.Out; {
	case r.proto >= 3:
		w.Bool(b)
	case b:
		w.Int(1)
	default:
		w.Null()
	}
}

// replyTable replies a table: one field of some names makes it another type.
func (r *run) replyTable(t *lua.LTable, depth int) {
	w := r.x.Out
	if v := t.RawGetString("err"); v.Type() == lua.LTString {
		if depth == 0 && t.RawGetString(countedField) == lua.LTrue {
			r.unmeet(text(v))
		}
		w.Error(text(v))
		return
	}
	if v := t.RawGetString("ok"); v.Type() == lua.LTString {
		w.Simple(text(v))
		return
	}
	if v, ok := t.RawGetString("double").(lua.LNumber); ok {
		w.Double(float64(v))
		return
	}
	if v, ok := t.RawGetString("map").(*lua.LTable); ok {
		r.replyMap(r.state.behind(v), depth)
		return
	}
	if v, ok := t.RawGetString("set").(*lua.LTable); ok {
		r.replySet(r.state.behind(v), depth)
		return
	}
	if v := t.RawGetString("big_number"); v.Type() == lua.LTString {
		w.BigNumber(strings.NewReplacer("\r", " ", "\n", " ").Replace(text(v)))
		return
	}
	if v, ok := t.RawGetString("verbatim_string").(*lua.LTable); ok {
		format, body := v.RawGetString("format"), v.RawGetString("string")
		if format.Type() == lua.LTString && body.Type() == lua.LTString && len(text(format)) >= 3 {
			w.Verbatim(text(format)[:3], text(body))
			return
		}
	}
	r.replyArray(t, depth)
}

// replyArray replies the values of 1, 2 ... up to the first that is nil.
func (r *run) replyArray(t *lua.LTable, depth int) {
	n := 0
	for t.RawGet(lua.LNumber(n+1)) != lua.LNil {
		n++
	}
	r.x.Out.Array(n)
	for i := 1; i <= n && r.goesOn(); i++ {
		r.reply(t.RawGet(lua.LNumber(i)), depth+1)
	}
}

// goesOn counts a value of a reply, and reports whether it may be replied.
func (r *run) goesOn() bool {
	m := &r.state.meter
	if m.left--; m.left <= 0 {
		m.look()
	}
	return m.fits(valueBytes)
}

func (r *run) replyMap(t *lua.LTable, depth int) {
	n := 0
	t.ForEach(func(_, _ lua.LValue) { n++ })
	r.x.Out.Map(n)
	for k, v := t.Next(lua.LNil); k != lua.LNil && r.goesOn(); k, v = t.Next(k) {
		r.reply(k, depth+1)
		r.reply(v, depth+1)
	}
}

func (r *run) replySet(t *lua.LTable, depth int) {
	n := 0
	t.ForEach(func(_, _ lua.LValue) { n++ })
	r.x.Out.Set(n)
	for k, _ := t.Next(lua.LNil); k != lua.LNil && r.goesOn(); k, _ = t.Next(k) {
		r.reply(k, depth+1)
	}
}

// A parser makes values of a command's reply. The reply is ours: it is well formed.
type parser struct {
	s *state
	b []byte
	i int
}

// line returns the next line without its kind and its end.
func (p *parser) line() []byte {
	from := p.i + 1
	for p.b[p.i] != '\r' {
		p.i++
	}
	line := p.b[from:p.i]
	p.i += 2
	return line
}

func (p *parser) length() int {
	n := 0
	line := p.line()
	if len(line) > 0 && line[0] == '-' {
		return -1
	}
	for _, c := range line {
		n = n*10 + int(c-'0')
	}
	return n
}

func (p *parser) value() lua.LValue {
	switch p.b[p.i] {
	case ':':
		line := p.line()
		n, err := strconv.ParseInt(string(line), 10, 64)
		if err != nil {
			u, _ := strconv.ParseUint(string(line), 10, 64)
			return lua.LNumber(u)
		}
		return lua.LNumber(n)
	case '$':
		n := p.length()
		if n < 0 {
			return lua.LFalse
		}
		v := lua.LString(p.b[p.i : p.i+n])
		p.i += n + 2
		return v
	case '+':
		return p.single("ok", lua.LString(p.line()))
	case '-':
		return p.single("err", lua.LString(p.line()))
	case '*', '>':
		return p.array()
	case '%':
		return p.mapping()
	case '~':
		return p.set()
	case '_':
		p.line()
		return lua.LNil
	case '#':
		return lua.LBool(p.line()[0] == 't')
	case ',':
		return p.single("double", lua.LNumber(parseDouble(string(p.line()))))
	case '(':
		return p.single("big_number", lua.LString(p.line()))
	case '|': // attributes are left out
		for range 2 * p.length() {
			p.value()
		}
		return p.value()
	case '=':
		n := p.length()
		body := p.b[p.i : p.i+n]
		p.i += n + 2
		t := p.s.L.CreateTable(0, 2)
		t.RawSetString("format", lua.LString(body[:3]))
		t.RawSetString("string", lua.LString(body[4:]))
		return p.single("verbatim_string", t)
	}
	panic("script: a reply begins with " + strconv.Quote(string(p.b[p.i:p.i+1])))
}

func parseDouble(s string) float64 {
	switch s {
	case "inf":
		return math.Inf(1)
	case "-inf":
		return math.Inf(-1)
	case "nan":
		return math.NaN()
	}
	f, _ := strconv.ParseFloat(s, 64)
	return f
}

func (p *parser) single(name string, v lua.LValue) lua.LValue {
	t := p.s.L.CreateTable(0, 1)
	t.RawSetString(name, v)
	return t
}

func (p *parser) array() lua.LValue {
	n := p.length()
	if n < 0 {
		return lua.LFalse
	}
	t := p.s.L.CreateTable(n, 0)
	for i := range n {
		t.RawSetInt(i+1, p.value())
	}
	return t
}

func (p *parser) mapping() lua.LValue {
	t := p.s.L.NewTable()
	for range p.length() {
		k := p.value()
		if v := p.value(); k != lua.LNil {
			t.RawSet(k, v)
		}
	}
	return p.single("map", t)
}

func (p *parser) set() lua.LValue {
	t := p.s.L.NewTable()
	for range p.length() {
		if k := p.value(); k != lua.LNil {
			t.RawSet(k, lua.LTrue)
		}
	}
	return p.single("set", t)
}
