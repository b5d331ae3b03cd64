package front

import (
	"bytes"
	"slices"
	"sort"
	"sync/atomic"
)

// rangeSet holds the delete-ranges of a memtable, cut into disjoint pieces. One
// goroutine adds to it; any number reads what was published.
type rangeSet struct {
	published atomic.Pointer[[]piece]
	// building is the writer's; owned says that no reader has it.
	building []piece
	owned    bool
	count    int
}

// piece is a part of the key space that one or more delete-ranges cover.
type piece struct {
	start, end []byte
	seqs       []uint64 // of the ranges, newest first; never changed
}

// add cuts a range into the pieces. It is newer than all of them.
func (s *rangeSet) add(seq uint64, start, end []byte) {
	if !s.owned {
		s.building, s.owned = slices.Clone(s.building), true
	}
	s.count++
	from := search(s.building, start)
	to := from
	var cut []piece
	at := start
	for ; to < len(s.building) && bytes.Compare(s.building[to].start, end) < 0; to++ {
		p := s.building[to]
		if bytes.Compare(p.start, at) < 0 { // only the first
			cut = append(cut, piece{p.start, at, p.seqs})
			p.start = at
		} else if bytes.Compare(at, p.start) < 0 {
			cut = append(cut, piece{at, p.start, []uint64{seq}})
		}
		last := p.end
		if bytes.Compare(end, last) < 0 {
			last = end
		}
		cut = append(cut, piece{p.start, last, append([]uint64{seq}, p.seqs...)})
		if bytes.Compare(end, p.end) < 0 {
			cut = append(cut, piece{end, p.end, p.seqs})
		}
		at = p.end
	}
	if bytes.Compare(at, end) < 0 {
		cut = append(cut, piece{at, end, []uint64{seq}})
	}
	s.building = slices.Replace(s.building, from, to, cut...)
}

// publish shows readers what was added.
func (s *rangeSet) publish() {
	if s.owned {
		pieces := s.building
		s.published.Store(&pieces)
		s.owned = false
	}
}

// search returns the first piece that ends after key.
func search(pieces []piece, key []byte) int {
	return sort.Search(len(pieces), func(i int) bool { return bytes.Compare(pieces[i].end, key) > 0 })
}

func (s *rangeSet) pieces() []piece {
	if p := s.published.Load(); p != nil {
		return *p
	}
	return nil
}

// covers returns the newest delete-range over key in the state of seq.
func (s *rangeSet) covers(key []byte, seq uint64) (at uint64, ok bool) {
	p, at, ok := s.covering(key, seq)
	return at, ok && p != nil
}

// covering is covers, with the piece.
func (s *rangeSet) covering(key []byte, seq uint64) (p *piece, at uint64, ok bool) {
	pieces := s.pieces()
	i := search(pieces, key)
	if i == len(pieces) || bytes.Compare(pieces[i].start, key) > 0 {
		return nil, 0, false
	}
	for _, at := range pieces[i].seqs {
		if at <= seq {
			return &pieces[i], at, true
		}
	}
	return nil, 0, false
}

// merged returns what the ranges cover, neighbours joined.
func (s *rangeSet) merged() []Range {
	var all []Range
	for _, p := range s.pieces() {
		if n := len(all); n > 0 && bytes.Equal(all[n-1].End, p.start) {
			all[n-1].End = p.end
		} else {
			all = append(all, Range{p.start, p.end})
		}
	}
	return all
}
