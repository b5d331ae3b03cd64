package shard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
	"dkv/engine"
	"dkv/engine/keyspace"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Bounds of the pipeline. A batch is closed when either is reached; a single
// task may be larger, up to maxEntryBytes.
const (
	queueTasks    = 4096
	maxBatchTasks = 4096
	maxBatchBytes = 4 << 20
	maxEntryBytes = 1 << 30
	maxBatchCopy  = 1 << 20
)

// ErrGap says that the log starts after what the engine holds.
var ErrGap = errors.New("shard: the log does not reach back to the engine's position")

// Options configures a shard. The shard takes over Engine and closes it.
type Options struct {
	NodeID consensus.NodeID
	Engine engine.Engine
	Log    *raftlog.ShardLog
	// Transport reaches the other members; nil: there are none.
	Transport consensus.Transport
	// Worker drives the shard's group, with those of other shards; nil: one of its own.
	Worker *consensus.Worker
	// Store is where Engine comes from, for raft snapshots; nil: none are sent or
	// received.
	Store Store
	// TickInterval, ElectionTicks, Lease and Seed: see consensus.Options.
	TickInterval  time.Duration
	ElectionTicks int
	Lease         bool
	Seed          uint64
	// OnRecord is told of each record that a Task's EvalRaw put, on every member,
	// after it was applied; OnRestore that a raft snapshot has replaced all
	// records. Both are called where entries are applied and must not block.
	OnRecord  func(key, value []byte)
	OnRestore func()
	// Notifier says which events of keys are noted; nil: none. OnNotes is told of
	// those of each batch, on every member and on replicas, after it was applied, in
	// the form of keyspace.EachNote. It is called where entries are applied, must not
	// block and keeps nothing.
	Notifier *keyspace.Notifier
	OnNotes  func(notes []byte)
	// OnApplied is told of each batch when readers see it, and before the tasks are
	// told whose it is; OnReplaced that everything may be another now. Both on every
	// member and on replicas, where entries are applied: they must not block, and
	// keep nothing.
	OnApplied  func(batch []byte)
	OnReplaced func()
	Clock      func() time.Time
	Logger     *slog.Logger
	// PinnedBytes returns the size of the log when it is this shard that keeps
	// its oldest part from being cut, else zero.
	PinnedBytes func() int64
	// MaxLogBytes is the size of the log at which the engine is flushed so that
	// the log can be cut; default 512 MiB.
	MaxLogBytes int64
	// ReapInterval is the pause between two looks for expired keys; default
	// 100 ms.
	ReapInterval time.Duration
	// OnFatal is called once when the shard has to stop.
	OnFatal func(error)
	// StartTimeout bounds the wait for leadership of a single voter; default
	// one hour, since replaying a long log counts. Open does not wait where there
	// are several.
	StartTimeout time.Duration
	// Tracker, if set, is told of uses of keys, see keyspace.Tracker.
	Tracker *keyspace.Tracker
	// Gate, if set, is asked before each batch of clients: nil, or a channel that is
	// closed once there is room for more. A batch does not wait for ever.
	Gate func() <-chan struct{}
	// Following: see Shard.Follow.
	Following bool
}

func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MaxLogBytes == 0 {
		o.MaxLogBytes = 512 << 20
	}
	if o.ReapInterval == 0 {
		o.ReapInterval = 100 * time.Millisecond
	}
	if o.PinnedBytes == nil {
		o.PinnedBytes = func() int64 { return 0 }
	}
	if o.OnFatal == nil {
		o.OnFatal = func(error) {}
	}
	if o.OnRecord == nil {
		o.OnRecord = func([]byte, []byte) {}
	}
	if o.OnNotes == nil {
		o.OnNotes = func([]byte) {}
	}
	if o.OnApplied == nil {
		o.OnApplied = func([]byte) {}
	}
	if o.OnReplaced == nil {
		o.OnReplaced = func() {}
	}
	if o.OnRestore == nil {
		o.OnRestore = func() {}
	}
	if o.StartTimeout == 0 {
		o.StartTimeout = time.Hour
	}
	return o
}

