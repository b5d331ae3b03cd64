package replica

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
)

// Limits of a source.
const (
	maxSessions = 4096 // connections of replicas, a shard each
	maxCopies   = 8    // full copies that are under way or wait to be resumed
	// resumeTime is how long a copy whose connection broke waits to be resumed.
	resumeTime = 30 * time.Second
	// frameBytes is how much of the log a frame takes, unless one entry is larger.
	frameBytes = 1 << 20
	// behindTimeout is how long a node may take to catch up with its leader.
	behindTimeout = 2 * time.Second
	// heartbeat is the time between two frames when there is nothing to send.
	heartbeat = time.Second
)

// Errors of a source. The texts are replies.
var (
	ErrVersion  = errors.New("ERR DKV.SYNC: this version of the protocol is not known here")
	ErrShards   = errors.New("ERR DKV.SYNC: the number of shards differs")
	ErrShard    = errors.New("ERR DKV.SYNC: there is no such shard, or it is not open yet")
	ErrBehind   = errors.New("ERR DKV.SYNC: this node is behind the replica and has no leader to ask; later")
	ErrTooMany  = errors.New("ERR DKV.SYNC: too many replicas are connected")
	ErrBusy     = errors.New("ERR DKV.SYNC: enough full copies are under way; later")
	ErrRequest  = errors.New("ERR DKV.SYNC: wrong arguments")
	errClosed   = errors.New("the shard is closed")
	errNoLeader = errors.New("the shard has no leader")
	// ErrRing: to copy, and log, what comes back to where it came from would never end.
	ErrRing     = errors.New("ERR DKV.SYNC: the source follows the replica that asks, itself or through others")
	errStuck    = errors.New("it has acknowledged nothing for too long")
	errCopyHeld = errors.New("the log that has to be kept for the copy has become too large")
)

// SourceOptions configures a Source.
type SourceOptions struct {
	// Shard returns an open shard, nil when there is none; Shards is how many there
	// are.
	Shard  func(raftlog.ShardID) *shard.Shard
	Shards func() int
	// History is the node's cluster id. Path begins with it, and goes on with that of the
	// source that this node follows itself, of that one's source, and so on; nil: it
	// follows nobody.
	History func() string
	Path    func() []string
	// LogBytes is the size of the log, and MaxHeldBytes how much larger it may
	// become for a copy, beyond the size of what is copied. DiskFull says that a
	// copy must give way; nil: never.
	LogBytes     func() int64
	MaxHeldBytes int64
	DiskFull     func() bool
	// Timeout is how long a replica may take or acknowledge nothing.
	Timeout func() time.Duration
	// CollectTime is for how long entries are collected after a small frame was sent;
	// default 2 ms.
	CollectTime time.Duration
	Clock       func() time.Time
	Logger      *slog.Logger
}

// Source serves the replicas of a node. Its methods are safe for concurrent use.
type Source struct {
	o  SourceOptions
	mu struct {
		sync.Mutex
		sessions map[*Session]struct{}
		copies   map[string]*copying
		// changed is closed when an ack comes or a session ends; nil: nobody has asked
		// for it since.
		changed chan struct{}
		closed  bool
		metrics SourceMetrics
	}
}

// SourceMetrics count what a source has done since it was made.
type SourceMetrics struct {
	Full, Partial, PartialRefused uint64 // sessions begun
	Dropped                       uint64 // sessions whose replica was too slow
	SentBytes                     uint64
	LostMessages                  uint64 // that were too much for a replica
}

// NewSource returns a source of a node's shards.
func NewSource(o SourceOptions) *Source {
	if o.DiskFull == nil {
		o.DiskFull = func() bool { return false }
	}
	if o.CollectTime == 0 {
		o.CollectTime = collectTime
	}
	if o.Path == nil {
		o.Path = func() []string { return []string{o.History()} }
	}
	s := &Source{o: o}
	s.mu.sessions = make(map[*Session]struct{})
	s.mu.copies = make(map[string]*copying)
	return s
}

