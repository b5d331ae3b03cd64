package keyspace

import (
	"encoding/binary"
	"fmt"
	"math"

	"dkv/engine"
)

// The fields of a hash can have an expiry each. In a hash whose head says that values
// are tagged, a value begins with a byte that tells whether there is one:
//
//	00  value
//	01  expireAt ms 8  value
//
// Hashes whose elements are records are always tagged, but for those that older
// versions wrote; inline ones are from the first expiry on. Records of a hash also
// have, for each field with an expiry, one that finds it by time:
//
//	field time:  't'  db 1  slot 2  version 8  expireAt ms 8  field
//
// The head has a bound below all expiries, and the expiry index has a record for the
// key at that time (see keys.go). docs/adr/0015-field-expiry.md says why.
const (
	kindFieldTime = 't'

	fieldPlain     = 0
	fieldTimed     = 1
	fieldTimeBytes = 8
	maxTagBytes    = 1 + fieldTimeBytes
)

// appendField appends the tagged form of a value; expireAt 0: never.
func appendField(dst, value []byte, expireAt int64) []byte {
	if expireAt == 0 {
		dst = append(dst, fieldPlain)
	} else {
		dst = appendUint64(append(dst, fieldTimed), uint64(expireAt))
	}
	return append(dst, value...)
}

// splitField takes a tagged value apart. An error wraps ErrCorrupt.
func splitField(stored []byte) (value []byte, expireAt int64, err error) {
	switch {
	case len(stored) > 0 && stored[0] == fieldPlain:
		return stored[1:], 0, nil
	case len(stored) >= maxTagBytes && stored[0] == fieldTimed:
		if expireAt = int64(binary.BigEndian.Uint64(stored[1:])); expireAt > 0 {
			return stored[maxTagBytes:], expireAt, nil
		}
	}
	return nil, 0, fmt.Errorf("%w: field value %q", ErrCorrupt, clip(stored))
}

// split takes a value as it is stored apart.
func (c *Collection) split(stored []byte) (value []byte, expireAt int64, err error) {
	if !c.tagged {
		return stored, 0, nil
	}
	return splitField(stored)
}

// visible is split for readers: to them a field whose time has come is not there.
func (c *Collection) visible(stored []byte) (value []byte, ok bool, err error) {
	value, expireAt, err := c.split(stored)
	return value, err == nil && !c.passed(expireAt), err
}

// passed reports whether an expiry's time has come: as for keys, a field is still
// there at its very millisecond.
func (c *Collection) passed(expireAt int64) bool { return expireAt != 0 && expireAt < c.tx.now }

// store puts the stored form of a value into a scratch buffer.
func (c *Collection) store(value []byte, expireAt int64) []byte {
	if !c.tagged {
		return value
	}
	c.tx.fieldOut = appendField(c.tx.fieldOut[:0], value, expireAt)
	return c.tx.fieldOut
}

// PutKeeping is Put for a hash, and leaves the field's expiry as it is.
func (c *Collection) PutKeeping(field, value []byte) (added bool, err error) {
	return c.putField(field, value, 0, true)
}

// PutExpiring is Put for a hash, and gives the field an expiry (Unix time in ms);
// 0: none.
func (c *Collection) PutExpiring(field, value []byte, expireAt int64) (added bool, err error) {
	return c.putField(field, value, expireAt, false)
}

// NextExpiry returns a time up to which no field of a hash expires; 0: none does.
func (c *Collection) NextExpiry() int64 { return c.nextExpiry }

// FieldExpiry returns the expiry of a hash's field; 0: none.
func (c *Collection) FieldExpiry(field []byte) (expireAt int64, found bool, err error) {
	tx := c.tx
	if tx.fieldIn, found, err = c.getStored(tx.fieldIn[:0], field); err != nil || !found {
		return 0, false, err
	}
	_, expireAt, err = c.split(tx.fieldIn)
	return expireAt, err == nil && !c.passed(expireAt), err
}

