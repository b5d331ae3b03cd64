package server

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Scripts may call what looks at the server; DEBUG and CLIENT LIST only when that is
// switched on.
func TestScriptsCallServerCommands(t *testing.T) {
	c := dial(t, startServer(t))
	for _, tc := range []struct{ script, want string }{
		{"return redis.call('wait', 1, 0)", ":0\r\n"},
		{"return redis.pcall('wait', 'x', 0)", "-ERR value is not an integer or out of range"},
		{"return string.find(redis.call('info', 'server'), 'redis_version') > 0", ":1\r\n"},
		{"return redis.call('command', 'count') > 200", ":1\r\n"},
		{"return redis.call('command', 'getkeys', 'set', 'a', 'b')", "*1\r\n$1\r\na\r\n"},
		{"return redis.call('pubsub', 'numpat')", ":0\r\n"},
		{"return #redis.call('client', 'help') > 3", ":1\r\n"},
		{"return redis.call('lastsave') > 0", ":1\r\n"},
		{"return redis.call('debug', 'protocol', 'true')", "-ERR This Redis command is not allowed from script"},
		{"return redis.call('client', 'list')", "-ERR This Redis command is not allowed from script"},
		{"return redis.call('config', 'get', 'port')", "-ERR This Redis command is not allowed from script"},
		{"return redis.call('XREAD', 'BLOCK', 0, 'STREAMS', 's', '$')", "-ERR XREAD command is not allowed with BLOCK option from scripts"},
		{"return redis.call('sadd', 's', 'b', 'a', 'c') and redis.call('sort', 's', 'by', 'nosort')", "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n"},
		{"local a = {} for i = 1, 7999 do a[i] = 1 end return redis.call('rpush', 'l', unpack(a))", ":7999\r\n"},
		{"local a = {} for i = 1, 8000 do a[i] = 1 end return redis.call('rpush', 'l', unpack(a))", "-ERR user_script:1: too many results to unpack"},
		{"getmetatable(_G).__index = {}", "-ERR user_script:1: Attempt to modify a readonly table"},
		{"return tostring(getmetatable(redis))", "$3\r\nnil\r\n"},
	} {
		if got := c.eval(tc.script, "0"); !strings.HasPrefix(got, tc.want) {
			t.Errorf("%s: %.200q", tc.script, got)
		}
	}
	c.roundTrip(request("DEBUG", "SET-DISABLE-DENY-SCRIPTS", "1"), "+OK\r\n")
	for _, tc := range []struct{ script, want string }{
		{"redis.setresp(3) return redis.call('debug', 'protocol', 'double')", "$5\r\n3.141\r\n"},
		{"return redis.call('debug', 'protocol', 'bignum')", "$37\r\n"},
		{"redis.setresp(3) return redis.call('debug', 'protocol', 'attrib')", "$39\r\nSome real reply following the attribute\r\n"},
		{"return redis.pcall('debug', 'object', 'x')", "-ERR This Redis command is not allowed from script"},
		{"return redis.pcall('debug', 'protocol')", "-ERR unknown subcommand or wrong number of arguments for 'protocol'"},
		{"return redis.pcall('config', 'get', 'port')", "-ERR This Redis command is not allowed from script"},
		{"return string.find(redis.call('client', 'list'), 'addr=') > 0", ":1\r\n"},
		// The clock stands still while a script runs.
		{"local a = redis.call('time') redis.call('debug', 'sleep', '0.02') local b = redis.call('time') return a[1] == b[1] and a[2] == b[2]", ":1\r\n"},
	} {
		if got := c.eval(tc.script, "0"); !strings.HasPrefix(got, tc.want) {
			t.Errorf("%s: %.200q", tc.script, got)
		}
	}
	c.roundTrip(request("DEBUG", "SET-DISABLE-DENY-SCRIPTS", "0"), "+OK\r\n")
	if got := c.eval("return redis.call('debug', 'protocol', 'true')", "0"); !strings.HasPrefix(got, "-ERR This Redis command is not allowed") {
		t.Errorf("%q", got)
	}
}

