package archive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// list returns the numbers of the files in dir, in order.
func list(fs vfs.FS, dir string) ([]uint64, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	var numbers []uint64
	for _, name := range names {
		if n, ok := parseName(name); ok {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// file reads one file.
type file struct {
	f    vfs.File
	r    *bufio.Reader
	head header
	name string
	size int64
	at   int64
	buf  []byte
}

const readBytes = 256 << 10

// openFile reads a file's header. Errors: ErrFormat, ErrDamaged, those of the disk.
func openFile(fs vfs.FS, dir string, number uint64) (*file, error) {
	f, err := fs.Open(fs.PathJoin(dir, fileName(number)))
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	r := &file{f: f, r: bufio.NewReaderSize(f, readBytes), name: fileName(number), at: headerBytes}
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("archive: %w", errors.Join(err, r.close()))
	}
	r.size = info.Size()
	b := make([]byte, headerBytes)
	_, err = io.ReadFull(r.r, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: a file without a header", ErrDamaged)
	}
	if err == nil {
		r.head, err = parseHeader(b)
	}
	if err == nil && (r.head.number != number || r.head.first == 0) {
		err = fmt.Errorf("%w: the header is another file's", ErrDamaged)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("archive: %s: %w", r.name, err), r.close())
	}
	return r, nil
}

func (r *file) close() error { return r.f.Close() }

// next returns the next entry, which is valid until the next call; false at the end,
// which a crash may have torn. Errors: ErrDamaged, those of the disk.
func (r *file) next() (e Entry, ok bool, err error) {
	left := r.size - r.at
	if left < recordHeaderBytes {
		return e, false, nil
	}
	r.buf = slices.Grow(r.buf[:0], recordHeaderBytes)[:recordHeaderBytes]
	if _, err := io.ReadFull(r.r, r.buf); err != nil {
		return e, false, r.readError(err)
	}
	n := dataLength(r.buf)
	if n > left-recordHeaderBytes {
		return e, false, r.torn(n)
	}
	r.buf = slices.Grow(r.buf, int(n))[:recordHeaderBytes+n]
	if _, err := io.ReadFull(r.r, r.buf[recordHeaderBytes:]); err != nil {
		return e, false, r.readError(err)
	}
	e, ok = parseRecord(r.buf, r.head.seed)
	if !ok {
		return e, false, r.torn(n)
	}
	r.at += recordHeaderBytes + n
	return e, true, nil
}

func (r *file) readError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil // it was made shorter meanwhile
	}
	return fmt.Errorf("archive: read %s: %w", r.name, err)
}

// torn looks whether a record that does not verify, said to have so many bytes of
// data, is one that a crash has torn: then no whole one follows it.
func (r *file) torn(n int64) error {
	next := r.at + recordHeaderBytes + n
	if next+recordHeaderBytes > r.size {
		return nil
	}
	b := make([]byte, recordHeaderBytes)
	if _, err := r.f.ReadAt(b, next); err != nil {
		return r.readError(err)
	}
	m := dataLength(b)
	if m > r.size-next-recordHeaderBytes {
		return nil
	}
	b = slices.Grow(b, int(m))[:recordHeaderBytes+m]
	if _, err := r.f.ReadAt(b, next); err != nil {
		return r.readError(err)
	}
	if _, ok := parseRecord(b, r.head.seed); !ok {
		return nil
	}
	return fmt.Errorf("archive: %s at %d: %w", r.name, r.at, ErrDamaged)
}

// Replay calls f with the entries after a place, in order, until f says that it wants
// no more or there are none. It returns the last one that f took. The entry is valid
// during the call. Errors, with where it had got: ErrGap, ErrOther, ErrDamaged,
// ErrFormat, f's, ctx's, those of the disk.
func Replay(ctx context.Context, fs vfs.FS, dir string, after Position, f func(e *Entry) (more bool, err error)) (Position, error) {
	numbers, err := list(fs, dir)
	if err != nil {
		return after, err
	}
	p := replay{ctx: ctx, at: after, f: f}
	// A file takes the place of what earlier ones have from its first entry on.
	limits := make([]uint64, len(numbers))
	heads := make([]bool, len(numbers))
	limit := uint64(math.MaxUint64)
	for i := len(numbers) - 1; i >= 0; i-- {
		limits[i] = limit
		r, err := openFile(fs, dir, numbers[i])
		if errors.Is(err, ErrDamaged) {
			continue // begun, and torn by a crash; if it was more, there is a gap
		}
		if err != nil {
			return after, err
		}
		heads[i] = true
		limit = min(limit, r.head.first)
		if err := r.close(); err != nil {
			return after, fmt.Errorf("archive: %w", err)
		}
	}
	for i, number := range numbers {
		if !heads[i] || limits[i] <= p.at.Index+1 || p.done {
			continue
		}
		r, err := openFile(fs, dir, number)
		if err != nil {
			return p.at, err
		}
		if err := errors.Join(p.file(r, limits[i]), r.close()); err != nil {
			return p.at, err
		}
	}
	return p.at, nil
}

// replay is a Replay under way.
type replay struct {
	ctx  context.Context
	at   Position
	f    func(*Entry) (bool, error)
	done bool
}

// file goes through the entries of a file below limit.
func (p *replay) file(r *file, limit uint64) error {
	if r.head.first > p.at.Index+1 {
		return fmt.Errorf("%w: entries %d to %d are missing", ErrGap, p.at.Index+1, r.head.first-1)
	}
	if r.head.first == p.at.Index+1 && r.head.prevTerm != p.at.Term {
		return fmt.Errorf("%w: entry %d is of term %d here, of %d there", ErrOther, p.at.Index, p.at.Term, r.head.prevTerm)
	}
	for !p.done {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		e, ok, err := r.next()
		if err != nil || !ok {
			return err
		}
		switch {
		case e.Index >= limit:
			return nil
		case e.Index == p.at.Index && e.Term != p.at.Term:
			return fmt.Errorf("%w: entry %d is of term %d here, of %d there", ErrOther, e.Index, p.at.Term, e.Term)
		case e.Index <= p.at.Index:
			continue
		case e.Index != p.at.Index+1:
			return fmt.Errorf("archive: %s: %w: entry %d after %d", r.name, ErrDamaged, e.Index, p.at.Index)
		}
		more, err := p.f(&e)
		if err != nil {
			return err
		}
		if p.done = !more; more {
			p.at = e.Position
		}
	}
	return nil
}
