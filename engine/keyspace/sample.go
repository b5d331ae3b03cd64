package keyspace

import (
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
func (c *Collection) Random(element, value []byte) ([]byte, []byte, error) {
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
		if err = c.Each(take); err == nil && !found {
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
