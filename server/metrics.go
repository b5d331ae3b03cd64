package server

import (
	"runtime"
	"strconv"
	"time"

	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/server/command"

	"github.com/prometheus/client_golang/prometheus"
)

// collector renders the figures of a server and its node for Prometheus at the
// moment they are asked for. Nothing is counted twice to that end.
type collector struct{ srv *Server }

// figure is a metric that is made from one number.
type figure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("dkv_"+name, help, labels, nil)
}

func gauge(name, help string, labels ...string) figure {
	return figure{desc(name, help, labels...), prometheus.GaugeValue}
}

func counter(name, help string, labels ...string) figure {
	return figure{desc(name+"_total", help, labels...), prometheus.CounterValue}
}

var (
	mInfo          = gauge("info", "Always 1; the labels tell versions and engine.", "version", "redis_version", "go_version", "engine")
	mUptime        = gauge("uptime_seconds", "Time since the server started.")
	mClients       = gauge("connected_clients", "Clients connected.")
	mMaxClients    = gauge("max_clients", "Clients that may be connected.")
	mConnections   = counter("connections_received", "Connections accepted, refused ones included.")
	mRejected      = counter("connections_rejected", "Connections refused.")
	mLimitKills    = counter("clients_killed", "Clients disconnected at a limit.", "limit")
	mAuthFailures  = counter("auth_failures", "Wrong passwords.")
	mCommands      = counter("commands_processed", "Commands run.")
	mCommandErrors = counter("command_failures", "Commands that ran and answered an error.", "command")
	mCommandReject = counter("command_rejections", "Commands that were refused before they ran.", "command")
	mErrors        = counter("error_replies", "Error replies by their code.", "code")
	mNetInput      = counter("net_input_bytes", "Bytes received from clients.")
	mNetOutput     = counter("net_output_bytes", "Bytes sent to clients.")
	mHits          = counter("keyspace_hits", "Keys looked up and found.")
	mMisses        = counter("keyspace_misses", "Keys looked up and not found.")
	mKeys          = gauge("keys", "Keys of a database.", "db")
	mExpires       = gauge("keys_with_expiry", "Keys of a database that have a time to live.", "db")
	mUsedMemory    = gauge("memory_used_bytes", "Memory in use by the Go runtime and the engine.")
	mSlowlog       = gauge("slowlog_length", "Entries in SLOWLOG.")
	mLastSave      = gauge("last_save_timestamp_seconds", "When the engine was last flushed on request.")

	mExpired      = counter("expired_keys", "Keys deleted because their time had come.", "shard")
	mEvicted      = counter("evicted_keys", "Keys deleted to make room, see docs/cache.md.", "shard")
	mLeading      = gauge("shard_leading", "1 where this node leads the shard.", "shard")
	mTerm         = gauge("shard_term", "Raft term.", "shard")
	mCommit       = gauge("shard_commit_index", "Position that is committed.", "shard")
	mApplied      = gauge("shard_applied_index", "Position that is applied.", "shard")
	mBatches      = counter("shard_batches", "Batches of writes.", "shard")
	mTasks        = counter("shard_tasks", "Tasks that were in the batches.", "shard")
	mQueue        = gauge("shard_queue_length", "Tasks that wait for the writer.", "shard")
	mDisk         = gauge("engine_disk_bytes", "Bytes of live files.", "shard")
	mMemtable     = gauge("engine_memtable_bytes", "Writes that are in no table file yet.", "shard")
	mCacheBytes   = gauge("engine_block_cache_bytes", "Bytes of cached blocks.", "shard")
	mCacheHits    = counter("engine_block_cache_hits", "Blocks found in the cache.", "shard")
	mCacheMisses  = counter("engine_block_cache_misses", "Blocks not found in the cache.", "shard")
	mFlushes      = counter("engine_flushes", "Memtables written to table files.", "shard")
	mFlushBytes   = counter("engine_flush_bytes", "Bytes written by flushes.", "shard")
	mCompactions  = counter("engine_compactions", "Compactions.", "shard")
	mCompactBytes = counter("engine_compaction_bytes", "Bytes written by compactions.", "shard")
	mCompactDebt  = gauge("engine_compaction_debt_bytes", "Bytes that compactions still have to go through, estimated.", "shard")
	mReadAmp      = gauge("engine_read_amplification", "Sorted runs that a read may have to look into.", "shard")
	mTables       = gauge("engine_tables", "Table files.", "shard")
	mTombstones   = gauge("engine_tombstones", "Deletions not yet compacted away.", "shard")
	mStalls       = counter("engine_write_stalls", "Times that writes waited for the engine.", "shard")
	mStallTime    = counter("engine_write_stall_seconds", "Time that writes waited for the engine.", "shard")
	mEngineErrors = counter("engine_background_errors", "Failures of flushes and compactions.", "shard")

	mHotRecords   = gauge("hot_cache_records", "Records in the table of hot records.")
	mHotBytes     = gauge("hot_cache_bytes", "Memory of the table of hot records.")
	mHotHits      = counter("hot_cache_hits", "Point reads that the table answered.")
	mHotMisses    = counter("hot_cache_misses", "Point reads that went to the engine.")
	mHotEvictions = counter("hot_cache_evictions", "Records that made room for others.")

	mHotDirty         = gauge("hot_dirty_bytes", "Memory of writes that the engine does not have yet.")
	mHotDirtyRecords  = gauge("hot_dirty_records", "Keys that were written and the engine does not have yet.")
	mHotCheckpoints   = counter("hot_checkpoints", "Times that held back writes were written down.")
	mHotWritten       = counter("hot_checkpoint_bytes", "Bytes of batches that were written down.")
	mHotCheckpointSec = counter("hot_checkpoint_seconds", "Time that writing down took.")
	mHotLastSec       = gauge("hot_checkpoint_last_seconds", "Time that the last writing down took.")
	mHotFailures      = counter("hot_checkpoint_failures", "Tries to write down that failed.")
	mHotStalls        = counter("hot_write_stalls", "Batches that waited for writing down.")
	mHotStallSec      = counter("hot_write_stall_seconds", "Time that batches waited for writing down.")

	mLogBytes    = gauge("log_bytes", "Bytes of log records.")
	mLogSegments = gauge("log_segments", "Files of the log.")
	mLogEntries  = counter("log_entries", "Entries appended to the log.")
	mLogWritten  = counter("log_written_bytes", "Bytes written to the log.")
	mLogUnsynced = gauge("log_unsynced_bytes", "Bytes written to the log that are not synced yet.")
	mLogFailed   = gauge("log_failed", "1 after a failed sync: the node acknowledges nothing more.")

	mCommandTime = desc("command_duration_seconds", "Time in a command's handler.", "command")
	mBatchTime   = desc("shard_batch_duration_seconds", "Time of a batch from evaluation to reply.", "shard")
	mSyncTime    = desc("log_sync_duration_seconds", "Time of a sync of the log.")
)

