package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
)

// The binary against a real server: output and exit codes as scripts see them.
func TestAgainstServer(t *testing.T) {
	sock := redisServer(t)
	run := func(args ...string) result { t.Helper(); return ctl(t, "", append([]string{"-a", sock}, args...)...) }

	run("-set", "foo", "bar baz").expect(t, "OK\n", exitOK)
	run("-get", "foo").expect(t, "bar baz\n", exitOK)
	run("--get", "foo", "--json").expect(t, "\"bar baz\"\n", exitOK)
	run("-get", "absent").expect(t, "", exitNo)
	run("-get", "absent", "-json").expect(t, "null\n", exitNo)
	run("-no-raw", "-get", "absent").expect(t, "(nil)\n", exitNo)
	run("GET", "absent").expect(t, "\n", exitOK)
	run("-mget", "foo", "absent").expect(t, "bar baz\n\n", exitOK)
	run("-del", "foo", "absent").expect(t, "1\n", exitOK)
	run("INCR", "n").expect(t, "1\n", exitOK)
	run("INCRBY", "n", "-5").expect(t, "-4\n", exitOK)
	run("-db", "1", "GET", "n").expect(t, "\n", exitOK)
	run("-db", "99", "GET", "n").expect(t, "", exitError)
	run("-healthcheck").expect(t, "PONG\n", exitOK)
	run("-3", "-no-raw", "CONFIG", "GET", "port").expect(t, "1# \"port\" => \"0\"\n", exitOK)

	run("LPUSH", "l", "x").expect(t, "1\n", exitOK)
	r := run("-get", "l")
	r.expect(t, "", exitError)
	if !strings.Contains(r.err, "(error) WRONGTYPE") {
		t.Errorf("stderr: %q", r.err)
	}
	for _, args := range [][]string{{"-listNodes"}, {"-addNode", "http://h:1"}, {"-removeNode", "http://h:1"}, {"-cas", "a", "b", "c"}} {
		if r := run(args...); r.code != exitError || !strings.Contains(r.err, "ERR unknown") {
			t.Errorf("%v: %+v", args, r)
		}
	}
	run("-nosuch").expect(t, "", exitUsage)

	ctl(t, "from\nstdin\n", "-a", sock, "-x", "-set", "x").expect(t, "OK\n", exitOK)
	ctl(t, "", "-a", sock, "-get", "x").expect(t, "from\nstdin\n\n", exitOK)
	ctl(t, "\xff\x00", "-a", sock, "-x", "SET", "x").expect(t, "OK\n", exitOK)
	ctl(t, "", "-a", sock, "--json", "GET", "x").expect(t, "{\"base64\":\"/wA=\"}\n", exitOK)
}

func TestLines(t *testing.T) {
	sock := redisServer(t)
	ctl(t, "set a 1\r\n\nincr a\nget \"a\"", "-a", sock).expect(t, "OK\n2\n2\n", exitOK)
	ctl(t, "set a x\nincr a\nget a\n", "-a", sock).
		expect(t, "OK\nERR value is not an integer or out of range\nx\n", exitError)
	ctl(t, "get \"a\nget a\n", "-a", sock).expect(t, "x\n", exitUsage)
	ctl(t, "get a\nquit\nget a\n", "-a", sock).expect(t, "x\n", exitOK)
	ctl(t, "multi\nget a\nexec\n", "-a", sock, "-no-raw").expect(t, "OK\nQUEUED\n1) \"x\"\n", exitOK)
	ctl(t, "", "-a", sock, "SHUTDOWN").expect(t, "", exitOK)
	ctl(t, "get a\n", "-a", sock).expect(t, "", exitConn)
}

func TestAuth(t *testing.T) {
	sock := redisServer(t, "--requirepass", "secret")
	ctl(t, "", "-a", sock, "PING").expect(t, "", exitError)
	ctl(t, "", "-a", sock, "-healthcheck").expect(t, "", exitOK)
	ctl(t, "", "-a", sock, "-pass", "wrong", "PING").expect(t, "", exitError)
	for _, proto := range []string{"-2", "-3"} {
		ctl(t, "", "-a", sock, proto, "-pass", "secret", "PING").expect(t, "PONG\n", exitOK)
		ctl(t, "", "-a", sock, proto, "-user", "default", "-pass", "secret", "-db", "2", "PING").expect(t, "PONG\n", exitOK)
	}
	cmd := ctlCommand(t, "-a", sock, "PING")
	cmd.Env = append(cmd.Env, authEnv+"=secret")
	if out, err := cmd.Output(); err != nil || string(out) != "PONG\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestIterate(t *testing.T) {
	sock := redisServer(t)
	var in strings.Builder
	want := []string{}
	for i := range 3000 {
		fmt.Fprintf(&in, "set user:%d v%d\n", i, i)
		want = append(want, fmt.Sprintf("user:%d => v%d", i, i))
	}
	in.WriteString("set other o\nset \"bin\\x00\" \"\\xff\"\nrpush list 1\n")
	if r := ctl(t, in.String(), "-a", sock); r.code != exitOK {
		t.Fatal(r.err)
	}
	slices.Sort(want)
	for _, pattern := range []string{"user:*", "user:"} {
		r := ctl(t, "", "-a", sock, "-iter", pattern)
		got := strings.Split(strings.TrimSuffix(r.out, "\n"), "\n")
		slices.Sort(got)
		if r.code != exitOK || !slices.Equal(got, want) {
			t.Errorf("%s: code %d, %d lines", pattern, r.code, len(got))
		}
	}
	if r := ctl(t, "", "-a", sock, "-iter", "*"); strings.Count(r.out, "\n") != 3003 {
		t.Errorf("%d lines", strings.Count(r.out, "\n"))
	}
	ctl(t, "", "-a", sock, "-iter", "oth?r").expect(t, "other => o\n", exitOK)
	ctl(t, "", "-a", sock, "-iter", "none*").expect(t, "", exitOK)
	ctl(t, "", "-a", sock, "-iter", "list").expect(t, "list => (list)\n", exitOK)
	ctl(t, "", "-a", sock, "-no-raw", "-iter", "bin*").expect(t, `"bin\x00" => "\xff"`+"\n", exitOK)
	ctl(t, "", "-a", sock, "-json", "-iter", "bin*").
		expect(t, `{"key":"bin\u0000","value":{"base64":"/w=="}}`+"\n", exitOK)
}

