package keyspace

import (
	"bytes"
	"fmt"

	"dkv/engine"
)

// maxReapLag is how far, in ms, a reaper's position may fall behind while nothing
// is due. Keys that are deleted or get another expiry leave tombstones in the
// index; each look would walk over all of them since that position.
const maxReapLag = 1000

// ExpiredBefore reports whether Reap has something to do at nowMS: a record of the
// expiry index at or after from (what the last Reap returned; nil: the start) is
// due, or the position must be moved on. It may be called beside the writer, which
// need not be bothered otherwise.
func (ks *Keyspace) ExpiredBefore(r engine.Reader, from []byte, nowMS int64) (bool, error) {
	o := ks.dueRange(from, nowMS)
	if from == nil || ks.reapBehind.Load() != noReapBehind ||
		bytes.Compare(from, appendExpiryBound(nil, max(nowMS-maxReapLag, 0))) < 0 {
		return true, nil
	}
	if bytes.Compare(o.Lower, o.Upper) >= 0 {
		return false, nil
	}
	it, err := r.NewIter(o)
	if err != nil {
		return false, fmt.Errorf("keyspace: iterate expiry index: %w", err)
	}
	due := it.First()
	err = it.Err()
	if closeErr := it.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return false, fmt.Errorf("keyspace: iterate expiry index: %w", err)
	}
	return due, nil
}

// Reap deletes up to limit keys whose time has come, within a write Tx: it goes
// through the expiry index from a key of it on (nil: the start), and deletes what
// really has expired; index records that belong to no key (any more) it only
// takes out of the index. It returns how many keys it deleted, the index key to go
// on from once this batch has been applied, which keeps it from walking over the
// tombstones that it left, and whether there is more to do now. next is valid
// until the next call of Reap with this Tx.
func (ks *Keyspace) Reap(tx *Tx, from []byte, limit int) (n int, next []byte, more bool, err error) {
	o := ks.dueRange(from, tx.now)
	if bytes.Compare(o.Lower, o.Upper) >= 0 {
		return 0, from, false, nil
	}
	if more, err = tx.collectDue(o, limit); err != nil {
		return 0, nil, false, err
	}
	start, done := 0, 0
	tx.reapAgain = noReapBehind
	for _, end := range tx.reapEnds {
		if done > 0 && tx.ov.Batch().Len() >= maxReapBytes {
			more = true
			break
		}
		deleted, err := tx.reapOne(tx.reapKeys[start:end])
		if err != nil {
			return 0, nil, false, err
		}
		if deleted {
			n++
		}
		start = end
		done++
	}
	tx.reapedFrom = min(tx.reapedFrom, ks.reapBehind.Swap(noReapBehind))
	ks.reaped = max(ks.reaped, tx.now)
	if tx.reapAgain != noReapBehind { // behind what is walked by now
		ks.reapBehind.Store(tx.reapAgain)
		more = true
	}
	if !more {
		return n, o.Upper, false, nil
	}
	last := tx.reapKeys[:start]
	if done > 1 {
		last = tx.reapKeys[tx.reapEnds[done-2]:start]
	}
	return n, append(last[:len(last):len(last)], 0), true, nil
}

// dueRange is the part of the expiry index that is due and not walked yet.
func (ks *Keyspace) dueRange(from []byte, nowMS int64) engine.IterOptions {
	if behind := ks.reapBehind.Load(); from == nil || behind != noReapBehind {
		lower := appendExpiryBound(nil, max(min(behind, nowMS), 0))
		if from == nil {
			lower = appendExpiryBound(nil, 0)
		}
		if from == nil || bytes.Compare(lower, from) < 0 {
			from = lower
		}
	}
	return engine.IterOptions{Lower: from, Upper: appendExpiryBound(nil, nowMS), KeysOnly: true}
}

// collectDue copies up to limit index keys, because the batch must not change
// under an iterator.
func (tx *Tx) collectDue(o engine.IterOptions, limit int) (more bool, err error) {
	it, err := tx.r.NewIter(o)
	if err != nil {
		return false, fmt.Errorf("keyspace: iterate expiry index: %w", err)
	}
	if cap(tx.reapKeys) > maxReapScratch {
		tx.reapKeys = nil
	}
	tx.reapKeys, tx.reapEnds = tx.reapKeys[:0], tx.reapEnds[:0]
	for ok := it.First(); ok; ok = it.Next() {
		if len(tx.reapEnds) >= limit {
			more = true
			break
		}
		tx.reapKeys = append(tx.reapKeys, it.Key()...)
		tx.reapEnds = append(tx.reapEnds, len(tx.reapKeys))
	}
	err = it.Err()
	if closeErr := it.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return false, fmt.Errorf("keyspace: iterate expiry index: %w", err)
	}
	return more, nil
}

// maxReapBytes is the size of the batch from which Reap leaves the rest for the next
// call: a key may be a collection with a thousand elements to delete.
const maxReapBytes = 1 << 20

// maxReapScratch is how much memory Reap keeps for the next call.
const maxReapScratch = 1 << 20

// reapOne deletes an index record, and its key when the key's own record agrees.
func (tx *Tx) reapOne(indexKey []byte) (deleted bool, err error) {
	expireAt, db, _, key, err := parseExpiryKey(indexKey)
	if err != nil {
		return false, err
	}
	logical := tx.dbMap.logicalOf(db)
	e, err := tx.find(logical, key, &tx.value)
	if err != nil {
		return false, err
	}
	switch {
	case e.stored && e.was.ExpireAt == expireAt:
		tx.Note(ClassExpired, "expired", logical, key)
		tx.remove(&e)
		return true, nil
	case e.Exists() && e.wasHead.nextExpiry == expireAt:
		return false, tx.reapFields(e)
	case e.stored && e.wasHead.nextExpiry == expireAt:
		return false, nil // the key itself has expired, and comes too
	}
	tx.ov.Delete(indexKey) // stale
	return false, nil
}

// noteExpiry keeps track of expiries that are written behind what the reaper has
// walked: times in the past.
func (ks *Keyspace) noteExpiry(expireAt int64) {
	if expireAt < ks.reaped && expireAt < ks.reapBehind.Load() {
		ks.reapBehind.Store(expireAt)
	}
}
