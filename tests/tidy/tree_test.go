package tidy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dkv/tests/harness"
)

// skippedFolders hold what programs and builds leave behind (see .gitignore).
var skippedFolders = []string{".git", "bin", "dkv-data", "dkv-cluster", "bench-data", "chaos-reports"}

// tree is every file of the project by its slash-separated path from the root.
type tree map[string][]byte

func readTree(t *testing.T) tree {
	t.Helper()
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	files := make(tree)
	err = filepath.WalkDir(root, func(full string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, full)
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if slices.Contains(skippedFolders, rel) {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		files[rel], err = os.ReadFile(full)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// names returns the paths with one of the suffixes, sorted.
func (files tree) names(suffixes ...string) []string {
	var out []string
	for name := range files {
		if slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(name, s) }) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// goFile parses a Go file, build tags ignored, so that every variant is seen.
func (files tree) goFile(t *testing.T, name string, mode parser.Mode) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), name, files[name], mode)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// generated reports whether a file says so in the way that Go tools agreed on.
func (files tree) generated(t *testing.T, name string) bool {
	return ast.IsGenerated(files.goFile(t, name, parser.PackageClauseOnly|parser.ParseComments))
}

// packages returns the folders that hold Go files, with the files of each.
func (files tree) packages() map[string][]string {
	out := make(map[string][]string)
	for _, name := range files.names(".go") {
		if !strings.Contains(name, "testdata/") {
			out[path.Dir(name)] = append(out[path.Dir(name)], name)
		}
	}
	return out
}
