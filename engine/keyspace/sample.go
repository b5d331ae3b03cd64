package keyspace

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
)

const (
	// exactSample is the size up to which a random pick counts off elements.
	exactSample = 256
	// sampleWindow is how many elements a look into a larger collection meets on
	// average; sampleMost is how many it hardly ever meets more than (Poisson:
	// once in ten million).
	sampleWindow = 16
	sampleMost   = 40
	// maxSampleLooks is the most looks before a pick takes what comes next. Four in
	// ten succeed, unless elements were made to have odd hashes.
	maxSampleLooks = 64
)

var errLostElements = fmt.Errorf("%w: a collection has fewer elements than its size", ErrCorrupt)

// Random returns a random element of a collection that is not empty, and its value,
// both appended to slices of the caller's. All elements are equally likely.
//
// In a large collection it looks at all elements whose hashes are in a window that
// begins anywhere, and takes the j-th, where j is random too; when there is none it
// looks elsewhere. So a crowded window is taken from as often as it has elements.
//
// Fields whose time has come are not picked; there must be others (see Live).
func (c *Collection) Random(element, value []byte) ([]byte, []byte, error) {
	if !c.tagged {
		return c.randomStored(element, value)
	}
	for range maxHiddenPicks {
		e, stored, err := c.randomStored(element, value)
		if err != nil {
			return e, stored, err
		}
		plain, ok, err := c.visible(stored[len(value):])
		if ok || err != nil {
			return e, append(stored[:len(value)], plain...), err
		}
	}
	return c.nextVisible(element, value)
}

// maxHiddenPicks is how many fields a pick meets whose time has come before it takes
// the next one that it finds.
const maxHiddenPicks = 64

// nextVisible returns the first field that readers see, from a random place on.
func (c *Collection) nextVisible(element, value []byte) ([]byte, []byte, error) {
	var failed error
	found := false
	take := func(_ uint32, e, stored []byte) bool {
		plain, ok, err := c.visible(stored)
		if failed = err; ok {
			element, value, found = append(element, e...), append(value, plain...), true
		}
		return !ok && err == nil
	}
	var err error
	if c.separate {
		first := rand.Uint32()
		_, _, err = c.eachRecord(first, math.MaxUint32, take)
		if err == nil && failed == nil && !found && first > 0 { // around the end
			_, _, err = c.eachRecord(0, first-1, take)
		}
	} else {
		err = c.eachInline(func(e, stored []byte) bool { return take(0, e, stored) })
	}
	if err == nil && failed == nil && !found {
		err = errLostElements
	}
	return element, value, errors.Join(err, failed)
}

func (c *Collection) randomStored(element, value []byte) ([]byte, []byte, error) {
	var err error
	skip := 0
	found := false
	take := func(e, v []byte) bool {
		if skip--; skip >= 0 {
			return true
		}
		element, value, found = append(element, e...), append(value, v...), true
		return false
	}
	if !c.separate || c.size <= exactSample {
		skip = rand.IntN(int(c.size))
		if err = c.eachStored(take); err == nil && !found {
			err = errLostElements
		}
		return element, value, err
	}
	look := func(_ uint32, e, v []byte) bool { return take(e, v) }
	span := max(uint64(float64(1<<32)/float64(c.size)*sampleWindow), 1)
	for try := 0; !found && err == nil; try++ {
		first := uint64(rand.Uint32())
		last := first + span - 1
		skip = rand.IntN(sampleMost)
		if try > maxSampleLooks {
			err = errLostElements
			break
		}
		if try == maxSampleLooks {
			last, skip = first+math.MaxUint32, 0
		}
		_, _, err = c.eachRecord(uint32(first), uint32(min(last, math.MaxUint32)), look)
		if err == nil && !found && last > math.MaxUint32 { // around the end
			_, _, err = c.eachRecord(0, uint32(last), look)
		}
	}
	return element, value, err
}
