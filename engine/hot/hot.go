package hot

import (
	"hash/maphash"
	"sync/atomic"

	"dkv/engine"
)

// stripes is the number of parts of the table, each with a lock. A power of two.
const stripes = 1 << (32 - tagBits)

// DB is an engine with a table of hot records over it.
type DB struct {
	engine.Engine
	seed maphash.Seed
	// ranges is odd while a batch with a delete-range is being applied.
	ranges   atomic.Uint64
	closed   atomic.Bool
	table    [stripes]stripe
	capacity uint64
}

var _ engine.Engine = (*DB)(nil)

// Wrap puts a table over e, which Close then closes.
func Wrap(e engine.Engine, o Options) *DB {
	db := &DB{Engine: e, seed: maphash.MakeSeed(), capacity: uint64(max(o.Bytes, 0))}
	for i := range db.table {
		db.table[i].limit = int(db.capacity / stripes)
	}
	return db
}

// Get implements engine.Reader.
func (db *DB) Get(dst, key []byte) (value []byte, found bool, err error) {
	if db.closed.Load() {
		return dst, false, engine.ErrClosed
	}
	h := maphash.Bytes(db.seed, key)
	s := &db.table[stripeOf(tagOf(h))]
	ranges := db.ranges.Load()
	value, state, gone := s.get(dst, key, h)
	if state != unknown {
		return value, state == present, nil
	}
	value, found, err = db.Engine.Get(dst, key)
	if err == nil && ranges%2 == 0 {
		s.fill(key, value[len(dst):], found, tagOf(h), gone, nil, func() bool { return db.ranges.Load() == ranges })
	}
	return value, found, err
}

// Apply implements engine.Engine.
func (db *DB) Apply(repr []byte) error {
	records, err := engine.ReadBatch(repr)
	if err != nil {
		return err
	}
	hasRange, err := db.stage(records)
	if err == nil {
		err = db.Engine.Apply(repr)
	}
	if err != nil {
		db.dropAll() // what is staged did not come to be
	} else {
		err = db.reveal(records)
	}
	if hasRange {
		db.ranges.Add(1)
	}
	return err
}

// stage puts what a batch will leave into the table, hidden: reads of these keys
// go to the engine, and nobody fills in what it said before.
func (db *DB) stage(records engine.BatchReader) (hasRange bool, err error) {
	for {
		kind, key, value, ok, err := records.Next()
		if err != nil || !ok {
			return hasRange, err
		}
		if kind == engine.KindDeleteRange {
			// Rare: flushes and the end of large collections. Looking for the
			// keys of the range would cost more than reading them anew.
			if !hasRange {
				hasRange = true
				db.ranges.Add(1)
			}
			db.dropAll()
			continue
		}
		h := maphash.Bytes(db.seed, key)
		db.table[stripeOf(tagOf(h))].stage(key, value, kind == engine.KindPut, h)
	}
}

// reveal lets reads see what was staged.
func (db *DB) reveal(records engine.BatchReader) error {
	for {
		kind, key, _, ok, err := records.Next()
		if err != nil || !ok {
			return err
		}
		if kind != engine.KindDeleteRange {
			h := maphash.Bytes(db.seed, key)
			db.table[stripeOf(tagOf(h))].reveal(key, h)
		}
	}
}

func (db *DB) dropAll() {
	for i := range db.table {
		db.table[i].reset()
	}
}

// Close implements engine.Engine.
func (db *DB) Close() error {
	db.closed.Store(true)
	return db.Engine.Close()
}

// HotMetrics returns the table's figures.
func (db *DB) HotMetrics() Metrics {
	m := Metrics{Capacity: db.capacity}
	for i := range db.table {
		db.table[i].addTo(&m)
	}
	return m
}
