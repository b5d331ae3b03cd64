package keyspace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"dkv/engine"
)

// Each calls emit for every element, until it returns false. The slices are valid
// during the call, in which the collection must not be changed.
func (c *Collection) Each(emit func(element, value []byte) bool) error {
	if !c.tagged {
		return c.eachStored(emit)
	}
	var failed error
	err := c.eachStored(func(element, stored []byte) bool {
		value, ok, err := c.visible(stored)
		failed = err
		return err == nil && (!ok || emit(element, value))
	})
	return errors.Join(err, failed)
}

// Add is Put for a member of a set that is known not to be there.
func (c *Collection) Add(member []byte) error {
	if !c.separate {
		_, err := c.Put(member, nil)
		return err
	}
	if err := c.writeRecord(member, nil); err != nil {
		return err
	}
	c.size++
	c.touched, c.dirty = true, true
	return nil
}

// eachStored is Each without regard to expiry, and with values as they are stored.
func (c *Collection) eachStored(emit func(element, value []byte) bool) error {
	if !c.separate {
		return c.eachInline(emit)
	}
	if c.kind == TypeList {
		l := List{*c}
		return l.Range(0, c.Len()-1, false, func(element []byte) bool { return emit(element, nil) })
	}
	_, _, err := c.eachRecord(0, math.MaxUint32, func(_ uint32, element, value []byte) bool { return emit(element, value) })
	return err
}

func (c *Collection) eachInline(emit func(element, value []byte) bool) error {
	for at := 0; ; {
		e, ok, err := nextInline(c.kind, c.rest, at)
		if err != nil || !ok || !emit(e.element, e.value) {
			return err
		}
		at = e.end
	}
}

// eachRecord goes over the element records with a hash from first to last, until
// emit returns false, and then returns the hash it stood at.
func (c *Collection) eachRecord(first, last uint32, emit func(hash uint32, element, value []byte) bool) (at uint32, stopped bool, err error) {
	prefix := appendPrefix(nil, kindElement, c.db, c.homeSlot(), c.Version)
	o := engine.IterOptions{Lower: binary.BigEndian.AppendUint32(prefix, first), KeysOnly: c.kind == TypeSet}
	if last == math.MaxUint32 {
		o.Upper = appendPrefix(nil, kindElement, c.db, c.homeSlot(), c.Version+1)
	} else {
		o.Upper = appendPrefix(nil, kindElement, c.db, c.homeSlot(), c.Version)
		o.Upper = binary.BigEndian.AppendUint32(o.Upper, last+1)
	}
	it, err := c.tx.r.NewIter(o)
	if err != nil {
		return 0, false, fmt.Errorf("keyspace: iterate elements: %w", err)
	}
	for ok := it.First(); ok && err == nil && !stopped; ok = it.Next() {
		var element, value []byte
		if at, element, err = splitElement(it.Key()); err != nil {
			break
		}
		if !o.KeysOnly {
			if value, err = it.Value(); err != nil {
				err = fmt.Errorf("keyspace: iterate elements: %w", err)
				break
			}
		}
		if !emit(at, element, value) {
			stopped = true
			break
		}
	}
	return at, stopped, endIteration(it, err)
}

// endIteration closes an iterator and returns the first error.
func endIteration(it engine.Iterator, err error) error {
	if err == nil && it.Err() != nil {
		err = fmt.Errorf("keyspace: iterate elements: %w", it.Err())
	}
	if closeErr := it.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("keyspace: iterate elements: %w", closeErr)
	}
	return err
}

// ScanElements calls emit for about count elements from a cursor on and returns the
// cursor to go on with; 0 begins a scan and says that it is over. An element that is
// there all the time is emitted at least once. A cursor is the hash to go on from, so it is
// good on every node, and after a restart. An inline collection is emitted as a
// whole.
func (c *Collection) ScanElements(cursor uint64, count int64, emit func(element, value []byte)) (next uint64, err error) {
	if !c.separate {
		return 0, c.Each(func(element, value []byte) bool { emit(element, value); return true })
	}
	if cursor > math.MaxUint32 {
		return 0, nil
	}
	var seen int64
	var last uint32
	var failed error
	at, stopped, err := c.eachRecord(uint32(cursor), math.MaxUint32, func(hash uint32, element, value []byte) bool {
		if seen >= count && hash != last { // those of one hash stay together
			return false
		}
		if c.tagged {
			var ok bool
			if value, ok, failed = c.visible(value); failed != nil {
				return false
			}
			if ok {
				emit(element, value)
			}
		} else {
			emit(element, value)
		}
		last = hash
		seen++
		return true
	})
	if err = errors.Join(err, failed); err != nil || !stopped {
		return 0, err
	}
	return uint64(at), nil
}
