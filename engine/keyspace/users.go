package keyspace

import (
	"fmt"

	"dkv/engine"
)

// Users are records of shard 0's own, like scripts: see ScriptRecord. No flush deletes
// them, and what counts or lists keys does not see them. Package server names them.
//
//	"sacl:" name
var userKey = []byte("sacl:")

// UserRecord returns what PutUserRecord has stored under name, appended to dst.
func (tx *Tx) UserRecord(dst []byte, name string) (value []byte, found bool, err error) {
	tx.key = append(append(tx.key[:0], userKey...), name...)
	value, found, err = tx.r.Get(dst, tx.key)
	if err != nil {
		err = fmt.Errorf("keyspace: read user: %w", err)
	}
	return value, found, err
}

// PutUserRecord stores a record. For write Txs.
func (tx *Tx) PutUserRecord(name string, value []byte) {
	tx.key = append(append(tx.key[:0], userKey...), name...)
	tx.ov.Put(tx.key, value)
}

// DeleteUserRecord deletes a record. For write Txs.
func (tx *Tx) DeleteUserRecord(name string) {
	tx.key = append(append(tx.key[:0], userKey...), name...)
	tx.ov.Delete(tx.key)
}

// NoteUsers records that users have changed: whoever applies the batch is told. On a read
// Tx nothing happens.
func (tx *Tx) NoteUsers() { tx.note(ClassUsers, "", 0, nil) }

// UserRecords calls f with each record whose name has a prefix, which is not empty, in the
// order of names, until f returns an error, which is returned. The value is valid during
// the call.
func (tx *Tx) UserRecords(prefix string, f func(name string, value []byte) error) (err error) {
	lower := append(append([]byte(nil), userKey...), prefix...)
	upper := append([]byte(nil), lower...)
	upper[len(upper)-1]++ // a prefix ends in no 0xff
	it, err := tx.r.NewIter(engine.IterOptions{Lower: lower, Upper: upper})
	if err != nil {
		return fmt.Errorf("keyspace: read users: %w", err)
	}
	defer func() {
		if e := it.Close(); err == nil {
			err = e
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.Value()
		if err != nil {
			return fmt.Errorf("keyspace: read users: %w", err)
		}
		if err := f(string(it.Key()[len(userKey):]), value); err != nil {
			return err
		}
	}
	return it.Err()
}
