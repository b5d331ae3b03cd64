package keyspace

import (
	"math"
	"math/rand/v2"
)

const (
	// exactSample is the size up to which a random pick counts off elements.
	exactSample = 256
	// sampleWindow is how many elements of a larger collection a pick looks at,
	// on average.
	sampleWindow = 16
)

// Random returns a random element of a collection that is not empty, and its value,
// both appended to slices of the caller's. The choice is even up to 256 elements;
// beyond, it is even among the about sixteen whose hashes follow a random number,
// which makes some elements up to about a third more likely than others.
func (c *Collection) Random(element, value []byte) ([]byte, []byte, error) {
	var err error
	take := func(e, v []byte) {
		element, value = append(element, e...), append(value, v...)
	}
	if !c.separate || c.size <= exactSample {
		skip := rand.IntN(int(c.size))
		err = c.Each(func(e, v []byte) bool {
			if skip--; skip >= 0 {
				return true
			}
			take(e, v)
			return false
		})
		return element, value, err
	}
	found := 0
	keepElement, keepValue := len(element), len(value)
	look := func(_ uint32, e, v []byte) bool {
		if found++; rand.IntN(found) == 0 {
			element, value = element[:keepElement], value[:keepValue]
			take(e, v)
		}
		return found < 4*sampleWindow
	}
	span := max(uint64(float64(1<<32)/float64(c.size)*sampleWindow), 1)
	for try := 0; found == 0 && err == nil; try++ {
		first := uint64(rand.Uint32())
		last := first + span - 1
		if try >= 8 { // odd hashes: take whatever comes next
			last = first + math.MaxUint32
		}
		_, _, err = c.eachRecord(uint32(first), uint32(min(last, math.MaxUint32)), look)
		if err == nil && last > math.MaxUint32 { // around the end
			_, _, err = c.eachRecord(0, uint32(last), look)
		}
	}
	return element, value, err
}
