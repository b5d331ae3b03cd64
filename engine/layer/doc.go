// Package layer has what engines share that keep records in memory over another
// Reader (engine/front, engine/hot).
//
// # Main types
//
//   - Ranges holds delete-ranges with their sequence numbers, for one writer and any
//     number of readers.
//   - Iter merges layers of records and what lies below them into one
//     engine.Iterator.
//   - Source is a layer as Iter sees it.
//
// # Use
//
//	base, err := below.NewIter(bounds)
//	...
//	return layer.NewIter([]layer.Source{newest, older}, base, o, release), nil
//
// # Invariants
//
// Sequence numbers rise with every record of every batch. A reader has one and
// sees what is not above it. Sources do not change under an Iter.
package layer
