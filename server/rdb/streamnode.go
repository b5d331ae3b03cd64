package rdb

import (
	"bytes"
	"encoding/binary"
)

// AppendStreamID appends an id as two lengths.
func AppendStreamID(dst []byte, id StreamID) []byte {
	return AppendLength(AppendLength(dst, id.Millis), id.Seq)
}

// AppendRawID appends an id of 16 bytes, as what is pending has it.
func AppendRawID(dst []byte, id StreamID) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, id.Millis), id.Seq)
}

// AppendMillis appends a Unix time in ms.
func AppendMillis(dst []byte, ms int64) []byte {
	return binary.LittleEndian.AppendUint64(dst, uint64(ms))
}

// A node takes entries until it has so many, or so many bytes.
const (
	nodeEntries = 100
	nodeBytes   = 4 << 10
)

// StreamNodes writes the entries of a stream, and how many nodes they make.
type StreamNodes struct {
	buf     []byte
	head    int // where the number of nodes stands
	nodes   uint32
	master  StreamID
	fields  [][]byte // of the master
	lp      packer
	entries int64 // of the node
}

// NewStreamNodes begins behind dst.
func NewStreamNodes(dst []byte) *StreamNodes {
	// The number takes its longest form, so that it can be put in at the end.
	return &StreamNodes{head: len(dst) + 1, buf: append(dst, 0x80, 0, 0, 0, 0)}
}

// Add adds an entry, whose id is above those before; pairs are fields and values in
// turn. It keeps nothing of them.
func (n *StreamNodes) Add(id StreamID, pairs [][]byte) {
	if n.entries == nodeEntries || len(n.lp.buf) > nodeBytes {
		n.endNode()
	}
	if n.entries == 0 {
		n.begin(id, pairs)
	}
	n.entries++
	same := len(pairs) == 2*len(n.fields)
	for i := 0; same && i < len(n.fields); i++ {
		same = bytes.Equal(n.fields[i], pairs[2*i])
	}
	flags, size := int64(0), int64(len(pairs))+4
	if same {
		flags, size = streamSameFields, int64(len(n.fields))+3
	}
	n.lp.number(flags)
	n.lp.number(int64(id.Millis - n.master.Millis))
	n.lp.number(int64(id.Seq - n.master.Seq))
	if !same {
		n.lp.number(int64(len(pairs) / 2))
	}
	for i, b := range pairs {
		if !same || i%2 == 1 {
			n.lp.str(b)
		}
	}
	n.lp.number(size)
}

// begin begins a node with a master, which is an entry's fields.
func (n *StreamNodes) begin(id StreamID, pairs [][]byte) {
	n.master, n.fields = id, n.fields[:0]
	for i := 0; i < len(pairs); i += 2 {
		n.fields = append(n.fields, bytes.Clone(pairs[i]))
	}
	n.lp.begin()
	n.lp.count = 2 // the number of entries and of deleted ones, which endNode puts in front
	n.lp.number(int64(len(n.fields)))
	for _, f := range n.fields {
		n.lp.str(f)
	}
	n.lp.number(0)
}

func (n *StreamNodes) endNode() {
	if n.entries == 0 {
		return
	}
	n.nodes++
	n.buf = append(AppendLength(n.buf, streamIDBytes), AppendRawID(nil, n.master)...)
	var counts packer
	counts.number(n.entries)
	counts.number(0)
	lp := n.lp.end(counts.buf)
	n.buf = append(AppendLength(n.buf, uint64(len(lp))), lp...)
	n.entries = 0
}

// End returns what was written.
func (n *StreamNodes) End() []byte {
	n.endNode()
	binary.BigEndian.PutUint32(n.buf[n.head:], n.nodes)
	return n.buf
}

// packer writes the entries of a listpack.
type packer struct {
	buf   []byte
	count int
}

func (l *packer) begin() { l.buf, l.count = l.buf[:0], 0 }

// end returns the listpack, with first before what was added.
func (l *packer) end(first []byte) []byte {
	size := listpackHead + len(first) + len(l.buf) + 1
	out := binary.LittleEndian.AppendUint32(make([]byte, 0, size), uint32(size))
	out = binary.LittleEndian.AppendUint16(out, uint16(min(l.count, manyEntries)))
	return append(append(append(out, first...), l.buf...), packedEnd)
}

func (l *packer) number(v int64) {
	from := len(l.buf)
	switch {
	case v >= 0 && v <= 127:
		l.buf = append(l.buf, byte(v))
	case v >= -4096 && v <= 4095:
		l.buf = append(l.buf, 0xc0|byte(uint64(v)>>8)&0x1f, byte(v))
	case v == int64(int16(v)):
		l.buf = binary.LittleEndian.AppendUint16(append(l.buf, 0xf1), uint16(v))
	case v == int64(int32(v)):
		l.buf = binary.LittleEndian.AppendUint32(append(l.buf, 0xf3), uint32(v))
	default:
		l.buf = binary.LittleEndian.AppendUint64(append(l.buf, 0xf4), uint64(v))
	}
	l.close(from)
}

func (l *packer) str(b []byte) {
	from := len(l.buf)
	switch n := len(b); {
	case n < 64:
		l.buf = append(l.buf, 0x80|byte(n))
	case n < 4096:
		l.buf = append(l.buf, 0xe0|byte(n>>8), byte(n))
	default:
		l.buf = binary.LittleEndian.AppendUint32(append(l.buf, 0xf0), uint32(n))
	}
	l.buf = append(l.buf, b...)
	l.close(from)
}

// close ends an entry with its length, seven bits a byte, to be read backwards.
func (l *packer) close(from int) {
	l.count++
	n := uint64(len(l.buf) - from)
	shift := 0
	for n>>(shift+7) != 0 {
		shift += 7
	}
	for first := shift; shift >= 0; shift -= 7 {
		b := byte(n>>shift) & 0x7f
		if shift != first {
			b |= 0x80
		}
		l.buf = append(l.buf, b)
	}
}
