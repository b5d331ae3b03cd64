package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/engine"
	"dkv/engine/hot"
	"dkv/engine/keyspace"
	"dkv/engine/pebbledb"

	pb "go.etcd.io/raft/v3/raftpb"
)

// firstIndex is the position of a new shard before its first entry. It is not
// zero so that a member that joins with an empty log can tell that it needs a
// raft snapshot.
const firstIndex raftlog.Index = 1

// firstTerm is the term at firstIndex.
const firstTerm raftlog.Term = 1

// Node is one process's part of a cluster: a folder, a log store, shards.
type Node struct {
	o        Options
	id       identity
	lock     io.Closer
	log      *raftlog.Log
	shard    *shard.Shard
	hot      *hot.DB                     // nil: without a table of hot records
	flushed  atomic.Pointer[shard.Shard] // for the engine's flush listener
	opened   time.Time
	lastSave atomic.Int64 // unix seconds
	saving   atomic.Bool

	fatal     chan error
	fatalOnce sync.Once
	closeOnce sync.Once
	closeErr  error
}

// Open opens or creates the node's folder, replays the log and returns when the
// node can serve. Errors: ErrVersion, ErrEngine, ErrForeign, engine.ErrLocked,
// ErrUnsupported, raftlog's and shard's, all wrapped.
func Open(o Options) (*Node, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	n := &Node{o: o, fatal: make(chan error, 1), opened: o.Clock()}
	if err := n.open(); err != nil {
		return nil, errors.Join(err, n.release())
	}
	n.lastSave.Store(o.Clock().Unix())
	return n, nil
}

func (n *Node) open() error {
	if err := n.openFolder(); err != nil {
		return err
	}
	var err error
	n.log, err = raftlog.Open(raftlog.Options{
		FS:           n.o.FS,
		Dir:          n.o.FS.PathJoin(n.o.Dir, "log"),
		Fsync:        n.o.Fsync,
		SegmentBytes: n.o.LogSegmentBytes,
		RetainBytes:  n.o.LogRetainBytes,
		CacheBytes:   n.o.LogCacheBytes,
		Logger:       n.o.Logger,
		Clock:        n.o.Clock,
		OnFatal:      n.stop,
	})
	if err != nil {
		return fmt.Errorf("cluster: open log: %w", err)
	}
	eng, err := n.openEngine()
	if err != nil {
		return err
	}
	if n.id.State == stateCreating {
		if err := n.create(eng); err != nil {
			return errors.Join(err, eng.Close())
		}
	}
	s, err := shard.Open(shard.Options{
		NodeID:      consensus.NodeID(n.id.NodeID),
		Engine:      eng,
		Log:         n.log.Shard(0),
		Clock:       n.o.Clock,
		Logger:      n.o.Logger,
		PinnedBytes: n.pinnedBytes,
		MaxLogBytes: n.o.MaxLogBytes,
		OnFatal:     n.stop,
	})
	if err != nil {
		return errors.Join(fmt.Errorf("cluster: open shard 0: %w", err), eng.Close())
	}
	n.shard = s
	n.flushed.Store(s)
	return nil
}

// openFolder makes or checks the folder and its identity. A folder whose
// creation was cut short by a crash is emptied: nothing in it was ever
// acknowledged.
func (n *Node) openFolder() error {
	fs, dir := n.o.FS, n.o.Dir
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cluster: make folder: %w", err)
	}
	lock, err := fs.Lock(fs.PathJoin(dir, "LOCK"))
	if err != nil {
		return fmt.Errorf("cluster: %s: %w (%w)", dir, engine.ErrLocked, err)
	}
	n.lock = lock
	id, found, err := readIdentity(fs, dir)
	if err != nil {
		return err
	}
	if found {
		if err := id.check(n.o); err != nil {
			return err
		}
	} else if err := n.checkEmpty(); err != nil {
		return err
	}
	if found && id.State == stateReady {
		n.id = id
		return nil
	}
	for _, name := range []string{"log", "shards"} {
		if err := fs.RemoveAll(fs.PathJoin(dir, name)); err != nil {
			return fmt.Errorf("cluster: empty half-made folder: %w", err)
		}
	}
	if n.id, err = newIdentity(n.o); err != nil {
		return err
	}
	if err := writeIdentity(fs, dir, n.id); err != nil {
		return err
	}
	// The folder's own name must outlive a crash too.
	return syncDir(fs, fs.PathDir(dir))
}

// checkEmpty refuses a folder that holds somebody else's files.
func (n *Node) checkEmpty() error {
	names, err := n.o.FS.List(n.o.Dir)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	for _, name := range names {
		if name != "LOCK" && name != identityName+".tmp" && name != "lost+found" {
			return fmt.Errorf("cluster: %s: %w: it holds %q", n.o.Dir, ErrForeign, name)
		}
	}
	return nil
}

func (n *Node) openEngine() (engine.Engine, error) {
	fs := n.o.FS
	parent := fs.PathJoin(n.o.Dir, "shards")
	if err := fs.MkdirAll(parent, 0o755); err != nil {
		return nil, fmt.Errorf("cluster: make folder: %w", err)
	}
	if err := errors.Join(syncDir(fs, n.o.Dir), syncDir(fs, parent)); err != nil {
		return nil, err
	}
	db, err := pebbledb.Open(fs.PathJoin(parent, strconv.Itoa(0)), pebbledb.Options{
		FS:               fs,
		BlockCacheBytes:  n.o.BlockCacheBytes,
		MemtableBytes:    n.o.MemtableBytes,
		Compression:      n.o.Compression,
		ReserveDiskBytes: n.o.ReserveDiskBytes,
		Logger:           n.o.Logger,
		BeforeFlush:      n.log.Sync,
		OnFlush:          n.onFlush,
		OnFatal:          n.stop,
	})
	if err != nil {
		return nil, fmt.Errorf("cluster: open engine: %w", err)
	}
	if n.o.HotCacheBytes < 0 {
		return db, nil
	}
	n.hot = hot.Wrap(db, hot.Options{Bytes: n.o.HotCacheBytes})
	return n.hot, nil
}

