package badgerdb

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sort"

	"dkv/engine"
)

// Keys in Badger, whose keys have at most 65000 bytes:
//
//	0x00 name                                  ours
//	0x01 key                                   a record whose key is not long
//	0x01 first maxShortKey bytes of keys 0x00  all records whose keys are longer and
//	                                           begin like that: a bucket
//
// A bucket stands where its records belong: after the key that is all they have in
// common, and before any other that follows it. Its value:
//
//	uvarint(len rest) rest uvarint(len value) value ...   sorted by rest
//
// where rest is the key without those first bytes. Long keys are rare, and a bucket
// is written as a whole when one of its records changes.
const (
	metaPrefix = 0x00
	keyPrefix  = 0x01
	// dropPrefix is of keys that are written to be dropped (see Compact).
	dropPrefix = 0x7f

	maxShortKey = 60000
)

func isLong(key []byte) bool { return len(key) > maxShortKey }

// storeKey appends the key under which Badger has a key, or its bucket.
func storeKey(dst, key []byte) []byte {
	dst = append(dst, keyPrefix)
	if isLong(key) {
		return append(append(dst, key[:maxShortKey]...), 0)
	}
	return append(dst, key...)
}

// isBucket tells a bucket's key.
func isBucket(storeKey []byte) bool { return len(storeKey) > 1+maxShortKey }

type bucketRecord struct{ rest, value []byte }

// bucket holds the records of long keys that begin alike, in order.
type bucket []bucketRecord

// parseBucket reads a bucket; its records point into b.
func parseBucket(b []byte) (bucket, error) {
	var all bucket
	str := func() ([]byte, bool) {
		n, w := binary.Uvarint(b)
		if w <= 0 || n > uint64(len(b)-w) {
			return nil, false
		}
		s := b[w : w+int(n)]
		b = b[w+int(n):]
		return s, true
	}
	for len(b) > 0 {
		rest, ok := str()
		value, ok2 := str()
		if !ok || !ok2 {
			return nil, fmt.Errorf("%w: a bucket of long keys", engine.ErrCorrupt)
		}
		all = append(all, bucketRecord{rest, value})
	}
	return all, nil
}

func (b bucket) encode() []byte {
	var out []byte
	for _, r := range b {
		out = append(binary.AppendUvarint(out, uint64(len(r.rest))), r.rest...)
		out = append(binary.AppendUvarint(out, uint64(len(r.value))), r.value...)
	}
	return out
}

// find returns the first record that is not below rest, and whether it is rest.
func (b bucket) find(rest []byte) (int, bool) {
	i := sort.Search(len(b), func(i int) bool { return bytes.Compare(b[i].rest, rest) >= 0 })
	return i, i < len(b) && bytes.Equal(b[i].rest, rest)
}

// set changes or adds a record.
func (b *bucket) set(rest, value []byte) {
	i, found := b.find(rest)
	if !found {
		*b = append(*b, bucketRecord{})
		copy((*b)[i+1:], (*b)[i:])
	}
	(*b)[i] = bucketRecord{rest, value}
}

func (b *bucket) remove(rest []byte) {
	if i, found := b.find(rest); found {
		*b = append((*b)[:i], (*b)[i+1:]...)
	}
}
