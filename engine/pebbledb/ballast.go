package pebbledb

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	ballastName = "dkv.ballast"

	// ballastBytes has room for a new MANIFEST of some ten thousand tables.
	ballastBytes = 2 << 20
)

// ballast is a file that does nothing but take space, to be removed when a
// MANIFEST write finds none: Pebble cannot survive the failure of that write,
// and while it waits Pebble holds a lock that even closing a snapshot takes. The
// reserve of free space is not enough for this: quotas do not show in it, and
// other processes use it.
//
// No table is begun while the ballast is missing, so what has to fit into its
// space is the version edits of the flush and the compactions under way then.
// And writing it anew shows that there is space, whatever the disk says of
// itself.
type ballast struct {
	fs   vfs.FS
	path string // empty: there is none (a store in memory)
	held atomic.Bool

	// mu is held over the I/O, which it serializes; nothing else is done under it.
	mu sync.Mutex
}

// ensure writes the file if it is missing.
func (b *ballast) ensure() error {
	if b.path == "" || b.held.Load() {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held.Load() {
		return nil
	}
	if err := b.write(); err != nil {
		return errors.Join(err, b.fs.Remove(b.path))
	}
	b.held.Store(true)
	return nil
}

func (b *ballast) write() error {
	f, err := b.fs.Create(b.path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	// Not synced: what counts is that the space is taken.
	data := make([]byte, ballastBytes)
	fillBallast(data)
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// fillBallast makes data look random, or a file system that compresses would keep
// nothing. A cipher does it in a tenth of the time of math/rand, at each Open.
func fillBallast(data []byte) {
	var key [aes.BlockSize]byte
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("pebbledb: a key of 16 bytes is none: " + err.Error())
	}
	cipher.NewCTR(block, key[:]).XORKeyStream(data, data)
}

// release removes the file; false means that there was none to remove.
func (b *ballast) release() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.held.Load() {
		return false
	}
	b.held.Store(false)
	return b.fs.Remove(b.path) == nil
}
