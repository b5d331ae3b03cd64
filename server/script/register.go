package script

import (
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"dkv/resp"
)

// loadTimeout bounds how long a library may take to register its functions.
const loadTimeout = 500 * time.Millisecond

const errLoadTimeout resp.Error = "ERR FUNCTION LOAD timeout"

// register runs the code of a library in s. It sees redis.register_function, and
// nothing that acts on keys.
func (e *Engine) register(s *state, code string) (*library, error) {
	name, body, err := metadata(code)
	if err != nil {
		return nil, err
	}
	proto, err := compile(body, "user_function")
	if err != nil {
		return nil, resp.Error("ERR Error compiling function: " + err.Error())
	}
	lib := &library{name: name, code: code}
	r := &run{engine: e, state: s, name: name, function: true, limit: int(e.o.MemoryLimit())}
	r.until = time.Now().Add(loadTimeout)
	s.ready(r)
	s.loading = lib
	index := s.env.Metatable.(*lua.LTable)
	index.RawSetString("__index", s.loadGlobals)
	_, failed := s.invoke(s.L.NewFunctionFromProto(proto))
	index.RawSetString("__index", s.globals)
	s.loading, s.run = nil, nil
	switch {
	case s.meter.err != nil:
		return nil, resp.Error("ERR Error registering functions: " + s.meter.err.Error())
	case failed != nil:
		return nil, resp.Error("ERR Error registering functions: " + errorField(failed))
	case len(lib.functions) == 0:
		return nil, errNothingThere
	}
	return lib, nil
}

// openLoading defines what libraries see while they are loaded.
func (s *state) openLoading() {
	api := s.L.NewTable()
	whole := s.behind(s.globals.RawGetString("redis").(*lua.LTable))
	for k, v := whole.Next(lua.LNil); k != lua.LNil; k, v = whole.Next(k) {
		if v.Type() != lua.LTFunction && !strings.HasPrefix(text(k), "REPL_") {
			api.RawSet(k, v)
		}
	}
	api.RawSetString("log", whole.RawGetString("log"))
	api.RawSetString("register_function", s.function("register_function", registerFunction))
	api.Metatable = s.globals.Metatable
	s.loadGlobals = s.L.NewTable()
	s.loadGlobals.RawSetString("redis", s.protect(api))
	s.loadGlobals.Metatable = s.globals.Metatable
	s.library = &libraries{byName: make(map[string]*library), functions: make(map[string]*registered)}
}

// registerFunction is redis.register_function(name, callback) or with one table.
func registerFunction(f frame) int {
	if f.s.loading == nil {
		f.refuse("ERR redis.register_function can only be called on FUNCTION LOAD command", true)
	}
	var fn registered
	switch f.GetTop() {
	case 1:
		t, ok := f.Get(1).(*lua.LTable)
		if !ok {
			f.refuse("ERR calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).", true)
		}
		fn = f.namedArguments(t)
	case 2:
		name, ok := f.Get(1).(lua.LString)
		if !ok {
			f.refuse("ERR first argument to redis.register_function must be a string", true)
		}
		callback, ok := f.Get(2).(*lua.LFunction)
		if !ok {
			f.refuse("ERR second argument to redis.register_function must be a function", true)
		}
		fn = registered{name: string(name), callback: callback}
	default:
		f.refuse("ERR wrong number of arguments to redis.register_function", true)
	}
	if !validName(fn.name) {
		f.refuse(string(errBadName), true)
	}
	if f.s.loading.has(fn.name) {
		f.refuse("ERR Function already exists in the library", true)
	}
	f.s.loading.functions = append(f.s.loading.functions, fn)
	return 0
}

func (f frame) namedArguments(t *lua.LTable) (fn registered) {
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		name, ok := k.(lua.LString)
		if !ok {
			f.refuse("ERR named argument key given to redis.register_function is not a string", true)
		}
		switch name {
		case "function_name":
			str, ok := v.(lua.LString)
			if !ok {
				f.refuse("ERR function_name argument given to redis.register_function must be a string", true)
			}
			fn.name = string(str)
		case "description":
			str, ok := v.(lua.LString)
			if !ok {
				f.refuse("ERR description argument given to redis.register_function must be a string", true)
			}
			fn.description, fn.described = string(str), true
		case "callback":
			if fn.callback, ok = v.(*lua.LFunction); !ok {
				f.refuse("ERR callback argument given to redis.register_function must be a function", true)
			}
		case "flags":
			fn.flags = f.flagList(v)
		default:
			f.refuse("ERR unknown argument given to redis.register_function", true)
		}
	}
	switch {
	case fn.name == "":
		f.refuse("ERR redis.register_function must get a function name argument", true)
	case fn.callback == nil:
		f.refuse("ERR redis.register_function must get a callback argument", true)
	}
	return fn
}

func (f frame) flagList(v lua.LValue) (all flags) {
	t, ok := v.(*lua.LTable)
	if !ok {
		f.refuse("ERR flags argument to redis.register_function must be a table representing function flags", true)
	}
	for i := 1; i <= t.Len(); i++ {
		bit, known := flags(0), false
		if name, ok := t.RawGetInt(i).(lua.LString); ok {
			bit, known = parseFlag(string(name))
		}
		if !known {
			f.refuse("ERR unknown flag given", true)
		}
		all |= bit
	}
	return all
}
