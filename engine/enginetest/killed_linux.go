package enginetest

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"dkv/engine"
)

// child is a process that writes to a store.
type child struct {
	t          *testing.T
	cmd        *exec.Cmd
	out        strings.Builder
	dir, notes string
	exited     chan error
}

func startChild(t *testing.T, dir, noted string, seed uint64) *child {
	t.Helper()
	root, _, _ := strings.Cut(t.Name(), "/")
	c := &child{t: t, dir: dir, notes: noted, exited: make(chan error, 1)}
	c.cmd = exec.Command(os.Args[0], "-test.run=^"+root+"$", "-test.timeout=10m")
	c.cmd.Env = append(os.Environ(), childDirEnv+"="+dir, childNoteEnv+"="+noted, fmt.Sprintf("%s=%d", childSeedEnv, seed))
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.out
	must(t, os.RemoveAll(noted))
	must(t, c.cmd.Start())
	go func() { c.exited <- c.cmd.Wait() }()
	t.Cleanup(c.kill) // before the folder, or its disk, goes
	return c
}

// kill is kill -9. It can be called twice.
func (c *child) kill() {
	_ = c.cmd.Process.Signal(unix.SIGKILL) // it may have ended
	err := <-c.exited
	c.exited <- err
}

// waitFor waits until the child has appended so many batches.
func (c *child) waitFor(batches uint64) {
	c.t.Helper()
	waitFor(c.t, fmt.Sprintf("the child to write %d batches\n", batches), func() bool {
		select {
		case err := <-c.exited:
			c.exited <- err
			c.t.Fatalf("the child ended: %v\n%s", err, c.out.String())
		default:
		}
		n, err := readNotes(c.notes)
		return err == nil && n.appended >= batches
	})
}

// stopped runs do while no thread of the child runs.
func (c *child) stopped(do func(notes)) {
	c.t.Helper()
	must(c.t, c.cmd.Process.Signal(unix.SIGSTOP))
	waitFor(c.t, "the child to stop", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
		must(c.t, err)
		_, state, _ := strings.Cut(string(stat), ") ")
		return strings.HasPrefix(state, "T")
	})
	n, err := readNotes(c.notes)
	must(c.t, err)
	do(n)
	must(c.t, c.cmd.Process.Signal(unix.SIGCONT))
}

// image is a store as a crash left it.
type image struct {
	what string
	dir  string
	n    notes
	// mount makes dir accessible, where that is needed.
	mount   func() (unmount func())
	holding uint64
}

// history is the result of the batches that childBatch makes.
type history struct {
	seed uint64
	m    Model
	n    uint64
}

func (h *history) to(t *testing.T, n uint64) *Model {
	t.Helper()
	for h.n < n {
		h.n++
		must(t, h.m.Apply(childBatch(h.seed, h.n)))
	}
	return &h.m
}

// checkImages opens stores that a crash left and compares them with the history.
func checkImages(t *testing.T, f Factory, seed uint64, images []*image) {
	h := &history{seed: seed}
	// In the order of the history: twice over, since it is not known before.
	for _, pass := range []string{"find", "compare"} {
		slices.SortStableFunc(images, func(a, b *image) int { return int(a.holding) - int(b.holding) })
		for _, im := range images {
			unmount := im.mount()
			e, err := f.Open(im.dir, Options{})
			if err != nil {
				t.Fatalf("%s: open: %v", im.what, err)
			}
			t.Cleanup(func() { mustClose(t, e) }) // before unmount, when the test is cut short
			held, err := heldBatch(e)
			must(t, err)
			if pass == "find" {
				im.holding = held
				if held < im.n.durable || held > im.n.synced {
					t.Errorf("%s: the store holds batches to %d; durable were %d, synced by the log %d",
						im.what, held, im.n.durable, im.n.synced)
				}
			} else {
				if held != im.holding {
					t.Errorf("%s: holds batches to %d, and opened again to %d", im.what, im.holding, held)
				}
				if err := compareReaders(e, h.to(t, held)); err != nil {
					t.Errorf("%s, at batch %d: %v", im.what, held, err)
				}
				replayHistory(t, e, h.m.Clone(), seed, held)
			}
			must(t, e.Close())
			unmount()
		}
	}
	held := make(map[uint64]bool)
	for _, im := range images {
		held[im.holding] = true
	}
	t.Logf("%d crashes, %d different states, up to batch %d", len(images), len(held), h.n)
}

// replayHistory goes on where a crash was, with some batches that the store has
// already.
func replayHistory(t *testing.T, e engine.Engine, m *Model, seed, held uint64) {
	t.Helper()
	for n := held - min(held, 5) + 1; n <= held+10; n++ {
		must(t, e.Apply(childBatch(seed, n)))
		if n > held {
			must(t, m.Apply(childBatch(seed, n)))
		}
	}
	must(t, e.Flush())
	CompareReaders(t, e, m)
}

// How much testKilled and testPowerCut do.
const (
	killRounds   = 4
	killImages   = 4 // in a round
	powerImages  = 12
	roundBatches = 150 // on average, between crashes
)

