package engine

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"slices"
	"sort"
)

const (
	// minOverlaySlots is the size that the hash index starts with.
	minOverlaySlots = 64

	// maxRetainedOverlayEntries is how many mutations Reset keeps room for.
	maxRetainedOverlayEntries = 1 << 17
)

// Overlay is a Reader that sees the mutations of a batch being built over
// another Reader. Unlike other Readers it is not safe for concurrent use: it
// belongs to the goroutine that builds the batch.
//
// A point read costs one hash and, mostly, one probe before it goes to the base,
// and nothing at all while the batch is empty. The index holds positions in the
// batch's own bytes (an open-addressed table, linear probing), so that neither a
// read nor a write allocates once the memory of earlier batches is there; a
// map[string] would allocate each key.
type Overlay struct {
	base  Reader
	batch Batch

	// entries are the puts and deletes, in order; entry i has the sequence
	// number i.
	entries []overlayEntry
	// ranges are the delete-ranges, in order. cover is the same cut into
	// disjoint pieces in key order, each with the newest range over it.
	ranges []rangeDelete
	cover  []rangeDelete

	// table maps keys to their newest entry. Its length is a power of two and
	// at least twice used; zero slots are empty.
	table []overlaySlot
	used  int
	// startSlots is the table length that the last batch would have needed.
	startSlots int
	seed       maphash.Seed

	// hidden is scratch of AppendFinal: which entries a newer one hides.
	hidden []bool

	// sorted holds the newest entries of the keys of entries[:sortedTo], in key
	// order. It is brought up to date when an iterator is made.
	sorted   []uint32
	sortedTo int
	// sharing is how many open iterators use sorted. It counts those of this round
	// only: a round ends when sorted is another slice.
	sharing, round int

	// resting is an iterator over the base that a closed one has left, see baseIter.
	resting *baseIter
	// bases is how often base was replaced, lost is the error of an iterator that still
	// rested then: whoever makes the next one is told.
	bases int
	lost  error
}

// overlayEntry is a put or a delete.
type overlayEntry struct {
	hash       uint64
	key, value span
	// prev is one more than the number of the entry of the same key that this
	// one hides; 0 is none.
	prev uint32
	kind Kind
}

// rangeDelete is a delete-range, or a piece of one.
type rangeDelete struct {
	start, end span
	// seq is how many entries came before it: those it deletes.
	seq uint32
}

type overlaySlot struct {
	tag uint32 // upper half of the hash
	ref uint32 // entry number + 1; 0 is an empty slot
}

// Mark is a state of an Overlay that it can be taken back to.
type Mark struct {
	bytes           int
	count           uint32
	entries, ranges int
}

// NewOverlay returns an empty overlay over base.
func NewOverlay(base Reader) *Overlay {
	return &Overlay{base: base, seed: maphash.MakeSeed()}
}

// Reset empties the overlay and puts it over base. Memory is kept for the next
// batch, up to a limit. Iterators made before must not be used after.
func (o *Overlay) Reset(base Reader) {
	o.lost = o.Rest()
	o.base = base
	o.bases++
	o.batch.Reset()
	o.startSlots = slotsFor(o.used)
	o.used, o.sortedTo = 0, 0
	if cap(o.entries) > maxRetainedOverlayEntries {
		o.entries, o.table, o.sorted, o.ranges, o.cover, o.hidden = nil, nil, nil, nil, nil, nil
		o.startSlots = 0
	}
	o.sharing = 0
	o.round++
	// The table is cleared when the next batch first needs it (see grow).
	o.entries, o.table, o.sorted = o.entries[:0], o.table[:0], o.sorted[:0]
	o.ranges, o.cover = o.ranges[:0], o.cover[:0]
}

// Batch returns the batch being built. It is changed through the overlay only;
// the caller may read it, and must check its Err before it uses its Repr.
func (o *Overlay) Batch() *Batch {
	return &o.batch
}

