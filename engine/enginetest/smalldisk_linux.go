package enginetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dkv/engine"
)

const (
	smallDiskBytes   = 192 << 20
	smallDiskReserve = 32 << 20
)

// testSmallDisk fills a real disk, a small one, by writing and with the files of
// others, and looks at what still works.
func testSmallDisk(t *testing.T, f Factory) {
	mnt := mountTmpfs(t, smallDiskBytes)
	dir := filepath.Join(mnt, "store")
	o := Options{MemtableBytes: 1 << 20, ReserveDiskBytes: smallDiskReserve}
	e, err := f.Open(dir, o)
	must(t, err)
	t.Cleanup(func() { mustClose(t, e) })
	m, n := &Model{}, uint64(0)
	rng := Rand(t)
	write := func() error {
		n++
		var b engine.Batch
		randomBatch(rng, &b, 30)
		fill(rng, &b, n%2000) // overwrites, in the end
		b.Put(appliedKey, binary.BigEndian.AppendUint64(nil, n))
		if err := e.Apply(b.Repr()); err != nil {
			return err
		}
		return m.Apply(b.Repr())
	}
	writeUntil := func(what string, stop func(err error) bool) {
		t.Helper()
		deadline := time.Now().Add(waitTimeout)
		for {
			err := e.Writable()
			if stop(err) {
				return
			}
			if err != nil && !errors.Is(err, engine.ErrNoSpace) {
				t.Fatalf("%s: Writable: %v", what, err)
			}
			if err == nil {
				must(t, write())
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: waited for too long; Writable: %v", what, err)
			}
		}
	}
	for range 300 {
		must(t, write())
	}
	for range 2 {
		must(t, e.Flush())
		hog := filepath.Join(mnt, "hog")
		takeAllBut(t, mnt, hog, smallDiskReserve/2)
		writeUntil("full", func(err error) bool { return errors.Is(err, engine.ErrNoSpace) })
		if free := freeBytes(t, mnt); free < smallDiskReserve/4 {
			t.Errorf("%d bytes are left of a reserve", free)
		}
		CompareReaders(t, e, m)
		must(t, readSome(e))
		wantErr(t, "Flush", e.Flush(), engine.ErrNoSpace)
		wantErr(t, "Checkpoint", e.Checkpoint(filepath.Join(mnt, "copy")), engine.ErrNoSpace)
		must(t, os.Remove(hog))
		until := n + 200
		writeUntil("space again", func(err error) bool { return err == nil && n >= until })
	}
	waitFor(t, "a flush", func() bool { return e.Flush() == nil })
	CompareReaders(t, e, m)
	must(t, e.Close())
	again, err := f.Open(dir, o)
	must(t, err)
	CompareReaders(t, again, m)
	must(t, again.Close())
}

// mountTmpfs makes a disk of that size.
func mountTmpfs(t *testing.T, bytes int) string {
	t.Helper()
	if os.Getuid() != 0 {
		missing(t, "a small disk needs root")
	}
	mnt := filepath.Join(t.TempDir(), "small")
	must(t, os.Mkdir(mnt, 0o755))
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", bytes), "tmpfs", mnt).CombinedOutput(); err != nil {
		missing(t, fmt.Sprintf("no tmpfs here: %v\n%s", err, out))
	}
	t.Cleanup(sync.OnceFunc(func() {
		if out, err := exec.Command("umount", mnt).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	}))
	return mnt
}

// takeAllBut makes a file that leaves so much of the disk.
func takeAllBut(t *testing.T, mnt, path string, leave uint64) {
	t.Helper()
	file, err := os.Create(path)
	must(t, err)
	if free := freeBytes(t, mnt); free > leave {
		must(t, unix.Fallocate(int(file.Fd()), 0, 0, int64(free-leave)))
	}
	must(t, file.Close())
}

func freeBytes(t *testing.T, mnt string) uint64 {
	t.Helper()
	var st unix.Statfs_t
	must(t, unix.Statfs(mnt, &st))
	return st.Bavail * uint64(st.Bsize)
}
