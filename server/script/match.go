package script

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// Limits of a pattern, as Lua has them.
const (
	maxCaptures   = 32
	maxMatchDepth = 4000 // of matching within itself
)

// Lengths of captures that are not a number of bytes.
const (
	captureOpen     = -1
	capturePosition = -2
)

// A matcher matches one of Lua's patterns (Lua 5.1 reference manual, 5.4.1). Its steps
// are counted: some patterns take time that is exponential in their length.
type matcher struct {
	f        frame
	src      string
	pattern  string
	level    int
	depth    int
	captures [maxCaptures]struct{ at, n int }
}

// search looks for the pattern from a place on.
func (m *matcher) search(at int) (start, end int, found bool) {
	first := 0
	anchored := strings.HasPrefix(m.pattern, "^")
	if anchored {
		first = 1
	}
	for ; at <= len(m.src); at++ {
		if end, ok := m.matchAt(at, first); ok {
			return at, end, true
		}
		if anchored {
			break
		}
	}
	return 0, 0, false
}

// matchAt matches the pattern from its byte p on at a place.
func (m *matcher) matchAt(at, p int) (end int, ok bool) {
	m.level, m.depth = 0, 0
	end = m.match(at, p)
	return end, end >= 0
}

// match returns where the match of the pattern's rest ends, -1 when there is none.
func (m *matcher) match(at, p int) int {
	if m.depth++; m.depth > maxMatchDepth {
		m.f.fail("pattern too complex")
	}
	defer func() { m.depth-- }()
	for {
		m.f.spend(1)
		if p == len(m.pattern) {
			return at
		}
		switch c := m.pattern[p]; {
		case c == '(' && p+1 < len(m.pattern) && m.pattern[p+1] == ')':
			return m.open(at, p+2, capturePosition)
		case c == '(':
			return m.open(at, p+1, captureOpen)
		case c == ')':
			return m.close(at, p+1)
		case c == '%' && p+1 < len(m.pattern) && m.pattern[p+1] == 'b':
			if at = m.balance(at, p+2); at < 0 {
				return -1
			}
			p += 4
			continue
		case c == '%' && p+1 < len(m.pattern) && m.pattern[p+1] == 'f':
			if p = m.frontier(at, p+2); p < 0 {
				return -1
			}
			continue
		case c == '%' && p+1 < len(m.pattern) && isDigit(m.pattern[p+1]):
			if at = m.back(at, m.pattern[p+1]); at < 0 {
				return -1
			}
			p += 2
			continue
		case c == '$' && p+1 == len(m.pattern):
			if at == len(m.src) {
				return at
			}
			return -1
		}
		next := m.classEnd(p)
		suffix := byte(0)
		if next < len(m.pattern) {
			suffix = m.pattern[next]
		}
		here := at < len(m.src) && m.single(m.src[at], p, next)
		switch suffix {
		case '?':
			if here {
				if end := m.match(at+1, next+1); end >= 0 {
					return end
				}
			}
			p = next + 1
		case '*':
			return m.most(at, p, next, 0)
		case '+':
			if !here {
				return -1
			}
			return m.most(at, p, next, 1)
		case '-':
			return m.least(at, p, next)
		default:
			if !here {
				return -1
			}
			at, p = at+1, next
		}
	}
}

// most tries as many of the class as there are, then fewer.
func (m *matcher) most(at, p, next, least int) int {
	n := 0
	for at+n < len(m.src) && m.single(m.src[at+n], p, next) {
		n++
	}
	m.f.spend(n)
	for ; n >= least; n-- {
		if end := m.match(at+n, next+1); end >= 0 {
			return end
		}
	}
	return -1
}

// least tries as few of the class as will do.
func (m *matcher) least(at, p, next int) int {
	for {
		if end := m.match(at, next+1); end >= 0 {
			return end
		}
		if at >= len(m.src) || !m.single(m.src[at], p, next) {
			return -1
		}
		at++
	}
}

func (m *matcher) open(at, p, n int) int {
	if m.level == maxCaptures {
		m.f.fail("too many captures")
	}
	m.captures[m.level].at, m.captures[m.level].n = at, n
	m.level++
	end := m.match(at, p)
	if end < 0 {
		m.level--
	}
	return end
}

func (m *matcher) close(at, p int) int {
	i := m.level - 1
	for i >= 0 && m.captures[i].n != captureOpen {
		i--
	}
	if i < 0 {
		m.f.fail("invalid pattern capture")
	}
	m.captures[i].n = at - m.captures[i].at
	end := m.match(at, p)
	if end < 0 {
		m.captures[i].n = captureOpen
	}
	return end
}

