//go:build !unix

package badgerdb

import "io/fs"

// allocated is what a file takes of the disk, as far as that is known.
func allocated(info fs.FileInfo) uint64 { return uint64(info.Size()) }
