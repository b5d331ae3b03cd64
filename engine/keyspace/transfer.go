package keyspace

import (
	"fmt"

	"dkv/engine"
)

// dropByElement is the most elements that are deleted one by one. A delete-range is
// cheap to write, but many of them are slow to read past, and the hot layer forgets
// all that it knows at each.
const dropByElement = 1024

// dropElements deletes the element records of the collection that e's record was
// found to be.
func (tx *Tx) dropElements(e *Entry) {
	slot := e.slot
	if e.wasHead.away {
		slot = e.wasHead.home
	}
	tx.dropIncarnation(e.was.Type, e.db, slot, e.was.Version, &e.wasHead)
}

// dropIncarnation deletes all element records of an incarnation with that head.
func (tx *Tx) dropIncarnation(t Type, db physical, slot Slot, version Version, h *head) {
	if t == TypeList {
		tx.dropPositions(db, slot, version, h.first, h.size)
		return
	}
	tx.dropRecords(t, db, slot, version, h.size+h.dead)
	if h.nextExpiry != 0 {
		tx.dropFieldTimes(db, slot, version, h.size+h.dead)
	}
}

// dropRecords deletes all element records of an incarnation; size is how many there
// are, tombstones included. Millions go as fast as hundreds.
func (tx *Tx) dropRecords(t Type, db physical, slot Slot, version Version, size uint64) {
	kinds := []byte{kindElement, kindScore}
	if t != TypeZSet {
		kinds = kinds[:1]
	}
	for _, kind := range kinds {
		if size <= dropByElement && (t != TypeStream || tx.fewRecords(db, slot, version)) {
			err := tx.eachRaw(kind, db, slot, version, true, func(key, _ []byte) { tx.ov.Delete(key) })
			if err == nil {
				continue
			}
			// What is wrong will show when the elements are next wanted; a range
			// can do without reading them.
		}
		tx.ov.DeleteRange(appendPrefix(nil, kind, db, slot, version), appendPrefix(nil, kind, db, slot, version+1))
	}
}

// fewRecords reports whether the records of a stream, which are more than its entries,
// are few enough to be deleted one by one.
func (tx *Tx) fewRecords(db physical, slot Slot, version Version) bool {
	n := 0
	s := Stream{tx: tx}
	o := engine.IterOptions{
		Lower:    appendPrefix(nil, kindElement, db, slot, version),
		Upper:    appendPrefix(nil, kindElement, db, slot, version+1),
		KeysOnly: true,
	}
	err := s.eachRecord(o, false, func(_, _ []byte) (bool, error) {
		n++
		return n <= dropByElement, nil
	})
	return err == nil && n <= dropByElement
}

// eachRaw calls f for each record of a kind of an incarnation; f may change them.
func (tx *Tx) eachRaw(kind byte, db physical, slot Slot, version Version, keysOnly bool, f func(key, value []byte)) error {
	return tx.eachBetween(appendPrefix(nil, kind, db, slot, version), appendPrefix(nil, kind, db, slot, version+1), keysOnly, f)
}

// eachBetween calls f for each record from lower up to upper; f may change them.
func (tx *Tx) eachBetween(lower, upper []byte, keysOnly bool, f func(key, value []byte)) error {
	it, err := tx.r.NewIter(engine.IterOptions{Lower: lower, Upper: upper, KeysOnly: keysOnly})
	if err != nil {
		return fmt.Errorf("keyspace: iterate elements: %w", err)
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var value []byte
		if !keysOnly {
			if value, err = it.Value(); err != nil {
				break
			}
		}
		f(it.Key(), value)
		err = tx.ov.Batch().Err()
	}
	return endIteration(it, err)
}

// Copy makes dst the same as src: type, value and expiry. dst must be another key,
// and come from FindTarget, found after src. The elements of a collection are copied
// one by one; the error is then the engine's, or wraps engine.ErrBatchTooLarge.
func (tx *Tx) Copy(src, dst *Entry) error {
	tx.noteReplaced(dst)
	m := src.Meta
	if !src.wasHead.separate {
		tx.put(dst, &m)
		return nil
	}
	h, rest, err := parseHead(m.Type, m.Body)
	if err != nil {
		return err
	}
	from := h.home
	if !h.away {
		from = src.slot
	}
	m.Version = tx.NextVersion()
	for _, kind := range [...]byte{kindElement, kindScore, kindFieldTime} {
		if kind == kindScore && m.Type != TypeZSet || kind == kindFieldTime && h.nextExpiry == 0 {
			continue
		}
		lower, upper := appendPrefix(nil, kind, src.db, from, src.Version), appendPrefix(nil, kind, src.db, from, src.Version+1)
		if m.Type == TypeList { // without the tombstones on either side
			lower, upper = appendUint64(lower, h.first), appendPosition(nil, src.db, from, src.Version, h.first+h.size)
		}
		err := tx.eachBetween(lower, upper, false, func(key, value []byte) {
			tx.elem = appendPrefix(tx.elem[:0], kind, dst.db, dst.slot, m.Version)
			tx.elem = append(tx.elem, key[elementPrefixBytes:]...)
			tx.ov.Put(tx.elem, value)
		})
		if err != nil {
			return err
		}
	}
	h.away, h.moves, h.dead = false, 0, 0
	tx.body = append(h.append(tx.body[:0]), rest...)
	m.Body = tx.body
	tx.put(dst, &m)
	return nil
}

// Move makes dst what src is, and removes src. dst must be another key, and come
// from FindTarget, found after src. Within a database it writes only the two Meta
// records; errors, from one database to another, are those of Copy.
func (tx *Tx) Move(src, dst *Entry) error {
	if !src.wasHead.separate || src.db != dst.db {
		if err := tx.Copy(src, dst); err != nil {
			return err
		}
		tx.Delete(src)
		return nil
	}
	tx.noteReplaced(dst)
	m := src.Meta
	h, rest, err := parseHead(m.Type, m.Body)
	if err != nil {
		return err
	}
	if !h.away {
		h.home = src.slot
	}
	h.away = h.home != dst.slot
	h.moves++
	tx.body = append(h.append(tx.body[:0]), rest...)
	m.Body = tx.body
	tx.put(dst, &m)
	src.wasHead.separate = false // they are dst's now
	tx.Delete(src)
	return nil
}

// noteReplaced notes that a key which takes the place of another one is new: Redis
// deletes the other one first. put notes it when there is none.
func (tx *Tx) noteReplaced(dst *Entry) {
	if dst.Exists() {
		tx.Note(ClassNew, "new", int(dst.dbNum), dst.key)
	}
}
