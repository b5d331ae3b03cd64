package front

import (
	"bytes"
	"math"
	"math/bits"
	"math/rand/v2"
	"sync/atomic"

	"dkv/engine"
	"dkv/engine/layer"
)

// memtable is a skiplist of records, changed by one goroutine and read by any
// number: keys in order, and the records of a key from the newest to the oldest.
// A record's number (seq) tells its place in the order of all that was applied.
// Nothing is ever removed, so a reader that looks at the records up to a number
// sees the state of that moment.
//
// Nodes are Go objects that the garbage collector has to look at; keys and values
// lie in blocks that it does not.
type memtable struct {
	head   node
	height atomic.Int32
	ranges layer.Ranges
	bytes  atomic.Int64
	number uint64 // of the memtable

	// Used by the writer only.
	rng    rand.PCG
	block  []byte
	nodes  []node
	towers []atomic.Pointer[node]
	preds  [maxHeight]*node
}

type node struct {
	key, value []byte
	seq        uint64
	kind       engine.Kind
	next       []atomic.Pointer[node]
}

const (
	// maxHeight is enough for some 4^12 records.
	maxHeight = 12

	maxSeq = math.MaxUint64

	// Sizes of what records are cut from: they start small, so that an engine with
	// little in it takes little, and double.
	minBlockBytes, maxBlockBytes = 4 << 10, 256 << 10
	minNodes, maxNodes           = 16, 1024

	// nodeBytes is about what a record takes beside its key and value.
	nodeBytes = 112

	// emptyBytes is what a memtable takes with nothing in it.
	emptyBytes = 1 << 10
)

func newMemtable(number uint64) *memtable {
	m := &memtable{number: number}
	m.head.next = make([]atomic.Pointer[node], maxHeight)
	m.height.Store(1)
	m.rng = *rand.NewPCG(number, 0)
	m.bytes.Store(emptyBytes)
	return m
}

// size is about how much memory it takes.
func (m *memtable) size() int64 { return m.bytes.Load() }

func (m *memtable) empty() bool { return m.size() == emptyBytes }

// compare puts records in their order.
func compare(n *node, key []byte, seq uint64) int {
	if c := bytes.Compare(n.key, key); c != 0 {
		return c
	}
	switch {
	case n.seq > seq:
		return -1
	case n.seq < seq:
		return 1
	}
	return 0
}

// add inserts a put or a delete. seq is above all before it. key and value are
// copied.
func (m *memtable) add(kind engine.Kind, seq uint64, key, value []byte) {
	prev := &m.head
	height := int(m.height.Load())
	for level := height - 1; level >= 0; level-- {
		for next := prev.next[level].Load(); next != nil && compare(next, key, seq) < 0; next = prev.next[level].Load() {
			prev = next
		}
		m.preds[level] = prev
	}
	h := m.randomHeight()
	for level := height; level < h; level++ {
		m.preds[level] = &m.head
	}
	if h > height {
		m.height.Store(int32(h)) // a reader that sees it early finds nil there
	}
	n := m.newNode(h)
	n.kind, n.seq, n.key, n.value = kind, seq, m.copy(key), m.copy(value)
	for level := range h {
		n.next[level].Store(m.preds[level].next[level].Load())
	}
	for level := range h {
		m.preds[level].next[level].Store(n)
	}
	m.bytes.Add(int64(len(key) + len(value) + nodeBytes))
}

// addRange inserts a delete-range. publishRanges makes it visible.
func (m *memtable) addRange(seq uint64, start, end []byte) {
	m.ranges.Add(seq, m.copy(start), m.copy(end))
	m.bytes.Add(int64(len(start) + len(end) + nodeBytes))
}

// randomHeight returns 1 or, with a quarter of the chance each, more.
func (m *memtable) randomHeight() int {
	return min(1+bits.TrailingZeros64(m.rng.Uint64())/2, maxHeight)
}

func (m *memtable) newNode(height int) *node {
	if len(m.nodes) == 0 {
		m.nodes = make([]node, grown(&m.bytes, minNodes, maxNodes, nodeBytes))
	}
	if len(m.towers) < height {
		m.towers = make([]atomic.Pointer[node], max(2*len(m.nodes), maxHeight))
	}
	n := &m.nodes[0]
	m.nodes = m.nodes[1:]
	n.next, m.towers = m.towers[:height:height], m.towers[height:]
	return n
}

