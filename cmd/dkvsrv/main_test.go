package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// binary is dkvsrv, built once.
var binary string

// patience bounds what a test waits for.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "dkvsrv")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "dkvsrv")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// runToEnd runs dkvsrv where it is expected to end by itself.
func runToEnd(t *testing.T, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = dir
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

// process is a running dkvsrv.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	addr string // of the RESP port
	log  chan string
	all  strings.Builder
}

var addrPattern = regexp.MustCompile(`Ready to accept connections" addr=(\S+)`)

// start runs dkvsrv and waits until it serves.
func start(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(binary, args...), log: make(chan string, 1024)}
	p.cmd.Dir = dir
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.log <- lines.Text()
		}
		close(p.log)
	}()
	t.Cleanup(func() { _ = p.cmd.Process.Kill() }) // it has ended already as a rule
	p.addr = p.waitFor(addrPattern)[1]
	return p
}

// waitFor returns the first match in a line of the log from here on.
func (p *process) waitFor(pattern *regexp.Regexp) []string {
	p.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-p.log:
			if !ok {
				p.t.Fatalf("no %v in the log:\n%s", pattern, p.all.String())
			}
			p.all.WriteString(line + "\n")
			if m := pattern.FindStringSubmatch(line); m != nil {
				return m
			}
		case <-timeout:
			p.t.Fatalf("no %v in the log:\n%s", pattern, p.all.String())
		}
	}
}

// stop sends a signal and returns the exit status.
func (p *process) stop(sig os.Signal) int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
	return p.wait()
}

func (p *process) wait() int {
	p.t.Helper()
	for line := range p.log {
		p.all.WriteString(line + "\n")
	}
	_ = p.cmd.Wait() // the status tells
	return p.cmd.ProcessState.ExitCode()
}

// do sends inline commands and returns as many reply lines.
func (p *process) do(commands ...string) []string {
	p.t.Helper()
	c, err := net.DialTimeout("tcp", p.addr, patience)
	if err != nil {
		p.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	r := bufio.NewReader(c)
	var replies []string
	for _, line := range commands {
		fmt.Fprintf(c, "%s\r\n", line)
		reply, err := readReply(r)
		if err != nil {
			p.t.Fatalf("%s: %v", line, err)
		}
		replies = append(replies, reply)
	}
	return replies
}

// readReply returns the line of a reply, or a bulk string's. Of an array it is the head.
func readReply(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	head := strings.TrimRight(line, "\r\n")
	switch {
	case head[0] == '$' && head != "$-1":
		line, err = r.ReadString('\n')
		return strings.TrimRight(line, "\r\n"), err
	case head[0] == '*':
		n, err := strconv.Atoi(head[1:])
		for range max(n, 0) {
			if err == nil {
				_, err = readReply(r)
			}
		}
		return head, err
	}
	return head, nil
}

func TestBadFlags(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "bad.conf")
	writeFile(t, conf, "port 0\n\nmaxclients none\n")
	writeFile(t, filepath.Join(dir, "typo.conf"), "requirepas secret\n")
	for _, tc := range []struct{ args, want string }{
		{"-nonsense", "unknown flag -nonsense"},
		{"-prot 1", "did you mean -port?"},
		{"-port", "flag -port needs a value"},
		{"-port x", "flag -port x: argument couldn't be parsed into an integer"},
		{"-listen-addr nowhere", "must be host:port"},
		{"-fsync sometimes", "must be one of the following: everysec, always, no"},
		{"-role master -repl-master-addr 127.0.0.1:1", "role master does not go with repl-master-addr"},
		{"--db-engine=leveldb", "must be one of the following: pebble, rocksdb, badger"},
		{"-role slave -repl-poll-interval 1s", "role slave needs repl-master-addr"},
		{"-replPollInterval 5", "argument must be a duration"},
		{"-nexus-node-url http://127.0.0.1:1 -nexus-cluster-url http://127.0.0.1:2", "peer-addr 127.0.0.1:1 is not among cluster-peers (127.0.0.1:2)"},
		{"-nexus-cluster-url http://a.invalid:1,http://b.invalid:1", "is an address of this machine that is free"},
		{"-nexusJoin", "join needs peer-addr"},
		{"-join -peer-addr 127.0.0.1:1 -diskless", "a node of a cluster needs a disk"},
		{"-cluster-enabled yes", "is made with cluster-peers or join instead"},
		{"-tls-key-file-pass secret", "tls-key-file-pass (hidden) is not supported yet"},
		{"nosuch.conf", "no such file"},
		{"bad.conf", "bad.conf, line 3: 'maxclients none': argument couldn't be parsed into an integer"},
		{"typo.conf", "did you mean requirepass?"},
		{"6379", "no such file"},
	} {
		code, _, stderr := runToEnd(t, dir, strings.Fields(tc.args)...)
		if code != exitUsage || !strings.Contains(stderr, tc.want) || !strings.HasPrefix(stderr, "dkvsrv: ") {
			t.Errorf("%s: status %d, %s", tc.args, code, stderr)
		}
		if strings.Contains(stderr, "secret") {
			t.Errorf("%s: a password is shown: %s", tc.args, stderr)
		}
	}
}

