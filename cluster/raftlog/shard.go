package raftlog

import (
	"fmt"
	"sync"
	"sync/atomic"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// ShardLog is the log of one shard. It implements raft.Storage. All methods are
// safe for concurrent use; those that write are done one at a time.
type ShardLog struct {
	l  *Log
	id ShardID

	// writing is held by the method that writes, while its request is done.
	writing sync.Mutex
	req     request   // reused by Append
	rec     outRecord // likewise
	add     addition  // what the record in hand changes, for written

	reserved atomic.Int64

	mu struct {
		sync.Mutex
		index
		cache    cache
		hard     hardState
		pending  bool  // hard is newer than what the log has
		mark     Index // Truncate was called up to here
		conf     *raftpb.ConfState
		confRaw  []byte // conf, encoded
		snapshot func() (*raftpb.Snapshot, error)
	}
}

var _ raft.Storage = (*ShardLog)(nil)

// addition is what a record adds to its shard once it is written.
type addition struct {
	reset   bool // to first-1 and prevTerm
	first   Index
	prev    Term
	entries []*raftpb.Entry
	hasHard bool
	hard    hardState
	conf    *raftpb.ConfState
	confRaw []byte
}

func newShardLog(l *Log, id ShardID) *ShardLog {
	s := &ShardLog{l: l, id: id}
	s.req = request{rec: &s.rec, shard: s, wake: make(chan struct{}, 1)}
	s.rec.shard = id
	return s
}

// maxKeptBuffer is how much memory for records a shard keeps between appends.
const maxKeptBuffer = 256 << 10

// Append writes entries and, with them, hs (nil or empty: unchanged) as one
// record, which a crash keeps or loses as a whole. Entries at or below the last
// index replace what is there from entries[0] on; entries that are truncated
// already are left out, as raft.MemoryStorage does. With mustSync (raft's
// Ready.MustSync) it returns after the sync in mode always; concurrent callers
// share one. A hard state alone whose term and vote are as before is kept in
// memory and written with what comes next, or by Sync or Close.
//
// The log keeps the entries, not the slice: neither the entries nor their Data
// may change afterwards.
//
// Errors: ErrGap, engine.ErrNoSpace (nothing was appended; see Reserve), an I/O
// error (nothing was appended), ErrFailed, ErrClosed.
func (s *ShardLog) Append(hs *raftpb.HardState, entries []*raftpb.Entry, mustSync bool) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.l.usable(); err != nil {
		return err
	}
	a := &s.add
	*a = addition{hasHard: !raft.IsEmptyHardState(hs)}
	if a.hasHard {
		a.hard = hardState{term: hs.GetTerm(), vote: hs.GetVote(), commit: hs.GetCommit()}
	}
	if err := s.place(entries); err != nil {
		return err
	}
	if len(a.entries) == 0 {
		if !a.hasHard || s.deferHard(mustSync) {
			return nil
		}
	}
	s.encode()
	s.req.sync = mustSync && s.l.fsync() == FsyncAlways
	err := s.l.do(&s.req)
	s.release()
	return err
}

// place finds where entries go and fills s.add.
func (s *ShardLog) place(entries []*raftpb.Entry) error {
	a := &s.add
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, e := range entries {
		if e.GetIndex() != entries[0].GetIndex()+uint64(i) {
			return fmt.Errorf("%w: index %d behind %d", ErrGap, e.GetIndex(), entries[i-1].GetIndex())
		}
		if e.GetType() < 0 {
			return fmt.Errorf("raftlog: entry %d has type %d", e.GetIndex(), e.GetType())
		}
	}
	for len(entries) > 0 && Index(entries[0].GetIndex()) <= s.mu.base {
		entries = entries[1:]
	}
	if len(entries) == 0 {
		return nil
	}
	a.entries = entries
	a.first = Index(entries[0].GetIndex())
	if a.first > s.mu.last+1 {
		return fmt.Errorf("%w: last index %d, first to append %d", ErrGap, s.mu.last, a.first)
	}
	a.prev = s.mu.term(a.first - 1)
	return nil
}

// deferHard keeps a hard state without entries in memory if it may be lost.
func (s *ShardLog) deferHard(mustSync bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, hard := s.mu.hard, s.add.hard
	if mustSync || old.term != hard.term || old.vote != hard.vote {
		return false
	}
	s.setHardLocked(hard, true)
	return true
}

func (s *ShardLog) setHardLocked(h hardState, pending bool) {
	s.mu.hard = h
	if s.mu.pending != pending {
		s.mu.pending = pending
		if pending {
			s.l.pending.Add(1)
		} else {
			s.l.pending.Add(-1)
		}
	}
}

