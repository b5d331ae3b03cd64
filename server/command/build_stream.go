package command

import (
	"fmt"

	"dkv/engine/keyspace"
	"dkv/server/rdb"
)

// streamMaker makes streams. Pieces of one are cut between entries only.
type streamMaker struct {
	c        *Ctx
	s        *keyspace.Stream
	group    *keyspace.Group
	consumer *keyspace.Consumer
	// pending are those of the group whose consumer has not come yet.
	pending map[keyspace.StreamID]*rdb.StreamPart
}

func makeStream(c *Ctx, e keyspace.Entry, expireAt int64) (maker, error) {
	s, err := c.Tx.Stream(e)
	if err != nil {
		return nil, err
	}
	s.ExpireAt = expireAt
	return &streamMaker{c: c, s: s}, nil
}

func idOf(id rdb.StreamID) keyspace.StreamID  { return keyspace.StreamID{MS: id.Millis, Seq: id.Seq} }
func rdbID(id keyspace.StreamID) rdb.StreamID { return rdb.StreamID{Millis: id.MS, Seq: id.Seq} }

func badStream(format string, args ...any) error {
	return fmt.Errorf("%w: a stream with %s", rdb.ErrFormat, fmt.Sprintf(format, args...))
}

func (m *streamMaker) add(el *rdb.Element) error {
	p := el.Stream
	if p == nil {
		return badStream("something else in it")
	}
	switch id := idOf(p.ID); p.Kind {
	case rdb.StreamEntry:
		return m.entry(id, p)
	case rdb.StreamEnd:
		if id.Less(m.s.Top()) {
			return badStream("a last id before an entry's")
		}
		m.s.Create()
		m.s.SetID(id, p.Added, idOf(p.MaxDeleted))
	case rdb.StreamGroup:
		return m.beginGroup(id, p)
	case rdb.StreamPending:
		if m.pending[id] != nil {
			return badStream("an entry that is pending twice")
		}
		part := *p
		m.pending[id] = &part
	case rdb.StreamConsumer:
		return m.beginConsumer(p)
	case rdb.StreamOwned:
		return m.own(id)
	}
	return nil
}

func (m *streamMaker) entry(id keyspace.StreamID, p *rdb.StreamPart) error {
	size := 0
	for _, b := range p.Pairs {
		size += len(b)
	}
	switch {
	case !m.s.LastID.Less(id):
		return badStream("entries out of order")
	case len(p.Pairs) == 0:
		return badStream("an entry without fields")
	case size > keyspace.MaxEntryBytes:
		return errXaddLarge
	}
	m.s.Append(id, p.Pairs, m.c.nodeLimits())
	return nil
}

func (m *streamMaker) beginGroup(last keyspace.StreamID, p *rdb.StreamPart) error {
	if err := m.endGroup(); err != nil {
		return err
	}
	there, err := m.s.Group(p.Name)
	if err != nil {
		return err
	}
	if there != nil {
		return badStream("a group twice")
	}
	read := p.Read
	if read < 0 {
		read = keyspace.UnknownRead
	}
	m.group, m.pending = m.s.CreateGroup(p.Name, last, read), map[keyspace.StreamID]*rdb.StreamPart{}
	return nil
}

func (m *streamMaker) beginConsumer(p *rdb.StreamPart) error {
	there, err := m.group.Consumer(p.Name)
	if err != nil {
		return err
	}
	if there != nil {
		return badStream("a consumer twice")
	}
	m.consumer = m.group.CreateConsumer(p.Name)
	m.consumer.Seen, m.consumer.Active = p.Time, p.Active
	return nil
}

func (m *streamMaker) own(id keyspace.StreamID) error {
	p := m.pending[id]
	if p == nil {
		return badStream("a consumer's entry that is not pending")
	}
	delete(m.pending, id)
	e, err := m.group.Look(id)
	if err != nil {
		return err
	}
	e.Time, e.Count = p.Time, int64(p.Count)
	return m.group.Assign(&e, m.consumer)
}

func (m *streamMaker) endGroup() error {
	if len(m.pending) > 0 {
		return badStream("a pending entry that is nobody's")
	}
	if m.group == nil {
		return nil
	}
	g := m.group
	m.group, m.consumer = nil, nil
	return g.Save()
}

func (m *streamMaker) save() error {
	if err := m.endGroup(); err != nil {
		return err
	}
	m.s.Save()
	return nil
}

// drop takes back what is there, groups and all: as if it had been saved and deleted.
func (m *streamMaker) drop() {
	m.s.Create()
	m.s.Save()
	m.c.Tx.Delete(&m.s.Entry)
}

func dumpStream(dst []byte, tx *keyspace.Tx, e *keyspace.Entry) ([]byte, rdb.Type, error) {
	s, err := tx.Stream(*e)
	if err != nil {
		return dst, rdb.TypeStream2, err
	}
	nodes, n := rdb.NewStreamNodes(dst), int64(0)
	err = s.Range(keyspace.StreamID{}, keyspace.MaxStreamID, false, func(id keyspace.StreamID, fields [][]byte) bool {
		n++
		nodes.Add(rdbID(id), fields)
		return true
	})
	if err == nil && n != s.Len() {
		err = fmt.Errorf("%w: %d of %d entries", keyspace.ErrCorrupt, n, s.Len())
	}
	if err != nil {
		return dst, rdb.TypeStream2, err
	}
	dst = rdb.AppendLength(nodes.End(), uint64(s.Len()))
	for _, id := range []keyspace.StreamID{s.LastID, s.FirstID, s.MaxDeleted} {
		dst = rdb.AppendStreamID(dst, rdbID(id))
	}
	dst = rdb.AppendLength(dst, s.Added)
	dst = rdb.AppendLength(dst, uint64(s.Groups()))
	var failed error
	err = s.EachGroup(func(g *keyspace.Group) bool {
		dst, failed = dumpGroup(dst, g)
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	return dst, rdb.TypeStream2, err
}

func dumpGroup(dst []byte, g *keyspace.Group) ([]byte, error) {
	dst = rdb.AppendStreamID(rdb.AppendString(dst, g.Name()), rdbID(g.LastID))
	dst = rdb.AppendLength(dst, uint64(g.EntriesRead))
	dst = rdb.AppendLength(dst, uint64(g.Pending()))
	err := g.EachPending(nil, keyspace.StreamID{}, keyspace.MaxStreamID, func(p keyspace.Pending) bool {
		dst = rdb.AppendMillis(rdb.AppendRawID(dst, rdbID(p.ID)), p.Time)
		dst = rdb.AppendLength(dst, uint64(p.Count))
		return true
	})
	if err != nil {
		return dst, err
	}
	dst = rdb.AppendLength(dst, uint64(g.Consumers()))
	var failed error
	err = g.EachConsumer(func(c *keyspace.Consumer) bool {
		dst = rdb.AppendMillis(rdb.AppendString(dst, c.Name), c.Seen)
		dst = rdb.AppendLength(dst, uint64(c.Pending()))
		failed = g.EachPending(c, keyspace.StreamID{}, keyspace.MaxStreamID, func(p keyspace.Pending) bool {
			dst = rdb.AppendRawID(dst, rdbID(p.ID))
			return true
		})
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	return dst, err
}
