package keyspace

import (
	"encoding/binary"
	"fmt"
	"slices"

	"dkv/engine"
)

// List is a list, as a key that a Tx found holds it (an empty one when the key does
// not exist). Of Collection's methods those about the whole are a list's too: Len,
// Inline, RedisEncoding, Each, Own.
//
// Elements stand at positions in a row, first, first+1 and so on, so that an index
// is a position, and pushes and pops at either end touch one record. What was popped
// stays outside of the row: nothing walks over its tombstones. To insert or remove in
// the middle moves the elements on the shorter side, O(n) at worst.
//
// Changes reach the batch by themselves, except for the Meta record: Save must
// follow them.
type List struct{ Collection }

// What stands behind the head of a list whose elements are records (inline ones have
// the elements there):
//
//	first 8 (big endian)  uvarint(packed)
//
// packed is the size in bytes that the elements have in Redis's listpack, for
// OBJECT ENCODING.
type listEnds struct {
	first  uint64
	packed uint64
}

// middlePosition is where the first element of a list goes.
const middlePosition = 1 << 63

func parseListEnds(h *head, rest []byte) error {
	var ok bool
	if len(rest) > 8 {
		h.first = binary.BigEndian.Uint64(rest)
		h.packed, rest, ok = takeUvarint(rest[8:])
	}
	if !ok || len(rest) != 0 || h.first+h.size < h.first || h.packed > maxSize {
		return fmt.Errorf("%w: ends of a list", ErrCorrupt)
	}
	return nil
}

func (e *listEnds) append(dst []byte) []byte {
	return binary.AppendUvarint(binary.BigEndian.AppendUint64(dst, e.first), e.packed)
}

// List returns what a key holds, as a list. Errors: ErrWrongType, or wraps
// ErrCorrupt.
func (tx *Tx) List(e Entry) (List, error) {
	c, err := tx.Collection(e, TypeList)
	return List{c}, err
}

// At appends the element at an index, which must be one, to dst. Over a live engine
// it wants a snapshot, as all that reads of lists do: an index is another position
// after the next push.
func (l *List) At(dst []byte, index int64) ([]byte, error) {
	if l.separate {
		return l.get(dst, l.first+uint64(index))
	}
	err := l.eachInline(func(element, _ []byte) bool {
		if index--; index < 0 {
			dst = append(dst, element...)
		}
		return index >= 0
	})
	if err == nil && index >= 0 {
		err = errLostElements
	}
	return dst, err
}

func (l *List) get(dst []byte, position uint64) ([]byte, error) {
	l.positionKey(position)
	dst, found, err := l.tx.r.Get(dst, l.tx.elem)
	if err != nil {
		return dst, fmt.Errorf("keyspace: read element: %w", err)
	}
	if !found {
		return dst, errLostElements
	}
	return dst, nil
}

// Range calls emit for the elements from index first to last, both of which must be
// there, in their order or backwards, until it returns false. The slice is valid
// during the call, in which the list must not be changed.
func (l *List) Range(first, last int64, backwards bool, emit func(element []byte) bool) error {
	if !l.separate {
		return l.inlineRange(first, last, backwards, emit)
	}
	it, err := l.tx.r.NewIter(engine.IterOptions{
		Lower: l.bound(l.first + uint64(first)), Upper: l.bound(l.first + uint64(last) + 1),
	})
	if err != nil {
		return fmt.Errorf("keyspace: iterate elements: %w", err)
	}
	start, next := it.First, it.Next
	if backwards {
		start, next = it.Last, it.Prev
	}
	left := last - first + 1
	for ok := start(); ok; ok = next() {
		var element []byte
		if element, err = it.Value(); err != nil {
			err = fmt.Errorf("keyspace: iterate elements: %w", err)
			break
		}
		if left--; !emit(element) {
			left = 0
			break
		}
	}
	if err = endIteration(it, err); err == nil && left != 0 {
		err = errLostElements
	}
	return err
}

func (l *List) inlineRange(first, last int64, backwards bool, emit func(element []byte) bool) error {
	var buf [maxInlineEntries]inlineEntry
	entries, err := l.inlineEntries(&buf)
	if err != nil {
		return err
	}
	for n := range last - first + 1 {
		i := first + n
		if backwards {
			i = last - n
		}
		if !emit(entries[i].element) {
			break
		}
	}
	return nil
}

// inlineEntries returns all entries, which must be as many as the head says.
func (l *List) inlineEntries(buf *[maxInlineEntries]inlineEntry) ([]inlineEntry, error) {
	n := 0
	for at := 0; ; n++ {
		e, ok, err := nextInline(TypeList, l.rest, at)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		if n == len(buf) {
			return nil, fmt.Errorf("%w: more than %d inline elements", ErrCorrupt, n)
		}
		buf[n], at = e, e.end
	}
	if uint64(n) != l.size {
		return nil, errLostElements
	}
	return buf[:n], nil
}

// Push adds an element at the front or at the back.
func (l *List) Push(front bool, element []byte) error {
	if !l.separate {
		if l.fitsInline(element, nil, 0, false) {
			at := len(l.rest)
			if front {
				at = 0
			}
			l.insertInline(at, element)
			return nil
		}
		if err := l.spread(); err != nil {
			return err
		}
	}
	position := l.first + l.size
	if front {
		l.first--
		position = l.first
	}
	l.put(position, element)
	l.size++
	l.packed += packedSize(element)
	return nil
}

