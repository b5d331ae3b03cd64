package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dkv/cluster"
	"dkv/cluster/slot"
	"dkv/engine/keyspace"
)

// eval runs a script with some keys and arguments: the first of rest is the number
// of keys.
func (c *client) eval(script string, rest ...string) string {
	c.t.Helper()
	return c.do(append([]string{"EVAL", script}, rest...)...)
}

const incrScript = "return redis.call('incr', KEYS[1])"

func TestEvalInTransactionsAndPipelines(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	c.send(request("EVAL", incrScript, "1", "n") + request("INCR", "n") + request("EVAL", incrScript, "1", "n"))
	c.expect(":1\r\n:2\r\n:3\r\n")
	get := request("EVAL_RO", "return redis.call('get', KEYS[1])", "1", "n")
	c.send(request("MULTI") + request("EVAL", incrScript, "1", "n") + request("GET", "n") + get + request("EXEC"))
	c.expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n:4\r\n$1\r\n4\r\n$1\r\n4\r\n")
	c.send(request("MULTI") + get + request("EXEC"))
	c.expect("+OK\r\n+QUEUED\r\n*1\r\n$1\r\n4\r\n")
	c.roundTrip(request("WATCH", "n"), "+OK\r\n")
	if got := dial(t, s).eval(incrScript, "1", "n"); got != ":5\r\n" {
		t.Fatal(got)
	}
	c.send(request("MULTI") + request("PING") + request("EXEC"))
	c.expect("+OK\r\n+QUEUED\r\n*-1\r\n")
}

// What a failed script has written stays, as in Redis, also within a transaction.
func TestEvalErrorKeepsWrites(t *testing.T) {
	c := dial(t, startServer(t))
	if got := c.eval("redis.call('set', KEYS[1], 1) error('x')", "1", "a"); !strings.HasPrefix(got, "-ERR user_script:1: x script: ") {
		t.Errorf("%q", got)
	}
	if got := c.do("GET", "a"); got != "$1\r\n1\r\n" {
		t.Errorf("a: %q", got)
	}
	if got := c.eval("redis.call('set', KEYS[1], 2) redis.call('hset', KEYS[1], 1)", "1", "a"); !strings.Contains(got, "Wrong number of args") {
		t.Errorf("%q", got)
	}
	if got := c.do("GET", "a"); got != "$1\r\n2\r\n" {
		t.Errorf("a: %q", got)
	}
	if got := c.do("INFO", "errorstats"); !strings.Contains(got, "errorstat_ERR:count=2") {
		t.Errorf("%q", got)
	}
}

func TestScriptCommands(t *testing.T) {
	c := dial(t, startServer(t))
	const sha = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db" // of return 1
	for _, tc := range []struct{ request, want string }{
		{"EVALSHA " + sha + " 0", "-NOSCRIPT No matching script. Please use EVAL.\r\n"},
		{"SCRIPT|LOAD|return 1", "$40\r\n" + sha + "\r\n"},
		{"EVALSHA " + sha + " 0", ":1\r\n"},
		{"EVALSHA " + strings.ToUpper(sha) + " 0", ":1\r\n"},
		{"EVALSHA_RO " + sha + " 0", ":1\r\n"},
		{"SCRIPT EXISTS " + sha + " x", "*2\r\n:1\r\n:0\r\n"},
		{"SCRIPT FLUSH SYNC", "+OK\r\n"},
		{"SCRIPT EXISTS " + sha, "*1\r\n:0\r\n"},
		{"EVALSHA " + sha + " 0", "-NOSCRIPT No matching script. Please use EVAL.\r\n"},
		{"EVAL|return 1|0", ":1\r\n"},
		{"EVALSHA " + sha + " 0", ":1\r\n"},
		{"SCRIPT FLUSH SYNC more", "-ERR SCRIPT FLUSH only support SYNC|ASYNC option\r\n"},
		{"SCRIPT FLUSH bad", "-ERR SCRIPT FLUSH only support SYNC|ASYNC option\r\n"},
		{"SCRIPT LOAD #!lua", "-ERR Invalid script shebang\r\n"},
		{"SCRIPT KILL", "-NOTBUSY No scripts in execution right now.\r\n"},
		{"SCRIPT DEBUG x", "-ERR Use SCRIPT DEBUG YES/SYNC/NO\r\n"},
		{"SCRIPT DEBUG NO", "+OK\r\n"},
		{"EVAL|return|x", "-ERR value is not an integer or out of range\r\n"},
		{"EVAL|return|-1", "-ERR Number of keys can't be negative\r\n"},
		{"EVAL|return|1", "-ERR Number of keys can't be greater than number of args\r\n"},
		{"EVAL_RO|return redis.call('set', KEYS[1], 1)|1|a", "-ERR Write commands are not allowed from read-only scripts. script: 5cd4a0b78e63ea54b60c52f0e0a5d4d7b4d6d7ba, on @user_script:1.\r\n"},
	} {
		words := strings.Split(tc.request, "|")
		if len(words) == 1 {
			words = strings.Fields(tc.request)
		}
		got := c.do(words...)
		if at := strings.Index(tc.want, " script: "); at > 0 {
			if !strings.HasPrefix(got, tc.want[:at]) {
				t.Errorf("%s: %q", tc.request, got)
			}
			continue
		}
		if got != tc.want {
			t.Errorf("%s: %q", tc.request, got)
		}
	}
}

