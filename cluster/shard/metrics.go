package shard

import (
	"sync/atomic"
	"time"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
	"dkv/engine"
)

// LatencyBuckets are the upper bounds of Metrics.BatchLatency, doubling from
// 50 microseconds; a last bucket holds the rest.
var LatencyBuckets = func() (b [latencyBuckets]time.Duration) {
	for i := range b {
		b[i] = 50 * time.Microsecond << i
	}
	return b
}()

const latencyBuckets = 18 // up to 6.5 s

// Metrics are a shard's figures since it was opened.
type Metrics struct {
	Status      consensus.Status
	Applied     raftlog.Index
	LogFirst    raftlog.Index // the first entry that can still be sent to another node
	LogHolds    int           // who keeps the log from being cut: receivers of raft snapshots, replicas, backups, an archive
	Batches     uint64
	Tasks       uint64
	QueueLength int
	Expired     uint64 // keys deleted because their time had come
	Evicted     uint64 // keys deleted to make room
	// Changes counts what batches did to keys: on the node that evaluated them as
	// keyspace.Tx.Changes does, elsewhere the records of keys in them.
	Changes uint64
	// WaitedFor is how many keys tasks wait for, WaitedForAny for how many of them in
	// such a way that they are tried also when the key is gone.
	WaitedFor, WaitedForAny int
	// BatchLatency counts batches by the time from evaluation to reply.
	BatchLatency    [latencyBuckets + 1]uint64
	BatchLatencySum time.Duration
	Engine          engine.Metrics
}

type counters struct {
	batches, tasks, expired, evicted, changes atomic.Uint64
	latencySum                                atomic.Int64
	latency                                   [latencyBuckets + 1]atomic.Uint64
}

func (c *counters) batch(tasks int, d time.Duration) {
	c.batches.Add(1)
	c.tasks.Add(uint64(tasks))
	c.latencySum.Add(int64(d))
	i := 0
	for i < latencyBuckets && d > LatencyBuckets[i] {
		i++
	}
	c.latency[i].Add(1)
}

// Evicted counts the keys deleted to make room.
func (s *Shard) Evicted() uint64 { return s.metrics.evicted.Load() }

// EngineMetrics returns the engine's figures.
func (s *Shard) EngineMetrics() engine.Metrics {
	st := s.acquire()
	defer st.Release()
	return st.eng.Metrics()
}

// Metrics returns the shard's figures.
func (s *Shard) Metrics() Metrics {
	st := s.acquire()
	defer st.Release()
	first, _ := s.o.Log.FirstIndex() // of raft's interface; ours has no error
	m := Metrics{
		Status:          s.group.Status(),
		Applied:         s.Applied(),
		LogFirst:        raftlog.Index(first),
		LogHolds:        s.logHolds(),
		Batches:         s.metrics.batches.Load(),
		Tasks:           s.metrics.tasks.Load(),
		QueueLength:     len(s.queue),
		Expired:         s.metrics.expired.Load(),
		Evicted:         s.metrics.evicted.Load(),
		Changes:         s.metrics.changes.Load(),
		WaitedFor:       int(s.lot.keys.Load()),
		WaitedForAny:    int(s.lot.anyKeys.Load()),
		BatchLatencySum: time.Duration(s.metrics.latencySum.Load()),
		Engine:          st.eng.Metrics(),
	}
	for i := range m.BatchLatency {
		m.BatchLatency[i] = s.metrics.latency[i].Load()
	}
	return m
}
