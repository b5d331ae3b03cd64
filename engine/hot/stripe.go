package hot

import (
	"bytes"
	"encoding/binary"
	"sync"
)

// state is what the table knows of a key.
type state uint8

const (
	unknown state = iota
	absent        // known not to be in the engine
	present
)

// A stripe is a hash table over a ring of records. New records go to the head of
// the ring and overwrite the oldest; a record that was read since it was written
// is moved to the head once instead (CLOCK), so that what is hot stays.
//
// A record in the ring, padded to recordAlign:
//
//	+-----------+-------------+---------------+-----+-------+
//	| tag       | len key     | len value     | key | value |
//	| 4         | 3 + flags 1 | 4             |     |       |
//	+-----------+-------------+---------------+-----+-------+
//
// Neither ring nor slots hold pointers: the garbage collector does not look into
// them.
type stripe struct {
	mu    sync.Mutex
	ring  []byte
	slots []slot // power of two, at most 3/4 full
	used  int    // slots in use
	held  int    // of them, those that point into the ring
	head  int    // where the next record goes; the ring's length before it wraps
	tail  int    // the oldest record; what lies from head to tail is free
	live  int    // bytes from tail to head
	limit int    // bytes that ring and slots may take
	// through is the number of the last generation of a Layer that was written down
	// and whose records of this stripe are not looked for any more.
	through uint64
	// gone counts records taken out, and versions that were not taken in. While
	// it stays the same, a key without a record was not written.
	gone uint64
	// spare is for what a Layer writes.
	spare spare
	// vacant are the first dead records of the ring, by size (vacancy.go).
	vacant [vacancyLists]uint32

	hits, misses, evictions uint64
}

// slot points at a record. The upper byte of tag says where that lies, the others
// are of the hash. pos, which is not zero, is the place: in the ring its offset in
// units of recordAlign, plus one; in a generation its ref.
type slot struct{ tag, pos uint32 }

const (
	kindRing = 0
	kindEven = 1 // generations of even numbers, and after it those of odd ones

	tagBits = 24
	tagMask = 1<<tagBits - 1
)

func (n slot) kind() uint32 { return n.tag >> tagBits }

const (
	recordHeader = 12
	recordAlign  = 8
	minRing      = 4 << 10
	minSlots     = 64
	// slotCost is what is reckoned for a slot of 8 bytes: slots double, so they are
	// between 3/8 and 3/4 full.
	slotCost = 20
	// growFraction is the part of itself that a ring grows by at least: each time is a copy.
	growFraction = 16

	flagPresent = 1 << 0
	flagDead    = 1 << 1 // replaced or dropped; no slot points here
	flagRead    = 1 << 2 // read since it was written
	flagFiller  = 1 << 3 // unused end of the ring
	flagHidden  = 1 << 4 // being changed: it keeps its place, reads miss it

	// maxRecordFraction keeps one record from clearing out a stripe.
	maxRecordFraction = 16
	maxKeyBytes       = 1<<24 - 1
)

// tagOf takes the bits of a hash that are used. The upper byte chooses the stripe.
func tagOf(h uint64) uint32 { return uint32(h >> 32) }

func stripeOf(tag uint32) int { return int(tag >> tagBits) }

type cached struct{ b []byte }

func (r cached) tag() uint32   { return binary.LittleEndian.Uint32(r.b) }
func (r cached) keyLen() int   { return int(binary.LittleEndian.Uint32(r.b[4:]) & 0xffffff) }
func (r cached) flags() byte   { return r.b[7] }
func (r cached) valueLen() int { return int(binary.LittleEndian.Uint32(r.b[8:])) }
func (r cached) key() []byte   { return r.b[recordHeader : recordHeader+r.keyLen()] }
func (r cached) value() []byte {
	n := recordHeader + r.keyLen()
	return r.b[n : n+r.valueLen()]
}
func (r cached) size() int { return cachedSize(r.keyLen(), r.valueLen()) }

func cachedSize(key, value int) int {
	return (recordHeader + key + value + recordAlign - 1) &^ (recordAlign - 1)
}

func (s *stripe) at(pos uint32) cached { return cached{s.ring[int(pos-1)*recordAlign:]} }

