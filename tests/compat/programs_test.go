package compat

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

// programLimit bounds how long a program may run.
const programLimit = 2 * time.Minute

// run runs a program with stdin and returns what it wrote and its exit code.
func run(t *testing.T, stdin string, program string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), programLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatalf("%s: %v", program, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// cli returns a function that runs redis-cli against a server and compares what
// it prints.
func cli(t *testing.T, srv *harness.Server) (expect func(stdin, output string, args ...string), output func(stdin string, args ...string) string) {
	t.Helper()
	program := harness.NeedProgram(t, "redis-cli", "redis-tools")
	output = func(stdin string, args ...string) string {
		t.Helper()
		stdout, stderr, code := run(t, stdin, program, append([]string{"-p", strconv.Itoa(srv.Port())}, args...)...)
		if code != 0 {
			t.Errorf("redis-cli %q: exit code %d\n%s%s", args, code, stdout, stderr)
		}
		return stdout
	}
	expect = func(stdin, expected string, args ...string) {
		t.Helper()
		if got := strings.TrimRight(output(stdin, args...), "\n"); got != expected {
			t.Errorf("redis-cli %q:\n got %q\nwant %q", args, got, expected)
		}
	}
	return expect, output
}

func TestRedisCli(t *testing.T) {
	srv := harness.Dkv(t, "-fsync", "no")
	expect, output := cli(t, srv)
	expect("", "PONG", "PING")
	expect("", "OK", "SET", "greeting", "hello")
	expect("", "hello", "GET", "greeting")
	expect("", "", "GET", "absent")
	expect("", "(nil)", "--no-raw", "GET", "absent")
	expect("", `"hello"`, "--no-raw", "GET", "greeting")
	expect("", "(integer) 5", "--no-raw", "STRLEN", "greeting")
	expect("", "ERR unknown command 'NOSUCH', with args beginning with: 'a' ", "NOSUCH", "a")
	expect("from stdin", "OK", "-x", "SET", "k")
	expect("", "from stdin", "GET", "k")
	expect("", "OK", "-n", "3", "SET", "in3", "v")
	expect("", "", "GET", "in3")
	expect("", "v", "-n", "3", "GET", "in3")
	expect("SET a 1\nINCR a\nINCR a\nGET a\n", "OK\n2\n3\n3")
	expect("MULTI\nSET a 5\nGET a\nEXEC\n", "OK\nQUEUED\nQUEUED\nOK\n5")
	expect("", `1) "server"`, "--no-raw", "-3", "COMMAND", "GETKEYS", "GET", "server")
	if got := output("", "-3", "HELLO", "3"); !strings.Contains(got, "proto 3") {
		t.Errorf("redis-cli -3 HELLO 3: %q", got)
	}
	if got := output("", "INFO", "server"); !strings.Contains(got, "redis_version:7.2") && !harness.StandIn() {
		t.Errorf("INFO server: %q", got)
	}
}

func TestRedisCliModes(t *testing.T) {
	srv := harness.Dkv(t, "-fsync", "no")
	_, output := cli(t, srv)

	// Mass insertion, as Redis's documentation describes it.
	const keys = 20_000
	var mass []byte
	for i := range keys {
		mass = harness.AppendCommand(mass, "SET", "mass:"+strconv.Itoa(i), "value"+strconv.Itoa(i))
	}
	if got := output(string(mass), "--pipe"); !strings.Contains(got, "errors: 0, replies: "+strconv.Itoa(keys)) {
		t.Errorf("--pipe: %s", got)
	}
	if got := strings.Fields(output("", "--scan", "--pattern", "mass:1234*")); len(got) != 11 {
		t.Errorf("--scan: %q", got)
	}
	if got := output("", "--bigkeys"); !strings.Contains(got, strconv.Itoa(keys)+" strings with") {
		t.Errorf("--bigkeys: %s", got)
	}
	if got := output("", "--memkeys"); !strings.Contains(got, "Sampled "+strconv.Itoa(keys)+" keys") {
		t.Errorf("--memkeys: %s", got)
	}
	if got := output("", "-r", "3", "-i", "0.01", "INCR", "n"); got != "1\n2\n3\n" {
		t.Errorf("-r 3: %q", got)
	}
	if got := output("", "--csv", "MGET", "mass:1", "absent"); !strings.HasPrefix(got, `"value1",N`) { // NIL or NULL, by its version
		t.Errorf("--csv: %q", got)
	}
	if got := output("", "--json", "MGET", "mass:1"); !strings.Contains(got, `["value1"]`) {
		t.Errorf("--json: %q", got)
	}
}

// redis-benchmark's workloads run without an error.
func TestRedisBenchmark(t *testing.T) {
	program := harness.NeedProgram(t, "redis-benchmark", "redis-tools")
	srv := harness.Dkv(t, "-fsync", "everysec")
	for _, args := range [][]string{
		{"-t", "ping_inline,ping_mbulk,set,get,incr,mset", "-P", "16"},
		{"-t", "set,get,incr", "-P", "1"},
		{"-t", "set,get", "-P", "32", "-r", "100000", "-d", "100", "--threads", "2"},
		{"-t", "get", "-3"},
		{"DKV.CAS", "key:__rand_int__", "a", "b"},
	} {
		if harness.StandIn() && args[0] == "DKV.CAS" {
			continue
		}
		all := append([]string{"-p", strconv.Itoa(srv.Port()), "-n", "20000", "-c", "50", "--csv"}, args...)
		stdout, stderr, code := run(t, "", program, all...)
		if code != 0 || strings.Contains(stdout+stderr, "ERR") || strings.Contains(stdout+stderr, "Error") {
			t.Errorf("redis-benchmark %q: exit code %d\n%s%s", args, code, stdout, stderr)
		}
		if strings.Contains(stderr, "WARNING") {
			t.Errorf("redis-benchmark %q: %s", args, stderr)
		}
	}
}
