package keyspace

// KeysInSlot calls emit for the keys of a slot of a database, in order, until it
// returns false. The slice given to emit is valid only during the call.
func (tx *Tx) KeysInSlot(db int, slot Slot, emit func(key []byte) bool) error {
	m, err := tx.openView()
	if err != nil {
		return err
	}
	w, err := tx.walk(m.of(db), walkOptions{first: slot, last: slot})
	if err != nil {
		return err
	}
	for w.next() {
		meta, err := w.meta()
		if err != nil {
			w.err = err
			break
		}
		if !meta.expired(tx.now) && !emit(w.key) {
			break
		}
	}
	return w.close()
}
