//go:build !rocksdb

package rocksdb

import (
	"fmt"

	"dkv/engine"
)

// Built says that the program has RocksDB.
const Built = false

// Open returns ErrNotBuilt.
func Open(dir string, _ Options) (engine.Engine, error) {
	return nil, fmt.Errorf("rocksdb: open %s: %w", dir, ErrNotBuilt)
}

// Cache is a block cache that stores can share.
type Cache struct{}

// NewCache returns a cache that takes nothing.
func NewCache(int64) *Cache { return &Cache{} }

// Close does nothing.
func (*Cache) Close() {}
