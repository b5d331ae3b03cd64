package harness

import (
	"os"
	"syscall"
)

// FillDisk takes space of the node's disk until no more than left bytes are
// free. Only for nodes with a disk of their own.
func (n *Node) FillDisk(left int64) error {
	return n.Host.Do(func() error {
		var fs syscall.Statfs_t
		if err := syscall.Statfs(n.Dir, &fs); err != nil {
			return err
		}
		size := int64(fs.Bavail)*int64(fs.Bsize) - left
		if size <= 0 {
			return nil
		}
		f, err := os.OpenFile(n.ballast(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		chunk := make([]byte, 1<<20)
		for ; size > 0; size -= int64(len(chunk)) {
			if _, err := f.Write(chunk[:min(size, int64(len(chunk)))]); err != nil {
				break // full, as was asked for
			}
		}
		return nil
	})
}

// FreeDisk gives back what FillDisk took.
func (n *Node) FreeDisk() error {
	return n.Host.Do(func() error { return os.RemoveAll(n.ballast()) })
}

// DiskUsed returns the bytes in use of a node's own disk.
func (n *Node) DiskUsed() (used int64, err error) {
	err = n.Host.Do(func() error {
		var fs syscall.Statfs_t
		err := syscall.Statfs(n.Dir, &fs)
		used = int64(fs.Blocks-fs.Bfree) * int64(fs.Bsize)
		return err
	})
	return used, err
}
