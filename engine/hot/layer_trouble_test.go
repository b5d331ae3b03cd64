package hot_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"dkv/engine"
	"dkv/engine/enginetest"
	"dkv/engine/hot"
)

func put(t *testing.T, l *hot.Layer, key, value string) {
	t.Helper()
	var b engine.Batch
	b.Put([]byte(key), []byte(value))
	must(t, l.Apply(b.Repr()))
}

func (e *steered) failWith(do func() error) { e.fail.Store(&do) }

// A checkpoint that fails is tried again, at a bearable rate, and nothing is lost.
func TestFailedCheckpoint(t *testing.T) {
	l, below := openLayer(t, hot.Options{})
	broken := errors.New("the engine is broken")
	var tries atomic.Int64
	below.failWith(func() error { tries.Add(1); return broken })
	put(t, l, "k", "1")
	began := time.Now()
	if err := l.Flush(); !errors.Is(err, broken) {
		t.Errorf("Flush: %v", err)
	}
	put(t, l, "k", "2") // into the next generation
	if err := l.Writable(); !errors.Is(err, broken) {
		t.Errorf("Writable: %v", err)
	}
	waitFor(t, "another try", func() bool { return tries.Load() >= 3 })
	// After a tenth of a second, and then twice that.
	if took := time.Since(began); took < 250*time.Millisecond {
		t.Errorf("three tries in %v", took)
	}
	below.failWith(func() error { return nil })
	waitFor(t, "the checkpoint", func() bool { return l.Writable() == nil })
	must(t, l.Flush())
	if v, _, err := below.Engine.Get(nil, []byte("k")); err != nil || string(v) != "2" {
		t.Errorf("the engine has %q, %v", v, err)
	}
}

