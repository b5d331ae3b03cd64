package keyspace

import (
	"fmt"

	"dkv/engine"
)

// Delete deletes an entry and reports whether it was there.
func (s *Stream) Delete(id StreamID) (deleted bool, err error) {
	if s.size == 0 || id.Less(s.FirstID) || s.top.Less(id) {
		return false, nil
	}
	tx := s.tx
	if tx.old, deleted, err = s.get(tx.old[:0], s.idKey(streamEntryKind, id)); err != nil || !deleted {
		return false, err
	}
	n, err := s.nodeOf(id)
	if err != nil {
		return false, err
	}
	tx.ov.Delete(s.idKey(streamEntryKind, id))
	s.size--
	s.dead++
	s.dirty, s.modified = true, true
	if s.MaxDeleted.Less(id) {
		s.MaxDeleted = id
	}
	n.live--
	n.deleted++
	if n.live == 0 {
		err = s.dropNode(&n)
	} else {
		s.storeNode(&n)
	}
	if err == nil && id == s.FirstID {
		err = s.findFirst(id)
	}
	if err == nil && id == s.top {
		err = s.findTop(id)
	}
	return err == nil, err
}

// Trim says what to cut off a stream's beginning: all but MaxLen entries, or, with
// ByID, the entries below MinID.
type Trim struct {
	ByID   bool
	MaxLen int64
	MinID  StreamID
	// Approx: only whole nodes, and no more than Limit entries unless that is 0.
	Approx bool
	Limit  int64
}

// Trim cuts entries off the beginning and returns how many.
func (s *Stream) Trim(t Trim) (removed int64, err error) {
	before := s.size
	c := cutting{s: s, t: &t}
	if err = c.run(); err != nil || !c.changed {
		return 0, err
	}
	removed = int64(before - s.size)
	if removed > 0 {
		s.dead += uint64(removed)
		s.modified = true
	}
	s.dirty = true
	return removed, nil
}

// cutting is a trim at work.
type cutting struct {
	s       *Stream
	t       *Trim
	nodes   uint64 // whole nodes that go
	entries uint64
	end     StreamID // the last id of these nodes
	changed bool
}

func (c *cutting) run() error {
	s := c.s
	if c.nothing() {
		return nil
	}
	if c.all() {
		c.clear()
		return nil
	}
	left, err := s.nodeAt(s.lowNode)
	if err != nil {
		return err
	}
	first := left.first
	stays := c.stays(&left)
	if !stays && s.nodes > 1 {
		after, _ := left.last.Next()
		err := s.eachNode(after, false, func(n *streamNode) bool {
			stays, left = c.stays(n), *n
			return !stays
		})
		if err != nil {
			return err
		}
		if !stays {
			stays, left = c.stays(&s.tail), s.tail
		}
	}
	if !stays {
		c.clear()
		return nil
	}
	if c.nodes > 0 {
		c.changed = true
		s.dropEntries(s.FirstID, c.end, c.entries)
		s.dropNodes(first, c.end, c.nodes)
		s.nodes -= c.nodes
		s.size -= c.entries
		s.lowNode = left.first
	}
	return c.within(&left)
}

// nothing reports, by the Meta record alone, that nothing goes.
func (c *cutting) nothing() bool {
	s, t := c.s, c.t
	return s.nodes == 0 || t.ByID && !s.lowNode.Less(t.MinID) || !t.ByID && s.size <= uint64(t.MaxLen)
}

// all reports whether everything goes, without a look at the nodes.
func (c *cutting) all() bool {
	switch {
	case c.t.Limit != 0:
		return false
	case c.t.ByID:
		return c.s.tail.last.Less(c.t.MinID)
	}
	return c.t.MaxLen == 0 && c.s.tail.live != 0
}