// commandBounds are the bucket bounds of command durations: 16 microseconds to
// 17 seconds, each four times the one before.
var commandBounds = func() (bounds []time.Duration) {
	for d := time.Duration(1 << 14); d < 20*time.Second; d <<= 2 {
		bounds = append(bounds, d)
	}
	return bounds
}()

// Describe sends nothing: which labels there are depends on what was used.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends the present figures.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := sink{ch}
	c.collectServer(s)
	c.collectCommands(s)
	m := c.srv.node.Metrics()
	s.put(mInfo, 1, c.srv.version, RedisVersion, runtime.Version(), m.Engine)
	for i := range m.Shards {
		collectShard(s, strconv.Itoa(i), &m.Shards[i])
	}
	c.collectCluster(s, &m)
	c.collectReplication(s)
	c.collectPubSub(s)
	s.put(mHotRecords, float64(m.Hot.Records))
	s.put(mHotBytes, float64(m.Hot.Bytes))
	s.put(mHotHits, float64(m.Hot.Hits))
	s.put(mHotMisses, float64(m.Hot.Misses))
	s.put(mHotEvictions, float64(m.Hot.Evictions))
	s.put(mHotDirty, float64(m.Hot.DirtyBytes))
	s.put(mHotDirtyRecords, float64(m.Hot.DirtyRecords))
	s.put(mHotCheckpoints, float64(m.Hot.Checkpoints))
	s.put(mHotWritten, float64(m.Hot.WrittenBytes))
	s.put(mHotCheckpointSec, m.Hot.CheckpointDuration.Seconds())
	s.put(mHotLastSec, m.Hot.LastCheckpoint.Seconds())
	s.put(mHotFailures, float64(m.Hot.Failures))
	s.put(mHotStalls, float64(m.Hot.WriteStalls))
	s.put(mHotStallSec, m.Hot.WriteStallDuration.Seconds())
	collectLog(s, &m.Log)
}

// sink sends metrics. Labels that are not valid UTF-8 cannot happen: they are
// names of ours.
type sink struct{ ch chan<- prometheus.Metric }

func (s sink) put(f figure, value float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(f.desc, f.kind, value, labels...)
}

func (s sink) histogram(d *prometheus.Desc, count uint64, sum time.Duration, buckets map[float64]uint64, labels ...string) {
	s.ch <- prometheus.MustNewConstHistogram(d, count, sum.Seconds(), buckets, labels...)
}