// encode makes s.rec of s.add.
func (s *ShardLog) encode() {
	a, rec := &s.add, &s.rec
	if len(a.entries) == 0 {
		st, _ := s.state()
		st.hard = a.hard
		rec.kind, rec.dataLen, rec.entries = kindState, 0, nil
		rec.buf = appendState(s.header(), &st)
		rec.metaLen = len(rec.buf) - recordHeaderBytes
		return
	}
	m := appendMeta{hasHard: a.hasHard, hard: a.hard, first: a.first, prevTerm: a.prev, count: len(a.entries)}
	if !a.hasHard {
		// A hard state that waits in memory comes along.
		s.mu.Lock()
		m.hasHard, m.hard = s.mu.pending, s.mu.hard
		a.hasHard, a.hard = m.hasHard, m.hard
		s.mu.Unlock()
	}
	buf := appendAppendMeta(s.header(), &m)
	var dataLen int64
	for _, e := range a.entries {
		em := entryMeta{term: Term(e.GetTerm()), typ: uint32(e.GetType()), bytes: int64(len(e.Data)), crc: checksum(e.Data)}
		if e.Data != nil {
			em.flags |= entryHasData
		}
		if e.Type != nil {
			em.flags |= entryHasType
		}
		buf = appendEntryMeta(buf, em)
		dataLen += em.bytes
	}
	rec.kind, rec.metaLen, rec.dataLen = kindAppend, len(buf)-recordHeaderBytes, dataLen
	rec.entries = a.entries
	if dataLen <= inlineBytes {
		for _, e := range a.entries {
			buf = append(buf, e.Data...)
		}
		rec.entries = nil
	}
	rec.buf = buf
}

// header returns the memory for a record, its first bytes left for the header.
func (s *ShardLog) header() []byte {
	if cap(s.rec.buf) < recordHeaderBytes {
		s.rec.buf = make([]byte, 0, 1024)
	}
	return s.rec.buf[:recordHeaderBytes]
}

// release lets go of what an append held.
func (s *ShardLog) release() {
	s.add, s.rec.entries = addition{}, nil
	if cap(s.rec.buf) > maxKeptBuffer {
		s.rec.buf = nil
	}
}

// written makes s.add visible; its record stands at off of seg. Called by the
// token's holder, so that what shards show is always what the log holds.
func (s *ShardLog) written(seg *segment, off int64) {
	a := &s.add
	var data, cacheDelta int64
	s.mu.Lock()
	if a.reset {
		s.mu.index.reset(a.first-1, a.prev)
		s.mu.mark = a.first - 1
		cacheDelta -= s.mu.cache.cut(Index(s.mu.cache.len()))
	}
	if len(a.entries) > 0 {
		if a.first <= s.mu.last {
			cacheDelta -= s.mu.cache.cut(s.mu.last - a.first + 1)
			s.mu.cut(a.first)
		}
		for _, e := range a.entries {
			s.mu.index.add(seg, off, Term(e.GetTerm()))
			if s.l.o.CacheBytes > 0 {
				cacheDelta += s.mu.cache.add(e)
			}
			data += int64(len(e.Data))
		}
	}
	if a.hasHard {
		s.setHardLocked(a.hard, false)
	}
	if a.conf != nil {
		s.mu.conf, s.mu.confRaw = a.conf, a.confRaw
	}
	s.mu.Unlock()
	l := s.l
	l.appended.Add(uint64(len(a.entries)))
	l.m.appendedBytes.Add(uint64(data))
	l.m.appends.Add(1)
	if over := l.cached.Add(cacheDelta) - l.o.CacheBytes; over > 0 {
		l.evict(over)
	}
	s.useReserved(data)
}

// evict frees that much of the caches, from the shard that has most first.
func (l *Log) evict(bytes int64) {
	for bytes > 0 {
		var largest *ShardLog
		var most int64
		for _, s := range *l.shardList.Load() {
			if n := s.cachedBytes(); n > most {
				largest, most = s, n
			}
		}
		if largest == nil {
			return
		}
		largest.mu.Lock()
		freed := largest.mu.cache.evict(bytes)
		largest.mu.Unlock()
		l.cached.Add(-freed)
		bytes -= freed
	}
}

func (s *ShardLog) cachedBytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.cache.bytes
}

// Reserve makes sure that entries with n bytes of data, on top of what other
// shards reserved, can be appended without meeting a full disk. n counts all
// that the shard has proposed and not appended yet: a call replaces the one
// before, appending uses it up, and 0 gives back what is left. Usually it costs
// a comparison; else it allocates the next segment. The error wraps
// engine.ErrNoSpace and leaves everything as it was; some room is left then for
// hard states and configurations.
func (s *ShardLog) Reserve(n int64) error {
	l := s.l
	if err := l.usable(); err != nil {
		return err
	}
	if n > 0 {
		n += reserveOverhead
	}
	old := s.reserved.Swap(n)
	total := l.reserved.Add(n - old)
	if n == 0 || total+l.margin() <= l.room.Load() {
		return nil
	}
	err := l.do(&request{fn: func() error {
		need := l.reserved.Load() + l.margin()
		if need <= l.room.Load() {
			return nil
		}
		return l.prepare(need)
	}, wake: make(chan struct{}, 1)})
	if err != nil {
		l.reserved.Add(old - n)
		s.reserved.Add(old - n)
		return fmt.Errorf("raftlog: reserve %d bytes: %w", n, err)
	}
	return nil
}