func TestAbout(t *testing.T) {
	for _, flag := range []string{"-help", "--help", "-h"} {
		if code, out, _ := runToEnd(t, t.TempDir(), flag); code != 0 || !strings.Contains(out, "-db-folder") || !strings.Contains(out, "Usage:") {
			t.Errorf("%s: status %d, %.100s", flag, code, out)
		}
	}
	for _, flag := range []string{"-version", "--version", "-v"} {
		if code, out, _ := runToEnd(t, t.TempDir(), flag); code != 0 || !strings.HasPrefix(out, "dkvsrv v=") {
			t.Errorf("%s: status %d, %s", flag, code, out)
		}
	}
}

// A pidfile that cannot be written stops nobody.
func TestNoPIDFile(t *testing.T) {
	p := start(t, t.TempDir(), "-port", "0", "-pidfile", "nowhere/dkv.pid")
	if got := fmt.Sprint(p.do("PING")); got != "[+PONG]" {
		t.Errorf("replies %s", got)
	}
	if code := p.stop(syscall.SIGTERM); code != exitOK || !strings.Contains(p.all.String(), "cannot write the pidfile") {
		t.Errorf("status %d:\n%s", code, p.all.String())
	}
}

func TestServeAndStop(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "dkv.conf"), "port 0\nloglevel verbose\npidfile dkv.pid\nfuture-thing 1\nappendonly no\n")
	args := []string{"dkv.conf", "--http-listen-addr", "127.0.0.1:0", "-timeout", "77", "-maxclients", "100"}
	p := start(t, dir, args...)
	for _, want := range []string{fmt.Sprintf("PID: %d", p.cmd.Process.Pid), "Server initialized",
		"unknown parameters were ignored: future-thing", "parameters without an effect in dkv: appendonly"} {
		if !strings.Contains(p.all.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, p.all.String())
		}
	}
	if got := fmt.Sprint(p.do("SET a 1", "INCR a", "CONFIG SET timeout 78", "CONFIG REWRITE")); got != "[+OK :2 +OK +OK]" {
		t.Errorf("replies %s", got)
	}
	http := get(t, "http://"+httpAddr(t, p)+"/metrics")
	if !strings.Contains(http, "dkv_commands_processed_total") {
		t.Errorf("metrics: %.200s", http)
	}
	if pid, err := os.ReadFile(filepath.Join(dir, "dkv.pid")); err != nil || strings.TrimSpace(string(pid)) != fmt.Sprint(p.cmd.Process.Pid) {
		t.Errorf("pidfile: %s, %v", pid, err)
	}
	if code := p.stop(syscall.SIGTERM); code != exitOK {
		t.Errorf("status %d:\n%s", code, p.all.String())
	}
	if _, err := os.Stat(filepath.Join(dir, "dkv.pid")); !os.IsNotExist(err) {
		t.Errorf("pidfile is still there: %v", err)
	}
	conf, _ := os.ReadFile(filepath.Join(dir, "dkv.conf"))
	if !strings.Contains(string(conf), "timeout 78\n") || !strings.Contains(string(conf), "future-thing 1\n") {
		t.Errorf("rewritten file:\n%s", conf)
	}

	again := start(t, dir, "-port", "0", "-dir", dir, "-db-folder", "dkv-data")
	if got := fmt.Sprint(again.do("GET a")); got != "[2]" {
		t.Errorf("after a restart: %s", got)
	}
	if code := again.stop(syscall.SIGINT); code != exitOK {
		t.Errorf("SIGINT: status %d", code)
	}
}

