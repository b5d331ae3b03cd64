package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openPTY returns a pseudo-terminal's two ends.
func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		missing(t, "a pseudo-terminal: "+err.Error())
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		missing(t, "a pseudo-terminal: "+err.Error())
	}
	size := unix.Winsize{Row: 24, Col: 80}
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &size); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// The prompt as a user has it: a terminal, line editing, completion, history.
func TestTerminal(t *testing.T) {
	sock := redisServer(t)
	histFile := t.TempDir() + "/history"
	master, slave := openPTY(t)
	cmd := ctlCommand(t, "-a", sock)
	cmd.Env = append(cmd.Env, "TERM=xterm", historyEnv+"="+histFile)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()

	var screen strings.Builder
	chunks := make(chan string)
	go func() {
		defer close(chunks)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			if n > 0 {
				chunks <- string(buf[:n])
			}
			if err != nil {
				return // EIO: the program is gone
			}
		}
	}()
	seen := 0
	waitFor := func(text string) {
		t.Helper()
		deadline := time.After(30 * time.Second)
		for !strings.Contains(screen.String()[seen:], text) {
			select {
			case s, ok := <-chunks:
				if !ok {
					t.Fatalf("ended before %q:\n%q", text, screen.String())
				}
				screen.WriteString(s)
			case <-deadline:
				t.Fatalf("%q does not appear:\n%q", text, screen.String()[seen:])
			}
		}
		seen += strings.Index(screen.String()[seen:], text) + len(text)
	}
	steps := []struct{ typed, want string }{
		{"", sock + "> "},
		{"set k \"a\\x00b\"\r", "OK"},
		{"get k\r", `"a\x00b"`},
		{"getde\t k\r", `"a\x00b"`}, // completed
		// Ctrl-C drops the line. Its echo first: before the prompt reads, Ctrl-C is
		// a signal, on which the kernel throws away what the terminal has not shown.
		{"~", "~"},
		{"\x03", sock + "> "},
		{"\x1b[A\r", "(nil)"}, // the line before again
		{"blpop l 0\r", "blpop"},
	}
	for _, s := range steps {
		if _, err := master.WriteString(s.typed); err != nil {
			t.Fatal(err)
		}
		waitFor(s.want)
	}
	for !strings.Contains(inProcess(t, "-a", sock, "CLIENT", "LIST").out, "cmd=blpop") {
		time.Sleep(time.Millisecond) // poll interval of a wait on a condition
	}
	master.WriteString("\x03") // Ctrl-C ends a wait
	waitFor("interrupted")
	waitFor(sock + "> ")
	master.WriteString("\x04")
	for range chunks { // until it has gone
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if h, err := os.ReadFile(histFile); err != nil || !strings.Contains(string(h), "get k\n") {
		t.Errorf("history %q, %v", h, err)
	}
}
