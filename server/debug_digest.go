package server

import (
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"

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
const digestString = 0

// value mixes in the value of a key; only strings exist yet.
func (d *digest) value(e *keyspace.Entry) {
	d.mixUint32(digestString)
	d.mix(e.Body)
	if e.ExpireAt != 0 {
		d.add([]byte("!!expire!!"))
	}
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
		one.value(&e)
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
				d.value(&e)
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
