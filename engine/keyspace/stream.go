package keyspace

import (
	"encoding/binary"
	"fmt"

	"dkv/engine"
)

// Stream is a stream, as a key that a Tx found holds it: entries in the order of
// their ids, and groups of consumers (see Group). It is there without entries too, once
// it was created. But for the Entry's Body it is valid over further lookups.
//
// What is read of its records must be of one state, as with Collection: over a live
// engine only what the Meta record says.
//
// Changes reach the batch by themselves, except for the Meta record: Save must follow
// them.
type Stream struct {
	Entry
	head
	streamState
	tx *Tx
	// dirty: the Meta record must be written; modified: for WATCH, the key changed.
	dirty, modified bool
}

// streamState is what a stream's Meta record holds behind the head, whose size is the
// number of entries. Numbers are uvarints, ids (ms, sequence) with their time as a
// difference from the last id's, or the tail's from its first.
//
//	last id  first  top  max deleted  added  groups  next group  nodes
//	first node  tail there 1  tail's first  tail (see streamNode)
type streamState struct {
	// LastID is the id that was given out last, or set by XSETID.
	LastID StreamID
	// FirstID is the first entry's, 0-0 when there is none; top the last one's. Ranges
	// keep within them, so that a queue does not walk over the tombstones of what was
	// trimmed.
	FirstID, top StreamID
	// MaxDeleted is the greatest id that XDEL has deleted.
	MaxDeleted StreamID
	// Added is how many entries were ever added.
	Added uint64
	// groups is the number of groups, nextGroup the number that the next one gets.
	groups, nextGroup uint64
	// nodes is how many nodes there are, lowNode the first one's id; tail, if there
	// are any, the last one.
	nodes   uint64
	lowNode StreamID
	tail    streamNode
}

func (s *streamState) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, s.LastID.MS)
	dst = binary.AppendUvarint(dst, s.LastID.Seq)
	for _, id := range [...]StreamID{s.FirstID, s.top, s.MaxDeleted} {
		dst = id.appendFrom(dst, s.LastID)
	}
	for _, n := range [...]uint64{s.Added, s.groups, s.nextGroup, s.nodes} {
		dst = binary.AppendUvarint(dst, n)
	}
	if s.nodes == 0 {
		return dst
	}
	dst = s.lowNode.appendFrom(dst, s.LastID)
	dst = s.tail.first.appendFrom(dst, s.LastID)
	return s.tail.append(dst)
}

func parseStreamState(b []byte) (s streamState, err error) {
	r := streamReader{b: b}
	s.LastID = StreamID{r.uint(), r.uint()}
	s.FirstID, s.top, s.MaxDeleted = r.id(s.LastID), r.id(s.LastID), r.id(s.LastID)
	s.Added, s.groups, s.nextGroup, s.nodes = r.uint(), r.uint(), r.uint(), r.uint()
	if s.nodes != 0 {
		s.lowNode = r.id(s.LastID)
		s.tail.first = r.id(s.LastID)
		s.tail.take(&r)
	}
	return s, r.end("the numbers of a stream")
}

// The records of a stream stand behind its prefix (see element.go), by kind:
//
//	0x00  id 16                     entry: uvarint(number of strings), then each with its length
//	0x01  id 16                     node (see streamNode)
//	0x02  name                      group (see Group)
//	0x03  group 8  ...              what belongs to a group (see stream_group.go)
const (
	streamEntryKind = iota
	streamNodeKind
	streamGroupKind
	streamMemberKind
)

// Stream returns what a key holds, as a stream; one that does not exist is created by
// the first change. Errors: ErrWrongType, or wraps ErrCorrupt.
func (tx *Tx) Stream(e Entry) (*Stream, error) {
	s := new(Stream)
	return s, tx.OpenStream(s, e)
}

