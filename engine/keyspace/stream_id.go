package keyspace

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
)

// StreamID is the id of a stream's entry: a time in ms, and a number among those of
// that time. Ids are compared by time first.
type StreamID struct{ MS, Seq uint64 }

// MaxStreamID is the last id that there can be.
var MaxStreamID = StreamID{math.MaxUint64, math.MaxUint64}

// streamIDBytes is the length of an id in engine keys: two numbers, big endian.
const streamIDBytes = 16

// IsZero reports whether it is 0-0, which no entry has.
func (id StreamID) IsZero() bool { return id == StreamID{} }

// Compare returns -1, 0 or 1.
func (id StreamID) Compare(other StreamID) int {
	if c := cmp.Compare(id.MS, other.MS); c != 0 {
		return c
	}
	return cmp.Compare(id.Seq, other.Seq)
}

// Less reports whether id comes before other.
func (id StreamID) Less(other StreamID) bool { return id.Compare(other) < 0 }

// Next returns the id that follows; ok is false, and the id 0-0, after the last.
func (id StreamID) Next() (next StreamID, ok bool) {
	id.Seq++
	if id.Seq == 0 {
		id.MS++
	}
	return id, !id.IsZero()
}

// Prev returns the id before; ok is false, and the id the last one, before 0-0.
func (id StreamID) Prev() (prev StreamID, ok bool) {
	ok = !id.IsZero()
	if id.Seq == 0 {
		id.MS--
	}
	id.Seq--
	return id, ok
}

// AppendText appends the id as clients see it: ms-seq.
func (id StreamID) AppendText(dst []byte) []byte {
	dst = strconv.AppendUint(dst, id.MS, 10)
	return strconv.AppendUint(append(dst, '-'), id.Seq, 10)
}

// String returns the id as clients see it.
func (id StreamID) String() string { return string(id.AppendText(nil)) }

// appendKey appends the id as a part of an engine key.
func (id StreamID) appendKey(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, id.MS)
	return binary.BigEndian.AppendUint64(dst, id.Seq)
}

// idAt decodes the id that stands at a place of a key, and must be its end.
func idAt(key []byte, at int) (StreamID, error) {
	if len(key) != at+streamIDBytes {
		return StreamID{}, fmt.Errorf("%w: stream key %q", ErrCorrupt, clip(key))
	}
	return StreamID{binary.BigEndian.Uint64(key[at:]), binary.BigEndian.Uint64(key[at+8:])}, nil
}

// appendFrom appends the id as a difference from another, which is short when they
// are near each other. Times may wrap around.
func (id StreamID) appendFrom(dst []byte, base StreamID) []byte {
	dst = binary.AppendUvarint(dst, base.MS-id.MS)
	return binary.AppendUvarint(dst, id.Seq)
}

// streamReader takes numbers and strings off a record. After the first that is not there,
// bad is set and all others are zero.
type streamReader struct {
	b   []byte
	bad bool
}

func (r *streamReader) uint() (n uint64) {
	if r.bad {
		return 0
	}
	n, rest, ok := takeUvarint(r.b)
	if !ok {
		r.bad = true
		return 0
	}
	r.b = rest
	return n
}

func (r *streamReader) int() int64 {
	n := r.uint()
	return int64(n>>1) ^ -int64(n&1)
}

func (r *streamReader) string() (s []byte) {
	if r.bad {
		return nil
	}
	s, rest, ok := takeString(r.b)
	if !ok {
		r.bad = true
		return nil
	}
	r.b = rest
	return s
}

func (r *streamReader) id(base StreamID) StreamID {
	ms := base.MS - r.uint()
	return StreamID{ms, r.uint()}
}

// end returns an error unless the record was read to its end.
func (r *streamReader) end(what string) error {
	if r.bad || len(r.b) != 0 {
		return fmt.Errorf("%w: %s", ErrCorrupt, what)
	}
	return nil
}

func appendSized(dst, s []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}
