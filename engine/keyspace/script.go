package keyspace

import (
	"fmt"

	"dkv/engine"
)

// Scripts and libraries of functions are records of the shard's own, which belong to
// no database: they are logged, replicated and in raft snapshots like keys, and no
// flush of a database deletes them. Package script names them.
//
//	"slua:" name
var scriptKey = []byte("slua:")

// ScriptRecord returns what PutScriptRecord has stored under name, appended to dst.
func (tx *Tx) ScriptRecord(dst []byte, name string) (value []byte, found bool, err error) {
	tx.key = append(append(tx.key[:0], scriptKey...), name...)
	value, found, err = tx.r.Get(dst, tx.key)
	if err != nil {
		err = fmt.Errorf("keyspace: read script: %w", err)
	}
	return value, found, err
}

// PutScriptRecord stores a record. For write Txs.
func (tx *Tx) PutScriptRecord(name string, value []byte) {
	tx.key = append(append(tx.key[:0], scriptKey...), name...)
	tx.ov.Put(tx.key, value)
}

// DeleteScriptRecord deletes a record. For write Txs.
func (tx *Tx) DeleteScriptRecord(name string) {
	tx.key = append(append(tx.key[:0], scriptKey...), name...)
	tx.ov.Delete(tx.key)
}

// DeleteScriptRecords deletes the records whose names have a prefix. For write Txs.
func (tx *Tx) DeleteScriptRecords(prefix string) error {
	var names []string
	err := tx.ScriptRecords(prefix, func(name string, _ []byte) error {
		names = append(names, name)
		return nil
	})
	for _, name := range names {
		tx.DeleteScriptRecord(name)
	}
	return err
}

// ScriptRecords calls f with each record whose name has a prefix, in the order of
// names, until f returns an error, which is returned. The value is valid during the
// call.
func (tx *Tx) ScriptRecords(prefix string, f func(name string, value []byte) error) (err error) {
	lower := append(append([]byte(nil), scriptKey...), prefix...)
	upper := append([]byte(nil), lower...)
	upper[len(upper)-1]++ // a prefix ends in no 0xff
	it, err := tx.r.NewIter(engine.IterOptions{Lower: lower, Upper: upper})
	if err != nil {
		return fmt.Errorf("keyspace: read scripts: %w", err)
	}
	defer func() {
		if e := it.Close(); err == nil {
			err = e
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.Value()
		if err != nil {
			return fmt.Errorf("keyspace: read scripts: %w", err)
		}
		if err := f(string(it.Key()[len(scriptKey):]), value); err != nil {
			return err
		}
	}
	return it.Err()
}

// ReadOnly reports whether the Tx is one for reading.
func (tx *Tx) ReadOnly() bool { return tx.ov == nil }

// PendingBytes is the size of the batch that a write Tx is building.
func (tx *Tx) PendingBytes() int { return tx.ov.Batch().Len() }

// PendingRecords is the number of records in that batch.
func (tx *Tx) PendingRecords() int { return int(tx.ov.Batch().Count()) }
