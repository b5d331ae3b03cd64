package raftlog

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// gateFS lets syncs wait.
type gateFS struct {
	vfs.FS
	gate *gate
}

type gate struct {
	mu     sync.Mutex
	closed chan struct{} // nil: open
	syncs  atomic.Int64
}

func (g *gate) shut() { g.mu.Lock(); g.closed = make(chan struct{}); g.mu.Unlock() }
func (g *gate) open() { g.mu.Lock(); close(g.closed); g.closed = nil; g.mu.Unlock() }

type gateFile struct {
	vfs.File
	gate *gate
}

func (fs gateFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := fs.FS.OpenReadWrite(name, c, o...)
	return gateFile{f, fs.gate}, err
}

func (f gateFile) SyncData() error {
	f.gate.mu.Lock()
	c := f.gate.closed
	f.gate.mu.Unlock()
	f.gate.syncs.Add(1)
	if c != nil {
		<-c
	}
	return f.File.SyncData()
}

func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		o := testOptions(gateFS{vfs.NewMem(), &g}, FsyncAlways)
		o.SegmentBytes = 64 << 10
		l := mustOpen(t, o)
		for id := range ShardID(10) {
			l.Shard(id)
		}
		before := g.syncs.Load()
		g.shut()
		var wg sync.WaitGroup
		var done atomic.Int64
		for id := range ShardID(10) {
			wg.Go(func() {
				if err := l.Shard(id).Append(nil, entries(1, 1, 1, 100), true); err != nil {
					t.Error(err)
				}
				done.Add(1)
			})
			synctest.Wait()
		}
		if done.Load() != 0 {
			t.Fatal("an append was acknowledged before the sync")
		}
		g.open()
		wg.Wait()
		if n := g.syncs.Load() - before; n != 2 {
			t.Fatalf("%d syncs for ten appends of which nine waited for the first", n)
		}
		must(t, l.Close())
	})
}

func TestEverySec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		o := testOptions(gateFS{vfs.NewMem(), &g}, FsyncEverySec)
		o.SegmentBytes, o.manual = 64<<10, false
		l := mustOpen(t, o)
		s := l.Shard(1)
		before := g.syncs.Load()
		time.Sleep(10 * time.Second) // of the bubble's clock: no time passes
		if n := g.syncs.Load() - before; n != 0 {
			t.Fatalf("%d syncs of nothing", n)
		}
		must(t, s.Append(nil, entries(1, 1, 1, 100), true))
		if l.Metrics().UnsyncedBytes == 0 {
			t.Fatal("synced at once")
		}
		time.Sleep(tickInterval)
		synctest.Wait()
		if n := g.syncs.Load() - before; n != 1 || l.Metrics().UnsyncedBytes != 0 {
			t.Fatalf("%d syncs, %d bytes unsynced", n, l.Metrics().UnsyncedBytes)
		}

		// A sync that hangs: two seconds of writes go on, then they wait.
		g.shut()
		must(t, s.Append(nil, entries(2, 1, 1, 100), true))
		time.Sleep(tickInterval + time.Millisecond)
		must(t, s.Append(nil, entries(3, 1, 1, 100), true))
		time.Sleep(slowSync - 2*time.Millisecond)
		must(t, s.Append(nil, entries(4, 1, 1, 100), true))
		time.Sleep(time.Millisecond)
		if d := l.Metrics().SyncRunning; d < slowSync {
			t.Fatalf("the sync runs for %v", d)
		}
		var done atomic.Bool
		go func() {
			if err := s.Append(nil, entries(5, 1, 1, 100), true); err != nil {
				t.Error(err)
			}
			done.Store(true)
		}()
		synctest.Wait()
		if done.Load() {
			t.Fatal("a write did not wait for the slow sync")
		}
		wantBounds(t, s, 1, 4)
		g.open()
		synctest.Wait()
		if m := l.Metrics(); !done.Load() || m.SlowSyncs != 1 || m.SyncMax < slowSync {
			t.Fatalf("%+v", m)
		}

		// An idle log says by a mark that all of it is synced.
		time.Sleep(5 * tickInterval)
		synctest.Wait()
		seg := l.active.Load()
		if seg.claimed < seg.solid.Load() || l.Metrics().UnsyncedBytes != 0 {
			t.Fatalf("claimed %d of %d", seg.claimed, seg.solid.Load())
		}
		l.SetFsync(FsyncNo)
		synctest.Wait()
		n := g.syncs.Load()
		must(t, s.Append(nil, entries(6, 1, 1, 100), true))
		time.Sleep(10 * time.Second)
		if g.syncs.Load() != n {
			t.Fatal("synced in mode no")
		}
		must(t, s.Append(nil, entries(7, 1, 1, 20_000), true)) // a quarter of a segment
		synctest.Wait()
		if g.syncs.Load() != n+1 {
			t.Fatal("not synced ahead of the segment's end")
		}
		must(t, l.Close())
	})
}

// Everything at once, for the race detector.
func TestConcurrent(t *testing.T) {
	for _, mode := range []FsyncMode{FsyncAlways, FsyncEverySec} {
		o := testOptions(vfs.NewMem(), mode)
		o.CacheBytes, o.manual, o.SegmentBytes = 4000, false, 16<<10
		l := mustOpen(t, o)
		var writers, readers sync.WaitGroup
		stop := make(chan struct{})
		const n = 400
		for id := range ShardID(4) {
			writers.Go(func() {
				s := l.Shard(id)
				for i := Index(1); i <= n; i++ {
					if s.Reserve(200) != nil || s.Append(hard(1, 1, uint64(i-1)), entries(i, 1, 1, 200), i%2 == 0) != nil {
						t.Error("append failed")
						return
					}
					if i%50 == 0 && (s.Truncate(i-20) != nil || l.Sync() != nil) {
						t.Error("truncate or sync failed")
					}
				}
			})
			readers.Go(func() {
				s := l.Shard(id)
				for from := Index(1); ; {
					select {
					case <-stop:
						return
					default:
					}
					es, err := s.Tail(from, 1000)
					if err != nil { // compacted: behind the truncation
						first, _ := s.FirstIndex()
						from = Index(first)
						continue
					}
					for _, e := range es {
						if !sameEntry(e, entry(from, 1, payload(from, 1, 200))) {
							t.Errorf("read %v for entry %d", e, from)
						}
						from++
					}
					l.Metrics()
					l.Pinned()
				}
			})
		}
		writers.Wait()
		close(stop)
		readers.Wait()
		l = reopen(t, l)
		for id := range ShardID(4) {
			if last, _ := l.Shard(id).LastIndex(); last != n {
				t.Fatalf("last index %d", last)
			}
			all(t, l.Shard(id))
		}
		must(t, l.Close())
	}
}
