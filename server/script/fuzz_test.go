package script

import (
	"bytes"
	"strings"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// must fails the test when the interpreter, or a library, has panicked: that is not an
// error of the script's.
func must(t *testing.T, failed *lua.LTable) {
	t.Helper()
	if failed == nil {
		return
	}
	for _, bad := range []string{"runtime error", "nil pointer", "interface conversion", "out of range ["} {
		if strings.Contains(errorField(failed), bad) {
			t.Fatal(errorField(failed))
		}
	}
}

// What decodes encodes, and decodes to the same.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,2.5,-3e10,true,false,null,"\u00e9\ud83d\ude00\n\/"]}`, `[[[[]]]]`, `{"a":{"b":{}}}`, `0x1F`, `-inf`, `nan`, `"`, `[1,`,
		`{"a"`, `01`, `"\ud83d"`, "\xff\xfe", "[1]\x00", `1e999`, `.`, `-`, `"\u12"`,
	} {
		f.Add(seed)
	}
	s := testState(f, false)
	s.json.invalidNumbers = "on"
	decode, encode := s.lib("cjson", "decode"), s.lib("cjson", "encode")
	f.Fuzz(func(t *testing.T, text string) {
		s.arm(s.run.engine)
		s.json.invalidNumbers = "on"
		v, failed := s.invoke(decode, lua.LString(text))
		if must(t, failed); failed != nil {
			return
		}
		first, failed := s.invoke(encode, v)
		if must(t, failed); failed != nil {
			return // sparse, or too deep
		}
		again, failed := s.invoke(decode, first)
		if failed != nil {
			t.Fatalf("%q decodes, what it encodes to does not: %q: %s", text, first, errorField(failed))
		}
		second, _ := s.invoke(encode, again)
		if first != second {
			t.Fatalf("%q encodes to %q, and that to %q", text, first, second)
		}
	})
}

func FuzzMsgpack(f *testing.F) {
	for _, seed := range []string{
		"\x93\x01\x02\x03", "\x82\xa1a\x01\xa1b\xc0", "\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff", "\xdb\xff\xff\xff\xff", "\xc1", "\xcb\x7f",
		"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "\xd3\x80\x00\x00\x00\x00\x00\x00\x00", "\xc4\x01a", "\x81\xc0\x01", "\x81\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00\x01",
	} {
		f.Add(seed)
	}
	s := testState(f, false)
	unpack, pack := s.lib("cmsgpack", "unpack"), s.lib("cmsgpack", "pack")
	f.Fuzz(func(t *testing.T, data string) {
		s.arm(s.run.engine)
		v, failed := s.invoke(unpack, lua.LString(data))
		if must(t, failed); failed != nil {
			return
		}
		packed, failed := s.invoke(pack, v)
		if must(t, failed); failed != nil {
			return
		}
		if _, failed = s.invoke(unpack, packed); failed != nil {
			t.Fatalf("%q: %s", data, errorField(failed))
		}
	})
}

func FuzzStruct(f *testing.F) {
	f.Add(">I4s", "\x00\x00\x00\x01abc\x00")
	f.Add("!8bi4d", "0123456789012345")
	f.Add("Bc0", "\x03abc")
	f.Add("i32", strings.Repeat("\xff", 32))
	f.Add("i0c999999999999", "x")
	f.Add("xxxx!4>f<d", "abc")
	s := testState(f, false)
	unpack, size, pack := s.lib("struct", "unpack"), s.lib("struct", "size"), s.lib("struct", "pack")
	f.Fuzz(func(t *testing.T, format, data string) {
		s.arm(s.run.engine)
		_, failed := s.invoke(unpack, lua.LString(format), lua.LString(data))
		must(t, failed)
		_, failed = s.invoke(size, lua.LString(format))
		must(t, failed)
		_, failed = s.invoke(pack, lua.LString(format), lua.LNumber(1), lua.LNumber(-2), lua.LString(data))
		must(t, failed)
	})
}

func FuzzPattern(f *testing.F) {
	f.Add("hello world", "(%w+) (%w+)")
	f.Add("((a))", "%b()")
	f.Add("aaa", "a-a*a+a?$")
	f.Add("THE (quick) fox", "%f[%a]%a+")
	f.Add("abab", "(ab)%1")
	f.Add("x", "[^%")
	f.Add("", "()")
	s := testState(f, false)
	find, gsub := s.lib("string", "find"), s.lib("string", "gsub")
	f.Fuzz(func(t *testing.T, str, pattern string) {
		s.arm(s.run.engine)
		_, failed := s.invoke(find, lua.LString(str), lua.LString(pattern))
		must(t, failed)
		_, failed = s.invoke(gsub, lua.LString(str), lua.LString(pattern), lua.LString("%0-%1"))
		must(t, failed)
	})
}

func FuzzFormat(f *testing.F) {
	f.Add("%5.2f %d %s %q %x %c %g", "10")
	f.Add("%99.99f%-+ #05d%%", "1e300")
	f.Add("%", "")
	s := testState(f, false)
	format := s.lib("string", "format")
	f.Fuzz(func(t *testing.T, str, arg string) {
		s.arm(s.run.engine)
		a := lua.LString(arg)
		_, failed := s.invoke(format, lua.LString(str), a, a, a, a, a, a, a, a)
		must(t, failed)
	})
}

// Whatever text it is, compiling ends, and running what it is compiled to does.
func FuzzScript(f *testing.F) {
	for _, seed := range []string{
		"return 1", "local t = {1, 2, [3] = 4, a = 5} t[1], t.a = t.a, t[1] return #t .. 'x' .. 1", "for i = 1, 10 do if i > 5 then break end end",
		"local function f(...) return select('#', ...) end return f(1, nil)", "return ('x'):rep(3)", "while true do end",
		"return setmetatable({}, {__index = function(t, k) return k end}).x", "goto x ::x::", "return pcall(error, {})",
		"local co = coroutine.wrap(function(a) local b = coroutine.yield(a) return b end) return co(1), co(2)", "return -'1' + '2' ^ 2 % 3",
		"repeat local x = 1 until x == 1 return x", "return {unpack({1, 2, 3}, 2)}", "a.b.c = 1", "x = x or 1", "return #'x', not nil, -1",
	} {
		f.Add(seed)
	}
	s := testState(f, false)
	f.Fuzz(func(t *testing.T, source string) {
		proto, err := compile(source, "user_script")
		if err != nil {
			return
		}
		s.arm(s.run.engine)
		s.run.until = time.Now().Add(50 * time.Millisecond)
		_, failed := s.invoke(s.L.NewFunctionFromProto(proto))
		must(t, failed)
	})
}

func FuzzFunctionDump(f *testing.F) {
	good := appendLength([]byte{opFunction}, 3)
	good = append(good, "abc"...)
	f.Add(good)
	f.Add([]byte{opFunction, 0xc3, 5, 9, 0, 'a', 0xe0, 0, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		b := append(bytes.Clone(body), dumpVersion, 0)
		sum := crc(b)
		for range 8 {
			b = append(b, byte(sum))
			sum >>= 8
		}
		codes, err := parseDump(b)
		if err == nil && len(codes) == 0 && len(body) > 0 {
			t.Fatal("a dump without libraries has bytes")
		}
		if _, err := parseDump(body); err == nil && len(body) < dumpFooter {
			t.Fatal("too short")
		}
	})
}