// find returns the index of the slot of key, or -1. in are the generations that
// slots may point into; a table that is written through has none.
func (s *stripe) find(key []byte, tag uint32, in *epoch) int {
	if s.used == 0 {
		return -1
	}
	tag &= tagMask
	mask := uint32(len(s.slots) - 1)
	for i := tag & mask; s.slots[i].pos != 0; i = (i + 1) & mask {
		if n := s.slots[i]; n.tag&tagMask == tag && bytes.Equal(s.keyOf(n, in), key) {
			return int(i)
		}
	}
	return -1
}

func (s *stripe) keyOf(n slot, in *epoch) []byte {
	if n.kind() == kindRing {
		return s.at(n.pos).key()
	}
	return in.of(n.kind()).record(ref(n.pos)).key()
}

// get appends the value of key to dst when the table knows it.
func (s *stripe) get(dst, key []byte, h uint64) (value []byte, st state, gone uint64) {
	s.mu.Lock()
	i := s.find(key, tagOf(h), nil)
	var r cached
	if i >= 0 {
		r = s.at(s.slots[i].pos)
	}
	if i < 0 || r.flags()&flagHidden != 0 {
		s.misses++
		gone = s.gone
		s.mu.Unlock()
		return dst, unknown, gone
	}
	s.hits++
	r.b[7] |= flagRead
	st = absent
	if r.flags()&flagPresent != 0 {
		st = present
		dst = append(dst, r.value()...)
	}
	s.mu.Unlock()
	return dst, st, 0
}

// fill stores what the engine said after a miss, unless the key has a record by
// now, or may have had one since (then gone has changed).
func (s *stripe) fill(key, value []byte, found bool, tag uint32, gone uint64, in *epoch, still func() bool) {
	size := cachedSize(len(key), len(value))
	s.mu.Lock()
	if s.gone == gone && s.fits(key, size) && s.find(key, tag, in) < 0 && still() {
		s.insert(tag, presence(found), key, value, size)
	}
	s.mu.Unlock()
}

// stage stores the next version of a record, hidden, in the place of the present
// one where that fits.
func (s *stripe) stage(key, value []byte, found bool, h uint64) {
	tag := tagOf(h)
	size := cachedSize(len(key), len(value))
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.find(key, tag, nil); i >= 0 {
		r := s.at(s.slots[i].pos)
		if r.valueLen() == len(value) {
			copy(r.value(), value)
			r.b[7] = r.flags()&^flagPresent | flagHidden | presence(found)
			return
		}
		s.kill(s.slots[i].pos)
		s.deleteSlot(i)
		s.gone++
	}
	if s.fits(key, size) {
		s.bringBack(tag, flagHidden|presence(found), key, value, size)
	} else {
		s.gone++ // a version that the table does not hold
	}
}

// reveal lets reads see what stage stored, if it is still there. If it is not, a read
// may have begun before the engine had the batch, and hold what was there before: that
// must not stay, nor be put here later.
func (s *stripe) reveal(key []byte, h uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(key, tagOf(h), nil)
	if i < 0 {
		s.gone++
		return
	}
	r := s.at(s.slots[i].pos)
	if r.flags()&flagHidden != 0 {
		r.b[7] &^= flagHidden
		return
	}
	s.kill(s.slots[i].pos)
	s.deleteSlot(i)
	s.gone++
}

func (s *stripe) reset() {
	s.mu.Lock()
	clear(s.slots)
	clear(s.vacant[:])
	s.used, s.held, s.head, s.tail, s.live = 0, 0, 0, 0, 0
	s.gone++
	s.mu.Unlock()
}

func presence(found bool) byte {
	if found {
		return flagPresent
	}
	return 0
}

func (s *stripe) fits(key []byte, size int) bool {
	return len(key) <= maxKeyBytes && size <= s.limit/maxRecordFraction
}

// insert adds a record for a key that has none.
func (s *stripe) insert(tag uint32, flags byte, key, value []byte, size int) {
	s.put(tag, flags, flags, key, value, size)
}

// bringBack is insert of a record that was written. In a dead one's place it counts as
// read, since the tail may be near.
func (s *stripe) bringBack(tag uint32, flags byte, key, value []byte, size int) {
	s.put(tag, flags, flags|flagRead, key, value, size)
}