// SCRIPT LOAD is data: another server on the same node knows the script.
func TestLoadedScriptsAreData(t *testing.T) {
	node, err := cluster.Open(cluster.Options{Diskless: true, Shards: 4})
	if err != nil {
		t.Fatal(err)
	}
	s := serveNode(t, node)
	c := dial(t, s)
	sha := strings.Split(c.do("SCRIPT", "LOAD", incrScript), "\r\n")[1]
	s.scripts.Forget() // as a node that leads from now on
	for i := range 20 {
		if got := c.do("EVALSHA", sha, "1", fmt.Sprint("key", i)); got != ":1\r\n" {
			t.Fatalf("key %d: %q", i, got)
		}
		s.scripts.Forget()
	}
	if got := c.do("FLUSHALL"); got != "+OK\r\n" {
		t.Fatal(got)
	}
	if got := c.do("SCRIPT", "EXISTS", sha); got != "*1\r\n:1\r\n" {
		t.Errorf("after FLUSHALL: %q", got)
	}
	c.do("SCRIPT", "FLUSH")
	for i := range 20 {
		if got := c.do("EVALSHA", sha, "1", fmt.Sprint("key", i)); !strings.HasPrefix(got, "-NOSCRIPT") {
			t.Fatalf("key %d after the flush: %q", i, got)
		}
	}
}

// Keys of another shard are refused, declared or not.
func TestScriptsKeepToTheirShard(t *testing.T) {
	node, err := cluster.Open(cluster.Options{Diskless: true, Shards: 4})
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, serveNode(t, node))
	slots := slot.NewMap(4)
	other := ""
	for i := 0; other == ""; i++ {
		if key := fmt.Sprint("k", i); slots.ShardOf(keyspace.SlotOf([]byte(key))) != slots.ShardOf(keyspace.SlotOf([]byte("a"))) {
			other = key
		}
	}
	if got := c.eval("return redis.call('set', ARGV[1], 1)", "1", "a", other); !strings.HasPrefix(got, "-ERR Script attempted to access a non local key in a cluster node script: ") {
		t.Errorf("undeclared: %q", got)
	}
	if got := c.eval("return 1", "2", "a", other); !strings.HasPrefix(got, "-CROSSSLOT") {
		t.Errorf("declared: %q", got)
	}
	if got := c.eval("return redis.call('set', KEYS[1], ARGV[1])", "1", other, "x"); got != "+OK\r\n" {
		t.Errorf("own: %q", got)
	}
}

