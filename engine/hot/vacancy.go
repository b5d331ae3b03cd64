package hot

import "encoding/binary"

// A record of the ring that is replaced leaves a place behind. A Layer leaves one for each
// record that is written, and brings the record back when it has been written down; and
// one for each key that was looked for, was absent, and is then made. Were places free only
// when the tail gets there, live records would have to go for those that come, however few
// there are in all. So a record takes the place of a dead one of its size, if there is one.
//
// Dead records are in lists by size, which lie in the records themselves:
//
//	+------+-------------+-----------+----------+-----+
//	| next | as it was   | as it was | previous |     |
//	| 4    | 4           | 4         | 4        |     |
//	+------+-------------+-----------+----------+-----+
//
// Invariant: each dead record of the ring is in the list of its size, but for fillers.

const (
	// vacancyLists is how many lists there are: sizes that are that many units of
	// recordAlign apart share one.
	vacancyLists = 32
	// vacancyLooks is how many records of a list are looked at for one of the size.
	vacancyLooks = 8
)

func vacancyList(size int) int { return size / recordAlign % vacancyLists }

func (r cached) next() uint32           { return binary.LittleEndian.Uint32(r.b) }
func (r cached) setNext(pos uint32)     { binary.LittleEndian.PutUint32(r.b, pos) }
func (r cached) previous() uint32       { return binary.LittleEndian.Uint32(r.b[recordHeader:]) }
func (r cached) setPrevious(pos uint32) { binary.LittleEndian.PutUint32(r.b[recordHeader:], pos) }

// kill marks a record dead. Its slot is, or becomes, something else.
func (s *stripe) kill(pos uint32) {
	r := s.at(pos)
	first := &s.vacant[vacancyList(r.size())]
	r.b[7] |= flagDead
	r.setNext(*first)
	r.setPrevious(0)
	if *first != 0 {
		s.at(*first).setPrevious(pos)
	}
	*first = pos
}

// unlink takes a dead record off its list.
func (s *stripe) unlink(pos uint32) {
	r := s.at(pos)
	next, previous := r.next(), r.previous()
	if next != 0 {
		s.at(next).setPrevious(previous)
	}
	if previous != 0 {
		s.at(previous).setNext(next)
	} else {
		s.vacant[vacancyList(r.size())] = next
	}
}

// takeVacancy returns the place of a dead record of size bytes, which is the caller's from now
// on; 0: none was found.
func (s *stripe) takeVacancy(size int) (pos uint32) {
	pos = s.vacant[vacancyList(size)]
	for range vacancyLooks {
		if pos == 0 {
			break
		}
		r := s.at(pos)
		if r.size() == size {
			s.unlink(pos)
			return pos
		}
		pos = r.next()
	}
	return 0
}
