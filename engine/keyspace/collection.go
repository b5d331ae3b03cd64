package keyspace

import (
	"errors"
	"fmt"
	"slices"
)

// ErrWrongType says that a key holds another type than the one asked for.
var ErrWrongType = errors.New("keyspace: the key is of another type")

// Collection is a hash, set or sorted set, as a key that a Tx found holds it (an
// empty one when the key does not exist): elements, each with a value. A hash's
// elements are its fields, a set's its members, without values, a sorted set's its
// members, with their scores (see Score). Like Entry, it is valid until the next
// lookup into the same buffer; Own lifts that.
//
// What is read of element records must be of one state: over a live engine only Get
// sees to that, everything else wants a snapshot (see Tx.Freeze) or a write Tx.
//
// Changes reach the batch by themselves, except for the Meta record: Save must
// follow them.
type Collection struct {
	Entry
	head
	// rest is what follows the head.
	rest []byte
	tx   *Tx
	kind Type
	// touched: an element changed; dirty: the Meta record must be written too.
	touched, dirty bool
}

// Collection returns what a key holds, as a collection of type t: TypeHash, TypeSet
// or TypeZSet; for what is common to all of them, TypeList too (see List). Errors: ErrWrongType, or wraps ErrCorrupt.
func (tx *Tx) Collection(e Entry, t Type) (c Collection, err error) {
	c.Entry, c.tx, c.kind = e, tx, t
	if !e.Exists() {
		return c, nil
	}
	if e.Type != t {
		return c, ErrWrongType
	}
	c.head, c.rest, err = parseHead(t, e.Body)
	return c, err
}

// Len returns the number of elements.
func (c *Collection) Len() int64 { return int64(c.size) }

// Inline reports whether the elements are in the key's own record, in which case
// reading all of them costs nothing.
func (c *Collection) Inline() bool { return !c.separate }

// RedisEncoding is the form in which Redis would keep the collection.
func (c *Collection) RedisEncoding() Encoding { return c.encoding }

// Encode sets RedisEncoding, unless that would lead back.
func (c *Collection) Encode(e Encoding) {
	if e > c.encoding {
		c.encoding = e
		c.touched, c.dirty = true, true
	}
}

// Own copies what refers to a buffer of the Tx, so that c stays valid over further
// lookups.
func (c *Collection) Own() {
	c.rest = slices.Clone(c.rest)
	c.Body = nil
}

// Get appends the value of an element to dst.
func (c *Collection) Get(dst, element []byte) (value []byte, found bool, err error) {
	stored, found, err := c.getStored(dst, element)
	if err != nil || !found || !c.tagged {
		return stored, found, err
	}
	value, found, err = c.visible(stored[len(dst):])
	if !found {
		return dst, false, err
	}
	return append(stored[:len(dst)], value...), true, nil
}

// getStored is Get without regard to expiry, and returns the value as it is stored.
func (c *Collection) getStored(dst, element []byte) (value []byte, found bool, err error) {
	for {
		if !c.separate {
			e, found, err := findInline(c.kind, c.rest, element)
			return append(dst, e.value...), found, err
		}
		tx := c.tx
		c.elementKey(element)
		if value, found, err = tx.r.Get(dst, tx.elem); err != nil {
			return dst, false, fmt.Errorf("keyspace: read element: %w", err)
		}
		if !tx.live {
			return value, found, nil
		}
		// Only if the collection is still the key's was it so in between.
		now, err := tx.find(int(c.dbNum), c.key, &tx.aside)
		if err != nil {
			return dst, false, err
		}
		if now.Version == c.Version && now.wasHead.moves == c.moves {
			return value, found, nil
		}
		if *c, err = tx.Collection(now, c.kind); err != nil {
			return dst, false, err
		}
	}
}

// Put sets the value of an element and reports whether it is new. A field of a hash
// has no expiry afterwards.
func (c *Collection) Put(element, value []byte) (added bool, err error) {
	if c.kind == TypeHash {
		return c.putField(element, value, 0, false)
	}
	if !c.separate {
		e, found, err := findInline(c.kind, c.rest, element)
		if err != nil {
			return false, err
		}
		if c.fitsInline(element, value, e.end-e.start, found) {
			return !found, c.putInline(e, found, element, value)
		}
		if err := c.separateElements(); err != nil {
			return false, err
		}
	}
	tx := c.tx
	old, found, err := c.Get(tx.old[:0], element)
	if err != nil {
		return false, err
	}
	tx.old = old
	if c.kind == TypeZSet && found {
		if string(old) == string(value) {
			return false, nil
		}
		if err := c.deleteScore(element, old); err != nil {
			return false, err
		}
	}
	if err := c.writeRecord(element, value); err != nil {
		return false, err
	}
	c.touched = true
	if !found {
		c.size++
		c.dirty = true
	}
	return !found, nil
}

