package hot

import (
	"encoding/binary"
	"math"
	"sync/atomic"

	"dkv/engine/layer"
)

// A generation holds what was written between two checkpoints: for each key a
// record with its versions. It only grows, and is dropped as a whole, so records
// are cut from blocks and point at each other by offset.
//
//	record:
//	+--------+---------+-------+---------+-----+
//	| newest | below   | tag   | len key | key |
//	| 4      | 4       | 4     | 4       |     |
//	+--------+---------+-------+---------+-----+
//
//	version:
//	+--------+--------+---------------------------+-------+
//	| seq    | older  | len value, deletedBit     | value |
//	| 8      | 4      | 4                         |       |
//	+--------+--------+---------------------------+-------+
//
// newest and older are versions, below is the key's record in the generation
// before (zero: none). The upper byte of tag is the key's stripe, whose lock guards
// newest and older. Keys never change; a version does when nobody can see it.
type generation struct {
	number uint64
	since  uint64 // the last sequence number before it
	// versions is the highest version that a key carries that was written before it.
	versions uint64
	blocks   atomic.Pointer[[][]byte]
	ranges   layer.Ranges
	index    index

	bytes   atomic.Int64 // taken from blocks, and what tables and index need for it
	records atomic.Int64

	// The writer's: the block that is being filled, how full it is, the size of the
	// next one, and the length of the batches that were written to it.
	block, used, next int
	batchBytes        int
	fresh             []ref // records that the batch under way has made
}

// ref is a place in a generation: block and offset in units of refAlign. Zero is
// none.
type ref uint32

const (
	refAlign    = 8
	refOffsets  = 17 // bits of a ref that are an offset
	maxBlock    = refAlign << refOffsets
	minBlock    = 4 << 10
	ownBlock    = maxBlock / 4 // what is larger gets a block of its own
	maxBlocks   = 1 << (32 - refOffsets)
	manyBlocks  = maxBlocks / 4 // full: a batch of the largest size still fits
	recordBytes = 16
	// versionBytes is the size of a version's head.
	versionBytes = 16
	deletedBit   = 1 << 31
	// maxSeq is above all.
	maxSeq = math.MaxUint64
	// recordCost is what a record takes beside its blocks: slots and index.
	recordCost = 24
)

func newGeneration(number, since, versions uint64) *generation {
	g := &generation{number: number, since: since, versions: versions, next: minBlock}
	g.blocks.Store(new([][]byte))
	return g
}

// kind is how slots name it: the two generations that there are differ in it.
func (g *generation) kind() uint32 { return kindEven + uint32(g.number&1) }

func (g *generation) empty() bool { return g.records.Load() == 0 && g.ranges.Count() == 0 }

// size is the memory that it takes.
func (g *generation) size() int64 { return g.bytes.Load() }

// at returns the bytes from r on.
func (g *generation) at(r ref) []byte {
	return (*g.blocks.Load())[r>>refOffsets][int(r&(1<<refOffsets-1))*refAlign:]
}

// alloc returns a place for n bytes. It is the writer's to call.
func (g *generation) alloc(n int) ref {
	n = (n + refAlign - 1) &^ (refAlign - 1)
	if len(*g.blocks.Load()) == 0 {
		g.block = g.addBlock()
		g.used = refAlign // so that no ref is zero
	}
	if n > ownBlock {
		g.bytes.Add(int64(n))
		return ref(g.addBlockOf(n) << refOffsets)
	}
	if have := len((*g.blocks.Load())[g.block]); g.used+n > have {
		g.bytes.Add(int64(have - g.used))
		for g.next < n {
			g.next *= 2
		}
		g.block, g.used = g.addBlock(), 0
	}
	r := ref(g.block<<refOffsets | g.used/refAlign)
	g.used += n
	g.bytes.Add(int64(n))
	return r
}

// addBlock adds a block; they begin small, so that a shard with little in it takes
// little.
func (g *generation) addBlock() int {
	n := g.next
	g.next = min(2*n, maxBlock)
	return g.addBlockOf(n)
}

func (g *generation) addBlockOf(n int) int {
	old := *g.blocks.Load()
	if len(old) == maxBlocks {
		panic("hot: invariant: a generation has too many blocks")
	}
	// Readers have the old list; what lies behind its length is not theirs.
	blocks := append(old, make([]byte, n))
	g.blocks.Store(&blocks)
	return len(old)
}

// copyOf returns a copy that lives as long as the generation.
func (g *generation) copyOf(b []byte) []byte {
	c := g.at(g.alloc(max(len(b), 1)))[:len(b):len(b)]
	copy(c, b)
	return c
}

// record is a key's place in a generation.
type record struct{ b []byte }

func (g *generation) record(r ref) record { return record{g.at(r)} }

func (r record) newest() ref { return ref(binary.LittleEndian.Uint32(r.b)) }
func (r record) below() ref  { return ref(binary.LittleEndian.Uint32(r.b[4:])) }
func (r record) tag() uint32 { return binary.LittleEndian.Uint32(r.b[8:]) }
func (r record) key() []byte {
	n := recordBytes + int(binary.LittleEndian.Uint32(r.b[12:]))
	return r.b[recordBytes:n:n]
}
func (r record) setNewest(v ref) { binary.LittleEndian.PutUint32(r.b, uint32(v)) }