// While a script runs for too long, others are told, and SCRIPT KILL ends it.
func TestSlowScript(t *testing.T) {
	s := startServer(t, "lua-time-limit", "20")
	slow, other, third := dial(t, s), dial(t, s), dial(t, s)
	busy := "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n"
	slow.send(request("EVAL", "while true do end", "0"))
	eventually(t, "the server is busy", func() bool { return other.do("PING") == busy })
	for _, words := range [][]string{{"SET", "a", "1"}, {"GET", "a"}, {"EVAL", "return 1", "0"}, {"DBSIZE"}} {
		if got := other.do(words...); got != busy {
			t.Errorf("%s: %q", words, got)
		}
	}
	if got := other.do("FUNCTION", "KILL"); got != busy {
		t.Errorf("FUNCTION KILL: %q", got)
	}
	if got := third.do("SCRIPT", "KILL"); got != "+OK\r\n" {
		t.Errorf("SCRIPT KILL: %q", got)
	}
	if got := slow.reply(); !strings.HasPrefix(got, "-ERR Script killed by user with SCRIPT KILL.") {
		t.Errorf("the script: %q", got)
	}
	if got := other.do("SET", "a", "1"); got != "+OK\r\n" {
		t.Errorf("after it: %q", got)
	}
}

// What waits in the queue when a script becomes slow is refused, too.
func TestSlowScriptRefusesTheQueue(t *testing.T) {
	s := startServer(t, "lua-time-limit", "200")
	slow, other := dial(t, s), dial(t, s)
	slow.send(request("EVAL", "while true do end", "0"))
	eventually(t, "the script runs", func() bool { return s.scripts.Running() == 1 })
	if got := other.do("SET", "a", "1"); !strings.HasPrefix(got, "-BUSY") {
		t.Errorf("%q", got)
	}
	if got := other.do("SCRIPT", "KILL"); got != "+OK\r\n" {
		t.Errorf("%q", got)
	}
	slow.reply()
}

func TestScriptThatHasWrittenCannotBeKilled(t *testing.T) {
	s := startServer(t, "lua-time-limit", "20")
	slow, other := dial(t, s), dial(t, s)
	slow.send(request("EVAL", "redis.call('set', KEYS[1], 1) while true do end", "1", "a"))
	eventually(t, "the server is busy", func() bool { return strings.HasPrefix(other.do("PING"), "-BUSY") })
	if got := other.do("SCRIPT", "KILL"); !strings.HasPrefix(got, "-UNKILLABLE Sorry the script already executed write commands") {
		t.Errorf("%q", got)
	}
	// The server can be closed all the same: Cleanup does, and waits.
}

// A script that says it only reads sees one state, whatever is written meanwhile.
func TestReadingScriptSeesOneState(t *testing.T) {
	s := startServer(t)
	c, other := dial(t, s), dial(t, s)
	c.do("SET", "n", "0")
	c.send(request("EVAL", "#!lua flags=no-writes\nlocal n = redis.call('get', KEYS[1]) for i = 1, 1e6 do "+
		"if redis.call('get', KEYS[1]) ~= n then return 'changed' end if i > 1000 then return 'same' end end", "1", "n"))
	for range 200 {
		other.do("INCR", "n")
	}
	if got := c.reply(); got != "$4\r\nsame\r\n" {
		t.Errorf("%q", got)
	}
}

// A script that only reads runs beside the writer: others go on.
func TestSlowReaderStopsNobody(t *testing.T) {
	s := startServer(t, "lua-time-limit", "20")
	slow, other := dial(t, s), dial(t, s)
	slow.send(request("EVAL_RO", "while true do end", "0"))
	eventually(t, "the script is slow", s.scripts.Slow)
	if got := other.do("SET", "a", "1"); got != "+OK\r\n" {
		t.Errorf("%q", got)
	}
	if got := other.do("SCRIPT", "KILL"); got != "+OK\r\n" {
		t.Errorf("%q", got)
	}
	if got := slow.reply(); !strings.HasPrefix(got, "-ERR Script killed") {
		t.Errorf("%q", got)
	}
}

