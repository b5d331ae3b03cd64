package enginetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"dkv/engine"
)

// diskReserve is what the engine is told to keep free, where it can know.
const diskReserve = 256 << 10

// fullDisk is a store that is written to until its disk is full.
type fullDisk struct {
	t     *testing.T
	fs    *limitedFS
	inner *CrashFS
	o     Options
	e     engine.Engine

	// log is what the writer applied or is applying; applied counts those that
	// Apply returned for.
	log     chan []byte
	history [][]byte
	applied atomic.Uint64
	// upTo is where the writer pauses.
	upTo atomic.Uint64
	// heedless says that the writer applies whatever Writable says.
	heedless atomic.Bool
	stop     atomic.Bool
	done     chan error
}

func newFullDisk(t *testing.T, f Factory, honest bool) *fullDisk {
	inner := NewCrashFS()
	fs := newLimitedFS(inner, honest)
	o := Options{FS: fs, MemtableBytes: smallMemtable, ReserveDiskBytes: -1}
	if honest {
		o.ReserveDiskBytes = diskReserve
	}
	e, err := f.Open("store", o)
	must(t, err)
	return &fullDisk{t: t, fs: fs, inner: inner, o: o, e: e, log: make(chan []byte, 1<<16), done: make(chan error, 1)}
}

// write applies random batches, and asks Writable before each as a shard does,
// until it is stopped; while the disk is full it waits.
func (d *fullDisk) write(seed uint64) {
	rng := RandOf(seed)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	n := d.applied.Load()
	for !d.stop.Load() {
		err := d.e.Writable()
		if err != nil && !errors.Is(err, engine.ErrNoSpace) {
			d.done <- err
			return
		}
		if err != nil && !d.heedless.Load() || n >= d.upTo.Load() {
			<-tick.C
			continue
		}
		n++
		var b engine.Batch
		randomBatch(rng, &b, 30)
		fill(rng, &b, n)
		b.Put(appliedKey, binary.BigEndian.AppendUint64(nil, n))
		d.log <- b.Repr()
		if err := d.e.Apply(b.Repr()); err != nil {
			d.done <- err
			return
		}
		d.applied.Store(n)
	}
	d.done <- nil
}

// fill puts a value that stays, beyond the reach of random delete-ranges.
func fill(rng *rand.Rand, b *engine.Batch, n uint64) {
	value := make([]byte, 5000)
	for i := range value {
		value[i] = byte(rng.Uint32()) // does not compress
	}
	// In rising order, which is cheap for the model.
	b.Put(fmt.Appendf(nil, "\xff\xff\xff\xff\xff fill:%08d", n), value)
}

// stopWriter stops the writer and returns the model of what it applied.
func (d *fullDisk) stopWriter() *Model {
	d.t.Helper()
	d.stop.Store(true)
	must(d.t, <-d.done)
	d.stop.Store(false)
	return d.model()
}

func (d *fullDisk) model() *Model {
	d.t.Helper()
	for len(d.log) > 0 {
		d.history = append(d.history, <-d.log)
	}
	m := &Model{}
	for _, repr := range d.history[:d.applied.Load()] {
		must(d.t, m.Apply(repr))
	}
	return m
}

// fillUp leaves n bytes and waits until the writer has used them up.
func (d *fullDisk) fillUp(n int64) {
	d.t.Helper()
	d.fs.leave(n)
	d.upTo.Store(math.MaxUint64)
	waitFor(d.t, "the disk to be full", func() bool { return errors.Is(d.e.Writable(), engine.ErrNoSpace) })
}

// resume leaves n bytes and waits until writing goes on.
func (d *fullDisk) resume(n int64) {
	d.t.Helper()
	d.upTo.Store(d.applied.Load() + 100)
	d.fs.leave(n)
	waitFor(d.t, "writing to resume", func() bool { return d.applied.Load() >= d.upTo.Load() && d.e.Writable() == nil })
}

