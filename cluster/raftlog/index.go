package raftlog

import "sort"

// index finds the entries of a shard: 4 bytes an entry, and a few for each
// segment and each change of term.
type index struct {
	base     Index // the entry before the first one that can be read
	baseTerm Term
	last     Index
	runs     []run     // ascending; none is empty
	terms    []termRun // ascending; terms[0].first may be <= base
}

// run is the entries first, first+1 ... that stand in one segment.
type run struct {
	seg   *segment
	first Index
	// records holds, for each entry, the offset of its record divided by 8.
	records []uint32
}

func (r *run) last() Index { return r.first + Index(len(r.records)) - 1 }

// termRun says that entries from first on, up to the next run, have term.
type termRun struct {
	first Index
	term  Term
}

// reset empties the index: the next entry is base+1.
func (x *index) reset(base Index, baseTerm Term) {
	clear(x.runs)
	*x = index{base: base, baseTerm: baseTerm, last: base, runs: x.runs[:0], terms: x.terms[:0]}
}

// term returns the term of entry i; i must be within base and last.
func (x *index) term(i Index) Term {
	n := len(x.terms)
	if i == x.base || n == 0 {
		return x.baseTerm
	}
	if x.terms[n-1].first <= i {
		return x.terms[n-1].term
	}
	k := sort.Search(n, func(k int) bool { return x.terms[k].first > i })
	return x.terms[k-1].term
}

// add appends entry last+1, found in the record at off of seg.
func (x *index) add(seg *segment, off int64, term Term) {
	x.last++
	if n := len(x.runs); n == 0 || x.runs[n-1].seg != seg {
		x.runs = append(x.runs, run{seg: seg, first: x.last})
	}
	r := &x.runs[len(x.runs)-1]
	r.records = append(r.records, uint32(off/recordAlign))
	if n := len(x.terms); n == 0 || x.terms[n-1].term != term {
		x.terms = append(x.terms, termRun{first: x.last, term: term})
	}
}

// cut drops the entries from first on; first must be above base.
func (x *index) cut(first Index) {
	if first > x.last {
		return
	}
	x.last = first - 1
	n := len(x.runs)
	for n > 0 && x.runs[n-1].first >= first {
		n--
		x.runs[n] = run{}
	}
	x.runs = x.runs[:n]
	if n > 0 {
		r := &x.runs[n-1]
		if r.last() >= first {
			r.records = r.records[:first-r.first]
		}
	}
	n = len(x.terms)
	for n > 0 && x.terms[n-1].first >= first {
		n--
	}
	x.terms = x.terms[:n]
}

// forget drops the entries that stand in segments below seq.
func (x *index) forget(seq uint64) {
	n := 0
	for n < len(x.runs) && x.runs[n].seg.seq < seq {
		n++
	}
	if n == 0 {
		return
	}
	base := x.runs[n-1].last()
	x.baseTerm = x.term(base)
	x.base = base
	rest := copy(x.runs, x.runs[n:])
	clear(x.runs[rest:])
	x.runs = x.runs[:rest]
	k := sort.Search(len(x.terms), func(k int) bool { return x.terms[k].first > base+1 })
	if k > 1 {
		x.terms = append(x.terms[:0], x.terms[k-1:]...)
	}
}

// locate finds entry i, which must be within base+1 and last, and how many of
// the entries from i on stand in the same record.
func (x *index) locate(i Index) (seg *segment, off int64, n int) {
	k := sort.Search(len(x.runs), func(k int) bool { return x.runs[k].first > i }) - 1
	r := &x.runs[k]
	at := r.records[i-r.first:]
	for n = 1; n < len(at) && at[n] == at[0]; n++ {
	}
	return r.seg, int64(at[0]) * recordAlign, n
}

// needed returns the number of the oldest segment that holds an entry above
// mark, and the last such entry in it.
func (x *index) needed(mark Index) (seq uint64, upTo Index, ok bool) {
	k := sort.Search(len(x.runs), func(k int) bool { return x.runs[k].last() > mark })
	if k == len(x.runs) {
		return 0, 0, false
	}
	return x.runs[k].seg.seq, x.runs[k].last(), true
}
