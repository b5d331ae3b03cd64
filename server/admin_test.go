package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// bulk returns the text of a bulk string reply.
func bulk(t testing.TB, reply string) string {
	t.Helper()
	if !strings.HasPrefix(reply, "$") {
		t.Fatalf("not a bulk string: %.200q", reply)
	}
	return bulkText([]byte(reply))
}

// parseInfo returns the fields of an INFO reply by section.
func parseInfo(t testing.TB, text string) map[string]map[string]string {
	t.Helper()
	sections := make(map[string]map[string]string)
	var current map[string]string
	for _, line := range strings.Split(text, "\r\n") {
		if line == "" {
			continue
		}
		if title, ok := strings.CutPrefix(line, "# "); ok {
			current = make(map[string]string)
			sections[title] = current
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || current == nil {
			t.Fatalf("INFO line %q", line)
		}
		if _, twice := current[name]; twice {
			t.Errorf("INFO field %s is there twice", name)
		}
		current[name] = value
	}
	return sections
}

func TestInfo(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	c.do("SET", "a", "1")
	c.do("SET", "b", "1", "PX", "100000")
	c.do("GET", "a")
	c.do("GET", "nokey")
	c.do("INCR", "a", "b") // wrong arity
	c.do("GETEX")
	all := parseInfo(t, bulk(t, c.do("INFO", "everything")))
	for _, title := range []string{"Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "CPU", "Modules",
		"Commandstats", "Errorstats", "Latencystats", "Cluster", "Keyspace", "Dkv"} {
		if all[title] == nil {
			t.Errorf("no section %s", title)
		}
	}
	for _, want := range []struct{ section, field, value string }{
		{"Server", "redis_version", RedisVersion},
		{"Server", "redis_mode", "standalone"},
		{"Server", "process_id", strconv.Itoa(os.Getpid())},
		{"Clients", "connected_clients", "1"},
		{"Stats", "keyspace_hits", "1"},
		{"Stats", "keyspace_misses", "1"},
		{"Errorstats", "errorstat_ERR", "count=2"},
		{"Replication", "role", "master"},
		{"Persistence", "rdb_bgsave_in_progress", "0"},
	} {
		if got := all[want.section][want.field]; got != want.value {
			t.Errorf("%s is %q, want %q", want.field, got, want.value)
		}
	}
	if got := all["Keyspace"]["db0"]; !strings.HasPrefix(got, "keys=2,expires=1,avg_ttl=") {
		t.Errorf("db0 is %q", got)
	}
	if got := all["Commandstats"]["cmdstat_get"]; !strings.HasPrefix(got, "calls=2,usec=") || !strings.HasSuffix(got, ",rejected_calls=0,failed_calls=0") {
		t.Errorf("cmdstat_get is %q", got)
	}
	if got := all["Commandstats"]["cmdstat_getex"]; got != "calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0" {
		t.Errorf("cmdstat_getex is %q", got)
	}
	if got := all["Latencystats"]["latency_percentiles_usec_set"]; !strings.HasPrefix(got, "p50=") || strings.Count(got, "=") != 3 {
		t.Errorf("latency of set is %q", got)
	}
	for _, field := range []string{"used_memory", "used_memory_rss", "used_memory_peak", "total_system_memory"} {
		if n, err := strconv.ParseUint(all["Memory"][field], 10, 64); err != nil || n == 0 {
			t.Errorf("%s is %q", field, all["Memory"][field])
		}
	}
	if len(all["Server"]["run_id"]) != 40 || len(all["Replication"]["master_replid"]) != 40 {
		t.Error("ids are not 40 digits")
	}
}

func TestInfoSections(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"nosuch"}, ""},
		{[]string{"cluster"}, "# Cluster\r\ncluster_enabled:0\r\n"},
		{[]string{"KEYSPACE", "modules", "Cluster"}, "# Modules\r\n\r\n# Cluster\r\ncluster_enabled:0\r\n\r\n# Keyspace\r\n"},
	} {
		if got := bulk(t, c.do(append([]string{"INFO"}, tc.args...)...)); got != tc.want {
			t.Errorf("INFO %v: %q", tc.args, got)
		}
	}
	if got := parseInfo(t, bulk(t, c.do("INFO"))); got["Commandstats"] != nil || got["Server"] == nil || got["Keyspace"] == nil {
		t.Errorf("sections of the default: %v", len(got))
	}
	if got := parseInfo(t, bulk(t, c.do("INFO", "default", "commandstats"))); got["Commandstats"] == nil || got["Server"] == nil {
		t.Error("default and commandstats are not both there")
	}
	c.do("HELLO", "3")
	if got := c.do("INFO", "cluster"); got != "=34\r\ntxt:# Cluster\r\ncluster_enabled:0\r\n\r\n" {
		t.Errorf("RESP3: %q", got)
	}
}

