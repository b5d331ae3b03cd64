package raftlog

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Log is the durable log of all shards of a node. All methods are safe for
// concurrent use.
type Log struct {
	o   Options
	fs  vfs.FS
	dir vfs.File // to sync names

	openedAt time.Time
	mode     atomic.Int32

	// failure is set once, when the log has failed for good.
	failure atomic.Pointer[error]
	// closed is set by the token's holder.
	closed atomic.Bool

	mu struct {
		sync.Mutex
		shards map[ShardID]*ShardLog
		segs   []*segment // by number; the last is active
		spares []spare
		queue  []*request // what waits for the token
		busy   bool       // somebody holds the token
	}

	// shardList is mu.shards sorted by id, for reading without mu.
	shardList atomic.Pointer[[]*ShardLog]

	// active is the segment that records go to. Invariant: every other segment
	// is sealed and on disk. Stored with the token and the sync token held.
	active atomic.Pointer[segment]

	// Owned by the token's holder, see do.
	next      *segment   // prepared, under a spare's name; may be nil
	nextRoom  int64      // for records behind the head of next
	nextSpare uint64     // number for the name of the next spare file
	freeQueue []*request // memory for mu.queue
	scratch   []byte     // gathers small pieces of a large record

	room     atomic.Int64 // bytes that can be appended without asking the disk for more
	reserved atomic.Int64 // sum of the shards' reservations
	pending  atomic.Int32 // shards with a hard state that is not in the log yet
	cached   atomic.Int64 // bytes in the shards' caches
	appended atomic.Uint64

	// syncing is the sync token: a channel of one slot, full while somebody
	// syncs the active segment or changes which one is active.
	syncing     chan struct{}
	syncStarted atomic.Int64 // unix ns of the running background sync, or 0
	kick        chan struct{}
	idleAt      uint64 // appended at the last tick
	stop        chan struct{}
	background  sync.WaitGroup
	closeOnce   sync.Once
	closeErr    error

	m counters
}

// spare is a file that held a segment and waits to hold another.
type spare struct {
	name  string
	bytes int64
}

// Open replays the log in o.Dir, making the directory and an empty log where
// there is none. What a crash tore off the end, which was never acknowledged as
// synced, is cut off with a warning; other damage is refused with ErrCorrupt,
// an unknown format with ErrVersion. A full disk is engine.ErrNoSpace.
func Open(o Options) (*Log, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	l := &Log{
		o: o, fs: o.FS, openedAt: o.Clock(),
		syncing: make(chan struct{}, 1),
		kick:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
	}
	l.mode.Store(int32(o.Fsync))
	l.mu.shards = make(map[ShardID]*ShardLog)
	l.shardList.Store(new([]*ShardLog))
	if err := l.open(); err != nil {
		l.closeFiles()
		return nil, fmt.Errorf("raftlog: open %s: %w", o.Dir, err)
	}
	if !o.manual {
		l.background.Add(1)
		go l.run()
	}
	return l, nil
}

// Shard returns the log of a shard, an empty one when it is new. It is the
// same for every call.
func (l *Log) Shard(id ShardID) *ShardLog {
	if id == noShard {
		panic(fmt.Sprintf("raftlog: shard id %d is reserved", id))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.mu.shards[id]
	if s == nil {
		s = newShardLog(l, id)
		l.mu.shards[id] = s
		list := append(slices.Clone(*l.shardList.Load()), s)
		slices.SortFunc(list, func(a, b *ShardLog) int { return int(a.id) - int(b.id) })
		l.shardList.Store(&list)
	}
	return s
}

// Shards returns the ids of the shards that the log holds anything of, or that
// Shard was asked for, in ascending order.
func (l *Log) Shards() []ShardID {
	list := *l.shardList.Load()
	ids := make([]ShardID, len(list))
	for i, s := range list {
		ids[i] = s.id
	}
	return ids
}

// SetFsync changes the mode for what is appended from now on.
func (l *Log) SetFsync(m FsyncMode) {
	l.mode.Store(int32(m))
	l.kickSync()
}

func (l *Log) fsync() FsyncMode { return FsyncMode(l.mode.Load()) }

// Pin says what keeps the log from getting shorter.
type Pin struct {
	// Pinned is false when no shard needs more than the active segment.
	Pinned bool
	// Shard needs the oldest segment that any shard needs: flush its engine and
	// Truncate up to UpTo to let the segment go.
	Shard ShardID
	UpTo  Index
	// NeededBytes of records stand in that segment and those behind it.
	NeededBytes int64
	// Bytes of records in the log, those that are only retained included.
	Bytes int64
}

// Pinned tells which shard pins the oldest segment that is needed, so that the node can flush
// the engine of a shard that writes too little to flush by itself.
func (l *Log) Pinned() Pin {
	var p Pin
	oldest := l.active.Load().seq
	for _, s := range *l.shardList.Load() {
		if seq, upTo, ok := s.needed(); ok && seq < oldest {
			p.Pinned, p.Shard, p.UpTo = true, s.id, upTo
			oldest = seq
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, seg := range l.mu.segs {
		n := seg.end.Load() - headerBytes
		p.Bytes += n
		if seg.seq >= oldest {
			p.NeededBytes += n
		}
	}
	return p
}

// Close writes what is pending, syncs and closes. It waits for what is under
// way. A second call returns what the first one did.
func (l *Log) Close() error {
	l.closeOnce.Do(func() {
		close(l.stop)
		l.background.Wait()
		l.closeErr = l.do(&request{fn: func() error {
			err := l.writePending()
			if err == nil {
				err = l.syncActive()
			}
			if err == nil {
				// Not synced: it only helps the next Open to tell damage from a torn end.
				err = l.writeMark()
			}
			l.closed.Store(true)
			return err
		}, wake: make(chan struct{}, 1)})
		l.syncing <- struct{}{}
		l.closeFiles()
		<-l.syncing
	})
	return l.closeErr
}

func (l *Log) closeFiles() {
	l.mu.Lock()
	segs := l.mu.segs
	l.mu.segs = nil
	l.mu.Unlock()
	if l.next != nil {
		segs = append(segs, l.next)
		l.next = nil
	}
	for _, seg := range segs {
		if err := seg.unref(); err != nil {
			l.o.Logger.Warn("raftlog: close", "file", seg.name, "error", err)
		}
	}
	if l.dir != nil {
		_ = l.dir.Close() // read only
	}
}

// failed returns the error of a log that has failed.
func (l *Log) failed() error {
	if p := l.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// fail makes the log refuse all work from now on and tells the owner, once. It
// returns the error that all calls return.
func (l *Log) fail(op string, cause error) error {
	err := fmt.Errorf("%w: %s: %w", ErrFailed, op, cause)
	if l.failure.CompareAndSwap(nil, &err) {
		l.o.Logger.Error("raftlog: failed", "operation", op, "error", cause)
		l.o.OnFatal(err)
	}
	return l.failed()
}
