package keyspace

import (
	"fmt"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"

	"dkv/engine"
)

// Keyspace is the state that a shard keeps in memory beside its engine. The
// writer's side belongs to the one goroutine that owns the write Tx at the time
// (see the package comment); what readers see is published atomically.
type Keyspace struct {
	// Published state. Invariant: changing is above zero from the Finish of a batch
	// that changes the database map until its Publish or Discard (and likewise for
	// batches of another leader), and sequence grows at both ends; while changing
	// is zero, dbMap is the map of what the engine holds. sequence is 0 as long as
	// the map has never been changed.
	sequence atomic.Uint64
	changing atomic.Int64
	dbMap    atomic.Uint64
	counts   [Databases]publishedCount // by physical database

	seed    maphash.Seed
	access  accessTable
	cursors cursorTable

	// The writer's side.
	changes     changeTable
	generation  uint64 // of the database map
	formatThere bool   // the format record is in the engine
	nextVersion Version
	versionCeil Version // what the version record holds
	reaped      int64   // the expiry index has been walked up to this time, ms
	popped      popQueue
	scores      scoreQueues
	evaluating  bool // BeginWrite was called, and not Publish since

	notifier *Notifier // nil: nothing is noted
	tracker  *Tracker  // nil: nothing is tracked

	// foreign is held while the published state follows what was not evaluated
	// here: another leader's batch, or Reload.
	foreign sync.Mutex

	// reapBehind is the earliest expiry written behind what the reaper has
	// walked, MaxInt64 when there is none.
	reapBehind atomic.Int64
}

type publishedCount struct {
	keys, expires, ttlSum atomic.Int64
}

func (p *publishedCount) load() count {
	return count{p.keys.Load(), p.expires.Load(), p.ttlSum.Load()}
}

func (p *publishedCount) store(c count) {
	p.keys.Store(c.keys)
	p.expires.Store(c.expires)
	p.ttlSum.Store(c.ttlSum)
}

// Open reads the keyspace's own records from r; an empty store is a fresh
// keyspace. Errors wrap engine.ErrDataFormat (another layout), ErrCorrupt, or are
// the engine's.
func Open(r engine.Reader) (*Keyspace, error) {
	ks := &Keyspace{seed: maphash.MakeSeed()}
	ks.access.init()
	ks.cursors.init()
	ks.changes.init()
	if err := ks.Reload(r); err != nil {
		return nil, err
	}
	return ks, nil
}

// Reload reads the keyspace's own records again, after they changed by another
// way than Publish. No write Tx may be open. Until it returns, readers of the live
// engine go by the old database map.
func (ks *Keyspace) Reload(r engine.Reader) error {
	ks.foreign.Lock()
	defer ks.foreign.Unlock()
	there, err := readFormat(r)
	if err != nil {
		return fmt.Errorf("keyspace: read format: %w", err)
	}
	generation, m, buf, err := readDBMap(r, nil)
	if err != nil {
		return fmt.Errorf("keyspace: read database map: %w", err)
	}
	var counts [Databases]count
	for i := range counts {
		if counts[i], buf, err = readCount(r, physical(i), buf); err != nil {
			return fmt.Errorf("keyspace: read counts: %w", err)
		}
	}
	ceil, err := readVersion(r)
	if err != nil {
		return fmt.Errorf("keyspace: read version: %w", err)
	}
	ks.formatThere = there
	ks.generation = generation
	ks.nextVersion, ks.versionCeil = ceil, ceil
	ks.reaped = 0
	ks.forgetPops()
	ks.reapBehind.Store(0)
	for i, c := range counts {
		ks.counts[i].store(c)
	}
	if generation != 0 || ks.sequence.Load() != 0 {
		ks.beginMapChange()
		ks.dbMap.Store(uint64(m))
		ks.endMapChange()
		return nil
	}
	ks.dbMap.Store(uint64(m))
	return nil
}