// reserveOverhead is what records and their meta may take beside the data that
// is reserved for; what is above it comes out of the margin.
const reserveOverhead = 512

// useReserved takes appended bytes off the shard's reservation.
func (s *ShardLog) useReserved(n int64) {
	for {
		old := s.reserved.Load()
		if old == 0 {
			return
		}
		left := old - n
		if left <= reserveOverhead {
			left = 0
		}
		if s.reserved.CompareAndSwap(old, left) {
			s.l.reserved.Add(left - old)
			return
		}
	}
}

// SetConfState writes the group's configuration and returns when it is durable
// in mode always. The log copies cs. Errors as Append's.
func (s *ShardLog) SetConfState(cs *raftpb.ConfState) error {
	conf, raw, err := encodeConf(cs)
	if err != nil {
		return err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	st, _ := s.state()
	st.conf = raw
	s.add = addition{hasHard: st.hard != hardState{}, hard: st.hard, conf: conf, confRaw: raw}
	return s.writeState(kindState, &st)
}

// Reset empties the shard's log after a raft snapshot was installed: it goes on
// with index+1. The hard state becomes one that a node with this snapshot can
// have: committed up to index, and of term at least, without a vote if it rises.
// Returns when it is durable in mode always. The log copies cs. Errors as Append's.
func (s *ShardLog) Reset(index Index, term Term, cs *raftpb.ConfState) error {
	conf, raw, err := encodeConf(cs)
	if err != nil {
		return err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	st, _ := s.state()
	st.last, st.lastTerm, st.mark, st.conf = index, term, index, raw
	st.hard.commit = uint64(index)
	if st.hard.term < uint64(term) {
		st.hard.term, st.hard.vote = uint64(term), 0
	}
	s.add = addition{
		reset: true, first: index + 1, prev: term,
		hasHard: true, hard: st.hard, conf: conf, confRaw: raw,
	}
	return s.writeState(kindReset, &st)
}

// writeState writes s.add, of which st is the encoding. s.writing is held.
func (s *ShardLog) writeState(k kind, st *shardState) error {
	defer s.release()
	if err := s.l.usable(); err != nil {
		return err
	}
	s.rec.kind, s.rec.dataLen, s.rec.entries = k, 0, nil
	s.rec.buf = appendState(s.header(), st)
	s.rec.metaLen = len(s.rec.buf) - recordHeaderBytes
	s.req.sync = s.l.fsync() == FsyncAlways
	return s.l.do(&s.req)
}

func encodeConf(cs *raftpb.ConfState) (*raftpb.ConfState, []byte, error) {
	if cs == nil {
		cs = &raftpb.ConfState{}
	}
	cs = proto.Clone(cs).(*raftpb.ConfState)
	raw, err := proto.Marshal(cs)
	if err != nil {
		return nil, nil, fmt.Errorf("raftlog: encode configuration: %w", err)
	}
	return cs, raw, nil
}

// Truncate says that the shard's engine has durably applied the entries up to
// upTo and needs them no more. Segments that no shard needs are dropped, but
// for RetainBytes of them; until then the entries can be read. That Truncate
// was called is written down with the next head or state and may be forgotten
// in a crash. It may sync, and must not be called where that is not allowed.
func (s *ShardLog) Truncate(upTo Index) error {
	if err := s.l.usable(); err != nil {
		return err
	}
	s.mu.Lock()
	upTo = min(upTo, s.mu.last)
	if upTo <= s.mu.mark {
		s.mu.Unlock()
		return nil
	}
	s.mu.mark = upTo
	s.mu.Unlock()
	if s.l.droppable() == 0 {
		return nil
	}
	return s.l.do(&request{fn: s.l.drop, wake: make(chan struct{}, 1)})
}

func (l *Log) usable() error {
	if l.closed.Load() {
		return ErrClosed
	}
	return l.failed()
}

// state returns what a head says about the shard, and whether its hard state is
// newer than what the log has.
func (s *ShardLog) state() (st shardState, pending bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return shardState{
		id: s.id, hard: s.mu.hard, mark: s.mu.mark,
		last: s.mu.last, lastTerm: s.mu.term(s.mu.last), conf: s.mu.confRaw,
	}, s.mu.pending
}

// stateBytes bounds the encoding of state.
func (s *ShardLog) stateBytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return 8*maxUvarintLen + int64(len(s.mu.confRaw))
}

// hardWritten says that the log has this hard state.
func (s *ShardLog) hardWritten(h hardState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.hard == h {
		s.setHardLocked(h, false)
	}
}

func (s *ShardLog) needed() (seq uint64, upTo Index, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.needed(s.mu.mark)
}

func (s *ShardLog) forget(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.index.forget(seq)
	if n := Index(s.mu.cache.len()); n > s.mu.last-s.mu.base {
		// Cached entries are among those that can be read.
		freed := int64(0)
		for ; n > s.mu.last-s.mu.base; n-- {
			freed += s.mu.cache.evict(1)
		}
		s.l.cached.Add(-freed)
	}
}
