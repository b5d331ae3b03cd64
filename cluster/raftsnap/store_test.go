package raftsnap

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"dkv/engine"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

func folders(t *testing.T, fs vfs.FS) []string {
	t.Helper()
	names, err := fs.List("data/shards")
	must(t, err)
	slices.Sort(names)
	return names
}

func wantFolders(t *testing.T, fs vfs.FS, want ...string) {
	t.Helper()
	if got := folders(t, fs); !slices.Equal(got, want) {
		t.Errorf("folders %v, want %v", got, want)
	}
}

// TestOneAtATime: another id takes the place of what is half received, but not of
// what is complete, until it is complete itself.
func TestOneAtATime(t *testing.T) {
	rng := seedOf(t)
	from := sender(t)
	fill(t, from, rng, 300, 100)
	src := testSource(t, from, 2000)
	list := pieces(t, src)
	fs := vfs.NewMem()
	st := testStore(t, storeOptions(fs))

	a, err := st.Receive(1, []byte("m"), 0)
	must(t, err)
	must(t, a.Chunk(list[0].data, list[0].position, false))
	b, err := st.Receive(1, []byte("another meta"), 0)
	must(t, err)
	if a == b {
		t.Error("the same receiver for another meta")
	}
	if err := a.Chunk(list[1].data, list[1].position, false); !errors.Is(err, ErrDiscarded) {
		t.Errorf("a chunk for a discarded receiver: %v", err)
	}
	if _, err := st.Switch(a); !errors.Is(err, ErrDiscarded) {
		t.Errorf("switch to a discarded receiver: %v", err)
	}
	if _, err := st.Switch(b); !errors.Is(err, ErrNotComplete) {
		t.Errorf("switch to a half-received snapshot: %v", err)
	}
	wantFolders(t, fs, "0", "0.2", "0.current")
	send(t, b, src) // the failed Switch left it as it was

	c, err := st.Receive(2, nil, 0)
	must(t, err)
	must(t, st.Sweep())
	wantFolders(t, fs, "0", "0.2", "0.3", "0.current")
	if !b.Complete() {
		t.Error("a complete snapshot was discarded by the beginning of another one")
	}
	send(t, c, src)
	if b.Complete() {
		t.Error("two complete snapshots")
	}
	if _, err := st.Switch(b); !errors.Is(err, ErrDiscarded) {
		t.Errorf("switch to what was replaced: %v", err)
	}
	wantFolders(t, fs, "0", "0.3", "0.current")
	must(t, c.Discard())
	must(t, c.Discard())
	wantFolders(t, fs, "0", "0.current")
	if m := st.Metrics(); m.Begun != 3 || m.Completed != 2 || m.Switched != 0 || m.Failed != 0 || m.Receiving {
		t.Errorf("metrics %+v", m)
	}
}

// TestTwiceInARow switches from one received engine to the next, with readers of
// the old ones, and comes back with the last one.
func TestTwiceInARow(t *testing.T) {
	rng := seedOf(t)
	from := sender(t)
	fs := vfs.NewMem()
	st, err := OpenStore(storeOptions(fs))
	must(t, err)
	for id := range uint64(3) {
		fill(t, from, rng, 200, 100)
		src := testSource(t, from, ChunkBytes)
		old := st.Engine()
		reader := old.NewSnapshot()
		want := slices.Clone(folders(t, fs))
		r, err := st.Receive(id, nil, 0)
		must(t, err)
		send(t, r, src)
		_, err = st.Switch(r)
		must(t, err)
		must(t, st.Done())
		must(t, st.Sweep())
		if got := folders(t, fs); !slices.Contains(got, want[0]) {
			t.Errorf("Sweep removed the folder of an engine that was not retired: %v", got)
		}
		if _, _, err := reader.Get(nil, []byte("k")); err != nil {
			t.Errorf("read of the old engine: %v", err)
		}
		must(t, reader.Close())
		must(t, st.Retire(old))
		if err := st.Retire(old); !errors.Is(err, ErrNotOld) {
			t.Errorf("retired twice: %v", err)
		}
	}
	if err := st.Retire(st.Engine()); !errors.Is(err, ErrNotOld) {
		t.Errorf("the current engine was retired: %v", err)
	}
	wantFolders(t, fs, "0.3", "0.current")
	closeStore(t, st)
	again := testStore(t, storeOptions(fs))
	if err := sameContents(again.Engine(), from); err != nil {
		t.Error(err)
	}
	if _, pending := again.Pending(); pending {
		t.Error("pending after Done")
	}
	if _, err := st.Receive(9, nil, 0); !errors.Is(err, ErrClosed) {
		t.Errorf("Receive after Close: %v", err)
	}
}

