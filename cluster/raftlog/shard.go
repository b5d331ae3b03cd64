package raftlog

import (
	"fmt"
	"sync"
	"sync/atomic"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
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
// share one. A new term or vote is on disk when it returns, in every mode: who
// forgets it may vote twice in one term, and then two nodes lead. A hard state
// alone whose term and vote are as before is kept in memory and written with
// what comes next, or by Sync or Close.
//
// The log keeps the entries, not the slice: neither the entries nor their Data
// may change afterwards.
//
// Errors: ErrGap, engine.ErrNoSpace (nothing was appended; see Reserve), an I/O
// error (nothing was appended), ErrFailed, ErrClosed.
func (s *ShardLog) Append(hs *raftpb.HardState, entries []*raftpb.Entry, mustSync bool) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if something, err := s.prepare(hs, entries, mustSync); !something {
		return err
	}
	err := s.l.do(&s.req)
	s.release()
	return err
}

// prepare makes s.req of an append; false: there is nothing to write, or an error.
func (s *ShardLog) prepare(hs *raftpb.HardState, entries []*raftpb.Entry, mustSync bool) (bool, error) {
	if err := s.l.usable(); err != nil {
		return false, err
	}
	a := &s.add
	*a = addition{hasHard: !raft.IsEmptyHardState(hs)}
	if a.hasHard {
		a.hard = hardState{term: hs.GetTerm(), vote: hs.GetVote(), commit: hs.GetCommit()}
	}
	if err := s.place(entries); err != nil {
		return false, err
	}
	if len(a.entries) == 0 {
		if !a.hasHard || s.deferHard(mustSync) {
			return false, nil
		}
	}
	s.encode()
	s.req.sync = mustSync && s.l.fsync() == FsyncAlways || s.newVote()
	return true, nil
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

// newVote says whether s.add changes term or vote.
func (s *ShardLog) newVote() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, hard := s.mu.hard, s.add.hard
	return s.add.hasHard && (old.term != hard.term || old.vote != hard.vote)
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
