package keyspace

import "slices"

// Insert puts an element before the one at an index; the list's length is the place
// behind all. The elements on the shorter side are moved by one.
func (l *List) Insert(index int64, element []byte) error {
	if index == 0 || index == l.Len() {
		return l.Push(index == 0, element)
	}
	if !l.separate {
		if l.fitsInline(element, nil, 0, false) {
			var buf [maxInlineEntries]inlineEntry
			entries, err := l.inlineEntries(&buf)
			if err != nil {
				return err
			}
			l.insertInline(entries[index].start, element)
			return nil
		}
		if err := l.spread(); err != nil {
			return err
		}
	}
	if index <= l.Len()/2 {
		if err := l.shift(0, index-1, l.first-1); err != nil {
			return err
		}
		l.first--
	} else if err := l.shift(index, l.Len()-1, l.first+uint64(index)+1); err != nil {
		return err
	}
	l.put(l.first+uint64(index), element)
	l.size++
	l.packed += packedSize(element)
	return nil
}

// shift writes the elements from one index to another to positions from to on, as
// they were before the call.
func (l *List) shift(first, last int64, to uint64) error {
	err := l.Range(first, last, false, func(element []byte) bool {
		l.put(to, element)
		to++
		return l.tx.ov.Batch().Err() == nil
	})
	return err
}

// Remove removes elements that are equal to one, up to limit of them (0: all), from
// the front on or from the back, and returns how many. The longest part that nothing
// was removed from stays where it is, the others close up to it.
func (l *List) Remove(element []byte, limit int64, backwards bool) (int64, error) {
	if l.size == 0 {
		return 0, nil
	}
	var found []int64
	index, step := int64(0), int64(1)
	if backwards {
		index, step = l.Len()-1, -1
	}
	err := l.Range(0, l.Len()-1, backwards, func(e []byte) bool {
		if string(e) == string(element) {
			found = append(found, index)
		}
		index += step
		return limit == 0 || int64(len(found)) < limit
	})
	if err != nil || len(found) == 0 {
		return 0, err
	}
	if backwards {
		slices.Reverse(found)
	}
	if l.separate {
		return int64(len(found)), l.close(found, packedSize(element))
	}
	var buf [maxInlineEntries]inlineEntry
	entries, err := l.inlineEntries(&buf)
	if err != nil {
		return 0, err
	}
	for _, i := range slices.Backward(found) {
		l.rest = slices.Delete(l.rest, entries[i].start, entries[i].end)
	}
	l.size -= uint64(len(found))
	l.touched, l.dirty = true, true
	return int64(len(found)), nil
}

// close removes the elements at indexes, in order, each of a packed size.
func (l *List) close(removed []int64, packed uint64) error {
	// The elements between removed[k-1] and removed[k] stay.
	k, longest, from := 0, int64(-1), int64(0)
	for i := range len(removed) + 1 {
		to := l.Len()
		if i < len(removed) {
			to = removed[i]
		}
		if to-from > longest {
			k, longest = i, to-from
		}
		from = to + 1
	}
	before, after := removed[:k], removed[k:]
	// Those next to it first, so that nothing is overwritten before it is read.
	for i, at := range slices.Backward(before) {
		first := int64(0)
		if i > 0 {
			first = before[i-1] + 1
		}
		if first < at {
			if err := l.shift(first, at-1, l.first+uint64(first)+uint64(len(before)-i)); err != nil {
				return err
			}
		}
	}
	for i, at := range after {
		last := l.Len() - 1
		if i+1 < len(after) {
			last = after[i+1] - 1
		}
		if at < last {
			if err := l.shift(at+1, last, l.first+uint64(at)-uint64(i)); err != nil {
				return err
			}
		}
	}
	l.cut(true, uint64(len(before)), packed*uint64(len(before)))
	l.cut(false, uint64(len(after)), packed*uint64(len(after)))
	return nil
}

// Trim leaves the elements from index first to last, which must be there; none when
// first is above last.
func (l *List) Trim(first, last int64) error {
	if first > last {
		first, last = l.Len(), l.Len()-1
	}
	for _, end := range [...]struct {
		front bool
		n     int64
	}{{false, l.Len() - 1 - last}, {true, first}} {
		if end.n == 0 {
			continue
		}
		packed, err := l.packedEnd(end.front, end.n)
		if err != nil {
			return err
		}
		if err := l.cutEnd(end.front, end.n, packed); err != nil {
			return err
		}
	}
	return nil
}

// countPacked is up to how many elements are read to know their packed size. Where
// both what goes and what stays is more, it is taken to be the average: a list of so
// many elements is too large for a listpack, unless the limit was raised.
const countPacked = 1024

// packedEnd returns the packed size of n elements at the front or the back.
func (l *List) packedEnd(front bool, n int64) (packed uint64, err error) {
	rest := l.Len() - n
	if !l.separate || rest == 0 {
		return 0, nil
	}
	add := func(element []byte) bool { packed += packedSize(element); return true }
	switch {
	case n <= countPacked && front:
		err = l.Range(0, n-1, false, add)
	case n <= countPacked:
		err = l.Range(rest, l.Len()-1, false, add)
	case rest <= countPacked:
		if front {
			err = l.Range(n, l.Len()-1, false, add)
		} else {
			err = l.Range(0, rest-1, false, add)
		}
		packed = l.packed - min(packed, l.packed)
	default:
		packed = uint64(float64(l.packed) / float64(l.size) * float64(n))
	}
	return packed, err
}

// Redis's listpack (listpack.c): a header and an end mark, and for each entry an
// integer or a string with its length, then the length of that.
const packedOverhead = 6 + 1

// Packed returns the size in bytes that the list would have as a listpack.
func (l *List) Packed() (uint64, error) {
	if l.separate {
		return packedOverhead + l.packed, nil
	}
	n := uint64(packedOverhead)
	err := l.eachInline(func(element, _ []byte) bool { n += packedSize(element); return true })
	return n, err
}

// packedSize returns the size of an element in a listpack.
func packedSize(element []byte) uint64 {
	n := uint64(len(element))
	switch i, ok := ParseInt(element); {
	case ok && i >= 0 && i < 1<<7:
		n = 1
	case ok && i >= -1<<12 && i < 1<<12:
		n = 2
	case ok && i == int64(int16(i)):
		n = 3
	case ok && i >= -1<<23 && i < 1<<23:
		n = 4
	case ok && i == int64(int32(i)):
		n = 5
	case ok:
		n = 9
	case n < 1<<6:
		n++
	case n < 1<<12:
		n += 2
	default:
		n += 5
	}
	for bits := n; ; bits >>= 7 {
		if n++; bits < 1<<7 {
			return n
		}
	}
}

// SetRedisEncoding sets RedisEncoding. Unlike that of other collections a list's goes
// back, when the list has become small.
func (l *List) SetRedisEncoding(e Encoding) {
	if e != l.encoding {
		l.encoding = e
		l.touched, l.dirty = true, true
	}
}
