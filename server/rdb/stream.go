package rdb

import "encoding/binary"

// StreamID is the id of a stream's entry.
type StreamID struct{ Millis, Seq uint64 }

// PartKind says what a StreamPart is.
type PartKind uint8

// The parts of a stream come in this order: all entries, the end, and for each group
// the group, what is pending in it, and for each consumer the consumer and what is
// pending for it, which is pending in the group as well.
const (
	StreamEntry    PartKind = iota + 1 // ID, Pairs
	StreamEnd                          // ID: the last one; Length, First, MaxDeleted, Added
	StreamGroup                        // Name, ID: last delivered; Read
	StreamPending                      // ID, Time, Count
	StreamConsumer                     // Name, Time: seen; Active
	StreamOwned                        // ID
)

// StreamPart is a part of a stream.
type StreamPart struct {
	Kind PartKind
	ID   StreamID
	Name []byte
	// Pairs are an entry's fields and values in turn.
	Pairs [][]byte
	// Of the end. Before Redis 7.0 First and MaxDeleted are not known (zero), and
	// Added is the length.
	Length            uint64
	First, MaxDeleted StreamID
	Added             uint64
	// Read is how many entries a group has read; -1: not known.
	Read int64
	// Time is when an entry was last delivered, or a consumer seen; Active when a
	// consumer was last given something (-1: never). Unix times in ms.
	Time, Active int64
	// Count is how often an entry was delivered.
	Count uint64
}

const (
	streamIDBytes = 16
	// maxStreamFields is how many fields an entry may have: a compressed payload could
	// name many more than it has bytes, and they are in memory together.
	maxStreamFields = 1 << 20
)

// stream reads a stream.
func (r *Reader) stream(t Type, emit Emit) error {
	nodes, err := r.count()
	if err != nil {
		return err
	}
	entries := uint64(0)
	for ; nodes > 0; nodes-- {
		b, err := r.str()
		if err != nil {
			return err
		}
		if len(b) != streamIDBytes {
			return badFormat("a stream's node with a key of %d bytes", len(b))
		}
		master := parseStreamID(b)
		if b, err = r.str(); err != nil {
			return err
		}
		n, err := r.streamNode(b, master, emit)
		if err != nil {
			return err
		}
		entries += n
	}
	end := StreamPart{Kind: StreamEnd}
	if end.Length, err = r.count(); err != nil {
		return err
	}
	if end.Length != entries {
		return badFormat("a stream of %d entries, of which %d are there", end.Length, entries)
	}
	if end.ID, err = r.countedID(); err != nil {
		return err
	}
	end.Added = end.Length
	if t != TypeStream {
		if end.First, err = r.countedID(); err != nil {
			return err
		}
		if end.MaxDeleted, err = r.countedID(); err != nil {
			return err
		}
		if end.Added, err = r.count(); err != nil {
			return err
		}
	}
	if err := r.emitPart(emit, &end); err != nil {
		return err
	}
	groups, err := r.count()
	if err != nil {
		return err
	}
	for ; groups > 0; groups-- {
		if err := r.streamGroup(t, emit); err != nil {
			return err
		}
	}
	return nil
}

