package badgerdb

import (
	"bytes"
	"errors"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"

	"dkv/engine"
	"dkv/engine/front"
)

// writer writes records at one timestamp, in as many of Badger's writes as it takes.
//
// Not a WriteBatch: each of its transactions is a map, which costs garbage and loses
// the order of the keys, and one is not needed to keep records together (see mark).
type writer struct {
	s    *store
	ts   uint64
	load *badger.KVLoader
	kv   pb.KV // Badger keeps what it points to, not itself
	// buckets of long keys that change.
	buckets map[string]*bucket
	bytes   int64 // given to Badger
	failed  bool
	done    bool
}

// pendingWrites is how many of Badger's writes may be on their way; each holds some MiB.
const pendingWrites = 2

// bitDelete is how Badger marks a record that says that a key is deleted, in its backups
// too.
const bitDelete byte = 1

var (
	metaDelete = []byte{bitDelete}
	userLarge  = []byte{isLarge}
)

func newWriter(s *store, ts uint64) *writer {
	return &writer{s: s, ts: ts, load: s.db.NewKVLoader(pendingWrites)}
}

// change writes a change; base shows what was there before.
func (w *writer) change(change *front.Change, base *view) error {
	sweep := sweeper{w: w, base: base, ranges: change.Ranges()}
	defer sweep.close()
	records := change.Records()
	for records.Next() {
		if err := sweep.upTo(records.Key()); err != nil {
			return err
		}
		value, ok := records.Value()
		if err := w.record(base, records.Key(), value, ok); err != nil {
			return err
		}
	}
	if err := records.Err(); err != nil {
		return err
	}
	if err := sweep.upTo(nil); err != nil {
		return err
	}
	for key, b := range w.buckets {
		if err := w.writeBucket([]byte(key), *b); err != nil {
			return err
		}
	}
	return nil
}

// sweeper deletes the keys that base has in ranges, one after the other, as the
// records of the change come: all of it goes to Badger in the order of the keys.
type sweeper struct {
	w      *writer
	base   *view
	ranges []front.Range   // that are not done
	it     engine.Iterator // in the first of them; nil: not begun
	more   bool            // it is at a key
}

// upTo deletes what is below key; nil: all. The key itself is left to the change, which
// says what becomes of it.
func (s *sweeper) upTo(key []byte) error {
	for len(s.ranges) > 0 && (key == nil || string(s.ranges[0].Start) <= string(key)) {
		if s.it == nil {
			it, err := s.base.NewIter(engine.IterOptions{Lower: s.ranges[0].Start, Upper: s.ranges[0].End, KeysOnly: true})
			if err != nil {
				return err
			}
			s.it, s.more = it, it.First()
		}
		for s.more && (key == nil || string(s.it.Key()) <= string(key)) {
			if key == nil || string(s.it.Key()) < string(key) {
				if err := s.w.record(s.base, bytes.Clone(s.it.Key()), nil, false); err != nil {
					return err
				}
			}
			s.more = s.it.Next()
		}
		if s.more {
			return nil
		}
		if err := s.next(); err != nil {
			return err
		}
	}
	return nil
}

// next leaves the first range.
func (s *sweeper) next() error {
	it := s.it
	s.ranges, s.it = s.ranges[1:], nil
	return errors.Join(it.Err(), it.Close())
}

func (s *sweeper) close() {
	if s.it != nil {
		_ = s.it.Close() // of a change that was given up
	}
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
		return w.delete(at)
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
		return w.delete(at)
	}
	return w.put(at, b.encode())
}

func (w *writer) put(at, value []byte) error {
	if w.s.o.InMemory && len(value) > maxValueThreshold {
		return w.set(at, w.s.large.keep(at, value, w.ts), nil, userLarge)
	}
	return w.set(at, value, nil, nil)
}

func (w *writer) delete(at []byte) error { return w.set(at, nil, metaDelete, nil) }

// set gives Badger a record. The value must not change before finish.
func (w *writer) set(at, value, meta, userMeta []byte) error {
	w.bytes += int64(len(at) + len(value))
	w.kv.Key, w.kv.Value, w.kv.Version, w.kv.Meta, w.kv.UserMeta = at, value, w.ts, meta, userMeta
	err := w.load.Set(&w.kv)
	w.failed = w.failed || err != nil
	return err
}

// finish makes durable what was written.
func (w *writer) finish() error {
	w.done = true
	if err := w.load.Finish(); err != nil {
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

// cancel gives up what finish has not seen. A loader that has failed cannot be waited
// for.
func (w *writer) cancel() {
	if !w.done && !w.failed {
		_ = w.load.Finish() // what is above the mark does not exist
	}
}
