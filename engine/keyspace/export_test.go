package keyspace

// RebuildAfter makes small collections be made anew after so many removals, and
// returns what undoes that.
func RebuildAfter(n uint64) (undo func()) {
	was := rebuildAfter
	rebuildAfter = n
	return func() { rebuildAfter = was }
}
