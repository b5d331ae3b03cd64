package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfigDefaultsAreCanonical(t *testing.T) {
	c := NewConfig()
	for _, p := range params {
		if p.name == "listen-addr" {
			continue
		}
		words, err := p.words(p.def)
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		got, err := p.parse(words, p.def)
		if err != nil || got != p.def {
			t.Errorf("%s: default %q parses to %q, %v", p.name, p.def, got, err)
		}
		if p.doc == "" || p.group == "" {
			t.Errorf("%s: no doc or group", p.name)
		}
		if p.name != strings.ToLower(p.name) {
			t.Errorf("%s: not in lower case", p.name)
		}
		if v, ok := c.Get(p.name); !ok || v != p.def {
			t.Errorf("%s: Get gives %q", p.name, v)
		}
	}
	if got := c.MaxClients.Load(); got != 10000 {
		t.Errorf("MaxClients is %d", got)
	}
}

func TestConfigSetTexts(t *testing.T) {
	cases := []struct{ name, value, reason string }{
		{"port", "abc", "argument couldn't be parsed into an integer"},
		{"port", "70000", "argument must be between 0 and 65535 inclusive"},
		{"maxmemory", "abc", "argument must be a memory value"},
		{"maxmemory", "1gbx", "argument must be a memory value"},
		{"maxmemory", "-1", "argument must be a memory value"},
		{"hash-max-listpack-value", "9223372036854775808", "argument must be between 0 and 9223372036854775807 inclusive"},
		{"hash-max-listpack-value", "9223372036854775807gb", "argument must be between 0 and 9223372036854775807 inclusive"},
		{"proto-max-bulk-len", "", "argument must be between 1048576 and 9223372036854775807 inclusive"},
		{"client-output-buffer-limit", "normal", "Wrong number of arguments in buffer limit configuration."},
		{"appendonly", "maybe", "argument must be 'yes' or 'no'"},
		{"maxmemory-policy", "foo", "argument(s) must be one of the following: volatile-lru, volatile-lfu, volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, noeviction"},
		{"appendfsync", "foo", "argument(s) must be one of the following: everysec, always, no"},
		{"save", "a b", "Invalid save parameters"},
		{"save", "900", "Invalid save parameters"},
		{"slowlog-max-len", "-1", "argument must be between 0 and 9223372036854775807 inclusive"},
		{"slowlog-log-slower-than", "-2", "argument must be between -1 and 9223372036854775807 inclusive"},
		{"maxclients", "0", "argument must be between 1 and 4294967295 inclusive"},
		{"proto-max-bulk-len", "1", "argument must be between 1048576 and 9223372036854775807 inclusive"},
		{"notify-keyspace-events", "xyz", "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."},
		{"client-output-buffer-limit", "normal 1 2", "Wrong number of arguments in buffer limit configuration."},
		{"client-output-buffer-limit", "foo 1 2 3", "Invalid client class specified in buffer limit configuration."},
		{"client-output-buffer-limit", "normal 1mb a 3", "Error in hard, soft or soft_seconds setting in buffer limit configuration."},
		{"latency-tracking-info-percentiles", "50 101", "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"},
		{"maxmemory-clients", "500%", "percentage argument must be less or equal to 100"},
		{"oom-score-adj-values", "1 2", "wrong number of arguments"},
		{"cluster-enabled", "yes", "a cluster of dkv is made with cluster-peers or join instead; see docs/cluster.md"},
		{"db-engine", "leveldb", "argument(s) must be one of the following: pebble, rocksdb, badger"},
		{"listen-addr", "nonsense", "must be host:port, for example 127.0.0.1:6379"},
		{"hz", "-1", "argument must be between 0 and 2147483647 inclusive"},
		{"maxmemory-samples", "0", "argument must be between 1 and 2147483647 inclusive"},
		{"lua-time-limit", "-1", "argument must be between 0 and 9223372036854775807 inclusive"},
		{"dbfilename", "a/b", "dbfilename can't be a path, just a filename"},
		{"shutdown-on-sigterm", "NoSave now SAVE", "shutdown options SAVE and NOSAVE can't be used simultaneously"},
		{"cluster-announce-hostname", "a_b", "Hostnames may only contain alphanumeric characters, hyphens or dots"},
		{"cluster-announce-hostname", strings.Repeat("a", 256), "Hostnames must be less than 256 characters"},
	}
	c := NewConfig()
	for _, tc := range cases {
		before, _ := c.Get(tc.name)
		err := c.Set(tc.name, tc.value)
		var pe *ParamError
		if !errors.As(err, &pe) || pe.Reason != tc.reason {
			t.Errorf("%s %q: %v, want %q", tc.name, tc.value, err, tc.reason)
		}
		if after, _ := c.Get(tc.name); after != before {
			t.Errorf("%s changed to %q", tc.name, after)
		}
	}
	if err := c.Set("nosuch", "1"); !errors.Is(err, ErrUnknownParameter) {
		t.Errorf("unknown parameter: %v", err)
	}
}

