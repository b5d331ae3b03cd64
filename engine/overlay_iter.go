package engine

import (
	"bytes"
	"cmp"
	"slices"
	"sort"
)

// NewIter implements Reader. The iterator sees the overlay as it is now: later
// mutations do not show. It must not be used after Reset, or after a Rollback to
// a Mark made before it.
//
// Cost: the entries since the last NewIter are sorted into those before; and see
// Overlay.baseIter. What is sorted is shared with the iterator, and copied when it
// changes before the iterator is closed.
func (o *Overlay) NewIter(opts IterOptions) (Iterator, error) {
	if len(o.entries) == 0 && len(o.cover) == 0 {
		return o.baseIter(opts)
	}
	o.sort()
	keys := o.sorted[o.sortedSearch(o.sorted, opts.Lower):]
	cover := o.cover[coverSearch(o.batch.buf, o.cover, opts.Lower):]
	if len(opts.Upper) != 0 {
		keys = keys[:o.sortedSearch(keys, opts.Upper)]
		cover = cover[:sort.Search(len(cover), func(i int) bool {
			return bytes.Compare(cover[i].start.in(o.batch.buf), opts.Upper) >= 0
		})]
	}
	base, err := o.baseIter(opts)
	if err != nil || len(keys) == 0 && len(cover) == 0 {
		return base, err
	}
	o.sharing++
	return &overlayIter{base: base, o: o, round: o.round, buf: o.batch.buf, entries: o.entries, keys: keys, cover: slices.Clone(cover)}, nil
}

// sort brings o.sorted up to date: the new entries are sorted among themselves,
// then merged from the back, with a binary search each, so that the old ones are
// moved at most once and hardly compared.
func (o *Overlay) sort() {
	if o.sortedTo == len(o.entries) {
		return
	}
	if o.sharing > 0 {
		o.sorted, o.sharing = slices.Clone(o.sorted), 0
		o.round++
	}
	old := len(o.sorted)
	for i := o.sortedTo; i < len(o.entries); i++ {
		o.sorted = append(o.sorted, uint32(i))
	}
	o.sortedTo = len(o.entries)
	fresh := o.sorted[old:]
	slices.SortFunc(fresh, func(a, b uint32) int {
		if c := bytes.Compare(o.sortKey(a), o.sortKey(b)); c != 0 {
			return c
		}
		return cmp.Compare(a, b)
	})
	fresh = fresh[:o.newestOnly(fresh, o.sorted[:old])]
	o.sorted = o.sorted[:old+len(fresh)]
	if old == 0 {
		return
	}
	o.mergeFresh(old, slices.Clone(fresh))
}

func (o *Overlay) sortKey(n uint32) []byte {
	return o.entries[n].key.in(o.batch.buf)
}

// newestOnly keeps the last entry of each key in fresh, which is sorted. A key
// that old has already is replaced there instead. It returns how many are left.
func (o *Overlay) newestOnly(fresh, old []uint32) int {
	n := 0
	for i, e := range fresh {
		key := o.sortKey(e)
		if i+1 < len(fresh) && bytes.Equal(key, o.sortKey(fresh[i+1])) {
			continue
		}
		if at := o.sortedSearch(old, key); at < len(old) && bytes.Equal(o.sortKey(old[at]), key) {
			old[at] = e
			continue
		}
		fresh[n] = e
		n++
	}
	return n
}

// mergeFresh merges fresh into o.sorted[:old], whose length has room for both.
func (o *Overlay) mergeFresh(old int, fresh []uint32) {
	end := len(o.sorted)
	for i := len(fresh) - 1; i >= 0; i-- {
		at := o.sortedSearch(o.sorted[:old], o.sortKey(fresh[i]))
		end -= old - at
		copy(o.sorted[end:], o.sorted[at:old])
		end--
		o.sorted[end] = fresh[i]
		old = at
	}
}

// sortedSearch returns the first position in keys whose key is >= key.
func (o *Overlay) sortedSearch(keys []uint32, key []byte) int {
	return sort.Search(len(keys), func(i int) bool {
		return bytes.Compare(o.sortKey(keys[i]), key) >= 0
	})
}

// overlayIter merges the overlay's keys with the base's. In each direction both
// sides stand on their next candidate; the nearer one is where the iterator
// stands, the overlay's when they are equal.
type overlayIter struct {
	base  Iterator
	o     *Overlay
	round int // o.round when keys were shared
	// The overlay's state: keys are numbers of entries, in key order. An entry that is
	// no put, or that a range deletes, hides the base's key.
	buf     []byte
	entries []overlayEntry
	keys    []uint32
	cover   []rangeDelete

	at      int // candidate in keys; -1 or len(keys): none
	forward bool
	valid   bool
	inBase  bool   // the iterator stands on the base's candidate
	scratch []byte // key that a change of direction seeks from
}

func (it *overlayIter) First() bool {
	it.at = 0
	it.base.First()
	return it.settleForward()
}