// testFullDisk fills the disk, looks at what still works, and makes room.
func testFullDisk(t *testing.T, f Factory) {
	for name, honest := range map[string]bool{"Reserve": true, "Enospc": false} {
		t.Run(name, func(t *testing.T) {
			rng := Rand(t)
			d := newFullDisk(t, f, honest)
			go d.write(rng.Uint64())
			d.fillUp(1 << 20)

			// Reads go on.
			_, found, err := d.e.Get(nil, appliedKey)
			if err != nil || !found {
				t.Errorf("read on a full disk: found %v, err %v", found, err)
			}
			must(t, readSome(d.e))
			d.fs.hog()
			wantErr(t, "Flush", d.e.Flush(), engine.ErrNoSpace)
			wantErr(t, "Checkpoint", d.e.Checkpoint("copy"), engine.ErrNoSpace)
			checkRetryRate(t, d.fs)

			// There is room again: writing resumes by itself.
			d.resume(64 << 20)
			m := d.stopWriter()
			CompareReaders(t, d.e, m)
			must(t, d.e.Flush())
			must(t, d.e.Close())
			e, err := f.Open("store", Options{FS: d.inner.Crash(vfs.CrashCloneCfg{})})
			must(t, err)
			CompareReaders(t, e, m)
			mustClose(t, e)
		})
	}
}

// checkRetryRate checks that what fails is not tried again at full speed.
func checkRetryRate(t *testing.T, fs *limitedFS) {
	t.Helper()
	const watch = 300 * time.Millisecond
	writes0, tables0 := fs.refusals()
	<-time.After(watch) // the span that is measured
	writes, tables := fs.refusals()
	if writes-writes0 > 30 || tables-tables0 > 30 {
		t.Errorf("in %v %d writes were refused and %d tables begun", watch, writes-writes0, tables-tables0)
	}
}

// testFullDiskAnywhere lets the disk run full at random places, MANIFEST writes
// included: nothing is lost, and no such place stops the store for good.
func testFullDiskAnywhere(t *testing.T, f Factory) {
	rng := Rand(t)
	rounds := 4
	if raceEnabled {
		rounds = 2
	}
	for round := range rounds {
		d := newFullDisk(t, f, round%2 == 0)
		go d.write(rng.Uint64())
		for range 2 {
			d.fillUp(rng.Int64N(1 << 19))
			d.resume(8 << 20)
		}
		m := d.stopWriter()
		CompareReaders(t, d.e, m)
		d.fs.leave(64 << 20)
		waitFor(t, "a flush", func() bool { return d.e.Flush() == nil })
		must(t, d.e.Close())
		e, err := f.Open("store", Options{FS: d.inner.Crash(vfs.CrashCloneCfg{})})
		must(t, err)
		CompareReaders(t, e, m)
		mustClose(t, e)
	}
}

// testFullDiskClose closes a store whose disk is full, with an Apply that waits
// for space. What is on disk is a prefix of what was applied.
func testFullDiskClose(t *testing.T, f Factory) {
	rng := Rand(t)
	for _, honest := range []bool{true, false} {
		d := newFullDisk(t, f, honest)
		go d.write(rng.Uint64())
		d.fillUp(1 << 20)
		d.heedless.Store(true)
		waitFor(t, "Apply to wait", func() bool { return d.e.Metrics().WriteStalls > 0 })
		within(t, "Close on a full disk", func() { must(t, d.e.Close()) })
		wantErr(t, "Apply that waited", <-d.done, engine.ErrClosed)
		e, err := f.Open("store", Options{FS: d.inner.Crash(vfs.CrashCloneCfg{})})
		must(t, err)
		v, found, err := e.Get(nil, appliedKey)
		must(t, err)
		if !found {
			t.Fatal("nothing was flushed before the disk was full")
		}
		d.applied.Store(binary.BigEndian.Uint64(v))
		CompareReaders(t, e, d.model())
		mustClose(t, e)
	}
}