// Remove removes an element and reports whether it was there.
func (c *Collection) Remove(element []byte) (removed bool, err error) {
	if c.kind == TypeHash {
		return c.removeField(element)
	}
	if !c.separate {
		e, found, err := findInline(c.kind, c.rest, element)
		if err != nil || !found {
			return false, err
		}
		c.rest = slices.Delete(c.rest, e.start, e.end)
	} else {
		tx := c.tx
		old, found, err := c.Get(tx.old[:0], element)
		if err != nil {
			return false, err
		}
		if tx.old = old; !found {
			return false, nil
		}
		if c.kind == TypeZSet {
			if err := c.deleteScore(element, old); err != nil {
				return false, err
			}
		}
		c.elementKey(element)
		tx.ov.Delete(tx.elem)
		c.dead++
		tx.ks.popped.removed(c.Version, element)
	}
	c.size--
	c.touched, c.dirty = true, true
	return true, nil
}

// Clear removes all elements, at once.
func (c *Collection) Clear() {
	if c.separate {
		c.tx.dropIncarnation(c.kind, c.db, c.homeSlot(), c.Version, &c.head)
	}
	if c.Exists() { // otherwise the record is an expired key's, whose elements put drops
		c.wasHead.separate = false
	}
	c.separate, c.away, c.size, c.dead, c.Version, c.rest = false, false, 0, 0, 0, nil
	c.tagged, c.nextExpiry = false, 0
	c.touched, c.dirty = true, true
}

// Save writes the Meta record if it changed. A collection without elements is none:
// the key is deleted. The key's expiry stays.
func (c *Collection) Save() error {
	tx := c.tx
	if c.touched && c.separate && c.size != 0 && c.size <= rebuildSize && c.dead >= rebuildAfter {
		if err := c.rebuild(); err != nil {
			return err
		}
	}
	if c.touched && c.tagged && !c.separate {
		var err error
		if c.nextExpiry, err = c.firstInlineExpiry(); err != nil {
			return err
		}
	}
	switch {
	case !c.touched:
	case !c.dirty:
		tx.changed(int(c.dbNum), c.hash)
		tx.noteTouched(&c.Entry, c.separate)
	case c.size == 0:
		if c.Exists() {
			c.wasHead.separate = false // its elements are gone already
		}
		tx.Delete(&c.Entry)
		c.head, c.rest = head{}, nil
	default:
		m := Meta{Type: c.kind, ExpireAt: c.ExpireAt, Version: c.Version}
		tx.body = append(c.head.append(tx.body[:0]), c.rest...)
		m.Body = tx.body
		tx.put(&c.Entry, &m)
		c.rest = c.Body[len(c.Body)-len(c.rest):]
	}
	c.touched, c.dirty = false, false
	return nil
}

// A collection that has become small, of up to rebuildSize elements, is made anew
// after so many were removed. Otherwise every walk over what is left (a random pick, a
// scan) would pass all their tombstones, until the engine comes to compact them.
const rebuildSize = 1024

var rebuildAfter uint64 = 1 << 16 // tests make it smaller

