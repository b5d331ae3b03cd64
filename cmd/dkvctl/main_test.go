package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The test binary is dkvctl too: with this variable set it runs main, so that
// exit codes and streams are tested as a script sees them.
const runMainEnv = "DKVCTL_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runMainEnv) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

type result struct {
	out, err string
	code     int
}

// ctlCommand prepares a run of dkvctl.
func ctlCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), runMainEnv+"=1", historyEnv+"=", authEnv+"=",
		"GORACE=atexit_sleep_ms=0") // a run under the race detector ends a second late otherwise
	return cmd
}

// ctl runs dkvctl with stdin as its input.
func ctl(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	cmd := ctlCommand(t, args...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{out.String(), errOut.String(), cmd.ProcessState.ExitCode()}
}

func (r result) expect(t *testing.T, out string, code int) {
	t.Helper()
	if r.out != out || r.code != code {
		t.Errorf("got %q, exit code %d (stderr %q); want %q, %d", r.out, r.code, r.err, out, code)
	}
}

// missing ends the test because the machine lacks something: as a skip on a
// developer's machine, as a failure where CI=true. (tests/harness has the same; a program
// must not know it.)
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("cannot run here, and CI=true allows no skip: %s", what)
	}
	t.Skipf("skipped: %s", what)
}

// redisServer starts a redis-server of the machine and returns the path of its
// unix socket. Without one the test is skipped, except in CI, which has it.
func redisServer(t *testing.T, args ...string) string {
	t.Helper()
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		missing(t, "redis-server is not installed")
	}
	dir, err := os.MkdirTemp("", "ctl") // t.TempDir may be too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	sock := filepath.Join(dir, "s")
	args = append([]string{"--port", "0", "--unixsocket", sock, "--save", "", "--dir", dir}, args...)
	cmd := exec.Command(bin, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for end := time.Now().Add(20 * time.Second); ; {
		c, err := net.Dial("unix", sock)
		if err == nil {
			c.Close()
			return sock
		}
		if time.Now().After(end) {
			t.Fatalf("redis-server does not listen: %v", err)
		}
		time.Sleep(5 * time.Millisecond) // poll interval of a wait on a condition
	}
}

// fakeServer serves connections by answering each request with what answer
// returns; "" closes the connection. It returns the address.
func fakeServer(t *testing.T, answer func(words []string) string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go serveFake(nc, answer)
		}
	}()
	return ln.Addr().String()
}

func serveFake(nc net.Conn, answer func(words []string) string) {
	defer nc.Close()
	rr := newReplyReader(nc) // a request is an array of strings, which is a reply too
	for {
		req, err := rr.read()
		if err != nil {
			return
		}
		var words []string
		for _, e := range req.elems {
			words = append(words, string(e.str))
		}
		a := answer(words)
		if a == "" {
			return
		}
		if _, err := nc.Write([]byte(a)); err != nil {
			return
		}
	}
}
