package harness

import (
	"os"
	"os/exec"
	"testing"
)

// InCI reports whether the tests run where everything they need must be there.
func InCI() bool { return os.Getenv("CI") == "true" }

// Missing ends the test because the machine lacks something: as a skip on a
// developer's machine, as a failure where CI=true, so that a suite cannot
// quietly stop testing.
func Missing(t testing.TB, what string) {
	t.Helper()
	if InCI() {
		t.Fatalf("cannot run here, and CI=true allows no skip: %s", what)
	}
	t.Skipf("skipped: %s", what)
}

// NeedProgram returns the path of an installed program, or ends the test with
// a message that says which Debian package has it.
func NeedProgram(t testing.TB, name, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, name+" is not installed (apt-get install "+debianPackage+")")
	}
	return path
}

// NeedLong skips a test that takes long or needs much memory under -short.
func NeedLong(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped by -short")
	}
}
