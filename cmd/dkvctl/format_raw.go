package main

import "strconv"

// appendRaw appends r as it is, for a pipe: no types, no quotes, the elements
// of an aggregate on a line each (the key and value of a map on one), nil as
// an empty line. No line end follows.
func appendRaw(dst []byte, r *reply) []byte {
	switch r.kind {
	case kindInt:
		return strconv.AppendInt(dst, r.num, 10)
	case kindBool:
		return append(dst, boolText(r.num)...)
	case kindNil:
		return dst
	case kindArray, kindSet, kindPush:
		for i := range r.elems {
			if i > 0 {
				dst = append(dst, '\n')
			}
			dst = appendRaw(dst, &r.elems[i])
		}
		return dst
	case kindMap:
		for i := 0; i+1 < len(r.elems); i += 2 {
			if i > 0 {
				dst = append(dst, '\n')
			}
			dst = append(appendRaw(dst, &r.elems[i]), ' ')
			dst = appendRaw(dst, &r.elems[i+1])
		}
		return dst
	}
	return append(dst, r.str...)
}
