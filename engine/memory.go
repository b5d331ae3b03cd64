package engine

// Rememberer is a Reader that keeps what it has read in memory.
type Rememberer interface {
	// InMemory reports that Get of key need not look into a store, whether the key is
	// there or not; it is cheap, and false says nothing.
	InMemory(key []byte) bool

	// Remember reads keys, so that a Get of each soon after finds it in memory. It
	// costs less than a Get for each. The keys are not kept.
	Remember(keys [][]byte) error
}

// ManyGetter is a Reader that looks several keys up for less than a Get for each.
type ManyGetter interface {
	// GetMany calls got for each of keys, in their order, with its value, which is valid
	// during the call, or with found false.
	GetMany(keys [][]byte, got func(i int, value []byte, found bool)) error
}
