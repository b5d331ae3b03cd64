package shard

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
	"dkv/engine"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Errors of a replica's shard.
var (
	// ErrReadOnly: the shard follows a source. Nothing was written.
	ErrReadOnly = errors.New("READONLY You can't write against a read only replica.")
	// ErrSourceMoved: a source's batches do not follow what the shard has.
	ErrSourceMoved = errors.New("shard: the batches do not follow the source's position")
)

// sourceKey's record says how far a replica has followed its source. It changes
// in one engine write with the data, and is gone once clients may write.
//
//	"ssource"   version 1 (1 byte), index 8, term 8 (big endian), history
var sourceKey = []byte("ssource")

const (
	sourceVersion   = 1
	sourceHeadBytes = 1 + 8 + 8
	maxHistoryBytes = 256
)

// ownPrefixes begin the keys of the records that are a node's own: those of a
// source's batches say nothing about its replica.
var ownPrefixes = [][]byte{positionKey, confKey, sourceKey, rawPrefix}

// SourcePosition is how far a replica has got in the log of its source. History
// is the source's cluster id: indexes and terms mean something only within it.
type SourcePosition struct {
	History string
	Position
}

func (p SourcePosition) encode() []byte {
	b := append(make([]byte, 0, sourceHeadBytes+len(p.History)), sourceVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Index))
	b = binary.BigEndian.AppendUint64(b, uint64(p.Term))
	return append(b, p.History...)
}

func decodeSource(b []byte) (p SourcePosition, err error) {
	if len(b) <= sourceHeadBytes || len(b) > sourceHeadBytes+maxHistoryBytes || b[0] != sourceVersion {
		return p, fmt.Errorf("%w: a source's position of %d bytes", engine.ErrDataFormat, len(b))
	}
	p.Index = raftlog.Index(binary.BigEndian.Uint64(b[1:]))
	p.Term = raftlog.Term(binary.BigEndian.Uint64(b[9:]))
	p.History = string(b[sourceHeadBytes:])
	return p, nil
}

// readSource returns nil for a shard that follows no source.
func readSource(r engine.Reader) (*SourcePosition, error) {
	v, found, err := r.Get(nil, sourceKey)
	if err != nil {
		return nil, fmt.Errorf("shard: read the source's position: %w", err)
	}
	if !found {
		return nil, nil
	}
	p, err := decodeSource(v)
	if err != nil {
		return nil, fmt.Errorf("shard: read the source's position: %w", err)
	}
	return &p, nil
}

// SourceBatch is what a replica takes from its source's log at a time.
type SourceBatch struct {
	// From is the position that the shard must have, To the one that it then has.
	From, To SourcePosition
	// Batches are the entries between the two, in the form in which they stand in
	// the log. They are not changed.
	Batches [][]byte
	// Forget, when set, is all that is done: the shard follows no source any more.
	Forget bool
}

// Follow says whether the shard follows a source. While it does, tasks that write are
// refused with ErrReadOnly, but for those with a Source or a Step, and expired keys are
// hidden and not deleted. What was submitted before may still be written. The waits of
// all who are parked end as it begins; afterwards only tasks that read may be.
func (s *Shard) Follow(on bool) {
	s.following.Store(on)
	if on {
		s.lot.clear(ErrForcedOut)
	}
}

// Source returns how far the shard has followed its source, false when it follows
// none or does not know its place yet.
func (s *Shard) Source() (SourcePosition, bool) {
	if p := s.source.Load(); p != nil {
		return *p, true
	}
	return SourcePosition{}, false
}

// runSource applies a source's batch: it is no evaluation but a copy, so the
// keyspace follows it as a follower's does.
func (s *Shard) runSource(t *Task) {
	w := &s.w
	w.started = s.o.Clock()
	term := raftlog.Term(s.leads.Load())
	if term == 0 {
		t.finish(ErrNotLeader)
		return
	}
	st := s.acquire()
	if err := st.eng.Writable(); err != nil {
		st.Release()
		t.finish(refusal(err))
		return
	}
	data, err := s.sourceData(t.Source)
	if err != nil {
		st.Release()
		t.finish(err)
		return
	}
	w.st, w.raw, w.copies = st, false, true
	w.tasks = append(w.tasks[:0], t)
	s.noteSource(st, t.Source.Batches)
	s.propose(term, data)
	w.copies, w.stale = false, true
	s.serveReaders()
}

// sourceData makes one batch of this node's own of a source's batches.
func (s *Shard) sourceData(sb *SourceBatch) ([]byte, error) {
	var b engine.Batch
	b.Put(positionKey, emptyPosition[:])
	if sb.Forget {
		b.Delete(sourceKey)
		return b.Repr(), nil
	}
	if at := s.source.Load(); at == nil || *at != sb.From || sb.To.History != sb.From.History || sb.To.Index < sb.From.Index {
		return nil, ErrSourceMoved
	}
	b.Put(sourceKey, sb.To.encode())
	b.SetTime(newestTime(sb.Batches))
	for _, repr := range sb.Batches {
		if err := appendForeign(&b, repr); err != nil {
			return nil, err
		}
	}
	if b.Err() != nil {
		return nil, ErrTooBig
	}
	return b.Repr(), nil
}

