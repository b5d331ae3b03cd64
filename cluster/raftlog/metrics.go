package raftlog

import (
	"sync/atomic"
	"time"
)

// SyncBounds are the upper bounds of the buckets of Metrics.SyncBuckets, in
// ascending order; one more bucket counts what took longer.
var SyncBounds = [...]time.Duration{
	100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond,
	10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second,
}

// Metrics are the log's figures. Counters count since Open.
type Metrics struct {
	Bytes    int64 // of records in the log, the retained ones included
	Segments int
	Spares   int // files kept to be written over
	Fsync    FsyncMode

	Appends       uint64 // records with entries or hard states
	Entries       uint64 // appended
	EntryBytes    uint64 // data of the entries appended
	WrittenBytes  uint64 // all that was written as records
	Dropped       uint64 // segments
	CacheBytes    int64
	ReservedBytes int64
	RoomBytes     int64 // that can be appended without allocating

	UnsyncedBytes int64
	Syncs         uint64
	SyncTime      time.Duration // sum
	SyncMax       time.Duration
	SyncBuckets   [len(SyncBounds) + 1]uint64 // not cumulative
	SlowSyncs     uint64                      // times that writers waited for a background sync
	SyncRunning   time.Duration               // how long the background sync under way has taken; 0: none is
	Failure       error                       // the failed sync, or other end of the log

	Shards []ShardMetrics // by id
}

// ShardMetrics are those of one shard.
type ShardMetrics struct {
	ID         ShardID
	First      Index // that can be read
	Last       Index
	Truncated  Index // not needed up to here
	Commit     Index // of the newest hard state
	CacheBytes int64
}

// counters are written without a lock.
type counters struct {
	appends, appendedBytes, bytes, dropped atomic.Uint64
	syncs, slowSyncs                       atomic.Uint64
	syncTime, syncMax                      atomic.Int64
	syncBuckets                            [len(SyncBounds) + 1]atomic.Uint64
}

// observeSync is called by one goroutine at a time.
func (c *counters) observeSync(d time.Duration) {
	c.syncs.Add(1)
	c.syncTime.Add(int64(d))
	c.syncMax.Store(max(c.syncMax.Load(), int64(d)))
	i := 0
	for i < len(SyncBounds) && d > SyncBounds[i] {
		i++
	}
	c.syncBuckets[i].Add(1)
}

// Metrics returns the log's figures.
func (l *Log) Metrics() Metrics {
	m := Metrics{
		Fsync:         l.fsync(),
		Appends:       l.m.appends.Load(),
		Entries:       l.appended.Load(),
		EntryBytes:    l.m.appendedBytes.Load(),
		WrittenBytes:  l.m.bytes.Load(),
		Dropped:       l.m.dropped.Load(),
		CacheBytes:    l.cached.Load(),
		ReservedBytes: l.reserved.Load(),
		RoomBytes:     l.room.Load(),
		Syncs:         l.m.syncs.Load(),
		SyncTime:      time.Duration(l.m.syncTime.Load()),
		SyncMax:       time.Duration(l.m.syncMax.Load()),
		SlowSyncs:     l.m.slowSyncs.Load(),
		Failure:       l.failed(),
	}
	for i := range l.m.syncBuckets {
		m.SyncBuckets[i] = l.m.syncBuckets[i].Load()
	}
	if started := l.syncStarted.Load(); started != 0 {
		m.SyncRunning = max(0, time.Duration(l.o.Clock().UnixNano()-started))
	}
	l.mu.Lock()
	m.Segments, m.Spares = len(l.mu.segs), len(l.mu.spares)
	for _, seg := range l.mu.segs {
		m.Bytes += seg.end.Load() - headerBytes
	}
	l.mu.Unlock()
	seg := l.active.Load()
	m.UnsyncedBytes = max(0, seg.solid.Load()-seg.synced.Load())
	for _, s := range *l.shardList.Load() {
		s.mu.Lock()
		m.Shards = append(m.Shards, ShardMetrics{
			ID: s.id, First: s.mu.base + 1, Last: s.mu.last, Truncated: s.mu.mark,
			Commit: Index(s.mu.hard.commit), CacheBytes: s.mu.cache.bytes,
		})
		s.mu.Unlock()
	}
	return m
}
