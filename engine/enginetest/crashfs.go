package enginetest

import (
	"io"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// CrashFS is a disk in memory that can be copied as a crash would leave it, also
// while others change it.
//
// MemFS alone cannot: its Lock, Link and ReuseForWrite take the lock that CrashClone
// waits for twice over, for reading, and when CrashClone comes in between, the
// three wait for each other.
type CrashFS struct {
	*vfs.MemFS
	twice sync.RWMutex
}

// NewCrashFS returns an empty disk.
func NewCrashFS() *CrashFS { return &CrashFS{MemFS: vfs.NewCrashableMem()} }

// Lock is vfs.FS's.
func (fs *CrashFS) Lock(name string) (io.Closer, error) {
	fs.twice.RLock()
	defer fs.twice.RUnlock()
	return fs.MemFS.Lock(name)
}

// Link is vfs.FS's.
func (fs *CrashFS) Link(oldname, newname string) error {
	fs.twice.RLock()
	defer fs.twice.RUnlock()
	return fs.MemFS.Link(oldname, newname)
}

// ReuseForWrite is vfs.FS's.
func (fs *CrashFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	fs.twice.RLock()
	defer fs.twice.RUnlock()
	return fs.MemFS.ReuseForWrite(oldname, newname, category)
}

// Crash returns a copy of the disk as a crash at this moment could leave it:
// what was synced, and of the rest what c says.
func (fs *CrashFS) Crash(c vfs.CrashCloneCfg) *CrashFS {
	fs.twice.Lock()
	defer fs.twice.Unlock()
	return &CrashFS{MemFS: fs.MemFS.CrashClone(c)}
}
