package pebbledb

import (
	"time"

	"dkv/engine"
)

// Metrics implements engine.Engine. While the MANIFEST waits for disk space the
// figures are those of before. MemtableBytes is what memtables take, filled
// or not, those that an iterator or snapshot still reads included. EstimatedKeys
// leaves out what is in memtables, and counts a key that was overwritten, and
// not yet compacted, more than once.
func (db *DB) Metrics() engine.Metrics {
	if !db.use.enter() {
		return engine.Metrics{}
	}
	defer db.use.leave()
	p := db.monitor.metrics()
	stalled := db.monitor.stallNanos.Load() + db.events.stallNanos.Load()
	m := engine.Metrics{
		DiskBytes:          p.DiskSpaceUsage(),
		MemtableBytes:      p.MemTable.Size + p.MemTable.ZombieSize,
		MemtableCount:      int(p.MemTable.Count + p.MemTable.ZombieCount),
		BlockCacheBytes:    uint64(p.BlockCache.Size),
		BlockCacheCapacity: uint64(db.cache.MaxSize()),
		BlockCacheHits:     uint64(p.BlockCache.Hits),
		BlockCacheMisses:   uint64(p.BlockCache.Misses),
		FlushCount:         uint64(p.Flush.Count) + p.Ingest.Count,
		CompactionCount:    uint64(p.Compact.Count),
		CompactionDebt:     p.Compact.EstimatedDebt,
		CompactionDuration: p.Compact.Duration,
		ReadAmplification:  p.ReadAmp(),
		Tombstones:         p.Keys.TombstoneCount,
		EstimatedKeys:      db.estimateKeys(),
		WriteStalls:        db.monitor.stalls.Load() + db.events.stalls.Load(),
		WriteStallDuration: time.Duration(stalled),
		BackgroundErrors:   db.events.backgroundErrors.Load(),
	}
	for i := range p.Levels {
		l := &p.Levels[i]
		m.Tables += l.TablesCount
		m.FlushBytes += l.TableBytesFlushed + l.BlobBytesFlushed + l.TableBytesIngested
		m.CompactionBytes += l.TableBytesCompacted + l.BlobBytesCompacted
	}
	return m
}

// estimateKeys adds up the entries of the tables; a deletion takes itself and
// another entry away. Statistics are loaded in the background: a table that has
// none yet is taken to be like the others.
func (db *DB) estimateKeys() uint64 {
	levels, err := db.p.SSTables()
	if err != nil {
		return 0
	}
	var keys, known, unknown float64
	for _, tables := range levels {
		for i := range tables {
			t := &tables[i]
			if t.TableStats.NumEntries == 0 {
				unknown += float64(t.Size)
				continue
			}
			known += float64(t.Size)
			keys += float64(t.TableStats.NumEntries) - 2*float64(t.TableStats.NumDeletions)
		}
	}
	if known > 0 {
		keys *= (known + unknown) / known
	}
	return uint64(max(keys, 0))
}