// put adds a record in the place of a dead one of its size, with the flags vacant, or at the
// head.
func (s *stripe) put(tag uint32, flags, vacant byte, key, value []byte, size int) {
	s.reserveSlot()
	pos := s.takeVacancy(size)
	switch {
	case pos != 0:
		s.write(pos, tag, vacant, key, value)
	case s.reserve(size):
		pos = s.append(tag, flags, key, value)
	default:
		s.gone++
		return
	}
	s.addSlot(slot{tag & tagMask, pos})
}

// reserveSlot sees to it that another slot stays within the limit. Where records have
// become so much smaller that half of the ring is not needed for as many as there
// can be, the ring begins anew, to become as large as suits them.
func (s *stripe) reserveSlot() {
	for s.live > 0 && len(s.ring)+(s.held+1)*slotCost > s.limit {
		if s.live < len(s.ring)/2 {
			s.evictions += uint64(s.held)
			s.sweep(func([]byte) bool { return true })
			s.ring, s.head, s.tail, s.live = nil, 0, 0, 0
			clear(s.vacant[:])
			s.gone++
			return
		}
		s.evict()
	}
}

// append writes a record at the head, where reserve has made room.
func (s *stripe) append(tag uint32, flags byte, key, value []byte) (pos uint32) {
	pos = uint32(s.head/recordAlign) + 1
	s.write(pos, tag, flags, key, value)
	s.advance(cachedSize(len(key), len(value)))
	return pos
}

// write writes a record where there is room for it.
func (s *stripe) write(pos, tag uint32, flags byte, key, value []byte) {
	b := s.at(pos).b
	binary.LittleEndian.PutUint32(b, tag)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(key))|uint32(flags)<<24)
	binary.LittleEndian.PutUint32(b[8:], uint32(len(value)))
	n := copy(b[recordHeader:], key)
	copy(b[recordHeader+n:], value)
}

func (s *stripe) advance(n int) {
	s.head += n
	s.live += n
}

// reserve makes size bytes free at the head, in one piece, by growing the ring
// or giving up the oldest records.
func (s *stripe) reserve(size int) bool {
	for {
		if s.live == 0 {
			s.head, s.tail = 0, 0
		}
		if s.live == 0 && size <= len(s.ring) {
			return true
		}
		switch {
		case s.live > 0 && s.head <= s.tail: // free: head to tail
			if s.tail-s.head >= size {
				return true
			}
		case len(s.ring)-s.head >= size: // free: head to the end
			return true
		case s.grow(size):
			continue
		case s.live > 0:
			// Too little is left before the end: go on at the start.
			s.filler(len(s.ring) - s.head)
			s.head = 0
			continue
		}
		if s.live == 0 {
			return false
		}
		s.evict()
	}
}

// grow doubles the ring while its records lie in one piece and the limit allows.
func (s *stripe) grow(size int) bool {
	next := max(2*len(s.ring), minRing)
	for next-s.head < size {
		next *= 2
	}
	next = min(next, s.ringLimit())
	if next <= len(s.ring)+len(s.ring)/growFraction || next-s.head < size || s.tail > s.head {
		return false
	}
	ring := make([]byte, next)
	copy(ring, s.ring[:s.head])
	s.ring = ring
	// Many small records may have made room for few large ones.
	n := len(s.slots)
	for n/2 >= minSlots && s.used <= n/4 {
		n /= 2
	}
	if n < len(s.slots) {
		s.resizeSlots(n)
	}
	return true
}

// ringLimit leaves to the slots what they need for records of the size that there are.
func (s *stripe) ringLimit() int {
	n := s.limit - s.limit/8
	if s.held > 0 {
		size := s.live / s.held
		n = min(s.limit/(size+slotCost)*size, s.limit-s.limit/16)
	}
	return n &^ (recordAlign - 1)
}

// filler marks the unused end of the ring, whose length is a multiple of
// recordAlign and may be smaller than a record's header.
func (s *stripe) filler(n int) {
	if n >= recordHeader {
		b := s.ring[s.head:]
		clear(b[:recordHeader])
		b[7] = flagDead | flagFiller
	}
	s.advance(n)
}

