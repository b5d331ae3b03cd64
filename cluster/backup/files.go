package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strconv"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const copyBytes = 1 << 20

// scratch are files that engines keep beside their data and make anew: they are in
// no backup.
var scratch = map[string]bool{"LOCK": true, "dkv.ballast": true}

func shardDir(fs vfs.FS, dir string, id uint16) string {
	return fs.PathJoin(dir, "shards", strconv.Itoa(int(id)))
}

// walk calls f with each file below dir, by its path from there, and after calls
// leave with each folder, dir itself the last.
func walk(fs vfs.FS, dir, rel string, f func(rel string) error, leave func(dir string) error) error {
	at := fs.PathJoin(dir, rel)
	names, err := fs.List(at)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	for _, name := range names {
		sub := name
		if rel != "" {
			sub = rel + "/" + name
		}
		info, err := fs.Stat(fs.PathJoin(dir, sub))
		if err != nil {
			return fmt.Errorf("backup: %w", err)
		}
		if info.IsDir() {
			err = walk(fs, dir, sub, f, leave)
		} else {
			err = f(sub)
		}
		if err != nil {
			return err
		}
	}
	return leave(at)
}

// pump reads r to its end, into the sum and w, until ctx ends.
func pump(ctx context.Context, w io.Writer, r io.Reader, buf []byte) (n int64, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		k, err := r.Read(buf)
		n += int64(k)
		if _, werr := w.Write(buf[:k]); werr != nil {
			return n, werr
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

func sumOf(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// seal makes a file durable and says what it holds.
func seal(ctx context.Context, fs vfs.FS, dir, rel string, buf []byte) (File, error) {
	file := File{Path: rel}
	f, err := fs.Open(fs.PathJoin(dir, rel))
	if err != nil {
		return file, fmt.Errorf("backup: %w", err)
	}
	h := sha256.New()
	file.Bytes, err = pump(ctx, h, f, buf)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return file, fmt.Errorf("backup: read %s: %w", rel, err)
	}
	file.SHA256 = sumOf(h)
	return file, nil
}

// check compares a file with what the manifest says of it. Where to is not empty, it
// is copied there, and synced.
func (want *File) check(ctx context.Context, fs vfs.FS, dir, to string, buf []byte) (err error) {
	f, err := fs.Open(fs.PathJoin(dir, want.Path))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %s is missing", ErrDamaged, want.Path)
	}
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	var n int64
	if to == "" {
		n, err = pump(ctx, h, f, buf)
	} else {
		n, err = copyTo(ctx, fs, to, f, h, buf)
	}
	switch {
	case err != nil:
		return fmt.Errorf("backup: read %s: %w", want.Path, err)
	case n != want.Bytes:
		return fmt.Errorf("%w: %s has %d bytes, it had %d", ErrDamaged, want.Path, n, want.Bytes)
	case sumOf(h) != want.SHA256:
		return fmt.Errorf("%w: %s has another checksum", ErrDamaged, want.Path)
	}
	return nil
}

func copyTo(ctx context.Context, fs vfs.FS, to string, r io.Reader, h hash.Hash, buf []byte) (n int64, err error) {
	w, err := fs.Create(to, vfs.WriteCategoryUnspecified)
	if err != nil {
		return 0, err
	}
	// The sum first: a vfs.File may change what it is given.
	n, err = pump(ctx, io.MultiWriter(h, w), r, buf)
	if err == nil {
		err = w.Sync()
	}
	return n, errors.Join(err, w.Close())
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("backup: sync %s: %w", dir, err)
	}
	return nil
}

// makeDir makes a folder and those above it, durably.
func makeDir(fs vfs.FS, dir string) error {
	if _, err := fs.Stat(dir); err == nil {
		return nil
	}
	parent := fs.PathDir(dir)
	if parent != dir {
		if err := makeDir(fs, parent); err != nil {
			return err
		}
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("backup: make folder: %w", err)
	}
	return syncDir(fs, parent)
}
