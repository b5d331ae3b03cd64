package raftsnap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"

	"dkv/engine"
)

// ChunkBytes is how much a chunk holds: it ends with the first record that takes
// it there. So a chunk has at most one record larger than this.
const ChunkBytes = 256 << 10

// MaxChunkBytes bounds a chunk of any sender; a larger one is refused unread.
const MaxChunkBytes = engine.MaxBatchBytes

const (
	chunkVersion = 1
	flagLast     = 1

	chunkHeaderBytes  = 32
	checksumBytes     = 8
	positionHeadBytes = 24
)

// Errors of a stream. The receiver is as it was before the call.
var (
	// ErrCorruptChunk says that bytes are not a chunk, or not one whose contents
	// can be: they were damaged, or another program made them.
	ErrCorruptChunk = errors.New("raftsnap: corrupt chunk")
	// ErrOutOfOrder says that a chunk does not follow what was received: one is
	// missing or came twice, or it belongs to another stream.
	ErrOutOfOrder = errors.New("raftsnap: chunk out of order")
	// ErrPosition says that a position does not come from this source.
	ErrPosition = errors.New("raftsnap: not a position in this snapshot")
)

var checksums = crc64.MakeTable(crc64.ECMA)

// chunk is a piece of a stream. Each names what went before it, so that neither
// side has to remember more than one mark, and the trailer of the last one
// vouches for the stream as a whole:
//
//	+---------+-------+----------+--------+---------+----------+--------+----------+
//	| version | flags | reserved | stream | records | checksum | batch  | checksum |
//	| 1 byte  | 1     | 6        | 8      | 8       | 8        | ...    | 8        |
//	+---------+-------+----------+--------+---------+----------+--------+----------+
//	                             '--- mark before it -----'             '- trailer '
//
// Integers are little endian. version is 1; flags has bit 0 in the last chunk;
// the rest is 0 and refused otherwise. batch is the wire form of an engine.Batch
// with puts only, in strictly rising order of the keys, from above the last key of
// the chunk before; it may be empty in the last chunk. The trailer is the CRC-64
// (ECMA) of all bytes before it. The mark before the chunk has the trailer of the
// chunk before in it, so a trailer covers everything up to it, and a chunk that
// was lost, repeated or swapped does not fit.
//
// The batch's form is the one that engines take, so a receiver applies it as it
// stands, and there is no second grammar. Rejected: a checksum that does not
// depend on the order (a sum of the records' hashes), which would let a sender
// resume without knowing the state at that place; positions carry the state.
type chunk struct {
	last   bool
	before mark
	after  mark
	repr   []byte // the batch's wire form, a part of the chunk's bytes
	// lastKey is empty when there are no records, a part of repr otherwise.
	lastKey []byte
}

// mark is the state of a stream at a place between two chunks. The first chunk's
// is zero but for the stream.
type mark struct {
	stream   uint64 // random, made by the source
	records  uint64 // in all chunks so far
	checksum uint64 // trailer of the last of them
}

func appendMark(dst []byte, m mark) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, m.stream)
	dst = binary.LittleEndian.AppendUint64(dst, m.records)
	return binary.LittleEndian.AppendUint64(dst, m.checksum)
}

// parseMark takes a mark from the first 24 bytes of b.
func parseMark(b []byte) mark {
	return mark{
		stream:   binary.LittleEndian.Uint64(b),
		records:  binary.LittleEndian.Uint64(b[8:]),
		checksum: binary.LittleEndian.Uint64(b[16:]),
	}
}

// makeChunk returns the bytes of a chunk with a batch of count records, and the
// mark after it.
func makeChunk(before mark, b *engine.Batch, last bool) ([]byte, mark) {
	repr := b.Repr()
	data := make([]byte, 0, chunkHeaderBytes+len(repr)+checksumBytes)
	data = append(data, chunkVersion, 0, 0, 0, 0, 0, 0, 0)
	if last {
		data[1] = flagLast
	}
	data = appendMark(data, before)
	data = append(data, repr...)
	after := mark{
		stream:   before.stream,
		records:  before.records + uint64(b.Count()),
		checksum: crc64.Checksum(data, checksums),
	}
	return binary.LittleEndian.AppendUint64(data, after.checksum), after
}

// parseChunk checks all that a chunk says about itself. Its slices are parts of
// data. An error wraps ErrCorruptChunk.
func parseChunk(data []byte) (chunk, error) {
	bad := func(format string, args ...any) (chunk, error) {
		return chunk{}, fmt.Errorf("%w: %s", ErrCorruptChunk, fmt.Sprintf(format, args...))
	}
	if len(data) < chunkHeaderBytes+checksumBytes || len(data) > MaxChunkBytes {
		return bad("%d bytes", len(data))
	}
	// The version first: another one may have its checksum elsewhere.
	if data[0] != chunkVersion {
		return bad("version %d, this build knows %d", data[0], chunkVersion)
	}
	end := len(data) - checksumBytes
	sum := binary.LittleEndian.Uint64(data[end:])
	if got := crc64.Checksum(data[:end], checksums); got != sum {
		return bad("checksum %016x, want %016x", got, sum)
	}
	if data[1]&^flagLast != 0 || !bytes.Equal(data[2:8], make([]byte, 6)) {
		return bad("unknown flags")
	}
	c := chunk{last: data[1] == flagLast, before: parseMark(data[8:]), repr: data[chunkHeaderBytes:end:end]}
	records, err := engine.ReadBatch(c.repr)
	if err != nil {
		return bad("%v", err)
	}
	for {
		kind, key, _, ok, err := records.Next()
		switch {
		case err != nil:
			return bad("%v", err)
		case !ok && c.lastKey == nil && !c.last:
			return bad("it is empty")
		case !ok:
			c.after = mark{stream: c.before.stream, records: c.before.records + uint64(records.Count()), checksum: sum}
			if c.after.records < c.before.records {
				return bad("%d records before it", c.before.records)
			}
			return c, nil
		case kind != engine.KindPut:
			return bad("a %v", kind)
		case bytes.Compare(key, c.lastKey) <= 0:
			return bad("keys do not rise")
		}
		c.lastKey = key
	}
}

// firstKey returns the first key of the chunk's batch, empty when it has none.
func (c *chunk) firstKey() []byte {
	records, err := engine.ReadBatch(c.repr)
	if err != nil {
		return nil
	}
	_, key, _, _, _ := records.Next()
	return key
}

// A position is where a stream goes on: the mark and the last key. It is opaque to
// whoever carries it.
//
//	stream 8 | records 8 | checksum 8 | last key
func makePosition(m mark, lastKey []byte) []byte {
	return append(appendMark(make([]byte, 0, positionHeadBytes+len(lastKey)), m), lastKey...)
}

// parsePosition returns the mark and the last key, which is a part of position.
func parsePosition(position []byte) (m mark, lastKey []byte, err error) {
	if len(position) < positionHeadBytes {
		return mark{}, nil, fmt.Errorf("%w: %d bytes", ErrPosition, len(position))
	}
	return parseMark(position), position[positionHeadBytes:], nil
}
