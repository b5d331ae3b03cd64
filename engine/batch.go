package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// Kind says what a record of a batch does. The numbers are part of the wire form.
type Kind uint8

const (
	KindDelete      Kind = 0
	KindPut         Kind = 1
	KindDeleteRange Kind = 15
)

func (k Kind) String() string {
	switch k {
	case KindDelete:
		return "delete"
	case KindPut:
		return "put"
	case KindDeleteRange:
		return "delete-range"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

const (
	// MaxBatchBytes bounds a batch's wire form, so that positions in it fit 32
	// bits. A value has at most 512 MiB; a writer that collects many commands
	// stops long before.
	MaxBatchBytes = 1<<31 - 1

	// batchVersion is the version of the wire form that this build writes and reads.
	batchVersion = 1

	batchHeaderBytes = 12

	// maxRetainedBatchBytes is how much memory Reset keeps for the next batch.
	maxRetainedBatchBytes = 8 << 20
)

// Batch is a list of mutations that are applied together, in their order. The
// zero value is an empty batch. Not safe for concurrent use.
//
// Wire form, which is also how a batch stands in the log and goes to replicas:
//
//	+---------+-------+----------+----------------+----------------
//	| version | flags | time     | count          | records ...
//	| 1 byte  | 1     | 6, LE    | 4, uint32 LE   |
//	+---------+-------+----------+----------------+----------------
//
//	record (put):          0x01  uvarint(len key)    key    uvarint(len value)  value
//	record (delete):       0x00  uvarint(len key)    key
//	record (delete-range): 0x0f  uvarint(len start)  start  uvarint(len end)    end
//
// version is 1; flags are 0, and bytes with anything else there are refused, so that
// they can get a meaning later. time is when the batch was made, in Unix
// milliseconds, by the clock of whoever made it; 0: not known. Engines do not look
// at it. A delete-range covers start <= key < end, and start < end. Lengths are
// below 2^32.
//
// Invariant: no key is empty, the start of a range included. (Pebble takes an
// empty smallest key of a table for none, and its compactions then lose range
// deletions of that table.)
//
// The records are laid out as in the write batches of LevelDB's descendants, and
// the header has their size, so that such an engine takes a copy of the bytes as
// its own batch without going through the records one by one.
type Batch struct {
	buf   []byte // header (its count not filled in) and records; nil when never used
	count uint32
	err   error
}

// Put sets key to value. Both are copied. key must not be empty.
func (b *Batch) Put(key, value []byte) {
	b.append(KindPut, key, value)
}

// Delete removes key; it need not exist. key is copied, and must not be empty.
func (b *Batch) Delete(key []byte) {
	b.append(KindDelete, key, nil)
}

// DeleteRange removes every key in [start, end). Both are copied. An empty start
// is the first key that there can be. An empty range adds nothing.
func (b *Batch) DeleteRange(start, end []byte) {
	if start = rangeStart(start); bytes.Compare(start, end) < 0 {
		b.append(KindDeleteRange, start, end)
	}
}

var firstKey = []byte{0}

func rangeStart(start []byte) []byte {
	if len(start) == 0 {
		return firstKey
	}
	return start
}

// Repr returns the batch's wire form. The slice belongs to the batch and is valid
// until the batch changes. It panics when Err is not nil: a batch that lacks a
// mutation must never get into a log.
func (b *Batch) Repr() []byte {
	if b.err != nil {
		panic("engine: Repr of a batch that overflowed; check Err first")
	}
	b.init()
	binary.LittleEndian.PutUint32(b.buf[8:], b.count)
	return b.buf
}

// Len returns the length of the wire form in bytes.
func (b *Batch) Len() int {
	return max(len(b.buf), batchHeaderBytes)
}

// Count returns the number of mutations.
func (b *Batch) Count() uint32 {
	return b.count
}

// Err returns ErrBatchTooLarge when a mutation was left out because the batch
// would have passed MaxBatchBytes. Truncate and Reset clear it.
func (b *Batch) Err() error {
	return b.err
}

// Reset empties the batch and keeps its memory for the next one, up to a limit.
func (b *Batch) Reset() {
	if cap(b.buf) > maxRetainedBatchBytes {
		b.buf = nil
	}
	b.buf = b.buf[:min(len(b.buf), batchHeaderBytes)]
	if len(b.buf) > 0 {
		b.SetTime(0)
	}
	b.count, b.err = 0, nil
}

// maxBatchTime is the latest time that a batch can carry, in the year 10889.
const maxBatchTime = 1<<48 - 1

// SetTime notes when the batch was made, in Unix milliseconds; 0: not known, which is
// also what a time that has no place becomes.
func (b *Batch) SetTime(unixMilli int64) {
	b.init()
	if unixMilli < 0 || unixMilli > maxBatchTime {
		unixMilli = 0
	}
	binary.LittleEndian.PutUint32(b.buf[2:], uint32(unixMilli))
	binary.LittleEndian.PutUint16(b.buf[6:], uint16(unixMilli>>32))
}

// BatchTime returns when a batch was made, of which repr is the wire form, in Unix
// milliseconds; 0: not known.
func BatchTime(repr []byte) int64 {
	if len(repr) < batchHeaderBytes {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(repr) >> 16)
}

// Truncate takes the batch back to an earlier state, of which lenBytes and count
// were Len and Count.
func (b *Batch) Truncate(lenBytes int, count uint32) {
	if lenBytes < batchHeaderBytes || lenBytes > b.Len() || count > b.count {
		panic(fmt.Sprintf("engine: Batch.Truncate(%d, %d) of a batch of %d bytes, %d records",
			lenBytes, count, b.Len(), b.count))
	}
	if b.buf != nil {
		b.buf = b.buf[:lenBytes]
	}
	b.count, b.err = count, nil
}

// span is where a key or value stands in a batch's bytes.
type span struct{ off, n uint32 }

func (s span) in(buf []byte) []byte {
	return buf[s.off : s.off+s.n : s.off+s.n]
}

// append adds a record and returns where its key and value were put; ok is false
// when the batch is full.
func (b *Batch) append(kind Kind, key, value []byte) (k, v span, ok bool) {
	if len(key) == 0 {
		panic("engine: batch with an empty key")
	}
	const overhead = 1 + 2*binary.MaxVarintLen32
	need := overhead + len(key) + len(value)
	if b.err != nil || need > MaxBatchBytes || b.Len()+need > MaxBatchBytes {
		b.err = ErrBatchTooLarge
		return k, v, false
	}
	b.init()
	buf := slices.Grow(b.buf, need)
	buf = append(buf, byte(kind))
	buf = binary.AppendUvarint(buf, uint64(len(key)))
	k = span{uint32(len(buf)), uint32(len(key))}
	buf = append(buf, key...)
	if kind != KindDelete {
		buf = binary.AppendUvarint(buf, uint64(len(value)))
		v = span{uint32(len(buf)), uint32(len(value))}
		buf = append(buf, value...)
	}
	b.buf = buf
	b.count++
	return k, v, true
}

// init writes the header of a batch that has none yet.
func (b *Batch) init() {
	if len(b.buf) == 0 {
		b.buf = append(b.buf, batchVersion, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	}
}

// BatchReader goes through the records of a batch's wire form. It allocates
// nothing and is safe on any input.
type BatchReader struct {
	rest  []byte
	left  uint32
	count uint32
}

// ReadBatch returns a reader of repr, which must not change while it is read. An
// error wraps ErrCorruptBatch.
func ReadBatch(repr []byte) (BatchReader, error) {
	if len(repr) < batchHeaderBytes {
		return BatchReader{}, fmt.Errorf("%w: %d bytes", ErrCorruptBatch, len(repr))
	}
	if len(repr) > MaxBatchBytes {
		return BatchReader{}, fmt.Errorf("%w: %d bytes", ErrCorruptBatch, len(repr))
	}
	if v := repr[0]; v != batchVersion {
		return BatchReader{}, fmt.Errorf("%w: version %d, this build knows %d", ErrCorruptBatch, v, batchVersion)
	}
	if repr[1] != 0 {
		return BatchReader{}, fmt.Errorf("%w: unknown flags", ErrCorruptBatch)
	}
	n := binary.LittleEndian.Uint32(repr[8:])
	return BatchReader{rest: repr[batchHeaderBytes:], left: n, count: n}, nil
}

// Count returns the number of records that the header promises.
func (r *BatchReader) Count() uint32 {
	return r.count
}

// Next returns the next record; ok is false at the end. value is the value of a
// put and the exclusive end key of a delete-range. The slices point into the
// wire form. An error wraps ErrCorruptBatch.
func (r *BatchReader) Next() (kind Kind, key, value []byte, ok bool, err error) {
	if r.left == 0 {
		if len(r.rest) != 0 {
			return r.corrupt("bytes after the last record")
		}
		return 0, nil, nil, false, nil
	}
	if len(r.rest) == 0 {
		return r.corrupt("records missing")
	}
	kind = Kind(r.rest[0])
	r.rest = r.rest[1:]
	if key, ok = r.str(); !ok || len(key) == 0 {
		return r.corrupt("bad key")
	}
	switch kind {
	case KindDelete:
	case KindPut:
		if value, ok = r.str(); !ok {
			return r.corrupt("bad value")
		}
	case KindDeleteRange:
		if value, ok = r.str(); !ok || bytes.Compare(key, value) >= 0 {
			return r.corrupt("bad range")
		}
	default:
		return r.corrupt("unknown kind of record")
	}
	r.left--
	return kind, key, value, true, nil
}

// str takes a length and that many bytes from the rest. A length is refused
// unless it is written in its shortest form, so that a batch has one wire form.
func (r *BatchReader) str() ([]byte, bool) {
	if len(r.rest) > 0 && r.rest[0] < 0x80 {
		// One byte, the usual case.
		n := 1 + int(r.rest[0])
		if n > len(r.rest) {
			return nil, false
		}
		s := r.rest[1:n:n]
		r.rest = r.rest[n:]
		return s, true
	}
	n, w := binary.Uvarint(r.rest)
	if w <= 0 || r.rest[w-1] == 0 || n > uint64(len(r.rest)-w) {
		return nil, false
	}
	end := w + int(n)
	s := r.rest[w:end:end]
	r.rest = r.rest[end:]
	return s, true
}

func (r *BatchReader) corrupt(what string) (Kind, []byte, []byte, bool, error) {
	err := fmt.Errorf("%w: %s at record %d of %d", ErrCorruptBatch, what, r.count-r.left, r.count)
	r.rest, r.left = nil, 0
	return 0, nil, nil, false, err
}
