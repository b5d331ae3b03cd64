package script

import (
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"

	"dkv/cluster/slot"
	"dkv/engine/keyspace"
)

// testState is an interpreter that is ready to run what needs no keys.
func testState(tb testing.TB, functions bool) *state {
	tb.Helper()
	e := New(Options{
		Slots: func() slot.Map { return slot.NewMap(1) }, BusyAfter: func() time.Duration { return 0 },
		MemoryLimit: func() int64 { return testMemory }, Follows: func() bool { return false }, Receivers: func(bool, []byte) int { return 0 },
	})
	s := newState(functions)
	s.arm(e)
	return s
}

const testMemory = 32 << 20

// arm readies the state for another call, which must end soon.
func (s *state) arm(e *Engine) {
	s.ready(&run{engine: e, state: s, limit: testMemory, until: time.Now().Add(10 * time.Second)})
}

// lib returns a function of a library.
func (s *state) lib(table, name string) *lua.LFunction {
	return s.behind(s.globals.RawGetString(table).(*lua.LTable)).RawGetString(name).(*lua.LFunction)
}

// eval runs a piece of code and returns its first result, or its error's text.
func (s *state) eval(tb testing.TB, source string) (lua.LValue, string) {
	tb.Helper()
	proto, err := compile(source, "user_script")
	if err != nil {
		return nil, err.Error()
	}
	s.arm(s.run.engine)
	v, failed := s.invoke(s.L.NewFunctionFromProto(proto))
	if failed != nil {
		return nil, errorField(failed)
	}
	return v, ""
}

// readTx is a Tx that is for reading, and reads nothing.
func readTx(testing.TB) *keyspace.Tx { return new(keyspace.Tx) }