func TestConfigCanonicalValues(t *testing.T) {
	cases := []struct{ name, value, want string }{
		{"maxmemory", "1gb", "1073741824"},
		{"maxmemory", "1G", "1000000000"},
		{"maxmemory", "2Mb", "2097152"},
		{"maxmemory-clients", "5%", "5%"},
		{"hz", "10000", "500"},
		{"hz", "0", "1"},
		{"maxmemory-samples", "1000", "1000"},
		{"busy-reply-threshold", "9223372036854775807", "9223372036854775807"},
		{"appendonly", "NO", "no"},
		{"save", "900 1  300 10", "900 1 300 10"},
		{"save", "", ""},
		{"notify-keyspace-events", "KEA", "AKE"},
		{"notify-keyspace-events", "g$lshzxetdK", "AK"},
		{"notify-keyspace-events", "xE", "xE"},
		{"notify-keyspace-events", "nKEA", "AnKE"}, // CONFIG GET shows AKE
		{"client-output-buffer-limit", "normal 1mb 2kb 3", "normal 1048576 2048 3 slave 268435456 67108864 60 pubsub 33554432 8388608 60"},
		{"client-output-buffer-limit", "replica 1 2 3 pubsub 4 5 6", "normal 1048576 2048 3 slave 1 2 3 pubsub 4 5 6"},
		{"unixsocketperm", "770", "770"},
		{"list-max-ziplist-size", "6", "6"},
		{"latency-tracking-info-percentiles", "50 99.9 100.0", "50 99.9 100"},
		{"bind", "", ""},
	}
	c := NewConfig()
	for _, tc := range cases {
		if err := c.Set(tc.name, tc.value); err != nil {
			t.Errorf("%s %q: %v", tc.name, tc.value, err)
		}
		if got, _ := c.Get(tc.name); got != tc.want {
			t.Errorf("%s %q: got %q, want %q", tc.name, tc.value, got, tc.want)
		}
	}
	if got, _ := c.Get("LIST-max-listpack-size"); got != "6" {
		t.Errorf("an alias is not the same parameter: %q", got)
	}
	if got := c.OutputLimitReplica.Soft.Load(); got != 2 {
		t.Errorf("soft limit of replicas is %d", got)
	}
}

func TestConfigListenAddr(t *testing.T) {
	cases := []struct{ listen, bind, port, back string }{
		{"0.0.0.0:7000", "0.0.0.0", "7000", "0.0.0.0:7000"},
		{":7000", "* -::*", "7000", ":7000"},
		{"[::1]:0", "::1", "0", "[::1]:0"},
		{"localhost:6379", "localhost", "6379", "localhost:6379"},
	}
	for _, tc := range cases {
		c := NewConfig()
		if err := c.Set("listen-addr", tc.listen); err != nil {
			t.Fatal(err)
		}
		if got := [3]string{c.String("bind"), c.String("port"), c.String("listen-addr")}; got != [3]string{tc.bind, tc.port, tc.back} {
			t.Errorf("%s: %q", tc.listen, got)
		}
	}
	c := NewConfig()
	if got := c.ListenAddrs(); len(got) != 1 || got[0] != (ListenAddr{Network: "tcp4", Addr: "127.0.0.1:6379"}) {
		t.Errorf("default addresses: %v", got)
	}
	if err := c.Set("bind", ""); err != nil {
		t.Fatal(err)
	}
	if got := c.ListenAddrs(); len(got) != 0 || c.String("listen-addr") != "" {
		t.Errorf("addresses of an empty bind: %v, %q", got, c.String("listen-addr"))
	}
	if err := c.Set("bind", "* -::* -10.0.0.1"); err != nil {
		t.Fatal(err)
	}
	want := []ListenAddr{{"tcp4", ":6379", false}, {"tcp6", "[::]:6379", true}, {"tcp4", "10.0.0.1:6379", true}}
	if got := c.ListenAddrs(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("addresses: %v", got)
	}
}

