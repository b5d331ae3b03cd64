package front

import (
	"bytes"

	"dkv/engine"
)

// iter merges the memtables of a version and its view: of each key the newest
// record counts, and a deleted one hides those below. It holds a use of its DB,
// and the version, until it is closed.
type iter struct {
	lower, upper []byte
	seq          uint64
	mems         []memIter // newest first
	base         engine.Iterator
	backward     bool
	at           int // source of the current key; len(mems) is base, -1 none
	err          error
	buf          []byte
	close        func()
	closed       bool
}

func newIter(v *version, seq uint64, o engine.IterOptions, close func()) (engine.Iterator, error) {
	it := &iter{seq: seq, at: -1, close: close}
	it.lower, it.upper = bytes.Clone(o.Lower), bytes.Clone(o.Upper)
	base, err := v.view.NewIter(engine.IterOptions{Lower: it.lower, Upper: it.upper, KeysOnly: o.KeysOnly})
	if err != nil {
		close()
		return nil, err
	}
	it.base = base
	it.mems = make([]memIter, 0, len(v.mems))
	for _, m := range v.mems {
		it.mems = append(it.mems, memIter{m: m, seq: seq})
	}
	return it, nil
}

func (it *iter) empty() bool {
	return len(it.upper) != 0 && bytes.Compare(it.lower, it.upper) >= 0
}

func (it *iter) First() bool { return it.SeekGE(nil) }
func (it *iter) Last() bool  { return it.seekLT(nil) }

func (it *iter) SeekGE(key []byte) bool {
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

func (it *iter) SeekLT(key []byte) bool {
	if len(key) == 0 {
		return it.stop() // nothing is below
	}
	return it.seekLT(key)
}

// seekLT is SeekLT; no key means the end.
func (it *iter) seekLT(key []byte) bool {
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

func (it *iter) Next() bool {
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

func (it *iter) Prev() bool {
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
func (it *iter) pass(key []byte) {
	for i := range it.mems {
		if m := &it.mems[i]; m.Valid() && bytes.Equal(m.Key(), key) {
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
func (it *iter) findForward() bool {
	for !it.empty() {
		at, key := it.nearest(func(a, b []byte) bool { return bytes.Compare(a, b) < 0 })
		if at < 0 || len(it.upper) != 0 && bytes.Compare(key, it.upper) >= 0 {
			break
		}
		if i, p := it.hidden(at, key); p != nil {
			it.skip(i, p)
		} else if at < len(it.mems) && it.mems[at].deleted() {
			it.pass(key)
		} else {
			it.at = at
			return true
		}
	}
	return it.stop()
}

func (it *iter) findBackward() bool {
	for !it.empty() {
		at, key := it.nearest(func(a, b []byte) bool { return bytes.Compare(a, b) > 0 })
		if at < 0 || bytes.Compare(key, it.lower) < 0 {
			break
		}
		if i, p := it.hidden(at, key); p != nil {
			it.skip(i, p)
		} else if at < len(it.mems) && it.mems[at].deleted() {
			it.pass(key)
		} else {
			it.at = at
			return true
		}
	}
	return it.stop()
}

// nearest returns the source whose key comes first, the newest of several.
func (it *iter) nearest(before func(a, b []byte) bool) (at int, key []byte) {
	at = -1
	for i := range it.mems {
		if m := &it.mems[i]; m.Valid() && (at < 0 || before(m.Key(), key)) {
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
func (it *iter) hidden(at int, key []byte) (newer int, p *piece) {
	for i := range min(at, len(it.mems)) {
		if p, _, ok := it.mems[i].m.ranges.covering(key, it.seq); ok {
			return i, p
		}
	}
	return 0, nil
}

// skip takes the sources that are older than a deleted range out of it at once: it
// may have millions of keys.
func (it *iter) skip(newer int, p *piece) {
	for i := newer + 1; i < len(it.mems); i++ {
		m := &it.mems[i]
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

func (it *iter) stop() bool {
	it.at = -1
	return false
}

func (it *iter) Valid() bool { return it.at >= 0 }

func (it *iter) Key() []byte {
	if it.at == len(it.mems) {
		return it.base.Key()
	}
	return it.mems[it.at].Key()
}

func (it *iter) Value() ([]byte, error) {
	if it.at == len(it.mems) {
		return it.base.Value()
	}
	return it.mems[it.at].n.value, nil
}

func (it *iter) Err() error { return it.err }

func (it *iter) Close() error {
	if it.closed {
		return nil
	}
	it.closed, it.at = true, -1
	err := it.base.Close()
	it.close()
	return err
}
