package script

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// The interpreter words some errors otherwise than Lua does. What the name of the
// variable was it does not say.
var wordings = []struct{ from, to string }{
	{"lua callstack overflow", "stack overflow"},
	{"registry overflow", "stack overflow"},
	{"attempt to call a non-function object", "attempt to call a nil value"},
	{"__len undefined", "attempt to get length of a nil value"},
	{"__unm undefined", "attempt to perform arithmetic on a nil value"},
	{"for statement init must be a number", "'for' initial value must be a number"},
	{"for statement limit must be a number", "'for' limit must be a number"},
	{"for statement step must be a number", "'for' step must be a number"},
	{"can not yield from outside of a coroutine", errYield},
	{"can not resume a dead thread", "cannot resume dead coroutine"},
	{"can not resume a running thread", "cannot resume running coroutine"},
}

// translated is what was raised, in Lua's words.
func translated(v lua.LValue) lua.LValue {
	str, ok := v.(lua.LString)
	if !ok {
		return v
	}
	s := string(str)
	const most = 512
	if len(s) > most {
		return v
	}
	for _, w := range wordings {
		if at, found := strings.CutSuffix(s, w.from); found {
			return lua.LString(at + w.to)
		}
	}
	if at, rest, found := strings.Cut(s, "attempt to index a non-table object("); found {
		if kind, _, ok := strings.Cut(rest, ") with key '"); ok {
			return lua.LString(at + "attempt to index a " + kind + " value")
		}
	}
	if at, rest, found := strings.Cut(s, "cannot perform "); found {
		if _, kinds, ok := strings.Cut(rest, " operation between "); ok {
			return lua.LString(at + "attempt to perform arithmetic on a " + culprit(kinds) + " value")
		}
	}
	if at, rest, found := strings.Cut(s, "attempt to compare "); found {
		if a, b, ok := strings.Cut(rest, " with "); ok && a == b {
			return lua.LString(at + "attempt to compare two " + a + " values")
		}
	}
	return v
}

// culprit is which of two operands, "a and b", cannot be calculated with.
func culprit(kinds string) string {
	a, b, _ := strings.Cut(kinds, " and ")
	if b != "number" && (a == "number" || b != "string") {
		return b
	}
	return a
}