// clear takes everything out.
func (c *cutting) clear() {
	s := c.s
	s.dropEntries(s.FirstID, s.top, s.size)
	s.dropNodes(s.lowNode, s.tail.first, s.nodes-1) // the tail has no record
	s.size, s.nodes = 0, 0
	s.FirstID, s.lowNode, s.tail = StreamID{}, StreamID{}, streamNode{}
	c.changed = true
}

// stays reports whether a node stays, at least in part; another is counted.
func (c *cutting) stays(n *streamNode) bool {
	if !c.takes(n) {
		return true
	}
	c.nodes++
	c.entries += n.live
	c.end = n.last
	return false
}

// takes reports whether a node goes as a whole.
func (c *cutting) takes(n *streamNode) bool {
	t, length := c.t, c.s.size-c.entries
	if t.Limit != 0 && c.entries+n.live > uint64(t.Limit) {
		return false
	}
	if t.ByID {
		return n.last.Less(t.MinID)
	}
	return length > uint64(t.MaxLen) && length-n.live >= uint64(t.MaxLen)
}

// within cuts entries off the first node that stays, and finds the first entry.
func (c *cutting) within(n *streamNode) error {
	s, t := c.s, c.t
	gone := uint64(0)
	found := false
	from := n.first
	if c.nodes == 0 {
		from = s.FirstID
	}
	if c.nodes == 0 && (t.Approx || n.live == 0 || t.ByID && !s.FirstID.Less(t.MinID)) {
		return nil
	}
	err := s.eachKey(from, n.last, func(id StreamID, key []byte) bool {
		if t.Approx || t.ByID && !id.Less(t.MinID) || !t.ByID && s.size-gone <= uint64(t.MaxLen) {
			s.FirstID, found = id, true
			return false
		}
		s.tx.ov.Delete(key)
		gone++
		return s.size != gone
	})
	if err != nil {
		return err
	}
	if gone > 0 {
		c.changed = true
		s.size -= gone
		n.live -= gone
		n.deleted += gone
		s.storeNode(n)
	}
	if found {
		return nil
	}
	return s.findFirst(n.last)
}

// findFirst sets FirstID, when there is no entry up to an id any more.
func (s *Stream) findFirst(gone StreamID) error {
	if s.size == 0 {
		s.FirstID = StreamID{}
		return nil
	}
	first := StreamID{}
	err := s.eachKey(gone, s.top, func(id StreamID, _ []byte) bool {
		first = id
		return false
	})
	if err == nil && first.IsZero() {
		err = fmt.Errorf("%w: a stream of %d entries has none", ErrCorrupt, s.size)
	}
	s.FirstID = first
	return err
}

// findTop sets top, when there is no entry from an id on any more.
func (s *Stream) findTop(gone StreamID) error {
	if s.size == 0 {
		return nil
	}
	return s.each(s.FirstID, gone, true, true, func(id StreamID, _ []byte) (bool, error) {
		s.top = id
		return false, nil
	})
}

// eachKey goes over the entries from one id to another, whatever FirstID says.
func (s *Stream) eachKey(from, to StreamID, emit func(id StreamID, key []byte) bool) error {
	o := s.idRange(streamEntryKind, from, to)
	o.KeysOnly = true
	return s.eachRecord(o, false, func(key, _ []byte) (bool, error) {
		id, err := idAt(key, elementPrefixBytes+1)
		return err == nil && emit(id, key), err
	})
}

// dropEntries deletes n entries between two ids.
func (s *Stream) dropEntries(from, to StreamID, n uint64) {
	s.drop(s.idRange(streamEntryKind, from, to), n)
}

// dropNodes deletes the records of n nodes.
func (s *Stream) dropNodes(from, to StreamID, n uint64) {
	s.drop(s.idRange(streamNodeKind, from, to), n)
}

