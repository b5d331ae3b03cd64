package enginetest

import (
	"strings"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// limitedFS is a disk of limited size. A write that does not fit writes what
// does, and fails with ENOSPC, as a real one.
type limitedFS struct {
	vfs.FS
	// honest says that GetDiskUsage tells how full it is. (Quotas, thin
	// volumes and network disks may not.)
	honest bool

	mu struct {
		sync.Mutex
		limit, used int64
		hogged      bool
		refused     int // writes
		created     int // tables
		sizes       map[string]int64
	}
}

func newLimitedFS(inner vfs.FS, honest bool) *limitedFS {
	fs := &limitedFS{FS: inner, honest: honest}
	fs.mu.limit = 1 << 40
	fs.mu.sizes = make(map[string]int64)
	return fs
}

// leave sets the limit so that n bytes are free.
func (fs *limitedFS) leave(n int64) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.mu.limit, fs.mu.hogged = fs.mu.used+n, false
}

// hog leaves nothing, and takes what the removal of tables frees.
func (fs *limitedFS) hog() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.mu.limit, fs.mu.hogged = fs.mu.used, true
}

// refusals returns how many writes did not fit, and how many tables were begun.
func (fs *limitedFS) refusals() (writes, tables int) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.mu.refused, fs.mu.created
}

func (fs *limitedFS) Unwrap() vfs.FS {
	return fs.FS
}

// take takes up to n bytes and returns how many there were.
func (fs *limitedFS) take(name string, n int) int {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if free := fs.mu.limit - fs.mu.used; int64(n) > free {
		fs.mu.refused++
		n = int(max(free, 0))
	}
	fs.mu.used += int64(n)
	fs.mu.sizes[name] += int64(n)
	return n
}

func (fs *limitedFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	// A file takes a little of a disk by itself.
	if fs.take(name, 1) == 0 {
		return nil, syscall.ENOSPC
	}
	f, err := fs.FS.Create(name, category)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(name, ".sst") {
		fs.mu.Lock()
		fs.mu.created++
		fs.mu.Unlock()
	}
	return &limitedFile{File: f, fs: fs, name: name}, nil
}

func (fs *limitedFS) Remove(name string) error {
	fs.mu.Lock()
	fs.mu.used -= fs.mu.sizes[name]
	if fs.mu.hogged && strings.HasSuffix(name, ".sst") {
		fs.mu.limit -= fs.mu.sizes[name]
	}
	delete(fs.mu.sizes, name)
	fs.mu.Unlock()
	return fs.FS.Remove(name)
}

func (fs *limitedFS) Rename(oldname, newname string) error {
	fs.mu.Lock()
	fs.mu.sizes[newname] = fs.mu.sizes[oldname]
	delete(fs.mu.sizes, oldname)
	fs.mu.Unlock()
	return fs.FS.Rename(oldname, newname)
}

// Link moves what the file takes to its new name: whoever links a file here removes
// the old one.
func (fs *limitedFS) Link(oldname, newname string) error {
	fs.mu.Lock()
	fs.mu.sizes[newname] = fs.mu.sizes[oldname]
	fs.mu.sizes[oldname] = 0
	fs.mu.Unlock()
	return fs.FS.Link(oldname, newname)
}

func (fs *limitedFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	if !fs.honest {
		return vfs.DiskUsage{}, vfs.ErrUnsupported
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return vfs.DiskUsage{
		AvailBytes: uint64(max(fs.mu.limit-fs.mu.used, 0)),
		TotalBytes: uint64(max(fs.mu.limit, fs.mu.used)),
		UsedBytes:  uint64(fs.mu.used),
	}, nil
}

type limitedFile struct {
	vfs.File
	fs   *limitedFS
	name string
}

func (f *limitedFile) Write(p []byte) (int, error) {
	n := f.fs.take(f.name, len(p))
	written, err := f.File.Write(p[:n])
	if err == nil && n < len(p) {
		err = syscall.ENOSPC
	}
	return written, err
}

// watchedFS calls before ahead of everything that changes what a crash leaves.
type watchedFS struct {
	vfs.FS
	before func()
}

func (fs *watchedFS) Unwrap() vfs.FS {
	return fs.FS
}

func (fs *watchedFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	fs.before()
	f, err := fs.FS.Create(name, category)
	if err != nil {
		return nil, err
	}
	return &watchedFile{f, fs.before}, nil
}

func (fs *watchedFS) OpenDir(name string) (vfs.File, error) {
	f, err := fs.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &watchedFile{f, fs.before}, nil
}

func (fs *watchedFS) Remove(name string) error {
	fs.before()
	return fs.FS.Remove(name)
}

func (fs *watchedFS) Rename(oldname, newname string) error {
	fs.before()
	return fs.FS.Rename(oldname, newname)
}

type watchedFile struct {
	vfs.File
	before func()
}

func (f *watchedFile) Write(p []byte) (int, error) {
	f.before()
	return f.File.Write(p)
}

func (f *watchedFile) Sync() error {
	f.before()
	return f.File.Sync()
}

func (f *watchedFile) SyncData() error {
	f.before()
	return f.File.SyncData()
}
