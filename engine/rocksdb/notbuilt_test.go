//go:build !rocksdb

package rocksdb_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dkv/engine/rocksdb"
)

// A program without RocksDB says what to do, and touches nothing.
func TestNotBuilt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	_, err := rocksdb.Open(dir, rocksdb.Options{})
	if !errors.Is(err, rocksdb.ErrNotBuilt) || !strings.Contains(err.Error(), "install librocksdb-dev") || rocksdb.Built {
		t.Errorf("err %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("made a folder")
	}
}
