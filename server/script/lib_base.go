package script

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

func (s *state) openBase() {
	for name, f := range map[string]func(frame) int{
		"assert": baseAssert, "collectgarbage": baseCollect, "error": baseError, "gcinfo": baseGCInfo,
		"getmetatable": baseGetMetatable, "ipairs": baseIpairs, "load": baseLoad, "loadstring": baseLoadString,
		"next": baseNext, "pairs": basePairs, "pcall": basePCall, "rawequal": baseRawEqual, "rawget": baseRawGet,
		"rawset": baseRawSet, "select": baseSelect, "setmetatable": baseSetMetatable, "tonumber": baseToNumber,
		"tostring": baseToString, "type": baseType, "unpack": baseUnpack, "xpcall": baseXPCall,
	} {
		s.globals.RawSetString(name, s.function(name, f))
	}
	s.next = s.globals.RawGetString("next").(*lua.LFunction)
	s.ipairsNext = s.function("ipairs", ipairsNext)
}

func baseAssert(f frame) int {
	if lua.LVAsBool(f.any(1)) {
		return f.GetTop()
	}
	f.fail("%s", f.optStr(2, "assertion failed!"))
	return 0
}

// baseCollect does nothing: the collector is the whole process's.
func baseCollect(f frame) int {
	switch option := f.optStr(1, "collect"); option {
	case "count":
		return f.pushNum(nominalMemory)
	case "step":
		f.Push(lua.LTrue)
	case "collect", "stop", "restart", "setpause", "setstepmul":
		return f.pushNum(0)
	default:
		f.bad(1, "invalid option '"+option+"'")
	}
	return 1
}

// nominalMemory is what a script is told of its memory, in KB: no account is kept.
const nominalMemory = 64

func baseGCInfo(f frame) int { return f.pushNum(nominalMemory) }

func baseError(f frame) int {
	v := f.Get(1)
	level := f.optInt(2, 1)
	if isText(v) && level > 0 {
		v = lua.LString(where(f.LState, level) + text(v))
	}
	f.s.raise(f.LState, v)
	return 0
}

func baseGetMetatable(f frame) int {
	f.Push(f.GetMetatable(f.any(1)))
	return 1
}

func baseSetMetatable(f frame) int {
	t := f.table(1)
	mt := f.Get(2)
	if f.GetTop() < 2 || mt != lua.LNil && mt.Type() != lua.LTTable {
		f.bad(2, "nil or table expected")
	}
	if f.s.readonly[t] != nil {
		f.readonly()
	}
	if f.GetMetaField(t, "__metatable") != lua.LNil {
		f.fail("cannot change a protected metatable")
	}
	t.Metatable = mt
	f.SetTop(1)
	return 1
}

// readonly raises the error of a library function that would change a protected
// table; unlike that of an assignment it has no position.
func (f frame) readonly() {
	f.s.raise(f.LState, lua.LString("Attempt to modify a readonly table"))
}

// mutable is a table that the function will change.
func (f frame) mutable(i int) *lua.LTable {
	t := f.table(i)
	if f.s.readonly[t] != nil {
		f.readonly()
	}
	return t
}

func baseIpairs(f frame) int {
	t := f.table(1)
	f.Push(f.s.ipairsNext)
	f.Push(t)
	f.Push(lua.LNumber(0))
	return 3
}

func ipairsNext(f frame) int {
	i := f.integer(2) + 1
	v := f.s.behind(f.table(1)).RawGet(lua.LNumber(i))
	if v == lua.LNil {
		return 0
	}
	f.Push(lua.LNumber(i))
	f.Push(v)
	return 2
}

func basePairs(f frame) int {
	t := f.table(1)
	f.Push(f.s.next)
	f.Push(t)
	f.Push(lua.LNil)
	return 3
}

func baseNext(f frame) int {
	k, v := f.s.behind(f.table(1)).Next(f.Get(2))
	f.Push(k)
	if k == lua.LNil {
		return 1
	}
	f.Push(v)
	return 2
}