// SCAN may return a key twice; the output must not.
func TestIterateDuplicates(t *testing.T) {
	addr := fakeServer(t, func(words []string) string {
		switch {
		case words[0] == "SCAN" && words[1] == "0":
			return "*2\r\n$1\r\n7\r\n*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\na\r\n"
		case words[0] == "SCAN":
			return "*2\r\n$1\r\n0\r\n*3\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n"
		case words[1] == "d":
			return "$-1\r\n" // deleted meanwhile
		}
		return "$1\r\n" + strings.ToUpper(words[1]) + "\r\n"
	})
	ctl(t, "", "-a", addr, "-iter", "*").expect(t, "a => A\nb => B\nc => C\n", exitOK)
}

func TestRecentKeys(t *testing.T) {
	const limit = 100
	s := newRecentKeys(limit)
	for i := range 10 * limit {
		for back := max(0, i-limit); back < i; back++ {
			if s.add([]byte(fmt.Sprint(back))) {
				t.Fatalf("%d was added %d keys ago and is called new", back, i-back)
			}
		}
		if !s.add([]byte(fmt.Sprint(i))) {
			t.Fatalf("%d is called known", i)
		}
		if n := len(s.now) + len(s.old); n > 2*limit {
			t.Fatalf("%d fingerprints", n)
		}
	}
}

func TestServerFailures(t *testing.T) {
	addr := fakeServer(t, func(words []string) string {
		switch words[0] {
		case "UNSURE":
			return "-UNCERTAIN leadership lost while the write was in flight\r\n"
		case "DKV.CAS":
			if words[2] == "right" || len(words) == 5 && words[4] == "ABSENT" {
				return ":1\r\n"
			}
			return ":0\r\n"
		case "GARBAGE":
			return "what?\r\n"
		case "HELLO":
			return "-ERR unknown command 'HELLO'\r\n"
		case "CLOSE":
			return ""
		}
		return "+OK\r\n"
	})
	r := ctl(t, "", "-a", addr, "UNSURE")
	r.expect(t, "", exitUncertain)
	if !strings.Contains(r.err, "(error) UNCERTAIN") || !strings.Contains(r.err, "may or may not have happened") {
		t.Errorf("stderr: %q", r.err)
	}
	ctl(t, "", "-a", addr, "-cas", "k", "right", "new").expect(t, "1\n", exitOK)
	ctl(t, "", "-a", addr, "-cas", "k", "wrong", "new").expect(t, "0\n", exitNo)
	ctl(t, "", "-a", addr, "-cas", "k", "", "new").expect(t, "0\n", exitNo)
	ctl(t, "", "-a", addr, "-cas", "k", "", "new", "-absent").expect(t, "1\n", exitOK)
	ctl(t, "", "-a", addr, "-no-raw", "-cas", "k", "wrong", "new").expect(t, "(integer) 0\n", exitNo)
	ctl(t, "", "-a", addr, "-json", "SET", "a", "b").expect(t, "\"OK\"\n", exitOK) // falls back to RESP2
	ctl(t, "PING\nUNSURE\nPING\n", "-a", addr).
		expect(t, "OK\nUNCERTAIN leadership lost while the write was in flight\nOK\n", exitUncertain)
	for _, word := range []string{"CLOSE", "GARBAGE"} {
		if r := ctl(t, "", "-a", addr, word); r.code != exitConn || !strings.Contains(r.err, "may or may not have been executed") {
			t.Errorf("%s: %+v", word, r)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if r := ctl(t, "", "-a", ln.Addr().String(), "PING"); r.code != exitConn || !strings.Contains(r.err, "could not connect to "+ln.Addr().String()) {
		t.Errorf("%+v", r)
	}
}

// A server that accepts and says nothing must fail a health check in time.
func TestHealthcheckTimeout(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctl(t, "", "-a", ln.Addr().String(), "-timeout", "50ms", "-healthcheck").expect(t, "", exitConn)
}

func TestMonitorStreams(t *testing.T) {
	sock := redisServer(t)
	cmd := ctlCommand(t, "-a", sock, "MONITOR")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Signal(os.Interrupt)
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "OK" {
		t.Fatalf("first line %q", lines.Text())
	}
	ctl(t, "", "-a", sock, "SET", "watched", "1").expect(t, "OK\n", exitOK)
	if !lines.Scan() || !strings.Contains(lines.Text(), `"SET" "watched" "1"`) {
		t.Errorf("got %q", lines.Text())
	}
}