// Shard is one ordered log applied to one engine.
type Shard struct {
	o     Options
	group *consensus.Group
	state atomic.Pointer[state]

	queue   chan *Task
	room    chan *Task    // evictions, which go first
	applied atomic.Uint64 // what readers see
	leads   atomic.Uint64 // the term in which this node leads; zero: it does not
	lead    chan struct{} // kicked when leads changes
	flushed chan struct{} // kicked when the engine has become durable up to a new point
	reapOff atomic.Bool

	watch     atomic.Pointer[chan struct{}] // see Changed; nil: nobody waits
	following atomic.Bool                   // see Follow
	source    atomic.Pointer[SourcePosition]

	refusedForSpace atomic.Bool // see RefusedForSpace
	// compacting says that upkeep is compacting after expiry.
	compacting atomic.Bool

	ctx        context.Context // ends with cancel, when closing is closed
	cancel     context.CancelFunc
	closing    chan struct{}
	closeOnce  sync.Once
	closeErr   error
	submitters sync.RWMutex // held shared while a task enters the queue
	closed     bool         // guarded by submitters
	writerDone chan struct{}
	upkeepDone chan struct{}
	metrics    counters

	w   writer // belongs to the writer's goroutine
	lot lot    // of tasks that wait for keys

	// These belong to the group's goroutine.
	conf    *pb.ConfState // the members as of applied
	batch   engine.Batch  // reused
	foreign keyspace.Foreign
	records []ownRecord
	notes   [][]byte // of the entry being applied

	retiring sync.WaitGroup // of replaced engines

	marks  marks
	marked atomic.Int32 // how many wait, see Checksum

	pins struct {
		sync.Mutex
		waiting []pin
		kept    map[*Hold]struct{}
	}
}

// Open starts a shard. A shard with one voter is open when the log has been
// replayed onto the engine and it can serve; where there are several, it replays
// and finds its leader in the background.
func Open(o Options) (*Shard, error) {
	o = o.withDefaults()
	s := &Shard{
		o:          o,
		queue:      make(chan *Task, queueTasks),
		room:       make(chan *Task, 1),
		lead:       make(chan struct{}, 1),
		flushed:    make(chan struct{}, 1),
		closing:    make(chan struct{}),
		writerDone: make(chan struct{}),
		upkeepDone: make(chan struct{}),
	}
	s.following.Store(o.Following)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	position, err := s.load()
	if err != nil {
		return nil, err
	}
	s.applied.Store(uint64(position))
	o.Log.SetSnapshot(s.raftSnapshot)
	// Before the group's goroutine has the membership.
	voters := s.conf.GetVoters()
	alone := len(voters) == 1 && voters[0] == uint64(o.NodeID)
	s.group, err = consensus.Start(consensus.Options{
		ID:            o.NodeID,
		Log:           o.Log,
		StateMachine:  (*stateMachine)(s),
		Transport:     o.Transport,
		Worker:        o.Worker,
		Applied:       position,
		ConfState:     s.conf,
		TickInterval:  o.TickInterval,
		ElectionTicks: o.ElectionTicks,
		Lease:         o.Lease,
		Seed:          o.Seed,
		Admit:         s.admit,
		MoreSoon:      func() bool { return len(s.queue) > 0 },
		Logger:        o.Logger,
		OnFatal:       s.fatal,
	})
	if err != nil {
		return nil, err
	}
	if alone {
		if err := s.waitLeading(); err != nil {
			s.group.Stop()
			return nil, err
		}
	}
	s.w.init(s.settle)
	go s.runWriter()
	go s.runUpkeep()
	return s, nil
}

