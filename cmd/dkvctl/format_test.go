package main

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

func parse(t *testing.T, in string) reply {
	t.Helper()
	r, err := newReplyReader(strings.NewReader(in)).read()
	if err != nil {
		t.Fatalf("%q: %v", in, err)
	}
	return r
}

func checkJSON(t *testing.T, r *reply) {
	t.Helper()
	if text := appendJSON(nil, r); !json.Valid(text) {
		t.Errorf("invalid JSON: %s", text)
	}
}

func TestFormatJSON(t *testing.T) {
	tests := []struct{ in, want string }{
		{"+OK\r\n", `"OK"`},
		{"$5\r\n<\"&>\n\r\n", `"<\"&>\n"`},
		{"$2\r\n\xff\x00\r\n", `{"base64":"/wA="}`},
		{"$2\r\n\xc3\xa9\r\n", `"é"`},
		{":12\r\n", `12`},
		{"_\r\n", `null`},
		{"#t\r\n", `true`},
		{",1.50\r\n", `1.5`},
		{",inf\r\n", `"inf"`},
		{"(12345678901234567890\r\n", `12345678901234567890`},
		{"(007\r\n", `"007"`},
		{"-ERR no\r\n", `{"error":"ERR no"}`},
		{"*2\r\n:1\r\n*0\r\n", `[1,[]]`},
		{"~2\r\n+a\r\n+b\r\n", `["a","b"]`},
		{"%2\r\n+b\r\n:1\r\n+a\r\n:2\r\n", `{"b":1,"a":2}`},
		{"%2\r\n:1\r\n+x\r\n:2\r\n+y\r\n", `[[1,"x"],[2,"y"]]`},
		{"%0\r\n", `{}`},
	}
	for _, tt := range tests {
		r := parse(t, tt.in)
		if got := string(appendJSON(nil, &r)); got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.in, got, tt.want)
		}
		checkJSON(t, &r)
	}
}

func TestShown(t *testing.T) {
	for in, want := range map[string]string{
		"bar":         "bar",
		"two words":   "two words",
		"é":           "é",
		"":            `""`,
		" x":          `" x"`,
		`"x"`:         `"\"x\""`,
		"a\x00b":      `"a\x00b"`,
		"\xff":        `"\xff"`,
		"\x1b[2J":     `"\x1b[2J"`,
		"\u202eabc":   `"\xe2\x80\xaeabc"`, // would turn the line around
		"line\nbreak": `"line\nbreak"`,
	} {
		if got := string(appendShown(nil, []byte(in))); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

// redis-cli is the oracle of the terminal and the raw format.
func TestFormatsAgainstRedisCLI(t *testing.T) {
	sock := redisServer(t)
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		missing(t, "redis-cli is not installed")
	}
	setup := "rpush l 1 2 3 4 5 6 7 8 9 10 11\nhset h f 1 g 2\nsadd s x\nzadd z 1.5 m\n"
	ctl(t, setup, "-a", sock).expect(t, "11\n2\n1\n1\n", exitOK)
	commands := [][]string{
		{"SET", "k", "a\x01\"\\\n\r\t\a\b\x7f\xc3\xa9"}, {"GET", "k"}, {"GET", "none"}, {"STRLEN", "k"}, {"PING"},
		{"SET", "e", ""}, {"GET", "e"}, {"MGET", "k", "none", "e"},
		{"COMMAND", "INFO", "get", "config", "nosuch"}, {"COMMAND", "DOCS", "get"},
		{"LRANGE", "l", "0", "-1"},
		{"LRANGE", "l", "5", "1"}, {"CONFIG", "GET", "maxmem*"}, {"HGETALL", "h"},
		{"HGETALL", "none"}, {"SMEMBERS", "s"}, {"SMEMBERS", "none"},
		{"ZSCORE", "z", "m"}, {"ZRANGE", "z", "0", "-1", "WITHSCORES"},
		{"EVAL", "return {1,{2,{3,{},'x'}},{'y',{'z'}},false,true}", "0"},
		{"EVAL", "redis.setresp(3); return {map={a=1}}", "0"},
		{"EVAL", "redis.setresp(3); return {map={a={1,{map={b={2,3}}}}}}", "0"},
		{"EVAL", "redis.setresp(3); return {map={a={1}}}", "0"},
		{"EVAL", "redis.setresp(3); return {map={a={}}}", "0"},
		{"EVAL", "redis.setresp(3); return {set={a=true}}", "0"},
		{"EVAL", "redis.setresp(3); return true", "0"},
		{"EVAL", "redis.setresp(3); return {double=3.25}", "0"},
		{"SCAN", "0", "MATCH", "nothing*"}, {"LATENCY", "DOCTOR"}, {"LOLWUT"}, {"INFO", "errorstats"},
	}
	for _, proto := range []string{"-2", "-3"} {
		for _, form := range []string{"-no-raw", "-raw"} {
			for _, words := range commands {
				cliArgs := []string{"-s", sock, "-" + form}
				if proto == "-3" { // 2 is redis-cli's default, and has no option in 7.0
					cliArgs = append(cliArgs, proto)
				}
				want, err := exec.Command(cli, append(cliArgs, words...)...).Output()
				if err != nil {
					t.Fatalf("redis-cli %q: %v", words, err)
				}
				p := inProcess(t, append([]string{"-a", sock, proto, form}, words...)...)
				if p.out != string(want) {
					t.Errorf("%s %s %q:\n%s\nredis-cli:\n%s", proto, form, words, p.out, want)
				}
			}
		}
	}
}

// inProcess runs dkvctl within the test, where coverage and the race detector see it.
func inProcess(t *testing.T, args ...string) result {
	t.Helper()
	var out, errOut strings.Builder
	code := run(args, stdio{
		in: strings.NewReader(""), out: &out, err: &errOut,
		getenv: func(string) string { return "" },
	})
	return result{out.String(), errOut.String(), code}
}
