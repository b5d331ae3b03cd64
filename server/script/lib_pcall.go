package script

import lua "github.com/yuin/gopher-lua"

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