// Open begins a session. The reply is to be sent before Run. Errors are replies. A
// replica that has no shards yet asks how many there are: then there is no session.
func (s *Source) Open(r Request) (*Session, string, error) {
	if r.Version != ProtocolVersion {
		return nil, "", ErrVersion
	}
	if r.Own != "" && slices.Contains(s.o.Path(), r.Own) {
		return nil, "", ErrRing
	}
	n := s.o.Shards()
	if r.Shards == 0 && s.o.Shard(0) != nil {
		return nil, fmt.Sprintf("SHARDS %s %d", s.o.History(), n), nil
	}
	if r.Shards != n {
		return nil, "", fmt.Errorf("%w: this node has %d, the replica %d", ErrShards, n, r.Shards)
	}
	if int(r.Shard) >= r.Shards {
		return nil, "", ErrShard
	}
	sh := s.o.Shard(r.Shard)
	if sh == nil {
		return nil, "", ErrShard
	}
	// What a replica is sent must not be lost by a crash of this machine and then be
	// written anew under the same index and term: the term at least is on disk.
	if err := sh.SyncLog(); err != nil {
		return nil, "", fmt.Errorf("ERR DKV.SYNC: %w", err)
	}
	history := s.o.History()
	if r.From.History == history && r.From.Index > sh.Applied() {
		// This member is behind another one that the replica has followed, or the
		// entries are lost.
		ctx, cancel := context.WithTimeout(context.Background(), behindTimeout)
		err := sh.Group().ReadBarrier(ctx)
		cancel()
		if err != nil {
			return nil, "", ErrBehind
		}
	}
	ss := &Session{src: s, shard: sh, req: r, began: s.o.Clock(), at: r.From.Position, messages: newMessages()}
	ss.acked.Store(uint64(r.From.Index))
	ss.heard.Store(s.o.Clock().UnixNano())
	reply := fmt.Sprintf("CONTINUE %s %d", history, r.Shards)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed || len(s.mu.sessions) >= maxSessions {
		return nil, "", ErrTooMany
	}
	if r.From.History == history && sh.Has(r.From.Position) {
		s.mu.metrics.Partial++
	} else {
		if err := s.beginCopyLocked(ss); err != nil {
			return nil, "", err
		}
		c := ss.copy
		ss.acked.Store(0)
		reply = fmt.Sprintf("COPY %s %d %s %d %d %d", history, r.Shards, c.id, c.at.Index, c.at.Term, c.bytes)
	}
	s.mu.sessions[ss] = struct{}{}
	return ss, reply, nil
}

// Changed returns a channel that is closed when an acknowledgement comes or a
// session ends. As long as it is not, somebody is taken to wait for it: entries are
// sent as they come.
func (s *Source) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.changed == nil {
		s.mu.changed = make(chan struct{})
		for ss := range s.mu.sessions {
			ss.messages.kick()
		}
	}
	return s.mu.changed
}

func (s *Source) changedLocked() {
	if s.mu.changed != nil {
		close(s.mu.changed)
		s.mu.changed = nil
	}
}

// awaited says whether somebody waits for replicas.
func (s *Source) awaited() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.changed != nil
}

// Replica is a replica as its source sees it: the sessions of all its shards.
type Replica struct {
	ID, Addr string
	// State is online, or send_bulk while a shard of it is being copied.
	State string
	// Acked are the indexes that it has applied, by shard; zero: of a shard that is
	// not connected.
	Acked []raftlog.Index
	// Durable are likewise those that it has on its disk.
	Durable []raftlog.Index
	// Heard is when the shard that has been silent for the longest time was last
	// heard of, zero when a shard is not connected.
	Heard time.Time
}

// Replicas lists the replicas that are connected, by address.
func (s *Source) Replicas() []Replica {
	s.mu.Lock()
	defer s.mu.Unlock()
	byID := make(map[string]*Replica)
	var ids []string
	parts := make(map[string]int)
	n := s.o.Shards()
	for ss := range s.mu.sessions {
		r := byID[ss.req.Replica]
		if r == nil {
			r = &Replica{ID: ss.req.Replica, Addr: ss.req.Addr, State: "online", Acked: make([]raftlog.Index, n), Durable: make([]raftlog.Index, n)}
			byID[r.ID] = r
			ids = append(ids, r.ID)
		}
		parts[r.ID]++
		if int(ss.req.Shard) < n {
			r.Acked[ss.req.Shard] = raftlog.Index(ss.acked.Load())
			r.Durable[ss.req.Shard] = raftlog.Index(ss.durable.Load())
		}
		if ss.copies.Load() {
			r.State = "send_bulk"
		}
		heard := time.Unix(0, ss.heard.Load())
		if r.Heard.IsZero() || heard.Before(r.Heard) {
			r.Heard = heard
		}
	}
	slices.SortFunc(ids, func(a, b string) int {
		if x, y := byID[a].Addr, byID[b].Addr; x != y {
			return cmp.Compare(x, y)
		}
		return cmp.Compare(a, b)
	})
	list := make([]Replica, len(ids))
	for i, id := range ids {
		list[i] = *byID[id]
		if parts[id] < n {
			list[i].Heard = time.Time{}
		}
	}
	return list
}

// Has says how many replicas have applied all shards up to these indexes, and, when
// durable is asked for, have them on their disks.
func (s *Source) Has(upTo []raftlog.Index, durable bool) (n int) {
	for _, r := range s.Replicas() {
		has := r.Acked
		if durable {
			has = r.Durable
		}
		all := len(has) >= len(upTo)
		for i := 0; all && i < len(upTo); i++ {
			all = has[i] >= upTo[i]
		}
		if all {
			n++
		}
	}
	return n
}

// Good says how many replicas have been heard of within maxLag.
func (s *Source) Good(maxLag time.Duration) (n int) {
	now := s.o.Clock()
	for _, r := range s.Replicas() {
		if r.State == "online" && !r.Heard.IsZero() && now.Sub(r.Heard) <= maxLag {
			n++
		}
	}
	return n
}

// Metrics returns the source's figures.
func (s *Source) Metrics() SourceMetrics {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.metrics
}

// Close lets go of copies. Sessions are ended by their contexts.
func (s *Source) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.closed = true
	for id, c := range s.mu.copies {
		if !c.inUse {
			c.close(s.o.Logger)
			delete(s.mu.copies, id)
		}
	}
}