// A script that sleeps ends when it is killed.
func TestKillSleepingScript(t *testing.T) {
	s := startServer(t, "busy-reply-threshold", "10")
	c, other := dial(t, s), dial(t, s)
	c.roundTrip(request("DEBUG", "SET-DISABLE-DENY-SCRIPTS", "1"), "+OK\r\n")
	began := time.Now()
	c.send(request("EVAL", "return redis.pcall('debug', 'sleep', '1000')", "0"))
	eventually(t, "the script is slow", func() bool { return strings.HasPrefix(other.do("GET", "a"), "-BUSY") })
	other.roundTrip(request("SCRIPT", "KILL"), "+OK\r\n")
	if got := c.reply(); !strings.HasPrefix(got, "-ERR Script killed by user with SCRIPT KILL.") || time.Since(began) > time.Minute {
		t.Errorf("%q after %v", got, time.Since(began))
	}
}

// The names of functions have no case; FLUSH takes one argument.
func TestFunctionNames(t *testing.T) {
	c := dial(t, startServer(t))
	lib := "#!lua name=l\nredis.register_function('F', function() return 1 end)"
	if got := c.do("FUNCTION", "LOAD", lib); got != "$1\r\nl\r\n" {
		t.Fatal(got)
	}
	for _, tc := range []struct{ request, want string }{
		{"FCALL f 0", ":1\r\n"},
		{"FCALL F 0", ":1\r\n"},
		{"FUNCTION FLUSH sync x", "-ERR unknown subcommand or wrong number of arguments for 'FLUSH'. Try FUNCTION HELP.\r\n"},
		{"FUNCTION FLUSH x", "-ERR FUNCTION FLUSH only supports SYNC|ASYNC option\r\n"},
		{"SCRIPT FLUSH sync x", "-ERR SCRIPT FLUSH only support SYNC|ASYNC option\r\n"},
	} {
		if got := c.do(strings.Fields(tc.request)...); got != tc.want {
			t.Errorf("%s: %q", tc.request, got)
		}
	}
	for code, want := range map[string]string{
		"#! name=x\n": "-ERR Engine '' not found\r\n",
		"#!lua name=\"q\"\nredis.register_function('g', function() return 1 end)":       "$1\r\nq\r\n",
		"#!lua name='r'\nredis.register_function('h', function() return 1 end)":         "$1\r\nr\r\n",
		"#!lua name=\"s\nredis.register_function('g', function() return 1 end)":         "-ERR Invalid library metadata\r\n",
		"#!lua name=\"s\"t\nredis.register_function('g', function() return 1 end)":      "-ERR Invalid library metadata\r\n",
		"#!lua name=s foo=\"b\"\nredis.register_function('g', function() return 1 end)": "-ERR Invalid metadata value given: foo=b\r\n",
	} {
		if got := c.do("FUNCTION", "LOAD", code); got != want {
			t.Errorf("%s: %q", code, got)
		}
	}
	other := strings.NewReplacer("name=l", "name=m", "'F'", "'f'").Replace(lib)
	if got := c.do("FUNCTION", "LOAD", other); got != "-ERR Function f already exists\r\n" {
		t.Errorf("%q", got)
	}
	for range 3 {
		c.eval("return 1", "0")
	}
	if got := c.do("INFO", "memory"); !strings.Contains(got, "number_of_cached_scripts:1\r\n") {
		t.Errorf("%q", got)
	}
}