// OpenStream is Stream into memory of the caller's.
func (tx *Tx) OpenStream(s *Stream, e Entry) (err error) {
	*s = Stream{Entry: e, tx: tx}
	if !e.Exists() {
		return nil
	}
	if e.Type != TypeStream {
		return ErrWrongType
	}
	h, rest, err := parseHead(TypeStream, e.Body)
	if err != nil {
		return err
	}
	s.head = h
	s.streamState, err = parseStreamState(rest)
	return err
}

// Len returns the number of entries.
func (s *Stream) Len() int64 { return int64(s.size) }

// Nodes returns the number of nodes that Redis would keep the entries in.
func (s *Stream) Nodes() int64 { return int64(s.nodes) }

// Groups returns the number of groups.
func (s *Stream) Groups() int64 { return int64(s.groups) }

// Top returns the id of the last entry, 0-0 when there is none.
func (s *Stream) Top() StreamID {
	if s.size == 0 {
		return StreamID{}
	}
	return s.top
}

// Create makes the stream exist, if it does not: with no entries.
func (s *Stream) Create() {
	if s.Exists() || s.separate {
		return
	}
	s.head = head{separate: true}
	s.Version = s.tx.NextVersion()
	s.dirty, s.modified = true, true
}

// Append adds an entry, whose id must be above LastID: fields and values take turns,
// of up to MaxEntryBytes in all.
func (s *Stream) Append(id StreamID, fields [][]byte, limits NodeLimits) {
	s.Create()
	bytes := uint64(0)
	for _, f := range fields {
		bytes += uint64(len(f))
	}
	if s.nodes != 0 && !s.tail.last.Less(id) {
		// XSETID has gone back behind entries that were deleted.
		if s.tail.last = s.top; s.size == 0 {
			s.nodes, s.lowNode, s.tail = 0, StreamID{}, streamNode{}
		}
	}
	if s.nodes != 0 && s.tail.full(limits, bytes) {
		s.putNode(&s.tail)
		s.tail = streamNode{}
	}
	if s.tail == (streamNode{}) {
		if s.nodes++; s.nodes == 1 {
			s.lowNode = id
		}
		s.tail = newStreamNode(id, fields)
	}
	s.tail.add(id, fields)
	tx := s.tx
	tx.old = appendStreamEntry(tx.old[:0], fields)
	tx.ov.Put(s.idKey(streamEntryKind, id), tx.old)
	if s.size++; s.size == 1 {
		s.FirstID = id
	}
	s.LastID, s.top = id, id
	s.Added++
	s.dirty, s.modified = true, true
}

// SetID sets what XSETID sets.
func (s *Stream) SetID(last StreamID, added uint64, maxDeleted StreamID) {
	s.LastID, s.Added, s.MaxDeleted = last, added, maxDeleted
	s.dirty = true
}

// Save writes the Meta record if it changed. As in Redis, what changes groups alone,
// or comes from XSETID, is no change for WATCH.
func (s *Stream) Save() {
	if !s.dirty {
		return
	}
	tx := s.tx
	m := Meta{Type: TypeStream, ExpireAt: s.ExpireAt, Version: s.Version}
	tx.body = s.streamState.append(s.head.append(tx.body[:0]))
	m.Body = tx.body
	if s.modified {
		tx.put(&s.Entry, &m)
	} else {
		tx.record = m.AppendTo(tx.record[:0])
		tx.key = appendMetaKey(tx.key[:0], s.db, s.slot, s.key)
		tx.ov.Put(tx.key, tx.record)
		tx.noteOwned(&s.Entry)
	}
	s.dirty, s.modified = false, false
}

func appendStreamEntry(dst []byte, fields [][]byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(fields)))
	for _, f := range fields {
		dst = appendSized(dst, f)
	}
	return dst
}

// parseStreamEntry appends the fields and values of an entry to dst.
func parseStreamEntry(dst [][]byte, b []byte) ([][]byte, error) {
	r := streamReader{b: b}
	n := r.uint()
	if n%2 != 0 || n > uint64(len(r.b)) {
		return dst, fmt.Errorf("%w: a stream's entry of %d strings", ErrCorrupt, n)
	}
	for range n {
		dst = append(dst, r.string())
	}
	return dst, r.end("a stream's entry")
}

