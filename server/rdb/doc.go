// Package rdb reads and writes the format in which Redis keeps values outside of its
// memory: RDB files, and the payloads of DUMP and RESTORE.
//
// # Main types
//
//   - Reader reads values. It hands out their elements one by one, whatever form they
//     are in (a listpack, a ziplist, a quicklist ...), so that a large collection
//     never is in memory as a whole.
//   - File goes over an RDB file, key by key.
//   - Type is how a value is written down, Kind what it is.
//   - Writer writes an RDB file; the Append functions write values.
//
// # Use
//
//	f, err := rdb.NewFile(src)
//	for {
//		rec, err := f.Next()
//		if err == io.EOF { break } // with a checksum that is right
//		if rec.Op == rdb.OpKey {
//			err = f.Value(func(el *rdb.Element) error { ... })
//		}
//	}
//
// # What is read
//
// Versions 1 to 12 (Redis 7.4), every type that Redis itself has. Values of modules
// are refused by name; so is what comes after version 12.
//
// # Invariants
//
//   - No input makes this package panic. An error wraps ErrFormat, ErrVersion or
//     ErrModule, or is that of the source.
//   - Memory is bounded by the input that has really been read, and by what a
//     compressed string of it may become (maxStringBytes); never by a number that
//     the input merely names.
//   - What is handed out is valid until the next call.
//
// The source of the format is what redis-server writes and reads (rdb.c, listpack.c,
// ziplist.c, t_stream.c of Redis 7.2), which has no other description.
package rdb
