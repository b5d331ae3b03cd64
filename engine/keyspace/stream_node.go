package keyspace

import "encoding/binary"

// streamNode is a row of entries that follow each other, as long as Redis would make
// a node of a stream's tree. Approximate trimming removes whole nodes, and XINFO
// counts them; nothing else needs them. The last node of a stream, to which entries
// are added, stands in the Meta record, the others have records:
//
//	key:    prefix  0x01  id of the first entry 16
//	value:  last id as a difference  live  deleted  bytes  fields 8
//
// Numbers are uvarints. Entries that were deleted one by one still belong to the
// node, unless all of them were.
type streamNode struct {
	// first and last are the ids of the first and the last entry that the node ever
	// had.
	first, last   StreamID
	live, deleted uint64
	// bytes is what the listpack of Redis's node takes, without the two counters.
	bytes uint64
	// fields is a hash of the field names of the first entry. Redis writes those of
	// others only if they are not the same.
	fields uint64
}

func (n *streamNode) append(dst []byte) []byte {
	dst = n.last.appendFrom(dst, n.first)
	dst = binary.AppendUvarint(dst, n.live)
	dst = binary.AppendUvarint(dst, n.deleted)
	dst = binary.AppendUvarint(dst, n.bytes)
	return binary.BigEndian.AppendUint64(dst, n.fields)
}

// take reads what append has written; first is set already.
func (n *streamNode) take(r *streamReader) {
	n.last = r.id(n.first)
	n.live, n.deleted, n.bytes = r.uint(), r.uint(), r.uint()
	if r.bad || len(r.b) < 8 {
		r.bad = true
		return
	}
	n.fields, r.b = binary.BigEndian.Uint64(r.b), r.b[8:]
	r.bad = n.last.Less(n.first) || n.live > maxSize || n.deleted > maxSize || n.bytes > maxSize
}

// parseStreamNode decodes the record of a node; an error wraps ErrCorrupt.
func parseStreamNode(first StreamID, value []byte) (streamNode, error) {
	n := streamNode{first: first}
	r := streamReader{b: value}
	n.take(&r)
	return n, r.end("a stream's node")
}

// NodeLimits are the sizes at which a node of a stream is full: stream-node-max-bytes
// and stream-node-max-entries; 0 is no limit.
type NodeLimits struct{ Bytes, Entries int64 }

// MaxEntryBytes is the most bytes of fields and values that an entry may have.
const MaxEntryBytes = 1 << 30

// full reports whether an entry with so many bytes must go to another node.
func (n *streamNode) full(l NodeLimits, size uint64) bool {
	most := uint64(max(l.Bytes, 0))
	if most == 0 || most > MaxEntryBytes {
		most = MaxEntryBytes
	}
	const listpackEnds = 7 // its header, and the byte that ends it
	bytes := listpackEnds + n.bytes + listpackInt(int64(n.live)) + listpackInt(int64(n.deleted))
	return bytes+size >= most || l.Entries > 0 && n.live+n.deleted >= uint64(l.Entries)
}

// newStreamNode returns a node without an entry, for a first one of these fields.
func newStreamNode(first StreamID, fields [][]byte) streamNode {
	n := streamNode{first: first, last: first, fields: fieldsHash(fields)}
	n.bytes = listpackInt(int64(len(fields)/2)) + listpackInt(0)
	for i := 0; i < len(fields); i += 2 {
		n.bytes += listpackString(fields[i])
	}
	return n
}

// add counts an entry: fields and values take turns.
func (n *streamNode) add(id StreamID, fields [][]byte) {
	same := fieldsHash(fields) == n.fields
	pieces := int64(len(fields)/2) + 3
	n.bytes += 2 // flags
	n.bytes += listpackInt(int64(id.MS-n.first.MS)) + listpackInt(int64(id.Seq-n.first.Seq))
	if !same {
		n.bytes += listpackInt(int64(len(fields) / 2))
		pieces += int64(len(fields)/2) + 1
	}
	for i, s := range fields {
		if i%2 == 1 || !same {
			n.bytes += listpackString(s)
		}
	}
	n.bytes += listpackInt(pieces)
	n.last = id
	n.live++
}

// fieldsHash is a hash of field names and their lengths (FNV-1a); part of the disk
// format.
func fieldsHash(fields [][]byte) uint64 {
	const offset, prime = 0xcbf29ce484222325, 0x100000001b3
	h := uint64(offset)
	for i := 0; i < len(fields); i += 2 {
		h = (h ^ uint64(len(fields[i]))) * prime
		for _, c := range fields[i] {
			h = (h ^ uint64(c)) * prime
		}
	}
	return h
}

// listpackString is the size of an element of a listpack (see listpack.c of Redis):
// its encoding, and its length again for the way back.
func listpackString(s []byte) uint64 {
	if n, ok := ParseInt(s); ok {
		return listpackInt(n)
	}
	size := uint64(len(s))
	switch {
	case size < 64:
		size++
	case size < 4096:
		size += 2
	default:
		size += 5
	}
	switch {
	case size <= 127:
		return size + 1
	case size < 16383:
		return size + 2
	case size < 2097151:
		return size + 3
	case size < 268435455:
		return size + 4
	}
	return size + 5
}

// listpackInt is the size of a number in a listpack.
func listpackInt(n int64) uint64 {
	switch {
	case n >= 0 && n <= 127:
		return 2
	case n >= -4096 && n <= 4095:
		return 3
	case n == int64(int16(n)):
		return 4
	case n >= -1<<23 && n < 1<<23:
		return 5
	case n == int64(int32(n)):
		return 6
	}
	return 10
}
