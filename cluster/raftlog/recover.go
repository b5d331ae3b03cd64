package raftlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// open finds the segments, replays them and makes the log ready for writing.
func (l *Log) open() error {
	if err := l.fs.MkdirAll(l.o.Dir, 0o755); err != nil {
		return err
	}
	if err := l.syncParent(); err != nil {
		return err
	}
	dir, err := l.fs.OpenDir(l.o.Dir)
	if err != nil {
		return err
	}
	l.dir = dir
	// A process that was killed may have left names that are not on disk yet.
	if err := l.dir.Sync(); err != nil {
		return err
	}
	seqs, err := l.list()
	if err != nil {
		return err
	}
	for i, seq := range seqs {
		if i > 0 && seq != seqs[i-1]+1 {
			return &CorruptError{File: segmentName(seqs[i-1] + 1), Reason: "segment is missing"}
		}
		seg, err := l.openSegment(segmentName(seq))
		if err != nil {
			return err
		}
		l.mu.segs = append(l.mu.segs, seg)
	}
	for i := range l.mu.segs {
		if err := l.replay(i); err != nil {
			return err
		}
	}
	for _, s := range *l.shardList.Load() {
		s.recovered()
	}
	return l.ready()
}

// syncParent makes the directory's own name durable, where that is allowed.
func (l *Log) syncParent() error {
	parent, err := l.fs.OpenDir(l.fs.PathDir(l.o.Dir))
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}

// list returns the numbers of the segments and takes in the spare files.
func (l *Log) list() (seqs []uint64, err error) {
	names, err := l.fs.List(l.o.Dir)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		if seq, ok := parseName(name, segmentSuffix); ok {
			seqs = append(seqs, seq)
		}
		n, ok := parseName(name, spareSuffix)
		if !ok {
			continue
		}
		l.nextSpare = max(l.nextSpare, n)
		st, err := l.fs.Stat(l.path(name))
		if err != nil {
			return nil, err
		}
		l.keepSpare(spare{name: name, bytes: st.Size()})
	}
	return seqs, nil
}

func (l *Log) openSegment(name string) (*segment, error) {
	f, err := l.fs.OpenReadWrite(l.path(name), writeCategory)
	if err != nil {
		return nil, err
	}
	b := make([]byte, headerBytes)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(fmt.Errorf("read %s: %w", name, err), f.Close())
	}
	seg, err := parseHeaderBlock(b[:n], name, f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return seg, nil
}

// replay reads segment i: all of it, or up to its torn end if it is the last.
func (l *Log) replay(i int) error {
	seg := l.mu.segs[i]
	first, last := i == 0, i == len(l.mu.segs)-1
	st, err := seg.file.Stat()
	if err != nil {
		return err
	}
	seg.exists = st.Size()
	sc := &scanner{seg: seg, size: seg.exists}
	off := int64(headerBytes)
	var reason string
	for !seg.sealed {
		var rec scanned
		if rec, reason, err = sc.record(off); err != nil {
			return err
		}
		if reason == "" && (rec.kind == kindHead) != (off == headerBytes) {
			return corrupt(seg, off, "the head, and nothing else, comes first")
		}
		if reason != "" {
			break
		}
		if err := l.replayRecord(seg, &rec, first); err != nil {
			return err
		}
		off += rec.bytes()
		seg.claimed = max(seg.claimed, rec.synced)
		seg.sealed = rec.kind == kindSeal
		if rec.kind != kindMark {
			seg.solid.Store(off)
		}
	}
	switch {
	case seg.sealed:
	case !last:
		return corrupt(seg, off, reason+", in a segment that had been completed")
	case first && seg.seq > 1 && off == headerBytes:
		return corrupt(seg, off, reason+", and the segments before were dropped")
	default:
		if err := l.cutTail(sc, off, reason); err != nil {
			return err
		}
	}
	seg.end.Store(off)
	if last {
		// What was read may be in the page cache only, left by a killed process.
		if err := seg.file.SyncData(); err != nil {
			return fmt.Errorf("sync %s: %w", seg.name, err)
		}
	}
	seg.synced.Store(off)
	return nil
}

// cutTail decides about what follows the last whole record of the last
// segment. Nothing there had been synced, unless a later record says so: that
// is damage. Headers behind a hole are cleared, or they would be read as the
// log's when new records happen to end before them.
func (l *Log) cutTail(sc *scanner, off int64, reason string) error {
	strays, synced, err := sc.strays(off)
	if err != nil {
		return err
	}
	if synced > off {
		return corrupt(sc.seg, off, fmt.Sprintf("%s, but a later record says that up to %d had been synced", reason, synced))
	}
	if len(strays) == 0 {
		return nil
	}
	l.o.Logger.Warn("raftlog: cut off a torn end that had never been synced",
		"file", sc.seg.name, "offset", off, "reason", reason, "records", len(strays))
	for _, at := range strays {
		if _, err := sc.seg.file.WriteAt(zeros[:recordHeaderBytes], at); err != nil {
			return l.noSpace("clear a torn end", err)
		}
	}
	return nil // replay syncs
}

