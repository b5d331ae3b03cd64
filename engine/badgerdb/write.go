package badgerdb

import (
	"github.com/dgraph-io/badger/v4"

	"dkv/engine"
	"dkv/engine/front"
)

// writer writes records at one timestamp, in as many transactions as it takes.
type writer struct {
	s     *store
	ts    uint64
	batch *badger.WriteBatch
	// buckets of long keys that change.
	buckets map[string]*bucket
	bytes   int64 // given to Badger
	done    bool
}

func newWriter(s *store, ts uint64) *writer {
	w := &writer{s: s, ts: ts, batch: s.db.NewWriteBatchAt(ts)}
	w.batch.SetMaxPendingTxns(2) // each holds some MiB
	return w
}

// change writes a change; base shows what was there before.
func (w *writer) change(change *front.Change, base *view) error {
	for _, r := range change.Ranges() {
		if err := w.deleteRange(r, change, base); err != nil {
			return err
		}
	}
	records := change.Records()
	for records.Next() {
		value, ok := records.Value()
		if err := w.record(base, records.Key(), value, ok); err != nil {
			return err
		}
	}
	for key, b := range w.buckets {
		if err := w.writeBucket([]byte(key), *b); err != nil {
			return err
		}
	}
	return nil
}

// deleteRange deletes the keys that base has in a range, but for those that the
// change sets to something.
func (w *writer) deleteRange(r front.Range, change *front.Change, base *view) error {
	it, err := base.NewIter(engine.IterOptions{Lower: r.Start, Upper: r.End, KeysOnly: true})
	if err != nil {
		return err
	}
	defer it.Close()
	kept := change.Records()
	more := kept.SeekGE(r.Start)
	for ok := it.First(); ok; ok = it.Next() {
		for more && string(kept.Key()) < string(it.Key()) {
			more = kept.Next()
		}
		if more && string(kept.Key()) == string(it.Key()) {
			continue
		}
		if err := w.record(base, append([]byte(nil), it.Key()...), nil, false); err != nil {
			return err
		}
	}
	return it.Err()
}

// record sets or deletes a key. The slices must not change before finish.
func (w *writer) record(base *view, key, value []byte, put bool) error {
	at := storeKey(make([]byte, 0, len(key)+2), key)
	if isLong(key) {
		b, err := w.bucket(base, at)
		if err != nil {
			return err
		}
		if rest := key[maxShortKey:]; put {
			b.set(rest, value)
		} else {
			b.remove(rest)
		}
		return nil
	}
	if !put {
		return w.batch.Delete(at)
	}
	return w.put(at, value)
}

func (w *writer) bucket(base *view, at []byte) (*bucket, error) {
	if b := w.buckets[string(at)]; b != nil {
		return b, nil
	}
	b, err := base.bucket(at)
	if err != nil {
		return nil, err
	}
	if w.buckets == nil {
		w.buckets = make(map[string]*bucket)
	}
	w.buckets[string(at)] = &b
	return &b, nil
}

func (w *writer) writeBucket(at []byte, b bucket) error {
	if len(b) == 0 {
		return w.batch.Delete(at)
	}
	return w.put(at, b.encode())
}

func (w *writer) put(at, value []byte) error {
	if w.s.o.InMemory && len(value) > maxValueThreshold {
		return w.batch.SetEntry(w.s.large.keep(at, value, w.ts))
	}
	w.bytes += int64(len(at) + len(value))
	return w.batch.Set(at, value)
}

// finish makes durable what was written.
func (w *writer) finish() error {
	w.done = true
	if err := w.batch.Flush(); err != nil {
		return err
	}
	if w.s.dir == "" {
		return nil
	}
	// For errors of the value log, which Badger's own syncs only write into its
	// log; and for the files that it made.
	if err := w.s.db.Sync(); err != nil {
		return err
	}
	return front.SyncDir(w.s.dir)
}

// cancel gives up what finish has not seen.
func (w *writer) cancel() {
	if !w.done {
		w.batch.Cancel()
	}
}
