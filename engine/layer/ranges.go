package layer

import (
	"bytes"
	"slices"
	"sort"
	"sync/atomic"
)

// Range is what a delete-range deleted: keys from Start on, below End.
type Range struct {
	Start, End []byte
}

// Ranges holds the delete-ranges of a layer, cut into disjoint pieces. One
// goroutine adds to it; any number reads what was published. The zero value is
// empty.
type Ranges struct {
	published atomic.Pointer[[]Piece]
	// building is the writer's; owned says that no reader has it.
	building []Piece
	owned    bool
	count    int
}

// Piece is a part of the key space that one or more delete-ranges cover.
type Piece struct {
	start, end []byte
	seqs       []uint64 // of the ranges, newest first; never changed
}

// Count returns how many ranges were added. It is the writer's to call.
func (s *Ranges) Count() int { return s.count }

// Any says whether there are any for readers.
func (s *Ranges) Any() bool { return len(s.pieces()) != 0 }

// Add cuts a range into the pieces. It is newer than all of them. The
// slices are kept.
func (s *Ranges) Add(seq uint64, start, end []byte) {
	if !s.owned {
		s.building, s.owned = slices.Clone(s.building), true
	}
	s.count++
	from := search(s.building, start)
	to := from
	var cut []Piece
	at := start
	for ; to < len(s.building) && bytes.Compare(s.building[to].start, end) < 0; to++ {
		p := s.building[to]
		if bytes.Compare(p.start, at) < 0 { // only the first
			cut = append(cut, Piece{p.start, at, p.seqs})
			p.start = at
		} else if bytes.Compare(at, p.start) < 0 {
			cut = append(cut, Piece{at, p.start, []uint64{seq}})
		}
		last := p.end
		if bytes.Compare(end, last) < 0 {
			last = end
		}
		cut = append(cut, Piece{p.start, last, append([]uint64{seq}, p.seqs...)})
		if bytes.Compare(end, p.end) < 0 {
			cut = append(cut, Piece{end, p.end, p.seqs})
		}
		at = p.end
	}
	if bytes.Compare(at, end) < 0 {
		cut = append(cut, Piece{at, end, []uint64{seq}})
	}
	s.building = slices.Replace(s.building, from, to, cut...)
}

// Publish shows readers what was added.
func (s *Ranges) Publish() {
	if s.owned {
		pieces := s.building
		s.published.Store(&pieces)
		s.owned = false
	}
}

// search returns the first piece that ends after key.
func search(pieces []Piece, key []byte) int {
	return sort.Search(len(pieces), func(i int) bool { return bytes.Compare(pieces[i].end, key) > 0 })
}

func (s *Ranges) pieces() []Piece {
	if p := s.published.Load(); p != nil {
		return *p
	}
	return nil
}

// Covers returns the newest delete-range over key in the state of seq.
func (s *Ranges) Covers(key []byte, seq uint64) (at uint64, ok bool) {
	p, at, ok := s.Covering(key, seq)
	return at, ok && p != nil
}

// Covering is Covers, with the piece.
func (s *Ranges) Covering(key []byte, seq uint64) (p *Piece, at uint64, ok bool) {
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

// Merged returns what the ranges cover, neighbours joined.
func (s *Ranges) Merged() []Range {
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
