package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/engine"
	"dkv/engine/keyspace"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func openNode(t *testing.T, o Options) *Node {
	t.Helper()
	n, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return n
}

func set(n *Node, key, value string) error {
	t := shard.Task{Eval: func(tx *keyspace.Tx) { putString(tx, key, value) }}
	n.Submit(&t)
	return t.Wait()
}

func TestDataOutlivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	n, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	id := n.Metrics().ClusterID
	if err := set(n, "hello", "world"); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatalf("second close: %v", err)
	}
	again := openNode(t, Options{Dir: dir})
	if v, found := getString(t, again, "hello"); !found || v != "world" {
		t.Fatalf("hello is %q, %v", v, found)
	}
	if again.Metrics().ClusterID != id {
		t.Fatal("the node forgot who it was")
	}
}

func TestFolderErrors(t *testing.T) {
	made := t.TempDir()
	n, err := Open(Options{Dir: made})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: made}); !errors.Is(err, engine.ErrLocked) {
		t.Errorf("second open of a folder: %v, want ErrLocked", err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: made, Engine: "leveldb"}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("unknown engine: %v, want ErrUnsupported", err)
	}
	identityFile := filepath.Join(made, identityName)
	text, err := os.ReadFile(identityFile)
	if err != nil {
		t.Fatal(err)
	}
	rewrite := func(old, new string) {
		t.Helper()
		changed := strings.Replace(string(text), old, new, 1)
		if changed == string(text) {
			t.Fatalf("%q is not in %s", old, text)
		}
		if err := os.WriteFile(identityFile, []byte(changed), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	rewrite(`"format": 4`, `"format": 9`)
	if _, err := Open(Options{Dir: made}); !errors.Is(err, ErrVersion) {
		t.Errorf("other version: %v, want ErrVersion", err)
	}
	rewrite(`"pebble"`, `"badger"`)
	if _, err := Open(Options{Dir: made}); !errors.Is(err, ErrEngine) {
		t.Errorf("other engine: %v, want ErrEngine", err)
	}
	if err := os.WriteFile(identityFile, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: made}); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("damaged identity: %v", err)
	}

	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.txt"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: foreign}); !errors.Is(err, ErrForeign) {
		t.Errorf("somebody else's folder: %v, want ErrForeign", err)
	}
	if _, err := os.Stat(filepath.Join(foreign, "thesis.txt")); err != nil {
		t.Errorf("somebody else's file: %v", err)
	}
	if _, err := Open(Options{Dir: filepath.Join(foreign, "thesis.txt")}); err == nil {
		t.Error("a file was opened as a folder")
	}
}