func (c *Collection) putField(field, value []byte, expireAt int64, keep bool) (added bool, err error) {
	tx := c.tx
	var e inlineEntry
	found := false
	if c.separate {
		tx.fieldIn, found, err = c.getStored(tx.fieldIn[:0], field)
		e.value = tx.fieldIn
	} else {
		e, found, err = findInline(c.kind, c.rest, field)
	}
	if err != nil {
		return false, err
	}
	was, live := int64(0), found
	if found {
		if _, was, err = c.split(e.value); err != nil {
			return false, err
		}
		live = !c.passed(was)
	}
	if keep && live {
		expireAt = was
	}
	if expireAt != 0 && !c.tagged {
		if err := c.tagFields(); err != nil {
			return false, err
		}
		if !c.separate { // the entry has moved
			if e, found, err = findInline(c.kind, c.rest, field); err != nil {
				return false, err
			}
		}
	}
	if !c.separate {
		if c.fitsInline(field, value, e.end-e.start, found) {
			return !live, c.putInline(e, found, field, c.store(value, expireAt))
		}
		if err := c.separateElements(); err != nil {
			return false, err
		}
	}
	c.elementKey(field)
	tx.ov.Put(tx.elem, c.store(value, expireAt))
	c.touched = true
	if !found {
		c.size++
		c.dirty = true
	}
	c.moveFieldTime(field, was, expireAt)
	return !live, nil
}

// moveFieldTime brings the record of a field's expiry up to date.
func (c *Collection) moveFieldTime(field []byte, was, now int64) {
	if was == now {
		return
	}
	if was != 0 {
		c.fieldTimeKey(was, field)
		c.tx.ov.Delete(c.tx.elem)
	}
	if now != 0 {
		c.fieldTimeKey(now, field)
		c.tx.ov.Put(c.tx.elem, nil)
		if c.nextExpiry == 0 || now < c.nextExpiry {
			c.nextExpiry = now
			c.dirty = true
		}
	}
}

// fieldTimeKey puts the key of a field's time record into tx.elem.
func (c *Collection) fieldTimeKey(expireAt int64, field []byte) {
	tx := c.tx
	tx.elem = c.appendFieldTime(tx.elem[:0], expireAt)
	tx.elem = append(tx.elem, field...)
}

// appendFieldTime appends the lower bound of the time records of an expiry.
func (c *Collection) appendFieldTime(dst []byte, expireAt int64) []byte {
	dst = appendPrefix(dst, kindFieldTime, c.db, c.homeSlot(), c.Version)
	return appendUint64(dst, uint64(expireAt))
}

// splitFieldTime takes the key of a time record apart.
func splitFieldTime(key []byte) (expireAt int64, field []byte, err error) {
	if len(key) < elementPrefixBytes+fieldTimeBytes || key[0] != kindFieldTime {
		return 0, nil, fmt.Errorf("%w: field time key %q", ErrCorrupt, clip(key))
	}
	expireAt = int64(binary.BigEndian.Uint64(key[elementPrefixBytes:]))
	return expireAt, key[elementPrefixBytes+fieldTimeBytes:], nil
}

// removeField is Remove for a hash.
func (c *Collection) removeField(field []byte) (removed bool, err error) {
	tx := c.tx
	found := false
	if tx.fieldIn, found, err = c.getStored(tx.fieldIn[:0], field); err != nil || !found {
		return false, err
	}
	_, was, err := c.split(tx.fieldIn)
	if err != nil {
		return false, err
	}
	if !c.separate {
		e, _, err := findInline(c.kind, c.rest, field)
		if err != nil {
			return false, err
		}
		c.rest = append(c.rest[:e.start], c.rest[e.end:]...)
	} else {
		c.elementKey(field)
		tx.ov.Delete(tx.elem)
		c.dead++
		c.moveFieldTime(field, was, 0)
	}
	c.size--
	c.touched, c.dirty = true, true
	return !c.passed(was), nil
}

// tagFields tags the values of a hash. For one whose elements are records, which only
// an older version leaves untagged, that is a new incarnation: readers of the live
// engine must not take one form for the other.
func (c *Collection) tagFields() error {
	tx := c.tx
	if !c.separate {
		var tagged []byte
		err := c.eachInline(func(field, value []byte) bool {
			tagged = appendInline(c.kind, tagged, field, appendField(nil, value, 0))
			return true
		})
		c.rest, c.tagged = tagged, true
		c.touched, c.dirty = true, true
		return err
	}
	from, version := c.Version, tx.NextVersion()
	err := tx.eachRaw(kindElement, c.db, c.homeSlot(), from, false, func(key, value []byte) {
		tx.elem = appendPrefix(tx.elem[:0], kindElement, c.db, c.homeSlot(), version)
		tx.elem = append(tx.elem, key[elementPrefixBytes:]...)
		tx.fieldOut = appendField(tx.fieldOut[:0], value, 0)
		tx.ov.Put(tx.elem, tx.fieldOut)
	})
	if err != nil {
		return err
	}
	tx.dropRecords(c.kind, c.db, c.homeSlot(), from, c.size+c.dead)
	c.wasHead.separate = false
	c.Version, c.dead, c.tagged = version, 0, true
	c.touched, c.dirty = true, true
	return nil
}