func TestConfigCommands(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	for _, tc := range []struct{ request, want string }{
		{"CONFIG GET maxclients", "*2\r\n$10\r\nmaxclients\r\n$5\r\n10000\r\n"},
		{"CONFIG GET MAXCLIENTS maxclient? nosuch", "*2\r\n$10\r\nMAXCLIENTS\r\n$5\r\n10000\r\n"},
		{"CONFIG GET hash-max-*-value", "*4\r\n$23\r\nhash-max-listpack-value\r\n$2\r\n64\r\n$22\r\nhash-max-ziplist-value\r\n$2\r\n64\r\n"},
		{"CONFIG GET watchdog-*", "*0\r\n"},
		{"CONFIG SET hz", "-ERR wrong number of arguments for 'config|set' command\r\n"},
		{"CONFIG SET hz 10 x", "-ERR syntax error\r\n"},
		{"CONFIG SET hz 10 foo 12", "-ERR Unknown option or number of arguments for CONFIG SET - 'foo'\r\n"},
		{"CONFIG SET MaxMemory x", "-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value\r\n"},
		{"CONFIG SET hz 10 HZ 12", "-ERR CONFIG SET failed (possibly related to argument 'HZ') - duplicate parameter\r\n"},
		{"CONFIG SET databases 4", "-ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config\r\n"},
		{"CONFIG SET timeout 9 appendfsync everysec", "+OK\r\n"},
		{"CONFIG GET fsync", "*2\r\n$5\r\nfsync\r\n$8\r\neverysec\r\n"},
		{"CONFIG REWRITE", "-ERR The server is running without a config file\r\n"},
		{"CONFIG RESETSTAT", "+OK\r\n"},
	} {
		if got := c.do(strings.Fields(tc.request)...); got != tc.want {
			t.Errorf("%s: %q", tc.request, got)
		}
	}
	if s.config.Timeout.Load() != 9 {
		t.Error("timeout was not set")
	}
	if help := c.do("CONFIG", "HELP"); !strings.HasPrefix(help, "*11\r\n+CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n") {
		t.Errorf("help: %q", help)
	}
	info := parseInfo(t, bulk(t, c.do("INFO", "commandstats")))
	if info["Commandstats"]["cmdstat_config|get"] != "" {
		t.Error("RESETSTAT left statistics")
	}
}

func TestConfigRewriteCommand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dkv.conf")
	write(t, path, "# mine\nport 0\n")
	s := startServer(t)
	if _, err := s.config.Load(path); err != nil {
		t.Fatal(err)
	}
	c := dial(t, s)
	c.do("CONFIG", "SET", "timeout", "33")
	if got := c.do("CONFIG", "REWRITE"); got != "+OK\r\n" {
		t.Fatal(got)
	}
	text, _ := os.ReadFile(path)
	if !strings.HasPrefix(string(text), "# mine\nport 0\n") || !strings.Contains(string(text), "\ntimeout 33\n") {
		t.Errorf("file: %s", text)
	}
}

