package server

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func TestMonitor(t *testing.T) {
	s := startServer(t)
	m, c := dial(t, s), dial(t, s)
	m.roundTrip("monitor\r\n", "+OK\r\n")
	eventually(t, "it is shown what others do", s.monitors.any)
	addr := regexp.QuoteMeta(c.LocalAddr().String())
	next := func(db int, want string) {
		t.Helper()
		line, err := m.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		re := regexp.MustCompile(fmt.Sprintf(`^\+\d+\.\d{6} \[%d %s\] (.*)\r\n$`, db, addr))
		if got := re.FindStringSubmatch(line); got == nil || got[1] != want {
			t.Fatalf("got %q, want %q in database %d", line, want, db)
		}
	}
	c.send("set k 'a \\'b'\r\nget k\r\n" + request("set", "bin", "\x00\n\xff\"\\") + "foo bar\r\nget\r\nselect 2\r\nAUTH secret\r\nmulti\r\nincr n\r\nexec\r\nconfig get port\r\n")
	next(0, `"set" "k" "a 'b"`)
	next(0, `"get" "k"`)
	next(0, `"set" "bin" "\x00\n\xff\"\\"`)
	next(2, `"select" "2"`)
	next(2, `"AUTH" "(redacted)"`)
	next(2, `"multi"`)
	next(2, `"incr" "n"`)
	next(2, `"exec"`)
	m.roundTrip("get k\r\n", "-ERR Replica can't interact with the keyspace\r\n")
	m.send("reset\r\n")
	for {
		line, err := m.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "+RESET\r\n" {
			break
		}
	}
	if s.monitors.any() {
		t.Error("RESET left the monitor")
	}
	m.roundTrip("ping\r\n", "+PONG\r\n")
}

// TestSlowMonitorIsDropped floods a monitor that does not read.
func TestSlowMonitorIsDropped(t *testing.T) {
	s := startServer(t, "client-output-buffer-limit", "pubsub 1048576 0 0")
	m, c := dial(t, s), dial(t, s)
	m.roundTrip("monitor\r\n", "+OK\r\n")
	eventually(t, "it is shown what others do", s.monitors.any)
	arg := strings.Repeat("x", 100000)
	for s.monitors.any() {
		c.roundTrip(request("ECHO", arg), "$100000\r\n"+arg+"\r\n")
	}
	eventually(t, "it is counted", func() bool { return s.stats.OutputLimitKills.Load() == 1 })
	c.roundTrip("ping\r\n", "+PONG\r\n")
}

// TestMonitorShowsScripts: a script stands before what it calls, also in a pipeline and in
// a transaction, and whatever comes of it. The lines are Redis's.
func TestMonitorShowsScripts(t *testing.T) {
	s := startServer(t)
	m, c := dial(t, s), dial(t, s)
	c.want(oneBulk("l"), "FUNCTION", "LOAD", "#!lua name=l\nredis.register_function{function_name='f', flags={'no-writes'}, callback=function(k) return redis.call('get', k[1]) end}")
	m.roundTrip("monitor\r\n", "+OK\r\n")
	eventually(t, "it is shown what others do", s.monitors.any)
	const set, get = "return redis.call('set', KEYS[1], 'v')", "return redis.call('get', KEYS[1])"
	next := func(lines ...string) {
		t.Helper()
		for _, want := range lines {
			line, err := m.r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			_, got, _ := strings.Cut(line, " [")
			got = strings.Replace(strings.Replace(got, c.LocalAddr().String(), "me", 1), "]", "", 1)
			if got != want+"\r\n" {
				t.Fatalf("got %q\nwant %q", got, want)
			}
		}
	}
	shows := func(words []string, lines ...string) {
		t.Helper()
		c.do(words...)
		var quoted []string
		for _, w := range words {
			quoted = append(quoted, string(appendQuoted(nil, []byte(w))))
		}
		if words[0] != "EXEC" { // which comes behind what it has run
			next("0 me " + strings.Join(quoted, " "))
		}
		next(lines...)
	}
	shows([]string{"EVAL", set, "1", "k"}, `0 lua "set" "k" "v"`)
	shows([]string{"EVAL_RO", get, "1", "k"}, `0 lua "get" "k"`)
	shows([]string{"EVALSHA", strings.Repeat("f", 40), "0"})
	shows([]string{"EVALSHA", "ff", "0"})
	shows([]string{"EVAL", "return x.y", "0"})
	shows([]string{"EVAL", "no script", "0"})
	shows([]string{"EVAL", "return 1", "5"})
	shows([]string{"EVAL", "return redis.call('nosuch')", "0"})
	shows([]string{"EVAL", "return redis.call('lpush', KEYS[1], 'x')", "1", "k"}, `0 lua "lpush" "k" "x"`)
	shows([]string{"EVAL", "redis.call('select', 3) return redis.pcall('get', KEYS[1])", "1", "k"}, `3 lua "select" "3"`, `3 lua "get" "k"`)
	shows([]string{"EVAL", "return redis.call('publish', 'c', 'm')", "0"}, `0 lua "publish" "c" "m"`)
	shows([]string{"FCALL", "f", "1", "k"}, `0 lua "get" "k"`)
	shows([]string{"FCALL_RO", "f", "1", "k"}, `0 lua "get" "k"`)
	shows([]string{"FCALL", "nosuch", "0"})
	shows([]string{"SCRIPT", "LOAD", get})
	// In a transaction, of writes and of reads.
	shows([]string{"MULTI"})
	for _, words := range [][]string{{"SET", "a", "1"}, {"EVAL", get, "1", "a"}, {"SELECT", "2"}, {"SET", "a", "2"}, {"EVAL", set, "1", "b"}, {"SELECT", "0"}, {"GET", "a"}} {
		c.want("+QUEUED\r\n", words...)
	}
	shows([]string{"EXEC"}, `0 me "SET" "a" "1"`, `0 me "EVAL" "`+get+`" "1" "a"`, `0 lua "get" "a"`, `2 me "SET" "a" "2"`, `2 me "EVAL" "`+set+`" "1" "b"`,
		`2 lua "set" "b" "v"`, `0 me "GET" "a"`, `2 me "SELECT" "2"`, `0 me "SELECT" "0"`, `0 me "EXEC"`)
	shows([]string{"MULTI"})
	for _, words := range [][]string{{"GET", "a"}, {"EVAL_RO", get, "1", "a"}, {"PING"}} {
		c.want("+QUEUED\r\n", words...)
	}
	shows([]string{"EXEC"}, `0 me "GET" "a"`, `0 me "EVAL_RO" "`+get+`" "1" "a"`, `0 lua "get" "a"`, `0 me "PING"`, `0 me "EXEC"`)
	// In a pipeline.
	c.roundTrip(request("SET", "p", "1")+request("EVAL", get, "1", "p")+request("SET", "p", "2"), "+OK\r\n$1\r\n1\r\n+OK\r\n")
	next(`0 me "SET" "p" "1"`, `0 me "EVAL" "`+get+`" "1" "p"`, `0 lua "get" "p"`, `0 me "SET" "p" "2"`)
}
