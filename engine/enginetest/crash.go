package enginetest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"dkv/engine"
)

// appliedKey holds the number of the batch that was applied last, as a shard's
// own record does. No random mutation touches it: it is written after them.
var appliedKey = []byte("s applied")

// crashPoint is what the disk might look like after a crash at some moment, and
// what must then hold.
type crashPoint struct {
	fs      *CrashFS
	percent int // how much of what was not synced is there
	// atLeast and atMost bound the number that the store may hold: what was
	// durable, and what the log had synced, at that moment.
	atLeast, atMost uint64
	found           uint64
}

// crashRun is a store under load whose disk is copied at many moments.
type crashRun struct {
	t     *testing.T
	fs    *CrashFS
	hooks bool

	mu struct {
		sync.Mutex
		rng    *rand.Rand
		points []*crashPoint
		// appended is the last batch in the log, synced the last one that the
		// log would have after a crash, durable what GetDurable or Flush said.
		appended, synced, durable uint64
	}
}

// How much testCrash does; the race detector makes all of it many times slower.
var crashBatches, crashPoints = uint64(1200), 150

func init() {
	if raceEnabled {
		crashBatches, crashPoints = 300, 40
	}
}

// testCrash checks that a crash at any moment, with any part of what was not
// synced lost, leaves the result of a prefix of the batches, no shorter than what
// was durable, and no longer than what BeforeFlush had seen to.
func testCrash(t *testing.T, f Factory) {
	rng := Rand(t)
	run := &crashRun{t: t, fs: NewCrashFS(), hooks: f.Hooks}
	run.mu.rng = RandOf(rng.Uint64())
	const dir = "a/store"
	o := Options{
		FS:            &watchedFS{FS: run.fs, before: func() { run.maybeCrash(30) }},
		MemtableBytes: smallMemtable,
	}
	var e engine.Engine
	if f.Hooks {
		o.BeforeFlush = run.beforeFlush
		o.OnFlush = func() { run.readDurable(e) }
	}
	run.maybeCrash(1) // nothing there yet
	e, err := f.Open(dir, o)
	must(t, err)
	var log [][]byte
	for n := uint64(1); n <= crashBatches; n++ {
		var b engine.Batch
		randomBatch(rng, &b, 5+rng.IntN(40))
		if rng.IntN(50) == 0 {
			randomBatch(rng, &b, 1000) // larger than half a memtable
		}
		b.Put(appliedKey, binary.BigEndian.AppendUint64(nil, n))
		log = append(log, slices.Clone(b.Repr()))
		run.append(n)
		must(t, e.Apply(b.Repr()))
		switch rng.IntN(30) {
		case 0:
			must(t, e.Flush())
			run.raiseDurable(n)
		case 1:
			run.readDurable(e)
		case 2:
			must(t, e.Compact(t.Context(), RandomKey(rng), nil))
		}
		run.maybeCrash(20)
	}
	must(t, e.Close())
	run.maybeCrash(1)
	run.check(f, dir, log, rng)
}

func (r *crashRun) append(n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.appended = n
}

func (r *crashRun) beforeFlush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.synced = r.mu.appended
	return nil
}

func (r *crashRun) raiseDurable(n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.durable = max(r.mu.durable, n)
}

func (r *crashRun) readDurable(e engine.Engine) {
	v, found, err := e.GetDurable(nil, appliedKey)
	if err == nil && found {
		r.raiseDurable(binary.BigEndian.Uint64(v))
	}
}

// maybeCrash copies the disk once in oneIn times.
func (r *crashRun) maybeCrash(oneIn int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.mu.points) >= crashPoints || r.mu.rng.IntN(oneIn) != 0 {
		return
	}
	p := &crashPoint{
		percent: []int{0, 0, 1, 20, 50, 80, 99, 100}[r.mu.rng.IntN(8)],
		atLeast: r.mu.durable,
		atMost:  r.mu.synced,
	}
	if !r.hooks {
		p.atMost = r.mu.appended
	}
	p.fs = r.fs.Crash(vfs.CrashCloneCfg{UnsyncedDataPercent: p.percent, RNG: r.mu.rng})
	r.mu.points = append(r.mu.points, p)
}

// check opens every crash point and compares it with the batches that it says it
// holds.
func (r *crashRun) check(f Factory, dir string, log [][]byte, rng *rand.Rand) {
	t := r.t
	stores := make(map[*crashPoint]engine.Engine)
	for i, p := range r.mu.points {
		e, err := f.Open(dir, Options{FS: p.fs})
		if err != nil {
			t.Fatalf("crash %d (%d%% of unsynced data): open: %v", i, p.percent, err)
		}
		stores[p] = e
		v, found, err := e.Get(nil, appliedKey)
		must(t, err)
		if found {
			p.found = binary.BigEndian.Uint64(v)
		}
		if p.found < p.atLeast || p.found > p.atMost {
			t.Errorf("crash %d (%d%%): the store holds batches to %d; durable were %d, synced by the log %d",
				i, p.percent, p.found, p.atLeast, p.atMost)
		}
	}
	slices.SortFunc(r.mu.points, func(a, b *crashPoint) int { return int(a.found) - int(b.found) })
	m, n := &Model{}, uint64(0)
	distinct := 0
	for i, p := range r.mu.points {
		if n < p.found || i == 0 {
			distinct++
		}
		for ; n < p.found; n++ {
			must(t, m.Apply(log[n]))
		}
		e := stores[p]
		if err := compareReaders(e, m); err != nil {
			t.Errorf("crash at batch %d (%d%%): %v", p.found, p.percent, err)
		}
		if rng.IntN(8) == 0 {
			replay(t, f, e, dir, p, m.Clone(), log)
		} else {
			mustClose(t, e)
		}
	}
	t.Logf("%d crashes, %d different states", len(r.mu.points), distinct)
}

// replay goes on where the crash was, with a stretch of the log that the store
// has already, and closes the store.
func replay(t *testing.T, f Factory, e engine.Engine, dir string, p *crashPoint, m *Model, log [][]byte) {
	from := p.found - min(p.found, 10)
	to := min(p.found+50, uint64(len(log)))
	for n := from; n < to; n++ {
		must(t, e.Apply(log[n]))
		if n >= p.found {
			must(t, m.Apply(log[n]))
		}
	}
	CompareReaders(t, e, m)
	must(t, e.Flush())
	must(t, e.Close())
	again, err := f.Open(dir, Options{FS: p.fs.Crash(vfs.CrashCloneCfg{})})
	if err != nil {
		t.Fatal(fmt.Errorf("open after replay and another crash: %w", err))
	}
	CompareReaders(t, again, m)
	mustClose(t, again)
}
