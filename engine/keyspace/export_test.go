package keyspace

import "fmt"

// Now is the time that a collection is looked at.
func (c *Collection) Now() int64 { return c.tx.now }

// RebuildAfter makes small collections be made anew after so many removals, and
// returns what undoes that.
func RebuildAfter(n uint64) (undo func()) {
	was := rebuildAfter
	rebuildAfter = n
	return func() { rebuildAfter = was }
}

// CheckStream checks what must hold between the records of a stream, and returns how
// many it has.
func CheckStream(s *Stream) (records int, err error) {
	var nodes []streamNode
	if s.nodes > 1 {
		if err := s.eachNode(s.lowNode, false, func(n *streamNode) bool { nodes = append(nodes, *n); return true }); err != nil {
			return 0, err
		}
	}
	if s.nodes > 0 {
		nodes = append(nodes, s.tail)
	}
	if uint64(len(nodes)) != s.nodes || s.nodes > 0 && nodes[0].first != s.lowNode {
		return 0, fmt.Errorf("%d nodes of %d, the first %v, want %v", len(nodes), s.nodes, nodes, s.lowNode)
	}
	var total uint64
	for i, n := range nodes {
		live := uint64(0)
		err := s.eachKey(n.first, n.last, func(StreamID, []byte) bool { live++; return true })
		if err != nil || live != n.live || i > 0 && !nodes[i-1].last.Less(n.first) || live == 0 && len(nodes) > 1 && i > 0 {
			return 0, fmt.Errorf("node %d of %d: %+v with %d entries, %v", i, len(nodes), n, live, err)
		}
		total += live
	}
	all := uint64(0)
	first, last := StreamID{}, StreamID{}
	err = s.eachKey(StreamID{}, MaxStreamID, func(id StreamID, _ []byte) bool {
		if all++; all == 1 {
			first = id
		}
		last = id
		return true
	})
	if err != nil || all != total || all != s.size || first != s.FirstID || last != s.Top() {
		return 0, fmt.Errorf("%d entries from %v to %v, %d in nodes; want %d from %v to %v; %v", all, first, last, total, s.size, s.FirstID, s.Top(), err)
	}
	records = int(all) + max(len(nodes)-1, 0) + int(s.groups)
	err = s.EachGroup(func(g *Group) bool {
		records += 2 * int(g.pending+g.consumers)
		return true
	})
	return records, err
}

// RaiseAfter makes the bounds of pending entries be looked up after so many went, and
// returns what undoes that.
func RaiseAfter(n uint64) (undo func()) {
	was := raiseAfter
	raiseAfter = n
	return func() { raiseAfter = was }
}

// Untag gives the records of a hash the form that older versions wrote: values without
// tags. No field may have an expiry.
func (c *Collection) Untag() error {
	err := c.tx.eachRaw(kindElement, c.db, c.homeSlot(), c.Version, false, func(key, stored []byte) {
		value, _, err := splitField(stored)
		if err != nil {
			panic(err)
		}
		c.tx.ov.Put(append([]byte(nil), key...), append([]byte(nil), value...))
	})
	c.tagged, c.touched, c.dirty = false, true, true
	return err
}
