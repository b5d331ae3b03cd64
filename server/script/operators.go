package script

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// text is a value as concatenation has it; of other types, what they are.
func text(v lua.LValue) string {
	switch v := v.(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return formatNumber(float64(v))
	}
	return v.String()
}

// concat is what a chain of ".." is rewritten to.
func (s *state) concat(L *lua.LState) int {
	n := L.GetTop()
	size := 0
	plain := true
	for i := 1; i <= n && plain; i++ {
		switch v := L.Get(i).(type) {
		case lua.LString:
			size += len(v)
		case lua.LNumber:
			size += 8
		default:
			plain = false
		}
	}
	if !plain {
		return s.concatMeta(L, n)
	}
	s.meter.charge(L, size)
	var b strings.Builder
	b.Grow(size)
	for i := 1; i <= n; i++ {
		switch v := L.Get(i).(type) {
		case lua.LString:
			b.WriteString(string(v))
		case lua.LNumber:
			var digits [32]byte
			b.Write(appendNumber(digits[:0], float64(v)))
		}
	}
	L.Push(lua.LString(b.String()))
	return 1
}

// concatMeta goes from the right, pair by pair, as metamethods need it.
func (s *state) concatMeta(L *lua.LState, n int) int {
	right := L.Get(n)
	for i := n - 1; i >= 1; i-- {
		left := L.Get(i)
		if isText(left) && isText(right) {
			a, b := text(left), text(right)
			s.meter.charge(L, len(a)+len(b))
			right = lua.LString(a + b)
			continue
		}
		op := L.GetMetaField(left, "__concat")
		if op == lua.LNil {
			op = L.GetMetaField(right, "__concat")
		}
		if op == lua.LNil {
			bad := left
			if isText(left) {
				bad = right
			}
			s.fail(L, "attempt to concatenate a "+bad.Type().String()+" value")
		}
		L.Push(op)
		L.Push(left)
		L.Push(right)
		L.Call(2, 1)
		right = L.Get(-1)
		L.Pop(1)
	}
	L.Push(right)
	return 1
}

func isText(v lua.LValue) bool {
	t := v.Type()
	return t == lua.LTString || t == lua.LTNumber
}

// set is what t[k] = v is rewritten to: the interpreter would fill the array part of
// a table up to any k.
func (s *state) set(L *lua.LState) int {
	t, k, v := L.Get(1), L.Get(2), L.Get(3)
	if tb, ok := t.(*lua.LTable); ok && tb.Metatable == lua.LNil {
		s.rawSet(L, tb, k, v)
		return 0
	}
	if t.Type() != lua.LTTable && L.GetMetaField(t, "__newindex") == lua.LNil {
		s.fail(L, "attempt to index a "+t.Type().String()+" value")
	}
	s.key2(L, t, k)
	L.SetTable(t, k, v)
	return 0
}

// rawSet sets a key of a table that scripts may change.
func (s *state) rawSet(L *lua.LState, t *lua.LTable, k, v lua.LValue) {
	n, ok := k.(lua.LNumber)
	if !ok {
		if k == lua.LNil {
			s.fail(L, "table index is nil")
		}
		t.RawSet(k, v)
		return
	}
	if n != n {
		s.fail(L, "table index is NaN")
	}
	i := int(n)
	if i == maxArrayIndex && t.MaxN() == i-1 {
		s.fail(L, "table overflow") // "#" would not count what follows
	}
	if lua.LNumber(i) != n || i < 1 || i >= maxArrayIndex {
		t.RawSet(k, v)
		return
	}
	last := t.MaxN()
	switch {
	case v == lua.LNil && i == last:
		t.Remove(i) // else the length is looked for from the array's end each time
	case v == lua.LNil && i > last:
	default:
		if i > last+1 {
			s.meter.charge(L, 2*valueBytes*(i-last))
		}
		t.RawSetInt(i, v)
	}
}

// valueBytes is what a value takes in a table's array.
const valueBytes = 16

// key2 charges for what an assignment through a metatable may fill.
func (s *state) key2(L *lua.LState, t, k lua.LValue) {
	n, ok := k.(lua.LNumber)
	tb, isTable := t.(*lua.LTable)
	if ok && isTable && n > 0 && n < maxArrayIndex {
		if last := tb.MaxN(); int(n) > last+1 {
			s.meter.charge(L, 2*valueBytes*(int(n)-last))
		}
	}
}

// key is what a computed key of a table that is written down is rewritten to.
func (s *state) key(L *lua.LState) int {
	k := L.Get(1)
	if n, ok := k.(lua.LNumber); ok && n > 0 && n < maxArrayIndex {
		s.meter.charge(L, 2*valueBytes*int(n))
	}
	L.SetTop(1)
	return 1
}