// drop deletes n records: one by one, unless they are many.
func (s *Stream) drop(o engine.IterOptions, n uint64) {
	if n == 0 {
		return
	}
	if n <= dropByElement {
		o.KeysOnly = true
		err := s.eachRecord(o, false, func(key, _ []byte) (bool, error) {
			s.tx.ov.Delete(key)
			n--
			return n > 0, s.tx.ov.Batch().Err()
		})
		if err == nil {
			return
		}
		// What is wrong will show when they are next wanted.
	}
	s.tx.ov.DeleteRange(o.Lower, o.Upper)
}

// putNode writes the record of a node that is not the tail.
func (s *Stream) putNode(n *streamNode) {
	tx := s.tx
	tx.old = n.append(tx.old[:0])
	tx.ov.Put(s.idKey(streamNodeKind, n.first), tx.old)
}

// storeNode keeps a node that has changed.
func (s *Stream) storeNode(n *streamNode) {
	if n.first == s.tail.first {
		s.tail = *n
		s.dirty = true
		return
	}
	s.putNode(n)
}

// nodeOf returns the node that an entry belongs to.
func (s *Stream) nodeOf(id StreamID) (n streamNode, err error) {
	if !id.Less(s.tail.first) {
		return s.tail, nil
	}
	if id == s.FirstID || s.nodes == 2 { // mostly in the first one, and no search is needed
		if n, err = s.nodeAt(s.lowNode); err != nil || !n.last.Less(id) {
			return n, err
		}
	}
	err = s.eachNode(id, true, func(found *streamNode) bool {
		n = *found
		return false
	})
	if err == nil && (n.live == 0 || n.last.Less(id)) {
		err = fmt.Errorf("%w: entry %s of a stream is in no node", ErrCorrupt, id)
	}
	return n, err
}

// nodeAt returns the node that begins with an id.
func (s *Stream) nodeAt(first StreamID) (n streamNode, err error) {
	if first == s.tail.first {
		return s.tail, nil
	}
	tx := s.tx
	found := false
	if tx.old, found, err = s.get(tx.old[:0], s.idKey(streamNodeKind, first)); err != nil {
		return n, err
	}
	if !found {
		return n, fmt.Errorf("%w: a stream without its node %s", ErrCorrupt, first)
	}
	return parseStreamNode(first, tx.old)
}

// eachNode goes over the nodes that have records, from one on, or backwards from the
// one that an id belongs to.
func (s *Stream) eachNode(from StreamID, backwards bool, emit func(n *streamNode) bool) error {
	o := s.idRange(streamNodeKind, from, s.tail.first)
	if backwards {
		o = s.idRange(streamNodeKind, s.lowNode, from)
	}
	return s.eachRecord(o, backwards, func(key, value []byte) (bool, error) {
		first, err := idAt(key, elementPrefixBytes+1)
		if err != nil {
			return false, err
		}
		n, err := parseStreamNode(first, value)
		return err == nil && emit(&n), err
	})
}

// dropNode takes out a node whose entries are all gone.
func (s *Stream) dropNode(n *streamNode) error {
	s.nodes--
	isTail := n.first == s.tail.first
	if !isTail {
		s.tx.ov.Delete(s.idKey(streamNodeKind, n.first))
	}
	switch {
	case s.nodes == 0:
		s.lowNode, s.tail = StreamID{}, streamNode{}
		return nil
	case isTail: // entries are added to the one before
		err := s.eachNode(n.first, true, func(before *streamNode) bool {
			s.tail = *before
			return false
		})
		if err == nil && s.tail.first == n.first {
			err = fmt.Errorf("%w: a stream without the node before %s", ErrCorrupt, n.first)
		}
		if err == nil {
			s.tx.ov.Delete(s.idKey(streamNodeKind, s.tail.first))
		}
		return err
	case n.first == s.lowNode:
		s.lowNode = s.tail.first
		if s.nodes == 1 {
			return nil
		}
		return s.eachNode(n.last, false, func(next *streamNode) bool {
			s.lowNode = next.first
			return false
		})
	}
	return nil
}