// load readies the state that the folder holds and returns its position.
func (s *Shard) load() (raftlog.Index, error) {
	eng := s.o.Engine
	if s.o.Store != nil {
		if snap, pending := s.o.Store.Pending(); pending {
			if err := s.finishSwitch(eng, snap); err != nil {
				return 0, err
			}
		}
	}
	position, err := s.enginePosition(eng)
	if err != nil {
		return 0, err
	}
	if s.conf, err = readConf(eng); err != nil {
		return 0, err
	}
	if s.conf == nil {
		// A folder from before the engine held it.
		if _, s.conf, err = s.o.Log.InitialState(); err != nil {
			return 0, fmt.Errorf("shard: members: %w", err)
		}
	}
	source, err := readSource(eng)
	if err != nil {
		return 0, err
	}
	s.source.Store(source)
	st, err := s.newState(eng)
	if err != nil {
		return 0, err
	}
	s.state.Store(st)
	return position, nil
}

func (s *Shard) newState(eng engine.Engine) (*state, error) {
	return newState(eng, s.o.Notifier, s.o.Tracker, func() {
		if s.o.Store != nil {
			// Closing it and removing its files takes time, and the last to let go
			// may be the group's goroutine.
			s.retiring.Go(func() { s.o.Store.Retire(eng) })
		}
	})
}

// enginePosition reads the applied index and checks that the log goes on from
// there.
func (s *Shard) enginePosition(eng engine.Engine) (raftlog.Index, error) {
	position, err := readPosition(eng)
	if err != nil {
		return 0, err
	}
	first, err := s.o.Log.FirstIndex()
	if err != nil {
		return 0, fmt.Errorf("shard: first index: %w", err)
	}
	last, err := s.o.Log.LastIndex()
	if err != nil {
		return 0, fmt.Errorf("shard: last index: %w", err)
	}
	if uint64(position)+1 < first || uint64(position) > last {
		return 0, fmt.Errorf("%w: engine at %d, log from %d to %d", ErrGap, position, first, last)
	}
	return position, nil
}

// admit says whether entries that a leader sent can be stored now.
func (s *Shard) admit(bytes int64) error {
	if err := s.state.Load().eng.Writable(); err != nil {
		return err
	}
	return s.o.Log.Reserve(bytes)
}

// waitLeading waits until this node leads and the log has been replayed. The engine knows
// it as the only voter; when the log adds others it must not wait for them: they cannot
// reach it before it is open.
func (s *Shard) waitLeading() error {
	deadline := time.NewTimer(s.o.StartTimeout)
	defer deadline.Stop()
	for {
		changed := s.group.LeaderChanged()
		st := s.group.Status()
		// Both: who asks the group's status is not to take a node that serves for a follower.
		if s.leads.Load() != 0 && st.Leading {
			return nil
		}
		if len(st.Voters) != 1 || st.Voters[0] != s.o.NodeID {
			return nil
		}
		select {
		case <-s.lead:
		case <-changed:
		case <-s.group.Done():
			return fmt.Errorf("shard: start: %w", s.group.Err())
		case <-deadline.C:
			return errors.New("shard: start: no leader in time")
		}
	}
}

// Submit queues a task; t.Wait returns its outcome. It blocks while the queue
// is full. Where this node does not lead, that is ErrNotLeader at once.
func (s *Shard) Submit(t *Task) {
	if t.done == nil {
		t.done = make(chan error, 1)
	}
	s.submitters.RLock()
	defer s.submitters.RUnlock()
	switch {
	case s.closed:
		t.finish(ErrClosed)
	case s.leads.Load() == 0:
		t.finish(ErrNotLeader)
	default:
		s.queue <- t
	}
}

// ReadOptions says what a read needs.
type ReadOptions struct {
	// Snapshot: one state for the whole read, because it looks at more than one
	// key.
	Snapshot bool
	// Stale: what this node has applied will do.
	Stale bool
}

