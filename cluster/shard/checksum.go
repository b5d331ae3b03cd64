package shard

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"dkv/cluster/raftlog"
	"dkv/engine"
	"dkv/engine/keyspace"
)

// Errors of Checksum.
var (
	// ErrPassed: the shard is beyond the place that is asked for.
	ErrPassed = errors.New("shard: the place was passed")
	// ErrNotReached: the shard did not come to the place in time.
	ErrNotReached = errors.New("shard: the place has not been reached")
	// ErrManyMarks: others ask for many places already.
	ErrManyMarks = errors.New("shard: too many checksums are being waited for")
)

// Checksum is a digest of a shard's contents after one entry. It is that of the
// records of the keyspace in their order, and so the same wherever the same entries
// were applied, on any engine; what expired counts until its deletion is applied. A
// node's own records (members, positions) have no part in it.
type Checksum struct {
	// SourcePosition is the place: on a replica in its source's log. Term is only known
	// there.
	SourcePosition
	Own    raftlog.Index // the place in this node's log
	Digest [sha256.Size]byte
	Keys   int64
}

// Bounds of marks: how many places may be waited for, and how many that were are
// remembered for replicas that have yet to be sent what leads to them.
const (
	maxMarks    = 16
	passedMarks = 16
)

// mark is a place that somebody wants to see the shard's state at.
type mark struct {
	index raftlog.Index
	// got receives the state when it is reached, nil when it is passed.
	got chan *Pinned
}

// marks are those of a shard.
type marks struct {
	sync.Mutex
	waiting []*mark
	passed  []raftlog.Index // of late, the newest last
}

// Checksum returns the digest at an index, which is waited for until ctx ends; 0: as
// the shard is now. history names the shard's own log. Clients are not held up: it is
// read from an engine snapshot. Errors: ErrPassed, ErrNotReached, ErrManyMarks, ctx's
// while reading, the engine's.
func (s *Shard) Checksum(ctx, wait context.Context, history string, at raftlog.Index) (c Checksum, err error) {
	p, err := s.pinAt(wait, at)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if c.Own, err = readPosition(p); err != nil {
		return c, err
	}
	c.History, c.Index = history, c.Own
	source, err := readSource(p)
	if err != nil {
		return c, err
	}
	if source != nil {
		c.SourcePosition = *source
	}
	ks, err := keyspace.Open(p)
	if err != nil {
		return c, fmt.Errorf("shard: open keyspace: %w", err)
	}
	for _, n := range ks.Counts() {
		c.Keys += n.Keys
	}
	c.Digest, err = digestOf(ctx, p)
	return c, err
}

// placeIn is the place that a state is of.
func placeIn(r engine.Reader) (raftlog.Index, error) {
	source, err := readSource(r)
	if err != nil || source != nil {
		if source != nil {
			return source.Index, nil
		}
		return 0, err
	}
	return readPosition(r)
}

// pinAt returns the state at an index, 0 the present one.
func (s *Shard) pinAt(ctx context.Context, at raftlog.Index) (*Pinned, error) {
	if at == 0 {
		return s.pinNow(), nil
	}
	m := &mark{index: at, got: make(chan *Pinned, 1)}
	if err := s.addMark(m); err != nil {
		return nil, err
	}
	// Looked at after the mark is there: what is applied from here on will see it.
	p := s.pinNow()
	now, err := placeIn(p)
	if err == nil && now == at {
		return p, s.dropMark(m)
	}
	if err = errors.Join(err, p.Close()); err != nil || now > at {
		if err == nil {
			err = fmt.Errorf("%w: at entry %d, wanted is %d", ErrPassed, now, at)
		}
		return nil, errors.Join(err, s.dropMark(m))
	}
	select {
	case p := <-m.got:
		if p == nil {
			return nil, fmt.Errorf("%w: at entry %d, wanted is %d", ErrPassed, s.place(), at)
		}
		return p, nil
	case <-ctx.Done():
		return nil, errors.Join(fmt.Errorf("%w: at entry %d, wanted is %d", ErrNotReached, s.place(), at), s.dropMark(m))
	case <-s.ctx.Done():
		return nil, errors.Join(ErrClosed, s.dropMark(m))
	}
}

