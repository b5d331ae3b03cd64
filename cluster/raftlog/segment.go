package raftlog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A segment is a file %016x.log named by its number. Numbers are consecutive.
//
//	   0  header block
//	4096  records, one behind the other: a head first, a seal last when there
//	      is a next segment
//	   .  what the file held before, or zeros
//
// Header block:
//
//	   0  magic     8  "dkvrlog\n"
//	   8  version   4  1
//	  12  zero      4
//	  16  number    8
//	  24  salt      8  random; seeds the records' checksums
//	  32  capacity  8  bytes of the file that records may use
//	  40  zeros
//	4092  crc       4  CRC32C of the bytes before
//
// The header has a block of its own, so no later write touches it, and it is
// synced before the file gets its name: a %016x.log with a bad header is
// damaged, never torn.
type segment struct {
	seq      uint64
	salt     uint64
	seed     uint32 // of the record checksums
	capacity int64  // the records' end, the seal included, never passes it
	name     string // of the file, without the directory
	file     vfs.File

	// end is where the next record goes. Stored by the token's holder.
	end atomic.Int64
	// synced: what stands before it is on disk. Stored under the sync token.
	synced atomic.Int64
	// solid is the end of the last record that is not a mark: what there is to
	// be synced. Stored by the token's holder.
	solid atomic.Int64

	// Owned by the token's holder.
	exists  int64 // bytes that the file has; writing below it changes no metadata
	claimed int64 // the largest synced that a record carries
	sealed  bool  // the last record is the seal

	// endedAt is when the next segment was begun, Unix ns; 0: before Open, or it is
	// the active one.
	endedAt atomic.Int64

	// refs counts the log and the readers at work; the file is closed at zero.
	refs atomic.Int32
}

const (
	headerBytes    = 4096
	formatVersion  = 1
	segmentMagic   = "dkvrlog\n"
	segmentSuffix  = ".log"
	spareSuffix    = ".spare"
	sealBytes      = recordHeaderBytes
	writeCategory  = vfs.DiskWriteCategory("raftlog")
	zeroChunkBytes = 1 << 20
)

// zeros is read only.
var zeros [zeroChunkBytes]byte

func segmentName(seq uint64) string { return fmt.Sprintf("%016x%s", seq, segmentSuffix) }
func spareName(n uint64) string     { return fmt.Sprintf("%016x%s", n, spareSuffix) }

// parseName reads a name that segmentName or spareName made.
func parseName(name, suffix string) (n uint64, ok bool) {
	hex, found := strings.CutSuffix(name, suffix)
	if !found || len(hex) != 16 {
		return 0, false
	}
	n, err := strconv.ParseUint(hex, 16, 64)
	return n, err == nil && name == fmt.Sprintf("%016x%s", n, suffix)
}

func newSegment(seq, salt uint64, capacity int64, name string, f vfs.File) *segment {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], salt)
	binary.LittleEndian.PutUint64(b[8:], seq)
	s := &segment{seq: seq, salt: salt, seed: checksum(b[:]), capacity: capacity, name: name, file: f}
	s.end.Store(headerBytes)
	s.synced.Store(headerBytes)
	s.solid.Store(headerBytes)
	s.refs.Store(1)
	return s
}

// headerBlock encodes the segment's header.
func (s *segment) headerBlock() []byte {
	b := make([]byte, headerBytes)
	copy(b, segmentMagic)
	binary.LittleEndian.PutUint32(b[8:], formatVersion)
	binary.LittleEndian.PutUint64(b[16:], s.seq)
	binary.LittleEndian.PutUint64(b[24:], s.salt)
	binary.LittleEndian.PutUint64(b[32:], uint64(s.capacity))
	binary.LittleEndian.PutUint32(b[headerBytes-4:], checksum(b[:headerBytes-4]))
	return b
}

// parseHeaderBlock reads the header of the segment in file f.
func parseHeaderBlock(b []byte, name string, f vfs.File) (*segment, error) {
	bad := func(reason string) error { return &CorruptError{File: name, Offset: 0, Reason: reason} }
	if len(b) < headerBytes || string(b[:8]) != segmentMagic {
		return nil, bad("segment header: no magic")
	}
	if checksum(b[:headerBytes-4]) != binary.LittleEndian.Uint32(b[headerBytes-4:]) {
		return nil, bad("segment header: checksum")
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != formatVersion {
		return nil, fmt.Errorf("%w: %s has version %d, this program knows %d", ErrVersion, name, v, formatVersion)
	}
	seq := binary.LittleEndian.Uint64(b[16:])
	if name != segmentName(seq) {
		return nil, bad(fmt.Sprintf("segment header: number %d is another file's", seq))
	}
	capacity := int64(binary.LittleEndian.Uint64(b[32:]))
	if capacity < headerBytes {
		return nil, bad("segment header: capacity")
	}
	return newSegment(seq, binary.LittleEndian.Uint64(b[24:]), capacity, name, f), nil
}

// fits says whether a record of n bytes fits, with the seal behind it.
func (s *segment) fits(n int64) bool { return s.room() >= n }

// onDisk says whether there is nothing to be synced.
func (s *segment) onDisk() bool { return s.synced.Load() >= s.solid.Load() }

// room is how many bytes of records fit, less than zero when none do.
func (s *segment) room() int64 {
	if s.sealed {
		return -1
	}
	return s.capacity - sealBytes - s.end.Load()
}

// ref keeps the file open until unref. It returns false when it is closed.
func (s *segment) ref() bool {
	for {
		n := s.refs.Load()
		if n == 0 {
			return false
		}
		if s.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (s *segment) unref() error {
	if s.refs.Add(-1) == 0 {
		return s.file.Close()
	}
	return nil
}

// crcOf continues a CRC32C.
func crcOf(crc uint32, b []byte) uint32 { return crc32.Update(crc, castagnoli, b) }
