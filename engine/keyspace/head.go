package keyspace

import (
	"encoding/binary"
	"fmt"
)

// head begins the body of a collection's Meta record. What follows it are, when the
// elements are inline, the elements (see inline.go), otherwise numbers of the
// type's own (a list's ends, see list.go; a stream's last id).
//
//	+-------+----------+------------+---------+---------+---------+-------------+------
//	| flags | encoding | home       | moves   | size    | dead    | next expiry | rest
//	| 4 bit | 4 bit    | 2, if away | uvarint | uvarint | uvarint | 8, if timed | ...
//	+-------+----------+------------+---------+---------+---------+-------------+------
//
// Flags: 0x01 elements are records of their own, 0x02 home is there; of hashes only:
// 0x04 values are tagged, 0x08 timed (see field.go). Inline collections have version 0, others a version of their own.
type head struct {
	// separate: the elements are records of their own, not inline.
	separate bool
	encoding Encoding
	// home is the slot that the element records stand in, when that is not the
	// key's (away): where the collection was before RENAME.
	away bool
	home Slot
	// moves counts the renames, so that a reader which finds the same version
	// and count again knows that it was the same key's all the time between.
	moves uint64
	size  uint64
	// dead is how many elements were removed one by one since the version was made:
	// their tombstones may still be there. 0 for inline ones.
	dead uint64
	// listEnds is what rest says of a list whose elements are records.
	listEnds
	// tagged: values begin with a tag (see field.go).
	tagged bool
	// nextExpiry is a time up to which no field expires, in ms; 0: none does.
	nextExpiry int64
}

const (
	headSeparate   = 0x01
	headAway       = 0x02
	headTagged     = 0x04
	headTimed      = 0x08
	headFlagsKnown = headSeparate | headAway
	headFlagsHash  = headFlagsKnown | headTagged | headTimed
)

// Encoding is the form that Redis would keep a collection in, by its limits when
// elements were added; as in Redis it never goes back. It does not say how dkv keeps
// it. The numbers are part of the disk format.
type Encoding uint8

// The encodings of each type begin with the one of an empty collection.
const (
	HashListpack  Encoding = 0
	HashTable     Encoding = 1
	SetIntset     Encoding = 0
	SetListpack   Encoding = 1
	SetTable      Encoding = 2
	ZSetListpack  Encoding = 0
	ZSetSkiplist  Encoding = 1
	ListListpack  Encoding = 0
	ListQuicklist Encoding = 1
)

var encodingNames = [...][]string{
	TypeList:   {"listpack", "quicklist"},
	TypeSet:    {"intset", "listpack", "hashtable"},
	TypeZSet:   {"listpack", "skiplist"},
	TypeHash:   {"listpack", "hashtable"},
	TypeStream: {"stream"},
}

// append appends the head's disk form.
func (h *head) append(dst []byte) []byte {
	flags := byte(h.encoding) << 4
	if h.separate {
		flags |= headSeparate
	}
	if h.tagged {
		flags |= headTagged
	}
	if h.nextExpiry != 0 {
		flags |= headTimed
	}
	if h.away {
		dst = append(dst, flags|headAway, byte(h.home>>8), byte(h.home))
	} else {
		dst = append(dst, flags)
	}
	dst = binary.AppendUvarint(dst, h.moves)
	dst = binary.AppendUvarint(dst, h.size)
	dst = binary.AppendUvarint(dst, h.dead)
	if h.nextExpiry != 0 {
		dst = appendUint64(dst, uint64(h.nextExpiry))
	}
	return dst
}

// parseHead parses the body of a collection of that type. rest points into body. An
// error wraps ErrCorrupt.
func parseHead(t Type, body []byte) (h head, rest []byte, err error) {
	if len(body) == 0 {
		return h, nil, fmt.Errorf("%w: %s without a head", ErrCorrupt, t)
	}
	flags := body[0]
	rest = body[1:]
	h.separate = flags&headSeparate != 0
	h.away = flags&headAway != 0
	h.tagged = flags&headTagged != 0
	h.encoding = Encoding(flags >> 4)
	known := byte(headFlagsKnown)
	if t == TypeHash {
		known = headFlagsHash
	}
	timed := flags&headTimed != 0
	if flags&0x0f&^known != 0 || timed && !h.tagged || int(h.encoding) >= len(encodingNames[t]) || h.away && !h.separate {
		return h, nil, fmt.Errorf("%w: %s with flags %#x", ErrCorrupt, t, flags)
	}
	if h.away {
		if len(rest) < 2 {
			return h, nil, fmt.Errorf("%w: %s cut short", ErrCorrupt, t)
		}
		if h.home, rest = Slot(binary.BigEndian.Uint16(rest)), rest[2:]; h.home >= SlotCount {
			return h, nil, fmt.Errorf("%w: %s with home %d", ErrCorrupt, t, h.home)
		}
	}
	ok := false
	if h.moves, rest, ok = takeUvarint(rest); ok {
		if h.size, rest, ok = takeUvarint(rest); ok {
			h.dead, rest, ok = takeUvarint(rest)
		}
	}
	if !ok || h.size > maxSize || h.dead > maxSize {
		return h, nil, fmt.Errorf("%w: %s with a bad size", ErrCorrupt, t)
	}
	if t == TypeList && h.separate {
		if err := parseListEnds(&h, rest); err != nil {
			return h, nil, err
		}
	}
	if timed {
		if len(rest) < fieldTimeBytes {
			return h, nil, fmt.Errorf("%w: %s cut short", ErrCorrupt, t)
		}
		if h.nextExpiry, rest = int64(binary.BigEndian.Uint64(rest)), rest[fieldTimeBytes:]; h.nextExpiry <= 0 {
			return h, nil, fmt.Errorf("%w: %s with next expiry %d", ErrCorrupt, t, h.nextExpiry)
		}
	}
	return h, rest, nil
}

const maxSize = 1<<62 - 1

func takeUvarint(b []byte) (n uint64, rest []byte, ok bool) {
	n, w := binary.Uvarint(b)
	if w <= 0 {
		return 0, nil, false
	}
	return n, b[w:], true
}