// TestOwnEngines: what receives is opened apart from what serves.
func TestOwnEngines(t *testing.T) {
	fs := vfs.NewMem()
	var opened []string
	o := storeOptions(fs)
	open := o.Open
	o.Open = func(dir string) (engine.Engine, error) {
		opened = append(opened, "current "+dir)
		return open(dir)
	}
	o.OpenReceiving = func(dir string) (engine.Engine, error) {
		opened = append(opened, "receiving "+dir)
		return open(dir)
	}
	st := testStore(t, o)
	old := st.Engine()
	r, err := st.Receive(1, nil, 0)
	must(t, err)
	send(t, r, testSource(t, sender(t), ChunkBytes))
	_, err = st.Switch(r)
	must(t, err)
	must(t, st.Retire(old))
	want := []string{"current data/shards/0", "receiving data/shards/0.1", "current data/shards/0.1"}
	if !slices.Equal(opened, want) {
		t.Errorf("opened %q, want %q", opened, want)
	}
}

// TestDamage: what contradicts itself is refused, and nothing of it is touched.
func TestDamage(t *testing.T) {
	rng := seedOf(t)
	from := sender(t)
	fill(t, from, rng, 100, 100)
	prepare := func() *vfs.MemFS {
		fs := vfs.NewMem()
		st, err := OpenStore(storeOptions(fs))
		must(t, err)
		old := st.Engine()
		r, err := st.Receive(1, []byte("meta"), 0)
		must(t, err)
		send(t, r, testSource(t, from, ChunkBytes))
		_, err = st.Switch(r)
		must(t, err)
		must(t, st.Retire(old))
		closeStore(t, st)
		return fs
	}
	const path = "data/shards/0.current"
	rewrite := func(change func(p *pointer)) func(fs *vfs.MemFS) {
		return func(fs *vfs.MemFS) {
			p, err := readPointer(fs, path, "0")
			must(t, err)
			change(&p)
			must(t, writePointer(fs, path, p))
		}
	}
	for name, c := range map[string]struct {
		damage func(fs *vfs.MemFS)
		want   error
	}{
		"NoPointer":  {func(fs *vfs.MemFS) { must(t, fs.Remove(path)) }, engine.ErrCorrupt},
		"NoFolder":   {func(fs *vfs.MemFS) { must(t, fs.RemoveAll("data/shards/0.1")) }, engine.ErrCorrupt},
		"Empty":      {func(fs *vfs.MemFS) { must(t, writeFile(fs, path, nil)) }, engine.ErrCorrupt},
		"Format":     {rewrite(func(p *pointer) { p.Format = 2 }), engine.ErrDataFormat},
		"FarFolder":  {rewrite(func(p *pointer) { p.Folder = "0.2" }), engine.ErrCorrupt},
		"OddFolder":  {rewrite(func(p *pointer) { p.Folder = "0.01" }), engine.ErrCorrupt},
		"Elsewhere":  {rewrite(func(p *pointer) { p.Folder = "../x" }), engine.ErrCorrupt},
		"OtherShard": {rewrite(func(p *pointer) { p.Folder = "1" }), engine.ErrCorrupt},
		"BadMeta": {func(fs *vfs.MemFS) {
			p, err := readPointer(fs, path, "0")
			must(t, err)
			sum, err := p.sum()
			must(t, err)
			p.Meta = []byte("atem")
			must(t, writeFile(fs, path, fmt.Appendf(nil, `{"format":1,"folder":%q,"next":%d,"meta":"YXRlbQ==","pending":true,"crc32c":%d}`, p.Folder, p.Next, sum)))
		}, engine.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			fs := prepare()
			c.damage(fs)
			before := folders(t, fs)
			if _, err := OpenStore(storeOptions(fs)); !errors.Is(err, c.want) {
				t.Errorf("open: %v, want %v", err, c.want)
			}
			wantFolders(t, fs, before...)
		})
	}
}

