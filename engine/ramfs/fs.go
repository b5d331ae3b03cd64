package ramfs

import (
	"errors"
	"io"
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var (
	errNotDir   = errors.New("not a directory")
	errIsDir    = errors.New("is a directory")
	errNotEmpty = errors.New("directory is not empty")
)

// FS is a file system in memory. Paths are separated by slashes; there is no working
// directory, so "a" and "/a" are the same file. It implements vfs.FS.
type FS struct {
	pool  pool
	bytes atomic.Int64

	mu struct {
		sync.Mutex
		root  *node
		locks map[string]struct{}
	}
}

// New returns a file system with nothing in it but the root.
func New() *FS {
	fs := &FS{}
	fs.mu.root = &node{fs: fs, children: make(map[string]*node), links: 1} // never given back
	fs.mu.locks = make(map[string]struct{})
	return fs
}

// Bytes is the memory that all files take, those included that were removed and are
// still open. What is kept for the next files is not: see SpareBytes.
func (fs *FS) Bytes() int64 { return fs.bytes.Load() }

// SpareBytes is the memory of files that are gone, kept for the next ones: at most
// maxSpareChunks.
func (fs *FS) SpareBytes() int64 { return fs.pool.spare() }

// node is a file or a folder.
type node struct {
	fs       *FS
	children map[string]*node // of a folder, otherwise nil
	links    int              // names
	open     int              // handles
	contents
}

func clean(name string) string { return path.Clean("/" + name) }

func pathError(op, name string, err error) error {
	return &os.PathError{Op: op, Path: name, Err: err}
}

// findLocked returns the node of a path.
func (fs *FS) findLocked(op, name string) (*node, error) {
	n := fs.mu.root
	for part := range strings.SplitSeq(clean(name)[1:], "/") {
		if part == "" {
			continue // the root
		}
		if n.children == nil {
			return nil, pathError(op, name, errNotDir)
		}
		child := n.children[part]
		if child == nil {
			return nil, pathError(op, name, os.ErrNotExist)
		}
		n = child
	}
	return n, nil
}

// parentLocked returns the folder that a path is in, and the path's last part.
func (fs *FS) parentLocked(op, name string) (dir *node, base string, err error) {
	full := clean(name)
	if full == "/" {
		return nil, "", pathError(op, name, os.ErrInvalid)
	}
	if dir, err = fs.findLocked(op, path.Dir(full)); err != nil {
		return nil, "", err
	}
	if dir.children == nil {
		return nil, "", pathError(op, name, errNotDir)
	}
	return dir, path.Base(full), nil
}

// unlinkLocked takes a name out of a folder.
func (dir *node) unlinkLocked(base string) {
	n := dir.children[base]
	if n == nil {
		return
	}
	delete(dir.children, base)
	n.links--
	n.releaseLocked()
}

// linkLocked gives a node a name; what had it before loses it.
func (dir *node) linkLocked(base string, n *node) {
	if dir.children[base] == n {
		return
	}
	dir.unlinkLocked(base)
	dir.children[base] = n
	n.links++
}

// releaseLocked gives the node's memory back once nothing leads to it.
func (n *node) releaseLocked() {
	if n.links > 0 || n.open > 0 {
		return
	}
	for _, child := range n.children {
		child.links--
		child.releaseLocked()
	}
	n.truncate(n.fs)
}

func (fs *FS) handleLocked(name string, n *node, read, write bool) *file {
	n.open++
	return &file{name: path.Base(clean(name)), n: n, read: read, write: write}
}

// Create implements vfs.FS.
func (fs *FS) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	dir, base, err := fs.parentLocked("create", name)
	if err != nil {
		return nil, err
	}
	if old := dir.children[base]; old != nil && old.children != nil {
		return nil, pathError("create", name, errIsDir)
	}
	n := &node{fs: fs}
	n.modTime = time.Now()
	dir.linkLocked(base, n)
	return fs.handleLocked(name, n, true, true), nil
}

// Link implements vfs.FS.
func (fs *FS) Link(oldname, newname string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fail := func(err error) error { return &os.LinkError{Op: "link", Old: oldname, New: newname, Err: err} }
	n, err := fs.findLocked("link", oldname)
	if err != nil {
		return fail(os.ErrNotExist)
	}
	dir, base, err := fs.parentLocked("link", newname)
	if err != nil {
		return err
	}
	if dir.children[base] != nil {
		return fail(os.ErrExist)
	}
	dir.linkLocked(base, n)
	return nil
}

func (fs *FS) open(name string, write bool) (vfs.File, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n, err := fs.findLocked("open", name)
	if err != nil {
		return nil, err
	}
	return fs.handleLocked(name, n, true, write), nil
}

// Open implements vfs.FS.
func (fs *FS) Open(name string, _ ...vfs.OpenOption) (vfs.File, error) { return fs.open(name, false) }

