package keyspace

// SetString makes the key a string with that value and expiry (Unix time in ms;
// 0: none), whatever it was before. value is copied; it may be e.Body or lie in it.
func (tx *Tx) SetString(e *Entry, value []byte, expireAt int64, form Form) {
	m := Meta{Type: TypeString, Form: form, ExpireAt: expireAt, Body: value}
	tx.put(e, &m)
}

// SetExpireAt gives an existing key an expiry (Unix time in ms), or takes it away
// with 0.
func (tx *Tx) SetExpireAt(e *Entry, expireAt int64) {
	m := e.Meta
	m.ExpireAt = expireAt
	tx.put(e, &m)
}

// Delete removes the key's record, if there is one (maybe of an expired key), and the
// elements of a collection.
func (tx *Tx) Delete(e *Entry) {
	if !e.stored {
		return
	}
	if !e.Exists() {
		tx.Expired++
		tx.Note(ClassExpired, "expired", int(e.dbNum), e.key)
	}
	tx.remove(e)
}

// put writes a key's record and what depends on it: the expiry index, the counts,
// the change table. e is then the key as it was written.
func (tx *Tx) put(e *Entry, m *Meta) {
	if e.wasHead.separate && e.was.Version != m.Version {
		tx.dropElements(e)
	}
	tx.record = m.AppendTo(tx.record[:0])
	tx.key = appendMetaKey(tx.key[:0], e.db, e.slot, e.key)
	tx.ov.Put(tx.key, tx.record)
	var h head
	if m.Type != TypeString {
		h, _, _ = parseHead(m.Type, m.Body) // written by this package
	}

	if !e.Exists() {
		tx.ks.access.touch(e.hash, tx.now) // a new key; others were noted when found
		if e.stored {
			tx.Note(ClassExpired, "expired", int(e.dbNum), e.key)
		}
		if !e.replaced {
			tx.Note(ClassNew, "new", int(e.dbNum), e.key)
		}
	}
	by := count{ttlSum: ttlWeight(m.ExpireAt) - ttlWeight(e.was.ExpireAt)}
	if !e.stored {
		by.keys++
	} else if !e.Exists() {
		tx.Expired++
	}
	if m.ExpireAt != e.was.ExpireAt {
		if e.was.ExpireAt != 0 {
			by.expires--
		}
		if m.ExpireAt != 0 {
			by.expires++
		}
	}
	tx.indexExpiry(e, m.ExpireAt, h.nextExpiry)
	tx.addCount(e.db, by)
	tx.changed(int(e.dbNum), e.hash)

	e.stored = true
	e.Meta = Meta{Type: m.Type, Form: m.Form, ExpireAt: m.ExpireAt, Version: m.Version}
	e.was = e.Meta
	e.wasHead = h
	// Not m.Body: a caller's buffer would then have to be on the heap. The next
	// record gets the other buffer, since it may be made from this one.
	e.Body = tx.record[len(tx.record)-len(m.Body):]
	tx.record, tx.spare = tx.spare, tx.record
	if cap(tx.spare) > maxScratchBytes {
		tx.spare = nil // e keeps it alive as long as it needs it
	}
}

// remove deletes a stored record and what depends on it.
func (tx *Tx) remove(e *Entry) {
	if e.wasHead.separate {
		tx.dropElements(e)
	}
	tx.key = appendMetaKey(tx.key[:0], e.db, e.slot, e.key)
	tx.ov.Delete(tx.key)
	by := count{keys: -1, ttlSum: -ttlWeight(e.was.ExpireAt)}
	if e.was.ExpireAt != 0 {
		by.expires--
	}
	tx.indexExpiry(e, 0, 0)
	tx.addCount(e.db, by)
	tx.changed(int(e.dbNum), e.hash)
	e.replaced = e.Exists()
	e.stored, e.Meta, e.was, e.wasHead = false, Meta{}, Meta{}, head{}
}

// indexExpiry brings the records of the expiry index from what a key's record was to
// the expiry that it gets, and the one of its fields; 0: none. The two can be the same
// time, and then are one record.
func (tx *Tx) indexExpiry(e *Entry, expireAt, fields int64) {
	was, wasFields := e.was.ExpireAt, e.wasHead.nextExpiry
	for _, t := range [...]int64{was, wasFields} {
		if t != 0 && t != expireAt && t != fields {
			tx.key = appendExpiryKey(tx.key[:0], t, e.db, e.slot, e.key)
			tx.ov.Delete(tx.key)
		}
	}
	for _, t := range [...]int64{expireAt, fields} {
		if t != 0 && t != was && t != wasFields {
			tx.key = appendExpiryKey(tx.key[:0], t, e.db, e.slot, e.key)
			tx.ov.Put(tx.key, nil)
			tx.ks.noteExpiry(t)
		}
	}
}