// balance matches %bxy, whose x is byte p of the pattern.
func (m *matcher) balance(at, p int) int {
	if p+1 >= len(m.pattern) {
		m.f.fail("unbalanced pattern")
	}
	if at >= len(m.src) || m.src[at] != m.pattern[p] {
		return -1
	}
	begin, end := m.pattern[p], m.pattern[p+1]
	open := 1
	m.f.spend(len(m.src) - at)
	for i := at + 1; i < len(m.src); i++ {
		switch m.src[i] {
		case end:
			if open--; open == 0 {
				return i + 1
			}
		case begin:
			open++
		}
	}
	return -1
}

// frontier matches %f[set], whose set begins at byte p, and returns where the pattern
// goes on.
func (m *matcher) frontier(at, p int) int {
	if p >= len(m.pattern) || m.pattern[p] != '[' {
		m.f.fail("missing '[' after '%f' in pattern")
	}
	next := m.classEnd(p)
	before, here := byte(0), byte(0)
	if at > 0 {
		before = m.src[at-1]
	}
	if at < len(m.src) {
		here = m.src[at]
	}
	if m.inSet(before, p, next-1) || !m.inSet(here, p, next-1) {
		return -1
	}
	return next
}

// back matches what capture l has matched.
func (m *matcher) back(at int, l byte) int {
	i := int(l) - '1'
	if i < 0 || i >= m.level || m.captures[i].n == captureOpen {
		m.f.fail("invalid capture index")
	}
	c := m.captures[i]
	if c.n < 0 {
		return -1
	}
	m.f.spend(c.n)
	if !strings.HasPrefix(m.src[at:], m.src[c.at:c.at+c.n]) {
		return -1
	}
	return at + c.n
}

// classEnd returns where the class ends that begins at byte p.
func (m *matcher) classEnd(p int) int {
	c := m.pattern[p]
	p++
	if c == '%' {
		if p == len(m.pattern) {
			m.f.fail("malformed pattern (ends with '%')")
		}
		return p + 1
	}
	if c != '[' {
		return p
	}
	if p < len(m.pattern) && m.pattern[p] == '^' {
		p++
	}
	for first := true; first || m.pattern[p] != ']'; first = false {
		if p < len(m.pattern) && m.pattern[p] == '%' {
			p++
		}
		if p++; p >= len(m.pattern) {
			m.f.fail("malformed pattern (missing ']')")
		}
	}
	return p + 1
}

// single reports whether c is of the class in the pattern's bytes from p to next.
func (m *matcher) single(c byte, p, next int) bool {
	switch m.pattern[p] {
	case '.':
		return true
	case '%':
		return inClass(c, m.pattern[p+1])
	case '[':
		return m.inSet(c, p, next-1)
	}
	return m.pattern[p] == c
}

// inSet looks into the set from '[' at p to ']' at last.
func (m *matcher) inSet(c byte, p, last int) bool {
	found := true
	p++
	if m.pattern[p] == '^' {
		found = false
		p++
	}
	for ; p < last; p++ {
		switch {
		case m.pattern[p] == '%':
			p++
			if inClass(c, m.pattern[p]) {
				return found
			}
		case p+2 < last && m.pattern[p+1] == '-':
			if m.pattern[p] <= c && c <= m.pattern[p+2] {
				return found
			}
			p += 2
		case m.pattern[p] == c:
			return found
		}
	}
	return !found
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
func isAlpha(c byte) bool { return isLower(c) || isUpper(c) }

// inClass is what isalpha and its like say of a byte in C's locale.
func inClass(c, class byte) bool {
	var in bool
	switch class | 0x20 {
	case 'a':
		in = isAlpha(c)
	case 'c':
		in = c < 0x20 || c == 0x7f
	case 'd':
		in = isDigit(c)
	case 'l':
		in = isLower(c)
	case 'p':
		in = c > 0x20 && c < 0x7f && !isAlpha(c) && !isDigit(c)
	case 's':
		in = c == ' ' || c >= '\t' && c <= '\r'
	case 'u':
		in = isUpper(c)
	case 'w':
		in = isAlpha(c) || isDigit(c)
	case 'x':
		in = isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f'
	case 'z':
		in = c == 0
	default:
		return class == c
	}
	if !isAlpha(class) {
		return class == c
	}
	return in != isUpper(class)
}

// capture returns capture i of the match, or all of it when there are none and i is 0.
func (m *matcher) capture(i, start, end int) lua.LValue {
	if i >= m.level {
		if i == 0 {
			return lua.LString(m.src[start:end])
		}
		m.f.fail("invalid capture index")
	}
	c := m.captures[i]
	switch c.n {
	case captureOpen:
		m.f.fail("unfinished capture")
	case capturePosition:
		return lua.LNumber(c.at + 1)
	}
	return lua.LString(m.src[c.at : c.at+c.n])
}

// pushCaptures pushes all captures; the whole match when there are none and whole
// says so.
func (m *matcher) pushCaptures(start, end int, whole bool) int {
	if m.level == 0 {
		if !whole {
			return 0
		}
		m.f.Push(lua.LString(m.src[start:end]))
		return 1
	}
	n := m.level
	for i := range n {
		m.f.Push(m.capture(i, start, end))
	}
	return n
}