// beginMapChange tells readers not to trust the published map.
func (ks *Keyspace) beginMapChange() {
	ks.changing.Add(1)
	ks.sequence.Add(1)
}

func (ks *Keyspace) endMapChange() {
	ks.sequence.Add(1)
	ks.changing.Add(-1)
}

// DBCount is what INFO tells of a logical database. Keys whose time has come
// count until the reaper has deleted them.
type DBCount struct {
	Keys, Expires int64
	// MeanExpireAt is the mean expiry time of the keys that have one, as Unix
	// time in ms, to about a second; 0 when there are none.
	MeanExpireAt int64
}

// AvgTTL returns the mean time to live in ms at nowMS.
func (c DBCount) AvgTTL(nowMS int64) int64 {
	return max(c.MeanExpireAt-nowMS, 0)
}

// Plus returns the figures of the keys of both.
func (c DBCount) Plus(o DBCount) DBCount {
	if c.Expires+o.Expires > 0 {
		weight := float64(c.Expires) / float64(c.Expires+o.Expires)
		c.MeanExpireAt = int64(weight*float64(c.MeanExpireAt) + (1-weight)*float64(o.MeanExpireAt))
	}
	c.Keys += o.Keys
	c.Expires += o.Expires
	return c
}

// Counts returns the published figures of all logical databases.
func (ks *Keyspace) Counts() [Databases]DBCount {
	var out [Databases]DBCount
	m := dbMap(ks.dbMap.Load())
	for i := range out {
		c := ks.counts[m.of(i)].load()
		out[i] = DBCount{Keys: c.keys, Expires: c.expires}
		if c.expires > 0 {
			const half = 500 // weights are cut to whole seconds
			out[i].MeanExpireAt = int64(float64(c.ttlSum)/float64(c.expires)*1000) + half
		}
	}
	return out
}

// Publish makes what a finished write Tx changed visible to readers. It is
// called after the batch was applied to the engine.
func (ks *Keyspace) Publish(tx *Tx) {
	for i := range Databases {
		if tx.dirty&(1<<i) != 0 {
			ks.counts[i].store(tx.countOf(physical(i)))
		}
	}
	tx.dirty, ks.evaluating = 0, false
	if tx.finished {
		ks.formatThere = true
	}
	if tx.versionCeil != 0 {
		ks.versionCeil = tx.versionCeil
	}
	if tx.mapChanged {
		ks.generation++
		ks.dbMap.Store(uint64(tx.dbMap))
		ks.endMapChange()
		tx.mapChanged = false
	}
	ks.changes.keep()
	tx.end()
}

// Discard ends a write Tx whose batch was not, and never will be, applied.
func (ks *Keyspace) Discard(tx *Tx) {
	if tx.mapChanged {
		ks.endMapChange()
		tx.mapChanged = false
	}
	if tx.ov.Batch().Count() == tx.firstRecord {
		ks.evaluating = false // nothing was changed
	} else if tx.reapedFrom < ks.reapBehind.Load() {
		// What Reap deleted (or did not see, because an earlier command of the
		// batch had) is there again.
		ks.reapBehind.Store(tx.reapedFrom)
	}
	ks.changes.forget()
	tx.end()
}

// Changed reports whether key was changed at a position after since, as recorded
// by write Txs. It may say so of a key that was not (tables are bounded), never
// the reverse. For the writer only.
func (ks *Keyspace) Changed(db int, key []byte, since uint64) bool {
	return ks.changes.after(db, ks.hash(key), since)
}

// ResetChanges makes every key count as changed for positions below floor: what
// happened before is not known here.
func (ks *Keyspace) ResetChanges(floor uint64) {
	ks.changes.floor = floor
}

// Hash returns the number that an Observer knows a key by.
func (ks *Keyspace) Hash(key []byte) uint64 { return ks.hash(key) }

func (ks *Keyspace) hash(key []byte) uint64 {
	return maphash.Bytes(ks.seed, key)
}

// noReapBehind is reapBehind when nothing was written behind the reaper.
const noReapBehind = math.MaxInt64