// An engine that fails for good stops the layer; reads go on.
func TestFatalCheckpoint(t *testing.T) {
	l, below := openLayer(t, hot.Options{})
	put(t, l, "k", "1")
	below.failWith(func() error { return fmt.Errorf("%w: worn out", engine.ErrFailed) })
	var b engine.Batch
	b.Put([]byte("k"), []byte("2"))
	for what, err := range map[string]error{"Flush": l.Flush(), "Apply": l.Apply(b.Repr()), "Writable": l.Writable(), "Checkpoint": l.Checkpoint("copy")} {
		if !errors.Is(err, engine.ErrFailed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if v, _, err := l.Get(nil, []byte("k")); err != nil || string(v) != "1" {
		t.Errorf("read %q %v", v, err)
	}
}

// Apply waits while both halves of the buffer are full, and goes on after the
// checkpoint; memory stays within the bound and a batch. Close ends the wait.
func TestFullBuffer(t *testing.T) {
	l, below := openLayer(t, hot.Options{WriteBytes: 1 << 20})
	hold := make(chan struct{})
	below.failWith(func() error { <-hold; return nil })
	done := make(chan error, 1)
	write := func() {
		var err error
		for i := 0; i < 200 && err == nil; i++ {
			var b engine.Batch
			b.Put(fmt.Appendf(nil, "%d", i), make([]byte, 32<<10))
			err = l.Apply(b.Repr())
		}
		done <- err
	}
	go write()
	waitFor(t, "Apply to wait", func() bool { return l.HotMetrics().WriteStalls > 0 })
	if n := l.HotMetrics().DirtyBytes; n > 1<<20+2*(33<<10) {
		t.Errorf("%d bytes are held back", n)
	}
	close(hold)
	must(t, <-done)
	if m := l.HotMetrics(); m.Checkpoints < 5 || m.WriteStallDuration == 0 || m.WrittenBytes < 5<<20 {
		t.Errorf("%+v", m)
	}
	again := make(chan struct{})
	below.failWith(func() error { <-again; return nil })
	go write()
	stalls := l.HotMetrics().WriteStalls
	waitFor(t, "Apply to wait again", func() bool { return l.HotMetrics().WriteStalls > stalls })
	closed := make(chan error, 1)
	go func() { closed <- l.Close() }()
	if err := <-done; !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Apply that waited: %v", err)
	}
	close(again)
	must(t, <-closed)
}

// What nobody adds to is written down after the interval.
func TestInterval(t *testing.T) {
	l, below := openLayer(t, hot.Options{Interval: 10 * time.Millisecond})
	put(t, l, "k", "1")
	waitFor(t, "the checkpoint", func() bool {
		_, found, err := below.Engine.Get(nil, []byte("k"))
		return found && err == nil
	})
	waitFor(t, "its end", func() bool { return l.HotMetrics().DirtyRecords == 0 })
	if m := l.HotMetrics(); m.Checkpoints != 1 {
		t.Errorf("%+v", m)
	}
}

// A counter takes two versions, however often it changes, and with a view open
// three; a value that grows is not written over another one.
func TestVersionsAreReused(t *testing.T) {
	l, _ := openLayer(t, hot.Options{})
	put(t, l, "counter", "00000000")
	put(t, l, "counter", "00000001")
	before := l.HotMetrics().DirtyBytes
	s := l.NewSnapshot()
	for i := range 10_000 {
		put(t, l, "counter", fmt.Sprintf("%08d", i+2))
	}
	if grown := l.HotMetrics().DirtyBytes - before; grown > 64 {
		t.Errorf("10,000 changes of a counter took %d bytes", grown)
	}
	if v, _, err := s.Get(nil, []byte("counter")); err != nil || string(v) != "00000001" {
		t.Errorf("the snapshot has %q, %v", v, err)
	}
	must(t, s.Close())
	if v, _, err := l.Get(nil, []byte("counter")); err != nil || string(v) != "00010001" {
		t.Errorf("the counter is %q, %v", v, err)
	}
}

// A long read does not keep the versions of generations that it does not see, also
// while short ones come and go.
func TestLongViewKeepsOnlyItsOwn(t *testing.T) {
	l, _ := openLayer(t, hot.Options{})
	put(t, l, "counter", "00000000")
	long := l.NewSnapshot()
	defer long.Close()
	must(t, l.Flush())
	waitFor(t, "what was written down to be let go of", func() bool { return l.HotMetrics().DirtyRecords == 0 })
	put(t, l, "counter", "00000001")
	put(t, l, "counter", "00000002")
	before := l.HotMetrics().DirtyBytes
	for i := range 1000 {
		short := l.NewSnapshot()
		put(t, l, "counter", fmt.Sprintf("%08d", i+3))
		if v, _, err := short.Get(nil, []byte("counter")); err != nil || string(v) != fmt.Sprintf("%08d", i+2) {
			t.Fatalf("a short view of %d has %q, %v", i+2, v, err)
		}
		must(t, short.Close())
	}
	if grown := l.HotMetrics().DirtyBytes - before; grown > 64 {
		t.Errorf("1000 changes of a counter took %d bytes", grown)
	}
	if v, _, err := long.Get(nil, []byte("counter")); err != nil || string(v) != "00000000" {
		t.Errorf("the long view has %q, %v", v, err)
	}
}

// FuzzLayerBatch: no bytes make Apply panic, and what is no batch is refused.
func FuzzLayerBatch(f *testing.F) {
	var b engine.Batch
	b.Put([]byte("a"), []byte("1"))
	b.Delete([]byte("b"))
	b.DeleteRange([]byte("a"), []byte("c"))
	f.Add(b.Repr())
	l, _ := openLayer(f, hot.Options{WriteBytes: 64 << 10})
	f.Fuzz(func(t *testing.T, repr []byte) {
		r, want := engine.ReadBatch(repr)
		for ok := want == nil; ok; {
			_, _, _, ok, want = r.Next()
		}
		if err := l.Apply(repr); (err == nil) != (want == nil) {
			t.Fatalf("Apply: %v, reading: %v", err, want)
		}
	})
}

// Keys that are written again take hardly more room than those that are written once:
// what their last batches have hidden serves the next ones.
func TestOverwritesShareRoom(t *testing.T) {
	l, _ := openLayer(t, hot.Options{WriteBytes: 64 << 20})
	rng := enginetest.Rand(t)
	const keys, perBatch = 20_000, 100
	write := func(value int) {
		order := rng.Perm(keys)
		for len(order) > 0 {
			var b engine.Batch
			for _, k := range order[:perBatch] {
				b.Put(fmt.Appendf(nil, "key%06d", k), fmt.Appendf(nil, "%0100d", value+k))
			}
			order = order[perBatch:]
			must(t, l.Apply(b.Repr()))
		}
	}
	write(0)
	before := l.HotMetrics().DirtyBytes
	for round := range 3 {
		write(keys * (round + 1))
	}
	if after := l.HotMetrics().DirtyBytes; after > before+before/8 {
		t.Errorf("%d bytes when written once, %d when written four times", before, after)
	}
	for k := range keys {
		v, found, err := l.Get(nil, fmt.Appendf(nil, "key%06d", k))
		if want := fmt.Sprintf("%0100d", 3*keys+k); err != nil || !found || string(v) != want {
			t.Fatalf("key %d is %q, %v, %v", k, v, found, err)
		}
	}
}

// What nobody adds to is written down long before the interval if it is worth it.
func TestRest(t *testing.T) {
	l, below := openLayer(t, hot.Options{WriteBytes: 64 << 20, Interval: time.Hour})
	var b engine.Batch
	for i := range 100 {
		b.Put(fmt.Appendf(nil, "key%03d", i), make([]byte, 100_000))
	}
	must(t, l.Apply(b.Repr()))
	waitFor(t, "the checkpoint", func() bool { return l.HotMetrics().DirtyRecords == 0 })
	if _, found, err := below.Engine.Get(nil, []byte("key099")); err != nil || !found {
		t.Errorf("the engine has it: %v, %v", found, err)
	}
}