// evict takes the oldest record out of the ring. One that was read gets a second
// round, if its copy fits in the place that it leaves.
func (s *stripe) evict() {
	left := len(s.ring) - s.tail
	r := cached{s.ring[s.tail:]}
	if left < recordHeader || r.flags()&flagFiller != 0 {
		s.live -= left
		s.tail = 0
		return
	}
	size := r.size()
	if r.flags()&flagDead == 0 {
		i := s.slotOf(r.tag(), uint32(s.tail/recordAlign)+1)
		if r.flags()&flagRead != 0 && s.head+size <= len(s.ring) && s.head <= s.tail {
			s.moveToHead(i, size)
			return
		}
		s.deleteSlot(i)
		s.gone++
		s.evictions++
	} else {
		s.unlink(uint32(s.tail/recordAlign) + 1)
	}
	s.retire(size)
}

// retire gives the oldest size bytes free.
func (s *stripe) retire(size int) {
	s.live -= size
	s.tail += size
	if s.tail == len(s.ring) {
		s.tail = 0
	}
}

// moveToHead copies the oldest record to the head, which lies before it, and
// forgets that it was read.
func (s *stripe) moveToHead(i, size int) {
	from := s.tail
	s.retire(size)
	copy(s.ring[s.head:s.head+size], s.ring[from:from+size])
	s.ring[s.head+7] &^= flagRead
	s.slots[i].pos = uint32(s.head/recordAlign) + 1
	s.advance(size)
}

// slotOf returns the slot that points at pos of the ring.
func (s *stripe) slotOf(tag, pos uint32) int {
	i := s.slotAt(slot{tag & tagMask, pos})
	if i < 0 {
		panic("hot: invariant: a live record has no slot")
	}
	return i
}

// slotAt returns where n stands, or -1.
func (s *stripe) slotAt(n slot) int {
	if s.used == 0 {
		return -1
	}
	mask := uint32(len(s.slots) - 1)
	for i := n.tag & mask; s.slots[i].pos != 0; i = (i + 1) & mask {
		if s.slots[i] == n {
			return int(i)
		}
	}
	return -1
}

// deleteSlot empties slot i and closes the gap in its run.
func (s *stripe) deleteSlot(i int) {
	if s.slots[i].kind() == kindRing {
		s.held--
	}
	mask := uint32(len(s.slots) - 1)
	hole := uint32(i)
	for j := (hole + 1) & mask; s.slots[j].pos != 0; j = (j + 1) & mask {
		home := s.slots[j].tag & mask
		// The entry at j may move into the hole unless its home lies between.
		if (j-home)&mask >= (j-hole)&mask {
			s.slots[hole] = s.slots[j]
			hole = j
		}
	}
	s.slots[hole] = slot{}
	s.used--
}

func (s *stripe) addSlot(n slot) {
	if (s.used+1)*4 > len(s.slots)*3 {
		s.growSlots()
	}
	s.place(n)
	s.used++
	if n.kind() == kindRing {
		s.held++
	}
}

func (s *stripe) place(n slot) {
	mask := uint32(len(s.slots) - 1)
	i := n.tag & mask
	for s.slots[i].pos != 0 {
		i = (i + 1) & mask
	}
	s.slots[i] = n
}

func (s *stripe) growSlots() { s.resizeSlots(max(2*len(s.slots), minSlots)) }

// resizeSlots gives the slots n places, a power of two.
func (s *stripe) resizeSlots(n int) {
	old := s.slots
	s.slots = make([]slot, n)
	for _, n := range old {
		if n.pos != 0 {
			s.place(n)
		}
	}
}

// sweep takes the records out whose keys are covered.
func (s *stripe) sweep(covered func(key []byte) bool) {
	var hit []slot
	for _, n := range s.slots {
		if n.pos != 0 && n.kind() == kindRing && covered(s.at(n.pos).key()) {
			hit = append(hit, n)
		}
	}
	for _, n := range hit {
		s.kill(n.pos)
		s.deleteSlot(s.slotAt(n))
	}
}

func (s *stripe) addTo(m *Metrics) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.Hits += s.hits
	m.Misses += s.misses
	m.Evictions += s.evictions
	m.Records += uint64(s.used)
	m.Bytes += uint64(len(s.ring) + 8*len(s.slots))
}