// create gives engine and log of a new node their first position. The identity
// turns to ready last.
func (n *Node) create(eng engine.Engine) error {
	if err := shard.Create(eng, firstIndex); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	cs := &pb.ConfState{Voters: []uint64{n.id.NodeID}}
	if err := n.log.Shard(0).Reset(firstIndex, firstTerm, cs); err != nil {
		return fmt.Errorf("cluster: create log: %w", err)
	}
	if err := n.log.Sync(); err != nil {
		return fmt.Errorf("cluster: create log: %w", err)
	}
	n.id.State = stateReady
	return writeIdentity(n.o.FS, n.o.Dir, n.id)
}

// pinnedBytes is how much of the log shard 0 keeps from being cut.
func (n *Node) pinnedBytes() int64 {
	if pin := n.log.Pinned(); pin.Pinned && pin.Shard == 0 {
		return pin.NeededBytes
	}
	return 0
}

// onFlush is called from the engine's background; the shard may not be open yet.
func (n *Node) onFlush() {
	if s := n.flushed.Load(); s != nil {
		s.Flushed()
	}
}

// stop records what ended the node. Whoever runs the node reads it from Fatal.
func (n *Node) stop(err error) {
	n.fatalOnce.Do(func() {
		n.o.Logger.Error("the node cannot go on", "err", err)
		n.fatal <- err
	})
}

// Fatal receives the one error after which the node acknowledges nothing more:
// a failed sync of the log, for one. The process should end.
func (n *Node) Fatal() <-chan error { return n.fatal }

// Submit queues a task of writes on the shard; it blocks while the queue is
// full. t.Wait returns the outcome.
func (n *Node) Submit(t *shard.Task) { n.shard.Submit(t) }

// BeginRead waits for the read barrier and readies tx for reading. A caller
// that asked for a snapshot must tx.Close.
func (n *Node) BeginRead(tx *keyspace.Tx, snapshot bool) error {
	return n.shard.BeginRead(tx, snapshot)
}

// Warms says whether looking a key up leaves its record where the writer finds it
// faster.
func (n *Node) Warms() bool { return n.hot != nil }

// Watch is the position that WATCH remembers: a change of a key after it is a
// change that EXEC must notice.
func (n *Node) Watch() uint64 { return uint64(n.shard.Applied()) }

// Keyspace gives read access to the key counts.
func (n *Node) Keyspace() *keyspace.Keyspace { return n.shard.Keyspace() }

// SetActiveExpire turns the reaper of expired keys on or off.
func (n *Node) SetActiveExpire(on bool) { n.shard.SetActiveExpire(on) }

// SetFsync changes when the log is synced.
func (n *Node) SetFsync(m raftlog.FsyncMode) { n.log.SetFsync(m) }

// Dir is the node's folder.
func (n *Node) Dir() string { return n.o.Dir }

// Diskless says that nothing outlives the process.
func (n *Node) Diskless() bool { return n.o.Diskless }

// ErrSaveInProgress says that another Save is running.
var ErrSaveInProgress = errors.New("cluster: a save is in progress")

// Save makes everything applied so far durable in the engine, so that a restart
// has nothing to replay.
func (n *Node) Save(context.Context) error {
	if !n.saving.CompareAndSwap(false, true) {
		return ErrSaveInProgress
	}
	defer n.saving.Store(false)
	if err := n.shard.Flush(); err != nil {
		return fmt.Errorf("cluster: save: %w", err)
	}
	n.lastSave.Store(n.o.Clock().Unix())
	return nil
}

// LastSave is when the last successful Save ended, or when the node was opened.
func (n *Node) LastSave() time.Time { return time.Unix(n.lastSave.Load(), 0) }

// Compact gives back the space of deleted and overwritten data. It may run for
// minutes.
func (n *Node) Compact(ctx context.Context) error { return n.shard.Compact(ctx) }

// Checkpoint writes a durable copy of the engine to dir, which must not exist.
func (n *Node) Checkpoint(dir string) error { return n.shard.Checkpoint(dir) }

// Metrics are a node's figures.
type Metrics struct {
	ClusterID string
	NodeID    uint64
	Engine    string
	Opened    time.Time
	Saving    bool
	Shards    []shard.Metrics
	Log       raftlog.Metrics
	Hot       hot.Metrics
}

// Metrics returns the node's figures.
func (n *Node) Metrics() Metrics {
	m := Metrics{
		ClusterID: n.id.ClusterID, NodeID: n.id.NodeID, Engine: n.id.Engine,
		Opened: n.opened, Saving: n.saving.Load(),
		Shards: []shard.Metrics{n.shard.Metrics()},
		Log:    n.log.Metrics(),
	}
	if n.hot != nil {
		m.Hot = n.hot.HotMetrics()
	}
	return m
}

// Close finishes queued writes, flushes and releases everything. It can be
// called twice.
func (n *Node) Close() error {
	n.closeOnce.Do(func() { n.closeErr = n.release() })
	return n.closeErr
}

func (n *Node) release() error {
	var errs []error
	if n.shard != nil {
		errs = append(errs, n.shard.Close())
	}
	if n.log != nil {
		errs = append(errs, n.log.Close())
	}
	if n.lock != nil {
		errs = append(errs, n.lock.Close())
	}
	return errors.Join(errs...)
}
