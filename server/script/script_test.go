package script

import (
	"strings"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// What the interpreter would do otherwise than Lua, or without a bound. What Redis's
// libraries do is compared with a redis-server in tests/differential.
func TestLua(t *testing.T) {
	s := testState(t, false)
	for _, tc := range []struct{ source, want string }{
		{"return 0.1 + 0.2", "0.3"},
		{"return 2^53 .. ''", "9.007199254741e+15"},
		{"return 1e15 .. ''", "1e+15"},
		{"local a, b = 1, 2 a, b = b, a return a .. b", "21"},
		{"local i, t = 1, {} i, t[i] = i + 1, 20 return i .. t[1]", "220"},
		{"local t = {1, 2, 3} t[#t] = nil t[#t] = nil return #t", "1"},
		{"local n = 0 local function inc() n = n + 1 end inc() pcall(error) inc() return n", "2"},
		{"local f pcall(function() local z = 5 f = function() z = z + 1 return z end error('y') end) local function g(a, b) return f() end return g(1, 2) + g(1, 2)", "13"},
		{"local function f(...) return select('#', ...) end return f(nil, nil)", "2"},
		{"local function f() return 1, 2 end return 'a' .. f()", "a1"},
		{"local function f(...) return 'a' .. ... end return f('b', 'c')", "ab"},
		{"local x = 5 if x == 1 then x = 2 elseif x == 5 then x = 9 else x = 0 end return x", "9"},
		{"return select(2, pcall(function() coroutine.yield(1) end))", "attempt to yield across metamethod/C-call boundary"},
		{"local t = {} for w in ('a b'):gmatch('%a') do t[#t + 1] = w end return #t", "2"},
		{"return type(next(redis))", "string"},
		{"local t = redis t.x = 1", "ERR user_script:1: Attempt to modify a readonly table"},
		{"for k in pairs(redis) do redis[k] = nil end", "ERR Attempt to modify a readonly table"},
		{"rawset(getmetatable('').__index, 'len', 1)", "ERR Attempt to modify a readonly table"},
		{"getmetatable('').__index = {}", "ERR user_script:1: Attempt to modify a readonly table"},
		{"string = 1", "ERR user_script:1: Attempt to modify a readonly table"},
		{"a = 1", "ERR user_script:1: Attempt to modify a readonly table"},
		{"return a", "ERR user_script:1: Script attempted to access nonexistent global variable 'a'"},
		{"return loadstring(string.char(27) .. 'Lua')", "nil"},
		{"return io or 1", "ERR user_script:1: Script attempted to access nonexistent global variable 'io'"},
		{"local t = {} t[nil] = 1", "ERR user_script:1: table index is nil"},
		{"return {} .. 1", "ERR user_script:1: attempt to concatenate a table value"},
		{"local x return x.y", "ERR user_script:1: attempt to index a nil value"},
		{"local x x.y = 1", "ERR user_script:1: attempt to index a nil value"},
		{"local x x[1] = 1", "ERR user_script:1: attempt to index a nil value"},
		{"return 1 + {}", "ERR user_script:1: attempt to perform arithmetic on a table value"},
		{"return ('x') + 1", "ERR user_script:1: attempt to perform arithmetic on a string value"},
	} {
		v, failed := s.eval(t, tc.source)
		got := failed
		if failed == "" {
			got = text(v)
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.source, got, tc.want)
		}
	}
}

// What one script sets the next one does not see.
func TestScriptsAreApart(t *testing.T) {
	s := testState(t, false)
	for range 2 {
		v, failed := s.eval(t, "local d = cjson.decode_max_depth() cjson.decode_max_depth(5) return d")
		if failed != "" || text(v) != "1000" {
			t.Fatal(v, failed)
		}
	}
}