// TestLogAndEngineOfDifferentFolders: a log that does not reach back to the
// engine's position would leave a hole in history.
func TestLogAndEngineOfDifferentFolders(t *testing.T) {
	fs := vfs.NewMem()
	for _, dir := range []string{"a", "b"} {
		n, err := Open(Options{Dir: dir, FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		if dir == "a" {
			for i := range 10 {
				if err := set(n, fmt.Sprint(i), "x"); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := fs.RemoveAll("b/shards"); err != nil {
		t.Fatal(err)
	}
	if err := fs.Rename("a/shards", "b/shards"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: "b", FS: fs}); !errors.Is(err, shard.ErrGap) {
		t.Fatalf("an engine ahead of its log: %v, want ErrGap", err)
	}
}

func TestDisklessLeavesNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	n := openNode(t, Options{Diskless: true})
	if err := set(n, "a", "b"); err != nil {
		t.Fatal(err)
	}
	if v, _ := getString(t, n, "a"); v != "b" {
		t.Fatalf("a is %q", v)
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 0 {
		t.Fatalf("a diskless node wrote %v", entries)
	}
}

// TestTasksShareABatch: tasks that come while a batch is in flight are one batch.
func TestTasksShareABatch(t *testing.T) {
	n := openNode(t, Options{Dir: t.TempDir()})
	const tasks = 200
	entered, release := make(chan struct{}), make(chan struct{})
	var list [tasks]shard.Task
	list[0].Eval = func(tx *keyspace.Tx) {
		close(entered)
		<-release
		putString(tx, "k0", "v")
	}
	n.Submit(&list[0])
	<-entered
	before := n.Metrics().Shards[0].Batches
	for i := 1; i < tasks; i++ {
		list[i].Eval = func(tx *keyspace.Tx) { putString(tx, fmt.Sprint("k", i), "v") }
		n.Submit(&list[i])
	}
	close(release)
	for i := range list {
		if err := list[i].Wait(); err != nil {
			t.Fatal(err)
		}
	}
	m := n.Metrics().Shards[0]
	if got := m.Batches - before; got != 1 {
		t.Errorf("%d tasks took %d batches, want 1", tasks, got)
	}
	if got := n.Keyspace().Counts()[0].Keys; got != tasks {
		t.Errorf("%d keys, want %d", got, tasks)
	}
}

// TestTaskWithoutWritesNeedsNoEntry: and sees what tasks before it wrote.
func TestTaskWithoutWritesNeedsNoEntry(t *testing.T) {
	n := openNode(t, Options{Dir: t.TempDir()})
	if err := set(n, "a", "1"); err != nil {
		t.Fatal(err)
	}
	before := n.Watch()
	var seen string
	task := shard.Task{Eval: func(tx *keyspace.Tx) {
		e, err := tx.Read(0, []byte("a"))
		if err != nil {
			t.Error(err)
		}
		seen = string(e.Body)
	}}
	n.Submit(&task)
	if err := task.Wait(); err != nil {
		t.Fatal(err)
	}
	if seen != "1" || n.Watch() != before {
		t.Fatalf("saw %q, position %d to %d", seen, before, n.Watch())
	}
}

func TestWatchNoticesEveryChange(t *testing.T) {
	n := openNode(t, Options{Dir: t.TempDir()})
	changed := func(key string, since uint64) (got bool) {
		t.Helper()
		task := shard.Task{Eval: func(tx *keyspace.Tx) { got = tx.Changed(0, []byte(key), since) }}
		n.Submit(&task)
		if err := task.Wait(); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if err := set(n, "a", "1"); err != nil {
		t.Fatal(err)
	}
	since := n.Watch()
	if changed("a", since) {
		t.Fatal("a has not changed since")
	}
	if err := set(n, "a", "1"); err != nil {
		t.Fatal(err)
	}
	if !changed("a", since) {
		t.Fatal("a was set again")
	}
}

// TestWatchForgetsWhatCameToNothing: a flush of nothing changes nothing, so a
// later WATCH must not be aborted by it.
func TestWatchForgetsWhatCameToNothing(t *testing.T) {
	n := openNode(t, Options{Dir: t.TempDir()})
	run := func(eval func(tx *keyspace.Tx)) {
		t.Helper()
		task := shard.Task{Eval: eval}
		n.Submit(&task)
		if err := task.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	run(func(tx *keyspace.Tx) {
		if _, err := tx.FlushAll(); err != nil {
			t.Error(err)
		}
	})
	run(func(tx *keyspace.Tx) {
		mark := tx.Mark()
		putString(tx, "a", "1")
		tx.Rollback(mark)
	})
	since := n.Watch()
	run(func(tx *keyspace.Tx) {
		if tx.Changed(0, []byte("a"), since) {
			t.Error("a counts as changed, nothing was")
		}
	})
	if err := set(n, "a", "2"); err != nil {
		t.Fatal(err)
	}
	run(func(tx *keyspace.Tx) {
		if !tx.Changed(0, []byte("a"), since) {
			t.Error("a real change was missed")
		}
	})
}

// TestReaper: expired keys go away by themselves, and only when it is on.
func TestReaper(t *testing.T) {
	var mu sync.Mutex
	now := time.Unix(1_700_000_000, 0)
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	n := openNode(t, Options{Dir: t.TempDir(), Clock: clock})
	n.SetActiveExpire(false)
	const keys = 2000
	expireAt := clock().Add(time.Minute).UnixMilli()
	task := shard.Task{Eval: func(tx *keyspace.Tx) {
		for i := range keys {
			e, err := tx.Find(0, fmt.Append(nil, "k", i))
			if err != nil {
				t.Error(err)
			}
			tx.SetString(&e, []byte("v"), expireAt, keyspace.FormAuto)
		}
	}}
	n.Submit(&task)
	if err := task.Wait(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	now = now.Add(2 * time.Minute)
	mu.Unlock()
	if _, found := getString(t, n, "k1"); found {
		t.Fatal("an expired key is visible")
	}
	if got := n.Keyspace().Counts()[0].Keys; got != keys {
		t.Fatalf("%d keys, want %d: the reaper is off", got, keys)
	}
	n.SetActiveExpire(true)
	waitFor(t, func() bool { return n.Metrics().Shards[0].Expired == keys })
	if got := n.Keyspace().Counts()[0]; got.Keys != 0 || got.Expires != 0 {
		t.Fatalf("%+v is left", got)
	}
}

// TestLogStaysBounded: a few keys overwritten for ever fill the log, not the
// memtable; the engine is flushed so that the log can be cut.
func TestLogStaysBounded(t *testing.T) {
	n := openNode(t, Options{Dir: "data", FS: vfs.NewMem(), Fsync: raftlog.FsyncNo,
		LogSegmentBytes: 1 << 20, MaxLogBytes: 2 << 20, LogRetainBytes: -1, MemtableBytes: 512 << 20})
	value := strings.Repeat("x", 64<<10)
	for range 64 {
		if err := set(n, "k", value); err != nil {
			t.Fatal(err)
		}
	}
	first := func() uint64 {
		i, err := n.log.Shard(0).FirstIndex()
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	waitFor(t, func() bool { return first() > 2 })
}

func TestCloseFinishesWhatWasQueued(t *testing.T) {
	dir := t.TempDir()
	n, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	const clients = 20
	var acked [clients]int
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for v := 1; ; v++ {
				err := set(n, fmt.Sprint("c", i), fmt.Sprint(v))
				if errors.Is(err, shard.ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				acked[i] = v
			}
		})
	}
	waitFor(t, func() bool { return n.Watch() > 20 })
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	again := openNode(t, Options{Dir: dir})
	for i, want := range acked {
		got, _ := getString(t, again, fmt.Sprint("c", i))
		if want > 0 && got != fmt.Sprint(want) {
			t.Errorf("client %d: %s, acknowledged %d, nothing in doubt", i, got, want)
		}
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to pass in 30 s")
		}
		time.Sleep(time.Millisecond)
	}
}