// BeginRead readies tx for reading all that was acknowledged before the call, or
// more. The caller then must tx.Close. Errors: ErrNotLeader when no leader was
// found before ctx ended, ErrClosed.
func (s *Shard) BeginRead(ctx context.Context, tx *keyspace.Tx, o ReadOptions) error {
	if !o.Stale {
		if err := s.group.ReadBarrier(ctx); err != nil {
			if errors.Is(err, consensus.ErrStopped) {
				return ErrClosed
			}
			return ErrNotLeader
		}
	}
	st := s.acquire()
	now := s.o.Clock().UnixMilli()
	if o.Snapshot {
		st.ks.BeginRead(tx, st.eng.NewSnapshot(), now)
	} else {
		st.ks.BeginRead(tx, st.eng, now)
	}
	tx.OnClose(st)
	return nil
}

// Applied is the index of the last entry that readers see.
func (s *Shard) Applied() raftlog.Index { return raftlog.Index(s.applied.Load()) }

// Keyspace gives read access to the key counts.
func (s *Shard) Keyspace() *keyspace.Keyspace { return s.state.Load().ks }

// Group is the shard's consensus group.
func (s *Shard) Group() *consensus.Group { return s.group }

// Writable is the engine's: nil while writes can make progress.
func (s *Shard) Writable() error {
	st := s.acquire()
	defer st.Release()
	return st.eng.Writable()
}

// RefusedForSpace reports whether a write was refused for lack of space in the log
// since the last call: a log can have room for small batches and none for large
// ones while the engine is Writable.
func (s *Shard) RefusedForSpace() bool { return s.refusedForSpace.Swap(false) }

// ReadRecord returns a record that a Task's EvalRaw put.
func (s *Shard) ReadRecord(key []byte) (value []byte, found bool, err error) {
	st := s.acquire()
	defer st.Release()
	return st.eng.Get(nil, key)
}

// SetActiveExpire turns the reaper of expired keys on or off.
func (s *Shard) SetActiveExpire(on bool) { s.reapOff.Store(!on) }

// Flushed tells the shard that the engine has made more data durable. It does
// not block; it is what the engine's flush listener calls.
func (s *Shard) Flushed() { kick(s.flushed) }

// Flush makes everything applied so far durable in the engine.
func (s *Shard) Flush() error {
	st := s.acquire()
	defer st.Release()
	return st.eng.Flush()
}

// Compact gives back the space of deleted and overwritten data.
func (s *Shard) Compact(ctx context.Context) error {
	st := s.acquire()
	defer st.Release()
	return st.eng.Compact(ctx, nil, nil)
}

// Checkpoint writes a durable copy of the engine to dir.
func (s *Shard) Checkpoint(dir string) error {
	st := s.acquire()
	defer st.Release()
	return st.eng.Checkpoint(dir)
}

func (s *Shard) fatal(err error) {
	s.leads.Store(0)
	s.lot.clear(ErrClosed)
	s.o.OnFatal(err)
}

// Close refuses new tasks, finishes those that were queued, flushes the engine
// and releases it. It can be called twice.
func (s *Shard) Close() error {
	s.closeOnce.Do(func() {
		s.submitters.Lock()
		s.closed = true
		s.submitters.Unlock()
		close(s.closing)
		s.cancel()
		<-s.upkeepDone
		<-s.writerDone
		s.lot.clear(ErrClosed)
		s.group.Stop()
		s.expirePins(true)
		eng := s.state.Load().eng
		err := s.group.Err()
		if err == nil {
			err = s.lastFlush(eng)
		}
		s.closeErr = errors.Join(err, eng.Close())
		s.retiring.Wait()
	})
	return s.closeErr
}

// lastFlush spares the next start the log. On a full disk it cannot, and that is no
// failure: the log has all that the engine has not, and the start applies it.
func (s *Shard) lastFlush(eng engine.Engine) error {
	err := eng.Flush()
	if errors.Is(err, engine.ErrNoSpace) {
		s.o.Logger.Warn("no space to flush on the disk: the next start reads the log instead", "err", err)
		return nil
	}
	return err
}

// kick makes sure that c's reader wakes up once more.
func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
