package harness

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// A node whose clock jumps runs a dkvsrv that was built from the same sources,
// but with a package time whose Now adds an offset to the wall clock: the first
// 8 bytes of a file, in nanoseconds. The monotonic clock is left alone, as it
// is when the machine's clock is set. So the product needs no hook, and its
// own use of time is tested as it is. (libfaketime knows only programs that go
// through libc; the kernel's time namespaces leave the wall clock out.)
const (
	clockVariable = "DKV_TEST_CLOCK"
	clockBytes    = 8
)

const jumpSource = `package time

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

var jump *int64

func init() {
	path, ok := syscall.Getenv("` + clockVariable + `")
	if !ok {
		return
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		panic("clock: " + path + ": " + err.Error())
	}
	page, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("clock: " + path + ": " + err.Error())
	}
	syscall.Close(fd)
	jump = (*int64)(unsafe.Pointer(&page[0]))
}

func jumped(sec int64, nsec int32) (int64, int32) {
	if jump == nil {
		return sec, nsec
	}
	at := sec*1e9 + int64(nsec) + atomic.LoadInt64(jump)
	return at / 1e9, int32(at % 1e9)
}
`

// ClockProgram builds a dkvsrv for ClusterOptions.Clock. It compiles the
// standard library too the first time: a minute or two.
func ClockProgram(t testing.TB) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("skipped: jumping clocks are built for Linux")
	}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(strings.TrimSpace(string(goroot)), "src", "time")
	source, err := os.ReadFile(filepath.Join(folder, "time.go"))
	if err != nil {
		t.Fatal(err)
	}
	const now = "sec, nsec, mono := runtimeNow()\n"
	patched := strings.Replace(string(source), now, now+"\tsec, nsec = jumped(sec, nsec)\n", 1)
	if patched == string(source) {
		t.Fatal("this Go's time.Now is written in a way that ClockProgram does not know")
	}
	dir := t.TempDir()
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(folder, "time.go"): filepath.Join(dir, "time.go"),
		filepath.Join(folder, "jump.go"): filepath.Join(dir, "jump.go"),
	}})
	err = errors.Join(err,
		os.WriteFile(filepath.Join(dir, "time.go"), []byte(patched), 0o600),
		os.WriteFile(filepath.Join(dir, "jump.go"), []byte(jumpSource), 0o600),
		os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	root, err := ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"),
		"-o", dir+string(filepath.Separator), "./cmd/dkvsrv")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building dkvsrv with a clock that jumps: %v\n%s", err, out)
	}
	return filepath.Join(dir, "dkvsrv")
}