// AppendFinal appends the wire form of the batch to dst, without the puts and deletes
// that a later one of the same key hides: the batch leaves the same without them.
// Commands that change the same collections one after the other write its record
// each time, and only the last one need go into the log and the engine. The batch must
// be free of errors.
func (o *Overlay) AppendFinal(dst []byte) []byte {
	repr := o.batch.Repr()
	if o.used == len(o.entries) {
		return append(dst, repr...)
	}
	o.hidden = slices.Grow(o.hidden[:0], len(o.entries))[:len(o.entries)]
	clear(o.hidden)
	size := len(repr)
	for i := range o.entries {
		if prev := o.entries[i].prev; prev != 0 {
			o.hidden[prev-1] = true
			size -= int(o.entries[prev-1].key.n + o.entries[prev-1].value.n)
		}
	}
	dst = slices.Grow(dst, size)
	start := len(dst)
	// Entries are those of the batch in their order, and delete-ranges between them.
	kept, entry, count := 0, 0, o.batch.count
	r := BatchReader{rest: repr[batchHeaderBytes:], left: count}
	for {
		at := len(repr) - len(r.rest)
		kind, _, _, ok, err := r.Next()
		if err != nil {
			panic("engine: the batch of an overlay is corrupt: " + err.Error())
		}
		if !ok {
			break
		}
		if kind == KindDeleteRange {
			continue
		}
		if o.hidden[entry] {
			dst = append(dst, repr[kept:at]...)
			kept = len(repr) - len(r.rest)
			count--
		}
		entry++
	}
	dst = append(dst, repr[kept:]...)
	binary.LittleEndian.PutUint32(dst[start+8:], count)
	return dst
}

// Get implements Reader.
func (o *Overlay) Get(dst, key []byte) (value []byte, found bool, err error) {
	if len(o.entries) != 0 {
		if ref := o.table[o.find(maphash.Bytes(o.seed, key), key)].ref; ref != 0 {
			e := &o.entries[ref-1]
			if e.kind != KindPut || o.deletedAfter(key, ref) {
				return dst, false, nil
			}
			return append(dst, e.value.in(o.batch.buf)...), true, nil
		}
	}
	if len(o.cover) != 0 && o.deletedAfter(key, 0) {
		return dst, false, nil
	}
	return o.base.Get(dst, key)
}

// Put sets key to value, both copied. key must not be empty.
func (o *Overlay) Put(key, value []byte) {
	if k, v, ok := o.batch.append(KindPut, key, value); ok {
		o.add(KindPut, key, k, v)
	}
}

// Delete removes key, which is copied, and must not be empty.
func (o *Overlay) Delete(key []byte) {
	if k, v, ok := o.batch.append(KindDelete, key, nil); ok {
		o.add(KindDelete, key, k, v)
	}
}

// DeleteRange removes every key in [start, end), both copied. An empty start is
// the first key that there can be. An empty range adds nothing.
func (o *Overlay) DeleteRange(start, end []byte) {
	start = rangeStart(start)
	if bytes.Compare(start, end) >= 0 {
		return
	}
	if s, e, ok := o.batch.append(KindDeleteRange, start, end); ok {
		r := rangeDelete{start: s, end: e, seq: uint32(len(o.entries))}
		o.ranges = append(o.ranges, r)
		o.coverWith(r)
	}
}

// Mark returns the present state for Rollback.
func (o *Overlay) Mark() Mark {
	return Mark{bytes: o.batch.Len(), count: o.batch.Count(), entries: len(o.entries), ranges: len(o.ranges)}
}

// Rollback undoes every mutation after m, which must be of this batch and not
// have been rolled back itself. Iterators made after m must not be used after.
func (o *Overlay) Rollback(m Mark) {
	// Newest first: a slot is emptied only when every slot that was filled after
	// it is empty again, so no probe sequence is ever cut.
	for i := len(o.entries) - 1; i >= m.entries; i-- {
		e := &o.entries[i]
		slot := &o.table[o.find(e.hash, e.key.in(o.batch.buf))]
		if slot.ref = e.prev; e.prev == 0 {
			o.used--
		}
	}
	o.entries = o.entries[:m.entries]
	if m.ranges < len(o.ranges) {
		o.ranges = o.ranges[:m.ranges]
		o.cover = o.cover[:0]
		for _, r := range o.ranges {
			o.coverWith(r)
		}
	}
	if m.entries < o.sortedTo {
		o.sorted, o.sortedTo = o.sorted[:0], 0
	}
	o.batch.Truncate(m.bytes, m.count)
}

