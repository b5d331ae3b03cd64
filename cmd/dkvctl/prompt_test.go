package main

import (
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
)

// scriptedEditor types lines. Before a line, its hook runs.
type scriptedEditor struct {
	lines   []string
	before  map[int]func()
	prompts []string
	history []string
}

func (e *scriptedEditor) Prompt(text string) (string, error) {
	n := len(e.prompts)
	e.prompts = append(e.prompts, text)
	if n == len(e.lines) {
		return "", io.EOF
	}
	if f := e.before[n]; f != nil {
		f()
	}
	return e.lines[n], nil
}

func (e *scriptedEditor) AppendHistory(line string) { e.history = append(e.history, line) }

// runPrompt runs a prompt over the editor's lines.
func runPrompt(t *testing.T, addr string, ed *scriptedEditor) (out, errOut string, s *prompt) {
	t.Helper()
	v, err := parseArgs([]string{"-a", addr}, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	var o, e strings.Builder
	p := newPrinter(stdio{out: &o, err: &e, outTTY: true}, formatAuto)
	s = &prompt{v: v, p: p, ed: ed, cmds: &commandNames{}, interrupts: make(chan os.Signal, 1)}
	if code := s.run(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	p.flush()
	return o.String(), e.String(), s
}

func TestPrompt(t *testing.T) {
	sock := redisServer(t)
	ed := &scriptedEditor{lines: []string{
		`set k "a b"`, "get k", "", `get "k`, "select 2", "get k", "multi", "get k", "exec", "auth secret", "help get", "nosuch",
	}}
	out, errOut, s := runPrompt(t, sock, ed)
	for _, want := range []string{"OK\n\"a b\"\nOK\n(nil)\nOK\nQUEUED\n1) (nil)\n", "GET\n  summary:", "(error) ERR unknown command"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in the output:\n%s", want, out)
		}
	}
	if !strings.Contains(errOut, "unbalanced quotes") {
		t.Errorf("stderr: %s", errOut)
	}
	for i, want := range map[int]string{0: sock + "> ", 5: sock + "[2]> ", 7: sock + "[2](TX)> ", 9: sock + "[2]> "} {
		if ed.prompts[i] != want {
			t.Errorf("prompt %d is %q, want %q", i, ed.prompts[i], want)
		}
	}
	if h := strings.Join(ed.history, "\n"); strings.Contains(h, "secret") || !strings.Contains(h, "select 2") {
		t.Errorf("history:\n%s", h)
	}
	for line, want := range map[string]string{"HGETA": "HGETALL", "getd": "getdel", "config rew": "config rewrite", "nosuchx": ""} {
		if got := strings.Join(s.cmds.complete(line), " "); got != want {
			t.Errorf("completion of %q: %q, want %q", line, got, want)
		}
	}
}

// A connection that died meanwhile is replaced before a command is sent, in
// the same database; a transaction that it carried is not taken up silently.
func TestPromptReconnects(t *testing.T) {
	sock := redisServer(t)
	kill := func() { inProcess(t, "-a", sock, "CLIENT", "KILL", "TYPE", "normal") }
	ed := &scriptedEditor{
		lines:  []string{"select 3", "set k 1", "get k", "multi", "incr k", "get k"},
		before: map[int]func(){2: kill, 4: kill},
	}
	out, errOut, _ := runPrompt(t, sock, ed)
	if want := "OK\nOK\n\"1\"\nOK\n\"1\"\n\n"; out != want {
		t.Errorf("output %q, want %q", out, want)
	}
	if !strings.Contains(errOut, "the transaction with it; the command was not sent") {
		t.Errorf("stderr: %q", errOut)
	}
}

// A connection that dies after the command was sent: said so, not sent again.
func TestPromptNeverRepeats(t *testing.T) {
	var sent atomic.Int64
	addr := fakeServer(t, func(words []string) string {
		if words[0] == "INCR" {
			sent.Add(1)
			return ""
		}
		return "+OK\r\n"
	})
	ed := &scriptedEditor{lines: []string{"INCR n", "PING"}}
	out, errOut, _ := runPrompt(t, addr, ed)
	if sent.Load() != 1 || !strings.Contains(errOut, "may or may not have been executed") || out != "OK\n\n" {
		t.Errorf("sent %d times, output %q, stderr %q", sent.Load(), out, errOut)
	}
	if ed.prompts[1] != "not connected> " {
		t.Errorf("prompt %q", ed.prompts[1])
	}
}

func TestPromptInterrupt(t *testing.T) {
	var s *prompt
	waiting := make(chan struct{})
	addr := fakeServer(t, func(words []string) string {
		if words[0] == "BLPOP" {
			close(waiting)
			select {} // the test's process ends it
		}
		return "+OK\r\n"
	})
	v, err := parseArgs([]string{"-a", addr}, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	var o, e strings.Builder
	ed := &scriptedEditor{lines: []string{"BLPOP l 0", "PING"}}
	s = &prompt{v: v, p: newPrinter(stdio{out: &o, err: &e}, formatTTY), ed: ed, cmds: &commandNames{}, interrupts: make(chan os.Signal, 1)}
	go func() {
		<-waiting
		s.interrupts <- os.Interrupt
	}()
	s.run()
	s.p.flush()
	if o.String() != "OK\n\n" || !strings.Contains(e.String(), "interrupted") {
		t.Errorf("output %q, stderr %q", o.String(), e.String())
	}
}

func TestHasSecret(t *testing.T) {
	for line, want := range map[string]bool{
		"auth x": true, "HELLO 3 AUTH u p": true, "config set requirepass x": true, "config set MasterAuth x": true,
		"acl setuser u >p": true, "get auth": false, "hello 3": false, "config get port": false,
	} {
		if got := hasSecret(strings.Fields(line)); got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
}

type fakeHistorian struct{ lines string }

func (h *fakeHistorian) ReadHistory(r io.Reader) (int, error) {
	b, err := io.ReadAll(r)
	h.lines = string(b)
	return 0, err
}

func (h *fakeHistorian) WriteHistory(w io.Writer) (int, error) { return io.WriteString(w, h.lines) }

func TestHistoryFile(t *testing.T) {
	t.Setenv(historyEnv, t.TempDir()+"/new/history")
	h := loadHistory(&fakeHistorian{})
	h.save(&fakeHistorian{lines: "GET a\n"})
	fi, err := os.Stat(h.path)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", fi, err)
	}
	var again fakeHistorian
	loadHistory(&again)
	if again.lines != "GET a\n" {
		t.Errorf("got %q", again.lines)
	}
	t.Setenv(historyEnv, "")
	if h := loadHistory(&again); h.path != "" {
		t.Errorf("path %q", h.path)
	}
}