func TestSlowlog(t *testing.T) {
	s := startServer(t, "slowlog-log-slower-than", "0", "slowlog-max-len", "4")
	c := dial(t, s)
	c.do("CLIENT", "SETNAME", "me")
	many := make([]string, 40)
	for i := range many {
		many[i] = fmt.Sprint("k", i)
	}
	c.do(append([]string{"DEL"}, many...)...)
	c.do("SET", "k", strings.Repeat("x", 200))
	c.do("CONFIG", "SET", "masterauth", "secret")
	c.do("HELLO", "2", "AUTH", "default", "secret", "SETNAME", "you")
	entries := s.slowlog.newest(-1)
	if len(entries) != 4 {
		t.Fatalf("%d entries", len(entries))
	}
	for i, want := range []string{
		"HELLO 2 AUTH (redacted) (redacted) SETNAME you",
		"CONFIG SET masterauth (redacted)",
		"SET k " + strings.Repeat("x", 128) + "... (72 more bytes)",
	} {
		if got := strings.Join(entries[i].args, " "); got != want {
			t.Errorf("entry %d: %s", i, got)
		}
	}
	if args := entries[3].args; len(args) != 32 || args[30] != "k29" || args[31] != "... (10 more arguments)" {
		t.Errorf("entry 3: %q", args)
	}
	if entries[2].id-entries[3].id != 1 || entries[2].name != "me" || entries[2].addr == "" {
		t.Errorf("entry 2: %+v", entries[2])
	}
	if got := c.do("SLOWLOG", "GET", "1"); !strings.HasPrefix(got, "*1\r\n*6\r\n:") {
		t.Errorf("SLOWLOG GET: %q", got)
	}
	for request, want := range map[string]string{
		"SLOWLOG GET x":   "-ERR count should be greater than or equal to -1\r\n",
		"SLOWLOG GET -2":  "-ERR count should be greater than or equal to -1\r\n",
		"SLOWLOG GET 1 2": "-ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.\r\n",
		"SLOWLOG LEN":     ":4\r\n",
	} {
		if got := c.do(strings.Fields(request)...); got != want {
			t.Errorf("%s: %q", request, got)
		}
	}
	c.do("CONFIG", "SET", "slowlog-log-slower-than", "-1")
	c.do("SLOWLOG", "RESET")
	if got := c.do("SLOWLOG", "LEN"); got != ":0\r\n" {
		t.Errorf("after RESET: %q", got)
	}
}

func TestRedacted(t *testing.T) {
	for _, tc := range []struct{ line, want string }{
		{"auth a", "auth (redacted)"},
		{"AUTH a b", "AUTH (redacted) (redacted)"},
		{"config set requirepass a maxclients 5", "config set requirepass (redacted) maxclients 5"},
		{"config set maxclients 5 masterauth a b", "config set maxclients 5 masterauth (redacted) (redacted)"},
		{"hello 3 setname auth auth a b", "hello 3 setname auth auth (redacted) (redacted)"},
		{"hello 3 auth a", "hello 3 auth (redacted)"},
		{"migrate h 1 k 0 5 auth p auth2 u q replace", "migrate h 1 k 0 5 auth (redacted) auth2 (redacted) (redacted) replace"},
		{"migrate h 1 k 0 5 keys auth auth2 a", "migrate h 1 k 0 5 keys auth auth2 a"},
		{"acl dryrun u auth a b", "acl dryrun u auth (redacted) (redacted)"},
		{"acl dryrun u auth", "acl dryrun u auth"},
		{"command getkeys migrate h 1 k 0 5 auth p", "command getkeys migrate h 1 k 0 5 auth (redacted)"},
		{"command command command auth p", "command command command auth p"}, // a command in a command in a command
		{"config get requirepass", "config get requirepass"},
		{"hello 3", "hello 3"},
		{"migrate h 1 k 0 5 copy auth p keys a", "migrate h 1 k 0 5 copy auth (redacted) keys a"},
		{"acl setuser bob >p", "acl setuser (redacted) (redacted)"},
		{"set auth a", "set auth a"},
	} {
		var args [][]byte
		for _, w := range strings.Fields(tc.line) {
			args = append(args, []byte(w))
		}
		var got []string
		for _, a := range redacted(args) {
			got = append(got, string(a))
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: %s", tc.line, strings.Join(got, " "))
		}
	}
}

