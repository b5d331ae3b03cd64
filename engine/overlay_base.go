package engine

import (
	"bytes"
	"errors"
	"slices"
)

// baseIter is an iterator over the base of an Overlay, which does not change while a
// batch is built. What a command closes rests until another one wants the same, or a
// range that begins later and has the same end: then it moves on forward, which costs
// a store less than to make an iterator and to find the place from the top. So the
// pops of a batch from the low end of a collection share one iterator.
//
// Only forward: a range that begins later is cut by seeking to its start, and who goes
// backwards would leave it there. An iterator over just the range takes the place then.
type baseIter struct {
	Iterator
	o    *Overlay
	base int // o.bases when it was made
	// keysOnly, lower and upper are the options of Iterator; the range begins at from.
	keysOnly           bool
	lower, upper, from []byte
	placed             bool  // it was moved since it was made, or taken up again
	err                error // of replacing Iterator
	closed             bool
}

// baseIter returns an iterator over the base.
func (o *Overlay) baseIter(opts IterOptions) (Iterator, error) {
	from := slices.Clone(opts.Lower)
	if it := o.resting; it != nil && it.keysOnly == opts.KeysOnly && bytes.Equal(it.upper, opts.Upper) && bytes.Compare(it.lower, from) <= 0 {
		o.resting = nil
		return &baseIter{Iterator: it.Iterator, o: o, base: o.bases, keysOnly: it.keysOnly, lower: it.lower, upper: it.upper, from: from}, nil
	}
	if err := o.lost; err != nil {
		o.lost = nil
		return nil, err
	}
	base, err := o.base.NewIter(opts)
	if err != nil {
		return nil, err
	}
	return &baseIter{Iterator: base, o: o, base: o.bases, keysOnly: opts.KeysOnly, lower: from, upper: slices.Clone(opts.Upper), from: from}, nil
}

// Rest closes the iterator that rests, if one does: when the batch is built, so that
// nothing of the base is held any longer. Reset does it as well.
func (o *Overlay) Rest() error {
	it := o.resting
	if it == nil {
		return nil
	}
	o.resting = nil
	return it.Iterator.Close()
}

// First implements Iterator.
func (it *baseIter) First() bool {
	it.placed = true
	if len(it.from) == 0 {
		return it.err == nil && it.Iterator.First()
	}
	return it.err == nil && it.Iterator.SeekGE(it.from)
}

// SeekGE implements Iterator.
func (it *baseIter) SeekGE(key []byte) bool {
	it.placed = true
	if bytes.Compare(key, it.from) < 0 {
		key = it.from
	}
	return it.err == nil && it.Iterator.SeekGE(key)
}

// Last implements Iterator.
func (it *baseIter) Last() bool {
	it.placed = true
	return it.narrow() && it.Iterator.Last()
}

// SeekLT implements Iterator.
func (it *baseIter) SeekLT(key []byte) bool {
	it.placed = true
	return it.narrow() && it.Iterator.SeekLT(key)
}

// Next implements Iterator.
func (it *baseIter) Next() bool { return it.Valid() && it.Iterator.Next() }

// Prev implements Iterator.
func (it *baseIter) Prev() bool {
	switch {
	case !it.Valid():
		return false
	case bytes.Equal(it.lower, it.from):
		return it.Iterator.Prev()
	}
	key := slices.Clone(it.Key())
	return it.narrow() && it.Iterator.SeekLT(key)
}

// narrow makes the bounds those of the range.
func (it *baseIter) narrow() bool {
	if it.err != nil {
		return false
	}
	if bytes.Equal(it.lower, it.from) {
		return true
	}
	base, err := it.o.base.NewIter(IterOptions{Lower: it.from, Upper: it.upper, KeysOnly: it.keysOnly})
	if err != nil {
		it.err = err
		return false
	}
	if err := it.Iterator.Close(); err != nil {
		it.err = err
	}
	it.Iterator, it.lower = base, it.from
	return it.err == nil
}

// Valid implements Iterator.
func (it *baseIter) Valid() bool { return it.placed && it.err == nil && it.Iterator.Valid() }

// Err implements Iterator.
func (it *baseIter) Err() error {
	if it.err != nil {
		return it.err
	}
	return it.Iterator.Err()
}

// Close implements Iterator. An iterator in order rests, in place of the one that
// rested before.
func (it *baseIter) Close() error {
	if it.closed {
		return nil
	}
	it.closed = true
	if err := it.Err(); err != nil || it.base != it.o.bases {
		return errors.Join(err, it.Iterator.Close())
	}
	err := it.o.Rest()
	it.o.resting = it
	return err
}
