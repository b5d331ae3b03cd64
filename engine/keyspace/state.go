package keyspace

import (
	"encoding/binary"
	"fmt"

	"dkv/engine"
)

// The keyspace's own records. Numbers are big endian.
//
//	"sformat"          1 byte   version of the layout of all of the keyspace's records
//	"sdbmap"           16 bytes generation 8 (number of times it changed), map 8 (see dbMap)
//	"scount" db        24 bytes of a physical database: keys 8, keys with expiry 8,
//	                            sum of their expiry times 8 (see ttlWeight)
//	"sversion"         8 bytes  every Version handed out is below it
//
// An absent record stands for zero, and for the identity map.
var (
	formatKey  = []byte("sformat")
	dbMapKey   = []byte("sdbmap")
	countKey   = []byte("scount") // followed by the database
	versionKey = []byte("sversion")
)

const (
	formatVersion = 1
	countBytes    = 24
)

// dbMap maps logical databases to physical ones: database i is nibble i.
type dbMap uint64

const identityMap dbMap = 0xfedcba9876543210

func (m dbMap) of(logical int) physical {
	return physical(m >> (4 * uint(logical)) & 0xf)
}

// logicalOf is the inverse.
func (m dbMap) logicalOf(db physical) int {
	for i := range Databases {
		if m.of(i) == db {
			return i
		}
	}
	panic("keyspace: the database map is not a permutation")
}

func (m dbMap) swapped(a, b int) dbMap {
	x := m>>(4*uint(a)) ^ m>>(4*uint(b))
	x &= 0xf
	return m ^ x<<(4*uint(a)) ^ x<<(4*uint(b))
}

func (m dbMap) valid() bool {
	var seen uint16
	for i := range Databases {
		seen |= 1 << m.of(i)
	}
	return seen == 1<<Databases-1
}

// count is what the keyspace knows of a physical database; also a change of it.
type count struct {
	keys, expires int64
	ttlSum        int64
}

// ttlWeight is what a key with that expiry adds to its database's sum: seconds,
// with a cap, so that the sum of any number of keys stays meaningful. Sums wrap
// around without harm, since every key takes away what it added.
func ttlWeight(expireAt int64) int64 {
	const maxSeconds = 1 << 34
	return min(expireAt/1000, maxSeconds)
}

func appendCountKey(dst []byte, db physical) []byte {
	return append(append(dst, countKey...), byte(db))
}

func (c count) appendTo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(c.keys))
	dst = binary.BigEndian.AppendUint64(dst, uint64(c.expires))
	return binary.BigEndian.AppendUint64(dst, uint64(c.ttlSum))
}

func decodeCount(b []byte) (count, error) {
	if len(b) != countBytes {
		return count{}, fmt.Errorf("%w: count of %d bytes", ErrCorrupt, len(b))
	}
	c := count{
		keys:    int64(binary.BigEndian.Uint64(b)),
		expires: int64(binary.BigEndian.Uint64(b[8:])),
		ttlSum:  int64(binary.BigEndian.Uint64(b[16:])),
	}
	if c.keys < 0 || c.expires < 0 || c.expires > c.keys {
		return count{}, fmt.Errorf("%w: count %d, %d", ErrCorrupt, c.keys, c.expires)
	}
	return c, nil
}

// readCount reads a database's counts from r; buf is scratch, returned for reuse.
func readCount(r engine.Reader, db physical, buf []byte) (count, []byte, error) {
	buf = appendCountKey(buf[:0], db)
	n := len(buf)
	buf, found, err := r.Get(buf, buf[:n])
	if err != nil || !found {
		return count{}, buf, err
	}
	c, err := decodeCount(buf[n:])
	return c, buf, err
}

func appendDBMap(dst []byte, generation uint64, m dbMap) []byte {
	dst = binary.BigEndian.AppendUint64(dst, generation)
	return binary.BigEndian.AppendUint64(dst, uint64(m))
}

// readDBMap reads the map and its generation from r.
func readDBMap(r engine.Reader, buf []byte) (generation uint64, m dbMap, _ []byte, err error) {
	buf, found, err := r.Get(buf[:0], dbMapKey)
	if err != nil {
		return 0, 0, buf, err
	}
	if !found {
		return 0, identityMap, buf, nil
	}
	if len(buf) != 16 {
		return 0, 0, buf, fmt.Errorf("%w: database map of %d bytes", ErrCorrupt, len(buf))
	}
	m = dbMap(binary.BigEndian.Uint64(buf[8:]))
	if !m.valid() {
		return 0, 0, buf, fmt.Errorf("%w: database map %x", ErrCorrupt, uint64(m))
	}
	return binary.BigEndian.Uint64(buf), m, buf, nil
}

// readVersion reads the bound of the versions that were handed out.
func readVersion(r engine.Reader) (Version, error) {
	b, found, err := r.Get(nil, versionKey)
	if err != nil || !found {
		return 0, err
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("%w: version of %d bytes", ErrCorrupt, len(b))
	}
	return Version(binary.BigEndian.Uint64(b)), nil
}

// readFormat reports whether the format record is there, and refuses another
// version.
func readFormat(r engine.Reader) (bool, error) {
	b, found, err := r.Get(nil, formatKey)
	if err != nil || !found {
		return false, err
	}
	if len(b) != 1 || b[0] != formatVersion {
		return false, fmt.Errorf("%w: layout %x, this build knows %d", engine.ErrDataFormat, b, formatVersion)
	}
	return true, nil
}
