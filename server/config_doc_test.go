package server

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
)

var rewriteDocs = flag.Bool("rewrite-docs", false, "write docs/configuration.md and dkv.conf anew")

const (
	docPath    = "../docs/configuration.md"
	samplePath = "../dkv.conf"
	tablesFrom = "<!-- tables: go test ./server -run TestDocs -rewrite-docs -->\n"
)

// TestDocs checks that the documentation says what the registry says.
func TestDocs(t *testing.T) {
	var tables, sample bytes.Buffer
	WriteTables(&tables)
	WriteSample(&sample)
	doc, err := os.ReadFile(docPath)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(doc), tablesFrom)
	if !ok {
		t.Fatalf("%s has no line %q", docPath, tablesFrom)
	}
	want := head + tablesFrom + "\n" + strings.TrimRight(tables.String(), "\n") + "\n"
	if *rewriteDocs {
		if err := os.WriteFile(docPath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(samplePath, sample.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(doc) != want {
		t.Errorf("%s is not what the registry says; run go test ./server -run TestDocs -rewrite-docs", docPath)
	}
	if got, err := os.ReadFile(samplePath); err != nil || !bytes.Equal(got, sample.Bytes()) {
		t.Errorf("%s is not what the registry says (%v)", samplePath, err)
	}
}

// TestSampleLoads takes the comment signs off the sample and loads it: what it
// calls defaults must be the defaults.
func TestSampleLoads(t *testing.T) {
	var sample bytes.Buffer
	WriteSample(&sample)
	var lines []string
	all := strings.Split(sample.String(), "\n")
	for i, line := range all {
		if i+1 < len(all) && all[i+1] != "" {
			continue // of the description above the parameter
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "# "), " ")
		if findParam(name) != nil && regexp.MustCompile(`^# [a-z-]+ \S`).MatchString(line) {
			lines = append(lines, strings.TrimPrefix(line, "# "))
		}
	}
	if len(lines) < 40 {
		t.Fatalf("only %d parameters in the sample", len(lines))
	}
	c := NewConfig()
	l := loader{c: c}
	if err := l.parse("sample", []byte(strings.Join(lines, "\n")), 0); err != nil {
		t.Fatal(err)
	}
	for _, p := range params {
		if c.value(p) != NewConfig().value(p) {
			t.Errorf("%s: %q is not the default", p.name, c.value(p))
		}
	}
	if w := l.warnings(); len(w) > 0 {
		t.Errorf("warnings: %v", w)
	}
}

func TestFlagsList(t *testing.T) {
	var b bytes.Buffer
	WriteFlags(&b)
	for _, p := range params {
		if !strings.Contains(b.String(), p.name) {
			t.Errorf("%s is missing", p.name)
		}
	}
	for _, line := range strings.Split(b.String(), "\n") {
		if len(line) > 140 {
			t.Errorf("a long line: %s", line)
		}
	}
}
