package keyspace

import (
	"encoding/binary"
	"fmt"
	"slices"

	"dkv/engine"
)

// UnknownRead is Group.EntriesRead when the number cannot be told.
const UnknownRead = -1

// Group is a group of consumers of a stream: how far it has read, and what was
// delivered and not acknowledged. Changes of it, its consumers and pending entries
// reach the batch with Save, or by themselves.
//
//	key:    prefix  0x02  name
//	value:  number  last id  entries read  pending  consumers  next consumer
//	        low  high  dead
//
// Numbers are uvarints (entries read a signed one), low and high a group's differences
// from its last id. What belongs to the group stands behind prefix 0x03 number 8:
//
//	0x00  id 16             pending entry: consumer  time  count (signed)
//	0x01  consumer 8        consumer: seen  active (signed)  pending  low  dead  name
//	0x02  name              number of the consumer
//	0x03  consumer 8  id 16 pending entry of that consumer, without a value
type Group struct {
	// LastID is the id up to which entries were delivered.
	LastID StreamID
	// EntriesRead is how many entries that is, from the first ever; or UnknownRead.
	EntriesRead int64

	name   []byte
	number uint64
	// pending is the number of pending entries, consumers that of consumers.
	pending, consumers, nextConsumer uint64
	bounds
	// high is the greatest id that ever was pending.
	high StreamID

	s      *Stream
	loaded []*Consumer
	was    []byte // the record
}

// bounds keep a walk over pending entries from passing the tombstones of those
// that were acknowledged: there is none before low, which is looked up anew after dead
// of them have gone.
type bounds struct {
	low  StreamID
	dead uint64
}

// raiseAfter is how many pending entries go before low is looked up.
var raiseAfter uint64 = 256 // tests make it smaller

const (
	memberPending = iota
	memberConsumer
	memberName
	memberOwned
)

// Consumer is a member of a group.
type Consumer struct {
	Name []byte
	// Seen is when the consumer last asked, Active when it last got entries (-1:
	// never): Unix time in ms.
	Seen, Active int64

	number  uint64
	pending uint64
	bounds
	was []byte
}

// Pending is an entry that was delivered to a consumer and not acknowledged.
type Pending struct {
	ID StreamID
	// Time is when it was last delivered, Unix time in ms, Count how often.
	Time, Count int64

	consumer uint64
	there    bool
}

func (g *Group) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, g.number)
	dst = binary.AppendUvarint(dst, g.LastID.MS)
	dst = binary.AppendUvarint(dst, g.LastID.Seq)
	dst = binary.AppendVarint(dst, g.EntriesRead)
	for _, n := range [...]uint64{g.pending, g.consumers, g.nextConsumer} {
		dst = binary.AppendUvarint(dst, n)
	}
	dst = g.low.appendFrom(dst, g.LastID)
	dst = g.high.appendFrom(dst, g.LastID)
	return binary.AppendUvarint(dst, g.dead)
}

// parseGroup decodes a group's record, which it keeps.
func parseGroup(name, value []byte) (*Group, error) {
	r := streamReader{b: value}
	g := &Group{name: name, was: value, number: r.uint()}
	g.LastID = StreamID{r.uint(), r.uint()}
	g.EntriesRead = r.int()
	g.pending, g.consumers, g.nextConsumer = r.uint(), r.uint(), r.uint()
	g.low, g.high = r.id(g.LastID), r.id(g.LastID)
	g.dead = r.uint()
	return g, r.end("a stream's group")
}

func (c *Consumer) append(dst []byte) []byte {
	dst = binary.AppendVarint(dst, c.Seen)
	dst = binary.AppendVarint(dst, c.Active)
	dst = binary.AppendUvarint(dst, c.pending)
	dst = binary.AppendUvarint(dst, c.low.MS)
	dst = binary.AppendUvarint(dst, c.low.Seq)
	dst = binary.AppendUvarint(dst, c.dead)
	return appendSized(dst, c.Name)
}

// parseConsumer decodes a consumer's record, which it keeps.
func parseConsumer(number uint64, value []byte) (*Consumer, error) {
	r := streamReader{b: value}
	c := &Consumer{number: number, was: value}
	c.Seen, c.Active, c.pending = r.int(), r.int(), r.uint()
	c.low = StreamID{r.uint(), r.uint()}
	c.dead = r.uint()
	c.Name = r.string()
	return c, r.end("a consumer of a stream")
}

