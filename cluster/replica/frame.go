package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/engine"
)

// ProtocolVersion is what a replica asks for and a source checks first.
const ProtocolVersion = 1

// MaxFrameBytes bounds a frame; a larger one is refused unread. An entry has at
// most 1 GiB, and is not divided.
const MaxFrameBytes = 1<<30 + 1<<20

// ErrFrame says that bytes are no frame: they were damaged on the way, or another
// program made them.
var ErrFrame = errors.New("replica: corrupt frame")

// FrameType says what a frame is. The numbers are part of the wire form.
type FrameType uint8

const (
	// FrameEntries has the entries after Prev up to At. Those that hold nothing
	// for a replica are left out.
	FrameEntries FrameType = 1
	// FrameHeartbeat says that there is nothing, each second.
	FrameHeartbeat FrameType = 2
	// FrameChunk has a piece of the copy of the state at At.
	FrameChunk FrameType = 3
	// FrameMessages has what was published when At had been applied. It is sent only
	// to a replica that asks for messages, and holds nothing of the data.
	FrameMessages FrameType = 4
	// FramePath says by whose histories the source's data comes to it, first of all and
	// when that has changed. It is sent only to a replica that says which is its own.
	FramePath FrameType = 5
)

const (
	frameVersion     = 1
	frameHeaderBytes = 48
	frameSumBytes    = 4

	flagLastChunk = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Frame is what a source sends at a time:
//
//	+---------+------+-------+----------+------+------+-------+------+------+------+--------+
//	| version | type | flags | reserved | sent | head | index | term | prev | body | CRC32C |
//	| 1 byte  | 1    | 1     | 5        | 8    | 8    | 8     | 8    | 8    | ...  | 4      |
//	+---------+------+-------+----------+------+------+-------+------+------+------+--------+
//
//	body of entries:  uvarint(len batch) batch, any number of times
//	body of a chunk:  uvarint(len place) place  chunk, see package raftsnap
//	body of messages: as they were given to Source.Publish, one behind the other
//	body of a path:   cluster ids, the source's own first, with commas between
//
// Integers are little endian. flags has bit 0 in the last chunk; it and what is
// reserved are 0 otherwise, and refused when they are not. The checksum is of all
// that is before it.
type Frame struct {
	Type FrameType
	// Sent is the source's wall clock, Unix time in ms, and Head what it had
	// applied, when the frame was made.
	Sent int64
	Head raftlog.Index
	// At is where the replica is after it, Prev where it must be before it.
	At   shard.Position
	Prev raftlog.Index

	Batches  [][]byte // of entries
	Messages []byte
	Path     string

	Place []byte // of a chunk: where the one after it follows
	Chunk []byte
	Last  bool
}

// Append appends the wire form to dst.
func (f *Frame) Append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, frameVersion, byte(f.Type), 0, 0, 0, 0, 0, 0)
	if f.Last {
		dst[start+2] = flagLastChunk
	}
	for _, v := range [...]uint64{uint64(f.Sent), uint64(f.Head), uint64(f.At.Index), uint64(f.At.Term), uint64(f.Prev)} {
		dst = binary.LittleEndian.AppendUint64(dst, v)
	}
	switch f.Type {
	case FrameEntries:
		for _, b := range f.Batches {
			dst = append(binary.AppendUvarint(dst, uint64(len(b))), b...)
		}
	case FrameChunk:
		dst = append(binary.AppendUvarint(dst, uint64(len(f.Place))), f.Place...)
		dst = append(dst, f.Chunk...)
	case FrameMessages:
		dst = append(dst, f.Messages...)
	case FramePath:
		dst = append(dst, f.Path...)
	}
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// ParseFrame reads the wire form, of which the frame's slices are parts. An error
// wraps ErrFrame.
func ParseFrame(data []byte) (f Frame, err error) {
	bad := func(format string, args ...any) (Frame, error) {
		return Frame{}, fmt.Errorf("%w: %s", ErrFrame, fmt.Sprintf(format, args...))
	}
	if len(data) < frameHeaderBytes+frameSumBytes || len(data) > MaxFrameBytes {
		return bad("%d bytes", len(data))
	}
	// The version first: another one may have its checksum elsewhere.
	if data[0] != frameVersion {
		return bad("version %d, this build knows %d", data[0], frameVersion)
	}
	end := len(data) - frameSumBytes
	sum := binary.LittleEndian.Uint32(data[end:])
	if got := crc32.Checksum(data[:end], castagnoli); got != sum {
		return bad("checksum %08x, want %08x", got, sum)
	}
	f.Type = FrameType(data[1])
	f.Last = data[2] == flagLastChunk
	if binary.LittleEndian.Uint64(data)>>24 != 0 || data[2]&^flagLastChunk != 0 || f.Last && f.Type != FrameChunk {
		return bad("unknown flags")
	}
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(data[8+8*i:]) }
	f.Sent, f.Head = int64(word(0)), raftlog.Index(word(1))
	f.At = shard.Position{Index: raftlog.Index(word(2)), Term: raftlog.Term(word(3))}
	f.Prev = raftlog.Index(word(4))
	if f.Prev > f.At.Index {
		return bad("it goes from %d back to %d", f.Prev, f.At.Index)
	}
	body := data[frameHeaderBytes:end:end]
	var ok bool
	switch f.Type {
	case FrameEntries:
		for len(body) > 0 {
			var b []byte
			if b, body, ok = cutBytes(body); !ok {
				return bad("length of a batch")
			}
			if _, err := engine.ReadBatch(b); err != nil {
				return bad("%v", err)
			}
			f.Batches = append(f.Batches, b)
		}
		if uint64(len(f.Batches)) > uint64(f.At.Index-f.Prev) {
			return bad("%d batches in %d entries", len(f.Batches), f.At.Index-f.Prev)
		}
	case FrameHeartbeat:
		if len(body) > 0 {
			return bad("a heartbeat of %d bytes", len(body))
		}
	case FrameChunk:
		if f.Place, f.Chunk, ok = cutBytes(body); !ok {
			return bad("length of a place")
		}
	case FrameMessages:
		f.Messages = body
	case FramePath:
		f.Path = string(body)
	default:
		return bad("type %d", f.Type)
	}
	return f, nil
}

// cutBytes takes a length and that many bytes from b.
func cutBytes(b []byte) (part, rest []byte, ok bool) {
	n, w := binary.Uvarint(b)
	if w <= 0 || b[w-1] == 0 && w > 1 || n > uint64(len(b)-w) {
		return nil, nil, false
	}
	end := w + int(n)
	return b[w:end:end], b[end:], true
}
