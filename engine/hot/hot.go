package hot

import (
	"hash/maphash"
	"sync/atomic"

	"dkv/engine"
)

// stripes is the number of parts of the table, each with a lock. A power of two.
const stripes = 256

// Options configures a DB.
type Options struct {
	// Bytes bounds the memory of the records, keys and overhead included.
	Bytes int64
}

// Metrics are the table's figures since Wrap.
type Metrics struct {
	Hits, Misses, Evictions uint64
	Records                 uint64
	Bytes, Capacity         uint64
}

// DB is an engine with a table of hot records over it.
type DB struct {
	engine.Engine
	seed maphash.Seed
	// sequence is odd while a batch is being applied.
	sequence atomic.Uint64
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
	h := maphash.Bytes(db.seed, key)
	s := &db.table[h%stripes]
	value, state := s.get(dst, key, h)
	if state != unknown {
		return value, state == present, nil
	}
	before := db.sequence.Load()
	value, found, err = db.Engine.Get(dst, key)
	if err == nil && before%2 == 0 {
		s.fill(key, value[len(dst):], found, h, &db.sequence, before)
	}
	return value, found, err
}

// Apply implements engine.Engine.
func (db *DB) Apply(repr []byte) error {
	records, err := engine.ReadBatch(repr)
	if err != nil {
		return err
	}
	db.sequence.Add(1)
	defer db.sequence.Add(1)
	if err := db.hide(records); err != nil {
		return err
	}
	if err := db.Engine.Apply(repr); err != nil {
		return err
	}
	return db.put(records)
}

// hide keeps reads of what a batch changes from the table.
func (db *DB) hide(records engine.BatchReader) error {
	for {
		kind, key, _, ok, err := records.Next()
		if err != nil || !ok {
			return err
		}
		if kind == engine.KindDeleteRange {
			// Rare: flushes and the end of large collections. Looking for the
			// keys of the range would cost more than reading them anew.
			db.dropAll()
			continue
		}
		h := maphash.Bytes(db.seed, key)
		db.table[h%stripes].hide(key, h)
	}
}

func (db *DB) dropAll() {
	for i := range db.table {
		db.table[i].reset()
	}
}

// put stores what a batch left: records in their order, so the last of a key
// wins; keys that a delete-range covers are left out.
func (db *DB) put(records engine.BatchReader) error {
	for {
		kind, key, value, ok, err := records.Next()
		if err != nil || !ok {
			return err
		}
		if kind == engine.KindDeleteRange {
			db.dropAll()
			continue
		}
		h := maphash.Bytes(db.seed, key)
		db.table[h%stripes].set(key, value, kind == engine.KindPut, h)
	}
}

// HotMetrics returns the table's figures.
func (db *DB) HotMetrics() Metrics {
	m := Metrics{Capacity: db.capacity}
	for i := range db.table {
		db.table[i].addTo(&m)
	}
	return m
}
