package ramfs

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// chunkBytes is the size of a file's chunks. Small files have one that is smaller.
	chunkBytes    = 64 << 10
	minChunkBytes = 512
	// maxSpareChunks bounds the chunks that are kept for the next files.
	maxSpareChunks = 64
)

// contents are a file's data: size bytes in chunks, all of which have chunkBytes,
// unless there is only one.
type contents struct {
	mu      sync.RWMutex
	chunks  [][]byte
	size    int64
	modTime time.Time
}

// truncate gives all memory back.
func (c *contents) truncate(fs *FS) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, chunk := range c.chunks {
		fs.bytes.Add(-int64(len(chunk)))
		fs.pool.put(chunk)
	}
	c.chunks, c.size = nil, 0
}

// growLocked makes room for size bytes. What the chunks then hold behind c.size is
// not defined.
func (c *contents) growLocked(fs *FS, size int64) {
	if len(c.chunks) <= 1 && size <= chunkBytes {
		have, want := 0, minChunkBytes
		if len(c.chunks) == 1 {
			have = len(c.chunks[0])
		}
		if int64(have) >= size {
			return
		}
		for int64(want) < size {
			want *= 2
		}
		c.replaceFirstLocked(fs, want)
		return
	}
	if len(c.chunks) == 1 && len(c.chunks[0]) < chunkBytes {
		c.replaceFirstLocked(fs, chunkBytes)
	}
	for int64(len(c.chunks))*chunkBytes < size {
		c.chunks = append(c.chunks, fs.pool.get())
		fs.bytes.Add(chunkBytes)
	}
}

// replaceFirstLocked makes the only chunk a larger one.
func (c *contents) replaceFirstLocked(fs *FS, size int) {
	var chunk []byte
	if size == chunkBytes {
		chunk = fs.pool.get()
	} else {
		chunk = make([]byte, size)
	}
	if len(c.chunks) == 1 {
		copy(chunk, c.chunks[0][:c.size])
		fs.bytes.Add(-int64(len(c.chunks[0])))
		c.chunks[0] = chunk
	} else {
		c.chunks = append(c.chunks, chunk)
	}
	fs.bytes.Add(int64(size))
}

// writeAt writes p, and zeros between the end and off.
func (c *contents) writeAt(fs *FS, p []byte, off int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.modTime = time.Now()
	end := off + int64(len(p))
	c.growLocked(fs, max(end, c.size))
	for at := c.size; at < off; {
		piece := c.pieceLocked(at, off-at)
		clear(piece)
		at += int64(len(piece))
	}
	for len(p) > 0 {
		n := copy(c.pieceLocked(off, int64(len(p))), p)
		p, off = p[n:], off+int64(n)
	}
	c.size = max(c.size, end)
}

// pieceLocked is the part of the chunk at off on, up to n bytes.
func (c *contents) pieceLocked(off, n int64) []byte {
	piece := c.chunks[off/chunkBytes][off%chunkBytes:]
	return piece[:min(int64(len(piece)), n)]
}

func (c *contents) readAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, os.ErrInvalid
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	for n < len(p) && off < c.size {
		m := copy(p[n:], c.pieceLocked(off, c.size-off))
		n, off = n+m, off+int64(m)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (n *node) info(name string) vfs.FileInfo {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return &fileInfo{name: name, size: n.size, modTime: n.modTime, dir: n.children != nil}
}

// file is a handle. Implements vfs.File.
type file struct {
	name        string
	n           *node
	pos         int64
	read, write bool
	closed      bool // guarded by FS.mu
}

func (f *file) mayRead() error {
	switch {
	case f.n.children != nil:
		return pathError("read", f.name, errIsDir)
	case !f.read:
		return pathError("read", f.name, os.ErrPermission)
	}
	return nil
}

func (f *file) mayWrite() error {
	switch {
	case f.n.children != nil:
		return pathError("write", f.name, errIsDir)
	case !f.write:
		return pathError("write", f.name, os.ErrPermission)
	}
	return nil
}

// Close implements vfs.File.
func (f *file) Close() error {
	fs := f.n.fs
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f.closed {
		return os.ErrClosed
	}
	f.closed = true
	f.n.open--
	f.n.releaseLocked()
	return nil
}

// Read implements vfs.File.
func (f *file) Read(p []byte) (int, error) {
	if err := f.mayRead(); err != nil {
		return 0, err
	}
	n, err := f.n.readAt(p, f.pos)
	f.pos += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// ReadAt implements vfs.File.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := f.mayRead(); err != nil {
		return 0, err
	}
	return f.n.readAt(p, off)
}

// Write implements vfs.File.
func (f *file) Write(p []byte) (int, error) {
	if err := f.mayWrite(); err != nil {
		return 0, err
	}
	f.n.writeAt(f.n.fs, p, f.pos)
	f.pos += int64(len(p))
	return len(p), nil
}

// WriteAt implements vfs.File.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if err := f.mayWrite(); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, pathError("write", f.name, os.ErrInvalid)
	}
	f.n.writeAt(f.n.fs, p, off)
	return len(p), nil
}

// Stat implements vfs.File.
func (f *file) Stat() (vfs.FileInfo, error) { return f.n.info(f.name), nil }

// Preallocate, Prefetch and the syncs implement vfs.File: there is nothing to do.
func (*file) Preallocate(int64, int64) error { return nil }
func (*file) Prefetch(int64, int64) error    { return nil }
func (*file) Sync() error                    { return nil }
func (*file) SyncData() error                { return nil }
func (*file) SyncTo(int64) (bool, error)     { return false, nil }

// Fd implements vfs.File.
func (*file) Fd() uintptr { return vfs.InvalidFd }

type fileInfo struct {
	name    string
	size    int64
	modTime time.Time
	dir     bool
}

func (i *fileInfo) Name() string       { return i.name }
func (i *fileInfo) Size() int64        { return i.size }
func (i *fileInfo) ModTime() time.Time { return i.modTime }
func (i *fileInfo) IsDir() bool        { return i.dir }
func (i *fileInfo) Sys() any           { return nil }

// DeviceID implements vfs.FileInfo: all is in one place.
func (i *fileInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }

// Mode implements os.FileInfo.
func (i *fileInfo) Mode() os.FileMode {
	if i.dir {
		return os.ModeDir | 0o755
	}
	return 0o755
}

// pool keeps the chunks of files that are gone.
type pool struct {
	sync.Mutex
	chunks [][]byte
}

func (p *pool) get() []byte {
	p.Lock()
	defer p.Unlock()
	if n := len(p.chunks); n > 0 {
		chunk := p.chunks[n-1]
		p.chunks[n-1] = nil
		p.chunks = p.chunks[:n-1]
		return chunk
	}
	return make([]byte, chunkBytes)
}

func (p *pool) put(chunk []byte) {
	p.Lock()
	defer p.Unlock()
	if len(chunk) == chunkBytes && len(p.chunks) < maxSpareChunks {
		p.chunks = append(p.chunks, chunk)
	}
}

func (p *pool) spare() int64 {
	p.Lock()
	defer p.Unlock()
	return int64(len(p.chunks)) * chunkBytes
}
