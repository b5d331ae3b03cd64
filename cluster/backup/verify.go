package backup

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// maxFaults bounds how many faults Verify names.
const maxFaults = 20

// Verify reads all of a backup and compares it with its manifest. It needs no
// server. Errors: ErrNoBackup, ErrFormat, ErrDamaged (joined, one for each of the
// first faults), ctx's, and those of the disk.
func Verify(ctx context.Context, fs vfs.FS, dir string) (Manifest, error) {
	m, err := ReadManifest(fs, dir)
	if err != nil {
		return m, err
	}
	buf := make([]byte, copyBytes)
	var faults []error
	for i := range m.Shards {
		s := &m.Shards[i]
		for j := range s.Files {
			err := s.Files[j].check(ctx, fs, shardDir(fs, dir, s.ID), "", buf)
			if err != nil && !errors.Is(err, ErrDamaged) {
				return m, err
			}
			if err != nil {
				faults = append(faults, fmt.Errorf("shard %d: %w", s.ID, err))
			}
		}
		more, err := m.strangers(fs, dir, s)
		if err != nil {
			return m, err
		}
		faults = append(faults, more...)
	}
	if n := len(faults); n > maxFaults {
		faults = append(faults[:maxFaults:maxFaults], fmt.Errorf("and %d more", n-maxFaults))
	}
	return m, errors.Join(faults...)
}

// strangers finds the files that the manifest does not name: an engine might read
// them.
func (m *Manifest) strangers(fs vfs.FS, dir string, s *Shard) (faults []error, err error) {
	known := make(map[string]bool)
	for _, f := range s.Files {
		known[f.Path] = true
	}
	at := shardDir(fs, dir, s.ID)
	if _, err := fs.Stat(at); errors.Is(err, os.ErrNotExist) {
		return nil, nil // its files were missed already
	}
	err = walk(fs, at, "", func(rel string) error {
		if !known[rel] {
			faults = append(faults, fmt.Errorf("shard %d: %w: %s was not in it", s.ID, ErrDamaged, rel))
		}
		return nil
	}, func(string) error { return nil })
	return faults, err
}

// Copy copies the files of a shard to the folder to, which must not exist, and
// checks them on the way. It is durable when it returns, but for the name of to.
// Errors as Verify's.
func Copy(ctx context.Context, fs vfs.FS, dir string, m Manifest, id uint16, to string) error {
	s := &m.Shards[id]
	from := shardDir(fs, dir, id)
	if err := fs.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("backup: make folder: %w", err)
	}
	buf := make([]byte, copyBytes)
	for i := range s.Files {
		f := &s.Files[i]
		path := fs.PathJoin(to, f.Path)
		if err := fs.MkdirAll(fs.PathDir(path), 0o755); err != nil {
			return fmt.Errorf("backup: make folder: %w", err)
		}
		if err := f.check(ctx, fs, from, path, buf); err != nil {
			return fmt.Errorf("shard %d: %w", id, err)
		}
	}
	return walk(fs, to, "", func(string) error { return nil }, func(dir string) error { return syncDir(fs, dir) })
}

// VerifyFolder is Verify of a folder on this machine's disk.
func VerifyFolder(ctx context.Context, dir string) (Manifest, error) {
	return Verify(ctx, vfs.Default, dir)
}