func (it *overlayIter) Last() bool {
	it.at = len(it.keys) - 1
	it.base.Last()
	return it.settleBackward()
}

func (it *overlayIter) SeekGE(key []byte) bool {
	it.at = it.search(key)
	it.base.SeekGE(key)
	return it.settleForward()
}

func (it *overlayIter) SeekLT(key []byte) bool {
	it.at = it.search(key) - 1
	it.base.SeekLT(key)
	return it.settleBackward()
}

func (it *overlayIter) Next() bool {
	if !it.valid {
		return false
	}
	if !it.forward {
		// The side that the iterator does not stand on is before the key.
		it.scratch = append(append(it.scratch[:0], it.Key()...), 0) // the key's successor
		return it.SeekGE(it.scratch)
	}
	it.stepForward()
	return it.settleForward()
}

func (it *overlayIter) Prev() bool {
	if !it.valid {
		return false
	}
	if it.forward {
		it.scratch = append(it.scratch[:0], it.Key()...)
		return it.SeekLT(it.scratch)
	}
	it.stepBackward()
	return it.settleBackward()
}

// stepForward leaves the key that the iterator stands on: it moves the overlay's
// side, the base's side, or, when both have the key, both.
func (it *overlayIter) stepForward() {
	if it.inBase {
		it.base.Next()
		return
	}
	if it.base.Valid() && bytes.Equal(it.base.Key(), it.ownKey()) {
		it.base.Next()
	}
	it.at++
}

func (it *overlayIter) stepBackward() {
	if it.inBase {
		it.base.Prev()
		return
	}
	if it.base.Valid() && bytes.Equal(it.base.Key(), it.ownKey()) {
		it.base.Prev()
	}
	it.at--
}

// settleForward stands on the lower of the two candidates, past everything that
// is deleted.
func (it *overlayIter) settleForward() bool {
	it.forward = true
	for {
		it.uncoverForward()
		if it.base.Err() != nil {
			it.valid = false
			return false
		}
		own, base := it.at < len(it.keys), it.base.Valid()
		it.valid = own || base
		it.inBase = base && (!own || bytes.Compare(it.base.Key(), it.ownKey()) < 0)
		if !it.valid || it.inBase || it.live() {
			return it.valid
		}
		it.stepForward()
	}
}

func (it *overlayIter) settleBackward() bool {
	it.forward = false
	for {
		it.uncoverBackward()
		if it.base.Err() != nil {
			it.valid = false
			return false
		}
		own, base := it.at >= 0, it.base.Valid()
		it.valid = own || base
		it.inBase = base && (!own || bytes.Compare(it.base.Key(), it.ownKey()) > 0)
		if !it.valid || it.inBase || it.live() {
			return it.valid
		}
		it.stepBackward()
	}
}

// uncoverForward moves the base past the delete-ranges that cover it.
func (it *overlayIter) uncoverForward() {
	for len(it.cover) != 0 && it.base.Valid() {
		r, ok := it.covering(it.base.Key())
		if !ok {
			return
		}
		it.base.SeekGE(r.end.in(it.buf))
	}
}

func (it *overlayIter) uncoverBackward() {
	for len(it.cover) != 0 && it.base.Valid() {
		r, ok := it.covering(it.base.Key())
		if !ok {
			return
		}
		it.base.SeekLT(r.start.in(it.buf))
	}
}

func (it *overlayIter) covering(key []byte) (rangeDelete, bool) {
	i := coverSearch(it.buf, it.cover, key)
	if i == len(it.cover) || bytes.Compare(it.cover[i].start.in(it.buf), key) > 0 {
		return rangeDelete{}, false
	}
	return it.cover[i], true
}

// search returns the first position in keys whose key is >= key.
func (it *overlayIter) search(key []byte) int {
	return sort.Search(len(it.keys), func(i int) bool {
		return bytes.Compare(it.entries[it.keys[i]].key.in(it.buf), key) >= 0
	})
}

func (it *overlayIter) ownKey() []byte {
	return it.entries[it.keys[it.at]].key.in(it.buf)
}

// live reports whether the overlay's candidate is there.
func (it *overlayIter) live() bool {
	n := it.keys[it.at]
	if it.entries[n].kind != KindPut {
		return false
	}
	if len(it.cover) == 0 {
		return true
	}
	r, ok := it.covering(it.ownKey())
	return !ok || r.seq <= n
}

func (it *overlayIter) Valid() bool {
	return it.valid
}

func (it *overlayIter) Key() []byte {
	if it.inBase {
		return it.base.Key()
	}
	return it.ownKey()
}

func (it *overlayIter) Value() ([]byte, error) {
	if it.inBase {
		return it.base.Value()
	}
	return it.entries[it.keys[it.at]].value.in(it.buf), nil
}

func (it *overlayIter) Err() error {
	return it.base.Err()
}

func (it *overlayIter) Close() error {
	it.valid = false
	if it.o != nil && it.o.round == it.round {
		it.o.sharing--
	}
	it.o = nil
	return it.base.Close()
}