func parseStreamID(b []byte) StreamID {
	return StreamID{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

// countedID reads an id that is written as two lengths.
func (r *Reader) countedID() (id StreamID, err error) {
	if id.Millis, err = r.count(); err == nil {
		id.Seq, err = r.count()
	}
	return id, err
}

// rawID reads an id of 16 bytes.
func (r *Reader) rawID() (StreamID, error) {
	b, err := r.bytes(streamIDBytes)
	if err != nil {
		return StreamID{}, err
	}
	return parseStreamID(b), nil
}

func (r *Reader) emitPart(emit Emit, p *StreamPart) error {
	r.part = *p
	r.el = Element{Stream: &r.part}
	return emit(&r.el)
}

// Flags of an entry in a node.
const (
	streamDeleted    = 1
	streamSameFields = 2
)

// streamNode reads a node: a listpack of entries, whose first ones say what the
// others have in common.
//
//	count, deleted, number of fields, fields ..., 0
//	flags, ms and seq less the node's, [number of fields], [fields and] values ..., items of the entry
func (r *Reader) streamNode(b []byte, master StreamID, emit Emit) (entries uint64, err error) {
	p, err := newListpack(b)
	if err != nil {
		return 0, err
	}
	count, err := p.number()
	if err != nil {
		return 0, err
	}
	deleted, err := p.number()
	if err != nil {
		return 0, err
	}
	common, err := r.streamStrings(p, nil)
	if err != nil {
		return 0, err
	}
	if zero, err := p.number(); err != nil || zero != 0 {
		return 0, badFormat("a stream's node without a proper head")
	}
	var pairs [][]byte
	for count, deleted := count, deleted; count > 0 || deleted > 0; {
		flags, err := p.number()
		if err != nil {
			return 0, err
		}
		id := master
		for _, part := range []*uint64{&id.Millis, &id.Seq} {
			n, err := p.number()
			if err != nil {
				return 0, err
			}
			*part += uint64(n)
		}
		size := int64(0)
		if flags&streamSameFields != 0 {
			pairs = pairs[:0]
			for _, field := range common {
				value, err := p.string()
				if err != nil {
					return 0, err
				}
				pairs = append(pairs, field, value)
			}
			size = int64(len(common)) + 3
		} else {
			if pairs, err = r.streamPairs(p, pairs[:0]); err != nil {
				return 0, err
			}
			size = int64(len(pairs)) + 4
		}
		if n, err := p.number(); err != nil || n != size {
			return 0, badFormat("a stream's entry of a wrong size")
		}
		if flags&streamDeleted != 0 {
			if deleted--; deleted < 0 {
				return 0, badFormat("a stream's node with a wrong count")
			}
			continue
		}
		if count--; count < 0 {
			return 0, badFormat("a stream's node with a wrong count")
		}
		entries++
		if err := r.emitPart(emit, &StreamPart{Kind: StreamEntry, ID: id, Pairs: pairs}); err != nil {
			return 0, err
		}
	}
	if _, more, err := p.next(); err != nil || more {
		return 0, badFormat("a stream's node with a wrong count")
	}
	return entries, nil
}

// number returns the next entry, which must be a number.
func (p *packed) number() (int64, error) {
	it, ok, err := p.next()
	if err == nil && (!ok || !it.number) {
		err = badFormat("a stream's node lacks a number")
	}
	return it.num, err
}

// fields returns the next entry, the number of an entry's fields.
func (p *packed) fields() (int64, error) {
	n, err := p.number()
	if err == nil && (n < 0 || n > maxStreamFields) {
		err = badFormat("a stream's entry of %d fields", n)
	}
	return n, err
}

// string returns the next entry. A number's digits get memory of their own.
func (p *packed) string() ([]byte, error) {
	it, ok, err := p.next()
	if err == nil && !ok {
		err = badFormat("a stream's entry is cut short")
	}
	if !it.number {
		return it.str, err
	}
	return it.text(new([24]byte)), err
}

// streamStrings reads a number and as many strings.
func (r *Reader) streamStrings(p *packed, dst [][]byte) ([][]byte, error) {
	n, err := p.fields()
	if err != nil {
		return nil, err
	}
	for range n {
		b, err := p.string()
		if err != nil {
			return nil, err
		}
		dst = append(dst, b)
	}
	return dst, nil
}

// streamPairs reads a number and twice as many strings.
func (r *Reader) streamPairs(p *packed, dst [][]byte) ([][]byte, error) {
	n, err := p.fields()
	if err != nil {
		return nil, err
	}
	for range n {
		for range 2 {
			b, err := p.string()
			if err != nil {
				return nil, err
			}
			dst = append(dst, b)
		}
	}
	return dst, nil
}

func (r *Reader) streamGroup(t Type, emit Emit) error {
	b, err := r.str()
	if err != nil {
		return err
	}
	g := StreamPart{Kind: StreamGroup, Name: r.hold(b), Read: -1}
	if g.ID, err = r.countedID(); err != nil {
		return err
	}
	if t != TypeStream {
		n, err := r.count()
		if err != nil {
			return err
		}
		g.Read = int64(n)
	}
	if err := r.emitPart(emit, &g); err != nil {
		return err
	}
	pending, err := r.count()
	if err != nil {
		return err
	}
	for ; pending > 0; pending-- {
		p := StreamPart{Kind: StreamPending}
		if p.ID, err = r.rawID(); err != nil {
			return err
		}
		if p.Time, err = r.millis(); err != nil {
			return err
		}
		if p.Count, err = r.count(); err != nil {
			return err
		}
		if err := r.emitPart(emit, &p); err != nil {
			return err
		}
	}
	consumers, err := r.count()
	if err != nil {
		return err
	}
	for ; consumers > 0; consumers-- {
		if err := r.streamConsumer(t, emit); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) streamConsumer(t Type, emit Emit) error {
	b, err := r.str()
	if err != nil {
		return err
	}
	c := StreamPart{Kind: StreamConsumer, Name: r.hold(b)}
	if c.Time, err = r.millis(); err != nil {
		return err
	}
	if c.Active = c.Time; t == TypeStream3 {
		if c.Active, err = r.millis(); err != nil {
			return err
		}
	}
	if err := r.emitPart(emit, &c); err != nil {
		return err
	}
	owned, err := r.count()
	if err != nil {
		return err
	}
	for ; owned > 0; owned-- {
		id, err := r.rawID()
		if err != nil {
			return err
		}
		if err := r.emitPart(emit, &StreamPart{Kind: StreamOwned, ID: id}); err != nil {
			return err
		}
	}
	return nil
}
