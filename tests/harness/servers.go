package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// DkvSpec returns how to start dkvsrv on a data folder, with more flags after
// the ones it always gets. With DKV_SERVER set to a redis-server it returns how
// to start that one with the same durability; flags without a counterpart there
// are dropped.
func DkvSpec(dir string, flags ...string) (Spec, error) {
	if other := os.Getenv(envServer); strings.Contains(filepath.Base(other), "redis-server") {
		return redisStandIn(other, dir, flags), nil
	} else if other != "" {
		return dkvSpec(other, dir, flags), nil
	}
	program, err := Program("dkvsrv")
	if err != nil {
		return Spec{}, err
	}
	return dkvSpec(program, dir, flags), nil
}

// StandIn reports whether a redis-server stands in dkvsrv's place, for the few
// tests of what only dkvsrv does.
func StandIn() bool { return strings.Contains(filepath.Base(os.Getenv(envServer)), "redis-server") }

// NeedItself skips a test of what only dkvsrv does while a redis-server stands in.
func NeedItself(t testing.TB) {
	t.Helper()
	if StandIn() {
		t.Skip("skipped: " + envServer + " names a redis-server")
	}
}

// Dkv starts dkvsrv on a fresh folder; it is killed when the test is over.
func Dkv(t testing.TB, flags ...string) *Server {
	t.Helper()
	return DkvIn(t, t.TempDir(), flags...)
}

// DkvIn is Dkv on a folder of the caller's.
func DkvIn(t testing.TB, dir string, flags ...string) *Server {
	t.Helper()
	spec, err := DkvSpec(dir, flags...)
	if err != nil {
		t.Fatal(err)
	}
	return startForTest(t, spec)
}

// RedisSpec returns how to start the installed redis-server without
// persistence; flags are added.
func RedisSpec(dir string, flags ...string) (Spec, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return Spec{}, err
	}
	return redisSpec(program, dir, flags), nil
}

// Redis starts the installed redis-server, without persistence, as the oracle
// that dkvsrv is compared with.
func Redis(t testing.TB, flags ...string) *Server {
	t.Helper()
	NeedProgram(t, "redis-server", "redis-server")
	spec, err := RedisSpec(t.TempDir(), flags...)
	if err != nil {
		t.Fatal(err)
	}
	return startForTest(t, spec)
}

// Dial connects to the server, or fails the test; closed when the test is over.
func (s *Server) Dial(t testing.TB) *TestConn {
	t.Helper()
	c, err := s.Connect()
	if err != nil {
		t.Fatalf("dial: %v\n%s", err, s.Logs())
	}
	t.Cleanup(func() { c.Close() })
	return &TestConn{Conn: c, t: t}
}

// MustStart starts or restarts the server, or fails the test.
func (s *Server) MustStart(t testing.TB) {
	t.Helper()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
}

// signsOfBugs must not be in a server's output, whatever a test did to it.
var signsOfBugs = []string{"WARNING: DATA RACE", "a command panicked", "panic: ", "fatal error: "}

// around returns a string from shortly before a word in it on.
func around(s, word string) string {
	const before, after = 500, 6000
	at := strings.Index(s, word)
	return s[max(0, at-before):min(len(s), at+after)]
}

func startForTest(t testing.TB, spec Spec) *Server {
	t.Helper()
	s := NewServer(spec)
	t.Cleanup(func() {
		s.Kill()
		for _, sign := range signsOfBugs {
			if logs := s.Logs(); strings.Contains(logs, sign) {
				t.Errorf("the server's output has %q:\n%s", sign, around(logs, sign))
			}
		}
		if t.Failed() {
			t.Logf("output of %s on port %d:\n%s", spec.Program, s.Port(), lastLines(s.Logs(), 60))
		}
	})
	s.MustStart(t)
	return s
}

func dkvSpec(program, dir string, flags []string) Spec {
	return Spec{Program: program, Args: func(port int) []string {
		args := []string{"-listen-addr", "127.0.0.1:" + strconv.Itoa(port), "-db-folder", dir, "-enable-debug-command", "local"}
		return append(args, flags...)
	}}
}

func redisSpec(program, dir string, flags []string) Spec {
	return Spec{Program: program, Args: func(port int) []string {
		args := []string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "",
			"--enable-debug-command", "local",
			// Redis waits 5 s for more replicas before it sends a copy.
			"--repl-diskless-sync-delay", "0"}
		return append(args, flags...)
	}}
}

// redisStandIn translates the flags that the suites give dkvsrv.
func redisStandIn(program, dir string, flags []string) Spec {
	out := []string{"--appendonly", "yes", "--appendfsync", "always"}
	for i := 0; i+1 < len(flags); i += 2 {
		switch flags[i] {
		case "-fsync":
			out = append(out, "--appendfsync", flags[i+1])
		case "-requirepass", "-maxclients", "-timeout":
			out = append(out, "-"+flags[i], flags[i+1])
		}
	}
	return redisSpec(program, dir, out)
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	if len(lines) > n {
		lines = append([]string{"..."}, lines[len(lines)-n:]...)
	}
	return strings.Join(lines, "\n")
}
