package tidy

import (
	"bytes"
	"go/format"
	"go/parser"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxFileLines is the length at which a file is taken apart. Files aim at 400.
const maxFileLines = 600

// bannedNames say nothing of what is in a package.
var bannedNames = []string{"util", "utils", "common", "helper", "helpers", "base", "types", "misc", "shared", "lib"}

func TestEveryPackageHasDoc(t *testing.T) {
	files := readTree(t)
	for folder, names := range files.packages() {
		doc := path.Join(folder, "doc.go")
		if !slices.Contains(names, doc) {
			t.Errorf("%s has no doc.go", folder)
			continue
		}
		f := files.goFile(t, doc, parser.PackageClauseOnly|parser.ParseComments)
		start := "Package " + f.Name.Name + " "
		if f.Name.Name == "main" {
			start = "Command " + path.Base(folder) + " "
		}
		if text := f.Doc.Text(); !strings.HasPrefix(text, start) {
			t.Errorf("%s: the package comment must begin with %q, has %.40q", doc, start, text)
		}
	}
}

func TestPackageNames(t *testing.T) {
	for folder := range readTree(t).packages() {
		for part := range strings.SplitSeq(folder, "/") {
			if slices.Contains(bannedNames, part) {
				t.Errorf("%s: %q does not name a concept", folder, part)
			}
		}
	}
}

func TestFormatted(t *testing.T) {
	files := readTree(t)
	for _, name := range files.names(".go") {
		formatted, err := format.Source(files[name])
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !bytes.Equal(formatted, files[name]) {
			t.Errorf("%s: gofmt would change it", name)
		}
	}
}

func TestFileLength(t *testing.T) {
	files := readTree(t)
	for _, name := range files.names(".go") {
		lines := bytes.Count(files[name], []byte("\n"))
		if lines > maxFileLines && !strings.HasSuffix(name, "_test.go") && !files.generated(t, name) {
			t.Errorf("%s has %d lines, more than %d: is it one room or several?", name, lines, maxFileLines)
		}
	}
}

// machinePaths finds what belongs to one machine or network and not to the
// project: home folders, working folders, package registries and mirrors. The
// brackets keep the pattern from finding itself.
var machinePaths = regexp.MustCompile(`(/[h]ome/[a-z]|/[U]sers/[A-Za-z]|/[r]oot/|/[w]ork/[a-z.]|/[f]arm/[a-z.]|/tmp/[a-z]+[/_]` +
	`|(proxy|sum)\.go[l]ang\.|deb\.de[b]ian\.|registry\.np[m]js|[g]cr\.io|[q]uay\.io|[g]hcr\.io)`)

func TestNoMachinePaths(t *testing.T) {
	files := readTree(t)
	for name, data := range files {
		if bytes.IndexByte(data, 0) >= 0 {
			continue // binary
		}
		for i, line := range bytes.Split(data, []byte("\n")) {
			if found := machinePaths.Find(line); found != nil {
				t.Errorf("%s:%d: %q belongs to one machine", name, i+1, found)
			}
		}
	}
}
