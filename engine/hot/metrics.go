package hot

import (
	"sync/atomic"
	"time"

	"dkv/engine"
)

// Metrics are the figures of a DB or a Layer since it was made.
type Metrics struct {
	Hits, Misses, Evictions uint64
	Records                 uint64 // that slots point at
	Bytes, Capacity         uint64 // of what the engine has as well; slots included

	// What follows is a Layer's.

	Runs, RunBytes uint64 // ranges that are kept decoded; their bytes are among Bytes
	RunHits        uint64 // iterators that went over one

	DirtyBytes    uint64 // memory of what the engine does not have yet
	DirtyRecords  uint64
	DirtyCapacity uint64
	Views         uint64 // open snapshots and iterators
	Checkpoints   uint64
	WrittenBytes  uint64 // by checkpoints
	// CheckpointDuration is of all of them, LastCheckpoint of the last.
	CheckpointDuration, LastCheckpoint time.Duration
	Failures                           uint64 // tries of checkpoints that failed
	WriteStalls                        uint64 // batches that waited for a checkpoint
	WriteStallDuration                 time.Duration
}

// Add adds the figures of another table; the last checkpoint is the longer one.
func (m *Metrics) Add(o Metrics) {
	m.Hits += o.Hits
	m.Misses += o.Misses
	m.Evictions += o.Evictions
	m.Records += o.Records
	m.Bytes += o.Bytes
	m.Capacity += o.Capacity
	m.Runs += o.Runs
	m.RunBytes += o.RunBytes
	m.RunHits += o.RunHits
	m.DirtyBytes += o.DirtyBytes
	m.DirtyRecords += o.DirtyRecords
	m.DirtyCapacity += o.DirtyCapacity
	m.Views += o.Views
	m.Checkpoints += o.Checkpoints
	m.WrittenBytes += o.WrittenBytes
	m.CheckpointDuration += o.CheckpointDuration
	m.LastCheckpoint = max(m.LastCheckpoint, o.LastCheckpoint)
	m.Failures += o.Failures
	m.WriteStalls += o.WriteStalls
	m.WriteStallDuration += o.WriteStallDuration
}

type counters struct {
	checkpoints, bytes, failures, stalls atomic.Uint64
	nanos, lastNanos, stallNanos         atomic.Int64
}

func (c *counters) checkpoint(bytes int, d time.Duration) {
	c.checkpoints.Add(1)
	c.bytes.Add(uint64(bytes))
	c.nanos.Add(int64(d))
	c.lastNanos.Store(int64(d))
}

// HotMetrics returns the layer's figures.
func (l *Layer) HotMetrics() Metrics {
	m := Metrics{DirtyCapacity: uint64(l.o.WriteBytes)}
	for i := range l.table {
		m.Capacity += uint64(l.table[i].limit)
		l.table[i].addTo(&m)
	}
	l.runs.addTo(&m)
	e := l.current.Load()
	for _, g := range []*generation{e.active, e.frozen} {
		if g != nil {
			m.DirtyBytes += uint64(g.size())
			m.DirtyRecords += uint64(g.records.Load())
		}
	}
	l.views.mu.Lock()
	m.Views = uint64(l.views.count)
	l.views.mu.Unlock()
	m.Checkpoints = l.counts.checkpoints.Load()
	m.WrittenBytes = l.counts.bytes.Load()
	m.Failures = l.counts.failures.Load()
	m.CheckpointDuration = time.Duration(l.counts.nanos.Load())
	m.LastCheckpoint = time.Duration(l.counts.lastNanos.Load())
	m.WriteStalls = l.counts.stalls.Load()
	m.WriteStallDuration = time.Duration(l.counts.stallNanos.Load())
	return m
}

// Metrics implements engine.Engine: the engine's figures, and what is held back as
// memtables.
func (l *Layer) Metrics() engine.Metrics {
	m := l.below.Metrics()
	e := l.current.Load()
	for _, g := range []*generation{e.active, e.frozen} {
		if g != nil {
			m.MemtableBytes += uint64(g.size())
			m.HeldBackBytes += uint64(g.size())
			m.MemtableCount++
		}
	}
	m.WriteStalls += l.counts.stalls.Load()
	m.WriteStallDuration += time.Duration(l.counts.stallNanos.Load())
	m.BackgroundErrors += l.counts.failures.Load()
	return m
}