// TestDoesNotFit refuses a snapshot by its estimated size, and gives up a complete
// one that nobody switches to when its space is needed.
func TestDoesNotFit(t *testing.T) {
	fs := vfs.NewMem()
	o := storeOptions(fs)
	var free atomic.Uint64
	o.FreeBytes = free.Load
	st := testStore(t, o)
	for _, estimated := range []uint64{1000, math.MaxUint64} {
		free.Store(1000)
		if _, err := st.Receive(1, nil, estimated); !errors.Is(err, engine.ErrNoSpace) {
			t.Errorf("%d bytes: %v", estimated, err)
		}
	}
	wantFolders(t, fs, "0")
	free.Store(2000)
	r, err := st.Receive(1, nil, 1000)
	must(t, err)
	send(t, r, testSource(t, sender(t), ChunkBytes))
	if _, err := st.Receive(2, nil, 5000); !errors.Is(err, engine.ErrNoSpace) {
		t.Errorf("the second: %v", err)
	}
	if r.Complete() {
		t.Error("the first one keeps its space")
	}
	wantFolders(t, fs, "0", "0.current")

	// The estimate was wrong.
	from := sender(t)
	fill(t, from, seedOf(t), 1000, 1000)
	r, err = st.Receive(3, nil, 0)
	must(t, err)
	src := testSource(t, from, 5000)
	data, position, last, err := src.Next(nil)
	must(t, err)
	free.Store(10_000)
	must(t, r.Chunk(data, position, last))
	free.Store(1000)
	if err := trySend(r, src); !errors.Is(err, engine.ErrNoSpace) {
		t.Errorf("a disk that fills up: %v", err)
	}
	wantFolders(t, fs, "0", "0.current")
	if m := st.Metrics(); m.Failed != 4 || m.Receiving {
		t.Errorf("metrics %+v", m)
	}
}

// TestFullDisk lets the disk be full from each operation of Receive on. It fails
// with ErrNoSpace and leaves nothing; once there is space the next one succeeds.
func TestFullDisk(t *testing.T) {
	rng := seedOf(t)
	from := sender(t)
	fill(t, from, rng, 800, 500)
	mem := vfs.NewMem()
	var mu sync.Mutex
	left, full := math.MaxInt, false
	fs := stepFS{errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpMkdirAll, errorfs.OpFilePreallocate:
		default:
			return nil
		}
		// The current engine is left alone.
		if strings.HasPrefix(op.Path, "data/shards/0/") {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		left--
		if full = left < 0; full {
			return syscall.ENOSPC
		}
		return nil
	}))}
	leave := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		left, full = n, false
	}
	st := testStore(t, storeOptions(fs))
	fill(t, st.Engine(), rng, 100, 100)
	src := testSource(t, from, 16<<10)
	failures := 0
	for n := 0; ; n += 1 + n/8 {
		leave(n)
		err := func() error {
			r, err := st.Receive(uint64(n), nil, 0)
			if err != nil {
				return err
			}
			return trySend(r, src)
		}()
		mu.Lock()
		wasFull := full
		mu.Unlock()
		if err == nil && !wasFull {
			break
		}
		leave(math.MaxInt)
		if err == nil {
			// It was complete before the failure: a compaction's, for one.
			continue
		}
		failures++
		if !errors.Is(err, engine.ErrNoSpace) {
			t.Fatalf("full after %d operations: %v", n, err)
		}
		names := slices.DeleteFunc(folders(t, fs), func(name string) bool { return strings.HasPrefix(name, "0.current") })
		if len(names) != 1 {
			// A complete one of before may wait for its switch.
			st.mu.Lock()
			complete := st.mu.complete
			st.mu.Unlock()
			if len(names) != 2 || complete == nil || names[1] != complete.folder {
				t.Fatalf("full after %d operations: left are %v", n, names)
			}
		}
	}
	leave(math.MaxInt)
	if failures < 10 {
		t.Errorf("%d failures", failures)
	}
	st.mu.Lock()
	r := st.mu.complete
	st.mu.Unlock()
	old := st.Engine()
	_, err := st.Switch(r)
	must(t, err)
	must(t, st.Retire(old))
	if err := sameContents(st.Engine(), from); err != nil {
		t.Error(err)
	}
}