func (p *Pending) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, p.consumer)
	dst = binary.AppendVarint(dst, p.Time)
	return binary.AppendVarint(dst, p.Count)
}

func parsePending(id StreamID, value []byte) (Pending, error) {
	r := streamReader{b: value}
	p := Pending{ID: id, there: true, consumer: r.uint(), Time: r.int(), Count: r.int()}
	return p, r.end("a pending entry of a stream")
}

// Group returns a group, or nil when there is none of that name.
func (s *Stream) Group(name []byte) (*Group, error) {
	if s.groups == 0 {
		return nil, nil
	}
	value, found, err := s.get(nil, append(s.prefix(streamGroupKind), name...))
	if err != nil || !found {
		return nil, err
	}
	g, err := parseGroup(slices.Clone(name), value)
	if err != nil {
		return nil, err
	}
	g.s = s
	return g, nil
}

// EachGroup calls emit for all groups, in the order of their names, until it returns
// false. It must change nothing.
func (s *Stream) EachGroup(emit func(g *Group) bool) error {
	if s.groups == 0 {
		return nil
	}
	o := s.kindRange(streamGroupKind)
	return s.eachRecord(o, false, func(key, value []byte) (bool, error) {
		g, err := parseGroup(slices.Clone(key[elementPrefixBytes+1:]), slices.Clone(value))
		if err != nil {
			return false, err
		}
		g.s = s
		return emit(g), nil
	})
}

// CreateGroup adds a group, of a name that is not there yet. Save of it must follow.
func (s *Stream) CreateGroup(name []byte, last StreamID, entriesRead int64) *Group {
	s.Create()
	g := &Group{s: s, name: slices.Clone(name), number: s.nextGroup, LastID: last, EntriesRead: entriesRead}
	s.nextGroup++
	s.groups++
	s.dirty = true
	return g
}

// DropGroup deletes a group and all that belongs to it.
func (s *Stream) DropGroup(g *Group) {
	s.tx.ov.Delete(append(s.prefix(streamGroupKind), g.name...))
	var o engine.IterOptions
	o.Lower = binary.BigEndian.AppendUint64(slices.Clone(s.prefix(streamMemberKind)), g.number)
	o.Upper = binary.BigEndian.AppendUint64(slices.Clone(s.prefix(streamMemberKind)), g.number+1)
	s.drop(o, 2*(g.pending+g.consumers)+g.dead)
	s.groups--
	s.dirty = true
	if s.tx.observer != nil {
		s.tx.observer.KeyChanged(int(s.dbNum), s.hash) // who waits for the group is to know
	}
}

// Name is the group's name.
func (g *Group) Name() []byte { return g.name }

// Pending is the number of pending entries.
func (g *Group) Pending() int64 { return int64(g.pending) }

// Consumers is the number of consumers.
func (g *Group) Consumers() int64 { return int64(g.consumers) }

// Save writes the group's record, and those of its consumers, as far as they changed.
func (g *Group) Save() error {
	tx := g.s.tx
	if g.dead >= raiseAfter {
		if err := g.raise(&g.bounds, g.member(memberPending)); err != nil {
			return err
		}
	}
	for _, c := range g.loaded {
		if c.dead >= raiseAfter {
			if err := g.raise(&c.bounds, g.owned(c)); err != nil {
				return err
			}
		}
		tx.old = c.append(tx.old[:0])
		if string(tx.old) != string(c.was) {
			tx.ov.Put(g.numbered(memberConsumer, c.number), tx.old)
			c.was = slices.Clone(tx.old)
		}
	}
	tx.old = g.append(tx.old[:0])
	if string(tx.old) != string(g.was) {
		tx.ov.Put(append(g.s.prefix(streamGroupKind), g.name...), tx.old)
		g.was = slices.Clone(tx.old)
	}
	return nil
}

// raise looks the first pending entry up again; prefix is what the keys begin with.
func (g *Group) raise(b *bounds, prefix []byte) error {
	first, _ := g.high.Next()
	err := g.eachOwned(prefix, b.low, MaxStreamID, func(id StreamID) (bool, error) {
		first = id
		return false, nil
	})
	b.low, b.dead = first, 0
	return err
}