// OpenDir implements vfs.FS.
func (fs *FS) OpenDir(name string) (vfs.File, error) { return fs.open(name, false) }

// OpenReadWrite implements vfs.FS.
func (fs *FS) OpenReadWrite(name string, category vfs.DiskWriteCategory, _ ...vfs.OpenOption) (vfs.File, error) {
	f, err := fs.open(name, true)
	if errors.Is(err, os.ErrNotExist) {
		return fs.Create(name, category)
	}
	return f, err
}

// Remove implements vfs.FS.
func (fs *FS) Remove(name string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	dir, base, err := fs.parentLocked("remove", name)
	if err != nil {
		return err
	}
	n := dir.children[base]
	switch {
	case n == nil:
		return pathError("remove", name, os.ErrNotExist)
	case len(n.children) > 0:
		return pathError("remove", name, errNotEmpty)
	}
	dir.unlinkLocked(base)
	return nil
}

// RemoveAll implements vfs.FS.
func (fs *FS) RemoveAll(name string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	dir, base, err := fs.parentLocked("remove", name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	dir.unlinkLocked(base)
	return nil
}

// Rename implements vfs.FS.
func (fs *FS) Rename(oldname, newname string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.renameLocked(oldname, newname)
}

func (fs *FS) renameLocked(oldname, newname string) error {
	from, old, err := fs.parentLocked("rename", oldname)
	if err != nil {
		return err
	}
	n := from.children[old]
	if n == nil {
		return pathError("rename", oldname, os.ErrNotExist)
	}
	to, base, err := fs.parentLocked("rename", newname)
	if err != nil {
		return err
	}
	to.linkLocked(base, n)
	if from != to || old != base {
		from.unlinkLocked(old)
	}
	return nil
}

// ReuseForWrite implements vfs.FS.
func (fs *FS) ReuseForWrite(oldname, newname string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := fs.renameLocked(oldname, newname); err != nil {
		return nil, err
	}
	n, err := fs.findLocked("open", newname)
	if err != nil {
		return nil, err
	}
	return fs.handleLocked(newname, n, false, true), nil
}

// MkdirAll implements vfs.FS.
func (fs *FS) MkdirAll(name string, _ os.FileMode) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n := fs.mu.root
	for part := range strings.SplitSeq(clean(name)[1:], "/") {
		if part == "" {
			continue
		}
		child := n.children[part]
		if child == nil {
			child = &node{fs: fs, children: make(map[string]*node)}
			child.modTime = time.Now()
			n.linkLocked(part, child)
		}
		if child.children == nil {
			return pathError("mkdir", name, errNotDir)
		}
		n = child
	}
	return nil
}

// Lock implements vfs.FS. It keeps out others in this process; there are no others.
func (fs *FS) Lock(name string) (io.Closer, error) {
	full := clean(name)
	fs.mu.Lock()
	_, taken := fs.mu.locks[full]
	if !taken {
		fs.mu.locks[full] = struct{}{}
	}
	fs.mu.Unlock()
	if taken {
		return nil, syscall.EAGAIN
	}
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		fs.unlock(full)
		return nil, err
	}
	return &fileLock{fs: fs, f: f, name: full}, nil
}

func (fs *FS) unlock(full string) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	delete(fs.mu.locks, full)
}

type fileLock struct {
	fs   *FS
	f    vfs.File
	name string
	once sync.Once
}

// Close gives the lock back.
func (l *fileLock) Close() (err error) {
	l.once.Do(func() {
		l.fs.unlock(l.name)
		err = l.f.Close()
	})
	return err
}

// List implements vfs.FS.
func (fs *FS) List(name string) ([]string, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n, err := fs.findLocked("open", name)
	if err != nil {
		return nil, err
	}
	if n.children == nil {
		return nil, pathError("list", name, errNotDir)
	}
	names := make([]string, 0, len(n.children))
	for s := range n.children {
		names = append(names, s)
	}
	return names, nil
}

// Stat implements vfs.FS.
func (fs *FS) Stat(name string) (vfs.FileInfo, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n, err := fs.findLocked("stat", name)
	if err != nil {
		return nil, err
	}
	return n.info(path.Base(clean(name))), nil
}

// PathBase implements vfs.FS.
func (*FS) PathBase(p string) string { return path.Base(p) }

// PathJoin implements vfs.FS.
func (*FS) PathJoin(elem ...string) string { return path.Join(elem...) }

// PathDir implements vfs.FS.
func (*FS) PathDir(p string) string { return path.Dir(p) }

// GetDiskUsage implements vfs.FS: there is no disk.
func (*FS) GetDiskUsage(string) (vfs.DiskUsage, error) { return vfs.DiskUsage{}, vfs.ErrUnsupported }

// Unwrap implements vfs.FS.
func (*FS) Unwrap() vfs.FS { return nil }
