package hot

import (
	"bytes"
	"hash/maphash"

	"dkv/engine"
)

// Keys may carry a version, which says what incarnation they are part of. One that is
// above all that were written before a generation began is of something that was made
// since: the engine has no key of it. New ones are above all that there were, so that
// is known of every collection that is younger than what was last written down. Who
// puts elements into one asks for each whether it is there, and who takes elements out
// walks over them; both are spared the engine's tables.

// versionOf returns the version that a key carries; 0: none.
func (l *Layer) versionOf(key []byte) uint64 {
	if l.o.Version == nil {
		return 0
	}
	version, _ := l.o.Version(key)
	return version
}

// fresh reports whether keys of a version are in the generations of e, if anywhere.
// through is the newest generation that is not looked for any more.
func (e *epoch) fresh(version, through uint64) bool {
	oldest := e.active
	if e.frozen != nil && e.frozen.number > through {
		oldest = e.frozen
	}
	return version > oldest.versions
}

// freshRange reports whether all keys between the bounds are of one version that is
// fresh in e.
func (l *Layer) freshRange(e *epoch, lower, upper []byte) bool {
	if l.o.Version == nil {
		return false
	}
	version, n := l.o.Version(lower)
	return e.fresh(version, 0) && endsWithin(lower[:n], upper)
}

// endsWithin reports whether keys from prefix on and below upper begin with prefix.
func endsWithin(prefix, upper []byte) bool {
	return bytes.HasPrefix(upper, prefix) || follows(upper, prefix)
}

// InMemory implements engine.Rememberer.
func (l *Layer) InMemory(key []byte) bool {
	return l.current.Load().fresh(l.versionOf(key), 0)
}

// unknownKey is a key that the table does not know.
type unknownKey struct {
	at   int // of the keys
	tag  uint32
	gone uint64 // of its stripe
}

// Remember implements engine.Rememberer.
func (l *Layer) Remember(keys [][]byte) error {
	if l.closed.Load() {
		return engine.ErrClosed
	}
	var unknowns []unknownKey
	for i, key := range keys {
		tag := tagOf(maphash.Bytes(l.seed, key))
		s := &l.table[stripeOf(tag)]
		s.mu.Lock()
		if !l.knows(s, key, tag, l.current.Load()) {
			unknowns = append(unknowns, unknownKey{i, tag, s.gone})
		}
		s.mu.Unlock()
	}
	if len(unknowns) == 0 {
		return nil
	}
	return l.fillFrom(keys, unknowns)
}

// knows reports whether lookUp would find the newest state of a key, if only when the
// batch is whole that is being applied. The stripe is locked.
func (l *Layer) knows(s *stripe, key []byte, tag uint32, e *epoch) bool {
	i := s.find(key, tag, e)
	if i >= 0 && s.slots[i].kind() == kindRing {
		s.at(s.slots[i].pos).b[7] |= flagRead
	}
	known := i >= 0 || e.fresh(l.versionOf(key), s.through) || e.deleted(key, maxSeq, s.through)
	if known {
		s.hits++
	} else {
		s.misses++
	}
	return known
}

// fillFrom reads keys that the table does not know.
func (l *Layer) fillFrom(keys [][]byte, unknowns []unknownKey) error {
	fill := func(i int, value []byte, found bool) {
		u := &unknowns[i]
		s := &l.table[stripeOf(u.tag)]
		s.fillLayer(l, keys[u.at], value, found, u.tag, u.gone)
	}
	if l.many == nil || len(unknowns) == 1 {
		var value []byte
		for i := range unknowns {
			var found bool
			var err error
			if value, found, err = l.below.Get(value[:0], keys[unknowns[i].at]); err != nil {
				return err
			}
			fill(i, value, found)
		}
		return nil
	}
	asked := make([][]byte, len(unknowns))
	for i := range unknowns {
		asked[i] = keys[unknowns[i].at]
	}
	return l.many.GetMany(asked, fill)
}

// nothing is an iterator over no keys.
type nothing struct{}

var _ engine.Iterator = nothing{}

func (nothing) First() bool            { return false }
func (nothing) Last() bool             { return false }
func (nothing) SeekGE([]byte) bool     { return false }
func (nothing) SeekLT([]byte) bool     { return false }
func (nothing) Next() bool             { return false }
func (nothing) Prev() bool             { return false }
func (nothing) Valid() bool            { return false }
func (nothing) Key() []byte            { return nil }
func (nothing) Value() ([]byte, error) { return nil, nil }
func (nothing) Err() error             { return nil }
func (nothing) Close() error           { return nil }
