package hot_test

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"

	"dkv/engine"
	"dkv/engine/hot"
)

// viewed counts what an engine is asked for, snapshots too.
type viewed struct {
	asked
	snapshots atomic.Int64
	// first is called before the next Get.
	first atomic.Pointer[func()]
}

func (e *viewed) Get(dst, key []byte) ([]byte, bool, error) {
	if first := e.first.Swap(nil); first != nil {
		(*first)()
	}
	return e.asked.Get(dst, key)
}

func (e *viewed) NewSnapshot() engine.Snapshot {
	e.snapshots.Add(1)
	return e.Engine.NewSnapshot()
}

// openViewed returns a layer over an engine that holds some keys already.
func openViewed(t *testing.T, keys int) (*hot.Layer, *viewed) {
	t.Helper()
	_, db := openLayer(t, hot.Options{})
	var b engine.Batch
	for i := range keys {
		b.Put(fmt.Appendf(nil, "key%d", i), []byte("value"))
	}
	must(t, db.Engine.Apply(b.Repr()))
	below := &viewed{asked: asked{Engine: db}}
	l := hot.NewLayer(below, hot.Options{Bytes: 16 << 20, Logger: quiet()})
	t.Cleanup(func() { _ = l.Close() })
	return l, below
}

// What views look up is kept as what others do, and costs no snapshot of the engine while
// nothing is written down.
func TestViewsRemember(t *testing.T) {
	const keys = 50
	l, below := openViewed(t, keys)
	for round, want := range []int64{keys + 1, keys + 1} {
		s := l.NewSnapshot()
		for i := range keys + 1 { // the last one is not there
			v, found, err := s.Get([]byte("dst"), fmt.Appendf(nil, "key%d", i))
			if err != nil || found != (i < keys) || found && string(v) != "dstvalue" || !found && string(v) != "dst" {
				t.Fatalf("key %d: %q, %v, %v", i, v, found, err)
			}
		}
		must(t, s.Close())
		if n := below.gets.Load(); n != want {
			t.Errorf("after round %d the engine was asked %d times", round, n)
		}
	}
	if n := below.snapshots.Load(); n != 0 {
		t.Errorf("%d snapshots of the engine", n)
	}
}

// A view from before a checkpoint goes on seeing what was there: the engine has changed.
func TestViewsBehindACheckpoint(t *testing.T) {
	l, below := openViewed(t, 2)
	old := l.NewSnapshot()
	defer old.Close()
	var b engine.Batch
	b.Put([]byte("key0"), []byte("new"))
	b.Delete([]byte("key1"))
	b.Put([]byte("other"), nil)
	must(t, l.Apply(b.Repr()))
	must(t, l.Flush())
	for i := range 2 {
		if v, found, err := old.Get(nil, fmt.Appendf(nil, "key%d", i)); err != nil || !found || string(v) != "value" {
			t.Errorf("key %d: %q, %v, %v", i, v, found, err)
		}
	}
	if v, found, err := old.Get(nil, []byte("other")); err != nil || found {
		t.Errorf("a key that was made since: %q, %v, %v", v, found, err)
	}
	if n := below.snapshots.Load(); n != 1 {
		t.Errorf("%d snapshots of the engine", n)
	}
}

// The engine changes between the moment that a view decides to read it as it is, and the
// reading.
func TestViewsMeetACheckpoint(t *testing.T) {
	l, below := openViewed(t, 1)
	old := l.NewSnapshot()
	defer old.Close()
	change := func() {
		var b engine.Batch
		b.Put([]byte("key0"), bytes.Repeat([]byte("new"), 1e5)) // too large to be kept
		must(t, l.Apply(b.Repr()))
		must(t, l.Flush())
	}
	below.first.Store(&change)
	for range 2 {
		if v, found, err := old.Get(nil, []byte("key0")); err != nil || !found || string(v) != "value" {
			t.Errorf("the view sees %d bytes, %v, %v", len(v), found, err)
		}
	}
	if v, found, err := l.Get(nil, []byte("key0")); err != nil || !found || len(v) != 3e5 {
		t.Errorf("then there are %d bytes, %v, %v", len(v), found, err)
	}
}
