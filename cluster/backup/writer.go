package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// partial stands in the name of a backup that is not whole, followed by whose it is.
const partial = ".partial-"

// Writer makes one backup.
type Writer struct {
	fs       vfs.FS
	dir, tmp string
}

// Create begins a backup that is to have the name dir, and removes what a crash
// left of earlier ones of the same owner in the same place. owner is a word of
// letters and digits. Errors: ErrExists, and those of the disk.
func Create(fsys vfs.FS, dir, owner string) (*Writer, error) {
	if _, err := fsys.Stat(dir); err == nil {
		return nil, fmt.Errorf("%s: %w", dir, ErrExists)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("backup: %w", err)
	}
	parent := fsys.PathDir(dir)
	if err := makeDir(fsys, parent); err != nil {
		return nil, err
	}
	names, err := fsys.List(parent)
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, partial+owner) {
			if err := fsys.RemoveAll(fsys.PathJoin(parent, name)); err != nil {
				return nil, fmt.Errorf("backup: remove what is left of an earlier one: %w", err)
			}
		}
	}
	w := &Writer{fs: fsys, dir: dir, tmp: dir + partial + owner}
	if err := fsys.MkdirAll(fsys.PathJoin(w.tmp, "shards"), 0o755); err != nil {
		return nil, fmt.Errorf("backup: make folder: %w", errors.Join(err, w.Discard()))
	}
	return w, nil
}

// ShardDir is where a shard's files are to be made. The folder does not exist yet.
func (w *Writer) ShardDir(id uint16) string { return shardDir(w.fs, w.tmp, id) }

// Commit takes down what files there are, makes everything durable and gives the
// backup its name. m lacks the shards' Files. After an error there is no backup,
// and Discard is to be called.
func (w *Writer) Commit(ctx context.Context, m Manifest) (Manifest, error) {
	m.Format = Format
	buf := make([]byte, copyBytes)
	for i := range m.Shards {
		s := &m.Shards[i]
		dir := shardDir(w.fs, w.tmp, s.ID)
		err := walk(w.fs, dir, "", func(rel string) error {
			if scratch[rel] {
				return w.fs.Remove(w.fs.PathJoin(dir, rel))
			}
			f, err := seal(ctx, w.fs, dir, rel, buf)
			s.Files = append(s.Files, f)
			return err
		}, func(dir string) error { return syncDir(w.fs, dir) })
		if err != nil {
			return m, err
		}
		sortFiles(s.Files)
	}
	if err := syncDir(w.fs, w.fs.PathJoin(w.tmp, "shards")); err != nil {
		return m, err
	}
	if err := w.writeManifest(m); err != nil {
		return m, err
	}
	return m, w.rename()
}

func (w *Writer) writeManifest(m Manifest) error {
	data, err := m.Encode()
	if err != nil {
		return err
	}
	f, err := w.fs.Create(w.fs.PathJoin(w.tmp, ManifestName), vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("backup: write %s: %w", ManifestName, err)
	}
	return syncDir(w.fs, w.tmp)
}

// rename is the moment from which there is a backup.
func (w *Writer) rename() error {
	if _, err := w.fs.Stat(w.dir); err == nil {
		return fmt.Errorf("%s: %w", w.dir, ErrExists) // somebody else was faster
	}
	if err := w.fs.Rename(w.tmp, w.dir); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return syncDir(w.fs, w.fs.PathDir(w.dir))
}

// Discard removes what there is of a backup that was not committed.
func (w *Writer) Discard() error {
	if err := w.fs.RemoveAll(w.tmp); err != nil {
		return fmt.Errorf("backup: remove %s: %w", w.tmp, err)
	}
	return nil
}
