package keyspace

import (
	"encoding/binary"
	"fmt"
)

// Bounds of collections whose elements are kept in the Meta record: one read, one
// write, no other record. What outgrows them gets element records, for good. Every
// change rewrites the record, so it must stay small; the bound on bytes is about
// ten times what an element record and a Meta record cost together in the log.
const (
	maxInlineEntries = 128
	maxInlineElement = 64 // bytes of an element, and of its value
	maxInlineBytes   = 1 << 10
)

// Inline elements, one after the other:
//
//	hash:        uvarint(len field)   field   uvarint(len value)  value
//	set, list:   uvarint(len member)  member
//	sorted set:  uvarint(len member)  member  score's bits 8
//
// Hashes and sets keep the order in which elements came, except that sets of
// integers stand in the order of numbers; sorted sets are in the order of scores,
// lists in their own.
type inlineEntry struct {
	element, value []byte
	// start and end are where the entry stands.
	start, end int
}

// nextInline returns the entry at a position of an inline collection; ok is false
// at its end. An error wraps ErrCorrupt.
func nextInline(t Type, b []byte, at int) (e inlineEntry, ok bool, err error) {
	if at == len(b) {
		return e, false, nil
	}
	e.start = at
	rest := b[at:]
	if e.element, rest, ok = takeString(rest); ok {
		switch t {
		case TypeHash:
			e.value, rest, ok = takeString(rest)
		case TypeZSet:
			if ok = len(rest) >= scoreBytes; ok {
				e.value, rest = rest[:scoreBytes:scoreBytes], rest[scoreBytes:]
			}
		case TypeSet, TypeList:
		default:
			ok = false
		}
	}
	if !ok {
		return e, false, fmt.Errorf("%w: inline %s", ErrCorrupt, t)
	}
	e.end = len(b) - len(rest)
	return e, true, nil
}

func appendInline(t Type, dst, element, value []byte) []byte {
	dst = append(binary.AppendUvarint(dst, uint64(len(element))), element...)
	switch t {
	case TypeHash:
		dst = append(binary.AppendUvarint(dst, uint64(len(value))), value...)
	case TypeZSet:
		dst = append(dst, value...)
	}
	return dst
}

func takeString(b []byte) (s, rest []byte, ok bool) {
	n, rest, ok := takeUvarint(b)
	if !ok || n > uint64(len(rest)) {
		return nil, nil, false
	}
	return rest[:n:n], rest[n:], true
}

// findInline looks an element up.
func findInline(t Type, b, element []byte) (e inlineEntry, found bool, err error) {
	for at := 0; ; at = e.end {
		var ok bool
		if e, ok, err = nextInline(t, b, at); err != nil || !ok {
			return e, false, err
		}
		if string(e.element) == string(element) {
			return e, true, nil
		}
	}
}