func baseLoad(f frame) int {
	fn, ok := f.Get(1).(*lua.LFunction)
	if !ok {
		f.expected(1, "function")
	}
	name := f.optStr(2, "=(load)")
	var b strings.Builder
	for {
		f.Push(fn)
		f.Call(0, 1)
		v := f.Get(-1)
		f.Pop(1)
		if v == lua.LNil {
			break
		}
		part, ok := v.(lua.LString)
		if !ok {
			f.Push(lua.LNil)
			f.push("reader function must return a string")
			return 2
		}
		if part == "" || b.Len() > maxScriptBytes {
			break
		}
		b.WriteString(string(part))
	}
	return f.load(b.String(), name)
}

func baseLoadString(f frame) int {
	source := f.str(1)
	return f.load(source, f.optStr(2, source))
}

func (f frame) load(source, name string) int {
	f.charge(loadCost * len(source))
	f.spend(loadCost * len(source))
	proto, err := compile(source, chunkName(name))
	if err != nil {
		f.Push(lua.LNil)
		f.push(err.Error())
		return 2
	}
	f.Push(f.NewFunctionFromProto(proto))
	return 1
}

// loadCost is what a byte of source costs in memory and in steps, about.
const loadCost = 64

// chunkName is how messages name a piece of code.
func chunkName(name string) string {
	if strings.HasPrefix(name, "=") || strings.HasPrefix(name, "@") {
		return name[1:]
	}
	line, _, cut := strings.Cut(name, "\n")
	const most = 45
	if len(line) > most {
		line, cut = line[:most], true
	}
	if cut {
		line += "..."
	}
	return `[string "` + line + `"]`
}

// basePCall runs the function on a coroutine of its own. The interpreter's way to
// catch an error in the same one closes the upvalues of all functions on the stack,
// also of those that go on: they and their closures would no longer share them.
func basePCall(f frame) int {
	fn := f.any(1)
	args := make([]lua.LValue, 0, f.GetTop())
	args = append(args, fn)
	for i := 2; i <= f.GetTop(); i++ {
		args = append(args, f.Get(i))
	}
	n := f.protected(args, lua.LNil)
	if t, ok := f.Get(-1).(*lua.LTable); ok && n == 2 && f.Get(-2) == lua.LFalse {
		// As before there were tables of errors: scripts look at the text.
		if v := t.RawGetString("err"); isText(v) {
			f.Pop(1)
			f.Push(v)
		}
	}
	return n
}

func baseXPCall(f frame) int {
	if f.GetTop() < 2 {
		f.bad(2, "value expected")
	}
	return f.protected([]lua.LValue{f.Get(1)}, f.Get(2))
}

func (f frame) protected(args []lua.LValue, handler lua.LValue) int {
	results, err := f.s.try(f.LState, args)
	if err == nil {
		f.Push(lua.LTrue)
		for _, v := range results {
			f.Push(v)
		}
		return len(results) + 1
	}
	if handler != lua.LNil {
		if results, err = f.s.try(f.LState, []lua.LValue{handler, err.Object}); err == nil {
			f.Push(lua.LFalse)
			for _, v := range results {
				f.Push(v)
			}
			return len(results) + 1
		}
	}
	f.Push(lua.LFalse)
	f.Push(err.Object)
	return 2
}

// try calls args[0] with the others.
func (s *state) try(L *lua.LState, args []lua.LValue) ([]lua.LValue, *lua.ApiError) {
	depth := s.depth
	if depth >= maxNested {
		return nil, &lua.ApiError{Type: lua.ApiErrorRun, Object: lua.LString("C stack overflow")}
	}
	if len(args) > maxUnpack {
		return nil, &lua.ApiError{Type: lua.ApiErrorRun, Object: lua.LString("stack overflow")}
	}
	s.depth++
	th := s.thread(L)
	how, err, results := L.Resume(th, s.trampoline, args...)
	s.depth = depth
	if err != nil {
		e := err.(*lua.ApiError)
		e.Object = translated(e.Object)
		return nil, e
	}
	if how == lua.ResumeYield {
		return nil, &lua.ApiError{Type: lua.ApiErrorRun, Object: lua.LString(errYield)}
	}
	return results, nil
}