func TestLatencyMonitor(t *testing.T) {
	now := time.Unix(1000, 0)
	config := NewConfig()
	m := newLatencyMonitor(config, func() time.Time { return now })
	m.Observe("command", time.Hour)
	if len(m.names()) != 0 {
		t.Error("observed while off")
	}
	if err := config.Set("latency-monitor-threshold", "10"); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		m.Observe("command", 9*time.Millisecond)
		m.Observe("command", time.Duration(10+i)*time.Millisecond)
		m.Observe("command", 10*time.Millisecond)
		now = now.Add(time.Second)
	}
	m.Observe("fast-command", 11*time.Millisecond)
	samples, ever := m.history("command")
	if len(samples) != latencySamples || samples[0] != (latencySample{1040, 50}) || samples[159] != (latencySample{1199, 209}) || ever != 209 {
		t.Errorf("%d samples, first %v, max %d", len(samples), samples[0], ever)
	}
	graph := latencyGraph("command", samples[150:], ever, now)
	if lines := strings.Split(graph, "\n"); len(lines) != 2+graphRows+1+3+1 || lines[0] != "command - high 209 ms, low 200 ms (all time high 209 ms)" {
		t.Errorf("graph:\n%s", graph)
	}
	if n := m.reset("command", "nosuch"); n != 1 || len(m.names()) != 1 {
		t.Errorf("reset %d", n)
	}
	if n := m.reset(); n != 1 || len(m.names()) != 0 {
		t.Errorf("reset of all %d", n)
	}
}

func TestLatencyCommands(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	for _, tc := range []struct{ request, want string }{
		{"LATENCY LATEST", "*0\r\n"},
		{"LATENCY HISTORY x", "*0\r\n"},
		{"LATENCY RESET", ":0\r\n"},
		{"LATENCY GRAPH x", "-ERR No samples available for event 'x'\r\n"},
		{"LATENCY HISTOGRAM nosuch", "*0\r\n"},
		{"LATENCY FOO", "-ERR unknown subcommand 'FOO'. Try LATENCY HELP.\r\n"},
	} {
		if got := c.do(strings.Fields(tc.request)...); got != tc.want {
			t.Errorf("%s: %q", tc.request, got)
		}
	}
	s.latency.record("command", latencySample{100, 20})
	s.latency.record("command", latencySample{101, 15})
	for _, tc := range []struct{ request, want string }{
		{"LATENCY LATEST", "*1\r\n*4\r\n$7\r\ncommand\r\n:101\r\n:15\r\n:20\r\n"},
		{"LATENCY HISTORY command", "*2\r\n*2\r\n:100\r\n:20\r\n*2\r\n:101\r\n:15\r\n"},
		{"LATENCY RESET command x", ":1\r\n"},
	} {
		if got := c.do(strings.Fields(tc.request)...); got != tc.want {
			t.Errorf("%s: %q", tc.request, got)
		}
	}
	c.do("ECHO", "x")
	if got := c.do("LATENCY", "HISTOGRAM", "echo"); !strings.HasPrefix(got, "*2\r\n$4\r\necho\r\n*4\r\n$5\r\ncalls\r\n:1\r\n$14\r\nhistogram_usec\r\n*2\r\n:") {
		t.Errorf("histogram: %q", got)
	}
	if got := bulk(t, c.do("LATENCY", "DOCTOR")); got == "" {
		t.Error("the doctor is silent")
	}
}

func TestHistogramLabels(t *testing.T) {
	var got []uint64
	for level := uint64(1024); level < 1<<22; level <<= 1 {
		got = append(got, histogramLabel(level))
	}
	if want := "[1 2 4 8 16 33 66 132 264 528 1056 2113]"; fmt.Sprint(got) != want {
		t.Errorf("labels %v", got)
	}
}

