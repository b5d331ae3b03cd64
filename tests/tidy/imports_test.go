package tidy

import (
	"go/parser"
	"strconv"
	"strings"
	"testing"
)

// importRules say what the files below a folder must not import. The last rule
// whose folder a file is in holds. Imports point one way: cmd -> server ->
// cluster -> engine.
var importRules = []struct {
	folder string
	// allowed packages of ours; "x/..." means x and all below it.
	allowed []string
	// banned packages of others, by prefix.
	banned []string
}{
	// The programs may know the engine's errors, to explain them, but no engine.
	{folder: "cmd", allowed: []string{"dkv/cmd/...", "dkv/server/...", "dkv/cluster/...", "dkv/engine"}},
	{folder: "server", allowed: []string{"dkv/server/...", "dkv/resp", "dkv/cluster/...", "dkv/engine/keyspace/..."},
		banned: []string{"github.com/cockroachdb/pebble", "go.etcd.io/raft"}},
	{folder: "resp", allowed: []string{"dkv/resp"},
		banned: []string{"github.com/cockroachdb/pebble", "go.etcd.io/raft"}},
	{folder: "cluster", allowed: []string{"dkv/cluster/...", "dkv/engine/..."},
		banned: []string{"github.com/tidwall/redcon"}},
	// Pure functions: the types of its arguments are all that it may take.
	{folder: "cluster/slot", allowed: []string{"dkv/engine/keyspace", "dkv/cluster/raftlog"}},
	{folder: "engine", allowed: []string{"dkv/engine/..."},
		banned: []string{"go.etcd.io/raft", "github.com/tidwall/redcon"}},
	{folder: "tests", allowed: []string{"dkv/tests/...", "dkv/resp"}},
}

func TestImportsPointOneWay(t *testing.T) {
	files := readTree(t)
	for _, name := range files.names(".go") {
		f := files.goFile(t, name, parser.ImportsOnly)
		for _, spec := range f.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			if why := refused(name, imported); why != "" {
				t.Errorf("%s imports %s: %s", name, imported, why)
			}
		}
	}
}

// refused returns why a file must not import a package, or "".
func refused(name, imported string) string {
	rule := -1
	for i, r := range importRules {
		if strings.HasPrefix(name, r.folder+"/") {
			rule = i
		}
	}
	if rule < 0 {
		return "no rule for this folder; add one to importRules"
	}
	r := importRules[rule]
	if imported == "dkv" || strings.HasPrefix(imported, "dkv/") {
		// A package may always import what is in its own folder.
		for _, a := range append(r.allowed, "dkv/"+r.folder) {
			if prefix, below := strings.CutSuffix(a, "/..."); imported == a ||
				below && (imported == prefix || strings.HasPrefix(imported, prefix+"/")) {
				return ""
			}
		}
		return r.folder + " may import " + strings.Join(r.allowed, ", ") + " of ours only"
	}
	for _, b := range r.banned {
		if imported == b || strings.HasPrefix(imported, b+"/") {
			return r.folder + " must not know " + b
		}
	}
	return ""
}

func TestImportRules(t *testing.T) {
	for _, c := range []struct {
		file, imported string
		ok             bool
	}{
		{"engine/pebbledb/db.go", "go.etcd.io/raft/v3", false},
		{"engine/pebbledb/db.go", "dkv/engine", true},
		{"engine/keyspace/tx.go", "dkv/resp", false},
		{"engine/engine.go", "dkv/cluster", false},
		{"cluster/shard/shard.go", "dkv/engine/keyspace", true},
		{"cluster/shard/shard.go", "dkv/server", false},
		{"cluster/slot/slot.go", "dkv/engine", false},
		{"cluster/slot/slot.go", "dkv/engine/keyspace", true},
		{"engine/keyspace/slot.go", "dkv/cluster/slot", false},
		{"server/conn.go", "dkv/engine", false},
		{"server/conn.go", "dkv/engine/keyspace", true},
		{"server/command/table.go", "dkv/resp", true},
		{"cmd/dkvsrv/main.go", "dkv/resp", false},
		{"tests/compat/x_test.go", "dkv/server", false},
		{"other/x.go", "fmt", false},
	} {
		if why := refused(c.file, c.imported); (why == "") != c.ok {
			t.Errorf("%s importing %s: allowed %v, want %v (%s)", c.file, c.imported, why == "", c.ok, why)
		}
	}
}
