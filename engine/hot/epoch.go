package hot

// epoch is the generations that there are: the active one, which is written to,
// and the one before it while that is being written down. An epoch does not
// change; its active generation grows.
type epoch struct {
	active, frozen *generation // frozen may be nil
}

// of returns the generation that slots of a kind point into.
func (e *epoch) of(kind uint32) *generation {
	if e.active.kind() == kind {
		return e.active
	}
	return e.frozen
}

// deleted says whether a range hides what lies below the generations at seq.
// through is the newest generation whose ranges the engine has.
func (e *epoch) deleted(key []byte, seq, through uint64) bool {
	if _, covered := e.active.ranges.Covers(key, seq); covered {
		return true
	}
	if e.frozen == nil || e.frozen.number <= through {
		return false
	}
	_, covered := e.frozen.ranges.Covers(key, seq)
	return covered
}

// inActive reads a record of the active generation, and what it covered in the
// frozen one where the record itself is too new for seq. The stripe is locked.
func (e *epoch) inActive(dst, key []byte, r ref, seq uint64) ([]byte, state) {
	if v, ok := e.active.visible(r, seq); ok {
		if e.active.gone(key, v, seq) {
			return dst, absent
		}
		return append(dst, v.value()...), present
	}
	if below := e.active.record(r).below(); below != 0 && e.frozen != nil {
		return e.inFrozen(dst, key, below, seq)
	}
	return dst, unknown
}

// inFrozen reads a record of the frozen generation. The stripe is locked.
func (e *epoch) inFrozen(dst, key []byte, r ref, seq uint64) ([]byte, state) {
	v, ok := e.frozen.visible(r, seq)
	if !ok {
		return dst, unknown
	}
	if _, covered := e.active.ranges.Covers(key, seq); covered || e.frozen.gone(key, v, seq) {
		return dst, absent
	}
	return append(dst, v.value()...), present
}

// lookUp reads a key without the table, which may not know these generations any
// more. locked calls its argument with the stripe of a tag locked.
func (e *epoch) lookUp(dst, key []byte, seq uint64, locked func(tag uint32, do func())) (value []byte, st state) {
	value = dst
	for _, g := range []*generation{e.active, e.frozen} {
		if g == nil {
			continue
		}
		if r := g.index.lookup(g, key); r != 0 {
			locked(g.record(r).tag(), func() {
				if v, ok := g.visible(r, seq); ok {
					if st = absent; !g.gone(key, v, seq) {
						value, st = append(dst, v.value()...), present
					}
				}
			})
		}
		if st != unknown {
			return value, st
		}
		if _, covered := g.ranges.Covers(key, seq); covered {
			return dst, absent
		}
	}
	return dst, unknown
}
