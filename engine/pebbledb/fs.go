package pebbledb

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"dkv/engine"
)

// What Pebble calls its writes when it creates a file.
const (
	categoryFlush      vfs.DiskWriteCategory = "pebble-memtable-flush"
	categoryCompaction vfs.DiskWriteCategory = "pebble-compaction"
	categoryRewrite    vfs.DiskWriteCategory = "pebble-blob-file-rewrite"
)

// spaceCheckBytes is how much is written to a table between looks at the free
// space.
const spaceCheckBytes = 1 << 20

// guardFS is the file system that Pebble gets: the real one, with the promises
// that doc.go lists.
//
// Why a table's creation is the moment for BeforeFlush: Pebble flushes
// memtables of its queue other than the last, and only those that no writer
// refers to any more (DB.flush1: readyForFlush); a memtable leaves the last
// place, under the commit lock, before its flush is scheduled. So when the
// tables of a flush are created, every batch in them was applied, hence was
// appended to the log, and a sync of the log at that moment covers them all.
//
// Which files can make applied data durable: tables (*.sst) and blob files
// (*.blob), from flushes. Compactions only rewrite what tables hold already.
// The write-ahead log is off. MANIFEST and OPTIONS hold no keys but the bounds
// of such tables. Checkpoints link or copy tables that exist. What Load adds was
// applied, and logged, before it was called, and it calls BeforeFlush itself. Close
// flushes nothing.
type guardFS struct {
	vfs.FS
	g           *guard
	beforeFlush func() error
	stop        func(error)
	// otherDirErr is the first failed sync of a folder that is not the store's
	// since Checkpoint looked.
	otherDirErr atomic.Pointer[error]
}

func (fs *guardFS) Unwrap() vfs.FS {
	return fs.FS
}

func isTable(name string) bool {
	return strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob")
}

func (fs *guardFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if !isTable(name) {
		return fs.createOther(name, category)
	}
	w := workCompaction
	if category == categoryFlush {
		w = workFlush
	}
	if category == categoryFlush || category == categoryCompaction || category == categoryRewrite {
		if err := fs.g.admit(w); err != nil {
			return nil, err
		}
	} else if err := fs.g.checkSpace(w, 0); err != nil {
		return nil, err // a checkpoint that has to copy; nobody retries it
	}
	if err := fs.g.stopped(); err != nil {
		return nil, err
	}
	if err := fs.callBeforeFlush(category); err != nil {
		return nil, err
	}
	f, err := fs.FS.Create(name, category)
	if err != nil {
		return nil, err
	}
	return &tableFile{File: f, g: fs.g, w: w}, nil
}

// callBeforeFlush calls BeforeFlush for any category but the two that are known to
// rewrite tables (a name that changes in a later Pebble must not turn the promise
// off), and once in a flush: its memtables were sealed before it began, so the
// log's sync for its first table covers the others.
func (fs *guardFS) callBeforeFlush(category vfs.DiskWriteCategory) error {
	switch {
	case fs.beforeFlush == nil || category == categoryCompaction || category == categoryRewrite:
		return nil
	case category == categoryFlush && fs.g.flushSynced.Load():
		return nil
	}
	if err := fs.beforeFlush(); err != nil {
		return err
	}
	fs.g.flushSynced.Store(category == categoryFlush)
	return nil
}

// createOther creates a MANIFEST, OPTIONS or marker file. Pebble cannot go on
// when a version edit does not reach the MANIFEST, so in the store's own folder
// these writes get the ballast's space, or wait for some.
func (fs *guardFS) createOther(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	var f vfs.File
	err := fs.patiently(name, func() (err error) {
		if err := fs.beforeMark(name); err != nil {
			return err
		}
		f, err = fs.FS.Create(name, category)
		return err
	})
	if err != nil {
		return nil, err
	}
	if isLog(name) {
		return logFile{f}, nil
	}
	return &metaFile{File: f, fs: fs, name: name}, nil
}

func isLog(name string) bool {
	return strings.HasSuffix(name, ".log")
}

// logFile is Pebble's write-ahead log, which it makes though it is turned off.
// All that it writes there is a trailer at Close, which must not fail for lack
// of space: the file stays empty.
type logFile struct {
	vfs.File
}

func (logFile) Write(p []byte) (int, error)           { return len(p), nil }
func (logFile) Sync() error                           { return nil }
func (logFile) SyncData() error                       { return nil }
func (logFile) SyncTo(int64) (fullSync bool, _ error) { return false, nil }
func (logFile) Preallocate(int64, int64) error        { return nil }

