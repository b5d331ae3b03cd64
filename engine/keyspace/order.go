package keyspace

import (
	"bytes"
	"fmt"

	"dkv/engine"
)

// nearby is how many elements a Walk passes one by one before it seeks: a seek costs about
// as much as so many steps.
const nearby = 16

// A Walk goes over the elements of a hash, set or sorted set in the order of their records,
// which is one and the same for all collections: so two walks side by side find what both
// have, without a look-up for each element. It stands on an element, or at the end. What is
// true of Each is true of it; the collection must not be changed before Close.
type Walk struct {
	it     engine.Iterator
	prefix int
	values bool
	err    error
	ok     bool
	key    []byte // of Seek
}

// Walk begins a walk, at the first element. values says that Value will be called. ok is false, and there
// is no walk, for a collection whose elements are inline, or expire one by one, or are a list's: Each
// and Get serve these.
func (c *Collection) Walk(values bool) (w *Walk, ok bool, err error) {
	if !c.separate || c.tagged || c.kind == TypeList || c.tx.live {
		return nil, false, nil
	}
	o := engine.IterOptions{
		Lower:    appendPrefix(nil, kindElement, c.db, c.homeSlot(), c.Version),
		Upper:    appendPrefix(nil, kindElement, c.db, c.homeSlot(), c.Version+1),
		KeysOnly: !values || c.kind == TypeSet,
	}
	it, err := c.tx.r.NewIter(o)
	if err != nil {
		return nil, false, fmt.Errorf("keyspace: iterate elements: %w", err)
	}
	w = &Walk{it: it, prefix: len(o.Lower), values: !o.KeysOnly, key: o.Lower}
	w.stands(it.First())
	return w, true, nil
}

func (w *Walk) stands(ok bool) bool {
	if w.ok = ok; ok && len(w.it.Key()) < w.prefix+elementHashBytes {
		w.ok = false
		_, _, w.err = splitElement(w.it.Key())
	}
	return w.ok
}

// Valid reports whether the walk stands on an element.
func (w *Walk) Valid() bool { return w.ok }

// Place is where the element stands in the order, for Seek. It is valid until the walk moves.
func (w *Walk) Place() []byte { return w.it.Key()[w.prefix:] }

// Element is valid until the walk moves.
func (w *Walk) Element() []byte { return w.it.Key()[w.prefix+elementHashBytes:] }

// Value is what Each calls value; it is valid until the walk moves.
func (w *Walk) Value() ([]byte, error) {
	if !w.values {
		return nil, nil
	}
	v, err := w.it.Value()
	if err != nil {
		err = fmt.Errorf("keyspace: iterate elements: %w", err)
	}
	return v, err
}

// Next moves to the next element.
func (w *Walk) Next() bool { return w.ok && w.stands(w.it.Next()) }

// Seek moves on to the first element at a place or behind it, never back. It reports
// whether one is at the place.
func (w *Walk) Seek(place []byte) (found bool) {
	for range nearby {
		if !w.ok {
			return false
		}
		if order := bytes.Compare(w.Place(), place); order >= 0 {
			return order == 0
		}
		w.stands(w.it.Next())
	}
	if !w.ok {
		return false
	}
	if order := bytes.Compare(w.Place(), place); order >= 0 {
		return order == 0
	}
	w.key = append(w.key[:w.prefix], place...)
	return w.stands(w.it.SeekGE(w.key)) && bytes.Equal(w.Place(), place)
}

// AppendPlace appends where an element stands in the order.
func AppendPlace(dst, element []byte) []byte { return appendElement(dst, element) }

// ElementAt returns the element of a place.
func ElementAt(place []byte) []byte { return place[elementHashBytes:] }

// Close ends the walk and returns what went wrong.
func (w *Walk) Close() error { return endIteration(w.it, w.err) }