// newestTime is that of the latest of some batches: what a replica applies together
// is as old as its newest part.
func newestTime(batches [][]byte) (unixMilli int64) {
	for _, repr := range batches {
		unixMilli = max(unixMilli, engine.BatchTime(repr))
	}
	return unixMilli
}

// appendForeign adds the records of a batch that are not its node's own.
func appendForeign(b *engine.Batch, repr []byte) error {
	r, err := engine.ReadBatch(repr)
	if err != nil {
		return fmt.Errorf("shard: a source's batch: %w", err)
	}
	for {
		kind, key, value, ok, err := r.Next()
		switch {
		case err != nil:
			return fmt.Errorf("shard: a source's batch: %w", err)
		case !ok:
			return nil
		case isOwn(key):
			continue
		}
		switch kind {
		case engine.KindPut:
			b.Put(key, value)
		case engine.KindDelete:
			b.Delete(key)
		case engine.KindDeleteRange:
			b.DeleteRange(key, value)
		}
	}
}

func isOwn(key []byte) bool {
	if key[0] != 's' {
		return false
	}
	for _, p := range ownPrefixes {
		if bytes.HasPrefix(key, p) {
			return true
		}
	}
	return false
}

// followSource notes the source's position that a batch has led to.
func (s *Shard) followSource(kind engine.Kind, value []byte) error {
	if kind != engine.KindPut {
		s.source.Store(nil)
		return nil
	}
	p, err := decodeSource(value)
	if err != nil {
		return err
	}
	s.source.Store(&p)
	return nil
}

// propose sees a batch of the writer's through: it is logged and applied, and the
// tasks are told.
func (s *Shard) propose(term raftlog.Term, data []byte) {
	w := &s.w
	if err := s.o.Log.Reserve(int64(len(data))); err != nil {
		if errors.Is(err, engine.ErrNoSpace) {
			s.refusedForSpace.Store(true)
		} else {
			s.o.Logger.Error("cannot reserve log space", "err", err)
		}
		s.abandon(refusal(err))
		return
	}
	w.proposal = consensus.Proposal{Term: term, Data: data, IndexOffset: positionOffset, Context: s}
	s.group.Propose(&w.proposal)
	switch err := w.proposal.Wait(); {
	case err == nil:
		// The state machine has told the tasks, see Apply, unless a raft snapshot
		// has replaced the state that they were evaluated on.
		if len(w.tasks) > 0 {
			s.abandon(nil)
			w.term = 0
		}
	case errors.Is(err, consensus.ErrTermChanged), errors.Is(err, consensus.ErrNotLeader):
		s.abandon(ErrNotLeader)
	case errors.Is(err, consensus.ErrStopped):
		s.abandon(ErrClosed)
	default:
		s.abandon(ErrUncertain)
		s.lot.clear(ErrNotLeader) // for what may be applied yet, nobody would be tried
		w.term = 0                // it may be applied yet: start from the engine again
	}
}

// Replace switches a shard without other members to a state that was received from
// a source, which Options.Store has for snap: snap's index is a new one of this
// shard's own log, above all that it ever had, and its data is SourceData. Errors:
// consensus.ErrNotAlone, ErrClosed, ctx's; a failure while switching stops the node.
func (s *Shard) Replace(ctx context.Context, snap *pb.Snapshot) error {
	if len(snap.GetData()) == 0 {
		return errors.New("shard: a state without its source's position")
	}
	err := s.group.Replace(ctx, snap)
	if errors.Is(err, consensus.ErrStopped) {
		return ErrClosed
	}
	if err != nil {
		return fmt.Errorf("shard: replace the state: %w", err)
	}
	return nil
}

// replaceGap is how far above the log's end a replaced state begins. A crash of the
// machine may lose the log's last entries, which replicas of this node may have:
// an index must not mean something else afterwards.
const replaceGap = 1 << 20

// Replacement is the announcement of a state that is to be received from a source,
// whose position is p, and then given to Replace.
func (s *Shard) Replacement(p SourcePosition) *pb.Snapshot {
	st := s.group.Status()
	return &pb.Snapshot{
		Data: p.encode(),
		Metadata: &pb.SnapshotMetadata{
			Index: new(uint64(s.Applied()) + replaceGap), Term: new(uint64(st.Term)),
			ConfState: &pb.ConfState{Voters: []uint64{uint64(s.o.NodeID)}},
		},
	}
}