// These end by the limit of memory alone: nobody kills them.
func TestScriptMemoryLimit(t *testing.T) {
	limit := "16mb"
	if testing.Short() {
		limit = "4mb"
	}
	s := startServer(t, "lua-memory-limit", limit)
	c := dial(t, s)
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for _, script := range []string{
		"local s = 'x' while true do s = s .. s end",
		"local t = {} while true do t[#t + 1] = {} end",
		"local t = {} while true do t[#t + 1] = {a = 1} end",
		"local t = {} while true do t[#t + 1] = 'x' .. #t end",
		"local t, i = {}, 0 while true do i = i + 1 t['k' .. i] = 1 t['k' .. i] = nil end",
		"local t = {} while true do t[#t + 1] = function() return t end end",
		"local t = {} while true do t[#t + 1] = coroutine.create(function() end) end",
		"local t = {} while true do local u = {} u[5e5] = 1 t[#t + 1] = u end",
		"local t = {} for i = 1, 60 do t = {t, t} end return t",
		"local t = {} for i = 1, 60 do t = {t, t} end return cjson.encode(t)",
		"local t = {} while true do t[#t + 1] = redis.call('echo', string.rep('x', 1000)) end",
		"local t = {} while true do t[#t + 1] = cjson.decode('[1,2,{}]') end",
		"local s = string.rep('x', 100) while true do local ok, e = pcall(function() local t = {} while true do t[#t + 1] = s .. #t end end) end",
	} {
		began := time.Now()
		got := c.eval(script, "0")
		t.Logf("%.80s: %v", script, time.Since(began))
		if !strings.HasPrefix(got, "-ERR The script needs more memory than lua-memory-limit allows") {
			t.Errorf("%s: %.200q", script, got)
		}
	}
}