func TestConfigSetAtRuntime(t *testing.T) {
	c := NewConfig()
	var seen []string
	c.OnChange("timeout", func(v string) { seen = append(seen, v) })
	c.OnApply("maxclients", func(v string) error {
		if v == "13" {
			return errors.New("no thirteen")
		}
		return nil
	})
	reason := func(err error) string {
		var pe *ParamError
		if errors.As(err, &pe) {
			return pe.Name + ": " + pe.Reason
		}
		return fmt.Sprint(err)
	}
	cases := []struct {
		pairs []Pair
		want  string
	}{
		{[]Pair{{"timeout", "5"}, {"maxclients", "13"}}, "maxclients: no thirteen"},
		{[]Pair{{"timeout", "5"}, {"nosuch", "13"}}, `unknown parameter "nosuch"`},
		{[]Pair{{"timeout", "5"}, {"TIMEOUT", "6"}}, "TIMEOUT: duplicate parameter"},
		{[]Pair{{"databases", "5"}}, "databases: can't set immutable config"},
		{[]Pair{{"dir", "x"}}, "dir: can't set protected config"},
		{[]Pair{{"timeout", "7"}, {"maxclients", "x"}}, "maxclients: argument couldn't be parsed into an integer"},
		{[]Pair{{"timeout", "9"}, {"maxclients", "14"}}, "<nil>"},
	}
	for _, tc := range cases {
		if got := reason(c.SetAtRuntime(tc.pairs, false)); got != tc.want {
			t.Errorf("%v: %s, want %s", tc.pairs, got, tc.want)
		}
	}
	// What Redis can change and dkv cannot may be set to what it is.
	for _, tc := range []struct {
		pair  Pair
		local bool
		want  string
	}{
		{Pair{"tcp-backlog", "511"}, false, "tcp-backlog: can't set immutable config"},
		{Pair{"unixsocketperm", "0"}, false, "unixsocketperm: can't set immutable config"},
		{Pair{"db-folder", "dkv-data"}, false, "<nil>"},
		{Pair{"databases", "16"}, false, "databases: can't set immutable config"},
		{Pair{"server_cpulist", ""}, false, "server_cpulist: can't set immutable config"},
		{Pair{"server-cpulist", ""}, false, "<nil>"},
		{Pair{"daemonize", "no"}, false, "daemonize: can't set immutable config"},
		{Pair{"dbfilename", "x"}, true, "dbfilename: can't set protected config"},
	} {
		if got := reason(c.SetAtRuntime([]Pair{tc.pair}, tc.local)); got != tc.want {
			t.Errorf("%v: %s, want %s", tc.pair, got, tc.want)
		}
	}
	if err := c.Set("enable-protected-configs", "local"); err != nil {
		t.Fatal(err)
	}
	for local, want := range map[bool]string{true: "<nil>", false: "dbfilename: can't set protected config"} {
		if got := reason(c.SetAtRuntime([]Pair{{"dbfilename", "x"}}, local)); got != want {
			t.Errorf("local %v: %s, want %s", local, got, want)
		}
	}
	if got := strings.Join(seen, " "); got != "5 0 9" {
		t.Errorf("hook saw %q", got)
	}
	if c.Timeout.Load() != 9 || c.MaxClients.Load() != 14 {
		t.Errorf("timeout %d, maxclients %d", c.Timeout.Load(), c.MaxClients.Load())
	}
}

func TestConfigFile(t *testing.T) {
	dir := t.TempDir()
	inc := filepath.Join(dir, "inc.conf")
	write(t, inc, "timeout 7\nmaxmemory 1mb\n")
	path := filepath.Join(dir, "dkv.conf")
	write(t, path, `# a comment
PORT 7000
requirepass "a \"quoted\" pass\x21"
save 900 1
save 300 10
include `+inc+`
client-output-buffer-limit normal 1kb 0 0
replica-ignore-maxmemory no
some-directive-of-tomorrow a b
bind 127.0.0.1 -::1
dir '`+dir+`'
`)
	c := NewConfig()
	warnings, err := c.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"port": "7000", "requirepass": `a "quoted" pass!`, "save": "900 1 300 10", "timeout": "7",
		"maxmemory": "1048576", "bind": "127.0.0.1 -::1", "dir": dir}
	for name, v := range want {
		if got := c.String(name); got != v {
			t.Errorf("%s is %q, want %q", name, got, v)
		}
	}
	if got, want := strings.Join(warnings, "; "), "unknown parameters were ignored: some-directive-of-tomorrow; "+
		"parameters without an effect in dkv: save, save, replica-ignore-maxmemory"; got != want {
		t.Errorf("warnings: %s", got)
	}
}

