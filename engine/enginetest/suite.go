package enginetest

import (
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"dkv/engine"
)

// Options is what the suite asks of an engine beyond its defaults. Fields that
// the Factory does not claim to support are zero.
type Options struct {
	// FS is the file system (CustomFS); nil is the machine's.
	FS vfs.FS
	// MemtableBytes is how much may be applied before the engine starts to
	// flush by itself, as nearly as it can; 0 is the engine's default.
	MemtableBytes int64
	// ReserveDiskBytes is free space that the engine leaves alone; negative is
	// none, 0 is the engine's default.
	ReserveDiskBytes int64
	// BeforeFlush and OnFlush are as in package pebbledb (Hooks).
	BeforeFlush func() error
	OnFlush     func()
}

// Factory opens the engine under test.
type Factory struct {
	Open func(dir string, o Options) (engine.Engine, error)
	// CustomFS says that all file access goes through Options.FS, which the
	// crash and full-disk tests need.
	CustomFS bool
	// RealFolder says that the engine keeps its data in a folder of the machine's:
	// crash tests are run on one, in processes of their own, and full-disk tests on
	// a small disk (Linux, root).
	RealFolder bool
	// Hooks says that BeforeFlush and OnFlush are called.
	Hooks bool
	// Loads says that the engine is an engine.Loader.
	Loads bool
	// Volatile says that nothing survives Close, and that there are no
	// checkpoints.
	Volatile bool
}

// Run runs the suite.
func Run(t *testing.T, f Factory) {
	if os.Getenv(childDirEnv) != "" {
		runChild(t, f)
		return
	}
	tests := []struct {
		name string
		run  func(*testing.T, Factory)
		when bool
	}{
		{"Basics", testBasics, true},
		{"ReadsOwnTheirSlices", testSlices, true},
		{"CorruptBatch", testCorruptBatch, true},
		{"Random", testRandom, true},
		{"Iterators", testIterators, true},
		{"IteratorEnds", testIteratorEnds, true},
		{"IteratorIsStable", testIteratorIsStable, true},
		{"Snapshots", testSnapshots, true},
		{"DeleteRange", testDeleteRange, true},
		{"Load", testLoad, f.Loads},
		{"LargeBatches", testLargeBatches, true},
		{"LargeValues", testLargeValues, true},
		{"OverlayOnEngine", testOverlay, true},
		{"Concurrency", testConcurrency, true},
		{"CompactGivesSpaceBack", testCompact, true},
		{"Metrics", testMetrics, true},
		{"Closed", testClosed, true},
		{"CloseUnderReaders", testCloseUnderReaders, true},
		{"Durable", testDurable, !f.Volatile},
		{"Reopen", testReopen, !f.Volatile},
		{"Checkpoint", testCheckpoint, !f.Volatile},
		{"Locked", testLocked, !f.Volatile},
		{"Hooks", testHooks, f.Hooks},
		{"Foreign", testForeign, f.RealFolder},
		{"ReopenLeavesNothing", testReopenLeavesNothing, f.RealFolder},
		{"SmallDisk", testSmallDisk, f.RealFolder},
		{"Killed", testKilled, f.RealFolder},
		{"PowerCut", testPowerCut, f.RealFolder},
		{"Crash", testCrash, f.CustomFS && !f.Volatile},
		{"FullDisk", testFullDisk, f.CustomFS && !f.Volatile},
		{"FullDiskAnywhere", testFullDiskAnywhere, f.CustomFS && !f.Volatile},
		{"FullDiskClose", testFullDiskClose, f.CustomFS && !f.Volatile},
	}
	for _, test := range tests {
		if test.when {
			t.Run(test.name, func(t *testing.T) { test.run(t, f) })
		}
	}
}

// smallMemtable makes engines flush and compact within a short test.
const smallMemtable = 64 << 10

// open opens an engine that is closed when the test ends.
func open(t *testing.T, f Factory, dir string, o Options) engine.Engine {
	t.Helper()
	e, err := f.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mustClose(t, e) })
	return e
}

func mustClose(t *testing.T, e engine.Engine) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// apply makes the same changes in an engine and a model.
func apply(t testing.TB, e engine.Engine, m *Model, change func(b *engine.Batch)) {
	t.Helper()
	var b engine.Batch
	change(&b)
	must(t, e.Apply(b.Repr()))
	must(t, m.Apply(b.Repr()))
}

func randomBatch(rng *rand.Rand, b *engine.Batch, n int) {
	for range n {
		RandomMutation(rng, b)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: err %v, want %v", what, err, want)
	}
}

// waitTimeout is when a condition that should come true is given up.
const waitTimeout = 20 * time.Second

// waitFor waits until cond holds.
func waitFor(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(waitTimeout)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Fatalf("timed out waiting for: %s\n%s", what, buf[:runtime.Stack(buf, true)])
		}
		<-tick.C
	}
}

// within fails the test when do takes too long.
func within(t testing.TB, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	waitFor(t, what, func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
}