// None of these stops the node, or takes more memory than it may.
func TestScriptBombs(t *testing.T) {
	// patience is how long a bomb may burn before it is put out.
	limit, patience := "64mb", 300*time.Millisecond
	if testing.Short() {
		limit, patience = "16mb", 100*time.Millisecond
	}
	s := startServer(t, "lua-memory-limit", limit, "lua-time-limit", "100")
	c, other := dial(t, s), dial(t, s)
	for _, x := range []*client{c, other} {
		if err := x.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	for _, script := range []string{
		"local s = 'x' while true do s = s .. s end",
		"local s = 'x' while true do s = s .. 'yyyyyyyyyyyyyyyy' end",
		"return string.rep('x', 1e9)",
		"return string.rep('x', 1e18)",
		"return string.rep(string.rep('x', 1e6), 1e6)",
		"local t = {} while true do t[#t + 1] = {} end",
		"local t = {} while true do t[#t + 1] = {a = 1} end",
		"local t = {} while true do t[#t + 1] = 'x' .. #t end",
		"local t = {} while true do local u = {} u[2e6] = 1 t[#t + 1] = u end",
		"local t = {} while true do t[#t + 1] = {[2e6] = 1} end",
		"local t, i = {}, 0 while true do i = i + 1 t['k' .. i] = 1 t['k' .. i] = nil end",
		"local t = {} while true do t[#t + 1] = function() return t end end",
		"local t = {} while true do t[#t + 1] = coroutine.create(function() end) end",
		"local function f() return f() + 1 end return f()",
		"local t = setmetatable({}, {}) getmetatable(t).__index = function(_, k) return t[k + 1] end return t[1]",
		"local function f() pcall(f) f() end f()",
		"local function f() return coroutine.wrap(f)() end return f()",
		"local t = {} for i = 1, 60 do t = {t, t} end return t",
		"local t = {} t[1] = t return t",
		"local t = {} for i = 1, 60 do t = {t, t} end return cjson.encode(t)",
		"local t = {} for i = 1, 15 do t = {t, t, t, t, t, t} end return cmsgpack.pack(t)",
		"local s = string.rep('[', 5e5) return cjson.decode(s)",
		"cjson.decode_max_depth(10000) return cjson.decode(string.rep('[', 9999) .. string.rep(']', 9999))",
		"return cmsgpack.unpack(string.rep('\\145', 1e6))",
		"return cmsgpack.unpack('\\221\\255\\255\\255\\255')",
		"return struct.pack(string.rep('c0', 1000), unpack({string.rep('x', 1e6)}))",
		"return struct.pack('i32' .. string.rep('!8', 100), 1) .. struct.unpack('c999999999', 'x')",
		"return string.format(string.rep('%99d', 10000), 1)",
		"return (string.gsub(string.rep('x', 1e5), 'x', string.rep('y', 1e5)))",
		"return string.find(string.rep('a', 40) .. 'b', string.rep('a-', 40) .. 'c')",
		"return string.find(string.rep('a', 1e5), '.-.-.-.-b')",
		"return string.find(string.rep('(', 1e6), string.rep('(', 30))",
		"return string.match(string.rep('x', 1e6), string.rep('(x', 5000))",
		"return table.concat({string.rep('x', 3e7), string.rep('x', 3e7), string.rep('x', 3e7)})",
		"local t = {} for i = 1, 1e6 do t[i] = i end table.sort(t, function(a, b) return true end) while true do end",
		"return loadstring(string.rep('(', 1e5))",
		"return loadstring('return ' .. string.rep('{', 1e5) .. string.rep('}', 1e5))",
		"return loadstring('return ' .. string.rep('-', 1e5) .. '1')",
		"return loadstring('return ' .. string.rep('not ', 1e5) .. '1')",
		"return loadstring('return 1' .. string.rep(' + 1', 1e5))",
		"return loadstring('return 1' .. string.rep('..1', 1e5))",
		"return loadstring(string.rep('if x then ', 1e5))",
		"return loadstring(string.rep('do ', 1e5) .. string.rep('end ', 1e5))",
		"return loadstring('return ' .. string.rep('f(', 1e5))",
		"return loadstring('x = a' .. string.rep('.a', 1e5))",
		"return loadstring('return a' .. string.rep('()', 1e5))",
		"local s = 'local a = 1 ' return loadstring(string.rep(s, 1e4))",
		"while true do redis.call('set', KEYS[1], string.rep('x', 1e6)) end",
		"while true do redis.call('append', KEYS[1], string.rep('x', 1e6)) end",
		"local t = {} while true do t[#t + 1] = redis.call('echo', string.rep('x', 1e6)) end",
		"return unpack({}, 1, 1e7)",
		"local t = {} for i = 1, 7000 do t[i] = i end local function f(...) return f(1, ...) end return f(unpack(t))",
		"return string.byte(string.rep('x', 1e7), 1, -1)",
		"local co co = coroutine.create(function() return coroutine.resume(co) end) return {coroutine.resume(co)}",
		"return coroutine.wrap(pcall)(error)",
		"return xpcall(error, error)",
		"return select('#', table.concat({}, 'x', -1e9, 1e9))",
	} {
		done := make(chan string, 1)
		began := time.Now()
		go func() { done <- c.eval(script, "1", "bomb") }()
		for ended := false; !ended; {
			select {
			case reply := <-done:
				ended = true
				t.Logf("%.80s: %v, %.120q", script, time.Since(began), reply)
			default:
				if strings.HasPrefix(other.do("PING"), "-BUSY") && time.Since(began) > patience {
					other.do("SCRIPT", "KILL")
					if used := s.memory().heapLive; used > 1<<30 {
						t.Errorf("%.80s: %d bytes live", script, used)
					}
				}
			}
		}
		if got := other.do("PING"); got != "+PONG\r\n" {
			t.Fatalf("after %.80s: %q", script, got)
		}
	}
}

// Every shard has the libraries, and calls go on side by side.
func TestFunctionsInShards(t *testing.T) {
	s := startShards(t, 4)
	c := dial(t, s)
	const code = "#!lua name=lib\nredis.register_function('add', function(keys, args) return redis.call('incrby', keys[1], args[1]) end)"
	c.roundTrip(request("FUNCTION", "LOAD", code), "$3\r\nlib\r\n")
	done := make(chan string)
	for i := range 4 {
		other := dial(t, s)
		go func() {
			bad := ""
			for j := range 50 {
				if got := other.do("FCALL", "add", "1", fmt.Sprint("key", i, ":", j), "7"); got != ":7\r\n" {
					bad = got
				}
			}
			done <- bad
		}()
	}
	for range 4 {
		if bad := <-done; bad != "" {
			t.Error(bad)
		}
	}
	c.roundTrip(request("FUNCTION", "DELETE", "lib"), "+OK\r\n")
	for j := range 20 {
		if got := c.do("FCALL", "add", "1", fmt.Sprint("key", j), "7"); got != "-ERR Function not found\r\n" {
			t.Errorf("%q", got)
		}
	}
}
