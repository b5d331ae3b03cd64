package server

import (
	"fmt"
	"time"
)

// infoDKV are figures of the log and the engine, which Redis does not have.
func infoDKV(w *infoWriter) {
	n := w.node
	w.line("cluster_id", n.ClusterID)
	w.line("node_id", n.NodeID)
	w.line("engine", n.Engine)
	w.line("data_folder", w.srv.node.Dir())
	w.line("diskless", oneIf(w.srv.node.Diskless()))
	w.line("fsync", n.Log.Fsync)
	w.line("shards", len(n.Shards))

	infoArchive(w)

	l := n.Log
	w.line("log_bytes", l.Bytes)
	w.line("log_segments", l.Segments)
	w.line("log_entries_appended", l.Entries)
	w.line("log_bytes_written", l.WrittenBytes)
	w.line("log_unsynced_bytes", l.UnsyncedBytes)
	w.line("log_cache_bytes", l.CacheBytes)
	w.line("log_syncs", l.Syncs)
	w.line("log_sync_usec_avg", average(l.SyncTime, l.Syncs))
	w.line("log_sync_usec_max", l.SyncMax.Microseconds())
	w.line("log_slow_syncs", l.SlowSyncs)

	w.line("hot_cache_records", n.Hot.Records)
	w.line("hot_cache_bytes", n.Hot.Bytes)
	w.line("hot_cache_capacity", n.Hot.Capacity)
	w.line("hot_cache_runs", n.Hot.Runs)
	w.line("hot_cache_run_bytes", n.Hot.RunBytes)
	w.line("hot_cache_run_hits", n.Hot.RunHits)
	w.line("hot_cache_hits", n.Hot.Hits)
	w.line("hot_cache_misses", n.Hot.Misses)
	w.line("hot_cache_hit_ratio", fmt.Sprintf("%.4f", ratio(n.Hot.Hits, n.Hot.Hits+n.Hot.Misses)))
	w.line("hot_cache_evictions", n.Hot.Evictions)
	if h := n.Hot; h.DirtyCapacity > 0 {
		w.line("hot_dirty_bytes", h.DirtyBytes)
		w.line("hot_dirty_records", h.DirtyRecords)
		w.line("hot_dirty_capacity", h.DirtyCapacity)
		w.line("hot_views", h.Views)
		w.line("hot_checkpoints", h.Checkpoints)
		w.line("hot_checkpoint_bytes", h.WrittenBytes)
		w.line("hot_checkpoint_msec_avg", average(h.CheckpointDuration, h.Checkpoints)/1000)
		w.line("hot_checkpoint_msec_last", h.LastCheckpoint.Milliseconds())
		w.line("hot_checkpoint_bytes_per_sec", perSecond(h.WrittenBytes, h.CheckpointDuration))
		w.line("hot_checkpoint_failures", h.Failures)
		w.line("hot_write_stalls", h.WriteStalls)
		w.line("hot_write_stall_msec", h.WriteStallDuration.Milliseconds())
	}
	for i, s := range n.Shards {
		e := s.Engine
		shard := fmt.Sprintf("shard%d_", i)
		put := func(name string, value any) { w.line(shard+name, value) }
		put("leading", oneIf(s.Status.Leading))
		put("term", s.Status.Term)
		put("commit_index", s.Status.Commit)
		put("applied_index", s.Applied)
		put("batches", s.Batches)
		put("tasks", s.Tasks)
		put("tasks_per_batch", ratio(s.Tasks, s.Batches))
		put("batch_usec_avg", average(s.BatchLatencySum, s.Batches))
		put("queue_length", s.QueueLength)
		put("disk_bytes", e.DiskBytes)
		put("tables", e.Tables)
		put("keys_estimated", e.EstimatedKeys)
		put("tombstones", e.Tombstones)
		put("memtable_bytes", e.MemtableBytes)
		put("memtables", e.MemtableCount)
		put("block_cache_bytes", e.BlockCacheBytes)
		put("block_cache_capacity", e.BlockCacheCapacity)
		put("block_cache_hits", e.BlockCacheHits)
		put("block_cache_misses", e.BlockCacheMisses)
		put("flushes", e.FlushCount)
		put("flush_bytes", e.FlushBytes)
		put("compactions", e.CompactionCount)
		put("compaction_bytes", e.CompactionBytes)
		put("compaction_debt_bytes", e.CompactionDebt)
		put("read_amplification", e.ReadAmplification)
		put("write_stalls", e.WriteStalls)
		put("write_stall_usec", e.WriteStallDuration.Microseconds())
		put("background_errors", e.BackgroundErrors)
	}
}

// perSecond is how many of n there were in a second of a time.
func perSecond(n uint64, took time.Duration) uint64 {
	if took <= 0 {
		return 0
	}
	return uint64(float64(n) / took.Seconds())
}

// average is a sum of durations by their number, in microseconds.
func average(sum time.Duration, n uint64) int64 {
	if n == 0 {
		return 0
	}
	return sum.Microseconds() / int64(n)
}

// infoArchive is about the archive of the log, where there is one.
func infoArchive(w *infoWriter) {
	list := w.srv.node.ArchiveStatus()
	if len(list) == 0 {
		return
	}
	var behind, bytes, gaps uint64
	failure := ""
	for _, st := range list {
		behind = max(behind, st.Behind)
		bytes += st.Bytes
		gaps += st.Gaps
		if st.Err != "" {
			failure = st.Err
		}
	}
	w.line("log_archive_ok", oneIf(failure == ""))
	w.line("log_archive_error", failure)
	w.line("log_archive_lag_entries", behind)
	w.line("log_archive_bytes", bytes)
	w.line("log_archive_gaps", gaps)
}
