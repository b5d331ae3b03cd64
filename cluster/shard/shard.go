package shard

import (
	"context"
	"encoding/binary"
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

// positionKey is the engine record that holds the index of the last applied
// entry, 8 bytes big endian. It is the first record of every batch.
var positionKey = []byte("sapplied")

// ErrGap says that the log starts after what the engine holds.
var ErrGap = errors.New("shard: the log does not reach back to the engine's position")

// Options configures a shard. The shard takes over Engine and closes it.
type Options struct {
	NodeID consensus.NodeID
	Engine engine.Engine
	Log    *raftlog.ShardLog
	Clock  func() time.Time
	Logger *slog.Logger
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
	// one hour, since replaying a long log counts.
	StartTimeout time.Duration
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
	if o.StartTimeout == 0 {
		o.StartTimeout = time.Hour
	}
	return o
}

// Shard is one ordered log applied to one engine.
type Shard struct {
	o     Options
	eng   engine.Engine
	group *consensus.Group
	ks    *keyspace.Keyspace

	queue   chan *Task
	applied atomic.Uint64 // what readers see
	leads   atomic.Uint64 // the term in which this node leads; zero: it does not
	lead    chan struct{} // kicked when leads changes
	flushed chan struct{} // kicked when the engine has become durable up to a new point
	reapOff atomic.Bool
	// compacting says that upkeep is compacting after expiry.
	compacting atomic.Bool

	closing    chan struct{}
	closeOnce  sync.Once
	closeErr   error
	submitters sync.RWMutex // held shared while a task enters the queue
	closed     bool         // guarded by submitters
	writerDone chan struct{}
	upkeepDone chan struct{}
	metrics    counters

	w writer // belongs to the writer's goroutine
}

// Create readies an empty engine: its position becomes index, durably. The log
// of a new shard starts after that index too.
func Create(e engine.Engine, index raftlog.Index) error {
	var b engine.Batch
	b.Put(positionKey, binary.BigEndian.AppendUint64(nil, uint64(index)))
	if err := e.Apply(b.Repr()); err != nil {
		return fmt.Errorf("shard: create: %w", err)
	}
	if err := e.Flush(); err != nil {
		return fmt.Errorf("shard: create: %w", err)
	}
	return nil
}

// Open starts a shard: it replays the log onto the engine and returns when the
// shard can serve. notify is what the engine's OnFlush must call.
func Open(o Options) (*Shard, error) {
	o = o.withDefaults()
	s := &Shard{
		o: o, eng: o.Engine,
		queue:      make(chan *Task, queueTasks),
		lead:       make(chan struct{}, 1),
		flushed:    make(chan struct{}, 1),
		closing:    make(chan struct{}),
		writerDone: make(chan struct{}),
		upkeepDone: make(chan struct{}),
	}
	position, err := s.enginePosition()
	if err != nil {
		return nil, err
	}
	if s.ks, err = keyspace.Open(s.eng); err != nil {
		return nil, fmt.Errorf("shard: open keyspace: %w", err)
	}
	s.applied.Store(uint64(position))
	s.group, err = consensus.Start(consensus.Options{
		ID:           o.NodeID,
		Log:          o.Log,
		StateMachine: (*stateMachine)(s),
		Applied:      position,
		Logger:       o.Logger,
		OnFatal:      s.fatal,
	})
	if err != nil {
		return nil, err
	}
	if err := s.waitLeading(); err != nil {
		s.group.Stop()
		return nil, err
	}
	s.w.init(s)
	if err := s.adopt(raftlog.Term(s.leads.Load())); err != nil {
		s.group.Stop()
		return nil, err
	}
	go s.runWriter()
	go s.runUpkeep()
	return s, nil
}

// enginePosition reads the applied index and checks that the log goes on from
// there.
func (s *Shard) enginePosition() (raftlog.Index, error) {
	v, found, err := s.eng.Get(nil, positionKey)
	if err != nil {
		return 0, fmt.Errorf("shard: read position: %w", err)
	}
	if !found || len(v) != 8 {
		return 0, fmt.Errorf("shard: the engine holds no position record")
	}
	position := raftlog.Index(binary.BigEndian.Uint64(v))
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

// waitLeading waits until this node leads and the log has been replayed.
func (s *Shard) waitLeading() error {
	deadline := time.NewTimer(s.o.StartTimeout)
	defer deadline.Stop()
	for s.leads.Load() == 0 {
		select {
		case <-s.lead:
		case <-s.group.Done():
			return fmt.Errorf("shard: start: %w", s.group.Err())
		case <-deadline.C:
			return errors.New("shard: start: no leader in time")
		}
	}
	return nil
}

// Submit queues a task; t.Wait returns its outcome. It blocks while the queue
// is full.
func (s *Shard) Submit(t *Task) {
	if t.done == nil {
		t.done = make(chan error, 1)
	}
	s.submitters.RLock()
	defer s.submitters.RUnlock()
	if s.closed {
		t.finish(ErrClosed)
		return
	}
	s.queue <- t
}

// BeginRead readies tx for reading what has been applied. A snapshot is needed
// by a command that looks at more than one key; the caller then must tx.Close.
// A group with one voter needs no read barrier: what was acknowledged is applied.
func (s *Shard) BeginRead(tx *keyspace.Tx, snapshot bool) error {
	now := s.o.Clock().UnixMilli()
	if snapshot {
		s.ks.BeginRead(tx, s.eng.NewSnapshot(), now)
		return nil
	}
	s.ks.BeginRead(tx, s.eng, now)
	return nil
}

// Applied is the index of the last entry that readers see.
func (s *Shard) Applied() raftlog.Index { return raftlog.Index(s.applied.Load()) }

// Keyspace gives read access to the key counts.
func (s *Shard) Keyspace() *keyspace.Keyspace { return s.ks }

// SetActiveExpire turns the reaper of expired keys on or off.
func (s *Shard) SetActiveExpire(on bool) { s.reapOff.Store(!on) }

// Flushed tells the shard that the engine has made more data durable. It does
// not block; it is what the engine's flush listener calls.
func (s *Shard) Flushed() { kick(s.flushed) }

// Flush makes everything applied so far durable in the engine.
func (s *Shard) Flush() error { return s.eng.Flush() }

// Compact gives back the space of deleted and overwritten data.
func (s *Shard) Compact(ctx context.Context) error { return s.eng.Compact(ctx, nil, nil) }

// Checkpoint writes a durable copy of the engine to dir.
func (s *Shard) Checkpoint(dir string) error { return s.eng.Checkpoint(dir) }

func (s *Shard) fatal(err error) {
	s.leads.Store(0)
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
		<-s.upkeepDone
		<-s.writerDone
		s.group.Stop()
		err := s.group.Err()
		if err == nil {
			err = s.eng.Flush()
		}
		s.closeErr = errors.Join(err, s.eng.Close())
	})
	return s.closeErr
}

// kick makes sure that c's reader wakes up once more.
func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