// What a script calls is counted and shown to monitors, after the script itself; an
// error is counted once.
func TestScriptCallsAreCounted(t *testing.T) {
	s := startServer(t)
	c, m := dial(t, s), dial(t, s)
	c.roundTrip(request("CONFIG", "RESETSTAT"), "+OK\r\n")
	c.eval("redis.call('set', KEYS[1], 1) redis.pcall('hget', KEYS[1], 'f') redis.pcall('set', 'x') return redis.pcall('hget', KEYS[1], 'f')", "1", "a")
	c.eval("return redis.call('hget', KEYS[1], 'f')", "1", "a")
	c.eval("redis.pcall('no such command')", "0")
	if got := c.eval("return redis.error_reply('OWN code')", "0"); got != "-OWN code\r\n" {
		t.Errorf("%q", got)
	}
	text := c.do("INFO", "everything")
	for _, want := range []string{
		"cmdstat_set:calls=1,", "cmdstat_hget:calls=3,", ",rejected_calls=1,failed_calls=0\r\n", ",rejected_calls=0,failed_calls=3\r\n",
		"cmdstat_eval:calls=4,", "errorstat_WRONGTYPE:count=3\r\n", "errorstat_ERR:count=2\r\n", "errorstat_OWN:count=1\r\n",
		"total_error_replies:6\r\n",
		"latency_percentiles_usec_hget:",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in INFO:\n%s", want, c.do("INFO", "commandstats", "errorstats"))
		}
	}
	c.roundTrip(request("CONFIG", "SET", "latency-tracking", "no"), "+OK\r\n")
	if got := c.do("INFO", "latencystats"); strings.Contains(got, "latency_percentiles") {
		t.Errorf("%q", got)
	}
	m.roundTrip(request("MONITOR"), "+OK\r\n")
	c.eval("redis.call('select', 3) redis.call('set', KEYS[1], 2) return redis.call('incr', KEYS[1])", "1", "a")
	c.send(request("MULTI") + request("EVAL", "return redis.call('incr', KEYS[1])", "1", "a") + request("EXEC"))
	for _, want := range []string{`"EVAL"`, `[3 lua] "select" "3"`, `[3 lua] "set" "a" "2"`, `[3 lua] "incr" "a"`,
		`"MULTI"`, `"EVAL"`, `[0 lua] "incr" "a"`, `"EXEC"`} {
		if got := m.reply(); !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A blocking command is shown when it comes, not when it ends, and once.
func TestMonitorShowsBlockingCommands(t *testing.T) {
	s := startServer(t)
	c, b, m := dial(t, s), dial(t, s), dial(t, s)
	m.roundTrip(request("MONITOR"), "+OK\r\n")
	b.send(request("BLPOP", "l", "0"))
	eventually(t, "a client waits", func() bool { return s.admin.blocked.Load() == 1 })
	c.roundTrip(request("RPUSH", "l", "1"), ":1\r\n")
	b.expect("*2\r\n$1\r\nl\r\n$1\r\n1\r\n")
	c.roundTrip(request("RPUSH", "l", "2"), ":1\r\n")
	for _, want := range []string{`"BLPOP" "l" "0"`, `"RPUSH" "l" "1"`, `"RPUSH" "l" "2"`} {
		if got := m.reply(); !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// What a script publishes comes to its own client after the script's reply.
func TestScriptPublishesToItsOwnClient(t *testing.T) {
	c := dial(t, startServer(t))
	c.do("HELLO", "3")
	c.do("SUBSCRIBE", "foo")
	const script = "redis.call('publish', 'foo', 'bar') redis.call('publish', 'foo', 'baz') return 'done'"
	message := func(text string) string { return ">3\r\n$7\r\nmessage\r\n$3\r\nfoo\r\n$3\r\n" + text + "\r\n" }
	for range 20 {
		c.send(request("EVAL", script, "0"))
		c.expect("$4\r\ndone\r\n" + message("bar") + message("baz"))
		c.send(request("MULTI") + request("EVAL", script, "0") + request("EXEC"))
		c.expect("+OK\r\n+QUEUED\r\n*1\r\n$4\r\ndone\r\n" + message("bar") + message("baz"))
	}
}

// The flags of a script decide on a replica, and on one that has lost its source; SCRIPT
// LOAD and FLUSH are for the node then.
func TestScriptsOnAStaleReplica(t *testing.T) {
	c := dial(t, startServer(t))
	if got := c.do("SCRIPT", "LOAD", "return 'old'"); got[0] != '$' {
		t.Fatal(got)
	}
	c.roundTrip(request("REPLICAOF", "127.0.0.1", "1"), "+OK\r\n")
	const (
		readOnly = "-READONLY You can't write against a read only replica."
		down     = "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n"
		stale    = "-ERR Can not execute the command on a stale replica"
	)
	check := func(script, want string) {
		t.Helper()
		if got := c.eval(script, "0"); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", script, got, want)
		}
	}
	check("#!lua\nreturn 1", readOnly+"\r\n")
	check("#!lua flags=no-writes\nreturn 1", ":1")
	check("return redis.call('set', 'a', 1)", readOnly+" script: ")
	if got := c.do("SCRIPT", "LOAD", "return 'new'"); got[0] != '$' {
		t.Errorf("SCRIPT LOAD: %q", got)
	}
	c.roundTrip(request("EVALSHA", "4b3cbee35475e46ae18bb7a0f37e9f61e0a8e1f7", "0"), "-NOSCRIPT No matching script. Please use EVAL.\r\n")
	c.roundTrip(request("SCRIPT", "FLUSH"), "+OK\r\n")
	c.roundTrip(request("CONFIG", "SET", "replica-serve-stale-data", "no"), "+OK\r\n")
	check("#!lua flags=no-writes\nreturn 1", down)
	check("return 1", down)
	check("#!lua flags=no-writes,allow-stale\nreturn 1", ":1")
	check("#!lua flags=no-writes,allow-stale\nreturn redis.call('get', 'a')", stale)
	check("#!lua flags=no-writes,allow-stale\nreturn redis.call('echo', 'x')", "$1\r\nx")
}

// Without enough replicas, scripts may read.
func TestScriptsWithoutReplicas(t *testing.T) {
	c := dial(t, startServer(t, "min-replicas-to-write", "1"))
	for script, want := range map[string]string{
		"return redis.call('get', 'a')":                        "$-1\r\n",
		"#!lua flags=no-writes\nreturn redis.call('get', 'a')": "$-1\r\n",
		"#!lua\nreturn redis.call('get', 'a')":                 "-NOREPLICAS Not enough good replicas to write.\r\n",
		"return redis.call('set', 'a', 1)":                     "-NOREPLICAS Not enough good replicas to write. script: ",
	} {
		if got := c.eval(script, "0"); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q", script, got)
		}
	}
}

// INFO memory counts the libraries and functions that there are, on every node.
func TestFunctionsInInfo(t *testing.T) {
	servers := startCluster(t, 3, 1)
	c := dial(t, servers[1])
	const code = "#!lua name=l\nredis.register_function('a', function() return 1 end) redis.register_function('b', function() return 2 end)"
	count := func(libraries, functions, bytes int) {
		t.Helper()
		want := fmt.Sprintf("number_of_functions:%d\r\nnumber_of_libraries:%d\r\n", functions, libraries)
		size := fmt.Sprintf("used_memory_functions:%d\r\n", bytes)
		for _, s := range servers {
			c := dial(t, s)
			eventually(t, want, func() bool {
				text := c.do("INFO", "memory")
				return strings.Contains(text, want) && strings.Contains(text, size)
			})
		}
	}
	count(0, 0, 0)
	c.want("$1\r\nl\r\n", "FUNCTION", "LOAD", code)
	count(1, 2, len(code))
	other := strings.NewReplacer("name=l", "name=m", "'a'", "'c'", "'b'", "'d'").Replace(code)
	c.want("$1\r\nm\r\n", "FUNCTION", "LOAD", other)
	count(2, 4, 2*len(code))
	c.want(ok, "FUNCTION", "DELETE", "l")
	count(1, 2, len(code))
	c.want(ok, "FUNCTION", "FLUSH")
	count(0, 0, 0)
}
