package script

import (
	"testing"

	lua "github.com/yuin/gopher-lua"
)

func TestOSClock(t *testing.T) {
	s := testState(t, false)
	v, failed := s.eval(t, `
		local first = os.clock()
		local last = first
		while last == first do last = os.clock() end
		return type(first) == "number" and last > first and last - first < 10`)
	if v != lua.LTrue || failed != "" {
		t.Errorf("%v %s", v, failed)
	}
	for source, want := range map[string]string{
		"return os.time()":   "user_script:1: attempt to call a nil value",
		"os.clock = nil":     "user_script:1: Attempt to modify a readonly table",
		"return #os, os.exe": "",
	} {
		if _, failed := s.eval(t, source); failed != want && failed != "ERR "+want {
			t.Errorf("%s: %q", source, failed)
		}
	}
}