func TestAdminCommands(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	for _, tc := range []struct{ request, want string }{
		{"SAVE", "+OK\r\n"},
		{"BGSAVE foo", "-ERR syntax error\r\n"},
		{"ROLE", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"},
		{"WAIT 0 0", ":0\r\n"},
		{"WAIT 1 1", ":0\r\n"},
		{"WAIT a 1", "-ERR value is not an integer or out of range\r\n"},
		{"WAIT 1 a", "-ERR timeout is not an integer or out of range\r\n"},
		{"WAIT 1 -1", "-ERR timeout is negative\r\n"},
		{"WAIT 1 9223372036854775808", "-ERR timeout is not an integer or out of range\r\n"},
		{"WAIT 1 9223372036854775807", "-ERR timeout is out of range\r\n"},
		{"WAIT 0 9223372036854775", ":0\r\n"},
		{"SHUTDOWN foo", "-ERR syntax error\r\n"},
		{"SHUTDOWN SAVE NOSAVE", "-ERR syntax error\r\n"},
		{"SHUTDOWN ABORT", "-ERR No shutdown in progress.\r\n"},
		{"SHUTDOWN ABORT NOW", "-ERR syntax error\r\n"},
		{"MULTI", "+OK\r\n"},
		{"SAVE", "-ERR Command not allowed inside a transaction\r\n"},
		{"DISCARD", "+OK\r\n"},
		{"MULTI", "+OK\r\n"},
		{"SET a 1", "+QUEUED\r\n"},
		{"WAIT 1 0", "+QUEUED\r\n"},
		{"DEBUG SLEEP 0", "+QUEUED\r\n"},
		{"BGSAVE", "+QUEUED\r\n"},
		{"CONFIG GET port", "+QUEUED\r\n"},
		{"DEBUG RELOAD", "+QUEUED\r\n"},
		{"EXEC", "*6\r\n+OK\r\n:0\r\n+OK\r\n+Background saving scheduled\r\n*2\r\n$4\r\nport\r\n$1\r\n0\r\n+OK\r\n"},
		{"LOLWUT VERSION x", "-ERR value is not an integer or out of range\r\n"},
	} {
		if got := c.do(strings.Fields(tc.request)...); got != tc.want {
			t.Errorf("%s: %q", tc.request, got)
		}
	}
	if got := c.do("TIME"); !strings.HasPrefix(got, "*2\r\n$10\r\n") {
		t.Errorf("TIME: %q", got)
	}
	if got := c.do("LASTSAVE"); len(got) != len(":1234567890\r\n") {
		t.Errorf("LASTSAVE: %q", got)
	}
	if got := bulk(t, c.do("LOLWUT")); !strings.Contains(got, "Redis ver. ") {
		t.Errorf("LOLWUT: %q", got)
	}
	eventually(t, "background saves end", func() bool { return !s.node.Metrics().Saving })
	if got := c.do("BGSAVE", "SCHEDULE"); got != "+Background saving started\r\n" {
		t.Errorf("BGSAVE: %q", got)
	}
	c.send(request("SHUTDOWN", "NOSAVE", "NOW"))
	select {
	case r := <-s.Shutdown():
		if r != (ShutdownRequest{NoSave: true, Now: true}) {
			t.Errorf("request %+v", r)
		}
	case <-time.After(ioTimeout):
		t.Error("no shutdown request")
	}
}

func TestMemoryCommands(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	c.do("SET", "a", "b")
	c.do("HELLO", "3")
	stats := c.do("MEMORY", "STATS")
	for _, want := range []string{"%32\r\n", "$14\r\npeak.allocated\r\n:", "$4\r\ndb.0\r\n%3\r\n", "$10\r\nkeys.count\r\n:1\r\n", "$13\r\nfragmentation\r\n,"} {
		if !strings.Contains(stats, want) {
			t.Errorf("MEMORY STATS lacks %q: %q", want, stats)
		}
	}
	for _, sub := range []string{"DOCTOR", "MALLOC-STATS"} {
		if got := c.do("MEMORY", sub); !strings.HasPrefix(got, "=") {
			t.Errorf("MEMORY %s: %q", sub, got)
		}
	}
	if got := c.do("MEMORY", "PURGE"); got != "+OK\r\n" {
		t.Errorf("MEMORY PURGE: %q", got)
	}
}

func TestParamErrorIs(t *testing.T) {
	err := NewConfig().Set("port", "x")
	if pe := (*ParamError)(nil); !errors.As(err, &pe) || pe.Name != "port" {
		t.Errorf("%v", err)
	}
}
