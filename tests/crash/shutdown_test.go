package crash

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"dkv/tests/harness"
)

const (
	exitLimit  = 30 * time.Second
	startLimit = 20 * time.Second
)

// SIGTERM and SIGINT end the server in order while clients are writing: exit
// code 0, everything acknowledged there.
func TestSignalUnderLoad(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			srv := harness.Dkv(t, "-fsync", "everysec")
			idle := srv.Dial(t) // a connection that does nothing holds nothing up
			idle.Do("PING")
			ws := newWriters(0)
			rng := rand.New(rand.NewPCG(1, 2))
			load(t, ws, srv.Addr(), rng, 500, func() {
				if err := srv.Signal(sig); err != nil {
					t.Error(err)
				}
				if code, err := srv.Wait(exitLimit); err != nil || code != 0 {
					t.Errorf("%v: exit code %d, %v", sig, code, err)
				}
			})
			srv.MustStart(t)
			c := srv.Dial(t)
			for _, w := range ws {
				w.check(t, c)
			}
		})
	}
}

func TestShutdownCommand(t *testing.T) {
	for _, args := range [][]string{{"SHUTDOWN"}, {"SHUTDOWN", "NOSAVE"}, {"SHUTDOWN", "SAVE"}, {"SHUTDOWN", "NOW", "FORCE"}} {
		t.Run(strings.Join(args, "_"), func(t *testing.T) {
			srv := harness.Dkv(t)
			c := srv.Dial(t)
			c.OK("SET", "k", "v")
			c.SetDeadline(time.Now().Add(exitLimit))
			if r, err := c.Call(args...); err == nil {
				t.Errorf("got %s, want the connection closed", r)
			}
			if code, err := srv.Wait(exitLimit); err != nil || code != 0 {
				t.Errorf("exit code %d, %v", code, err)
			}
			srv.MustStart(t)
			srv.Dial(t).Want("$1\r\nv\r\n", "GET", "k")
		})
	}
}

// Two processes on one folder would destroy it.
func TestFolderLock(t *testing.T) {
	harness.NeedItself(t)
	dir := t.TempDir()
	first := harness.DkvIn(t, dir)
	first.Dial(t).OK("SET", "k", "v")

	refused(t, dir, "", "lock", "in use", "another")
	first.Dial(t).Want("$1\r\nv\r\n", "GET", "k")

	// The lock goes with the process, however it ended.
	first.Kill()
	second := harness.DkvIn(t, dir)
	second.Dial(t).Want("$1\r\nv\r\n", "GET", "k")
}

// What stops a server from starting is said in one clear line, with an exit
// code that is not 0.
func TestStartRefused(t *testing.T) {
	harness.NeedItself(t)
	t.Run("port in use", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		refused(t, t.TempDir(), l.Addr().String(), "in use")
	})
	t.Run("folder is a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, file, "", "not a directory", "not a folder")
	})
	t.Run("folder may not be written", func(t *testing.T) {
		if os.Geteuid() == 0 {
			t.Skip("root may write everywhere; the message is the same as for a file")
		}
		dir := filepath.Join(t.TempDir(), "closed")
		if err := os.Mkdir(dir, 0o500); err != nil {
			t.Fatal(err)
		}
		refused(t, dir, "", "permission denied")
	})
	t.Run("folder of another version", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "data")
		harness.DkvIn(t, dir).Kill()
		file := filepath.Join(dir, "node.json")
		identity, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		later := regexp.MustCompile(`"format": *\d+`).ReplaceAll(identity, []byte(`"format": 999`))
		if err := os.WriteFile(file, later, 0o600); err != nil || bytes.Equal(later, identity) {
			t.Fatalf("%v: %s", err, identity)
		}
		refused(t, dir, "", "version")
	})
	t.Run("folder of somebody else", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "thesis.tex"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, dir, "", "thesis.tex")
	})
	t.Run("bad flag value", func(t *testing.T) { refused(t, t.TempDir(), "", "fsync", "-fsync", "sometimes") })
	t.Run("unknown flag", func(t *testing.T) { refused(t, t.TempDir(), "", "no-such-flag", "-no-such-flag", "x") })
	t.Run("cluster without an address", func(t *testing.T) { refused(t, t.TempDir(), "", "join needs peer-addr", "-nexusJoin") })
	t.Run("cluster of others", func(t *testing.T) {
		refused(t, t.TempDir(), "", "is not among cluster-peers",
			"-nexus-node-url", "http://127.0.0.1:1", "-nexus-cluster-url", "http://127.0.0.1:2")
	})
}

// refused starts dkvsrv on a folder, with rest as more flags (those that begin
// with a dash and what follows them; what stands before is the texts of which
// the output must have one), and fails the test when it starts.
func refused(t *testing.T, dir, listen string, rest ...string) {
	t.Helper()
	var texts []string
	for len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		texts, rest = append(texts, rest[0]), rest[1:]
	}
	spec, err := harness.DkvSpec(dir, rest...)
	if err != nil {
		t.Fatal(err)
	}
	if listen != "" {
		args := spec.Args
		spec.Args = func(port int) []string { return append(args(port), "-listen-addr", listen) }
	}
	srv := harness.NewServer(spec)
	t.Cleanup(srv.Kill)
	code, output := srv.StartRefused(startLimit)
	if code == 0 {
		t.Errorf("exit code 0, want another\n%s", output)
	}
	for _, text := range texts {
		if strings.Contains(strings.ToLower(output), strings.ToLower(text)) {
			return
		}
	}
	t.Errorf("the output says none of %q:\n%s", texts, output)
}

// A connection that was accepted before the end gets its replies: a pipeline
// that arrived is answered, or the connection ends, but no reply is half.
func TestTerminateAnswersWhole(t *testing.T) {
	srv := harness.Dkv(t, "-fsync", "no")
	var acked atomic.Int64
	done := make(chan error, 1)
	go func() {
		c, err := harness.Dial(srv.Addr())
		if err != nil {
			done <- err
			return
		}
		defer c.Close()
		for {
			for range 50 {
				c.Queue("ECHO", strings.Repeat("x", 1000))
			}
			if c.Flush() != nil {
				done <- nil
				return
			}
			for range 50 {
				r, err := c.Read()
				if err != nil {
					if len(r.Raw) > 0 {
						err = fmt.Errorf("half a reply: %q", r.Raw)
					} else {
						err = nil
					}
					done <- err
					return
				}
				acked.Add(1)
			}
		}
	}()
	harness.Until(t, startLimit, "replies", func() bool { return acked.Load() > 1000 })
	if code, err := srv.Terminate(exitLimit); code != 0 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