// version is what a key was set to by one record of one batch.
type version struct{ b []byte }

func (g *generation) version(r ref) version { return version{g.at(r)} }

func (v version) seq() uint64   { return binary.LittleEndian.Uint64(v.b) }
func (v version) older() ref    { return ref(binary.LittleEndian.Uint32(v.b[8:])) }
func (v version) deleted() bool { return v.b[15]&(deletedBit>>24) != 0 }
func (v version) valueLen() int { return int(binary.LittleEndian.Uint32(v.b[12:]) &^ deletedBit) }
func (v version) value() []byte {
	n := versionBytes + v.valueLen()
	return v.b[versionBytes:n:n]
}
func (v version) setOlder(r ref) { binary.LittleEndian.PutUint32(v.b[8:], uint32(r)) }

// fits says whether a value of n bytes takes the room that v has.
func (v version) fits(n int) bool {
	return (v.valueLen()+refAlign-1)/refAlign == (n+refAlign-1)/refAlign
}

// set makes v a version; its room is large enough.
func (v version) set(seq uint64, older ref, value []byte, deleted bool) {
	binary.LittleEndian.PutUint64(v.b, seq)
	binary.LittleEndian.PutUint32(v.b[8:], uint32(older))
	n := uint32(len(value))
	if deleted {
		n |= deletedBit
	}
	binary.LittleEndian.PutUint32(v.b[12:], n)
	copy(v.b[versionBytes:], value)
}

// visible returns the newest version of a record that a reader at seq sees. The
// stripe is locked.
func (g *generation) visible(r ref, seq uint64) (v version, ok bool) {
	for at := g.record(r).newest(); at != 0; at = v.older() {
		if v = g.version(at); v.seq() <= seq {
			return v, true
		}
	}
	return version{}, false
}

// gone says whether what v set is deleted at seq, by v itself or a range since.
func (g *generation) gone(key []byte, v version, seq uint64) bool {
	if v.deleted() {
		return true
	}
	at, covered := g.ranges.Covers(key, seq)
	return covered && at > v.seq()
}

// addRecord makes a key's record with its first version. The stripe is locked.
func (g *generation) addRecord(tag uint32, below ref, seq uint64, key, value []byte, deleted bool) ref {
	r, v := g.alloc(recordBytes+len(key)), g.alloc(versionBytes+len(value))
	b := g.at(r)
	binary.LittleEndian.PutUint32(b, uint32(v))
	binary.LittleEndian.PutUint32(b[4:], uint32(below))
	binary.LittleEndian.PutUint32(b[8:], tag)
	binary.LittleEndian.PutUint32(b[12:], uint32(len(key)))
	copy(b[recordBytes:], key)
	g.version(v).set(seq, 0, value, deleted)
	g.records.Add(1)
	g.bytes.Add(recordCost)
	g.fresh = append(g.fresh, r)
	return r
}

// horizon is what the writer knows of readers when it begins a batch.
type horizon struct {
	// visible is the last sequence number that readers see. It does not change
	// before the batch is whole.
	visible uint64
	// open says that there are views that see the generation; lowest and highest are
	// their numbers. Views that are opened later have visible.
	open            bool
	lowest, highest uint64
}

// wants says whether a view may see a version of number from, which the next
// version, of number to, hides from others.
func (h horizon) wants(from, to uint64) bool {
	return h.open && h.highest >= from && h.lowest < to
}

// addVersion gives a record its next version. The stripe, whose spare room it is, is
// locked, so a point read sees visible or more.
func (g *generation) addVersion(r ref, seq uint64, value []byte, deleted bool, h horizon, s *spare) {
	s.begin(g, h)
	rec := g.record(r)
	first := rec.newest()
	v := g.version(first)
	if v.seq() > h.visible {
		// Of the same batch: nobody has seen it.
		if v.fits(len(value)) {
			v.set(seq, v.older(), value, deleted)
			return
		}
		rec.setNewest(g.newVersion(seq, v.older(), value, deleted))
		return
	}
	second := v.older()
	if second != 0 {
		old := g.version(second)
		if !h.wants(old.seq(), v.seq()) {
			// Everybody sees the first, or has a view from before the second.
			v.setOlder(old.older())
			if old.fits(len(value)) {
				old.set(seq, first, value, deleted)
				rec.setNewest(second)
				return
			}
		}
	}
	s.hides(r)
	if at := s.take(len(value)); at != 0 {
		g.version(at).set(seq, first, value, deleted)
		rec.setNewest(at)
		return
	}
	rec.setNewest(g.newVersion(seq, first, value, deleted))
}

func (g *generation) newVersion(seq uint64, older ref, value []byte, deleted bool) ref {
	r := g.alloc(versionBytes + len(value))
	g.version(r).set(seq, older, value, deleted)
	return r
}
