package keyspace

import (
	"encoding/binary"
	"fmt"
)

// Foreign is what a batch that another node evaluated changes of the keyspace's
// own records. The zero value is empty. It is used by whoever applies batches:
//
//	f.Record(key, value)   // each record of the batch whose key is the shard's own
//	ks.BeginForeign(&f)
//	engine.Apply(batch)
//	ks.EndForeign(&f)
type Foreign struct {
	counts     [Databases]count
	dirty      uint16
	dbMap      dbMap
	mapChanged bool
}

// Reset empties f.
func (f *Foreign) Reset() { f.dirty, f.mapChanged = 0, false }

// Record takes one put of the batch. Keys that are not the keyspace's are passed
// over. Errors wrap ErrCorrupt.
func (f *Foreign) Record(key, value []byte) error {
	switch {
	case len(key) == len(countKey)+1 && string(key[:len(countKey)]) == string(countKey):
		db := key[len(countKey)]
		if db >= Databases {
			return fmt.Errorf("%w: count of database %d", ErrCorrupt, db)
		}
		c, err := decodeCount(value)
		if err != nil {
			return err
		}
		f.counts[db] = c
		f.dirty |= 1 << db
	case string(key) == string(dbMapKey):
		if len(value) != 16 {
			return fmt.Errorf("%w: database map of %d bytes", ErrCorrupt, len(value))
		}
		m := dbMap(binary.BigEndian.Uint64(value[8:]))
		if !m.valid() {
			return fmt.Errorf("%w: database map %x", ErrCorrupt, uint64(m))
		}
		f.dbMap, f.mapChanged = m, true
	}
	return nil
}

// BeginForeign is called before the batch is applied to the engine, and must be
// followed by EndForeign.
func (ks *Keyspace) BeginForeign(f *Foreign) {
	ks.foreign.Lock()
	if f.mapChanged {
		ks.beginMapChange()
	}
}

// EndForeign publishes what the batch changed. What only the writer uses is read
// again when this node becomes leader, see Reload.
func (ks *Keyspace) EndForeign(f *Foreign) {
	for i := range Databases {
		if f.dirty&(1<<i) != 0 {
			ks.counts[i].store(f.counts[i])
		}
	}
	if f.mapChanged {
		ks.dbMap.Store(uint64(f.dbMap))
		ks.endMapChange()
	}
	ks.foreign.Unlock()
}