// beginSeparateHash readies a hash for records of its own.
func (c *Collection) beginSeparateHash() (err error) {
	if !c.tagged {
		if err = c.tagFields(); err != nil {
			return err
		}
	}
	c.nextExpiry, err = c.firstInlineExpiry()
	return err
}

// firstInlineExpiry returns the earliest expiry of an inline hash; 0: there is none.
func (c *Collection) firstInlineExpiry() (first int64, err error) {
	failed := c.eachInline(func(_, stored []byte) bool {
		var at int64
		if _, at, err = c.split(stored); at != 0 && (first == 0 || at < first) {
			first = at
		}
		return err == nil
	})
	if err == nil {
		err = failed
	}
	return first, err
}

// Live returns how many elements there are to readers: Len without the fields whose
// time has come and that have not been deleted yet, which it counts.
func (c *Collection) Live() (int64, error) {
	if !c.passed(c.nextExpiry) {
		return c.Len(), nil
	}
	n := c.Len()
	if !c.separate {
		var err error
		failed := c.eachInline(func(_, stored []byte) bool {
			var ok bool
			if _, ok, err = c.visible(stored); !ok {
				n--
			}
			return err == nil
		})
		if err == nil {
			err = failed
		}
		return n, err
	}
	err := c.eachFieldTime(c.tx.now, func(int64, []byte) bool {
		n--
		return true
	})
	return n, err
}

// eachFieldTime calls emit for the fields whose expiry is below a time, in the order of
// their expiries, until it returns false.
func (c *Collection) eachFieldTime(below int64, emit func(expireAt int64, field []byte) bool) error {
	it, err := c.tx.r.NewIter(engine.IterOptions{
		Lower: c.appendFieldTime(nil, c.nextExpiry), Upper: c.appendFieldTime(nil, below), KeysOnly: true})
	if err != nil {
		return fmt.Errorf("keyspace: iterate field times: %w", err)
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var at int64
		var field []byte
		if at, field, err = splitFieldTime(it.Key()); err != nil || !emit(at, field) {
			break
		}
	}
	return endIteration(it, err)
}

// dropFieldTimes deletes the time records of an incarnation.
func (tx *Tx) dropFieldTimes(db physical, slot Slot, version Version, size uint64) {
	if size <= dropByElement && tx.eachRaw(kindFieldTime, db, slot, version, true, func(key, _ []byte) { tx.ov.Delete(key) }) == nil {
		return
	}
	tx.ov.DeleteRange(appendPrefix(nil, kindFieldTime, db, slot, version), appendPrefix(nil, kindFieldTime, db, slot, version+1))
}

// maxReapFields is how many fields of a hash one visit of the reaper deletes.
const maxReapFields = 1024

// reapFields deletes fields of a hash whose time has come, and notes in tx.reapAgain
// when some are left.
func (tx *Tx) reapFields(e Entry) error {
	c, err := tx.Collection(e, TypeHash)
	if err != nil {
		return err
	}
	var due [][]byte
	note := func(field []byte) bool {
		due = append(due, append([]byte(nil), field...))
		return len(due) < maxReapFields
	}
	if c.separate {
		err = c.eachFieldTime(tx.now, func(_ int64, field []byte) bool { return note(field) })
	} else {
		failed := c.eachInline(func(field, stored []byte) bool {
			var ok bool
			if _, ok, err = c.visible(stored); err == nil && !ok {
				return note(field)
			}
			return err == nil
		})
		if err == nil {
			err = failed
		}
	}
	if err != nil {
		return err
	}
	for _, field := range due {
		if _, err := c.removeField(field); err != nil {
			return err
		}
	}
	if c.separate {
		first := int64(0)
		err := c.eachFieldTime(math.MaxInt64, func(at int64, _ []byte) bool {
			first = at
			return false
		})
		if err != nil {
			return err
		}
		c.nextExpiry = first
	}
	c.touched, c.dirty = true, true
	if err := c.Save(); err != nil {
		return err
	}
	if len(due) > 0 {
		tx.Note(ClassHash, "hexpired", int(c.dbNum), c.key)
		if c.size == 0 {
			tx.Note(ClassGeneric, "del", int(c.dbNum), c.key)
		}
	}
	if c.passed(c.nextExpiry) {
		tx.reapAgain = min(tx.reapAgain, c.nextExpiry)
	}
	return nil
}
