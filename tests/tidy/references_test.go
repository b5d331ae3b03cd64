package tidy

import (
	"go/ast"
	"regexp"
	"slices"
	"testing"
)

// reference is how documents point into the code: `server/conn.go: Conn.process`,
// or the file alone.
var reference = regexp.MustCompile("`((?:[a-z0-9_]+/)+[a-z0-9_]+\\.go)(?:: (?:([A-Za-z]+)\\.)?([A-Za-z]+))?`")

// What documents say of the code is there: files, and functions or types in them.
func TestReferencesIntoCode(t *testing.T) {
	files := readTree(t)
	found := 0
	for _, name := range files.names(".md") {
		for _, m := range reference.FindAllStringSubmatch(string(files[name]), -1) {
			found++
			file, receiver, symbol := m[1], m[2], m[3]
			if _, ok := files[file]; !ok {
				t.Errorf("%s: there is no %s", name, file)
			} else if symbol != "" && !declares(files.goFile(t, file, 0), receiver, symbol) {
				t.Errorf("%s: %s has no %s", name, file, m[0])
			}
		}
	}
	if found == 0 {
		t.Error("no document points into the code; has the way of writing it changed?")
	}
}

// declares reports whether a file declares a function, a method or a type.
func declares(f *ast.File, receiver, symbol string) bool {
	return slices.ContainsFunc(f.Decls, func(d ast.Decl) bool {
		switch d := d.(type) {
		case *ast.FuncDecl:
			return d.Name.Name == symbol && receiverOf(d) == receiver
		case *ast.GenDecl:
			return receiver == "" && slices.ContainsFunc(d.Specs, func(s ast.Spec) bool {
				ts, ok := s.(*ast.TypeSpec)
				return ok && ts.Name.Name == symbol
			})
		}
		return false
	})
}

func receiverOf(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return ""
	}
	expr := d.Recv.List[0].Type
	if star, ok := expr.(*ast.StarExpr); ok {
		expr = star.X
	}
	if name, ok := expr.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}