// testKilled stops and kills a process that writes to a store, many times, and
// looks at the folder each time: what kill -9 leaves.
func testKilled(t *testing.T, f Factory) {
	rng := Rand(t)
	seed := rng.Uint64()
	base := t.TempDir()
	dir, noted := filepath.Join(base, "store"), filepath.Join(base, "notes")
	var images []*image
	add := func(what string, n notes) {
		im := &image{what: what, dir: filepath.Join(base, fmt.Sprintf("image%d", len(images))), n: n, mount: func() func() { return func() {} }}
		must(t, copyFolder(dir, im.dir))
		images = append(images, im)
	}
	at := uint64(0)
	for round := range killRounds {
		c := startChild(t, dir, noted, seed)
		for i := range killImages {
			at += 1 + rng.Uint64N(2*roundBatches)
			c.waitFor(at)
			c.stopped(func(n notes) { add(fmt.Sprintf("round %d, stopped %d", round, i), n) })
		}
		c.waitFor(at + 1 + rng.Uint64N(roundBatches))
		c.kill()
		n, err := readNotes(noted)
		must(t, err)
		add(fmt.Sprintf("round %d, killed", round), n)
		at = n.durable
	}
	checkImages(t, f, seed, images)
}

// testPowerCut does the same with a disk of its own: what a power cut leaves is
// what has reached the disk, which is a file here, and of the rest what the kernel
// happened to write.
func testPowerCut(t *testing.T, f Factory) {
	rng := Rand(t)
	seed := rng.Uint64()
	base := t.TempDir()
	d := newLoopDisk(t, base)
	dir, noted := filepath.Join(d.mnt, "store"), filepath.Join(base, "notes")
	var images []*image
	c := startChild(t, dir, noted, seed)
	at := uint64(0)
	for i := range powerImages {
		at += 1 + rng.Uint64N(2*roundBatches)
		c.waitFor(at)
		c.stopped(func(n notes) {
			writeSome(t, rng, dir)
			disk := filepath.Join(base, fmt.Sprintf("disk%d", i))
			d.copyTo(disk)
			mnt := filepath.Join(base, fmt.Sprintf("mnt%d", i))
			images = append(images, &image{
				what: fmt.Sprintf("power cut %d", i), dir: filepath.Join(mnt, "store"), n: n,
				mount: func() func() { return mountLoop(t, disk, mnt) },
			})
		})
	}
	c.kill()
	checkImages(t, f, seed, images)
}

// writeSome has the kernel write some files to the disk, as it may at any time.
func writeSome(t *testing.T, rng *rand.Rand, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	one := []int{0, 2, 4}[rng.IntN(3)] // none, half, a quarter
	for _, e := range entries {
		if one == 0 || e.IsDir() || rng.IntN(one) != 0 {
			continue
		}
		file, err := os.OpenFile(filepath.Join(dir, e.Name()), os.O_RDWR, 0)
		must(t, err)
		must(t, errors.Join(file.Sync(), file.Close()))
	}
}

// loopDisk is a disk that is a file.
type loopDisk struct {
	t         *testing.T
	file, mnt string
}

const loopDiskBytes = 1 << 30 // most of it a hole

func newLoopDisk(t *testing.T, base string) *loopDisk {
	t.Helper()
	if os.Getuid() != 0 {
		missing(t, "a disk of its own needs root")
	}
	d := &loopDisk{t: t, file: filepath.Join(base, "disk"), mnt: filepath.Join(base, "mnt")}
	must(t, os.WriteFile(d.file, nil, 0o600))
	must(t, os.Truncate(d.file, loopDiskBytes))
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1", d.file).CombinedOutput(); err != nil {
		missing(t, fmt.Sprintf("no mkfs.ext4 here: %v\n%s", err, out))
	}
	mountLoop(t, d.file, d.mnt)
	return d
}

// mountLoop mounts a disk in a file. It writes nothing by itself, as far as that can
// be had.
func mountLoop(t *testing.T, file, mnt string) (unmount func()) {
	t.Helper()
	must(t, os.MkdirAll(mnt, 0o755))
	if out, err := exec.Command("mount", "-o", "loop,commit=600,noatime", file, mnt).CombinedOutput(); err != nil {
		missing(t, fmt.Sprintf("no loop devices here: %v\n%s", err, out))
	}
	unmount = sync.OnceFunc(func() {
		if out, err := exec.Command("umount", mnt).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v\n%s", mnt, err, out)
		}
	})
	t.Cleanup(unmount)
	return unmount
}

// copyTo copies the disk as it is. Nobody writes to its file system; when the
// kernel does meanwhile, the copy is taken again.
func (d *loopDisk) copyTo(to string) {
	d.t.Helper()
	for range 20 {
		before := d.written()
		must(d.t, copySparse(d.file, to))
		if d.written() == before {
			return
		}
		must(d.t, os.Remove(to))
	}
	d.t.Fatal("the disk is written to all the time")
}

// written tells one state of the disk from another.
func (d *loopDisk) written() string {
	var st unix.Stat_t
	must(d.t, unix.Stat(d.file, &st))
	return fmt.Sprint(st.Mtim, st.Blocks)
}

// copySparse copies a file but for its holes.
func copySparse(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		return err
	}
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	err = dst.Truncate(info.Size())
	for at := int64(0); err == nil && at < info.Size(); {
		start, serr := unix.Seek(int(src.Fd()), at, unix.SEEK_DATA)
		if serr != nil {
			break // only a hole is left
		}
		end, serr := unix.Seek(int(src.Fd()), start, unix.SEEK_HOLE)
		if serr != nil {
			err = serr
			break
		}
		if _, err = dst.Seek(start, io.SeekStart); err == nil {
			_, err = io.Copy(dst, io.NewSectionReader(src, start, end-start))
		}
		at = end
	}
	return errors.Join(err, dst.Close())
}
