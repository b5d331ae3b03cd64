package keyspace

import (
	"encoding/binary"
	"fmt"
)

// What is known of the score records of a sorted set stands behind the head of its
// Meta record: all of them are >= low and < high, each a part of a key from the
// score on, or empty for not known.
//
//	uvarint(len low)  low  uvarint(len high)  high
//
// Pops set them. Without, a queue (ZADD, ZPOPMIN) would walk over the tombstones of
// all that was popped before, at every pop, until they are compacted away.
const maxBoundBytes = scoreBytes + 56

func parseBounds(rest []byte) (low, high []byte, err error) {
	if len(rest) == 0 {
		return nil, nil, nil
	}
	low, rest, ok := takeString(rest)
	if ok {
		high, rest, ok = takeString(rest)
	}
	if !ok || len(rest) != 0 || len(low) > maxBoundBytes || len(high) > maxBoundBytes {
		return nil, nil, fmt.Errorf("%w: bounds of a sorted set", ErrCorrupt)
	}
	return low, high, nil
}

func appendBounds(dst, low, high []byte) []byte {
	if len(low)+len(high) == 0 {
		return dst
	}
	dst = append(binary.AppendUvarint(dst, uint64(len(low))), low...)
	return append(binary.AppendUvarint(dst, uint64(len(high))), high...)
}

func (c *Collection) setBounds(low, high []byte) {
	c.rest = appendBounds(nil, low, high)
	c.touched, c.dirty = true, true
}

// lowBound returns a bound that is at or before a score key's end, and no longer
// than it may be.
func lowBound(suffix []byte) []byte { return suffix[:min(len(suffix), maxBoundBytes)] }

// highBound returns a bound that is behind a score key's end: the next possible one,
// or, when that is too long, the next score.
func highBound(suffix []byte) []byte {
	if len(suffix) < maxBoundBytes {
		return append(append([]byte(nil), suffix...), 0)
	}
	return appendUint64(nil, binary.BigEndian.Uint64(suffix)+1)
}

// widen makes the bounds include a score record that is written.
func (c *Collection) widen(suffix []byte) error {
	if len(c.rest) == 0 {
		return nil
	}
	low, high, err := parseBounds(c.rest)
	if err != nil {
		return err
	}
	switch {
	case len(low) != 0 && string(suffix) < string(low):
		c.setBounds(lowBound(suffix), high)
	case len(high) != 0 && string(suffix) >= string(high):
		c.setBounds(low, highBound(suffix))
	}
	return nil
}

// Pop removes up to n members with the lowest scores of a sorted set, or the
// highest, and calls emit for each, the outermost first. What emit gets is valid during
// the call.
func (c *Collection) Pop(highest bool, n int64, emit func(member []byte, score float64)) error {
	if n <= 0 {
		return nil
	}
	if c.separate {
		return c.popQueued(highest, n, emit)
	}
	var members []byte
	var ends []int
	err := c.Scores(Place{}, Place{}, highest, func(member []byte, score float64) bool {
		members = append(members, member...)
		ends = append(ends, len(members))
		emit(member, score)
		n--
		return n > 0
	})
	if err != nil {
		return err
	}
	start := 0
	for _, end := range ends {
		if _, err := c.Remove(members[start:end]); err != nil {
			return err
		}
		start = end
	}
	return nil
}