// Consumer returns a consumer, or nil when there is none of that name.
func (g *Group) Consumer(name []byte) (*Consumer, error) {
	for _, c := range g.loaded {
		if string(c.Name) == string(name) {
			return c, nil
		}
	}
	if g.consumers == 0 {
		return nil, nil
	}
	value, found, err := g.s.get(nil, append(g.member(memberName), name...))
	if err != nil || !found {
		return nil, err
	}
	if len(value) != 8 {
		return nil, fmt.Errorf("%w: the number of a stream's consumer", ErrCorrupt)
	}
	return g.numberedConsumer(binary.BigEndian.Uint64(value))
}

// CreateConsumer adds a consumer, of a name that is not there yet.
func (g *Group) CreateConsumer(name []byte) *Consumer {
	now := g.s.tx.now
	c := &Consumer{Name: slices.Clone(name), Seen: now, Active: -1, number: g.nextConsumer}
	g.nextConsumer++
	g.consumers++
	g.loaded = append(g.loaded, c)
	tx := g.s.tx
	tx.old = binary.BigEndian.AppendUint64(tx.old[:0], c.number)
	tx.ov.Put(append(g.member(memberName), name...), tx.old)
	return c
}

// DropConsumer deletes a consumer and its pending entries, and returns how many those
// were.
func (g *Group) DropConsumer(c *Consumer) (pending int64, err error) {
	tx := g.s.tx
	err = g.eachOwned(g.owned(c), c.low, MaxStreamID, func(id StreamID) (bool, error) {
		tx.ov.Delete(id.appendKey(g.owned(c)))
		tx.ov.Delete(id.appendKey(g.member(memberPending)))
		pending++
		return true, tx.ov.Batch().Err()
	})
	g.pending -= uint64(pending)
	g.dead += uint64(pending)
	g.consumers--
	g.loaded = slices.DeleteFunc(g.loaded, func(l *Consumer) bool { return l == c })
	tx.ov.Delete(g.numbered(memberConsumer, c.number))
	tx.ov.Delete(append(g.member(memberName), c.Name...))
	return pending, err
}

// Pending is the number of the consumer's pending entries.
func (c *Consumer) Pending() int64 { return int64(c.pending) }

// EachConsumer calls emit for all consumers, in the order of their names, until it
// returns false. It must change nothing.
func (g *Group) EachConsumer(emit func(c *Consumer) bool) error {
	o := g.memberRange(memberName)
	return g.s.eachRecord(o, false, func(_, value []byte) (bool, error) {
		if len(value) != 8 {
			return false, fmt.Errorf("%w: the number of a stream's consumer", ErrCorrupt)
		}
		c, err := g.readConsumer(binary.BigEndian.Uint64(value))
		return err == nil && emit(c), err
	})
}

// Owner returns the consumer to which an entry was delivered.
func (g *Group) Owner(p *Pending) (*Consumer, error) { return g.numberedConsumer(p.consumer) }

// OwnedBy reports whether it was delivered to that consumer last.
func (p *Pending) OwnedBy(c *Consumer) bool { return p.there && p.consumer == c.number }

// Exists reports whether it was pending when it was looked up.
func (p *Pending) Exists() bool { return p.there }

// numberedConsumer returns a consumer, always the same one.
func (g *Group) numberedConsumer(number uint64) (*Consumer, error) {
	for _, c := range g.loaded {
		if c.number == number {
			return c, nil
		}
	}
	c, err := g.readConsumer(number)
	if err == nil {
		g.loaded = append(g.loaded, c)
	}
	return c, err
}

func (g *Group) readConsumer(number uint64) (*Consumer, error) {
	value, found, err := g.s.get(nil, g.numbered(memberConsumer, number))
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("%w: a stream's group without its consumer %d", ErrCorrupt, number)
	}
	return parseConsumer(number, value)
}

// member puts what the keys of a kind begin with into tx.elem.
func (g *Group) member(kind byte) []byte {
	tx := g.s.tx
	tx.elem = append(binary.BigEndian.AppendUint64(g.s.prefix(streamMemberKind), g.number), kind)
	return tx.elem
}

// numbered puts a key with a consumer's number into tx.elem.
func (g *Group) numbered(kind byte, consumer uint64) []byte {
	tx := g.s.tx
	tx.elem = binary.BigEndian.AppendUint64(g.member(kind), consumer)
	return tx.elem
}

func (g *Group) owned(c *Consumer) []byte { return g.numbered(memberOwned, c.number) }
