package script

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"
)

func init() {
	// A table's array part is filled up to the highest key, see state.set.
	lua.MaxArrayIndex = maxArrayIndex
}

// A state is an interpreter with the libraries that scripts see. It runs one script
// at a time; what a script leaves behind the next one does not see, because nothing
// that lasts can be changed.
type state struct {
	L     *lua.LState
	meter meter
	run   *run // the one that is being run

	env     *lua.LTable // what scripts see as _G
	globals *lua.LTable // what stands behind it
	envMeta *lua.LTable // what getmetatable says of _G
	// readonly are the tables that scripts see in place of others, which they must
	// not change. Invariant: no script gets hold of one of the others.
	readonly map[*lua.LTable]*lua.LTable
	refuse   *lua.LFunction // raises the error for writing to one

	depth      int // of pcall, resume and so on within each other
	trampoline *lua.LFunction
	empty      *lua.LFunction // does nothing
	handler    *lua.LFunction // of errors
	next       *lua.LFunction
	ipairsNext *lua.LFunction
	null       *lua.LUserData // cjson.null
	random     lrand48
	json       jsonOptions

	scripts map[string]*lua.LFunction // by SHA1, see state.function

	// Of a state for functions: those that are loaded, and while one is being loaded,
	// that one; and what it sees then.
	library     *libraries
	loading     *library
	loadGlobals *lua.LTable
}

// maxFunctions is how many scripts a state keeps as functions, which cost little.
const maxFunctions = 1024

// newState makes a state for scripts, or for functions of libraries.
func newState(forFunctions bool) *state {
	s := &state{readonly: make(map[*lua.LTable]*lua.LTable), scripts: make(map[string]*lua.LFunction)}
	s.L = lua.NewState(lua.Options{
		CallStackSize: maxCallDepth, RegistrySize: 256, RegistryMaxSize: maxRegistry, RegistryGrowStep: 1024,
		SkipOpenLibs: true, MinimizeStackMemory: true,
	})
	s.globals = s.L.NewTable()
	s.env = s.protect(s.globals)
	s.refuse = s.L.NewFunction(func(L *lua.LState) int {
		s.fail(L, "Attempt to modify a readonly table")
		return 0
	})
	s.setMeta(s.env)
	s.L.Env = s.env
	s.random.seed(0)
	s.json = defaultJSON
	s.openBase()
	s.openTable()
	s.openString()
	s.openMath()
	s.openOS()
	s.openBit()
	s.openJSON()
	s.openMsgpack()
	s.openStruct()
	s.openCoroutine()
	s.openRedis(forFunctions)
	s.hide(concatName, s.concat)
	s.hide(setName, s.set)
	s.hide(keyName, s.key)
	s.globals.RawSetString("_G", s.env)
	s.globals.RawSetString("_VERSION", lua.LString("Lua 5.1"))
	missing := s.L.NewTable()
	missing.RawSetString("__index", s.L.NewFunction(func(L *lua.LState) int {
		s.fail(L, "Script attempted to access nonexistent global variable '"+text(L.Get(2))+"'")
		return 0
	}))
	s.globals.Metatable = missing
	s.envMeta = s.protect(missing)
	if forFunctions {
		s.openLoading()
	}
	s.trampoline = s.constant("return function(f, ...) return f(...) end")
	return s
}

// constant evaluates a piece of code of ours.
func (s *state) constant(source string) *lua.LFunction {
	proto, err := compile(source, trampolineName)
	if err != nil {
		panic("script: " + err.Error())
	}
	s.L.Push(s.L.NewFunctionFromProto(proto))
	s.L.Call(0, 1)
	f := s.L.Get(-1).(*lua.LFunction)
	s.L.Pop(1)
	return f
}

// trampolineName is the name of code of ours, which no error message shows.
const trampolineName = "\x00"

// protect returns a table that stands for t and cannot be changed.
//
// The interpreter has no tables that cannot be written to. An empty table whose
// metatable leads to the other one is as good as that: writing always asks it.
func (s *state) protect(t *lua.LTable) *lua.LTable {
	p := s.L.NewTable()
	s.readonly[p] = t
	if s.refuse != nil {
		s.setMeta(p)
	}
	return p
}

func (s *state) setMeta(p *lua.LTable) {
	mt := s.L.NewTable()
	mt.RawSetString("__index", s.readonly[p])
	mt.RawSetString("__newindex", s.refuse)
	mt.RawSetString("__metatable", lua.LFalse)
	p.Metatable = mt
}

