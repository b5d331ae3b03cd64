package replica

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"dkv/cluster/raftlog"
	"dkv/cluster/raftsnap"
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
	// heartbeat is the time between two frames when there is nothing to send.
	heartbeat = time.Second
)

// Errors of a source. The texts are replies.
var (
	ErrVersion  = errors.New("ERR DKV.SYNC: this version of the protocol is not known here")
	ErrShards   = errors.New("ERR DKV.SYNC: the number of shards differs")
	ErrShard    = errors.New("ERR DKV.SYNC: there is no such shard, or it is not open yet")
	ErrTooMany  = errors.New("ERR DKV.SYNC: too many replicas are connected")
	ErrBusy     = errors.New("ERR DKV.SYNC: enough full copies are under way; later")
	ErrRequest  = errors.New("ERR DKV.SYNC: wrong arguments")
	errStuck    = errors.New("it has acknowledged nothing for too long")
	errCopyHeld = errors.New("the log that has to be kept for the copy has become too large")
)

// SourceOptions configures a Source.
type SourceOptions struct {
	// Shard returns an open shard, nil when there is none; Shards is how many there
	// are.
	Shard  func(raftlog.ShardID) *shard.Shard
	Shards func() int
	// History is the node's cluster id.
	History func() string
	// LogBytes is the size of the log, and MaxHeldBytes how much larger it may
	// become for a copy, beyond the size of what is copied. DiskFull says that a
	// copy must give way; nil: never.
	LogBytes     func() int64
	MaxHeldBytes int64
	DiskFull     func() bool
	// Timeout is how long a replica may take or acknowledge nothing.
	Timeout func() time.Duration
	Clock   func() time.Time
	Logger  *slog.Logger
}

// Source serves the replicas of a node. Its methods are safe for concurrent use.
type Source struct {
	o  SourceOptions
	mu struct {
		sync.Mutex
		sessions map[*Session]struct{}
		copies   map[string]*copying
		changed  chan struct{} // closed and replaced when an ack comes or a session ends
		closed   bool
		metrics  SourceMetrics
	}
}

// SourceMetrics count what a source has done since it was made.
type SourceMetrics struct {
	Full, Partial, PartialRefused uint64 // sessions begun
	Dropped                       uint64 // sessions whose replica was too slow
	SentBytes                     uint64
}

// NewSource returns a source of a node's shards.
func NewSource(o SourceOptions) *Source {
	if o.DiskFull == nil {
		o.DiskFull = func() bool { return false }
	}
	s := &Source{o: o}
	s.mu.sessions = make(map[*Session]struct{})
	s.mu.copies = make(map[string]*copying)
	s.mu.changed = make(chan struct{})
	return s
}

// Request is what a replica asks for.
type Request struct {
	Version, Shards int
	Shard           raftlog.ShardID
	From            shard.SourcePosition // zero: nowhere yet
	// CopyID and Place are of a copy that is to be resumed; empty: none.
	CopyID string
	Place  []byte
	// Replica names the node, the same for all its shards; Addr is where it is for
	// clients, "" when it does not say.
	Replica, Addr string
}

// ParseRequest reads the arguments of DKV.SYNC, the command's name left out. More
// than are known are passed over. Errors: ErrRequest, ErrVersion.
func ParseRequest(args []string) (r Request, err error) {
	const known = 6
	if len(args) < 1 {
		return r, ErrRequest
	}
	if r.Version, err = strconv.Atoi(args[0]); err != nil {
		return r, ErrRequest
	}
	if r.Version != ProtocolVersion {
		return r, ErrVersion
	}
	if len(args) < known {
		return r, ErrRequest
	}
	var n [4]uint64
	for i, arg := range []string{args[1], args[2], args[4], args[5]} {
		if n[i], err = strconv.ParseUint(arg, 10, 64); err != nil {
			return r, ErrRequest
		}
	}
	if n[0] > 1<<16 || n[1] > 1<<16 {
		return r, ErrRequest
	}
	r.Shards, r.Shard = int(n[0]), raftlog.ShardID(n[1])
	if args[3] != unknownHistory {
		r.From = shard.SourcePosition{History: args[3], Position: shard.Position{Index: raftlog.Index(n[2]), Term: raftlog.Term(n[3])}}
	}
	if len(args) >= known+2 {
		r.CopyID = args[known]
		if r.Place, err = hex.DecodeString(args[known+1]); err != nil {
			return r, ErrRequest
		}
	}
	return r, nil
}

// unknownHistory stands for the history of a replica that has followed nobody.
const unknownHistory = "?"

// args returns what ParseRequest reads.
func (r *Request) args() []string {
	history := r.From.History
	if history == "" {
		history = unknownHistory
	}
	args := []string{
		strconv.Itoa(ProtocolVersion), strconv.Itoa(r.Shards), strconv.Itoa(int(r.Shard)),
		history, strconv.FormatUint(uint64(r.From.Index), 10), strconv.FormatUint(uint64(r.From.Term), 10),
	}
	if r.CopyID != "" {
		args = append(args, r.CopyID, hex.EncodeToString(r.Place))
	}
	return args
}

