package compat

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"dkv/tests/harness"
)

// dkvctl returns a function that runs dkvctl against a server and compares
// what it prints and its exit code.
func dkvctl(t *testing.T, srv *harness.Server, addrFlag string) func(code int, stdin, output string, args ...string) {
	t.Helper()
	program := harness.NeedDkv(t, "dkvctl")
	return func(code int, stdin, output string, args ...string) {
		t.Helper()
		stdout, stderr, got := run(t, stdin, program, append([]string{addrFlag, srv.Addr()}, args...)...)
		if got != code || inOrder(stdout) != inOrder(output) {
			t.Errorf("dkvctl %q:\n got exit code %d and %q\nwant exit code %d and %q\n%s", args, got, stdout, code, output, stderr)
		}
	}
}

// inOrder sorts the lines of an iteration, which come in the server's order.
func inOrder(output string) string {
	lines := strings.Split(strings.TrimRight(output, "\n"), "\n")
	if strings.Contains(output, " => ") {
		slices.Sort(lines)
	}
	return strings.Join(lines, "\n")
}

// The session that the older store's documentation has: the same words, the
// same output.
func TestDkvctlOlderStore(t *testing.T) {
	srv := harness.Dkv(t)
	for _, addr := range []string{"-dkvAddr", "-a", "--dkvAddr"} {
		expect := dkvctl(t, srv, addr)
		expect(0, "", "OK", "-set", "hello", "world")
		expect(0, "", "world", "-get", "hello")
		expect(0, "", "OK", "-set", "hello2", "world2")
		expect(0, "", "hello => world\nhello2 => world2", "-iter", "hello*")
		expect(0, "", "hello => world\nhello2 => world2", "-iter", "*")
		expect(0, "", "1", "-del", "hello")
		expect(4, "", "", "-get", "hello")
		expect(0, "", "hello2 => world2", "-iter", "*")
		expect(0, "", "1", "-del", "hello2")
		expect(0, "", "", "-iter", "*")
	}
}

func TestDkvctl(t *testing.T) {
	srv := harness.Dkv(t)
	expect := dkvctl(t, srv, "-a")
	expect(0, "", "1", "INCR", "n")
	expect(0, "", "2", "incr", "n")
	expect(1, "", "(error) ERR wrong number of arguments for 'get' command", "-no-raw", "GET")
	expect(2, "", "", "-nosuchflag")
	expect(0, "SET a 1\nGET a\n", "OK\n1")
	expect(0, "", "PONG", "-healthcheck")
	if harness.StandIn() {
		return
	}
	expect(0, "", "OK", "-set", "k", "old")
	expect(0, "", "1", "-cas", "k", "old", "new")
	expect(4, "", "0", "-cas", "k", "old", "newer")
	expect(0, "", "new", "-get", "k")
}

func TestDkvctlJSON(t *testing.T) {
	srv := harness.Dkv(t)
	c := srv.Dial(t)
	c.OK("MSET", "a", "1", "b", "text")
	program := harness.NeedDkv(t, "dkvctl")
	stdout, stderr, code := run(t, "", program, "-a", srv.Addr(), "--json", "MGET", "a", "b", "absent")
	var got []any
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v: %s%s", code, err, stdout, stderr)
	}
	if !slices.Equal(got, []any{"1", "text", nil}) {
		t.Errorf("got %v", got)
	}
}

func TestDkvctlNoServer(t *testing.T) {
	srv := harness.Dkv(t)
	srv.Kill()
	program := harness.NeedDkv(t, "dkvctl")
	for _, args := range [][]string{{"-get", "k"}, {"-healthcheck"}, {"PING"}} {
		if _, stderr, code := run(t, "", program, append([]string{"-a", srv.Addr()}, args...)...); code != 3 || stderr == "" {
			t.Errorf("dkvctl %q without a server: exit code %d, %q", args, code, stderr)
		}
	}
}
