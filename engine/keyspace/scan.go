package keyspace

// maxScanSeeks bounds the jumps from slot to slot of one Scan call, so that a
// pattern with few matches costs a call milliseconds; a whole scan needs at most
// two jumps for each slot that has keys.
const maxScanSeeks = 512

// ScanOptions narrow a scan.
type ScanOptions struct {
	// Count is how many keys are looked at; at least 1.
	Count int
	// Match is a pattern (see Match); nil: all keys.
	Match []byte
	// Type, unless TypeNone, leaves out keys of other types.
	Type Type
}

// Scan calls emit for keys of a database, from a cursor on, and returns the cursor
// to go on with; 0 when the scan is over. A key that is there from the first to
// the last call of a scan is emitted at least once, also across restarts and on
// any node. The work of a call is bounded by Count and maxScanSeeks, whatever it
// finds. The slice given to emit is valid only during the call.
func (tx *Tx) Scan(db int, cursor Cursor, o ScanOptions, emit func(key []byte)) (Cursor, error) {
	m, err := tx.openView()
	if err != nil {
		return 0, err
	}
	match := newKeyMatch(o.Match)
	wo := match.walk
	wo.maxSeeks = maxScanSeeks
	if wo.first < cursor.Slot() {
		wo.first = cursor.Slot()
	}
	if wo.first > wo.last {
		return 0, nil
	}
	if after, ok := tx.ks.cursors.get(cursor, db); ok && wo.first == cursor.Slot() {
		wo.after = []byte(after)
	}
	return tx.scan(db, m.of(db), wo, match, o, emit)
}

func (tx *Tx) scan(db int, phys physical, wo walkOptions, match keyMatch, o ScanOptions, emit func([]byte)) (Cursor, error) {
	w, err := tx.walk(phys, wo)
	if err != nil {
		return 0, err
	}
	var next Cursor
	var position []byte
	for n := 0; w.next(); n++ {
		if n >= o.Count {
			// One more key is there: go on after the last one looked at.
			next = tx.ks.cursors.put(scanPosition{db: db, slot: wo.first, key: string(position)})
			break
		}
		wo.first, position = w.slot, append(position[:0], w.key...)
		if !match.matches(w.key) {
			continue
		}
		meta, err := w.meta()
		if err != nil {
			w.err = err
			break
		}
		if !meta.expired(tx.now) && (o.Type == TypeNone || o.Type == meta.Type) {
			emit(w.key)
		}
	}
	if w.cut {
		next = makeCursor(w.slot, 0)
	}
	return next, w.close()
}

// Keys calls emit for every key of a database that matches a pattern. The slice
// given to emit is valid only during the call.
func (tx *Tx) Keys(db int, pattern []byte, emit func(key []byte)) error {
	m, err := tx.openView()
	if err != nil {
		return err
	}
	match := newKeyMatch(pattern)
	w, err := tx.walk(m.of(db), match.walk)
	if err != nil {
		return err
	}
	for w.next() {
		if !match.matches(w.key) {
			continue
		}
		meta, err := w.meta()
		if err != nil {
			w.err = err
			break
		}
		if !meta.expired(tx.now) {
			emit(w.key)
		}
	}
	return w.close()
}

// keyMatch is a pattern and the walk that its matches are on.
type keyMatch struct {
	pattern []byte // nil: everything on the walk matches
	walk    walkOptions
}

func newKeyMatch(pattern []byte) keyMatch {
	m := keyMatch{pattern: pattern, walk: walkOptions{last: SlotCount - 1}}
	if pattern == nil || len(pattern) == 1 && pattern[0] == '*' {
		m.pattern = nil
		return m
	}
	prefix, whole := literalPrefix(pattern)
	m.walk.prefix = prefix
	if whole || tagOfPrefix(prefix) {
		slot := SlotOf(prefix)
		m.walk.first, m.walk.last = slot, slot
	}
	return m
}

func (m *keyMatch) matches(key []byte) bool {
	return m.pattern == nil || Match(m.pattern, key, false)
}