func (s *Shard) pinNow() *Pinned {
	st := s.acquire()
	p := &Pinned{Snapshot: st.eng.NewSnapshot(), s: s}
	p.pin = pin{snap: p.Snapshot, st: st, made: s.o.Clock()}
	return p
}

// place is where readers see the shard.
func (s *Shard) place() raftlog.Index {
	if p := s.source.Load(); p != nil {
		return p.Index
	}
	return s.Applied()
}

func (s *Shard) addMark(m *mark) error {
	s.marks.Lock()
	defer s.marks.Unlock()
	if len(s.marks.waiting) >= maxMarks {
		return ErrManyMarks
	}
	s.marks.waiting = append(s.marks.waiting, m)
	s.marked.Add(1)
	return nil
}

// dropMark ends a mark that is not waited for any more.
func (s *Shard) dropMark(m *mark) error {
	s.marks.Lock()
	i := slices.Index(s.marks.waiting, m)
	if i >= 0 {
		s.endMarkLocked(i)
	}
	s.marks.Unlock()
	select {
	case p := <-m.got:
		if p != nil {
			return p.Close()
		}
	default:
	}
	return nil
}

func (s *Shard) endMarkLocked(i int) {
	s.marks.passed = append(s.marks.passed, s.marks.waiting[i].index)
	if n := len(s.marks.passed); n > passedMarks {
		s.marks.passed = slices.Delete(s.marks.passed, 0, n-passedMarks)
	}
	s.marks.waiting = slices.Delete(s.marks.waiting, i, i+1)
	s.marked.Add(-1)
}

// reachMarks hands out the state to those that wait for it. On the group's goroutine,
// when an entry was applied and the next one is not.
func (s *Shard) reachMarks() {
	at := s.place()
	s.marks.Lock()
	defer s.marks.Unlock()
	for i := len(s.marks.waiting) - 1; i >= 0; i-- {
		m := s.marks.waiting[i]
		if m.index > at {
			continue
		}
		var p *Pinned
		if m.index == at {
			p = s.pinNow()
		}
		m.got <- p
		s.endMarkLocked(i)
	}
}

// Mark returns the first index, above one and up to another, at which somebody wants, or
// of late wanted, to compare nodes; 0: none. What a replica is sent ends there, and so
// does what it applies at once: else it would never be in that state.
func (s *Shard) Mark(above, upTo raftlog.Index) (first raftlog.Index) {
	s.marks.Lock()
	defer s.marks.Unlock()
	look := func(i raftlog.Index) {
		if i > above && i <= upTo && (first == 0 || i < first) {
			first = i
		}
	}
	for _, m := range s.marks.waiting {
		look(m.index)
	}
	for _, i := range s.marks.passed {
		look(i)
	}
	return first
}

// digestChecks is after how many records digestOf looks whether it is to go on.
const digestChecks = 1 << 12

// digestOf hashes the records of a state, each with the lengths of its key and value
// before them.
func digestOf(ctx context.Context, r engine.Reader) (sum [sha256.Size]byte, err error) {
	it, err := r.NewIter(engine.IterOptions{})
	if err != nil {
		return sum, fmt.Errorf("shard: checksum: %w", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	h := sha256.New()
	var buf []byte
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		if n++; n%digestChecks == 0 && ctx.Err() != nil {
			return sum, ctx.Err()
		}
		key := it.Key()
		if isOwn(key) {
			continue
		}
		value, err := it.Value()
		if err != nil {
			return sum, fmt.Errorf("shard: checksum: %w", err)
		}
		buf = binary.AppendUvarint(buf[:0], uint64(len(key)))
		buf = append(buf, key...)
		buf = binary.AppendUvarint(buf, uint64(len(value)))
		h.Write(buf)
		h.Write(value)
	}
	if err := it.Err(); err != nil {
		return sum, fmt.Errorf("shard: checksum: %w", err)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}
