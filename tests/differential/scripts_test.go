package differential

import (
	"strings"
	"testing"

	"dkv/tests/harness"
)

// scripts are run with two keys, {k}1 and {k}2, and two arguments, in both protocols;
// the replies must be the same byte for byte. A line is a script; \n in it is a new
// line. Before each the data is: {k}1 a string, {k}2 a hash of two fields.
var scripts = strings.Split(strings.TrimSpace(`
return 1
return {KEYS[1], KEYS[2], ARGV[1], ARGV[2], #KEYS, #ARGV}
return {1, 2, nil, 4}
return {1, {2, {3, "x"}}, true, false}
return 3.99
return -3.99
return true
return false
return nil
return ""
return
return {}
return {{}}
return {ok = "fine"}
return {ok = "fi\\r\\nne"}
return {err = "MY error"}
return {err = "one"}
return {double = 2.5}
return {double = 1e100}
return {map = {a = 1}}
return {set = {a = true}}
return {big_number = "123456789012345678901234567890"}
return {verbatim_string = {string = "text", format = "txt"}}
return {map = {a = {map = {b = 2}}}}
redis.setresp(3); return true
redis.setresp(3); return false
redis.setresp(3); return {double = 2.5}
redis.setresp(3); return redis.call("hgetall", KEYS[2]).map.f1
redis.setresp(3); return redis.call("get", "{k}none") == nil
redis.setresp(2); return redis.call("get", "{k}none") == false
redis.setresp(3); return redis.call("hgetall", KEYS[2]) ~= nil
redis.setresp(4)
redis.setresp()
return redis.call("get", KEYS[1])
return redis.call("get", "{k}none")
return redis.call("set", KEYS[1], "y")
return redis.call("set", KEYS[1], "y").ok
return redis.call("incr", "{k}n")
return redis.call("hget", KEYS[1], "x")
return redis.pcall("hget", KEYS[1], "x")
return redis.pcall("hget", KEYS[1], "x").err
local ok, e = pcall(redis.call, "hget", KEYS[1], "x") return {ok and 1 or 0, e.err}
local ok, e = pcall(redis.call, "hget", KEYS[1], "x") return e
local ok, e = pcall(redis.call, "nosuch") return e
local e = redis.pcall("hget", KEYS[1], "x") error(e)
redis.call("set", KEYS[1], "z") redis.call("hget", KEYS[1], "x")
redis.call("set", KEYS[1], "z") return redis.call("get", KEYS[1])
return redis.call("nosuch")
return redis.pcall("nosuch")
return redis.call("get")
return redis.call("get", "a", "b")
return redis.call()
return redis.call({})
return redis.call("get", true)
return redis.call("set", "{k}3", 3.5)
redis.call("set", "{k}3", 12345678901234) return redis.call("get", "{k}3")
redis.call("set", "{k}3", -0.5) return redis.call("get", "{k}3")
redis.call("set", "{k}3", 1e300) return redis.call("get", "{k}3")
return redis.call("watch", "a")
return redis.call("multi")
return redis.call("exec")
return redis.call("eval", "return 1", 0)
return redis.call("evalsha", "x", 0)
return redis.call("script", "flush")
return redis.call("client", "id")
return redis.call("config", "get", "port")
return redis.call("auth", "x")
return redis.call("hello")
return redis.call("quit")
return redis.call("ping")
return redis.call("ping", "x")
return redis.call("ping", "x", "y")
return redis.call("echo", "x")
return redis.call("select", "1")
return redis.call("select", "99")
return redis.call("select", "x")
redis.call("select", 1) redis.call("set", "{k}s", 1) redis.call("select", 0) return redis.call("exists", "{k}s")
return redis.call("mget", KEYS[1], "{k}none", KEYS[1])
return redis.call("type", KEYS[1])
return redis.call("object", "encoding", KEYS[1])
return redis.call("exists", KEYS[1], KEYS[2])
return redis.call("del", KEYS[1])
return redis.error_reply("abc")
return redis.error_reply("ABC def")
return redis.error_reply("-ABC def")
return redis.error_reply("abc\\r\\n")
return redis.error_reply(1)
return redis.error_reply()
return redis.error_reply("a", "b")
return redis.status_reply("abc")
return redis.status_reply(1)
return redis.sha1hex("")
return redis.sha1hex("abc")
return redis.sha1hex(123)
return redis.sha1hex()
return redis.log(redis.LOG_DEBUG, "x")
return redis.log(1)
return redis.log("x", "y")
return redis.log(9, "y")
return redis.set_repl(redis.REPL_ALL)
return redis.set_repl(9)
return redis.set_repl()
return redis.replicate_commands()
return redis.breakpoint()
return redis.debug("x")
return redis.acl_check_cmd("get", "x")
return {redis.LOG_DEBUG, redis.LOG_VERBOSE, redis.LOG_NOTICE, redis.LOG_WARNING, redis.REPL_ALL}
return x
x = 1
KEYS = 1
redis.x = 1
_G.x = 1
rawset(_G, "x", 1)
setmetatable(_G, {})
getmetatable("").__index = 1
string.rep = 1
table.insert(redis, 1)
return print
return io
return io
return require
return dofile
return getfenv
return debug
return error("x")
error("x")
error("x", 0)
error("x", 2)
error()
error(nil)
error({err = "MY error"})
error({err = "one"})
error(5)
local function f() error("deep") end f()
return {pcall(error, "x")}
return {pcall(error)}
return {pcall(function() error("x") end)}
return {pcall(function() error({err = "t"}) end)}
return {pcall(function() return 1, 2, 3 end)}
return {pcall(function(...) return select("#", ...) end, nil, nil)}
return {xpcall(function() error("y") end, function(e) return e .. "!" end)}
return {xpcall(function() return 7 end, function(e) return e end)}
local n = 0 local function inc() n = n + 1 end inc() pcall(function() error("x") end) inc() return n
local f pcall(function() local z = 5 f = function() z = z + 1 return z end error("y") end) local function g(a, b, c) return f() end return {g(9, 9, 9), g(9, 9, 9)}
assert(false)
assert(false, "msg")
assert(nil, "msg")
return assert(1, 2)
return {assert(1, 2)}
return tostring(nil)
return {tostring(true), tostring(3), tostring(3.5), tostring(-1), tostring(1e15), tostring(1e14), tostring(123456789012345)}
return {tostring(2^53), tostring(2^31), tostring(0.1), tostring(1/3), tostring(1e100), tostring(1e-5), tostring(100)}
return {tostring(1/0), tostring(-1/0), tostring(math.huge)}
return {1 .. "", 1.5 .. "", -0.1 .. "x", 10 .. 20}
return "a" .. "b" .. 1 .. 2
return {tonumber("10"), tonumber("0x10"), tonumber("  5  "), tonumber("1e2"), tonumber("ff", 16), tonumber("z", 36), tonumber("101", 2)}
return {tostring(tonumber("abc")), tostring(tonumber("")), tostring(tonumber("1_0")), tostring(tonumber("1 2")), tostring(tonumber("0x"))}
return tonumber()
return {type(1), type("x"), type(nil), type({}), type(print == nil), type(type)}
return {10 / 2, 7 % 3, -7 % 3, 7 % -3, 2 ^ 10, 7 - 10, 3 * 4}
return {"10" + 5, "3" * "4", 10 .. ""}
return {1 < 2, 1 <= 1, "a" < "b", "a" == "a", 1 == "1", not nil}
return {1 and 2, nil or 3, false and 1, 1 or error("no")}
local t = {} for i = 1, 5 do t[i] = i * i end return t
local t = {} for i = 5, 1, -1 do t[#t + 1] = i end return t
local t = {} for i, v in ipairs({"a", "b", nil, "d"}) do t[#t + 1] = v end return t
local t = {} for k, v in pairs({10, 20, 30}) do t[#t + 1] = k .. "=" .. v end return t
local t = {a = 1} for k, v in pairs(t) do return {k, v} end
local s = 0 for i = 1, 100 do if i % 2 == 0 then s = s + i end end return s
local i = 0 while true do i = i + 1 if i > 10 then break end end return i
local i = 0 repeat i = i + 1 until i >= 10 return i
local a, b, c = (function() return 1, 2, 3 end)() return {a, b, c}
local a, b = 1 return {a, tostring(b)}
local a, b = 1, 2 a, b = b, a return {a, b}
local t = {1, 2} t[1], t[2] = t[2], t[1] return t
local i = 1 local t = {} i, t[i] = i + 1, 20 return {i, t[1]}
local t = {x = 1} t.x, t["y"] = 2, 3 return {t.x, t.y}
local t = {} t[1.5] = "a" t[-1] = "b" t[0] = "c" return {t[1.5], t[-1], t[0], #t}
local t = {1, 2, 3} t[#t] = nil return {#t, t[1], t[2]}
local t = {} t[nil] = 1
local t = {} t[0/0] = 1
local function f(...) local a, b = ... return select("#", ...), a, b end return {f(1, 2, 3)}
local function f(...) return ... end return {f(1, 2), f(3, 4)}
local function fact(n) if n <= 1 then return 1 end return n * fact(n - 1) end return fact(10)
local t = setmetatable({}, {__index = function(t, k) return k .. "!" end}) return t.abc
local t = setmetatable({}, {__newindex = function(t, k, v) rawset(t, k, v * 2) end}) t.x = 5 t[1] = 6 return {t.x, t[1]}
local t = setmetatable({}, {__call = function(self, a) return a + 1 end}) return t(5)
local t = setmetatable({}, {__concat = function(a, b) return "cat" end}) return {t .. "x", "x" .. t, 1 .. t .. 2}
local t = setmetatable({}, {__add = function(a, b) return 42 end, __unm = function() return 7 end, __len = function() return 9 end}) return {t + 1, 1 + t, -t}
local t = setmetatable({}, {__tostring = function() return "me" end}) return tostring(t)
local t = setmetatable({}, {__eq = function() return true end}) return t == setmetatable({}, getmetatable(t))
local t = setmetatable({}, {__lt = function() return true end, __le = function() return false end}) return {t < t, t <= t}
return getmetatable(setmetatable({}, {__metatable = "locked"}))
setmetatable(setmetatable({}, {__metatable = "locked"}), {})
return rawequal("a", "a")
return {rawget({5}, 1), select("#", rawget({}, 1))}
return {select("#"), select("#", nil), select(2, "a", "b", "c")}
return select(-1, 1, 2)
return select(0)
return {unpack({1, 2, 3})}
return {unpack({1, 2, 3}, 2)}
return {unpack({1, 2, 3}, 2, 3)}
return unpack({}, 1, 1e8)
local t = {} for i = 1, 7000 do t[i] = i end return #{unpack(t)}
return next({})
return {next({5})}
return loadstring("return 1 + 1")()
return {loadstring("return 1 +")}
return {loadstring("x x", "name")}
return {pcall(loadstring("error('in it')", "=chunk"))}
return load(function() return nil end) ~= nil
return collectgarbage("count") > 0
return collectgarbage()
return collectgarbage("bad")
return gcinfo() > 0
return _VERSION
return {table.concat({1, 2, 3}), table.concat({1, 2, 3}, ","), table.concat({1, 2, 3}, ",", 2), table.concat({1, 2, 3}, ",", 2, 2), table.concat({})}
return table.concat({1, {}, 3})
return table.concat({1, 2}, ",", 1, 3)
local t = {3, 1, 2} table.sort(t) return t
local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) return t
local t = {"b", "a", "c"} table.sort(t) return t
table.sort({1, "x"})
local t = {1, 2, 3} table.insert(t, 4) table.insert(t, 1, 0) return t
local t = {1, 2, 3} return {table.remove(t), table.remove(t, 1), #t, table.remove({})}
table.insert({}, 1, 2, 3)
return {table.maxn({1, 2, [10] = 1}), table.getn({1, 2})}
table.setn({}, 1)
return {string.len("abc"), ("abc"):len(), #"abc"}
return {string.sub("hello", 2), string.sub("hello", 2, 3), string.sub("hello", -3), string.sub("hello", -3, -2), string.sub("hello", 0), string.sub("hello", 10), ("hello"):sub(2, -2)}
return {string.upper("aBc1"), string.lower("aBc1"), string.reverse("abc"), string.rep("ab", 3), string.rep("x", 0), string.rep("x", -1)}
return {string.byte("abc"), string.byte("abc", 2), string.byte("abc", -1), string.byte("abc", 1, 3)}
return {string.char(72, 105), string.char()}
string.char(256)
return {string.find("hello", "l")}
return {string.find("hello", "xyz")}
return {string.find("hello", "l", 4)}
return {string.find("hello", "(l)(l)")}
return {string.find("a.b", ".", 1, true), string.find("a.b", "%.")}
return {string.find("hello", "")}
return {string.find("hello", "", 10)}
return {string.find("abc", "b", -1), string.find("abc", "()b()")}
return {string.match("key=value", "(%w+)=(%w+)")}
return {string.match("  trim  ", "^%s*(.-)%s*$")}
return {string.match("2024-01-15", "(%d+)-(%d+)-(%d+)")}
return {string.match("abc", "^b"), string.match("abc", "c$"), string.match("abc", "^abc$")}
return {string.match("f(a(b)c)d", "%b()"), string.match("THE (quick) fox", "%((%a+)%)")}
return {string.match("abcabc", "(a)(b)c%1%2"), string.match("x", "[^%s]"), string.match("]", "[]]"), string.match("a-b", "[a%-]+")}
return {string.gsub("THE (quick) fox", "%f[%a]%a+", "X")}
return {string.gsub("hello world", "o", "0")}
return {string.gsub("hello world", "o", "0", 1)}
return {string.gsub("hello world", "(%w+)", "<%1>")}
return {string.gsub("hello", "", "-")}
return {string.gsub("abc", "%w", "%0%0")}
return {string.gsub("abc", "%w", {a = "1", b = true})}
return {string.gsub("abc", "%w", function(c) if c == "b" then return "B" end end)}
return {string.gsub("abc", "a", "%2")}
return {string.gsub("abc", "^a", "x")}
return {string.gsub("aaa", "^a", "x")}
return {string.gsub("abc", "b", "%%")}
return {string.gsub("$name", "%$(%w+)", {name = "me"})}
local t = {} for w in string.gmatch("one two three", "%a+") do t[#t + 1] = w end return t
local t = {} for k, v in string.gmatch("a=1, b=2", "(%w+)=(%w+)") do t[#t + 1] = k .. v end return t
local t = {} for p in string.gmatch("abc", "()") do t[#t + 1] = p end return t
string.find("a", "[a")
string.find("a", "%")
string.find("a", "(a")
string.find("a", "%1")
string.find("a", "a)")
string.find("a", "%b")
string.find("a", "%f")
string.gsub("a", "a", 1 == 1)
return string.format("%d %s %5.2f %x %X %o %c %q %% %i %u", 42, "x", 3.14159, 255, 255, 8, 65, 'a"b\\n', 3, 4)
return string.format("[%5d] [%-5d] [%05d] [%+d] [% d] [%.3d] [%5s] [%-5s] [%.2s]", 42, 42, 42, 42, 42, 7, "ab", "ab", "abcdef")
return string.format("%g %g %g %g %e %E %.3g %G", 0.1, 1e20, 100000, 1e6, 12345.678, 0.00012, 1234.5, 1e-10)
return string.format("%5.1f|%-8.3f|%08.3f|%+.1f|%.0f", 3.14159, 2.5, -2.5, 1.25, 0.5)
return string.format("%s %s", 1, 1.5)
return string.format("%d", "10")
return string.format("%d", "x")
return string.format("%d")
return string.format("%y", 1)
return string.format("%10.123f", 1)
return string.format("%s", {})
return string.format("%x", -1)
return string.format("%#x %#o", 255, 8)
return ("x"):bad()
return string.rep()
return ("x"):rep({})
return {math.floor(3.7), math.floor(-3.7), math.ceil(3.2), math.abs(-4), math.max(1, 5, 3), math.min(4, 2, 8)}
return {tostring(math.sqrt(2)), tostring(math.pi), tostring(math.exp(1)), tostring(math.log(10)), tostring(math.log10(1000)), tostring(math.sin(1))}
return {math.fmod(7, 3), math.fmod(-7, 3), math.mod(7, 3), math.pow(2, 8), math.ldexp(1, 4), math.deg(math.pi), tostring(math.rad(180))}
return {tostring(math.frexp(8)), tostring(select(2, math.frexp(8))), tostring(math.modf(3.7)), tostring(select(2, math.modf(3.7)))}
math.randomseed(7) return {tostring(math.random()), math.random(10), math.random(5, 9), math.random(100), math.random(-5, 5)}
math.randomseed(0) local t = {} for i = 1, 20 do t[i] = math.random(1000) end return t
return math.random(0)
return math.random(5, 1)
return math.random(1, 2, 3)
return math.floor()
return math.floor("x")
return math.floor("3.7")
return {bit.band(255, 15), bit.bor(1, 2, 4), bit.bxor(5, 3), bit.bnot(0), bit.lshift(1, 4), bit.rshift(256, 4), bit.arshift(-256, 4)}
return {bit.tohex(255), bit.tohex(255, 4), bit.tohex(255, -4), bit.tohex(-1), bit.tobit(4294967295), bit.tobit(2147483648), bit.tobit(1.5), bit.tobit(2.5)}
return {bit.rol(305419896, 12), bit.ror(305419896, 12), bit.bswap(305419896), bit.lshift(1, 32), bit.lshift(1, 33), bit.rshift(-1, 28)}
return bit.band()
return bit.band("x")
return cjson.encode({1, 2, 3})
return cjson.encode({})
return cjson.encode({a = 1})
return cjson.encode({{a = 1}, {b = {1, 2}}})
return cjson.encode({true, false, cjson.null})
return cjson.encode("a\\"b\\\\c/d\\b\\t\\n\\f\\r\\1\\127\\200")
return {cjson.encode(1), cjson.encode(1.5), cjson.encode(1e20), cjson.encode(0.1), cjson.encode(-5), cjson.encode(123456789012345)}
return cjson.encode({1, 2, nil, 4})
return cjson.encode({[1] = 1, [3] = 3})
return cjson.encode({[1] = 1, [11] = 1})
return cjson.encode({[1] = 1, [1000] = 1})
return cjson.encode({[0] = 1})
return cjson.encode({[1.5] = 1})
return cjson.encode({[true] = 1})
return cjson.encode(type)
return cjson.encode(1 / 0)
return cjson.encode(0 / 0)
return cjson.encode()
return cjson.encode(1, 2)
local t = {} t[1] = t return cjson.encode(t)
cjson.encode_sparse_array(true) local r = cjson.encode({[1] = 1, [1000] = 1}) cjson.encode_sparse_array(false) return r
return {cjson.encode_sparse_array()}
return {cjson.encode_max_depth(), cjson.decode_max_depth(), cjson.encode_number_precision()}
cjson.encode_number_precision(3) local r = cjson.encode(3.14159) cjson.encode_number_precision(14) return r
cjson.encode_number_precision(99)
cjson.encode_max_depth(2) local r = {pcall(cjson.encode, {{{1}}})} cjson.encode_max_depth(1000) return r
cjson.decode_max_depth(2) local r = {pcall(cjson.decode, "[[[1]]]")} cjson.decode_max_depth(1000) return r
cjson.encode_invalid_numbers(true) local r = cjson.encode(1 / 0) cjson.encode_invalid_numbers(false) return r
cjson.decode_invalid_numbers(false) local r = {pcall(cjson.decode, "0x10")} cjson.decode_invalid_numbers(true) return r
return cjson.decode("[1, 2, 3]")
return cjson.decode('{"a": {"b": [1, 2]}}').a.b
return cjson.decode('"text"')
return {cjson.decode("1"), cjson.decode("-1"), cjson.decode("1e3"), tostring(cjson.decode("1.5")), cjson.decode("0x10"), tostring(cjson.decode("inf")), tostring(cjson.decode("-Infinity"))}
return {cjson.decode("true"), tostring(cjson.decode("false")), cjson.decode("null") == cjson.null, type(cjson.null)}
return cjson.decode("[1, null, 2]")
return cjson.decode("null")
return cjson.decode('"\\\\u0041\\\\u00e9\\\\u20ac\\\\ud83d\\\\ude00\\\\n\\\\/"')
return cjson.decode('"\\\\ud83d"')
return cjson.decode('"\\\\ude00"')
return cjson.decode('"\\\\u00"')
return cjson.decode('"\\\\x"')
return cjson.decode('"abc')
return cjson.decode("")
return cjson.decode("[1, 2")
return cjson.decode("[1 2]")
return cjson.decode("[1,]")
return cjson.decode('{"a" 1}')
return cjson.decode('{"a": }')
return cjson.decode('{"a": 1')
return cjson.decode('{1: 2}')
return cjson.decode("nulx")
return cjson.decode("[1] x")
return cjson.decode("+1")
return cjson.decode("-")
return cjson.decode(".5")
return cjson.decode("01")
return cjson.decode("  [ ]  ")
return cjson.decode(5)
return cjson.decode()
return cjson.decode({})
return cjson.decode(string.rep("[", 2000))
return cjson.encode(cjson.decode('[1,{"a":[]},"x",true,null,1.5]'))
return cmsgpack.pack(1)
return cmsgpack.pack(0, 127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296)
return cmsgpack.pack(-1, -32, -33, -128, -129, -32768, -32769, -2147483648, -2147483649)
return cmsgpack.pack(1.5, 0.1, 1e100, true, false, nil)
return cmsgpack.pack("", "a", string.rep("x", 31), string.rep("x", 32), string.rep("x", 255), string.rep("x", 256))
return cmsgpack.pack({1, 2, 3}, {}, {a = 1})
return cmsgpack.pack({{{{1}}}})
local t = {} t[1] = t return cmsgpack.pack(t)
return {cmsgpack.unpack(cmsgpack.pack(1, "x", {1, 2}, true, nil, 5))}
return {tostring(cmsgpack.unpack(cmsgpack.pack(1.5))), cmsgpack.unpack(cmsgpack.pack(-5))}
return cmsgpack.unpack(cmsgpack.pack({a = {b = "c"}})).a.b
return {cmsgpack.unpack_one(cmsgpack.pack(1, 2, 3))}
return {cmsgpack.unpack_one(cmsgpack.pack(1, 2, 3), 1)}
return {cmsgpack.unpack_one(cmsgpack.pack(1, 2, 3), 2)}
return {cmsgpack.unpack_limit(cmsgpack.pack(1, 2, 3), 2)}
return {cmsgpack.unpack_limit(cmsgpack.pack(1, 2, 3), 2, 1)}
return {cmsgpack.unpack_limit(cmsgpack.pack(1, 2, 3), 0, 0)}
return cmsgpack.unpack_one(cmsgpack.pack(1), 9)
return cmsgpack.unpack_one(cmsgpack.pack(1), -1)
return cmsgpack.unpack("\\193")
return cmsgpack.unpack("\\147\\1")
return {cmsgpack.unpack("")}
return cmsgpack.unpack()
return cmsgpack.pack()
return struct.pack(">I4", 1)
return struct.pack("<I4", 1)
return struct.pack(">bBhHlLi3I5", -1, 255, -2, 65535, -3, 4, -5, 6)
return struct.pack(">fd", 1.5, 2.5)
return struct.pack("sc3c0x", "abc", "abcdef", "z")
return struct.pack("!4 b i4", 1, 2)
return {struct.unpack(">I4", "\\0\\0\\1\\0")}
return {struct.unpack("<hH", "\\255\\255\\255\\255")}
return {struct.unpack(">bBi3", "\\255\\255\\255\\255\\254")}
return {struct.unpack("s", "abc\\0def")}
return {struct.unpack("Bc0", "\\3abcdef")}
return {struct.unpack("c2", "abc", 2)}
return {struct.unpack("xB", "\\1\\2")}
return {tostring(struct.unpack(">d", struct.pack(">d", 0.1))), tostring(struct.unpack("<f", struct.pack("<f", 0.5)))}
return {struct.size(">I4"), struct.size("bhil"), struct.size("!bhil"), struct.size("c10")}
return struct.size("s")
return struct.unpack(">I4", "\\0")
return struct.unpack("s", "abc")
return struct.unpack("c0", "abc")
return struct.unpack(">I4", "abcd", 0)
return struct.pack("Z", 1)
return struct.pack("i99", 1)
return struct.pack("!3", 1)
return struct.pack("c5", "abc")
return struct.pack("=b", 1)
return {struct.unpack("b", "ab", -1)}
return {struct.unpack("c2147483647", "ab")}
return {struct.unpack("c2147483648", "ab")}
return {bit.tobit(1e20), bit.tobit(-1e20), bit.tobit(2 ^ 53 + 2), bit.tobit(0.5), bit.tobit(1 / 0), bit.tobit(-2147483649)}
return {1e100, -1e100, 0 / 0, 2 ^ 63, -2 ^ 63, 1e15, -1.9}
return cjson.decode('"a\0b"')
return cjson.decode('"\\n\0b"')
cjson.encode_invalid_numbers(true) local r = cjson.encode({0 / 0, -(0 / 0), -1 / 0}) cjson.encode_invalid_numbers(false) return r
return {tostring(cmsgpack.unpack("\207\255\255\255\255\255\255\255\255")), tostring(cmsgpack.unpack("\207\127\255\255\255\255\255\255\255"))}
return cmsgpack.unpack("\196\1a")
return cmsgpack.unpack("\198\0\0\0\1a")
local co = coroutine.create(function(a, b) local c = coroutine.yield(a + b) return c * 2 end) local _, x = coroutine.resume(co, 1, 2) local _, y = coroutine.resume(co, 10) return {x, y, coroutine.status(co)}
local f = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) return {f(), f(), f()}
local co = coroutine.create(function() error("in co") end) return {coroutine.resume(co)}
local co = coroutine.create(function() end) coroutine.resume(co) return {coroutine.resume(co)}
return #nil
return {} < {}
return 1 < "x"
for i = "a", 2 do end
local t = {} return t + 1
return {} .. "x"
return 1 +
return 1 = 2
x x
for
if
end
return 'abc
#!lua\nreturn 1
#!lua flags=no-writes\nreturn redis.call("get", KEYS[1])
#!lua flags=no-writes\nreturn redis.call("set", KEYS[1], 1)
#!lua flags=no-writes,allow-oom\nreturn 1
#!lua flags=bad\nreturn 1
#!lua flags=\nreturn 1
#!py\nreturn 1
#!lua name=x\nreturn 1
#!lua
#!lua\n\nerror("third line")
return redis.call("incrby", "{k}n", "x")
return redis.call("zadd", "{k}z", 1.5, "m")
redis.call("zadd", "{k}z", 1.5, "m") return redis.call("zscore", "{k}z", "m")
redis.setresp(3) redis.call("zadd", "{k}z", 1.5, "m") return redis.call("zscore", "{k}z", "m")
redis.setresp(3) redis.call("sadd", "{k}set", "m") return redis.call("smembers", "{k}set")
redis.setresp(3) redis.call("sadd", "{k}set", "m") return redis.call("smembers", "{k}set").set.m
local t = redis.call("hgetall", KEYS[2]) return #t
`), "\n")

