package raftsnap

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"dkv/engine"
	"dkv/engine/enginetest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// stepFS removes a folder file by file, as a disk does. And it leaves the engines'
// ballast empty, which would be most of what every copy of a disk copies.
type stepFS struct{ vfs.FS }

func (fs stepFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	if err == nil && strings.HasSuffix(name, "dkv.ballast") {
		f = emptyFile{f}
	}
	return f, err
}

type emptyFile struct{ vfs.File }

func (emptyFile) Write(p []byte) (int, error) { return len(p), nil }

func (fs stepFS) RemoveAll(name string) error {
	names, err := fs.List(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		for _, n := range names {
			if err := fs.RemoveAll(fs.PathJoin(name, n)); err != nil {
				return err
			}
		}
	}
	return fs.Remove(name)
}

// phase is how far a change of snapshots had come at a crash.
type phase int

const (
	receiving phase = iota
	switching       // Switch had begun
	switched        // it had returned
	finishing       // Done had begun
	finished        // it had returned
)

// crashPoint is a disk as a crash would have left it.
type crashPoint struct {
	fs    *enginetest.CrashFS
	op    string
	phase phase
}

// crasher copies the disk before each operation that changes it.
type crasher struct {
	mem *enginetest.CrashFS
	mu  struct {
		sync.Mutex
		rng    *rand.Rand
		on     bool
		phase  phase
		ops    int
		points []crashPoint
	}
}

func (c *crasher) String() string { return "crasher" }

func (c *crasher) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.crashLocked(fmt.Sprintf("op kind %d on %s", op.Kind, op.Path))
	}
	return nil
}

func (c *crasher) crashLocked(what string) {
	if !c.mu.on {
		return
	}
	c.mu.ops++
	// All lost, a part of it, nothing lost.
	for _, percent := range []int{0, 50, 100} {
		fs := c.mem.Crash(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(c.mu.rng.Uint64(), 2))})
		c.mu.points = append(c.mu.points, crashPoint{fs: fs, phase: c.mu.phase,
			op: fmt.Sprintf("before op %d (%s), %d%% of unsynced data kept", c.mu.ops, what, percent)})
	}
}

// enter notes a phase.
func (c *crasher) enter(p phase) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.phase = p
	c.crashLocked(fmt.Sprintf("phase %d begins", p))
}

func newCrasher(mem *enginetest.CrashFS, rng *rand.Rand) *crasher {
	c := &crasher{mem: mem}
	c.mu.rng = rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))
	return c
}

func (c *crasher) fs() vfs.FS { return stepFS{errorfs.Wrap(c.mem, c)} }

func (c *crasher) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.on = true
}

func (c *crasher) stop() []crashPoint {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.on = false
	return c.mu.points
}

// crashableMem is a disk with the node's folder on it.
func crashableMem(t *testing.T) *enginetest.CrashFS {
	t.Helper()
	mem := enginetest.NewCrashFS()
	must(t, mem.MkdirAll("data", 0o755))
	must(t, syncDir(mem, "."))
	return mem
}

// crashWorld is what stores are filled with.
type crashWorld struct {
	before, after engine.Engine // in memory: the old contents and the new ones
	meta          []byte
}

func newCrashWorld(t *testing.T, rng *rand.Rand) *crashWorld {
	w := &crashWorld{before: sender(t), after: sender(t), meta: []byte("raft snapshot at 1000")}
	fill(t, w.before, rng, 300, 100)
	fill(t, w.after, rng, 600, 500)
	return w
}

// copyTo makes an engine what another one is, durably.
func copyTo(t *testing.T, to, from engine.Engine) {
	t.Helper()
	for _, p := range pieces(t, testSource(t, from, ChunkBytes)) {
		c, err := parseChunk(p.data)
		must(t, err)
		must(t, to.Apply(c.repr))
	}
	must(t, to.Flush())
}

