package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// Errors of an archive.
var (
	// ErrDamaged: a file is not as it was written.
	ErrDamaged = errors.New("the archive of the log is damaged")
	// ErrGap: entries are missing.
	ErrGap = errors.New("the archive of the log has a gap")
	// ErrFormat: another version of dkv wrote it.
	ErrFormat = errors.New("the archive of the log has another format version")
	// ErrOther: what follows is the log of another history.
	ErrOther = errors.New("the archive of the log does not continue this history")
)

// A file begins with a header; integers are little endian.
//
//	 0  magic      8
//	 8  version    4   1
//	12  shard      2
//	14  zero       2
//	16  number     8   of the file, as in its name
//	24  first      8   index of its first entry
//	32  prev term  8   term of the entry before that
//	40  history   80   cluster id, zeros behind it
//	120 zero       4
//	124 crc        4   CRC32C of all before
//
// and goes on with records:
//
//	 0  crc        4   CRC32C of the rest of the record, seeded with the header's
//	 4  length     4   of the data
//	 8  index      8
//	16  term       8
//	24  type       4   raftpb.EntryType
//	28  zero       4
//	32  data           as in the log
const (
	magic             = "dkvarch\n"
	version           = 1
	headerBytes       = 128
	historyBytes      = 80
	recordHeaderBytes = 32
	// maxDataBytes is above what an entry of the log can have.
	maxDataBytes = 1<<31 - 1
	suffix       = ".log"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Position is a place in a log.
type Position struct{ Index, Term uint64 }

// Entry is an entry of a log.
type Entry struct {
	Position
	Type int32
	Data []byte
}

// header is that of a file.
type header struct {
	shard    uint16
	number   uint64
	first    uint64
	prevTerm uint64
	history  string
	seed     uint32 // of the records' checksums
}

func (h *header) encode() []byte {
	b := make([]byte, headerBytes)
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[8:], version)
	binary.LittleEndian.PutUint16(b[12:], h.shard)
	binary.LittleEndian.PutUint64(b[16:], h.number)
	binary.LittleEndian.PutUint64(b[24:], h.first)
	binary.LittleEndian.PutUint64(b[32:], h.prevTerm)
	copy(b[40:40+historyBytes], h.history)
	h.seed = crc32.Checksum(b[:headerBytes-4], castagnoli)
	binary.LittleEndian.PutUint32(b[headerBytes-4:], h.seed)
	return b
}

// parseHeader reads a file's header. Errors: ErrFormat, ErrDamaged.
func parseHeader(b []byte) (h header, err error) {
	if len(b) < headerBytes || string(b[:8]) != magic {
		return h, fmt.Errorf("%w: a file without a header", ErrDamaged)
	}
	if crc32.Checksum(b[:headerBytes-4], castagnoli) != binary.LittleEndian.Uint32(b[headerBytes-4:]) {
		return h, fmt.Errorf("%w: the checksum of a header is wrong", ErrDamaged)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != version {
		return h, fmt.Errorf("%w: %d, this program knows %d", ErrFormat, v, version)
	}
	h = header{
		shard: binary.LittleEndian.Uint16(b[12:]), number: binary.LittleEndian.Uint64(b[16:]),
		first: binary.LittleEndian.Uint64(b[24:]), prevTerm: binary.LittleEndian.Uint64(b[32:]),
		history: strings.TrimRight(string(b[40:40+historyBytes]), "\x00"),
		seed:    binary.LittleEndian.Uint32(b[headerBytes-4:]),
	}
	return h, nil
}

func appendRecord(dst []byte, seed uint32, e *Entry) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, recordHeaderBytes)...)
	b := dst[at:]
	binary.LittleEndian.PutUint32(b[4:], uint32(len(e.Data)))
	binary.LittleEndian.PutUint64(b[8:], e.Index)
	binary.LittleEndian.PutUint64(b[16:], e.Term)
	binary.LittleEndian.PutUint32(b[24:], uint32(e.Type))
	dst = append(dst, e.Data...)
	b = dst[at:]
	binary.LittleEndian.PutUint32(b, crc32.Update(seed, castagnoli, b[4:]))
	return dst
}

// dataLength is what a record's header says of its data.
func dataLength(b []byte) int64 { return int64(binary.LittleEndian.Uint32(b[4:])) }

// parseRecord reads a record, header and data; false when it does not verify. The
// entry's data is part of b.
func parseRecord(b []byte, seed uint32) (e Entry, ok bool) {
	if len(b) < recordHeaderBytes || int64(len(b)-recordHeaderBytes) != dataLength(b) ||
		crc32.Update(seed, castagnoli, b[4:]) != binary.LittleEndian.Uint32(b) {
		return e, false
	}
	e.Index = binary.LittleEndian.Uint64(b[8:])
	e.Term = binary.LittleEndian.Uint64(b[16:])
	e.Type = int32(binary.LittleEndian.Uint32(b[24:]))
	e.Data = b[recordHeaderBytes:]
	return e, true
}

func fileName(number uint64) string { return fmt.Sprintf("%016x%s", number, suffix) }

// parseName reads a name that fileName made.
func parseName(name string) (number uint64, ok bool) {
	hex, found := strings.CutSuffix(name, suffix)
	if !found || len(hex) != 16 {
		return 0, false
	}
	number, err := strconv.ParseUint(hex, 16, 64)
	return number, err == nil && fileName(number) == name
}
