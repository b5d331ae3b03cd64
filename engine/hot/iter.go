package hot

import (
	"bytes"

	"dkv/engine/layer"
)

// genIter walks a generation in the state of seq: a layer.Source. It merges runs,
// of which each has keys of its own.
type genIter struct {
	l    *Layer
	g    *generation
	seq  uint64
	runs []genRun

	backward bool
	at       int // run of the current key; -1: none
	key      []byte
	value    []byte
	gone     bool
}

// genRun is a run and where the iterator is in it.
type genRun struct {
	refs []ref
	// at is the next candidate; len(refs), or -1 when going backward: none is left.
	at  int
	key []byte // the candidate's; nil: none
}

var _ layer.Source = (*genIter)(nil)

func newGenIter(l *Layer, g *generation, seq uint64, runs [][]ref) *genIter {
	it := &genIter{l: l, g: g, seq: seq, at: -1, runs: make([]genRun, len(runs))}
	for i, r := range runs {
		it.runs[i].refs = r
	}
	return it
}

func (it *genIter) SeekGE(key []byte) {
	it.backward = false
	for i := range it.runs {
		r := &it.runs[i]
		it.put(r, search(it.g, r.refs, key))
	}
	it.settle()
}

func (it *genIter) SeekLT(key []byte) {
	it.backward = true
	for i := range it.runs {
		r := &it.runs[i]
		at := len(r.refs)
		if len(key) != 0 {
			at = search(it.g, r.refs, key)
		}
		it.put(r, at-1)
	}
	it.settle()
}

func (it *genIter) Next() { it.step() }
func (it *genIter) Prev() { it.step() }

// step goes on in the direction of the last seek.
func (it *genIter) step() {
	it.pass()
	it.settle()
}

func (it *genIter) pass() {
	r := &it.runs[it.at]
	if it.backward {
		it.put(r, r.at-1)
	} else {
		it.put(r, r.at+1)
	}
}

func (it *genIter) put(r *genRun, at int) {
	if r.at, r.key = at, nil; at >= 0 && at < len(r.refs) {
		r.key = it.g.record(r.refs[at]).key()
	}
}

// settle stands on the nearest candidate that the state has.
func (it *genIter) settle() {
	for {
		it.at = -1
		for i := range it.runs {
			r := &it.runs[i]
			if r.key != nil && (it.at < 0 || (bytes.Compare(r.key, it.runs[it.at].key) < 0) != it.backward) {
				it.at = i
			}
		}
		if it.at < 0 || it.load() {
			return
		}
		it.pass()
	}
}

// load reads the current candidate; false: it was written after the state.
func (it *genIter) load() bool {
	r := &it.runs[it.at]
	at := r.refs[r.at]
	s := &it.l.table[stripeOf(it.g.record(at).tag())]
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := it.g.visible(at, it.seq)
	if !ok {
		return false
	}
	it.key, it.value, it.gone = r.key, v.value(), it.g.gone(r.key, v, it.seq)
	return true
}

func (it *genIter) Valid() bool   { return it.at >= 0 }
func (it *genIter) Key() []byte   { return it.key }
func (it *genIter) Value() []byte { return it.value }
func (it *genIter) Deleted() bool { return it.gone }

func (it *genIter) Covering(key []byte) *layer.Piece {
	p, _, _ := it.g.ranges.Covering(key, it.seq)
	return p
}
