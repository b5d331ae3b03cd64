package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The environment that chooses what is tested; see doc.go.
const (
	envBinFolder = "DKV_BIN"
	envServer    = "DKV_SERVER"
)

var built struct {
	once   sync.Once
	folder string
	remove bool
	err    error
}

// Main runs a package's tests and removes what they built.
func Main(m *testing.M) {
	code := m.Run()
	if built.remove {
		os.RemoveAll(built.folder)
	}
	os.Exit(code)
}

// Program returns the path of one of this module's programs: dkvsrv, dkvctl or
// dkvbench. All are built at the first call.
func Program(name string) (string, error) {
	built.once.Do(build)
	if built.err != nil {
		return "", built.err
	}
	path := filepath.Join(built.folder, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("program %s: %w", name, err)
	}
	return path, nil
}

// NeedDkv is Program for tests: failing to build is a failure.
func NeedDkv(t testing.TB, name string) string {
	t.Helper()
	path, err := Program(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// ModuleRoot returns the folder that holds go.mod.
func ModuleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the working folder")
		}
		dir = parent
	}
}

func build() {
	if folder := os.Getenv(envBinFolder); folder != "" {
		built.folder, built.err = filepath.Abs(folder)
		return
	}
	root, err := ModuleRoot()
	if err != nil {
		built.err = err
		return
	}
	if built.err = touchSources(root); built.err != nil {
		return
	}
	built.folder, built.err = os.MkdirTemp("", "dkv-bin-")
	if built.err != nil {
		return
	}
	built.remove = true
	cmd := exec.Command("go", "build", "-o", built.folder+string(filepath.Separator), "./cmd/...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as the Makefile builds them
	if out, err := cmd.CombinedOutput(); err != nil {
		built.err = fmt.Errorf("go build ./cmd/...: %w\n%s", err, out)
	}
}

// touchSources stats every Go file of the module. `go test` remembers a pass
// until a file that the test looked at changes; it does not know that these
// tests depend on the programs they start, and would call an old pass cached.
func touchSources(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			_, err = os.Stat(path)
		}
		return err
	})
}
