package script

import lua "github.com/yuin/gopher-lua"

// openCoroutine takes the interpreter's library, whose threads only it can start, and
// counts what they do.
func (s *state) openCoroutine() {
	L := s.L
	env := L.Env
	L.Env = L.NewTable()
	L.Push(L.NewFunction(lua.OpenCoroutine))
	L.Call(0, 1)
	original := L.Get(-1).(*lua.LTable)
	L.Pop(1)
	L.Env = env
	function := func(name string) *lua.LFunction { return original.RawGetString(name).(*lua.LFunction) }
	create, resume, wrap := function("create"), function("resume"), function("wrap")
	t := s.open("coroutine", map[string]func(frame) int{
		"create": func(f frame) int { return f.start(create) },
		"resume": func(f frame) int {
			if _, ok := f.Get(1).(*lua.LState); !ok {
				f.bad(1, "coroutine expected")
			}
			return f.resume(resume.GFunction)
		},
		"wrap": func(f frame) int { return f.wrap(wrap) },
	})
	for _, name := range []string{"yield", "status", "running"} {
		t.RawSetString(name, function(name))
	}
}

// start makes a coroutine with the interpreter's function make, and leaves what that
// returns on the stack.
func (f frame) start(make *lua.LFunction) int {
	fn, ok := f.Get(1).(*lua.LFunction)
	if !ok {
		f.bad(1, "Lua function expected")
	}
	if fn.IsG {
		fn = f.s.inLua(f.LState, fn) // the interpreter cannot run another as a thread
	}
	f.charge(threadBytes)
	f.RemoveContext()
	f.Push(make)
	f.Push(fn)
	f.Call(1, 1)
	f.SetContext(&f.s.meter)
	if th, ok := f.Get(-1).(*lua.LState); ok {
		th.SetContext(&f.s.meter)
	}
	return 1
}

// inLua wraps a library function into one of Lua.
func (s *state) inLua(L *lua.LState, fn *lua.LFunction) *lua.LFunction {
	proto, err := compile("local f = ... return function(...) return f(...) end", trampolineName)
	if err != nil {
		panic("script: " + err.Error())
	}
	L.Push(L.NewFunctionFromProto(proto))
	L.Push(fn)
	L.Call(1, 1)
	wrapped := L.Get(-1).(*lua.LFunction)
	L.Pop(1)
	return wrapped
}

func (f frame) resume(resume lua.LGFunction) int {
	depth := f.s.depth
	if depth >= maxNested {
		f.fail("C stack overflow")
	}
	f.s.depth++
	n := resume(f.LState)
	f.s.depth = depth
	if n == 2 && f.Get(-2) == lua.LFalse {
		v := translated(f.Get(-1))
		f.Pop(1)
		f.Push(v)
	}
	return n
}

func (f frame) wrap(wrap *lua.LFunction) int {
	f.start(wrap)
	inner := f.Get(-1).(*lua.LFunction)
	f.Pop(1)
	th := inner.Upvalues[0].Value()
	th.(*lua.LState).SetContext(&f.s.meter)
	s := f.s
	f.Push(f.NewClosure(func(L *lua.LState) int {
		return frame{L, s, "wrap"}.resume(inner.GFunction)
	}, th))
	return 1
}
