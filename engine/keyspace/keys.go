package keyspace

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Databases is the number of logical databases, and of physical ones.
const Databases = 16

// ErrCorrupt says that a record of the keyspace does not parse. Errors that wrap
// it name the record.
var ErrCorrupt = errors.New("keyspace: corrupt record")

// The first byte of an engine key. The keys of 'e' (elements of collections) and 'z'
// (score order of sorted sets) are drawn in element.go; they start with the database
// and a slot as those of 'm' do.
const (
	kindElement = 'e'
	kindMeta    = 'm'
	kindState   = 's'
	kindExpiry  = 'x'
	kindScore   = 'z'
)

// physical is the number of a database in engine keys. Logical databases, which
// clients select, map to physical ones (see dbMap).
type physical uint8

// Layout of the engine's keys (all numbers big endian):
//
//	meta:    'm'  db 1  slot 2  key
//	expiry:  'x'  expireAt ms 8  db 1  slot 2  key
//	state:   's'  name                               see state.go
//
// expireAt is the key's, or a time before which none of a hash's fields expires (see
// field.go). A slot of a database is one key range; keys stand in it in the order of their
// bytes. The slot is part of the expiry record so that a reaper can find the Meta
// record without hashing, and so that both can be moved with the slot.
const (
	metaKeyHeader   = 1 + 1 + 2
	expiryKeyHeader = 1 + 8 + 1 + 2
)

func appendMetaKey(dst []byte, db physical, slot Slot, key []byte) []byte {
	dst = append(dst, kindMeta, byte(db), byte(slot>>8), byte(slot))
	return append(dst, key...)
}

// appendMetaSlotStart appends the lower bound of a slot. A slot of SlotCount is the
// upper bound of the database.
func appendMetaSlotStart(dst []byte, db physical, slot Slot) []byte {
	return append(dst, kindMeta, byte(db), byte(slot>>8), byte(slot))
}

func parseMetaKey(k []byte) (db physical, slot Slot, key []byte, err error) {
	if len(k) < metaKeyHeader || k[0] != kindMeta || k[1] >= Databases {
		return 0, 0, nil, fmt.Errorf("%w: meta key %q", ErrCorrupt, clip(k))
	}
	slot = Slot(binary.BigEndian.Uint16(k[2:]))
	if slot >= SlotCount {
		return 0, 0, nil, fmt.Errorf("%w: meta key %q", ErrCorrupt, clip(k))
	}
	return physical(k[1]), slot, k[metaKeyHeader:], nil
}

func appendExpiryKey(dst []byte, expireAt int64, db physical, slot Slot, key []byte) []byte {
	dst = appendExpiryBound(dst, expireAt)
	dst = append(dst, byte(db), byte(slot>>8), byte(slot))
	return append(dst, key...)
}

// appendExpiryBound appends the lower bound of the expiry records at a time.
func appendExpiryBound(dst []byte, expireAt int64) []byte {
	dst = append(dst, kindExpiry)
	return binary.BigEndian.AppendUint64(dst, uint64(expireAt))
}

func parseExpiryKey(k []byte) (expireAt int64, db physical, slot Slot, key []byte, err error) {
	if len(k) < expiryKeyHeader || k[0] != kindExpiry || k[9] >= Databases {
		return 0, 0, 0, nil, fmt.Errorf("%w: expiry key %q", ErrCorrupt, clip(k))
	}
	expireAt = int64(binary.BigEndian.Uint64(k[1:]))
	slot = Slot(binary.BigEndian.Uint16(k[10:]))
	if expireAt <= 0 || slot >= SlotCount {
		return 0, 0, 0, nil, fmt.Errorf("%w: expiry key %q", ErrCorrupt, clip(k))
	}
	return expireAt, physical(k[9]), slot, k[expiryKeyHeader:], nil
}

// clip keeps an error text short.
func clip(b []byte) []byte {
	const most = 64
	return b[:min(len(b), most)]
}
