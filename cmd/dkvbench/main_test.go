package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The test binary is dkvbench too: with this variable set it runs main, so that
// exit codes and streams are tested as a script sees them.
const runMainEnv = "DKVBENCH_TEST_RUN_MAIN"

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

// benchCommand runs dkvbench as a process.
func benchCommand(t *testing.T, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), runMainEnv+"=1", authEnv+"=",
		"GORACE=atexit_sleep_ms=0") // a run under the race detector ends a second late otherwise
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{out.String(), errOut.String(), cmd.ProcessState.ExitCode()}
}

// mustConfig parses flags.
func mustConfig(t *testing.T, args ...string) *config {
	t.Helper()
	c, err := parseFlags(args, io.Discard, func(string) string { return "" })
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return c
}

// measure runs the flags' workload once, within the test.
func measure(t *testing.T, args ...string) *runResult {
	t.Helper()
	c := mustConfig(t, args...)
	b := &bench{
		ctx: t.Context(), cfg: c, report: io.Discard,
		vals: newValues(c.valueMin, c.valueMax, c.compressible, c.seed),
	}
	d, err := b.all()
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return &d.Runs[0]
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
	dir, err := os.MkdirTemp("", "bench") // t.TempDir may be too long for a socket's name
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

// query asks a server one thing.
func query(t *testing.T, addr string, words ...string) string {
	t.Helper()
	nc, err := dial(t.Context(), target{addr: addr}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	s, err := ask(nc, words...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fakeServer answers each request with what answer returns; "" closes the
// connection. Requests of one connection are answered in order.
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
			go func() {
				defer nc.Close()
				in := bufio.NewReader(nc)
				for {
					words, err := readRequest(in)
					if err != nil {
						return
					}
					a := answer(words)
					if a == "" {
						return
					}
					if _, err := io.WriteString(nc, a); err != nil {
						return
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

func readRequest(in *bufio.Reader) ([]string, error) {
	header := func(typ byte) (int, error) {
		line, err := in.ReadString('\n')
		if err != nil {
			return 0, err
		}
		if line[0] != typ {
			return 0, fmt.Errorf("not a request: %q", line)
		}
		return strconv.Atoi(strings.TrimSpace(line[1:]))
	}
	n, err := header('*')
	if err != nil {
		return nil, err
	}
	words := make([]string, n)
	for i := range words {
		size, err := header('$')
		if err != nil {
			return nil, err
		}
		buf := make([]byte, size+2)
		if _, err := io.ReadFull(in, buf); err != nil {
			return nil, err
		}
		words[i] = string(buf[:size])
	}
	return words, nil
}