// thread makes a coroutine whose instructions are counted as well.
func (s *state) thread(L *lua.LState) *lua.LState {
	s.meter.charge(L, threadBytes)
	L.RemoveContext() // or NewThread would make one that can be cancelled
	th, _ := L.NewThread()
	L.SetContext(&s.meter)
	th.SetContext(&s.meter)
	return th
}

// threadBytes is what a coroutine takes at least.
const threadBytes = 16 << 10

const errYield = "attempt to yield across metamethod/C-call boundary"

func baseRawEqual(f frame) int {
	f.Push(lua.LBool(f.RawEqual(f.any(1), f.any(2))))
	return 1
}

func baseRawGet(f frame) int {
	f.Push(f.s.behind(f.table(1)).RawGet(f.any(2)))
	return 1
}

func baseRawSet(f frame) int {
	t := f.mutable(1)
	f.s.rawSet(f.LState, t, f.any(2), f.any(3))
	f.SetTop(1)
	return 1
}

func baseSelect(f frame) int {
	n := f.GetTop()
	if str, ok := f.Get(1).(lua.LString); ok && str == "#" {
		return f.pushNum(float64(n - 1))
	}
	i := f.integer(1)
	switch {
	case i < 0:
		i = n + i
	case i > n:
		i = n
	}
	if i < 1 {
		f.bad(1, "index out of range")
	}
	return n - i
}

func baseToNumber(f frame) int {
	v := f.any(1)
	if f.Get(2) != lua.LNil {
		return f.inBase()
	}
	switch v := v.(type) {
	case lua.LNumber:
		f.Push(v)
		return 1
	case lua.LString:
		if n, ok := parseNumber(string(v)); ok {
			return f.pushNum(n)
		}
	}
	f.Push(lua.LNil)
	return 1
}

func (f frame) inBase() int {
	base := f.integer(2)
	if base < 2 || base > 36 {
		f.bad(2, "base out of range")
	}
	if base == 10 {
		if n, ok := parseNumber(f.str(1)); ok {
			return f.pushNum(n)
		}
	} else {
		str := strings.Trim(f.str(1), " \t\n\v\f\r")
		if base == 16 && len(str) > 2 && str[0] == '0' && str[1]|0x20 == 'x' {
			str = str[2:]
		}
		if n, err := strconv.ParseUint(str, base, 64); err == nil {
			return f.pushNum(float64(n))
		}
	}
	f.Push(lua.LNil)
	return 1
}

func baseToString(f frame) int {
	v := f.any(1)
	if op := f.GetMetaField(v, "__tostring"); op != lua.LNil {
		f.Push(op)
		f.Push(v)
		f.Call(1, 1)
		return 1
	}
	return f.push(f.s.describe(v))
}

// describe is what tostring makes of a value.
func (s *state) describe(v lua.LValue) string {
	switch v := v.(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return formatNumber(float64(v))
	case *lua.LTable:
		return fmt.Sprintf("table: %p", v)
	case *lua.LFunction:
		return fmt.Sprintf("function: %p", v)
	case *lua.LState:
		return fmt.Sprintf("thread: %p", v)
	case *lua.LUserData:
		if v == s.null {
			return "userdata: (nil)"
		}
		return fmt.Sprintf("userdata: %p", v)
	}
	return v.String()
}

func baseType(f frame) int { return f.push(f.any(1).Type().String()) }

func baseUnpack(f frame) int {
	t := f.s.behind(f.table(1))
	from := f.optInt(2, 1)
	to := f.optInt(3, math.MinInt)
	if to == math.MinInt {
		to = t.Len()
	}
	if from > to {
		return 0
	}
	n := to - from + 1
	if n <= 0 || n > maxUnpack {
		f.fail("too many results to unpack")
	}
	for i := from; i <= to; i++ {
		f.Push(t.RawGet(lua.LNumber(i)))
	}
	return n
}
