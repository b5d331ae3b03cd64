package keyspace

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"dkv/engine"
)

// Layout of the keys of a collection's elements (numbers big endian):
//
//	element:  'e'  db 1  slot 2  version 8  hash 4  element      hash, set, sorted set
//	element:  'e'  db 1  slot 2  version 8  position             list (8 bytes)
//	record:   'e'  db 1  slot 2  version 8  kind 1  ...          stream: entries by id, groups (see stream.go)
//	score:    'z'  db 1  slot 2  version 8  score 8  member      sorted set
//
// The version, not the key's name, says whose elements they are, so that RENAME is
// a matter of the Meta record alone. slot is where the collection was made (see
// head.home). Elements stand in the order of a hash, because nothing in Redis needs
// them in the order of their bytes, and this order gives random picks by one seek
// and scan cursors that are a number, valid on every node and after a restart.
const (
	elementPrefixBytes = 1 + 1 + 2 + 8
	elementHashBytes   = 4
	scoreBytes         = 8
)

// appendPrefix appends what all element (or score) keys of a collection begin with.
// That of version+1 is the end of the range.
func appendPrefix(dst []byte, kind byte, db physical, slot Slot, version Version) []byte {
	dst = append(dst, kind, byte(db), byte(slot>>8), byte(slot))
	return binary.BigEndian.AppendUint64(dst, uint64(version))
}

// VersionOf returns the version that an engine key carries, and how long its beginning
// is up to the version: all keys that begin like this are of one collection. 0: the key
// is no element's.
func VersionOf(key []byte) (version uint64, prefix int) {
	if len(key) < elementPrefixBytes || key[0] != kindElement && key[0] != kindScore {
		return 0, 0
	}
	return binary.BigEndian.Uint64(key[elementPrefixBytes-8:]), elementPrefixBytes
}

// Versions returns a number that no version of r's keys is above.
func Versions(r engine.Reader) (uint64, error) {
	v, err := readVersion(r)
	if err != nil {
		return 0, fmt.Errorf("keyspace: read version: %w", err)
	}
	return uint64(v), nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// elementHash orders the elements of a collection. It is part of the disk format: a
// CRC, whose bits are then mixed so that similar elements stand far apart
// (the finalizer of MurmurHash3).
func elementHash(element []byte) uint32 {
	h := crc32.Checksum(element, castagnoli)
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h ^ h>>16
}

// appendElement appends what follows the prefix in an element's key.
func appendElement(dst, element []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, elementHash(element))
	return append(dst, element...)
}

// splitElement is the inverse, given the whole key.
func splitElement(key []byte) (hash uint32, element []byte, err error) {
	if len(key) < elementPrefixBytes+elementHashBytes || key[0] != kindElement {
		return 0, nil, fmt.Errorf("%w: element key %q", ErrCorrupt, clip(key))
	}
	return binary.BigEndian.Uint32(key[elementPrefixBytes:]), key[elementPrefixBytes+elementHashBytes:], nil
}

// orderedScore maps scores to numbers of the same order. -0 and 0 are one place;
// NaN is no score.
func orderedScore(score float64) uint64 {
	if score == 0 {
		score = 0 // not -0
	}
	bits := math.Float64bits(score)
	if bits>>63 != 0 {
		return ^bits
	}
	return bits | 1<<63
}

func scoreOfOrdered(n uint64) float64 {
	if n>>63 != 0 {
		return math.Float64frombits(n &^ (1 << 63))
	}
	return math.Float64frombits(^n)
}

// appendScoreMember appends what follows the prefix in a score key.
func appendScoreMember(dst []byte, score float64, member []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, orderedScore(score))
	return append(dst, member...)
}

// negativeZero is the value of a score record whose score is -0, which the key
// cannot tell from 0; all others have none.
var negativeZero = []byte{'-'}

func scoreRecordValue(score float64) []byte {
	if score == 0 && math.Signbit(score) {
		return negativeZero
	}
	return nil
}

// splitScore takes a score record apart.
func splitScore(key, value []byte) (score float64, member []byte, err error) {
	if len(key) < elementPrefixBytes+scoreBytes || key[0] != kindScore {
		return 0, nil, fmt.Errorf("%w: score key %q", ErrCorrupt, clip(key))
	}
	score = scoreOfOrdered(binary.BigEndian.Uint64(key[elementPrefixBytes:]))
	if math.IsNaN(score) || score == 0 && math.Signbit(score) {
		return 0, nil, fmt.Errorf("%w: score key %q", ErrCorrupt, clip(key))
	}
	if len(value) != 0 {
		if score != 0 || string(value) != string(negativeZero) {
			return 0, nil, fmt.Errorf("%w: score record %q", ErrCorrupt, clip(value))
		}
		score = math.Copysign(0, -1)
	}
	return score, key[elementPrefixBytes+scoreBytes:], nil
}

// appendScore appends the value of a sorted set's element: its score's bits.
func appendScore(dst []byte, score float64) []byte {
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(score))
}

func parseScore(b []byte) (float64, error) {
	if len(b) != scoreBytes {
		return 0, fmt.Errorf("%w: score of %d bytes", ErrCorrupt, len(b))
	}
	score := math.Float64frombits(binary.BigEndian.Uint64(b))
	if math.IsNaN(score) {
		return 0, fmt.Errorf("%w: score that is no number", ErrCorrupt)
	}
	return score, nil
}
