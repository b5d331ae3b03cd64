package main

const (
	valuePool = 1 << 20 // bytes of prepared randomness that values are cut from
	valueUnit = 64      // within each unit of the pool the compressible share is constant
)

// values makes the values of a run: pieces of a pool of random bytes, so that a
// value costs a copy and no two neighbours in a store's block are alike. A share
// of the pool can be made compressible.
type values struct {
	pool     []byte
	min, max int
}

// newValues prepares values of min to max bytes of which about the share
// compressible (0 to 1) is repetition.
func newValues(min, max int, compressible float64, seed uint64) *values {
	v := &values{pool: make([]byte, valuePool+max), min: min, max: max}
	rnd := newRandom(seed, ^uint64(0))
	constant := int(compressible * valueUnit)
	for i := range v.pool {
		v.pool[i] = 'x'
		if i%valueUnit >= constant {
			v.pool[i] = byte(rnd.src.Uint64())
		}
	}
	return v
}

// next returns a value; it must not be modified.
func (v *values) next(rnd *random) []byte {
	n := v.min
	if v.max > v.min {
		n += int(rnd.below(uint64(v.max - v.min + 1)))
	}
	at := rnd.below(valuePool)
	return v.pool[at : at+uint64(n)]
}