func (c collector) collectServer(s sink) {
	srv, st := c.srv, c.srv.stats
	s.put(mUptime, srv.clock().Sub(srv.started).Seconds())
	s.put(mClients, float64(srv.ClientCount()))
	s.put(mMaxClients, float64(srv.config.MaxClients.Load()))
	s.put(mConnections, float64(st.ConnectionsReceived.Load()))
	s.put(mRejected, float64(st.ConnectionsRejected.Load()))
	s.put(mLimitKills, float64(st.QueryLimitKills.Load()), "query-buffer")
	s.put(mLimitKills, float64(st.OutputLimitKills.Load()), "output-buffer")
	s.put(mLimitKills, float64(st.ClientsEvicted.Load()), "client-memory")
	s.put(mAuthFailures, float64(st.AuthFailures.Load()))
	s.put(mCommands, float64(st.CommandsProcessed.Load()))
	s.put(mNetInput, float64(st.NetInput.Load()))
	s.put(mNetOutput, float64(st.NetOutput.Load()))
	s.put(mHits, float64(st.KeyspaceHits.Load()))
	s.put(mMisses, float64(st.KeyspaceMisses.Load()))
	s.put(mUsedMemory, float64(srv.memory().used))
	s.put(mSlowlog, float64(srv.slowlog.len()))
	s.put(mLastSave, float64(srv.node.LastSave().Unix()))
	for _, db := range srv.nonEmptyDatabases() {
		name := "db" + strconv.Itoa(db.index)
		s.put(mKeys, float64(db.keys), name)
		s.put(mExpires, float64(db.expires), name)
	}
	for _, e := range st.Errors() {
		s.put(mErrors, float64(e.Count), labelText(e.Code))
	}
}

// labelText keeps an error code, which a client can choose with DEBUG ERROR,
// within what a label may be.
func labelText(code string) string {
	for i := range len(code) {
		if code[i] < ' ' || code[i] > '~' {
			return otherErrorCode
		}
	}
	return code
}

func (c collector) collectCommands(s sink) {
	for _, spec := range command.All() {
		st := c.srv.stats.Command(spec)
		if n := st.Rejected.Load(); n > 0 {
			s.put(mCommandReject, float64(n), spec.Name)
		}
		h := st.Latency()
		if h == nil {
			continue
		}
		s.put(mCommandErrors, float64(st.Failed.Load()), spec.Name)
		buckets := make(map[float64]uint64, len(commandBounds))
		for _, bound := range commandBounds {
			buckets[bound.Seconds()] = h.CountUpTo(bound)
		}
		s.histogram(mCommandTime, h.Count(), time.Duration(st.Nanos.Load()), buckets, spec.Name)
	}
}

func collectShard(s sink, label string, m *shard.Metrics) {
	put := func(f figure, v float64) { s.put(f, v, label) }
	put(mExpired, float64(m.Expired))
	put(mEvicted, float64(m.Evicted))
	put(mLeading, float64(oneIf(m.Status.Leading)))
	put(mTerm, float64(m.Status.Term))
	put(mCommit, float64(m.Status.Commit))
	put(mApplied, float64(m.Applied))
	put(mBatches, float64(m.Batches))
	put(mTasks, float64(m.Tasks))
	put(mQueue, float64(m.QueueLength))
	e := &m.Engine
	put(mDisk, float64(e.DiskBytes))
	put(mMemtable, float64(e.MemtableBytes))
	put(mCacheBytes, float64(e.BlockCacheBytes))
	put(mCacheHits, float64(e.BlockCacheHits))
	put(mCacheMisses, float64(e.BlockCacheMisses))
	put(mFlushes, float64(e.FlushCount))
	put(mFlushBytes, float64(e.FlushBytes))
	put(mCompactions, float64(e.CompactionCount))
	put(mCompactBytes, float64(e.CompactionBytes))
	put(mCompactDebt, float64(e.CompactionDebt))
	put(mReadAmp, float64(e.ReadAmplification))
	put(mTables, float64(e.Tables))
	put(mTombstones, float64(e.Tombstones))
	put(mStalls, float64(e.WriteStalls))
	put(mStallTime, e.WriteStallDuration.Seconds())
	put(mEngineErrors, float64(e.BackgroundErrors))
	count, buckets := cumulative(m.BatchLatency[:], shard.LatencyBuckets[:])
	s.histogram(mBatchTime, count, m.BatchLatencySum, buckets, label)
}

func collectLog(s sink, m *raftlog.Metrics) {
	s.put(mLogBytes, float64(m.Bytes))
	s.put(mLogSegments, float64(m.Segments))
	s.put(mLogEntries, float64(m.Entries))
	s.put(mLogWritten, float64(m.WrittenBytes))
	s.put(mLogUnsynced, float64(m.UnsyncedBytes))
	s.put(mLogFailed, float64(oneIf(m.Failure != nil)))
	count, buckets := cumulative(m.SyncBuckets[:], raftlog.SyncBounds[:])
	s.histogram(mSyncTime, count, m.SyncTime, buckets)
}

// cumulative turns counts of buckets, of which the last has no bound, into
// what Prometheus wants: how many were at or below each bound.
func cumulative(counts []uint64, bounds []time.Duration) (total uint64, buckets map[float64]uint64) {
	buckets = make(map[float64]uint64, len(bounds))
	for i, n := range counts {
		total += n
		if i < len(bounds) {
			buckets[bounds[i].Seconds()] = total
		}
	}
	return total, buckets
}