// stuckEngine waits in Apply, as one does whose disk is full, until it is closed.
type stuckEngine struct {
	engine.Engine
	stuck  atomic.Bool
	closed chan struct{}
}

func (e *stuckEngine) Apply([]byte) error {
	e.stuck.Store(true)
	<-e.closed
	return engine.ErrClosed
}

func (e *stuckEngine) Writable() error {
	if e.stuck.Load() {
		return fmt.Errorf("flush: %w", engine.ErrNoSpace)
	}
	return nil
}

func (e *stuckEngine) Close() error {
	close(e.closed)
	return e.Engine.Close()
}

// TestStuckApply: an Apply that waits for disk space does not keep the receiver.
func TestStuckApply(t *testing.T) {
	fs := vfs.NewMem()
	o := storeOptions(fs)
	open := o.Open
	o.OpenReceiving = func(dir string) (engine.Engine, error) {
		e, err := open(dir)
		return &stuckEngine{Engine: e, closed: make(chan struct{})}, err
	}
	st := testStore(t, o)
	r, err := st.Receive(1, nil, 0)
	must(t, err)
	from := sender(t)
	fill(t, from, seedOf(t), 10, 10)
	if err := trySend(r, testSource(t, from, ChunkBytes)); !errors.Is(err, engine.ErrNoSpace) {
		t.Errorf("got %v", err)
	}
	wantFolders(t, fs, "0", "0.current")
	// The sender may try again.
	again, err := st.Receive(1, nil, 0)
	must(t, err)
	if again == r || again.Position() != nil {
		t.Error("the failed receiver came back")
	}
}

// TestConcurrentUse: transfers that overtake each other, a switch when one is
// complete, sweeps: the contents are always those of one whole snapshot.
func TestConcurrentUse(t *testing.T) {
	rng := seedOf(t)
	from := sender(t)
	fill(t, from, rng, 300, 100)
	fs := vfs.NewMem()
	st := testStore(t, storeOptions(fs))
	done := make(chan struct{})
	var wg, sweeper sync.WaitGroup
	sweeper.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				if err := st.Sweep(); err != nil {
					t.Error(err)
				}
				st.Metrics()
			}
		}
	})
	var switched atomic.Int64
	var switching sync.Mutex // the group's goroutine is one
	for i := range uint64(3) {
		wg.Go(func() {
			src := NewSource(from.NewSnapshot())
			src.chunkBytes = 3000
			defer src.Close()
			for n := range uint64(10) {
				r, err := st.Receive(i<<8|n, nil, 0)
				if err == nil {
					err = trySend(r, src)
				}
				if err == nil {
					switching.Lock()
					old := st.Engine()
					if _, err = st.Switch(r); err == nil {
						switched.Add(1)
						err = errors.Join(st.Done(), st.Retire(old), sameContents(st.Engine(), from))
					}
					switching.Unlock()
				}
				if err != nil && !errors.Is(err, ErrDiscarded) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	close(done)
	sweeper.Wait()
	must(t, st.Sweep())
	t.Logf("%d switches", switched.Load())
	if got := folders(t, fs); len(got) > 3 { // a complete one may be left
		t.Errorf("folders %v", got)
	}
}
