package shard

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"dkv/cluster/raftlog"
	"dkv/engine"
	"dkv/engine/keyspace"
	"dkv/engine/pebbledb"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/raft/v3/raftpb"
)

// troubled is an engine whose Writable and Flush return what a test sets.
type troubled struct {
	engine.Engine
	trouble atomic.Pointer[error]
}

func (e *troubled) Writable() error {
	if err := e.trouble.Load(); err != nil {
		return *err
	}
	return e.Engine.Writable()
}

func (e *troubled) Flush() error {
	if err := e.trouble.Load(); err != nil {
		return *err
	}
	return e.Engine.Flush()
}

func openShard(t *testing.T, more ...func(*Options)) (*Shard, *troubled) {
	t.Helper()
	s, e, log := newShard(t, more...)
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), log.Close()); err != nil {
			t.Error(err)
		}
	})
	return s, e
}

// newShard is openShard for a test that closes the shard, and then its log.
func newShard(t *testing.T, more ...func(*Options)) (*Shard, *troubled, *raftlog.Log) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	db, err := pebbledb.Open("db", pebbledb.Options{InMemory: true, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	e := &troubled{Engine: db}
	if err := Create(e, 1, &pb.ConfState{Voters: []uint64{1}}); err != nil {
		t.Fatal(err)
	}
	log, err := raftlog.Open(raftlog.Options{FS: vfs.NewMem(), Dir: "log", SegmentBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Shard(0).Reset(1, 1, &pb.ConfState{Voters: []uint64{1}}); err != nil {
		t.Fatal(err)
	}
	o := Options{NodeID: 1, Engine: e, Log: log.Shard(0), Logger: quiet}
	for _, f := range more {
		f(&o)
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s, e, log
}

func run(s *Shard, eval func(tx *keyspace.Tx)) error {
	task := Task{Eval: eval}
	s.Submit(&task)
	return task.Wait()
}

func put(t *testing.T, key string, value []byte) func(tx *keyspace.Tx) {
	return func(tx *keyspace.Tx) {
		e, err := tx.Find(0, []byte(key))
		if err != nil {
			t.Error(err)
			return
		}
		tx.SetString(&e, value, 0, keyspace.FormAuto)
	}
}

func exists(t *testing.T, key string, found *bool) func(tx *keyspace.Tx) {
	return func(tx *keyspace.Tx) {
		e, err := tx.Read(0, []byte(key))
		if err != nil {
			t.Error(err)
		}
		*found = e.Exists()
	}
}

// TestTroubleRefusesWritesOnly: while the engine cannot write, tasks that change
// something are refused, leave nothing behind, and say why; others go on.
func TestTroubleRefusesWritesOnly(t *testing.T) {
	s, e := openShard(t)
	if err := run(s, put(t, "before", nil)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ trouble, want error }{
		{fmt.Errorf("flush: %w", engine.ErrNoSpace), ErrNoSpace},
		{errors.New("flush: input/output error"), ErrNotWritable},
	} {
		e.trouble.Store(&c.trouble)
		if err := run(s, put(t, "during", nil)); !errors.Is(err, c.want) {
			t.Errorf("%v: write ended with %v, want %v", c.trouble, err, c.want)
		}
		var before, during bool
		if err := run(s, exists(t, "before", &before)); err != nil || !before {
			t.Errorf("%v: read ended with %v, found %v", c.trouble, err, before)
		}
		if err := run(s, exists(t, "during", &during)); err != nil || during {
			t.Errorf("%v: the refused write is there: %v, %v", c.trouble, err, during)
		}
		e.trouble.Store(nil)
		if err := run(s, put(t, "after", nil)); err != nil {
			t.Errorf("after %v: %v", c.trouble, err)
		}
	}
	if got := s.Keyspace().Counts()[0].Keys; got != 2 {
		t.Errorf("%d keys, want 2", got)
	}
}

// changeCount counts what keyspace.EachChange tells.
type changeCount struct{ keys, owned int }

func (c *changeCount) Key([]byte)        { c.keys++ }
func (c *changeCount) Owned(_, _ []byte) { c.owned++ }
func (c *changeCount) All()              {}
func (c *changeCount) String() string {
	return fmt.Sprintf("%d changes, %d of a writer", c.keys, c.owned)
}

// TestChangesOfSeveral: what a batch says of a key that a writer and somebody else have
// changed tells that it was not the writer alone, whose change is not there twice; where
// nobody asks, the hidden record is left out.
func TestChangesOfSeveral(t *testing.T) {
	var batches []changeCount
	s, _ := openShard(t, func(o *Options) {
		o.OnApplied = func(batch []byte) {
			var c changeCount
			if err := keyspace.EachChange(batch, &c); err != nil {
				t.Error(err)
			}
			batches = append(batches, c)
		}
	})
	set, me := put(t, "k", []byte("v")), []byte("me")
	for _, c := range []struct {
		what    string
		writers [2][]byte
		want    changeCount
	}{
		{"mine, then another's", [2][]byte{me, nil}, changeCount{2, 1}},
		{"another's, then mine", [2][]byte{nil, me}, changeCount{2, 1}},
		{"mine", [2][]byte{me, me}, changeCount{2, 2}},
		{"others'", [2][]byte{}, changeCount{1, 0}},
	} {
		batches = nil
		err := run(s, func(tx *keyspace.Tx) {
			for _, w := range c.writers {
				tx.SetWriter(w)
				set(tx)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(batches) != 1 || batches[0] != c.want {
			t.Errorf("%s: %v, want %v", c.what, batches, &c.want)
		}
	}
}

// TestCloseOnAFullDisk: a disk with no room for a flush is no reason for an orderly
// stop to fail, since the log has everything; another failure is.
func TestCloseOnAFullDisk(t *testing.T) {
	broken := errors.New("input/output error")
	for _, c := range []struct{ trouble, want error }{
		{fmt.Errorf("flush: %w", engine.ErrNoSpace), nil},
		{broken, broken},
	} {
		t.Run(c.trouble.Error(), func(t *testing.T) {
			s, e, log := newShard(t)
			if err := run(s, put(t, "k", nil)); err != nil {
				t.Fatal(err)
			}
			e.trouble.Store(&c.trouble)
			if err := s.Close(); !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("Close returned %v, want %v", err, c.want)
			}
			if err := log.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLargeBatchLeavesTheOverlay: a batch too large to copy takes the overlay's
// memory along; what was written before and after it is whole.
func TestLargeBatchLeavesTheOverlay(t *testing.T) {
	s, _ := openShard(t)
	large := make([]byte, 3*maxBatchCopy)
	for i := range large {
		large[i] = byte(i >> 8)
	}
	for i := range 3 {
		if err := run(s, put(t, fmt.Sprint("small", i), []byte("v"))); err != nil {
			t.Fatal(err)
		}
		if err := run(s, put(t, fmt.Sprint("large", i), large)); err != nil {
			t.Fatal(err)
		}
	}
	var tx keyspace.Tx
	for i := range 3 {
		for key, want := range map[string]string{"small": "v", "large": string(large)} {
			if err := s.BeginRead(t.Context(), &tx, ReadOptions{Snapshot: true}); err != nil {
				t.Fatal(err)
			}
			e, err := tx.Read(0, fmt.Append(nil, key, i))
			if err != nil || string(e.Body) != want {
				t.Errorf("%s%d: %d bytes, %v", key, i, len(e.Body), err)
			}
			if err := tx.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestTooMuchForOneEntry: a task that writes too much is undone and refused, and
// the tasks beside it are not.
func TestTooMuchForOneEntry(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: it needs gigabytes of memory")
	}
	s, _ := openShard(t)
	waiting := newPopper(t, "q").submit(t, s)
	entered, release := make(chan struct{}), make(chan struct{})
	blocker := Task{Eval: func(tx *keyspace.Tx) {
		close(entered)
		<-release
	}}
	s.Submit(&blocker)
	<-entered
	value := make([]byte, 300<<20)
	list := []Task{
		{Eval: put(t, "before", nil)},
		{Eval: func(tx *keyspace.Tx) {
			push(t, "q", "undone")(tx)
			s.settle() // as between two commands: who waits is served, and waits again
			for i := range 5 {
				put(t, fmt.Sprint("large", i), value)(tx)
			}
		}},
		{Eval: put(t, "after", nil)},
	}
	for i := range list {
		s.Submit(&list[i])
	}
	close(release)
	if err := blocker.Wait(); err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{nil, ErrTooBig, nil} {
		if err := list[i].Wait(); !errors.Is(err, want) {
			t.Errorf("task %d ended with %v, want %v", i, err, want)
		}
	}
	if got := s.Keyspace().Counts()[0].Keys; got != 2 {
		t.Errorf("%d keys, want 2", got)
	}
	if n := s.Parked(); n != 1 || waiting.tries.Load() != 2 {
		t.Errorf("%d are parked, after %d tries", n, waiting.tries.Load())
	}
	if err := run(s, push(t, "q", "1")); err != nil {
		t.Fatal(err)
	}
	waiting.want(t, "q:1", nil)
}

func TestClosedShardRefuses(t *testing.T) {
	s, _ := openShard(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := run(s, put(t, "a", nil)); !errors.Is(err, ErrClosed) {
		t.Fatalf("got %v, want ErrClosed", err)
	}
}
