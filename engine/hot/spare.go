package hot

// A version that was overwritten is needed until the batch that did so is whole, and
// as long as a view asks for it. So each record that is written again would take the
// room of two, for good. Instead the next writes to its stripe take the room of
// versions that nobody needs any more.

// maxSpare bounds both lists of a stripe. Records for which there is no place keep
// their second version, and use it when they are next written.
const maxSpare = 64

// spare is a stripe's list of room for versions, of the active generation. The
// stripe's lock guards it.
type spare struct {
	number  uint64 // of the generation
	visible uint64 // before the batch that last wrote to the stripe
	// written are records whose newest version hides another one.
	written []ref
	room    []room
}

// room is where a value of size bytes, rounded up, has a place with its head.
type room struct {
	at   ref
	size int32
}

// roomFor is the size of room that a value of n bytes takes.
func roomFor(n int) int { return (n + refAlign - 1) &^ (refAlign - 1) }

// begin readies the lists for a write to g, once for a batch: versions that were
// hidden by batches which are whole, and that no view wants, become room.
func (s *spare) begin(g *generation, h horizon) {
	if s.number != g.number {
		s.number, s.written, s.room = g.number, s.written[:0], s.room[:0]
	}
	if s.visible == h.visible {
		return
	}
	s.visible = h.visible
	for _, r := range s.written {
		v := g.version(g.record(r).newest())
		second := v.older()
		if second == 0 || len(s.room) == maxSpare {
			continue
		}
		if old := g.version(second); !h.wants(old.seq(), v.seq()) {
			v.setOlder(old.older())
			s.room = append(s.room, room{second, int32(roomFor(old.valueLen()))})
		}
	}
	s.written = s.written[:0]
}

// take returns room for a value of n bytes; zero: there is none.
func (s *spare) take(n int) ref {
	for i := len(s.room) - 1; i >= 0; i-- {
		if r := s.room[i]; int(r.size) == roomFor(n) {
			last := len(s.room) - 1
			s.room[i] = s.room[last]
			s.room = s.room[:last]
			return r.at
		}
	}
	return 0
}

// hides notes that a record's newest version hides another one.
func (s *spare) hides(r ref) {
	if len(s.written) < maxSpare {
		s.written = append(s.written, r)
	}
}
