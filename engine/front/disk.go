package front

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"

	"dkv/engine"
)

const (
	defaultReserveBytes = 64 << 20
	// reserveFraction bounds the default reserve on small disks.
	reserveFraction = 20
)

// Reserve returns the free space that an engine in dir leaves alone: asked for, or
// when that is 0 a default that a small disk can bear. Negative: none.
func Reserve(dir string, asked int64) uint64 {
	if asked != 0 {
		return uint64(max(asked, 0))
	}
	usage, err := vfs.Default.GetDiskUsage(dir)
	if err != nil {
		return 0
	}
	return min(defaultReserveBytes, usage.TotalBytes/reserveFraction)
}

// FreeBytes returns a function for Options.FreeBytes that looks at dir's disk.
func FreeBytes(dir string) func() (uint64, bool) {
	return func() (uint64, bool) {
		usage, err := vfs.Default.GetDiskUsage(dir)
		return usage.AvailBytes, err == nil
	}
}

// IsNoSpace tells whether an error says that the disk is full.
func IsNoSpace(err error) bool { return isNoSpace(err) }

// OwnFolder makes dir, durably, with its parents, and refuses a folder that is
// neither empty nor a store of this engine: engine.ErrDataFormat, wrapped. store is
// a file that every store has; known tells which files of an engine there may be
// without it, after a crash when the store was made.
func OwnFolder(dir, store string, known func(name string) bool) error {
	if err := makeDir(dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == store {
			return nil
		}
	}
	for _, e := range entries {
		if name := e.Name(); name != "lost+found" && !known(name) {
			return fmt.Errorf("%w: it holds %q and no store of this engine", engine.ErrDataFormat, name)
		}
	}
	return nil
}

func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	var changed []string
	for p := dir; ; p = filepath.Dir(p) {
		changed = append(changed, p)
		if _, err := os.Stat(p); err == nil || filepath.Dir(p) == p {
			break // exists, but its listing changes
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, p := range changed {
		if err := SyncDir(p); err != nil {
			return err
		}
	}
	return nil
}

// SyncDir makes the listing of a folder durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
