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
	bin := filepath.Dir(harness.NeedDkv(t, "dkvctl"))
	for part := range strings.SplitSeq(strings.TrimPrefix(session, "$ "), "\n$ ") {
		command, expected, _ := strings.Cut(part, "\n")
		script := strings.ReplaceAll(command, "bin/", bin+"/")
		script = "redis-cli() { command redis-cli -p " + strconv.Itoa(srv.Port()) + " \"$@\"; }\n" +
			"dkvctl() { " + bin + "/dkvctl -a " + srv.Addr() + " \"$@\"; }\n" +
			strings.ReplaceAll(script, "6379", strconv.Itoa(srv.Port()))
		stdout, stderr, _ := run(t, "", "/bin/sh", "-c", "cd '"+root+"'\n"+script)
		if !looksLike(stdout+stderr, expected) {
			t.Errorf("$ %s\n got %q\nwant %q", command, stdout+stderr, expected)
		}
	}
}

// looksLike compares output, in which "..." of the expected one is anything.
func looksLike(output, expected string) bool {
	parts := strings.Split(strings.TrimSpace(expected), "...")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile(`^(?s:` + strings.Join(parts, ".*") + `)$`).MatchString(strings.TrimSpace(output))
}