// Range calls emit for the entries with ids from one to another, both included, in
// their order or backwards, until it returns false. The slices are valid during the
// call, in which the stream must not be changed.
func (s *Stream) Range(from, to StreamID, backwards bool, emit func(id StreamID, fields [][]byte) bool) error {
	var fields [][]byte
	return s.each(from, to, backwards, false, func(id StreamID, value []byte) (bool, error) {
		var err error
		if fields, err = parseStreamEntry(fields[:0], value); err != nil {
			return false, err
		}
		return emit(id, fields), nil
	})
}

// Get appends the fields and values of an entry to fields; found is false when there
// is no such entry. They are valid until the next call.
func (s *Stream) Get(fields [][]byte, id StreamID) (_ [][]byte, found bool, err error) {
	tx := s.tx
	if tx.old, found, err = s.get(tx.old[:0], s.idKey(streamEntryKind, id)); err != nil || !found {
		return fields, false, err
	}
	fields, err = parseStreamEntry(fields, tx.old)
	return fields, err == nil, err
}

func (s *Stream) get(dst, key []byte) (value []byte, found bool, err error) {
	if value, found, err = s.tx.r.Get(dst, key); err != nil {
		err = fmt.Errorf("keyspace: read stream: %w", err)
	}
	return value, found, err
}

// each goes over the entries of a range, for as long as emit says.
func (s *Stream) each(from, to StreamID, backwards, keysOnly bool, emit func(id StreamID, value []byte) (bool, error)) error {
	if s.size == 0 {
		return nil
	}
	if from.Less(s.FirstID) {
		from = s.FirstID
	}
	if s.top.Less(to) {
		to = s.top
	}
	o := s.idRange(streamEntryKind, from, to)
	o.KeysOnly = keysOnly
	return s.eachRecord(o, backwards, func(key, value []byte) (bool, error) {
		id, err := idAt(key, elementPrefixBytes+1)
		if err != nil {
			return false, err
		}
		return emit(id, value)
	})
}

// eachRecord goes over records, for as long as emit says.
func (s *Stream) eachRecord(o engine.IterOptions, backwards bool, emit func(key, value []byte) (bool, error)) error {
	it, err := s.tx.r.NewIter(o)
	if err != nil {
		return fmt.Errorf("keyspace: iterate stream: %w", err)
	}
	first, next := it.First, it.Next
	if backwards {
		first, next = it.Last, it.Prev
	}
	for ok := first(); ok; ok = next() {
		var value []byte
		if !o.KeysOnly {
			if value, err = it.Value(); err != nil {
				break
			}
		}
		var more bool
		if more, err = emit(it.Key(), value); err != nil || !more {
			break
		}
	}
	return endIteration(it, err)
}

// prefix puts what the keys of a kind begin with into tx.elem.
func (s *Stream) prefix(kind byte) []byte {
	tx := s.tx
	slot := s.slot
	if s.away {
		slot = s.home
	}
	tx.elem = append(appendPrefix(tx.elem[:0], kindElement, s.db, slot, s.Version), kind)
	return tx.elem
}

// idKey puts the key of an entry or a node into tx.elem.
func (s *Stream) idKey(kind byte, id StreamID) []byte {
	s.tx.elem = id.appendKey(s.prefix(kind))
	return s.tx.elem
}

// idRange returns the bounds of the records of a kind from one id to another, both
// included.
func (s *Stream) idRange(kind byte, from, to StreamID) (o engine.IterOptions) {
	o.Lower = append(o.Lower, s.idKey(kind, from)...)
	o.Upper = append(o.Upper, s.idKey(kind, to)...)
	o.Upper = append(o.Upper, 0) // behind the last
	return o
}
