package keyspace

import "fmt"

// dbView is the database map that a read goes by. A live engine may move on
// between the look at the map and the look at the data: SWAPDB and a write
// through the new map may both have happened. So a read over it takes the map
// before, and checks after that it is still the map (as a sequence lock does);
// while a batch that changes the map is on its way, the engine's own record is
// asked instead of the published one.
type dbView struct {
	known      bool // snapshots: m is the snapshot's map
	fromRecord bool
	sequence   uint64
	generation uint64
	m          dbMap
}

// openView returns the map to read by.
func (tx *Tx) openView() (dbMap, error) {
	if tx.ov != nil {
		return tx.dbMap, nil
	}
	v, ks := &tx.view, tx.ks
	if v.known {
		return v.m, nil
	}
	v.sequence = ks.sequence.Load()
	if !tx.live {
		v.known = true
		if v.sequence == 0 { // no batch ever changed the map
			v.m = identityMap
			return v.m, nil
		}
		return tx.viewFromRecord()
	}
	if ks.changing.Load() != 0 {
		return tx.viewFromRecord()
	}
	v.fromRecord = false
	v.m = dbMap(ks.dbMap.Load())
	return v.m, nil
}

func (tx *Tx) viewFromRecord() (_ dbMap, err error) {
	v := &tx.view
	v.fromRecord = true
	if v.generation, v.m, tx.key, err = readDBMap(tx.r, tx.key); err != nil {
		return 0, fmt.Errorf("keyspace: read database map: %w", err)
	}
	return v.m, nil
}

// closeView reports whether what was read since openView is of one state; if not,
// the read must start again.
func (tx *Tx) closeView() (ok bool, err error) {
	if !tx.live {
		return true, nil
	}
	v := &tx.view
	if !v.fromRecord {
		return tx.ks.sequence.Load() == v.sequence, nil
	}
	var generation uint64
	if generation, _, tx.key, err = readDBMap(tx.r, tx.key); err != nil {
		return false, fmt.Errorf("keyspace: read database map: %w", err)
	}
	return generation == v.generation, nil
}