func TestConfigFileErrors(t *testing.T) {
	cases := []struct{ text, want string }{
		{"\nport x", "line 2: 'port x': argument couldn't be parsed into an integer"},
		{"port 1 2", "line 1: 'port 1 2': wrong number of arguments"},
		{"requirepas secret", "line 1: 'requirepas (hidden)': Bad directive or wrong number of arguments (did you mean requirepass?)"},
		{`requirepass "secret`, "line 1: 'requirepass (hidden)': Unbalanced quotes in configuration line"},
		{"rename-command FLUSHALL x", "rename-command is not supported"},
		{"user alice on +nope", "line 1: 'user (hidden)': Error in user declaration 'alice': Unknown command or category name in ACL"},
		{"cluster-enabled yes", "is made with cluster-peers or join instead"},
		{"include nosuchfile.conf", "nosuchfile.conf: no such file"},
	}
	for _, tc := range cases {
		path := filepath.Join(t.TempDir(), "x.conf")
		write(t, path, tc.text)
		_, err := NewConfig().Load(path)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %v", tc.text, err)
		}
	}
	loop := filepath.Join(t.TempDir(), "loop.conf")
	write(t, loop, "include "+loop)
	if _, err := NewConfig().Load(loop); err == nil {
		t.Error("a file that includes itself loads")
	}
}

func TestConfigRewrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "dkv.conf")
	write(t, path, "# top\nport 7000\n\n# about save\nsave 900 1\nsave 300 10\ntimeout 5\nunknown-thing 1 2\nclient-output-buffer-limit normal 1 0 0\n")
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	c := NewConfig()
	if err := c.Rewrite(); !errors.Is(err, ErrNoConfigFile) {
		t.Errorf("without a file: %v", err)
	}
	if _, err := c.Load(path); err != nil {
		t.Fatal(err)
	}
	for _, p := range []Pair{{"timeout", "6"}, {"save", "1 1 2 2"}, {"requirepass", "a b"}, {"maxclients", "99"}} {
		if err := c.Set(p.Name, p.Value); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Rewrite(); err != nil {
		t.Fatal(err)
	}
	want := "# top\nport 7000\n\n# about save\nsave 1 1\nsave 2 2\ntimeout 6\nunknown-thing 1 2\n" +
		"client-output-buffer-limit normal 1 0 0\nclient-output-buffer-limit slave 268435456 67108864 60\nclient-output-buffer-limit pubsub 33554432 8388608 60\n" +
		"\n# Generated by CONFIG REWRITE\nmaxclients 99\nrequirepass \"a b\"\n"
	got, _ := os.ReadFile(path)
	if string(got) != want {
		t.Errorf("rewritten file:\n%s", got)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v", info.Mode())
	}
	again := NewConfig()
	if _, err := again.Load(path); err != nil {
		t.Fatal(err)
	}
	for _, p := range params {
		if again.value(p) != c.value(p) {
			t.Errorf("%s reads back as %q, not %q", p.name, again.value(p), c.value(p))
		}
	}
	all := filepath.Join(dir, "all.conf")
	write(t, all, again.rewritten(want, true))
	last := NewConfig()
	if _, err := last.Load(all); err != nil {
		t.Fatal(err)
	}
	for _, p := range params {
		if last.value(p) != c.value(p) {
			t.Errorf("with all parameters in the file %s reads back as %q, not %q", p.name, last.value(p), c.value(p))
		}
	}
	if again.rewritten(want, false) != want {
		t.Errorf("a second rewrite changes the file:\n%s", again.rewritten(want, false))
	}
}