// install receives w.after and goes through all that follows, telling c.
func (w *crashWorld) install(t *testing.T, st *Store, c *crasher, id uint64) {
	t.Helper()
	old := st.Engine()
	r, err := st.Receive(id, w.meta, 1000)
	must(t, err)
	send(t, r, testSource(t, w.after, 32<<10))
	c.enter(switching)
	_, err = st.Switch(r)
	must(t, err)
	c.enter(switched)
	// Here the log is reset.
	c.enter(finishing)
	must(t, st.Done())
	c.enter(finished)
	must(t, st.Retire(old))
	must(t, st.Sweep())
}

// TestCrashAnywhere loses what was not synced before each operation on the file
// system of receiving, switching and clearing up. What is opened then is the old
// engine or the new one, whole; the log's reset is pending when it may be missing;
// and nothing is left behind.
func TestCrashAnywhere(t *testing.T) {
	rng := seedOf(t)
	w := newCrashWorld(t, rng)
	c := newCrasher(crashableMem(t), rng)
	st, err := OpenStore(storeOptions(c.fs()))
	must(t, err)
	copyTo(t, st.Engine(), w.before)
	c.start()
	// A half-received one first, that another one takes the place of.
	r, err := st.Receive(1, nil, 0)
	must(t, err)
	must(t, r.Chunk(firstPiece(t, w.after)))
	w.install(t, st, c, 2)
	points := c.stop()
	closeStore(t, st)
	t.Logf("%d crashes", len(points))
	phases := make(map[phase]int)
	most := 400
	if testing.Short() {
		most = 120
	}
	for _, p := range points {
		phases[p.phase]++
		// The phases with few operations are gone through in full.
		if p.phase != receiving && p.phase != finished || len(points) <= most || rng.IntN(len(points)) < most {
			w.check(t, p)
		}
	}
	t.Logf("in phases: %v", phases)
	// And crashes of what comes after a crash.
	for range 6 {
		w.crashAgain(t, points[rng.IntN(len(points))], rng)
	}
}

func firstPiece(t *testing.T, e engine.Engine) (data, position []byte, last bool) {
	t.Helper()
	data, position, last, err := testSource(t, e, 32<<10).Next(nil)
	must(t, err)
	return data, position, last
}

// check opens the store that a crash left.
func (w *crashWorld) check(t *testing.T, p crashPoint) {
	t.Helper()
	st, err := OpenStore(storeOptions(stepFS{p.fs}))
	if err != nil {
		t.Fatalf("crash %s: open: %v", p.op, err)
	}
	defer closeStore(t, st)
	if err := w.checkState(st, p.phase); err != nil {
		t.Fatalf("crash %s: %v", p.op, err)
	}
	if err := st.Sweep(); err != nil {
		t.Fatalf("crash %s: sweep: %v", p.op, err)
	}
	checkSwept(t, st, p.fs, p.op)
	if err := w.checkState(st, p.phase); err != nil {
		t.Fatalf("crash %s: after the sweep: %v", p.op, err)
	}
}

// checkState says what is wrong about a store after a crash in a phase.
func (w *crashWorld) checkState(st *Store, ph phase) error {
	old, new := sameContents(st.Engine(), w.before), sameContents(st.Engine(), w.after)
	meta, pending := st.Pending()
	switch {
	case old != nil && new != nil:
		return fmt.Errorf("the contents are neither the old ones (%v) nor the new ones (%v)", old, new)
	case ph < switching && new == nil:
		return errors.New("it has the new contents before Switch")
	case ph > switching && old == nil:
		return errors.New("it has the old contents after Switch")
	case old == nil && pending:
		return errors.New("a log reset is pending for the old contents")
	case new == nil && ph < finishing && !pending:
		return errors.New("the pending log reset is forgotten")
	case ph == finished && pending:
		return errors.New("a log reset is pending after Done")
	case pending && string(meta) != string(w.meta):
		return fmt.Errorf("pending is %q", meta)
	}
	return nil
}

// checkSwept fails the test if the folder holds anything but the current engine and
// the pointer file.
func checkSwept(t *testing.T, st *Store, fs vfs.FS, op string) {
	t.Helper()
	names, err := fs.List("data/shards")
	must(t, err)
	names = slices.DeleteFunc(names, func(n string) bool { return n == "0.current" || n == st.mu.ptr.Folder })
	if len(names) > 0 {
		t.Fatalf("crash %s: after Sweep there are %v, the current folder is %s", op, names, st.mu.ptr.Folder)
	}
}