// behind returns the table that a protected one stands for, and t itself otherwise.
func (s *state) behind(t *lua.LTable) *lua.LTable {
	if r := s.readonly[t]; r != nil {
		return r
	}
	return t
}

// hide defines a function that no source text can name.
func (s *state) hide(name string, f lua.LGFunction) {
	s.env.RawSetString(name, s.L.NewFunction(f))
}

// frame is a call of a library function: its arguments, and the name that messages
// call it.
type frame struct {
	*lua.LState
	s    *state
	name string
}

// open defines a global table of functions.
func (s *state) open(name string, functions map[string]func(frame) int) *lua.LTable {
	t := s.L.NewTable()
	for n, f := range functions {
		t.RawSetString(n, s.function(n, f))
	}
	s.globals.RawSetString(name, s.protect(t))
	return t
}

func (s *state) function(name string, f func(frame) int) *lua.LFunction {
	return s.L.NewFunction(func(L *lua.LState) int { return f(frame{L, s, name}) })
}

// fail raises an error with the position of the Lua code that is being run.
func (s *state) fail(L *lua.LState, message string) {
	s.raise(L, lua.LString(where(L, 1)+message))
}

// raise raises any value as an error.
func (s *state) raise(L *lua.LState, v lua.LValue) { L.Error(v, 0) }

// where is "name:line: " of the function at a level, 1 being the one that called the
// present one; empty when that is none of the script's.
func where(L *lua.LState, level int) string {
	source, line := position(L, level)
	if source == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d: ", source, line)
}

func position(L *lua.LState, level int) (source string, line int) {
	dbg, ok := L.GetStack(level)
	if !ok {
		return "", 0
	}
	if _, err := L.GetInfo("Sl", dbg, lua.LNil); err != nil || dbg.Source == trampolineName {
		return "", 0
	}
	return dbg.Source, dbg.CurrentLine
}

func (f frame) fail(format string, args ...any) {
	if len(args) > 0 {
		format = fmt.Sprintf(format, args...)
	}
	f.s.fail(f.LState, format)
}

// bad raises the error for argument i.
func (f frame) bad(i int, what string) {
	f.fail("bad argument #%d to '%s' (%s)", i, f.name, what)
}

func (f frame) expected(i int, want string) {
	f.bad(i, want+" expected, got "+f.typeName(i))
}

func (f frame) typeName(i int) string {
	if i > f.GetTop() {
		return "no value"
	}
	return f.Get(i).Type().String()
}

// str is a string argument; numbers are ones too.
func (f frame) str(i int) string {
	switch v := f.Get(i).(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return formatNumber(float64(v))
	}
	f.expected(i, "string")
	return ""
}

func (f frame) optStr(i int, def string) string {
	if f.Get(i) == lua.LNil {
		return def
	}
	return f.str(i)
}

// num is a numeric argument; strings that are numbers are ones too.
func (f frame) num(i int) float64 {
	switch v := f.Get(i).(type) {
	case lua.LNumber:
		return float64(v)
	case lua.LString:
		if n, ok := parseNumber(string(v)); ok {
			return n
		}
	}
	f.expected(i, "number")
	return 0
}

func (f frame) optNum(i int, def float64) float64 {
	if f.Get(i) == lua.LNil {
		return def
	}
	return f.num(i)
}

// integer is a numeric argument as an integer, cut to what one holds.
func (f frame) integer(i int) int { return toInt(f.num(i)) }

func (f frame) optInt(i, def int) int {
	if f.Get(i) == lua.LNil {
		return def
	}
	return f.integer(i)
}

func (f frame) table(i int) *lua.LTable {
	if t, ok := f.Get(i).(*lua.LTable); ok {
		return t
	}
	f.expected(i, "table")
	return nil
}

// any is an argument that must be there.
func (f frame) any(i int) lua.LValue {
	if i > f.GetTop() {
		f.bad(i, "value expected")
	}
	return f.Get(i)
}

func (f frame) push(s string) int {
	f.s.meter.met(len(s))
	f.Push(lua.LString(s))
	return 1
}

func (f frame) pushNum(n float64) int {
	f.Push(lua.LNumber(n))
	return 1
}

// charge counts memory that is about to be allocated.
func (f frame) charge(bytes int) { f.s.meter.charge(f.LState, bytes) }

// spend counts steps.
func (f frame) spend(steps int) { f.s.meter.spend(f.LState, steps) }
