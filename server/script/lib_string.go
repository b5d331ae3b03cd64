package script

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

func (s *state) openString() {
	t := s.open("string", map[string]func(frame) int{
		"byte": strByte, "char": strChar, "dump": strDump, "find": strFind, "format": strFormat, "gfind": strGmatch,
		"gmatch": strGmatch, "gsub": strGsub, "len": strLen, "lower": strLower, "match": strMatch, "rep": strRep,
		"reverse": strReverse, "sub": strSub, "upper": strUpper,
	})
	// What strings are looked up in, and what a script is shown of it.
	shown := s.L.NewTable()
	shown.RawSetString("__index", s.globals.RawGetString("string"))
	mt := s.L.NewTable()
	mt.RawSetString("__index", t)
	mt.RawSetString("__metatable", s.protect(shown))
	s.L.SetMetatable(lua.LString(""), mt)
}

// span turns Lua's positions, which count from 1 or from the end, into those of a
// slice of n bytes.
func span(from, to, n int) (int, int) {
	if from < 0 {
		from = max(n+from+1, 1)
	} else if from == 0 {
		from = 1
	}
	if to < 0 {
		to = n + to + 1
	}
	to = min(to, n)
	if from > to {
		return 0, 0
	}
	return from - 1, to
}

func strByte(f frame) int {
	str := f.str(1)
	from := f.optInt(2, 1)
	i, j := span(from, f.optInt(3, from), len(str))
	if j-i > maxUnpack {
		f.fail("string slice too long")
	}
	for _, c := range []byte(str[i:j]) {
		f.Push(lua.LNumber(c))
	}
	return j - i
}

func strChar(f frame) int {
	b := make([]byte, f.GetTop())
	for i := range b {
		n := f.integer(i + 1)
		if n < 0 || n > 255 {
			f.bad(i+1, "invalid value")
		}
		b[i] = byte(n)
	}
	return f.push(string(b))
}

func strDump(f frame) int {
	f.callable(1)
	f.fail("unable to dump given function")
	return 0
}

func strLen(f frame) int { return f.pushNum(float64(len(f.str(1)))) }

func strLower(f frame) int { return f.mapBytes('A', 'Z') }

func strUpper(f frame) int { return f.mapBytes('a', 'z') }

// mapBytes changes the case of the letters from one to another.
func (f frame) mapBytes(from, to byte) int {
	str := f.str(1)
	f.charge(len(str))
	b := []byte(str)
	for i, c := range b {
		if c >= from && c <= to {
			b[i] = c ^ 0x20
		}
	}
	return f.push(string(b))
}

func strRep(f frame) int {
	str := f.str(1)
	n := f.integer(2)
	if n <= 0 || str == "" {
		return f.push("")
	}
	if n > f.s.run.limit/len(str) {
		f.charge(f.s.run.limit + 1) // raises the error
	}
	f.charge(n * len(str))
	return f.push(strings.Repeat(str, n))
}

func strReverse(f frame) int {
	str := f.str(1)
	f.charge(len(str))
	b := make([]byte, len(str))
	for i := range b {
		b[i] = str[len(str)-1-i]
	}
	return f.push(string(b))
}

func strSub(f frame) int {
	str := f.str(1)
	i, j := span(f.integer(2), f.optInt(3, -1), len(str))
	return f.push(str[i:j])
}

func strFind(f frame) int  { return f.find(true) }
func strMatch(f frame) int { return f.find(false) }

// find is string.find and string.match.
func (f frame) find(positions bool) int {
	str, pattern := f.str(1), f.str(2)
	init := f.optInt(3, 1)
	if init < 0 {
		init = max(len(str)+init+1, 1)
	}
	at := min(max(init-1, 0), len(str))
	if positions && (lua.LVAsBool(f.Get(4)) || !strings.ContainsAny(pattern, "^$*+?.([%-")) {
		i := strings.Index(str[at:], pattern)
		f.spend(len(str) - at)
		if i < 0 {
			f.Push(lua.LNil)
			return 1
		}
		f.pushNum(float64(at + i + 1))
		f.pushNum(float64(at + i + len(pattern)))
		return 2
	}
	m := matcher{f: f, src: str, pattern: pattern}
	start, end, found := m.search(at)
	if !found {
		f.Push(lua.LNil)
		return 1
	}
	if !positions {
		return m.pushCaptures(start, end, true)
	}
	f.pushNum(float64(start + 1))
	f.pushNum(float64(end))
	return 2 + m.pushCaptures(start, end, false)
}

func strGmatch(f frame) int {
	m := &matcher{f: f, src: f.str(1), pattern: f.str(2)}
	at := 0
	f.Push(f.s.function("gmatch", func(f frame) int {
		m.f = f
		for at <= len(m.src) {
			end, ok := m.matchAt(at, 0)
			if !ok {
				at++
				continue
			}
			start := at
			at = end
			if end == start {
				at++
			}
			return m.pushCaptures(start, end, true)
		}
		return 0
	}))
	return 1
}

func strGsub(f frame) int {
	str, pattern := f.str(1), f.str(2)
	repl := f.Get(3)
	if n, ok := repl.(lua.LNumber); ok {
		repl = lua.LString(formatNumber(float64(n)))
	}
	switch repl.Type() {
	case lua.LTString, lua.LTTable, lua.LTFunction:
	default:
		f.bad(3, "string/function/table expected")
	}
	most := f.optInt(4, len(str)+1)
	m := matcher{f: f, src: str, pattern: pattern}
	first := 0
	anchored := strings.HasPrefix(pattern, "^")
	if anchored {
		first = 1
	}
	var b []byte
	at, count := 0, 0
	for count < most {
		end, ok := m.matchAt(at, first)
		if ok {
			count++
			before := len(b)
			b = m.appendReplacement(b, repl, at, end)
			f.charge(len(b) - before)
		}
		switch {
		case ok && end > at:
			at = end
		case at < len(str):
			b = append(b, str[at])
			at++
		default:
			at++
		}
		if at > len(str) || anchored {
			break
		}
	}
	if at < len(str) {
		b = append(b, str[at:]...)
	}
	f.push(string(b))
	f.pushNum(float64(count))
	return 2
}

// appendReplacement appends what stands for a match.
func (m *matcher) appendReplacement(b []byte, repl lua.LValue, start, end int) []byte {
	f := m.f
	var v lua.LValue
	switch r := repl.(type) {
	case lua.LString:
		return m.appendTemplate(b, string(r), start, end)
	case *lua.LTable:
		v = f.GetTable(r, m.capture(0, start, end))
	default:
		f.Push(repl)
		n := m.pushCaptures(start, end, true)
		f.Call(n, 1)
		v = f.Get(-1)
		f.Pop(1)
	}
	switch {
	case lua.LVIsFalse(v):
		return append(b, m.src[start:end]...)
	case !isText(v):
		f.fail("invalid replacement value (a %s)", v.Type().String())
	}
	return append(b, text(v)...)
}

func (m *matcher) appendTemplate(b []byte, repl string, start, end int) []byte {
	for i := 0; i < len(repl); i++ {
		c := repl[i]
		if c != '%' {
			b = append(b, c)
			continue
		}
		if i++; i == len(repl) {
			return append(b, 0) // as reading past the end of C's string
		}
		switch c = repl[i]; {
		case c < '0' || c > '9':
			b = append(b, c)
		case c == '0':
			b = append(b, m.src[start:end]...)
		default:
			b = append(b, text(m.capture(int(c-'1'), start, end))...)
		}
	}
	return b
}