// rebuild gives the elements records of a new version, or puts them inline.
func (c *Collection) rebuild() error {
	type pair struct {
		element, value []byte
		expireAt       int64
	}
	pairs := make([]pair, 0, c.size)
	var failed error
	err := c.eachStored(func(element, stored []byte) bool {
		value, expireAt, err := c.split(stored)
		pairs = append(pairs, pair{slices.Clone(element), slices.Clone(value), expireAt})
		failed = err
		return err == nil
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	c.Clear()
	for _, p := range pairs {
		if p.expireAt != 0 {
			if _, err := c.PutExpiring(p.element, p.value, p.expireAt); err != nil {
				return err
			}
			continue
		}
		if _, err := c.Put(p.element, p.value); err != nil {
			return err
		}
	}
	return nil
}

// fitsInline reports whether an inline collection can take an element, which
// replaces an entry of freed bytes if it is there already.
func (c *Collection) fitsInline(element, value []byte, freed int, found bool) bool {
	entries := c.size
	if !found {
		entries, freed = entries+1, 0
	}
	overhead := 4
	if c.tagged {
		overhead += maxTagBytes
	}
	return entries <= maxInlineEntries && len(element) <= maxInlineElement && len(value) <= maxInlineElement &&
		len(c.rest)-freed+len(element)+len(value)+overhead <= maxInlineBytes
}

// putInline adds an entry, or replaces the one that e is.
func (c *Collection) putInline(e inlineEntry, found bool, element, value []byte) error {
	tx := c.tx
	entry := appendInline(c.kind, tx.old[:0], element, value)
	tx.old = entry
	from, to := len(c.rest), len(c.rest)
	if found {
		if from, to = e.start, e.end; string(c.rest[from:to]) == string(entry) {
			c.touched = c.touched || c.kind != TypeSet && c.kind != TypeZSet
			return nil
		}
	}
	if c.kind == TypeZSet || c.kind == TypeSet && c.encoding == SetIntset {
		if found {
			c.rest = slices.Delete(c.rest, from, to)
		}
		at, err := c.placeInline(element, value)
		if err != nil {
			return err
		}
		from, to = at, at
	}
	c.rest = slices.Replace(c.rest, from, to, entry...)
	if !found {
		c.size++
	}
	c.touched, c.dirty = true, true
	return nil
}

// placeInline returns where an element goes in an inline collection that is sorted.
func (c *Collection) placeInline(element, value []byte) (int, error) {
	for at := 0; ; {
		e, ok, err := nextInline(c.kind, c.rest, at)
		if err != nil || !ok {
			return at, err
		}
		if after, err := c.inlineAfter(e, element, value); err != nil || after {
			return at, err
		}
		at = e.end
	}
}

func (c *Collection) inlineAfter(e inlineEntry, element, value []byte) (bool, error) {
	if c.kind == TypeSet {
		a, _ := ParseInt(e.element)
		b, ok := ParseInt(element)
		return ok && a > b, nil
	}
	a, err := parseScore(e.value)
	if err != nil {
		return false, err
	}
	b, err := parseScore(value)
	return a > b || a == b && string(e.element) > string(element), err
}

// separateElements gives every element of an inline collection a record of its own.
func (c *Collection) separateElements() error {
	if c.kind == TypeHash {
		if err := c.beginSeparateHash(); err != nil {
			return err
		}
	}
	c.Version = c.tx.NextVersion()
	c.separate, c.away = true, false
	entries := c.rest
	c.rest = nil
	for at := 0; ; {
		e, ok, err := nextInline(c.kind, entries, at)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if err := c.writeRecord(e.element, e.value); err != nil {
			return err
		}
		if c.kind == TypeHash {
			_, expireAt, err := c.split(e.value)
			if err != nil {
				return err
			}
			c.moveFieldTime(e.element, 0, expireAt)
		}
		at = e.end
	}
	c.touched, c.dirty = true, true
	return nil
}

// writeRecord writes an element's records.
func (c *Collection) writeRecord(element, value []byte) error {
	tx := c.tx
	c.elementKey(element)
	tx.ov.Put(tx.elem, value)
	if c.kind != TypeZSet {
		return nil
	}
	score, err := parseScore(value)
	if err != nil {
		return err
	}
	c.scoreKey(score, element)
	tx.ov.Put(tx.elem, scoreRecordValue(score))
	c.scoreChanged(tx.elem[elementPrefixBytes:])
	return c.widen(tx.elem[elementPrefixBytes:])
}

// deleteScore deletes the score record of a member whose value is given.
func (c *Collection) deleteScore(member, value []byte) error {
	score, err := parseScore(value)
	if err != nil {
		return err
	}
	c.scoreKey(score, member)
	c.tx.ov.Delete(c.tx.elem)
	c.scoreChanged(c.tx.elem[elementPrefixBytes:])
	return nil
}

// elementKey puts the key of an element into tx.elem.
func (c *Collection) elementKey(element []byte) {
	tx := c.tx
	tx.elem = appendPrefix(tx.elem[:0], kindElement, c.db, c.homeSlot(), c.Version)
	tx.elem = appendElement(tx.elem, element)
}

// scoreKey puts the key of a member's score record into tx.elem.
func (c *Collection) scoreKey(score float64, member []byte) {
	tx := c.tx
	tx.elem = appendPrefix(tx.elem[:0], kindScore, c.db, c.homeSlot(), c.Version)
	tx.elem = appendScoreMember(tx.elem, score, member)
}

func (c *Collection) homeSlot() Slot {
	if c.away {
		return c.home
	}
	return c.slot
}