func TestSyntaxErrors(t *testing.T) {
	for _, tc := range []struct{ source, want string }{
		{"return 1 +", "user_script:1: unexpected symbol near '<eof>'"},
		{"\n\nx = = 1", "user_script:3: unexpected symbol near '='"},
		{"return " + strings.Repeat("{", 3000) + strings.Repeat("}", 3000), "user_script:1: chunk has too many syntax levels"},
		{strings.Repeat("do ", 300) + strings.Repeat("end ", 300), "user_script:1: chunk has too many syntax levels"},
		{strings.Repeat("x", maxScriptBytes+1), "user_script:1: a script of 1048577 bytes is larger than the limit of 1048576"},
	} {
		if _, err := compile(tc.source, "user_script"); err == nil || err.Error() != tc.want {
			t.Errorf("%.40q: %v", tc.source, err)
		}
	}
	for _, good := range []string{
		"return 1" + strings.Repeat(" + 1", 3000), "x = 1" + strings.Repeat(" or 1", 3000),
		"if a then b()" + strings.Repeat(" elseif a then b()", 1000) + " end",
	} {
		if _, err := compile(good, "user_script"); err != nil {
			t.Errorf("%.40q: %v", good, err)
		}
	}
}

// The cache keeps what was used last.
func TestCacheIsBounded(t *testing.T) {
	var c cache
	c.init()
	source := strings.Repeat("x", maxKnownBytes/4-1)
	for i := range 10 {
		name := string(rune('a' + i))
		c.put(&script{sha: name, source: name + source}, true)
		c.get("a")
	}
	if c.order.Len() != 4 || c.get("a") == nil || c.get("b") != nil || c.get("j") == nil {
		t.Error(c.order.Len())
	}
	c.put(&script{sha: "new", source: "return 1"}, false)
	if c.get("new") != nil || c.compiled([]byte("return 1"), false) == nil {
		t.Error("what was only compiled is known")
	}
	if c.compiled([]byte("return 1"), true); c.get("new") == nil {
		t.Error("what was run is not known")
	}
	if len(c.bySource) != len(c.bySHA) || len(c.bySHA) != c.order.Len() {
		t.Errorf("%d texts, %d names, %d scripts", len(c.bySource), len(c.bySHA), c.order.Len())
	}
}

// An instruction lasts as long as the strings that it compares or looks up, so the clock is
// looked at more often where there are long ones.
func TestLongStrings(t *testing.T) {
	s := testState(t, false)
	long := []byte(strings.Repeat("x", 4<<20))
	for name, source := range map[string]string{
		"less":     "local a, b, seen = KEYS[1]..'a', KEYS[1]..'b', ARGV for i = 1, 1e9 do if a < b then seen[1] = i end end",
		"equal":    "local a, b, seen = KEYS[1]..'a', KEYS[1]..'b', ARGV for i = 1, 1e9 do if a ~= b then seen[1] = i end end",
		"argument": "local a, b, seen = KEYS[1], KEYS[2], ARGV for i = 1, 1e9 do if a < b then seen[1] = i end end",
		"key":      "local a, t, seen = ('x'):rep(4e6), {}, ARGV for i = 1, 1e9 do if not t[a] then seen[1] = i end end",
		"unpacked": "local a, seen = cmsgpack.unpack(cmsgpack.pack(KEYS[1])), ARGV for i = 1, 1e9 do if a < KEYS[2] then seen[1] = i end end",
	} {
		proto, err := compile(source, "user_script")
		if err != nil {
			t.Fatal(err)
		}
		s.arm(s.run.engine)
		s.run.until = time.Now() // it is to end at the next look
		seen := s.L.NewTable()
		s.globals.RawSetString("KEYS", s.list([][]byte{long, append(long[:len(long):len(long)], 'b')}))
		s.globals.RawSetString("ARGV", seen)
		if _, failed := s.invoke(s.L.NewFunctionFromProto(proto)); failed == nil {
			t.Errorf("%s: it was not stopped", name)
		}
		if n, ok := seen.RawGetInt(1).(lua.LNumber); ok && n > 64 {
			t.Errorf("%s: it was stopped only after %v rounds", name, n)
		}
	}
}