func corrupt(seg *segment, off int64, reason string) error {
	return &CorruptError{File: seg.name, Offset: off, Reason: reason}
}

// replayRecord puts a record into effect. first says that seg is the oldest.
func (l *Log) replayRecord(seg *segment, rec *scanned, first bool) error {
	bad := func(reason string) error { return corrupt(seg, rec.off, reason) }
	switch rec.kind {
	case kindMark, kindSeal:
		return nil
	case kindHead:
		sts, ok := parseStates(rec.meta)
		if !ok {
			return bad("head")
		}
		for i := range sts {
			s := l.Shard(sts[i].id)
			if first {
				s.mu.index.reset(sts[i].last, sts[i].lastTerm)
			}
			if err := s.replayState(&sts[i]); err != nil {
				return bad(err.Error())
			}
		}
		return nil
	}
	if rec.shard == noShard {
		return bad("record of no shard")
	}
	s := l.Shard(rec.shard)
	if rec.kind == kindAppend {
		m, ok := parseAppendMeta(rec.meta, rec.dataLen)
		if !ok {
			return bad("record meta")
		}
		if err := s.replayAppend(seg, rec.off, &m); err != nil {
			return bad(err.Error())
		}
		return nil
	}
	st, rest, ok := parseState(rec.meta)
	if !ok || len(rest) > 0 || st.id != rec.shard {
		return bad("state")
	}
	if rec.kind == kindReset {
		s.mu.index.reset(st.last, st.lastTerm)
	}
	if err := s.replayState(&st); err != nil {
		return bad(err.Error())
	}
	return nil
}

// replayState needs no lock: Open is alone.
func (s *ShardLog) replayState(st *shardState) error {
	if st.last != s.mu.last || st.lastTerm != s.mu.term(s.mu.last) {
		return fmt.Errorf("shard %d is said to end with %d of term %d, its entries do with %d of term %d",
			s.id, st.last, st.lastTerm, s.mu.last, s.mu.term(s.mu.last))
	}
	s.mu.hard, s.mu.mark = st.hard, st.mark
	if !bytes.Equal(st.conf, s.mu.confRaw) {
		cs := &raftpb.ConfState{}
		if err := proto.Unmarshal(st.conf, cs); err != nil {
			return fmt.Errorf("shard %d: configuration: %w", s.id, err)
		}
		s.mu.conf, s.mu.confRaw = cs, bytes.Clone(st.conf)
	}
	return nil
}

func (s *ShardLog) replayAppend(seg *segment, off int64, m *appendMeta) error {
	x := &s.mu.index
	switch {
	case m.first > x.last+1:
		return fmt.Errorf("shard %d: entry %d follows entry %d", s.id, m.first, x.last)
	case m.first <= x.base:
		// It replaces entries of segments that were dropped since.
		x.reset(m.first-1, m.prevTerm)
	case m.prevTerm != x.term(m.first-1):
		return fmt.Errorf("shard %d: entry %d has term %d, not %d", s.id, m.first-1, x.term(m.first-1), m.prevTerm)
	default:
		x.cut(m.first)
	}
	list := m.list
	for range m.count {
		var em entryMeta
		em, list, _ = nextEntryMeta(list)
		x.add(seg, off, em.term)
	}
	if m.hasHard {
		s.mu.hard = m.hard
	}
	return nil
}

// recovered makes the hard state agree with the log. A commit index alone is
// written late; what was truncated had been committed for sure.
func (s *ShardLog) recovered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.mark = min(max(s.mu.mark, s.mu.base), s.mu.last)
	h := s.mu.hard
	h.commit = max(h.commit, uint64(s.mu.base), uint64(s.mu.mark))
	if h != s.mu.hard {
		s.setHardLocked(h, true)
	}
}

// ready completes what a crash cut short in rotate, and syncs.
func (l *Log) ready() error {
	if n := len(l.mu.segs); n > 0 {
		l.active.Store(l.mu.segs[n-1])
	}
	if seg := l.active.Load(); seg == nil || seg.sealed {
		if err := l.prepare(0); err != nil {
			return err
		}
		if err := l.activateNext(); err != nil {
			return err
		}
	}
	if l.active.Load().end.Load() == headerBytes {
		if err := l.writeHead(); err != nil {
			return err
		}
	}
	l.updateRoom()
	return l.syncActive()
}
