package layer

import (
	"bytes"

	"dkv/engine"
)

// Source walks the keys of a layer in one state, those included that were deleted,
// which hide what lies below. It has no bounds. Keys and values stay valid and
// unchanged until the Iter is closed.
type Source interface {
	// SeekGE moves to the first key that is not below key, SeekLT to the last key
	// below key; for SeekLT an empty key is above all.
	SeekGE(key []byte)
	SeekLT(key []byte)
	Next()
	Prev()
	Valid() bool
	Key() []byte
	Value() []byte
	// Deleted says that the key was.
	Deleted() bool
	// Covering returns the deleted range that key lies in; nil: none.
	Covering(key []byte) *Piece
}

// Iter merges sources and a base: of each key the newest record counts, and a
// deleted one hides those below.
type Iter struct {
	lower, upper []byte
	mems         []Source // newest first
	base         engine.Iterator
	backward     bool
	at           int // source of the current key; len(mems) is base, -1 none
	err          error
	buf          []byte
	close        func()
	closed       bool
}

var _ engine.Iterator = (*Iter)(nil)

// NewIter returns an iterator over sources, newest first, and base, which has the
// bounds of o and is closed with the iterator. release is called then. The bounds
// are copied.
func NewIter(sources []Source, base engine.Iterator, o engine.IterOptions, release func()) *Iter {
	return &Iter{
		lower: bytes.Clone(o.Lower), upper: bytes.Clone(o.Upper),
		mems: sources, base: base, at: -1, close: release,
	}
}

func (it *Iter) empty() bool {
	return len(it.upper) != 0 && bytes.Compare(it.lower, it.upper) >= 0
}

func (it *Iter) First() bool { return it.SeekGE(nil) }
func (it *Iter) Last() bool  { return it.seekLT(nil) }

func (it *Iter) SeekGE(key []byte) bool {
	if bytes.Compare(key, it.lower) < 0 {
		key = it.lower
	}
	it.backward = false
	for i := range it.mems {
		it.mems[i].SeekGE(key)
	}
	it.base.SeekGE(key)
	return it.findForward()
}

func (it *Iter) SeekLT(key []byte) bool {
	if len(key) == 0 {
		return it.stop() // nothing is below
	}
	return it.seekLT(key)
}

// seekLT is SeekLT; no key means the end.
func (it *Iter) seekLT(key []byte) bool {
	if len(it.upper) != 0 && (len(key) == 0 || bytes.Compare(key, it.upper) > 0) {
		key = it.upper
	}
	it.backward = true
	for i := range it.mems {
		it.mems[i].SeekLT(key)
	}
	if len(key) == 0 {
		it.base.Last()
	} else {
		it.base.SeekLT(key)
	}
	return it.findBackward()
}

func (it *Iter) Next() bool {
	if it.at < 0 {
		return false
	}
	if it.backward {
		// The others stand below the key: put all of them at it.
		it.buf = append(it.buf[:0], it.Key()...)
		it.backward = false
		for i := range it.mems {
			it.mems[i].SeekGE(it.buf)
		}
		it.base.SeekGE(it.buf)
		it.pass(it.buf)
	} else {
		it.pass(it.Key())
	}
	return it.findForward()
}

func (it *Iter) Prev() bool {
	if it.at < 0 {
		return false
	}
	if !it.backward {
		it.buf = append(it.buf[:0], it.Key()...)
		return it.seekLT(it.buf)
	}
	it.pass(it.Key())
	return it.findBackward()
}

// pass moves all sources that stand on key beyond it. key may be a source's own:
// base goes last, and the memtables' do not change.
func (it *Iter) pass(key []byte) {
	for i := range it.mems {
		if m := it.mems[i]; m.Valid() && bytes.Equal(m.Key(), key) {
			if it.backward {
				m.Prev()
			} else {
				m.Next()
			}
		}
	}
	if it.base.Valid() && bytes.Equal(it.base.Key(), key) {
		if it.backward {
			it.base.Prev()
		} else {
			it.base.Next()
		}
	}
}

// findForward settles on the first key that is there, from where the sources
// stand.
func (it *Iter) findForward() bool {
	for !it.empty() {
		at, key := it.nearest(func(a, b []byte) bool { return bytes.Compare(a, b) < 0 })
		if at < 0 || len(it.upper) != 0 && bytes.Compare(key, it.upper) >= 0 {
			break
		}
		if i, p := it.hidden(at, key); p != nil {
			it.skip(i, p)
		} else if at < len(it.mems) && it.mems[at].Deleted() {
			it.pass(key)
		} else {
			it.at = at
			return true
		}
	}
	return it.stop()
}

func (it *Iter) findBackward() bool {
	for !it.empty() {
		at, key := it.nearest(func(a, b []byte) bool { return bytes.Compare(a, b) > 0 })
		if at < 0 || bytes.Compare(key, it.lower) < 0 {
			break
		}
		if i, p := it.hidden(at, key); p != nil {
			it.skip(i, p)
		} else if at < len(it.mems) && it.mems[at].Deleted() {
			it.pass(key)
		} else {
			it.at = at
			return true
		}
	}
	return it.stop()
}

// nearest returns the source whose key comes first, the newest of several.
func (it *Iter) nearest(before func(a, b []byte) bool) (at int, key []byte) {
	at = -1
	for i := range it.mems {
		if m := it.mems[i]; m.Valid() && (at < 0 || before(m.Key(), key)) {
			at, key = i, m.Key()
		}
	}
	if it.base.Valid() {
		if k := it.base.Key(); at < 0 || before(k, key) {
			at, key = len(it.mems), k
		}
	} else if err := it.base.Err(); err != nil {
		it.err = err
		return -1, nil
	}
	return at, key
}

// hidden returns a deleted range over key in a memtable newer than the key's
// source.
func (it *Iter) hidden(at int, key []byte) (newer int, p *Piece) {
	for i := range min(at, len(it.mems)) {
		if p := it.mems[i].Covering(key); p != nil {
			return i, p
		}
	}
	return 0, nil
}

// skip takes the sources that are older than a deleted range out of it at once: it
// may have millions of keys.
func (it *Iter) skip(newer int, p *Piece) {
	for i := newer + 1; i < len(it.mems); i++ {
		m := it.mems[i]
		switch {
		case !m.Valid() || bytes.Compare(m.Key(), p.start) < 0 || bytes.Compare(m.Key(), p.end) >= 0:
		case it.backward:
			m.SeekLT(p.start)
		default:
			m.SeekGE(p.end)
		}
	}
	switch {
	case !it.base.Valid() || bytes.Compare(it.base.Key(), p.start) < 0 || bytes.Compare(it.base.Key(), p.end) >= 0:
	case it.backward:
		it.base.SeekLT(p.start)
	default:
		it.base.SeekGE(p.end)
	}
}

func (it *Iter) stop() bool {
	it.at = -1
	return false
}

func (it *Iter) Valid() bool { return it.at >= 0 }

func (it *Iter) Key() []byte {
	if it.at == len(it.mems) {
		return it.base.Key()
	}
	return it.mems[it.at].Key()
}

func (it *Iter) Value() ([]byte, error) {
	if it.at == len(it.mems) {
		return it.base.Value()
	}
	return it.mems[it.at].Value(), nil
}

func (it *Iter) Err() error { return it.err }

func (it *Iter) Close() error {
	if it.closed {
		return nil
	}
	it.closed, it.at = true, -1
	err := it.base.Close()
	it.close()
	return err
}