func TestConfigArgs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dkv.conf")
	write(t, path, "port 7000\ntimeout 3\n")
	saving := filepath.Join(t.TempDir(), "saving.conf")
	write(t, saving, "save 900 1\n")
	c := NewConfig()
	if _, err := c.LoadArgs([]string{path, "--port", "7001", "-dbDiskless", "-slowlog-log-slower-than", "-1", "--save", "900", "1", "300", "10",
		"-requirepass=-x", "--bind", "127.0.0.1", "-::1", "-pprof=true"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"port": "7001", "timeout": "3", "diskless": "yes", "slowlog-log-slower-than": "-1",
		"save": "900 1 300 10", "requirepass": "-x", "bind": "127.0.0.1 -::1", "pprof": "yes"} {
		if got := c.String(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, tc := range []struct {
		args       []string
		name, want string
	}{
		{[]string{path, "loglevel", "verbose", "--maxmemory '700mb'"}, "loglevel", "verbose"},
		{[]string{path, "loglevel", "verbose", "--maxmemory '700mb'"}, "maxmemory", "734003200"},
		{[]string{"--shutdown-on-sigint nosave now", "--port", "1"}, "shutdown-on-sigint", "nosave now"},
		{[]string{"--proc-title-template", "--a b", "--port", "1"}, "proc-title-template", "--a b"},
		{[]string{"--proc-title-template", "--save", "--save", "", "--port", "1"}, "proc-title-template", "--save"},
		{[]string{"--requirepass=a b=c"}, "requirepass", "a b=c"},
		{[]string{"--save", "--port", "1"}, "save", ""},
		{[]string{saving, "--save", "100", "100"}, "save", "900 1 100 100"},
		{[]string{saving, "--save", ""}, "save", ""},
		{[]string{"--shutdown-on-sigterm", "force", "NOW", "nosave"}, "shutdown-on-sigterm", "nosave now force"},
		{[]string{"--port", "1", "--save"}, "save", ""},
		{[]string{"--diskless", "--port", "1"}, "port", "1"},
		{[]string{"--diskless", "--port", "1"}, "diskless", "yes"},
	} {
		c := NewConfig()
		if _, err := c.LoadArgs(tc.args); err != nil || c.String(tc.name) != tc.want {
			t.Errorf("%q: %s is %q, %v", tc.args, tc.name, c.String(tc.name), err)
		}
	}
	bad := []struct{ args, want string }{
		{"-port 1 x loglevel y", `unexpected argument "x" after flag -port`},
		{"-port -loglevel", "flag -port needs a value"},
		{"-prot 1", "unknown flag -prot (did you mean -port?)"},
		{"-nonsense", "unknown flag -nonsense"},
		{"-port", "flag -port needs a value"},
		{"-port 1 2", `unexpected argument "2" after flag -port`},
		{"-requirepass se cret", `flag -requirepass: too many arguments`},
		{"-port x", "flag -port x: argument couldn't be parsed into an integer"},
		{"-role replica", "argument(s) must be one of the following: none, master, slave"},
		{"-db-engine leveldb", "must be one of the following: pebble, rocksdb, badger"},
		{"-repl-master-addr h", "argument must be host:port"},
		{"-nexus-node-url http://h", "argument must be host:port"},
		{"-nexus-cluster-url a:1,a:1", "a:1 stands there twice"},
		{"-port 1 -", `unexpected argument "-" after flag -port`},
		{"nosuchfile.conf", "no such file"},
	}
	for _, tc := range bad {
		if _, err := NewConfig().LoadArgs(strings.Fields(tc.args)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", tc.args, err)
		}
	}
}

func FuzzConfigFile(f *testing.F) {
	f.Add("port 7000\nsave 900 1\n# x\nrequirepass \"a\\x41\"\n")
	f.Add("client-output-buffer-limit normal 1kb 2 3 slave 1 1 1\nbind '1.2.3.4' ::1\n")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "nclude") || strings.Contains(strings.ToLower(text), "include") {
			t.Skip("would read other files")
		}
		c := NewConfig()
		l := loader{c: c}
		if err := l.parse("fuzz", []byte(text), 0); err != nil {
			return
		}
		again := NewConfig()
		la := loader{c: again}
		rewritten := c.rewritten(text, false)
		if err := la.parse("fuzz", []byte(rewritten), 0); err != nil {
			t.Fatalf("what Rewrite wrote does not load: %v\n%s", err, rewritten)
		}
		for _, p := range params {
			if again.value(p) != c.value(p) {
				t.Fatalf("%s reads back as %q, not %q", p.name, again.value(p), c.value(p))
			}
		}
	})
}

func FuzzSplitWords(f *testing.F) {
	f.Add("a 'b c' \"d\\x41\"")
	f.Fuzz(func(t *testing.T, line string) {
		words, ok := splitWords(line)
		if !ok {
			return
		}
		quoted := make([]string, len(words))
		for i, w := range words {
			quoted[i] = quoteWord(w)
		}
		again, ok := splitWords(strings.Join(quoted, " "))
		if !ok || strings.Join(again, "\x01") != strings.Join(words, "\x01") {
			t.Fatalf("%q: %q quoted is %q", line, words, quoted)
		}
	})
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