// copying is a full copy that is under way, or waits to be resumed.
type copying struct {
	id       string
	shard    raftlog.ShardID
	pinned   *shard.Pinned
	src      *raftsnap.Source
	at       shard.Position
	hold     *shard.Hold
	bytes    uint64 // about
	logBytes int64  // when it began
	inUse    bool
	left     time.Time // when it was last not in use any more
}

func (c *copying) close(log *slog.Logger) {
	c.hold.Release()
	if err := c.src.Close(); err != nil {
		log.Error("cannot close the snapshot of a copy", "err", err)
	}
}

// Open begins a session. The reply is to be sent before Run. Errors are replies.
func (s *Source) Open(r Request) (*Session, string, error) {
	if r.Version != ProtocolVersion {
		return nil, "", ErrVersion
	}
	if n := s.o.Shards(); r.Shards != n {
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
	ss := &Session{src: s, shard: sh, req: r, began: s.o.Clock(), at: r.From.Position}
	ss.acked.Store(uint64(r.From.Index))
	ss.heard.Store(s.o.Clock().UnixNano())
	history := s.o.History()
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

// beginCopyLocked gives the session the copy that it resumes, or a new one.
func (s *Source) beginCopyLocked(ss *Session) error {
	s.sweepLocked()
	if c := s.mu.copies[ss.req.CopyID]; c != nil && !c.inUse && c.shard == ss.req.Shard {
		c.inUse, ss.copy, ss.place = true, c, ss.req.Place
		return nil
	}
	if ss.req.From.History != "" {
		s.mu.metrics.PartialRefused++
	}
	if len(s.mu.copies) >= maxCopies && !s.evictLocked() {
		return ErrBusy
	}
	pinned, at, hold, err := ss.shard.Pin()
	if err != nil {
		return fmt.Errorf("ERR DKV.SYNC: %w", err)
	}
	c := &copying{
		id: strconv.FormatUint(rand.Uint64(), 16), shard: ss.req.Shard, pinned: pinned, at: at, hold: hold,
		src: raftsnap.NewSource(pinned), bytes: ss.shard.Metrics().Engine.DiskBytes, logBytes: s.o.LogBytes(), inUse: true,
	}
	s.mu.copies[c.id] = c
	s.mu.metrics.Full++
	ss.copy = c
	return nil
}

// sweepLocked ends the copies that nobody has come back for.
func (s *Source) sweepLocked() {
	now := s.o.Clock()
	for id, c := range s.mu.copies {
		if !c.inUse && (now.Sub(c.left) > resumeTime || s.tooMuchHeld(c)) {
			c.close(s.o.Logger)
			delete(s.mu.copies, id)
		}
	}
}

// evictLocked ends the copy that has waited longest to be resumed, if there is one.
func (s *Source) evictLocked() bool {
	var oldest *copying
	for _, c := range s.mu.copies {
		if !c.inUse && (oldest == nil || c.left.Before(oldest.left)) {
			oldest = c
		}
	}
	if oldest == nil {
		return false
	}
	oldest.close(s.o.Logger)
	delete(s.mu.copies, oldest.id)
	return true
}

// Sweep is to be called from time to time: it ends the copies that nobody has come
// back for, whose log need not be kept any more.
func (s *Source) Sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweepLocked()
}

// tooMuchHeld says whether the log has grown for a copy beyond what may be. A log
// that is larger than what is copied would have the replica never catch up.
func (s *Source) tooMuchHeld(c *copying) bool {
	return s.o.DiskFull() || s.o.LogBytes()-c.logBytes > s.o.MaxHeldBytes+int64(c.bytes)
}

// endCopy ends a session's copy. One that was broken off can be resumed.
func (s *Source) endCopy(c *copying, resumable bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if resumable && !s.mu.closed {
		c.inUse, c.left = false, s.o.Clock()
		return
	}
	c.close(s.o.Logger)
	delete(s.mu.copies, c.id)
}

// Changed returns a channel that is closed when an acknowledgement comes or a
// session ends.
func (s *Source) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.changed
}

func (s *Source) changedLocked() {
	close(s.mu.changed)
	s.mu.changed = make(chan struct{})
}

// Replica is a replica as its source sees it: the sessions of all its shards.
type Replica struct {
	ID, Addr string
	// State is online, or send_bulk while a shard of it is being copied.
	State string
	// Acked are the indexes that it has applied, by shard; zero: of a shard that is
	// not connected.
	Acked []raftlog.Index
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
			r = &Replica{ID: ss.req.Replica, Addr: ss.req.Addr, State: "online", Acked: make([]raftlog.Index, n)}
			byID[r.ID] = r
			ids = append(ids, r.ID)
		}
		parts[r.ID]++
		if int(ss.req.Shard) < n {
			r.Acked[ss.req.Shard] = raftlog.Index(ss.acked.Load())
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

// Has says how many replicas have applied all shards up to these indexes.
func (s *Source) Has(upTo []raftlog.Index) (n int) {
	for _, r := range s.Replicas() {
		all := len(r.Acked) >= len(upTo)
		for i := 0; all && i < len(upTo); i++ {
			all = r.Acked[i] >= upTo[i]
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
