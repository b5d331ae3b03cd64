package hot

import (
	"bytes"
	"slices"
	"sort"

	"dkv/engine"
)

// runIter is an iterator over a run, which has all keys within its bounds. The run
// stays what it is, whatever is written or evicted meanwhile.
type runIter struct {
	r  *run
	at int // len: stands on no key
}

var _ engine.Iterator = (*runIter)(nil)

func newRunIter(r *run) *runIter { return &runIter{r, r.len()} }

func (it *runIter) to(at int) bool {
	if at < 0 {
		at = it.r.len()
	}
	it.at = at
	return it.Valid()
}

func (it *runIter) First() bool { return it.to(0) }
func (it *runIter) Last() bool  { return it.to(it.r.len() - 1) }
func (it *runIter) Valid() bool { return it.at < it.r.len() }

func (it *runIter) Next() bool { return it.Valid() && it.to(it.at+1) }
func (it *runIter) Prev() bool { return it.Valid() && it.to(it.at-1) }

func (it *runIter) SeekGE(key []byte) bool { return it.to(it.search(key)) }
func (it *runIter) SeekLT(key []byte) bool { return it.to(it.search(key) - 1) }

// search returns the place of the first key that is not below key.
func (it *runIter) search(key []byte) int {
	return sort.Search(it.r.len(), func(i int) bool { return bytes.Compare(it.r.key(i), key) >= 0 })
}

func (it *runIter) Key() []byte            { return it.r.key(it.at) }
func (it *runIter) Value() ([]byte, error) { return it.r.value(it.at), nil }
func (it *runIter) Err() error             { return nil }
func (it *runIter) Close() error           { return nil }

// recorder is an iterator that makes a run of its range when it is gone over from one
// end to the other without a turn.
type recorder struct {
	engine.Iterator
	runs     *runs
	run      *run // nil: not any more
	room     int
	backward bool
	begun    bool
}

// record wraps an iterator of a range in the state seq.
func (l *Layer) record(it engine.Iterator, id *rangeID, seq uint64) engine.Iterator {
	return &recorder{Iterator: it, runs: &l.runs, room: l.runs.room(id), run: &run{
		rangeID: rangeID{lower: bytes.Clone(id.lower), upper: bytes.Clone(id.upper),
			keysOnly: id.keysOnly, hash: id.hash, place: id.place},
		seq: seq,
	}}
}

func (it *recorder) First() bool {
	it.begin(false)
	return it.take(it.Iterator.First())
}

func (it *recorder) Last() bool {
	it.begin(true)
	return it.take(it.Iterator.Last())
}

func (it *recorder) Next() bool {
	it.goes(false)
	return it.take(it.Iterator.Next())
}

func (it *recorder) Prev() bool {
	it.goes(true)
	return it.take(it.Iterator.Prev())
}

func (it *recorder) SeekGE(key []byte) bool {
	it.run = nil
	return it.Iterator.SeekGE(key)
}

func (it *recorder) SeekLT(key []byte) bool {
	it.run = nil
	return it.Iterator.SeekLT(key)
}

func (it *recorder) begin(backward bool) {
	if it.begun {
		it.run = nil // a second walk; one is enough
	}
	it.begun, it.backward = true, backward
}

func (it *recorder) goes(backward bool) {
	if !it.begun || it.backward != backward {
		it.run = nil
	}
}

// take records where the iterator has got to.
func (it *recorder) take(there bool) bool {
	r := it.run
	switch {
	case r == nil:
	case !there:
		it.run = nil
		if it.Iterator.Err() == nil {
			it.runs.put(r.finished(it.backward))
		}
	default:
		r.data = append(r.data, it.Iterator.Key()...)
		r.ends = append(r.ends, uint32(len(r.data)))
		if !r.keysOnly {
			value, err := it.Iterator.Value()
			if err != nil {
				it.run = nil
				return there
			}
			r.data = append(r.data, value...)
		}
		r.ends = append(r.ends, uint32(len(r.data)))
		if r.size() > it.room {
			it.run = nil
		}
	}
	return there
}

// finished returns the run as it is kept: no larger than it has to be, and in order
// if it was read backwards.
func (r *run) finished(backward bool) *run {
	if !backward {
		r.data, r.ends = bytes.Clone(r.data), slices.Clone(r.ends)
		return r
	}
	turned := &run{rangeID: r.rangeID, seq: r.seq, data: make([]byte, 0, len(r.data)), ends: make([]uint32, 0, len(r.ends))}
	for i := r.len() - 1; i >= 0; i-- {
		turned.data = append(turned.data, r.key(i)...)
		turned.ends = append(turned.ends, uint32(len(turned.data)))
		turned.data = append(turned.data, r.value(i)...)
		turned.ends = append(turned.ends, uint32(len(turned.data)))
	}
	return turned
}