// grown returns how many to make next, in proportion to what there is.
func grown(have *atomic.Int64, least, most, each int64) int64 {
	return min(max(have.Load()/each/4, least), most)
}

// copy returns a copy that lives as long as the memtable.
func (m *memtable) copy(b []byte) []byte {
	if len(b) > minBlockBytes {
		return bytes.Clone(b)
	}
	if len(m.block)+len(b) > cap(m.block) {
		m.block = make([]byte, 0, grown(&m.bytes, minBlockBytes, maxBlockBytes, 1))
	}
	n := len(m.block)
	m.block = append(m.block, b...)
	return m.block[n:len(m.block):len(m.block)]
}

// seek returns the first record that is not below (key, seq).
func (m *memtable) seek(key []byte, seq uint64) *node {
	prev := &m.head
	var next *node
	for level := int(m.height.Load()) - 1; level >= 0; level-- {
		for next = prev.next[level].Load(); next != nil && compare(next, key, seq) < 0; next = prev.next[level].Load() {
			prev = next
		}
	}
	return next
}

// seekLT returns the last record whose key is below key; nil when there is none.
// An empty key is above all.
func (m *memtable) seekLT(key []byte) *node {
	prev := &m.head
	for level := int(m.height.Load()) - 1; level >= 0; level-- {
		for next := prev.next[level].Load(); next != nil && (len(key) == 0 || bytes.Compare(next.key, key) < 0); next = prev.next[level].Load() {
			prev = next
		}
	}
	if prev == &m.head {
		return nil
	}
	return prev
}

// get looks a key up in the state of seq. known is false when the memtable says
// nothing of it; no node with known true says that it was deleted.
func (m *memtable) get(key []byte, seq uint64) (n *node, known bool) {
	n = m.seek(key, seq)
	if n != nil && !bytes.Equal(n.key, key) {
		n = nil
	}
	deletedAt, deleted := m.ranges.Covers(key, seq)
	switch {
	case n == nil && !deleted:
		return nil, false
	case n == nil || n.kind != engine.KindPut || deleted && deletedAt > n.seq:
		return nil, true
	}
	return n, true
}

// memIter walks the keys of a memtable in the state of seq, those included that
// were deleted, which hide what lies below. It has no bounds.
type memIter struct {
	m    *memtable
	seq  uint64
	n    *node // nil: not valid
	gone bool
}

func (it *memIter) Valid() bool   { return it.n != nil }
func (it *memIter) Key() []byte   { return it.n.key }
func (it *memIter) Value() []byte { return it.n.value }
func (it *memIter) Deleted() bool { return it.gone }

func (it *memIter) Covering(key []byte) *layer.Piece {
	p, _, _ := it.m.ranges.Covering(key, it.seq)
	return p
}

// SeekGE moves to the first key that is not below key.
func (it *memIter) SeekGE(key []byte) {
	it.forward(it.m.seek(key, maxSeq))
}

// Next moves to the next key.
func (it *memIter) Next() {
	n := it.n.next[0].Load()
	if n != nil && bytes.Equal(n.key, it.n.key) {
		n = it.m.seek(n.key, 0) // past all of its records
	}
	it.forward(n)
}

// forward settles on the newest record that the state has, of n's key or the
// first key after it that has one.
func (it *memIter) forward(n *node) {
	for n != nil && n.seq > it.seq {
		n = it.m.seek(n.key, it.seq)
	}
	it.settle(n)
}

// SeekLT moves to the last key below key; an empty key is above all.
func (it *memIter) SeekLT(key []byte) {
	for n := it.m.seekLT(key); n != nil; n = it.m.seekLT(n.key) {
		// n is the oldest of its key. The newest that the state has:
		if n.seq <= it.seq {
			it.settle(it.m.seek(n.key, it.seq))
			return
		}
	}
	it.settle(nil)
}

func (it *memIter) Prev() { it.SeekLT(it.n.key) }

func (it *memIter) settle(n *node) {
	it.n = n
	if n == nil {
		return
	}
	deletedAt, deleted := it.m.ranges.Covers(n.key, it.seq)
	it.gone = n.kind != engine.KindPut || deleted && deletedAt > n.seq
}
