package engine

// KeyRange is the keys from Start on, below End. Neither is empty.
type KeyRange struct {
	Start, End []byte
}

// Loader is an Engine that takes a long sorted list of mutations without a copy of
// all of them in memory, and past its memtables.
type Loader interface {
	// Load deletes the keys of ranges, which are disjoint and in ascending order, and
	// then does what next returns until that says no: puts and deletes, in the
	// ascending order of their keys, each key once. All of it becomes visible at
	// once, and is durable when Load returns, like a batch after Apply and Flush; and
	// like Apply it is called by one goroutine at a time. What next returns has to
	// stay as it is until Load returns, and is not kept. Errors are those of Apply and Flush; nothing has changed then, and
	// nothing goes on being tried.
	Load(ranges []KeyRange, next func() (kind Kind, key, value []byte, ok bool)) error

	// Space returns how many bytes of tables the disk has room for; known is false
	// where that cannot be told. It is cheap.
	Space() (bytes int64, known bool)
}
