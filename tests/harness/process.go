package harness

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// readyLimit bounds the time from starting a process to its first answer.
	readyLimit = 60 * time.Second
	// portTries is how many free ports are tried: between asking the kernel for
	// a free port and the server's listening on it another process may take it.
	portTries = 5
	// logLimit is how much of a server's output is kept, its end.
	logLimit = 256 << 10
)

// Spec says how to start a server.
type Spec struct {
	Program string
	// Args returns the arguments that make it listen on 127.0.0.1:port.
	Args func(port int) []string
	// Env is added to the environment.
	Env []string

	// Host is the address that the server listens on; empty: 127.0.0.1.
	Host string
	// Launch calls start where the process has to run, and Dial connects to it
	// from where its clients are. nil: in this process's own network.
	Launch func(start func() error) error
	Dial   func(addr string) (net.Conn, error)

	// Ready reports whether the server at an address serves; nil: it answers PING.
	Ready func(addr string) bool
}

// Server is a server process, started or not. Its methods are not safe for
// concurrent use, except Addr, Port, Logs and Kill.
type Server struct {
	spec Spec
	port int
	logs tail

	mu struct {
		sync.Mutex
		cmd  *exec.Cmd     // nil when no process runs
		done chan struct{} // closed when the process has been waited for
		code int           // how the last one ended
	}
}

// NewServer returns a server that is not started yet. Its port is chosen by
// the first Start and kept over restarts.
func NewServer(spec Spec) *Server { return &Server{spec: spec} }

// Addr returns host:port.
func (s *Server) Addr() string {
	host := s.spec.Host
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(s.port))
}

// Connect connects to the server.
func (s *Server) Connect() (*Conn, error) {
	if s.spec.Dial == nil {
		return Dial(s.Addr())
	}
	c, err := s.spec.Dial(s.Addr())
	if err != nil {
		return nil, err
	}
	return NewConn(c), nil
}

// Port returns the port that the server listens on.
func (s *Server) Port() int { return s.port }

// Logs returns the end of what all runs of the server wrote.
func (s *Server) Logs() string { return s.logs.String() }

// PID returns the process id, 0 when it does not run.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.cmd == nil {
		return 0
	}
	return s.mu.cmd.Process.Pid
}

// Start starts the process and waits until it answers commands.
func (s *Server) Start() error {
	if s.port != 0 {
		return s.startOn(s.port)
	}
	var err error
	for range portTries {
		var port int
		if port, err = freePort(); err != nil {
			return err
		}
		s.port = port
		if err = s.startOn(port); err == nil || !strings.Contains(strings.ToLower(s.Logs()), "in use") {
			return err
		}
	}
	return err
}

// Kill ends the process with SIGKILL and waits until it is gone. Killing a
// server that does not run does nothing.
func (s *Server) Kill() {
	s.mu.Lock()
	cmd, done := s.mu.cmd, s.mu.done
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	cmd.Process.Kill()
	<-done
}

// Signal sends a signal to the process.
func (s *Server) Signal(sig os.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.cmd == nil {
		return os.ErrProcessDone
	}
	return s.mu.cmd.Process.Signal(sig)
}

// Terminate sends SIGTERM and returns the exit code, or an error when the
// process is still there after limit (it is killed then).
func (s *Server) Terminate(limit time.Duration) (int, error) {
	if err := s.Signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	return s.Wait(limit)
}

// Wait waits for the process to end by itself and returns its exit code, that
// of the last process when none runs.
func (s *Server) Wait(limit time.Duration) (int, error) {
	s.mu.Lock()
	done := s.mu.done
	s.mu.Unlock()
	if done == nil {
		return 0, errors.New("never started")
	}
	select {
	case <-done:
	case <-time.After(limit):
		s.Kill()
		return 0, fmt.Errorf("still running after %v, killed\n%s", limit, s.Logs())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.code, nil
}

// StartAndKill starts the process and kills it after a while, ready or not.
func (s *Server) StartAndKill(after time.Duration) error {
	done, err := s.launch(s.port)
	if err != nil {
		return err
	}
	select {
	case <-done:
	case <-time.After(after):
		s.Kill()
	}
	return nil
}

// StartRefused starts a process that is expected to end by itself, and returns
// its exit code and output. A process that runs on is killed; its code is 0.
func (s *Server) StartRefused(limit time.Duration) (code int, output string) {
	port, err := freePort()
	if err != nil {
		return 0, err.Error()
	}
	s.port = port
	if _, err := s.launch(port); err != nil {
		return 0, err.Error()
	}
	if code, err = s.Wait(limit); err != nil {
		return 0, err.Error()
	}
	return code, s.Logs()
}

// startOn runs the process and waits for its first answer.
func (s *Server) startOn(port int) error {
	done, err := s.launch(port)
	if err != nil {
		return err
	}
	exited := func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	}
	answered := false
	poll(readyLimit, func() bool {
		answered = s.answers()
		return answered || exited()
	})
	switch {
	case exited():
		return fmt.Errorf("%s ended at start\n%s", s.spec.Program, s.Logs())
	case !answered:
		s.Kill()
		return fmt.Errorf("%s does not answer after %v\n%s", s.spec.Program, readyLimit, s.Logs())
	}
	return nil
}

// launch runs the process. The channel is closed when it has ended.
func (s *Server) launch(port int) (<-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.cmd != nil {
		return nil, errors.New("already running")
	}
	cmd := exec.Command(s.spec.Program, s.spec.Args(port)...)
	cmd.Env = append(os.Environ(), s.spec.Env...)
	cmd.Stdout, cmd.Stderr = &s.logs, &s.logs
	cmd.SysProcAttr = dieWithParent()
	start := cmd.Start
	if s.spec.Launch != nil {
		start = func() error { return s.spec.Launch(cmd.Start) }
	}
	if err := start(); err != nil {
		return nil, err
	}
	done := make(chan struct{})
	s.mu.cmd, s.mu.done = cmd, done
	go func() {
		cmd.Wait()
		s.mu.Lock()
		s.mu.cmd, s.mu.code = nil, cmd.ProcessState.ExitCode()
		s.mu.Unlock()
		close(done)
	}()
	return done, nil
}

// answers reports whether PING gets a reply that says the data is there; an
// error for lack of a password is such a reply.
func (s *Server) answers() bool {
	if s.spec.Ready != nil {
		return s.spec.Ready(s.Addr())
	}
	c, err := s.Connect()
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	r, err := c.Call("PING")
	return err == nil && !strings.HasPrefix(string(r.Str), "LOADING")
}

// Free ports are drawn from these: below those that systems give to outgoing
// connections, which would take the port of a server that is restarted.
const firstPort, lastPort = 10000, 32000

var ports struct {
	sync.Mutex
	given map[int]bool // to servers that may not listen yet
}

// freePort returns a port that nobody listens on and that it has not returned before.
func freePort() (int, error) {
	ports.Lock()
	defer ports.Unlock()
	if ports.given == nil {
		ports.given = make(map[int]bool)
	}
	var failed error
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if ports.given[port] {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			failed = err
			continue
		}
		ports.given[port] = true
		return port, l.Close()
	}
	return 0, fmt.Errorf("no port is free: %w", failed)
}

// tail is an io.Writer that keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (w *tail) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf, p...)
	if over := len(w.buf) - logLimit; over > logLimit {
		w.buf = append(w.buf[:0], w.buf[over:]...)
	}
	return len(p), nil
}

func (w *tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.buf)
}
