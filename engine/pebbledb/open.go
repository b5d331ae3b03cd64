package pebbledb

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"dkv/engine"
)

// Open opens the store in dir, or makes one there when dir is empty or missing.
// Errors, wrapped: engine.ErrOptions, engine.ErrLocked, engine.ErrDataFormat,
// engine.ErrCorrupt, engine.ErrNoSpace, and those of the file system.
func Open(dir string, o Options) (*DB, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("pebbledb: open %s: %w", dir, err)
	}
	fs := o.FS
	switch {
	case o.InMemory:
		fs = vfs.NewMem()
	case fs == nil:
		// Absolute, since the same folder must have the same name for the lock
		// to see a second Open in this process.
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, fmt.Errorf("pebbledb: open %s: %w", dir, err)
		}
		dir, fs = abs, vfs.Default
	}
	dir = filepath.Clean(dir)
	db, err := open(dir, fs, o)
	if err != nil {
		return nil, fmt.Errorf("pebbledb: open %s: %w", dir, openError(err))
	}
	return db, nil
}

func open(dir string, fs vfs.FS, o Options) (db *DB, err error) {
	if err := makeDir(fs, dir); err != nil {
		return nil, err
	}
	lock, err := lockDir(fs, dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if db == nil {
			err = errors.Join(err, lock.Close())
		}
	}()
	if err := checkFolder(fs, dir); err != nil {
		return nil, err
	}
	if err := removeEmptyLogs(fs, dir); err != nil {
		return nil, err
	}
	if err := removeLoads(fs, dir); err != nil {
		return nil, err
	}
	g := newGuard(fs, dir, o.ReserveDiskBytes)
	if o.InMemory {
		g.ballast.path = ""
	}
	d := &DB{
		cache:      o.newCache(),
		lock:       lock,
		guard:      g,
		events:     newEvents(g, o.Logger),
		stopNotify: make(chan struct{}),
	}
	d.use.init()
	d.fs = &guardFS{FS: fs, g: g, beforeFlush: o.BeforeFlush, stop: d.events.stop}
	po := o.pebbleOptions(d.fs, d.cache, d.events.listener(), logger{d.events})
	po.Lock = lock
	if d.p, err = pebble.Open(dir, po); err != nil {
		d.cache.Unref()
		return nil, err
	}
	if err := g.stopped(); err != nil {
		g.close()
		err = errors.Join(err, d.p.Close())
		d.cache.Unref()
		return nil, err
	}
	d.batch = d.p.NewBatch()
	d.loadOptions, d.loadTable = po.MakeWriterOptions(0, d.p.TableFormat()), loadTableBytes
	if o.TableBytes > 0 {
		d.loadTable = o.TableBytes
	}
	g.patient.Store(true)
	if err := g.ballast.ensure(); err != nil && !isNoSpace(err) {
		g.close()
		err = errors.Join(err, d.p.Close())
		d.cache.Unref()
		return nil, err
	}
	d.monitor = newMonitor(d.p, g, o)
	d.monitoring.Go(func() { d.monitor.run(g.ctx) })
	d.notifier.Go(func() { d.events.notify(d.stopNotify, o.OnFlush, o.OnFatal) })
	return d, nil
}

// makeDir makes dir and its parents durably.
func makeDir(fs vfs.FS, dir string) error {
	if _, err := fs.Stat(dir); err == nil {
		return nil
	}
	var missing []string
	for p := dir; ; p = fs.PathDir(p) {
		if _, err := fs.Stat(p); err == nil || fs.PathDir(p) == p {
			missing = append(missing, p) // exists, but its listing changes
			break
		}
		missing = append(missing, p)
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, p := range missing {
		d, err := fs.OpenDir(p)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return err
		}
	}
	return nil
}

func lockDir(fs vfs.FS, dir string) (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(dir, fs)
	if err == nil {
		return lock, nil
	}
	// Opening the lock file fails with a PathError; locking it with an errno
	// (another process) or a text (this process).
	var pathErr *iofs.PathError
	if errors.As(err, &pathErr) || errors.Is(err, syscall.ENOSPC) {
		return nil, err
	}
	return nil, fmt.Errorf("%w: another process has it open (%v)", engine.ErrLocked, err)
}

// checkFolder refuses a folder that holds something else than a store of a
// version that this build reads. Pebble would make a new store beside it.
func checkFolder(fs vfs.FS, dir string) error {
	desc, err := pebble.Peek(dir, fs)
	if err != nil {
		var pathErr *iofs.PathError
		if errors.As(err, &pathErr) {
			return err
		}
		return fmt.Errorf("%w: %v", engine.ErrDataFormat, err)
	}
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	if desc.Exists {
		return forgetHalfMade(fs, dir, desc.ManifestFilename, names)
	}
	for _, name := range names {
		if !leftByFirstOpen(name) {
			return fmt.Errorf("%w: it holds %q and no store of this engine", engine.ErrDataFormat, name)
		}
	}
	return nil
}

// forgetHalfMade removes the mark of a MANIFEST that is not there, in a folder that
// never had a table: a crash in the first Open may leave the one and lose the other,
// which Pebble makes in one step and syncs together. Nothing was in the store yet.
func forgetHalfMade(fs vfs.FS, dir, manifest string, names []string) error {
	_, err := fs.Stat(manifest)
	if err == nil {
		return nil
	}
	if !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	for _, name := range names {
		if !leftByFirstOpen(name) {
			return nil // Pebble says what is missing
		}
	}
	for _, name := range names {
		if !strings.HasPrefix(name, "marker.manifest.") {
			continue
		}
		if err := fs.Remove(fs.PathJoin(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// leftByFirstOpen reports whether a first Open that crashed may have left the
// file.
func leftByFirstOpen(name string) bool {
	if name == "LOCK" || name == ballastName || name == "lost+found" {
		return true
	}
	for _, prefix := range []string{"MANIFEST-", "OPTIONS-", "marker.", "temporary."} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return strings.HasSuffix(name, ".dbtmp") || isLog(name)
}

// removeEmptyLogs removes the write-ahead logs of earlier Opens. Pebble makes
// one at each Open even though it is turned off, and never removes it. One that
// is not empty is not ours; Pebble replays it.
func removeEmptyLogs(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !isLog(name) {
			continue
		}
		path := fs.PathJoin(dir, name)
		if info, err := fs.Stat(path); err != nil || info.Size() != 0 {
			continue
		}
		if err := fs.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

func openError(err error) error {
	switch {
	case errors.Is(err, engine.ErrLocked) || errors.Is(err, engine.ErrDataFormat):
		return err
	case isNoSpace(err):
		return fmt.Errorf("%w: %w", engine.ErrNoSpace, err)
	case pebble.IsCorruptionError(err) || isMissingTable(err):
		return fmt.Errorf("%w: %w", engine.ErrCorrupt, err)
	case errors.Is(err, pebble.ErrDBNotPristine) || strings.Contains(err.Error(), "comparer name"):
		return fmt.Errorf("%w: %w", engine.ErrDataFormat, err)
	}
	return err
}

// isMissingTable recognizes Pebble's consistency check at Open, whose errors
// have no type.
func isMissingTable(err error) bool {
	text := err.Error()
	return strings.Contains(text, "object size mismatch") ||
		strings.Contains(text, "unknown to the objstorage provider")
}