func TestShutdownCommand(t *testing.T) {
	p := start(t, t.TempDir(), "-port", "0", "-diskless", "-log-format", "text")
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "SHUTDOWN\r\n")
	if code := p.wait(); code != exitOK {
		t.Errorf("status %d:\n%s", code, p.all.String())
	}
	if n, err := c.Read(make([]byte, 100)); n != 0 || err == nil {
		t.Errorf("SHUTDOWN was answered: %d bytes, %v", n, err)
	}
}

func TestCannotStart(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, "-port", "0")
	_, port, _ := net.SplitHostPort(p.addr)

	fails := func(want string, args ...string) {
		t.Helper()
		code, _, stderr := runToEnd(t, dir, args...)
		if code != exitFailure || !strings.Contains(stderr, want) {
			t.Errorf("%v: status %d, %s", args, code, stderr)
		}
	}
	fails("Is another server running there?", "-port", port, "-db-folder", "other")
	fails("is in use by another process", "-port", "0")
	fails("configured to not listen anywhere", "-port", "0", "-db-folder", "other", "-bind", "")
	fails("does not have that address", "-listen-addr", "203.0.113.1:0", "-db-folder", "other")
	fails("-peer-listen chooses another address for peers", "-port", "0", "-db-folder", "other", "-peer-addr", p.addr)

	foreign := filepath.Join(dir, "foreign")
	if err := os.Mkdir(foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(foreign, "letter.txt"), "dear")
	fails("Choose another one with -db-folder.", "-port", "0", "-db-folder", foreign)
	if os.Getuid() != 0 {
		locked := filepath.Join(dir, "locked")
		if err := os.Mkdir(locked, 0o500); err != nil {
			t.Fatal(err)
		}
		fails("no permission", "-port", "0", "-db-folder", locked)
	}
	if code := p.stop(syscall.SIGTERM); code != exitOK {
		t.Errorf("status %d", code)
	}
	node := filepath.Join(dir, "dkv-data", "node.json")
	text, err := os.ReadFile(node)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, node, regexp.MustCompile(`"format": \d+`).ReplaceAllString(string(text), `"format": 99`))
	fails("another format version", "-port", "0")
	writeFile(t, node, strings.Replace(string(text), `"pebble"`, `"badger"`, 1))
	fails("another engine", "-port", "0")
}

func TestJSONLog(t *testing.T) {
	dir := t.TempDir()
	code, out, stderr := runToEnd(t, dir, "-port", "0", "-log-format", "json", "-http-listen-addr", "256.0.0.1:1")
	if code != exitFailure || !strings.Contains(out, `"msg":"Server initialized"`) {
		t.Errorf("status %d, %s%s", code, out, stderr)
	}
	code, out, stderr = runToEnd(t, dir, "-port", "0", "-logfile", "x.log", "-http-listen-addr", "256.0.0.1:1")
	log, _ := os.ReadFile(filepath.Join(dir, "x.log"))
	if code != exitFailure || out != "" || !strings.Contains(string(log), "Server initialized") {
		t.Errorf("status %d, %s%s, log %s", code, out, stderr, log)
	}
}

func httpAddr(t *testing.T, p *process) string {
	t.Helper()
	m := regexp.MustCompile(`HTTP ready" addr=(\S+)`).FindStringSubmatch(p.all.String())
	if m == nil {
		t.Fatalf("no HTTP address:\n%s", p.all.String())
	}
	return m[1]
}

func get(t *testing.T, url string) string {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