// worded are scripts whose errors dkv words otherwise, by their beginning: the
// interpreter does not say the names of variables, and parses in another way.
var worded = []string{
	`return ("x"):bad()`, "for i = ", "local t = {} return t + 1", "return 1 = 2", "x x", "for", "if", "end", "return 'abc",
	`return ("x"):rep({})`, `return {loadstring("x x"`, `return {loadstring("return 1 +`,
}

func TestScripts(t *testing.T) {
	p := startPair(t)
	for _, proto := range []string{"2", "3"} {
		redis, dkv := p.redis.Dial(t), p.dkv.Dial(t)
		for _, c := range []*harness.TestConn{redis, dkv} {
			c.Do("HELLO", proto)
		}
		for _, script := range scripts {
			script = strings.NewReplacer(`\\`, `\`, `\n`, "\n").Replace(script)
			var replies [2]harness.Reply
			for i, c := range []*harness.TestConn{redis, dkv} {
				c.Do("DEL", "{k}1", "{k}2", "{k}3", "{k}n", "{k}z", "{k}set")
				c.Do("SET", "{k}1", "v1")
				c.Do("HSET", "{k}2", "f1", "x", "f2", "y")
				replies[i] = c.Do("EVAL", script, "2", "{k}1", "{k}2", "a1", "a2")
			}
			if string(replies[0].Raw) == string(replies[1].Raw) {
				continue
			}
			if isWorded(script) && replies[0].IsError() && replies[1].IsError() {
				continue
			}
			t.Errorf("RESP%s: %s\n redis: %s\n dkv:   %s", proto, script, replies[0], replies[1])
		}
	}
}

func isWorded(script string) bool {
	for _, w := range worded {
		if strings.HasPrefix(script, w) {
			return true
		}
	}
	return false
}

// functionCommands are run one after the other; \n is a new line, | separates arguments.
var functionCommands = strings.Split(strings.TrimSpace(`
FUNCTION|FLUSH
FUNCTION|LIST
FUNCTION|STATS
FUNCTION|LOAD|#!lua name=lib1\nredis.register_function("f1", function(keys, args) return {keys, args} end)
FUNCTION|LOAD|#!lua name=lib1\nredis.register_function("f1", function(keys, args) return 1 end)
FUNCTION|LOAD|#!lua name=lib2\nredis.register_function("f1", function(keys, args) return 1 end)
FUNCTION|LOAD|REPLACE|#!lua name=lib2\nredis.register_function("f1", function(keys, args) return 1 end)
FUNCTION|LOAD|BAD|#!lua name=lib2\nredis.register_function("f9", function(keys, args) return 1 end)
FCALL|f1|1|a|b
FCALL|f1|0
FCALL|f1|3|a|b
FCALL|f1|x
FCALL|f1|-1
FCALL|nosuch|0
FCALL|nosuch|x
FCALL_RO|f1|0
FUNCTION|LIST
FUNCTION|LIST|WITHCODE
FUNCTION|LIST|LIBRARYNAME|lib*
FUNCTION|LIST|LIBRARYNAME|x*
FUNCTION|LIST|LIBRARYNAME
FUNCTION|LIST|bad
FUNCTION|STATS
FUNCTION|LOAD|REPLACE|#!lua name=lib1\nredis.register_function{function_name="f2", callback=function(keys, args) return redis.call("set", "{k}1", 1) end, flags={"no-writes"}, description="d"}
FUNCTION|LIST
FCALL|f1|0
FCALL|f2|1|{k}1
FCALL_RO|f2|1|{k}1
FUNCTION|LOAD|REPLACE|#!lua name=lib1\nredis.register_function{function_name="g", callback=function(keys, args) return redis.call("get", keys[1]) end, flags={"no-writes"}}
SET|{k}1|v
FCALL_RO|g|1|{k}1
FCALL|g|1|{k}1
FUNCTION|LOAD|REPLACE|#!lua name=lib1\nlocal n = 0 redis.register_function("cnt", function() n = n + 1 return n end)
FCALL|cnt|0
FCALL|cnt|0
FUNCTION|LOAD|#!lua name=errs\nredis.register_function("e1", function() foo() end)\nredis.register_function("e2", function() return redis.call("nosuch") end)\nredis.register_function("e3", function() x = 1 end)\nredis.register_function("e4", function() error("boom") end)\nredis.register_function("e5", function() return KEYS end)
FCALL|e1|0
FCALL|e2|0
FCALL|e3|0
FCALL|e4|0
FCALL|e5|0
FUNCTION|LOAD|return 1
FUNCTION|LOAD|#!lua
FUNCTION|LOAD|#!lua\n
FUNCTION|LOAD|#!lua nam=x\nreturn 1
FUNCTION|LOAD|#!lua name=x\nreturn 1
FUNCTION|LOAD|#!lua name=x-y\nreturn 1
FUNCTION|LOAD|#!lua name=x name=y\nreturn 1
FUNCTION|LOAD|#!py name=x\nreturn 1
FUNCTION|LOAD|#!lua name=x\nreturn 1+
FUNCTION|LOAD|#!lua name=x\nfoo()
FUNCTION|LOAD|#!lua name=x\nredis.call("ping")
FUNCTION|LOAD|#!lua name=x\nerror("boom")
FUNCTION|LOAD|#!lua name=x\nredis.register_function("a-b", function() end)
FUNCTION|LOAD|#!lua name=x\nredis.register_function("f1x")
FUNCTION|LOAD|#!lua name=x\nredis.register_function("f1x", 1)
FUNCTION|LOAD|#!lua name=x\nredis.register_function(1, 2, 3)
FUNCTION|LOAD|#!lua name=x\nredis.register_function{function_name="q"}
FUNCTION|LOAD|#!lua name=x\nredis.register_function{callback=function() end}
FUNCTION|LOAD|#!lua name=x\nredis.register_function{function_name="q", callback=function() end, flags={"bad"}}
FUNCTION|LOAD|#!lua name=x\nredis.register_function{function_name="q", callback=function() end, flags=1}
FUNCTION|LOAD|#!lua name=x\nredis.register_function{function_name="q", callback=function() end, foo=1}
FUNCTION|LOAD|#!lua name=x\nredis.register_function("q", function() end) redis.register_function("q", function() end)
FUNCTION|DELETE|nosuch
FUNCTION|DELETE|errs
FUNCTION|DELETE|lib1
FUNCTION|LIST
FUNCTION|KILL
FUNCTION|FLUSH|bad
FUNCTION|FLUSH|SYNC
FUNCTION|RESTORE|bad
FUNCTION|RESTORE|bad|foo
FUNCTION|HELP
SCRIPT|HELP
SCRIPT|EXISTS|x
SCRIPT|KILL
SCRIPT|DEBUG|x
SCRIPT|FLUSH|x
EVALSHA|x|0
EVALSHA|x|y
EVAL|return redis.call("fcall", "x", 0)|0
MULTI
EVAL|return 1|0
EXEC
`), "\n")

func TestFunctions(t *testing.T) {
	p := startPair(t)
	redis, dkv := p.redis.Dial(t), p.dkv.Dial(t)
	for _, line := range functionCommands {
		words := strings.Split(strings.ReplaceAll(line, `\n`, "\n"), "|")
		a, b := redis.Do(words...), dkv.Do(words...)
		if string(a.Raw) != string(b.Raw) {
			t.Errorf("%s\n redis: %s\n dkv:   %s", line, a, b)
		}
	}
}

// What one server dumps the other restores.
func TestFunctionDump(t *testing.T) {
	p := startPair(t)
	redis, dkv := p.redis.Dial(t), p.dkv.Dial(t)
	code := "#!lua name=lib\n" + strings.Repeat("-- a comment that can be compressed well\n", 20) +
		"redis.register_function('f', function(keys, args) return args end)"
	for _, from := range []*harness.TestConn{redis, dkv} {
		to := dkv
		if from == dkv {
			to = redis
		}
		from.Do("FUNCTION", "FLUSH")
		from.Do("FUNCTION", "LOAD", code)
		dump := from.Do("FUNCTION", "DUMP")
		to.Do("FUNCTION", "FLUSH")
		for _, c := range []struct{ policy, want string }{
			{"APPEND", "+OK\r\n"}, {"APPEND", "-ERR Library lib already exists\r\n"}, {"REPLACE", "+OK\r\n"}, {"FLUSH", "+OK\r\n"},
		} {
			if got := to.Do("FUNCTION", "RESTORE", string(dump.Str), c.policy); string(got.Raw) != c.want {
				t.Errorf("%s: %s", c.policy, got)
			}
		}
		if got := to.Do("FCALL", "f", "0", "x"); string(got.Raw) != "*1\r\n$1\r\nx\r\n" {
			t.Errorf("%s", got)
		}
	}
}
