package archive

import (
	"errors"
	"fmt"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options configures a Writer.
type Options struct {
	FS vfs.FS
	// Dir is the folder of one shard's files. It is made when missing.
	Dir string
	// History is the cluster id.
	History string
	Shard   uint16
}

// Writer writes the files of one shard.
type Writer struct {
	o      Options
	number uint64 // of the newest file
	last   Position
	known  bool
	file   vfs.File // nil: Begin is to be called
	head   header
	bytes  int64
	buf    []byte
}

// Open looks for what an earlier process wrote and writes nothing. Errors: ErrFormat,
// and those of the disk; a damaged end is passed over.
func Open(o Options) (*Writer, error) {
	if len(o.History) > historyBytes {
		return nil, fmt.Errorf("archive: a history of %d bytes", len(o.History))
	}
	w := &Writer{o: o}
	if err := makeDir(o.FS, o.Dir); err != nil {
		return nil, err
	}
	numbers, err := list(o.FS, o.Dir)
	if err != nil {
		return nil, err
	}
	if len(numbers) == 0 {
		return w, nil
	}
	w.number = numbers[len(numbers)-1]
	// The newest file may be one that a crash left without a header.
	for i := len(numbers) - 1; i >= 0 && !w.known; i-- {
		if w.last, w.known, err = endOf(o.FS, o.Dir, numbers[i]); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// endOf returns the place of the last entry of a file, or the one that it begins
// after when it has none.
func endOf(fs vfs.FS, dir string, number uint64) (at Position, ok bool, err error) {
	r, err := openFile(fs, dir, number)
	if errors.Is(err, ErrDamaged) {
		return at, false, nil
	}
	if err != nil {
		return at, false, err
	}
	at = Position{Index: r.head.first - 1, Term: r.head.prevTerm}
	for {
		e, more, err := r.next()
		if errors.Is(err, ErrDamaged) || err == nil && !more {
			return at, true, r.close()
		}
		if err != nil {
			return at, false, errors.Join(err, r.close())
		}
		at = e.Position
	}
}

// Last is where the archive ends; false: it is empty.
func (w *Writer) Last() (Position, bool) { return w.last, w.known }

// Bytes is the size of the file being written; 0: none is.
func (w *Writer) Bytes() int64 {
	if w.file == nil {
		return 0
	}
	return w.bytes
}

// Begin begins a new file, whose entries follow the one before first, of prevTerm.
// Errors are those of the disk; it can be called again.
func (w *Writer) Begin(first, prevTerm uint64) error {
	if err := w.Close(); err != nil {
		return err
	}
	w.head = header{shard: w.o.Shard, number: w.number + 1, first: first, prevTerm: prevTerm, history: w.o.History}
	fs := w.o.FS
	path := fs.PathJoin(w.o.Dir, fileName(w.head.number))
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	if _, err = f.Write(w.head.encode()); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = syncDir(fs, w.o.Dir)
	}
	if err != nil {
		return fmt.Errorf("archive: begin %s: %w", path, errors.Join(err, f.Close(), fs.Remove(path)))
	}
	w.number++
	w.file, w.bytes = f, headerBytes
	w.last, w.known = Position{Index: first - 1, Term: prevTerm}, true
	return nil
}

// Append writes entries, which must follow Last. After an error nothing more is
// written to the file: Begin is to be called.
func (w *Writer) Append(entries []Entry) error {
	if w.file == nil {
		return errors.New("archive: Append without Begin")
	}
	w.buf = w.buf[:0]
	for i := range entries {
		e := &entries[i]
		if e.Index != w.last.Index+1 || int64(len(e.Data)) > maxDataBytes {
			return fmt.Errorf("archive: entry %d of %d bytes after %d", e.Index, len(e.Data), w.last.Index)
		}
		w.buf = appendRecord(w.buf, w.head.seed, e)
		w.last = e.Position
	}
	n, err := w.file.Write(w.buf)
	w.bytes += int64(n)
	if cap(w.buf) > maxKeptBuffer {
		w.buf = nil
	}
	if err != nil {
		return w.give(fmt.Errorf("archive: write: %w", err))
	}
	return nil
}

const maxKeptBuffer = 8 << 20

// Sync makes all that was appended durable. Errors as Append's.
func (w *Writer) Sync() error {
	if w.file == nil {
		return nil
	}
	if err := w.file.Sync(); err != nil {
		return w.give(fmt.Errorf("archive: sync: %w", err))
	}
	return nil
}

// give closes a file that cannot be relied on.
func (w *Writer) give(err error) error {
	f := w.file
	w.file = nil
	return errors.Join(err, f.Close())
}

// Close closes the file being written. It does not sync.
func (w *Writer) Close() error {
	if w.file == nil {
		return nil
	}
	f := w.file
	w.file = nil
	if err := f.Close(); err != nil {
		return fmt.Errorf("archive: close: %w", err)
	}
	return nil
}

func makeDir(fs vfs.FS, dir string) error {
	if _, err := fs.Stat(dir); err == nil {
		return nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("archive: %w", err)
	}
	parent := fs.PathDir(dir)
	if parent != dir {
		if err := makeDir(fs, parent); err != nil {
			return err
		}
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("archive: make folder: %w", err)
	}
	return syncDir(fs, parent)
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
