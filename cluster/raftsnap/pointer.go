package raftsnap

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"dkv/engine"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const pointerFormat = 1

// ErrUncertain says that the pointer file was being replaced when the disk
// failed, so that after a crash it may be the old one or the new one. Whoever goes
// on with either engine could acknowledge what the other one has not got: the node
// must stop. The Store writes nothing more.
var ErrUncertain = errors.New("raftsnap: it is not known which engine folder is the current one on disk")

// pointer is what the pointer file holds, as JSON.
type pointer struct {
	Format int    `json:"format"`
	Folder string `json:"folder"` // the current one
	// Next is the number of the next folder, above that of every one there is.
	Next uint64 `json:"next"`
	// Meta is the meta of the snapshot in Folder until the log follows it.
	Meta    []byte `json:"meta,omitempty"`
	Pending bool   `json:"pending,omitempty"`
	// CRC32C is the checksum of the same JSON without indentation, with 0 here.
	CRC32C uint32 `json:"crc32c"`
}

func (p pointer) sum() (uint32, error) {
	p.CRC32C = 0
	data, err := json.Marshal(p)
	return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)), err
}

// check refuses what this store cannot have written. Errors wrap
// engine.ErrDataFormat or engine.ErrCorrupt.
func (p pointer) check(name string) error {
	if p.Format != pointerFormat {
		return fmt.Errorf("%w: format %d, this build knows %d", engine.ErrDataFormat, p.Format, pointerFormat)
	}
	sum, err := p.sum()
	if err != nil || sum != p.CRC32C {
		return fmt.Errorf("%w: its checksum is wrong", engine.ErrCorrupt)
	}
	if n, ok := folderNumber(name, p.Folder); !ok || n >= p.Next {
		return fmt.Errorf("%w: it names folder %q, the next one being %d", engine.ErrCorrupt, p.Folder, p.Next)
	}
	return nil
}

func folderName(name string, number uint64) string {
	return name + "." + strconv.FormatUint(number, 10)
}

// folderNumber returns which folder of the store that is; the first one is 0.
func folderNumber(name, folder string) (number uint64, ok bool) {
	if folder == name {
		return 0, true
	}
	rest, ok := strings.CutPrefix(folder, name+".")
	if !ok {
		return 0, false
	}
	number, err := strconv.ParseUint(rest, 10, 64)
	if err != nil || number == 0 || folderName(name, number) != folder {
		return 0, false
	}
	return number, true
}

// readPointer returns the pointer of a store that has no file yet, if there is
// none.
func readPointer(fs vfs.FS, path, name string) (pointer, error) {
	f, err := fs.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return pointer{Format: pointerFormat, Folder: name, Next: 1}, nil
	}
	if err != nil {
		return pointer{}, err
	}
	data, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return pointer{}, fmt.Errorf("read %s: %w", path, err)
	}
	var p pointer
	if err := json.Unmarshal(data, &p); err != nil {
		return pointer{}, fmt.Errorf("%s: %w: %v", path, engine.ErrCorrupt, err)
	}
	if err := p.check(name); err != nil {
		return pointer{}, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// writePointer replaces the pointer file durably. An error that wraps ErrUncertain
// may have replaced it; any other one has not.
func writePointer(fs vfs.FS, path string, p pointer) error {
	var err error
	if p.CRC32C, err = p.sum(); err != nil {
		return err
	}
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	tmp := path + tmpSuffix
	if err := writeFile(fs, tmp, append(data, '\n')); err != nil {
		return noSpace(err)
	}
	if err := fs.Rename(tmp, path); err != nil {
		if isNoSpace(err) { // nothing was renamed
			return noSpace(err)
		}
		return fmt.Errorf("%w: %w", ErrUncertain, err)
	}
	if err := syncDir(fs, fs.PathDir(path)); err != nil {
		return fmt.Errorf("%w: %w", ErrUncertain, err)
	}
	return nil
}

const tmpSuffix = ".tmp"

func writeFile(fs vfs.FS, path string, data []byte) error {
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// noSpace makes a full disk known as that.
func noSpace(err error) error {
	if isNoSpace(err) && !errors.Is(err, engine.ErrNoSpace) {
		return fmt.Errorf("%w: %w", engine.ErrNoSpace, err)
	}
	return err
}