func (l *List) insertInline(at int, element []byte) {
	tx := l.tx
	tx.old = appendInline(TypeList, tx.old[:0], element, nil)
	l.rest = slices.Insert(l.rest, at, tx.old...)
	l.size++
	l.touched, l.dirty = true, true
}

// Pop removes n elements, of which there must be as many, from the front or the back,
// and calls emit for each, the outermost first. The slice is valid during the call.
func (l *List) Pop(front bool, n int64, emit func(element []byte)) error {
	tx := l.tx
	if l.separate && n == 1 {
		position := l.first
		if !front {
			position += l.size - 1
		}
		element, err := l.get(tx.old[:0], position)
		if err != nil {
			return err
		}
		tx.old = element
		emit(element)
		l.cut(front, 1, packedSize(element))
		return nil
	}
	first, last := int64(0), n-1
	if !front {
		first, last = l.Len()-n, l.Len()-1
	}
	packed := uint64(0)
	err := l.Range(first, last, !front, func(element []byte) bool {
		packed += packedSize(element)
		emit(element)
		return true
	})
	if err != nil {
		return err
	}
	return l.cutEnd(front, n, packed)
}

// cutEnd removes n elements from the front or the back.
func (l *List) cutEnd(front bool, n int64, packed uint64) error {
	if l.separate {
		l.cut(front, uint64(n), packed)
		return nil
	}
	var buf [maxInlineEntries]inlineEntry
	entries, err := l.inlineEntries(&buf)
	if err != nil || n == 0 {
		return err
	}
	if front {
		l.rest = slices.Delete(l.rest, 0, entries[n-1].end)
	} else {
		l.rest = l.rest[:entries[l.Len()-n].start]
	}
	l.size -= uint64(n)
	l.touched, l.dirty = true, true
	return nil
}

// cut is cutEnd for element records.
func (l *List) cut(front bool, n, packed uint64) {
	if front {
		l.tx.dropPositions(l.db, l.homeSlot(), l.Version, l.first, n)
		l.first += n
	} else {
		l.tx.dropPositions(l.db, l.homeSlot(), l.Version, l.first+l.size-n, n)
	}
	l.size -= n
	if l.packed -= min(packed, l.packed); l.size == 0 {
		l.packed = 0
	}
	l.touched, l.dirty = true, true
}

// Set replaces the element at an index, which must be one.
func (l *List) Set(index int64, element []byte) error {
	tx := l.tx
	if !l.separate {
		var buf [maxInlineEntries]inlineEntry
		entries, err := l.inlineEntries(&buf)
		if err != nil {
			return err
		}
		e := entries[index]
		if l.fitsInline(element, nil, e.end-e.start, true) {
			tx.old = appendInline(TypeList, tx.old[:0], element, nil)
			l.rest = slices.Replace(l.rest, e.start, e.end, tx.old...)
			l.touched, l.dirty = true, true
			return nil
		}
		if err := l.spread(); err != nil {
			return err
		}
	}
	position := l.first + uint64(index)
	old, err := l.get(tx.old[:0], position)
	if err != nil {
		return err
	}
	tx.old = old
	l.packed += packedSize(element) - min(packedSize(old), l.packed)
	l.put(position, element)
	return nil
}

// Save writes the Meta record if the list changed. A list without elements is none:
// the key is deleted. The key's expiry stays.
func (l *List) Save() error {
	if l.separate && l.dirty && l.size != 0 {
		l.rest = l.listEnds.append(l.rest[:0])
	}
	return l.Collection.Save()
}

// spread gives every element of an inline list a record of its own.
func (l *List) spread() error {
	entries := l.rest
	l.Version = l.tx.NextVersion()
	l.separate, l.away, l.rest = true, false, nil
	l.first, l.packed = middlePosition, 0
	position := l.first
	for at := 0; ; position++ {
		e, ok, err := nextInline(TypeList, entries, at)
		if err != nil {
			return err
		}
		if !ok {
			return nil
		}
		l.put(position, e.element)
		l.packed += packedSize(e.element)
		at = e.end
	}
}

// put writes the record of a position.
func (l *List) put(position uint64, element []byte) {
	l.positionKey(position)
	l.tx.ov.Put(l.tx.elem, element)
	l.touched, l.dirty = true, true
}

// positionKey puts the key of a position's record into tx.elem.
func (l *List) positionKey(position uint64) {
	tx := l.tx
	tx.elem = appendPrefix(tx.elem[:0], kindElement, l.db, l.homeSlot(), l.Version)
	tx.elem = appendUint64(tx.elem, position)
}

// bound returns the key of a position's record, as a bound of an iterator.
func (l *List) bound(position uint64) []byte {
	return appendPosition(nil, l.db, l.homeSlot(), l.Version, position)
}

func appendPosition(dst []byte, db physical, slot Slot, version Version, position uint64) []byte {
	return appendUint64(appendPrefix(dst, kindElement, db, slot, version), position)
}

// dropPositions deletes the records of n positions from first on.
func (tx *Tx) dropPositions(db physical, slot Slot, version Version, first, n uint64) {
	if n > dropByElement {
		tx.ov.DeleteRange(appendPosition(nil, db, slot, version, first), appendPosition(nil, db, slot, version, first+n))
		return
	}
	for i := range n {
		tx.elem = appendPosition(tx.elem[:0], db, slot, version, first+i)
		tx.ov.Delete(tx.elem)
	}
}