// add indexes a record that was appended to the batch.
func (o *Overlay) add(kind Kind, key []byte, k, v span) {
	if 2*(o.used+1) > len(o.table) {
		o.grow()
	}
	e := overlayEntry{hash: maphash.Bytes(o.seed, key), key: k, value: v, kind: kind}
	slot := &o.table[o.find(e.hash, key)]
	if e.prev = slot.ref; e.prev == 0 {
		slot.tag = uint32(e.hash >> 32)
		o.used++
	}
	o.entries = append(o.entries, e)
	slot.ref = uint32(len(o.entries))
}

// find returns the number of the slot that holds key, or of the empty slot where
// it belongs. The table must not be empty.
func (o *Overlay) find(hash uint64, key []byte) int {
	mask := len(o.table) - 1
	tag := uint32(hash >> 32)
	for i := int(uint32(hash)) & mask; ; i = (i + 1) & mask {
		s := o.table[i]
		if s.ref == 0 || s.tag == tag && bytes.Equal(o.entries[s.ref-1].key.in(o.batch.buf), key) {
			return i
		}
	}
}

// grow makes the table larger (or gives an empty overlay its first) and fills it
// in the order of the entries, which Rollback relies on.
func (o *Overlay) grow() {
	n := max(2*len(o.table), o.startSlots, minOverlaySlots)
	if n <= cap(o.table) {
		o.table = o.table[:n]
		clear(o.table)
	} else {
		o.table = make([]overlaySlot, n)
	}
	mask := n - 1
	for i := range o.entries {
		e := &o.entries[i]
		at := int(uint32(e.hash)) & mask
		for o.table[at].ref != e.prev { // its key's slot, or an empty one
			at = (at + 1) & mask
		}
		o.table[at] = overlaySlot{tag: uint32(e.hash >> 32), ref: uint32(i + 1)}
	}
}

// slotsFor returns the table length for that many keys.
func slotsFor(keys int) int {
	return 1 << bits.Len(uint(2*keys))
}

// deletedAfter reports whether a delete-range covers key that came after the
// first n entries.
func (o *Overlay) deletedAfter(key []byte, n uint32) bool {
	if len(o.cover) == 0 {
		return false
	}
	i := coverSearch(o.batch.buf, o.cover, key)
	return i < len(o.cover) && bytes.Compare(o.cover[i].start.in(o.batch.buf), key) <= 0 && o.cover[i].seq >= n
}

// coverSearch returns the first piece that ends after key.
func coverSearch(buf []byte, cover []rangeDelete, key []byte) int {
	return sort.Search(len(cover), func(i int) bool {
		return bytes.Compare(cover[i].end.in(buf), key) > 0
	})
}

// coverWith lays a range over the pieces. It is newer than all of them, so it
// replaces what it covers: at most two pieces, at its ends, keep a part.
func (o *Overlay) coverWith(r rangeDelete) {
	buf := o.batch.buf
	start, end := r.start.in(buf), r.end.in(buf)
	from := coverSearch(buf, o.cover, start)
	to := from
	for to < len(o.cover) && bytes.Compare(o.cover[to].start.in(buf), end) < 0 {
		to++
	}
	var repl [3]rangeDelete
	n := 0
	if from < to {
		if first := o.cover[from]; bytes.Compare(first.start.in(buf), start) < 0 {
			repl[n] = rangeDelete{start: first.start, end: r.start, seq: first.seq}
			n++
		}
	}
	repl[n] = r
	n++
	if from < to {
		if last := o.cover[to-1]; bytes.Compare(last.end.in(buf), end) > 0 {
			repl[n] = rangeDelete{start: r.end, end: last.end, seq: last.seq}
			n++
		}
	}
	o.cover = slices.Replace(o.cover, from, to, repl[:n]...)
}
