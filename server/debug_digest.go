package server

import (
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"dkv/engine/keyspace"
	"dkv/server/command"
)

// digest is a signature of data that does not depend on its order: DEBUG
// DIGEST of dkv and of Redis are the same when the data is. See debug.c of
// Redis for the definition.
type digest [sha1.Size]byte

// add mixes in data whose order does not matter.
func (d *digest) add(data []byte) {
	sum := sha1.Sum(data)
	for i := range d {
		d[i] ^= sum[i]
	}
}

// mix mixes in data whose order matters.
func (d *digest) mix(data []byte) {
	d.add(data)
	*d = sha1.Sum(d[:])
}

func (d *digest) mixUint32(n uint32) {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	d.mix(b[:])
}

func (d *digest) String() string { return hex.EncodeToString(d[:]) }

// Numbers of types in a digest.
const (
	digestString = 0
	digestList   = 1
	digestSet    = 2
	digestZSet   = 3
	digestHash   = 4
	digestStream = 6
)

// value mixes in the value of a key. e must be the latest that tx found.
func (d *digest) value(tx *keyspace.Tx, e *keyspace.Entry) error {
	var err error
	switch e.Type {
	case keyspace.TypeString:
		d.mixUint32(digestString)
		d.mix(e.Body)
	case keyspace.TypeList:
		d.mixUint32(digestList)
		err = eachElement(tx, e, func(element, _ []byte) error {
			d.mix(element)
			return nil
		})
	case keyspace.TypeSet:
		d.mixUint32(digestSet)
		err = eachElement(tx, e, func(member, _ []byte) error {
			d.add(member)
			return nil
		})
	case keyspace.TypeZSet:
		d.mixUint32(digestZSet)
		err = eachElement(tx, e, func(member, value []byte) error {
			score, err := keyspace.ScoreOf(value)
			d.addPair(member, []byte(formatG17(score)))
			return err
		})
	case keyspace.TypeHash:
		d.mixUint32(digestHash)
		err = eachElement(tx, e, func(field, value []byte) error {
			d.addPair(field, value)
			return nil
		})
	case keyspace.TypeStream:
		d.mixUint32(digestStream)
		err = d.stream(tx, e)
	default:
		return fmt.Errorf("no digest of a %s", e.Type)
	}
	if e.ExpireAt != 0 {
		d.add([]byte("!!expire!!"))
	}
	return err
}

// stream mixes in the entries of a stream; as in Redis, not its groups.
func (d *digest) stream(tx *keyspace.Tx, e *keyspace.Entry) error {
	s, err := tx.Stream(*e)
	if err != nil {
		return err
	}
	return s.Range(keyspace.StreamID{}, keyspace.MaxStreamID, false, func(id keyspace.StreamID, fields [][]byte) bool {
		d.mix(fmt.Appendf(nil, "%d.%d", id.MS, id.Seq))
		for _, f := range fields {
			d.mix(f)
		}
		return true
	})
}

// addPair adds an element and its value.
func (d *digest) addPair(element, value []byte) {
	var one digest
	one.mix(element)
	one.mix(value)
	d.add(one[:])
}

func eachElement(tx *keyspace.Tx, e *keyspace.Entry, f func(element, value []byte) error) error {
	c, err := tx.Collection(*e, e.Type)
	if err != nil {
		return err
	}
	var failed error
	err = c.Each(func(element, value []byte) bool {
		failed = f(element, value)
		return failed == nil
	})
	return errors.Join(err, failed)
}

// formatG17 formats a score as C's "%.17g" does.
func formatG17(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', 16, 64), "e")
	if n, _ := strconv.Atoi(exponent); n >= -4 && n < 17 {
		return trimZeros(strconv.FormatFloat(f, 'f', 16-n, 64))
	}
	return trimZeros(mantissa) + "e" + exponent
}

func trimZeros(digits string) string {
	if strings.Contains(digits, ".") {
		digits = strings.TrimRight(strings.TrimRight(digits, "0"), ".")
	}
	return digits
}

func debugDigest(c *Conn, x *command.Ctx, _ [][]byte) error {
	defer c.ws.endReads()
	ids := c.ws.slots.All()
	if err := c.beginAll(ids); err != nil {
		return err
	}
	var shards []*keyspace.Tx
	for _, id := range ids {
		tx := &c.ws.reader(id).tx
		tx.NoTouch = true
		shards = append(shards, tx)
	}
	var all digest
	for db := range keyspace.Databases {
		there := false
		for _, tx := range shards {
			if err := all.database(tx, db, &there); err != nil {
				return err
			}
		}
	}
	x.Out.Simple(all.String())
	return nil
}

// database adds what one shard has of a database. there says that some shard
// had keys of it.
func (d *digest) database(tx *keyspace.Tx, db int, there *bool) error {
	var keys [][]byte
	err := tx.Keys(db, []byte("*"), func(key []byte) { keys = append(keys, append([]byte(nil), key...)) })
	if err != nil || len(keys) == 0 {
		return err
	}
	if !*there {
		*there = true
		d.mixUint32(uint32(db))
	}
	for _, key := range keys {
		e, err := tx.Peek(db, key)
		if err != nil {
			return err
		}
		if !e.Exists() {
			continue
		}
		var one digest
		one.mix(key)
		if err := one.value(tx, &e); err != nil {
			return err
		}
		tx.Trim()
		d.add(one[:])
	}
	return nil
}

func debugDigestValue(c *Conn, x *command.Ctx, args [][]byte) error {
	x.Out.Array(len(args))
	for _, key := range args {
		err := c.inRead(c.ws.shardOf(key), func(tx *keyspace.Tx) error {
			e, err := tx.Peek(x.DB, key)
			if err != nil {
				return err
			}
			var d digest
			if e.Exists() {
				if err := d.value(tx, &e); err != nil {
					return err
				}
			}
			x.Out.Simple(d.String())
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
