package pebbledb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"dkv/engine"
)

var _ engine.Loader = (*DB)(nil)

const (
	categoryLoad vfs.DiskWriteCategory = "dkv-load"

	// loadTableBytes is the size of the tables that Load makes, before compression,
	// unless Options.TableBytes says another one. Each is a file to sync, and what a
	// compaction takes at least.
	loadTableBytes = 32 << 20
	// loadSyncBytes is how much of a table is written before the system is asked to
	// begin writing it to the disk: one sync of all of it would hold up the log's.
	loadSyncBytes = 512 << 10
	// loadCheckRecords is how many records are written between looks at whether the
	// store is being closed.
	loadCheckRecords = 4096

	loadPrefix, loadSuffix = "load-", ".tmp"
)

// Load implements engine.Loader: the records are written to tables, which one
// version edit adds. A table has no keys of another one: a range that reaches over
// where one ends is cut there. Records of tables that are added together have the
// sequence number of the deletions beside them, which therefore do not cover them.
func (db *DB) Load(ranges []engine.KeyRange, next func() (engine.Kind, []byte, []byte, bool)) error {
	if !db.use.enter() {
		return engine.ErrClosed
	}
	defer db.use.leave()
	if err := db.guard.stopped(); err != nil {
		return err
	}
	if err := db.monitor.waitForRoom(); err != nil {
		return err
	}
	// What is in memtables is older; Pebble would have to wait for it anyway.
	if err := db.flush(); err != nil {
		return err
	}
	if db.fs.beforeFlush != nil {
		if err := db.fs.beforeFlush(); err != nil {
			return fmt.Errorf("pebbledb: load: %w", err)
		}
	}
	l := loader{db: db, ranges: slices.Clone(ranges)}
	err := l.write(next)
	if err == nil && len(l.paths) > 0 {
		err = db.p.Ingest(context.Background(), l.paths)
	}
	if err == nil {
		// Pebble is not told of a folder's sync that failed.
		err = db.guard.stopped()
	}
	if err == nil {
		err = db.newMemtable()
	}
	if err != nil {
		return l.fail(err)
	}
	db.monitor.ask()
	select {
	case db.events.flushed <- struct{}{}:
	default: // the notifier has not taken the last one yet
	}
	return nil
}

// newMemtable has an empty memtable replaced by another one. Pebble merges tables of
// level 0 with each other only where they are older than all memtables, by their
// sequence numbers; and that is all it does there for half a minute after a
// compaction failed.
func (db *DB) newMemtable() error {
	_, err := db.p.AsyncFlush()
	return err
}

// Space implements engine.Loader.
func (db *DB) Space() (bytes int64, known bool) {
	usage, err := db.guard.fs.GetDiskUsage(db.guard.dir)
	if err != nil {
		return 0, false
	}
	return max(int64(min(usage.AvailBytes, 1<<62))-int64(db.guard.reserve), 0), true
}

// loader writes the tables of one Load.
type loader struct {
	db     *DB
	ranges []engine.KeyRange // that no table has yet
	paths  []string
	table  *sstable.Writer
	bytes  int64 // in the table
}

func (l *loader) write(next func() (engine.Kind, []byte, []byte, bool)) error {
	for n := 0; ; n++ {
		kind, key, value, ok := next()
		if !ok {
			break
		}
		if n%loadCheckRecords == 0 && l.db.guard.isClosing() {
			return engine.ErrClosed
		}
		if err := l.add(kind, key, value); err != nil {
			return err
		}
	}
	if l.table == nil && len(l.ranges) > 0 {
		if err := l.begin(); err != nil {
			return err
		}
	}
	return l.end(nil)
}

func (l *loader) add(kind engine.Kind, key, value []byte) error {
	if l.bytes >= l.db.loadTable {
		if err := l.end(key); err != nil {
			return err
		}
	}
	if l.table == nil {
		if err := l.begin(); err != nil {
			return err
		}
	}
	l.bytes += int64(len(key) + len(value))
	switch kind {
	case engine.KindPut:
		return l.table.Set(key, value)
	case engine.KindDelete:
		return l.table.Delete(key)
	}
	return fmt.Errorf("%w: %v in a list to load", engine.ErrCorruptBatch, kind)
}

// begin begins a table.
func (l *loader) begin() error {
	fs := l.db.fs
	name := fmt.Sprintf("%s%06d%s", loadPrefix, len(l.paths), loadSuffix)
	path := fs.PathJoin(l.db.guard.dir, name)
	f, err := fs.createLoad(path)
	if err != nil {
		return err
	}
	l.paths = append(l.paths, path)
	f = vfs.NewSyncingFile(f, vfs.SyncingFileOptions{BytesPerSync: loadSyncBytes})
	l.table = sstable.NewWriter(objstorageprovider.NewFileWritable(f), l.db.loadOptions)
	l.bytes = 0
	return nil
}

// end ends a table, if one was begun, with what ranges delete below the key that the
// next one begins with; nil: there is none. The table is synced.
func (l *loader) end(below []byte) error {
	if l.table == nil {
		return nil
	}
	for len(l.ranges) > 0 {
		r := l.ranges[0]
		if below != nil && bytes.Compare(r.Start, below) >= 0 {
			break
		}
		cut := below != nil && bytes.Compare(below, r.End) < 0
		if cut {
			r.End = below
		}
		if err := l.table.DeleteRange(r.Start, r.End); err != nil {
			return err
		}
		if cut {
			l.ranges[0].Start = bytes.Clone(below)
			break
		}
		l.ranges = l.ranges[1:]
	}
	table := l.table
	l.table, l.bytes = nil, 0
	return table.Close()
}

// fail removes what was written, and returns what Load says.
func (l *loader) fail(err error) error {
	if l.table != nil {
		_ = l.table.Close() // what it says does not matter any more
	}
	if stopped := l.db.guard.stopped(); stopped != nil {
		return stopped
	}
	for _, path := range l.paths {
		// What cannot be removed now is removed by the next Load or Open.
		_ = l.db.fs.Remove(path)
	}
	switch {
	case l.db.guard.isClosing():
		return engine.ErrClosed
	case isNoSpace(err):
		return fmt.Errorf("pebbledb: load: %w: %v", engine.ErrNoSpace, err)
	case errors.Is(err, engine.ErrCorruptBatch):
		return err
	}
	return fmt.Errorf("pebbledb: load: %w", err)
}

// createLoad creates a table that Load writes. It becomes part of the store under
// another name. BeforeFlush was called for all of them.
func (fs *guardFS) createLoad(name string) (vfs.File, error) {
	if err := fs.g.stopped(); err != nil {
		return nil, err
	}
	if err := fs.g.checkSpace(workFlush, 0); err != nil {
		return nil, err
	}
	if err := fs.g.ballast.ensure(); err != nil {
		return nil, err
	}
	f, err := fs.FS.Create(name, categoryLoad)
	if err != nil {
		return nil, err
	}
	return &tableFile{File: f, g: fs.g, w: workFlush}, nil
}

// removeLoads removes what a Load before a crash has left.
func removeLoads(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, loadPrefix) && strings.HasSuffix(name, loadSuffix) {
			if err := fs.Remove(fs.PathJoin(dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}
