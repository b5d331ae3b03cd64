package command

import (
	"bytes"
	"errors"
	"fmt"

	"dkv/engine/keyspace"
	"dkv/server/rdb"
)

// dumpHash appends a hash: as every Redis has it or, when it has fields that expire, as
// Redis 7.4 does. What has expired is left out.
func dumpHash(dst []byte, tx *keyspace.Tx, e *keyspace.Entry) ([]byte, rdb.Type, error) {
	h, err := tx.Collection(*e, keyspace.TypeHash)
	if err != nil {
		return dst, rdb.TypeHash, err
	}
	soonest := h.NextExpiry()
	if soonest == 0 {
		return dumpElements(rdb.TypeHash, appendField)(dst, tx, e)
	}
	live, err := h.Live()
	if err != nil {
		return dst, rdb.TypeHashExpiry, err
	}
	dst = rdb.AppendLength(rdb.AppendMillis(dst, soonest), uint64(live))
	var failed error
	n := int64(0)
	err = h.Each(func(field, value []byte) bool {
		n++
		field, value = bytes.Clone(field), bytes.Clone(value) // the next lookup may use what they are in
		var at int64
		if at, _, failed = h.FieldExpiry(field); failed != nil {
			return false
		}
		if at != 0 {
			at -= soonest - 1
		}
		dst = rdb.AppendString(rdb.AppendString(rdb.AppendLength(dst, uint64(at)), field), value)
		return true
	})
	if err == nil && failed == nil && n != live {
		failed = fmt.Errorf("%w: %d of %d fields", keyspace.ErrCorrupt, n, live)
	}
	return dst, rdb.TypeHashExpiry, errors.Join(err, failed)
}
