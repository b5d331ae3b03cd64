package command

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
)

var rewriteDocs = flag.Bool("rewrite-docs", false, "write docs/commands.md anew")

const (
	pagePath  = "../../docs/commands.md"
	tableMark = "<!-- tables: go test ./server/command -run TestCommandPage -rewrite-docs -->\n"
)

// The page says what the table says.
func TestCommandPage(t *testing.T) {
	var tables bytes.Buffer
	WritePage(&tables)
	page, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(page), tableMark)
	if !ok {
		t.Fatalf("%s has no line %q", pagePath, tableMark)
	}
	want := head + tableMark + "\n" + strings.TrimRight(tables.String(), "\n") + "\n"
	if *rewriteDocs {
		if err := os.WriteFile(pagePath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(page) != want {
		t.Errorf("%s is not what the table says; run go test ./server/command -run TestCommandPage -rewrite-docs", pagePath)
	}
}

// Every command of Redis 7.2 is on the page, and every difference is that of a command.
func TestPageIsComplete(t *testing.T) {
	var page bytes.Buffer
	WritePage(&page)
	count := 0
	for _, names := range redis72 {
		for _, name := range strings.Fields(names) {
			count++
			container, _, _ := strings.Cut(name, "|")
			if Lookup([]byte(container)) == nil {
				name = container
			}
			if !strings.Contains(page.String(), "| "+shown(name)+" | ") {
				t.Errorf("%s is not on the page", name)
			}
		}
	}
	if count != 392 {
		t.Errorf("Redis 7.2 has 392 commands and subcommands, not %d", count)
	}
	known := make(map[string]bool)
	for _, s := range All() {
		known[s.Name] = true
	}
	for name := range differences {
		if !known[name] {
			t.Errorf("%s is not in the table", name)
		}
	}
}