// patiently runs do, and again while it fails for lack of space. (Should even
// the ballast not do, because somebody else took its space, then this waits, and
// with it whatever needs Pebble's lock of the MANIFEST.)
func (fs *guardFS) patiently(name string, do func() error) error {
	for waited := false; ; waited = true {
		if err := fs.g.stopped(); err != nil {
			return err
		}
		err := do()
		if err == nil && waited {
			fs.g.succeed(workManifest)
		}
		if err == nil || !isNoSpace(err) || !fs.g.patient.Load() || fs.PathDir(name) != fs.g.dir {
			return err
		}
		if fs.g.ballast.release() {
			continue
		}
		fs.g.fail(workManifest, err)
		if !fs.g.sleep(spacePoll) {
			return err
		}
	}
}

// The methods below change the disk, which a stopped store must not.

func (fs *guardFS) Link(oldname, newname string) error {
	if err := fs.g.stopped(); err != nil {
		return err
	}
	return fs.FS.Link(oldname, newname)
}

func (fs *guardFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	if err := fs.g.stopped(); err != nil {
		return nil, err
	}
	return fs.FS.OpenReadWrite(name, category, opts...)
}

func (fs *guardFS) Remove(name string) error {
	if err := fs.g.stopped(); err != nil {
		return err
	}
	if err := fs.beforeMark(name); err != nil {
		return err
	}
	return fs.FS.Remove(name)
}

// beforeMark makes durable what the folder lists, before a marker file is made or
// removed. Pebble makes a MANIFEST, the mark that names it, and removes the old
// mark, and syncs the folder once at the end; so a crash could leave a mark whose
// MANIFEST is lost, or no mark at all. It happens at each Open, and then seldom.
func (fs *guardFS) beforeMark(name string) error {
	if !strings.HasPrefix(fs.PathBase(name), "marker.") {
		return nil
	}
	d, err := fs.FS.OpenDir(fs.PathDir(name))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (fs *guardFS) RemoveAll(name string) error {
	if err := fs.g.stopped(); err != nil {
		return err
	}
	return fs.FS.RemoveAll(name)
}

func (fs *guardFS) Rename(oldname, newname string) error {
	return fs.patiently(newname, func() error { return fs.FS.Rename(oldname, newname) })
}

func (fs *guardFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := fs.g.stopped(); err != nil {
		return nil, err
	}
	return fs.FS.ReuseForWrite(oldname, newname, category)
}

func (fs *guardFS) MkdirAll(dir string, perm os.FileMode) error {
	if err := fs.g.stopped(); err != nil {
		return err
	}
	return fs.FS.MkdirAll(dir, perm)
}

func (fs *guardFS) OpenDir(name string) (vfs.File, error) {
	f, err := fs.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &dirFile{File: f, fs: fs, name: name}, nil
}

// dirFile is a folder that is synced. Pebble panics when that fails after it
// moved a marker (vfs/atomicfs), so it is not told; instead the store is stopped
// before anybody learns that the data is durable, or, in the folder of a
// checkpoint, Checkpoint fails at its end.
type dirFile struct {
	vfs.File
	fs   *guardFS
	name string
}

func (f *dirFile) Sync() error {
	own := f.fs.PathDir(f.fs.PathJoin(f.name, "x")) == f.fs.g.dir
	if own && f.fs.g.stopped() != nil {
		return nil
	}
	err := f.File.Sync()
	if err == nil {
		return nil
	}
	err = fmt.Errorf("sync folder %s: %w", f.name, err)
	if own {
		f.fs.stop(err)
	} else {
		f.fs.otherDirErr.CompareAndSwap(nil, &err)
	}
	return nil
}

// tableFile is a table being written. It stops before it eats into the reserve.
type tableFile struct {
	vfs.File
	g         *guard
	w         work
	unchecked int
}

func (f *tableFile) Write(p []byte) (int, error) {
	if f.w == workCompaction && f.g.isClosing() {
		return 0, engine.ErrClosed // Close does not wait for a long compaction
	}
	if f.unchecked += len(p); f.unchecked >= spaceCheckBytes {
		f.unchecked = 0
		if err := f.g.checkSpace(f.w, len(p)); err != nil {
			return 0, err
		}
	}
	return f.File.Write(p)
}

func (f *tableFile) Sync() error {
	if err := f.g.stopped(); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *tableFile) SyncData() error {
	if err := f.g.stopped(); err != nil {
		return err
	}
	return f.File.SyncData()
}

// metaFile is a MANIFEST, OPTIONS or marker file being written.
type metaFile struct {
	vfs.File
	fs   *guardFS
	name string
}

func (f *metaFile) Write(p []byte) (int, error) {
	written := 0
	err := f.fs.patiently(f.name, func() error {
		n, err := f.File.Write(p[written:])
		written += n
		return err
	})
	return written, err
}

// A failed sync is never tried again, not even for lack of space: the pages may
// be gone, and a second sync would say nothing about them.

func (f *metaFile) Sync() error {
	if err := f.fs.g.stopped(); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *metaFile) SyncData() error {
	if err := f.fs.g.stopped(); err != nil {
		return err
	}
	return f.File.SyncData()
}
