package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dkv/tests/harness"
)

const (
	diskBytes    = 640 << 20
	ballastBytes = 96 << 20
	fullValue    = 128 << 10
	resumeLimit  = 60 * time.Second
)

// A full disk refuses writes with an error, and only writes; nothing that was
// acknowledged is lost, and writing goes on when there is space again.
func TestFullDisk(t *testing.T) {
	harness.NeedLong(t)
	harness.NeedItself(t) // Redis writes its AOF with what is there and exits when that fails
	disk := smallDisk(t, diskBytes)
	first, second := ballast(t, disk, "first"), ballast(t, disk, "second")
	srv := harness.DkvIn(t, filepath.Join(disk, "data"))
	random := randomBytes(fullValue + 100_000)
	value := func(i int) string { return random[i : i+fullValue] }

	// fill writes until it is refused and returns the number of the key that was.
	fill := func(c *harness.TestConn, from int) int {
		for i := from; ; i++ {
			r := c.Do("SET", fmt.Sprintf("key:%d", i), value(i))
			if r.IsError() {
				if !strings.HasPrefix(string(r.Str), "MISCONF ") {
					t.Fatalf("SET on a full disk: %s, want MISCONF ...", r)
				}
				return i
			}
			if i*fullValue > diskBytes {
				t.Fatalf("%d MiB were acknowledged on a disk of %d MiB", i*fullValue>>20, diskBytes>>20)
			}
		}
	}
	verify := func(c *harness.TestConn, upTo int) {
		t.Helper()
		for i := range upTo {
			if got := c.Do("GET", fmt.Sprintf("key:%d", i)); string(got.Str) != value(i) {
				t.Fatalf("key:%d of %d that were acknowledged has %d bytes (%.60q)", i, upTo, len(got.Str), got.Raw)
			}
		}
	}

	c := srv.Dial(t)
	full := fill(c, 0)
	t.Logf("refused after %d MiB", full*fullValue>>20)
	verify(c, full)
	c.Want("$-1\r\n", "GET", fmt.Sprintf("key:%d", full))
	c.Want("+PONG\r\n", "PING")

	remove(t, first)
	harness.Until(t, resumeLimit, "writes to be accepted again", func() bool {
		return !c.Do("SET", fmt.Sprintf("key:%d", full), value(full)).IsError()
	})
	full = fill(c, full+1)
	t.Logf("refused again after %d MiB", full*fullValue>>20)
	verify(c, full)

	srv.Kill()
	remove(t, second)
	srv.MustStart(t)
	c = srv.Dial(t)
	verify(c, full)
	c.Want("$-1\r\n", "GET", fmt.Sprintf("key:%d", full))
	c.OK("SET", "after", "v")
}

// smallDisk mounts a file system in memory of the given size.
func smallDisk(t *testing.T, bytes int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		harness.Missing(t, fmt.Sprintf("mounting a small tmpfs needs root: %v", err))
	}
	t.Cleanup(func() {
		// Detached even while in use, so that nothing of it stays.
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// ballast takes space that can be given back.
func ballast(t *testing.T, disk, name string) string {
	t.Helper()
	path := filepath.Join(disk, name)
	if err := os.WriteFile(path, make([]byte, ballastBytes), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
