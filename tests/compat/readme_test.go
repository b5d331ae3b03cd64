package compat

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"dkv/tests/harness"
)

// goBlock is a program in a document.
var goBlock = regexp.MustCompile("(?ms)^```go\n(package main\n.*?)^```")

// TestDocumentedPrograms runs the Go programs of the README, which end in a
// comment that says what they print.
func TestDocumentedPrograms(t *testing.T) {
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	programs := goBlock.FindAllStringSubmatch(string(text), -1)
	if len(programs) == 0 {
		t.Fatal("the README has no program")
	}
	srv := harness.Dkv(t)
	for _, program := range programs {
		source := strings.ReplaceAll(program[1], "6379", strconv.Itoa(srv.Port()))
		file := filepath.Join(t.TempDir(), "main.go")
		if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		// Run from the module's folder, so that its go.mod says which go-redis.
		stdout, stderr, code := run(t, "", "/bin/sh", "-c", "cd '"+root+"' && go run "+file)
		said := regexp.MustCompile(`Println\(.*\) // (.*)`).FindAllStringSubmatch(source, -1)
		var want strings.Builder
		for _, line := range said {
			want.WriteString(line[1] + "\n")
		}
		if code != 0 || len(said) == 0 || stdout != want.String() {
			t.Errorf("exit code %d, printed %q, want %q\n%s", code, stdout, want.String(), stderr)
		}
	}
}

// consoleBlock is a session in a document: lines that begin with "$ " are typed,
// the others are what the shell prints.
var consoleBlock = regexp.MustCompile("(?ms)^```console\n(.*?)^```")

// TestDocumentedSessions types the sessions of README.md and docs/ into a shell,
// as they stand there, and compares what comes out. Every document gets a server
// of its own; its port takes the place of 6379. In the expected output "..."
// stands for anything.
func TestDocumentedSessions(t *testing.T) {
	harness.NeedItself(t)
	harness.NeedProgram(t, "redis-cli", "redis-tools")
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	sessions := 0
	for _, file := range append([]string{filepath.Join(root, "README.md")}, files...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		blocks := consoleBlock.FindAllStringSubmatch(string(text), -1)
		if len(blocks) == 0 {
			continue
		}
		sessions += len(blocks)
		t.Run(filepath.Base(file), func(t *testing.T) {
			srv := harness.Dkv(t)
			for _, block := range blocks {
				playSession(t, srv, root, block[1])
			}
		})
	}
	if sessions == 0 {
		t.Error("no document has a console session")
	}
}

func playSession(t *testing.T, srv *harness.Server, root, session string) {
	t.Helper()
	path := wrappers(t, srv)
	for part := range strings.SplitSeq(strings.TrimPrefix(session, "$ "), "\n$ ") {
		command, expected, _ := strings.Cut(part, "\n")
		script := strings.ReplaceAll(strings.ReplaceAll(command, "bin/dkvctl", "dkvctl"), "6379", strconv.Itoa(srv.Port()))
		stdout, stderr, _ := run(t, "", "/bin/sh", "-c", "cd '"+root+"'; PATH='"+path+"':$PATH; "+script)
		if !looksLike(stdout+stderr, expected) {
			t.Errorf("$ %s\n got %q\nwant %q", command, stdout+stderr, expected)
		}
	}
}

// wrappers returns a folder with clients that go to the server without being told.
func wrappers(t *testing.T, srv *harness.Server) string {
	t.Helper()
	dir := t.TempDir()
	for name, command := range map[string]string{
		"redis-cli": harness.NeedProgram(t, "redis-cli", "redis-tools") + " -p " + strconv.Itoa(srv.Port()),
		"dkvctl":    harness.NeedDkv(t, "dkvctl") + " -a " + srv.Addr(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\nexec "+command+" \"$@\"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// looksLike compares output, in which "..." of the expected one is anything.
func looksLike(output, expected string) bool {
	parts := strings.Split(strings.TrimSpace(expected), "...")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile(`^(?s:` + strings.Join(parts, ".*") + `)$`).MatchString(strings.TrimSpace(output))
}