// crashAgain opens a crashed disk, sweeps, and receives once more, all of it with
// crashes at every operation.
func (w *crashWorld) crashAgain(t *testing.T, p crashPoint, rng *rand.Rand) {
	t.Helper()
	c := newCrasher(p.fs, rng)
	was := p.phase
	c.mu.phase = was
	c.start()
	st, err := OpenStore(storeOptions(c.fs()))
	must(t, err)
	_, pending := st.Pending()
	installed := sameContents(st.Engine(), w.after) == nil
	must(t, st.Sweep())
	next := st.mu.ptr.Next
	if pending {
		c.enter(finishing)
		must(t, st.Done())
	}
	if installed {
		c.enter(finished)
	} else {
		c.enter(receiving)
		w.install(t, st, c, 3)
		if got, _ := folderNumber("0", st.mu.ptr.Folder); got < next {
			t.Errorf("folder %d was used again, the next was %d", got, next)
		}
	}
	points := c.stop()
	closeStore(t, st)
	if len(points) > 40 {
		rng.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
		points = points[:40]
	}
	for _, again := range points {
		again.op = p.op + ", then " + again.op
		if was == switching && again.phase == switching {
			again.phase = switching // either, as before
		}
		w.check(t, again)
	}
}

// TestFailedSwitch fails each operation of Switch and Done in turn. Where the
// outcome is certain the old state goes on and a second try succeeds; else the
// store writes nothing more, and both engines are there for the next process.
func TestFailedSwitch(t *testing.T) {
	rng := seedOf(t)
	w := newCrashWorld(t, rng)
	injected := errors.New("injected failure")
	uncertain, certain := 0, 0
	for fail := 1; ; fail++ {
		mem := crashableMem(t)
		ops := -1 // off
		var mu sync.Mutex
		fs := stepFS{errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			// Opening an engine syncs the parent folder too; that is before.
			inPointer := strings.Contains(op.Path, "0.current") || ops > 0 && op.Path == "data/shards"
			if ops >= 0 && inPointer && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				if ops++; ops == fail {
					return injected
				}
			}
			return nil
		}))}
		st, err := OpenStore(storeOptions(fs))
		must(t, err)
		copyTo(t, st.Engine(), w.before)
		r, err := st.Receive(1, w.meta, 0)
		must(t, err)
		send(t, r, testSource(t, w.after, 32<<10))
		old := st.Engine()
		mu.Lock()
		ops = 0
		mu.Unlock()
		_, err = st.Switch(r)
		was := switching
		if err == nil {
			was = finishing
			err = st.Done()
		}
		mu.Lock()
		ops = -1
		mu.Unlock()
		if err == nil { // gone through all of them
			must(t, st.Retire(old))
			closeStore(t, st)
			break
		}
		if !errors.Is(err, injected) {
			t.Fatalf("failure %d: %v", fail, err)
		}
		if errors.Is(err, ErrUncertain) {
			uncertain++
			if _, err := st.Receive(2, nil, 0); !errors.Is(err, ErrUncertain) {
				t.Errorf("failure %d: Receive after it: %v", fail, err)
			}
			must(t, st.Sweep())
		} else {
			certain++
			if was == switching {
				if err := sameContents(st.Engine(), w.before); err != nil || st.Engine() != old {
					t.Errorf("failure %d: the old engine is not current any more (%v)", fail, err)
				}
				_, err := st.Switch(r)
				must(t, err)
			}
			must(t, st.Done())
			was = finished
		}
		if old != st.Engine() {
			must(t, old.Close())
		}
		closeStore(t, st)
		for _, percent := range []int{0, 100} {
			clone := mem.Crash(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
			w.check(t, crashPoint{fs: clone, phase: was, op: fmt.Sprintf("after failure %d (%d%%)", fail, percent)})
		}
	}
	if uncertain == 0 || certain == 0 {
		t.Errorf("%d uncertain outcomes, %d certain ones", uncertain, certain)
	}
}
