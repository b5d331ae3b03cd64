package server

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"dkv/cluster"
	"dkv/engine/keyspace"
	"dkv/server/command"
	"dkv/server/script"
)

func infoServer(w *infoWriter) {
	s := w.srv
	uptime := int64(w.now.Sub(s.started) / time.Second)
	executable, _ := os.Executable()
	w.line("redis_version", RedisVersion)
	w.line("redis_git_sha1", "00000000")
	w.line("redis_git_dirty", 0)
	w.line("redis_build_id", 0)
	w.line("dkv_version", s.version)
	w.line("redis_mode", s.mode())
	w.line("os", systemName())
	w.line("arch_bits", strconv.IntSize)
	w.line("monotonic_clock", "Go runtime")
	w.line("multiplexing_api", "Go runtime")
	w.line("go_version", runtime.Version())
	w.line("process_id", os.Getpid())
	w.line("process_supervised", "no")
	w.line("run_id", s.admin.runID)
	w.line("tcp_port", s.tcpPort())
	w.line("server_time_usec", w.now.UnixMicro())
	w.line("uptime_in_seconds", uptime)
	w.line("uptime_in_days", uptime/86400)
	w.line("hz", s.config.String("hz"))
	w.line("configured_hz", s.config.String("hz"))
	w.line("lru_clock", w.now.Unix()&(1<<24-1))
	w.line("executable", executable)
	w.line("config_file", s.config.File())
	w.line("io_threads_active", 0)
}

// tcpPort is the port that is listened on, 0 when there is none.
func (s *Server) tcpPort() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.mu.listeners {
		if a, ok := l.Addr().(*net.TCPAddr); ok {
			return a.Port
		}
	}
	return 0
}

func infoClients(w *infoWriter) {
	m := w.srv.clientMemory()
	w.line("connected_clients", w.srv.ClientCount())
	w.line("cluster_connections", peerConnections(w.node))
	w.line("maxclients", w.srv.config.MaxClients.Load())
	w.line("client_recent_max_input_buffer", m.maxInput)
	w.line("client_recent_max_output_buffer", m.maxOutput)
	w.line("blocked_clients", w.srv.admin.blocked.Load())
	w.line("tracking_clients", w.srv.tracker.active.Load())
	w.line("pubsub_clients", w.srv.pubsub.clients.Load())
	w.line("clients_in_timeout_table", 0)
	keys, onNoKey := 0, 0
	for i := range w.node.Shards {
		keys += w.node.Shards[i].WaitedFor
		onNoKey += w.node.Shards[i].WaitedForAny
	}
	w.line("total_blocking_keys", keys)
	w.line("total_blocking_keys_on_nokey", onNoKey)
}

func infoMemory(w *infoWriter) {
	m := w.srv.memory()
	system := systemMemory()
	dataset := w.srv.dataset(m)
	goMapped := m.goTotal - m.goReleased
	w.size("used_memory", m.used)
	w.size("used_memory_rss", m.rss)
	w.size("used_memory_peak", m.peak)
	w.line("used_memory_peak_perc", fmt.Sprintf("%.2f%%", percentage(m.used, m.peak)))
	w.line("used_memory_overhead", m.used-min(dataset, m.used))
	w.line("used_memory_startup", 0)
	w.line("used_memory_dataset", dataset)
	w.line("used_memory_dataset_perc", fmt.Sprintf("%.2f%%", percentage(dataset, m.used)))
	w.line("allocator_allocated", m.heapInUse)
	w.line("allocator_active", goMapped)
	w.line("allocator_resident", m.rss)
	w.size("total_system_memory", system)
	infoScripts(w)
	w.size("maxmemory", uint64(w.srv.config.Int("maxmemory")))
	w.line("maxmemory_policy", w.srv.config.String("maxmemory-policy"))
	w.size("dkv_memory_live", m.live)
	w.size("dkv_maxmemory_data", uint64(max(m.node.Data, 0)))
	w.size("dkv_maxmemory_data_limit", uint64(m.node.Limit))
	w.line("allocator_frag_ratio", ratio(goMapped, m.heapInUse))
	w.line("allocator_frag_bytes", int64(goMapped)-int64(m.heapInUse))
	w.line("allocator_rss_ratio", ratio(m.rss, goMapped))
	w.line("allocator_rss_bytes", int64(m.rss)-int64(goMapped))
	w.line("rss_overhead_ratio", ratio(m.rss, m.used))
	w.line("rss_overhead_bytes", int64(m.rss)-int64(m.used))
	w.line("mem_fragmentation_ratio", ratio(m.rss, m.used))
	w.line("mem_fragmentation_bytes", int64(m.rss)-int64(m.used))
	w.line("mem_not_counted_for_evict", 0)
	w.line("mem_replication_backlog", 0)
	w.line("mem_total_replication_buffers", 0)
	w.line("mem_clients_slaves", 0)
	w.line("mem_clients_normal", w.srv.clientMemory().memory)
	w.line("mem_cluster_links", 0)
	w.line("mem_aof_buffer", 0)
	w.line("mem_allocator", "go")
	w.line("active_defrag_running", 0)
	w.line("lazyfree_pending_objects", 0)
	w.line("lazyfreed_objects", 0)
}

// infoScripts tells of scripts and functions; their memory is that of the source texts. What
// interpreters take is part of used_memory.
func infoScripts(w *infoWriter) {
	scripts, scriptBytes := w.srv.scripts.Known()
	functions := w.srv.countFunctions()
	w.line("used_memory_vm_eval", 0)
	w.size("used_memory_lua", 0)
	w.line("used_memory_scripts_eval", scriptBytes)
	w.line("number_of_cached_scripts", scripts)
	w.line("number_of_functions", functions.Functions)
	w.line("number_of_libraries", functions.Libraries)
	w.line("used_memory_vm_functions", 0)
	w.size("used_memory_vm_total", 0)
	w.line("used_memory_functions", functions.Bytes)
	w.size("used_memory_scripts", uint64(scriptBytes+functions.Bytes))
}

// countFunctions counts the functions that this node has, nothing where it has no data yet.
func (s *Server) countFunctions() (n script.FunctionCount) {
	var tx keyspace.Tx
	err := s.node.Read(s.work, 0, &tx, cluster.ReadOptions{Stale: true})
	if err == nil {
		n, err = s.scripts.Count(&tx)
	}
	if closed := tx.Close(); err == nil {
		err = closed
	}
	if err != nil {
		s.log.Debug("cannot count functions", "err", err)
	}
	return n
}

func infoPersistence(w *infoWriter) {
	a := w.srv.admin
	status, saveSeconds := "ok", int64(-1)
	if !a.lastSaveOK.Load() {
		status = "err"
	}
	if nanos := a.saveNanos.Load(); nanos >= 0 {
		saveSeconds = nanos / int64(time.Second)
	}
	running := int64(-1)
	if began := a.saveBegan.Load(); began != 0 {
		running = max(w.now.UnixNano()-began, 0) / int64(time.Second)
	}
	changes := keyChanges(w.node)
	w.line("loading", oneIf(w.srv.loading()))
	w.line("async_loading", 0)
	w.line("current_cow_peak", 0)
	w.line("current_cow_size", 0)
	w.line("current_cow_size_age", 0)
	w.line("current_fork_perc", 0.0)
	w.line("current_save_keys_processed", 0)
	w.line("current_save_keys_total", 0)
	w.line("rdb_changes_since_last_save", changes-min(a.saved.Load(), changes))
	w.line("rdb_bgsave_in_progress", oneIf(w.srv.saving()))
	w.line("rdb_last_save_time", w.srv.node.LastSave().Unix())
	w.line("rdb_last_bgsave_status", status)
	w.line("rdb_last_bgsave_time_sec", saveSeconds)
	w.line("rdb_current_bgsave_time_sec", running)
	w.line("rdb_saves", a.saves.Load())
	w.line("rdb_last_cow_size", 0)
	w.line("rdb_last_load_keys_expired", 0)
	w.line("rdb_last_load_keys_loaded", 0)
	w.line("aof_enabled", 1)
	infoRewriting(w)
	w.line("aof_rewrites_consecutive_failures", 0)
	w.line("aof_last_write_status", "ok")
	w.line("aof_last_cow_size", 0)
	w.line("module_fork_in_progress", 0)
	w.line("module_fork_last_cow_size", 0)
}

func oneIf(b bool) int {
	if b {
		return 1
	}
	return 0
}

func infoStats(w *infoWriter) {
	s := w.srv.stats
	rates := s.Rates()
	source := w.srv.node.Source().Metrics()
	expired := expiredKeys(w.node) - w.srv.admin.expired.Load()
	w.line("total_connections_received", s.ConnectionsReceived.Load())
	w.line("total_commands_processed", s.CommandsProcessed.Load())
	w.line("instantaneous_ops_per_sec", int64(rates.OpsPerSec+0.5))
	w.line("total_net_input_bytes", s.NetInput.Load())
	w.line("total_net_output_bytes", s.NetOutput.Load())
	w.line("total_net_repl_input_bytes", 0)
	w.line("total_net_repl_output_bytes", source.SentBytes)
	w.line("instantaneous_input_kbps", rates.InputBytesPerSec/1024)
	w.line("instantaneous_output_kbps", rates.OutputBytesPerSec/1024)
	w.line("instantaneous_input_repl_kbps", 0.0)
	w.line("instantaneous_output_repl_kbps", 0.0)
	w.line("rejected_connections", s.ConnectionsRejected.Load())
	w.line("sync_full", source.Full)
	w.line("sync_partial_ok", source.Partial)
	w.line("sync_partial_err", source.PartialRefused)
	w.line("expired_keys", expired)
	w.line("expired_stale_perc", 0.0)
	w.line("expired_time_cap_reached_count", 0)
	w.line("expire_cycle_cpu_milliseconds", 0)
	memory := w.srv.node.Memory()
	w.line("evicted_keys", memory.Evicted-w.srv.admin.evicted.Load())
	w.line("evicted_clients", s.ClientsEvicted.Load())
	w.line("total_eviction_exceeded_time", memory.Exceeded.Milliseconds())
	w.line("current_eviction_exceeded_time", memory.ExceededNow.Milliseconds())
	w.line("keyspace_hits", s.KeyspaceHits.Load())
	w.line("keyspace_misses", s.KeyspaceMisses.Load())
	w.line("pubsub_channels", w.srv.pubsub.count(toChannel))
	w.line("pubsub_patterns", w.srv.pubsub.count(toPattern))
	w.line("pubsubshard_channels", w.srv.pubsub.count(toShardChannel))
	w.line("dkv_pubsub_lost", w.srv.node.LostMessages()+w.srv.notes.lost())
	w.line("latest_fork_usec", 0)
	w.line("total_forks", 0)
	w.line("migrate_cached_sockets", 0)
	w.line("slave_expires_tracked_keys", 0)
	w.line("active_defrag_hits", 0)
	w.line("active_defrag_misses", 0)
	w.line("active_defrag_key_hits", 0)
	w.line("active_defrag_key_misses", 0)
	w.line("total_active_defrag_time", 0)
	w.line("current_active_defrag_time", 0)
	keys, items, prefixes := w.srv.tracker.counts()
	w.line("tracking_total_keys", keys)
	w.line("tracking_total_items", items)
	w.line("tracking_total_prefixes", prefixes)
	w.line("unexpected_error_replies", 0)
	w.line("total_error_replies", s.ErrorReplies.Load())
	w.line("dump_payload_sanitizations", 0)
	w.line("total_reads_processed", s.Reads.Load())
	w.line("total_writes_processed", s.Writes.Load())
	w.line("io_threaded_reads_processed", 0)
	w.line("io_threaded_writes_processed", 0)
	w.line("reply_buffer_shrinks", 0)
	w.line("reply_buffer_expands", 0)
	w.line("acl_access_denied_auth", s.AuthFailures.Load())
	w.line("acl_access_denied_cmd", s.DeniedCommands.Load())
	w.line("acl_access_denied_key", s.DeniedKeys.Load())
	w.line("acl_access_denied_channel", s.DeniedChannels.Load())
	w.line("client_query_buffer_limit_disconnections", s.QueryLimitKills.Load())
	w.line("client_output_buffer_limit_disconnections", s.OutputLimitKills.Load())
}

func infoCPU(w *infoWriter) {
	seconds := func(name string, d time.Duration) { w.line(name, fmt.Sprintf("%.6f", d.Seconds())) }
	self, children := processCPU(false), processCPU(true)
	seconds("used_cpu_sys", self.system)
	seconds("used_cpu_user", self.user)
	seconds("used_cpu_sys_children", children.system)
	seconds("used_cpu_user_children", children.user)
}

func infoCommandStats(w *infoWriter) {
	for _, spec := range command.All() {
		c := w.srv.stats.Command(spec)
		calls, rejected, failed := c.Calls.Load(), c.Rejected.Load(), c.Failed.Load()
		if calls == 0 && rejected == 0 && failed == 0 {
			continue
		}
		usec := c.Nanos.Load() / 1000
		fmt.Fprintf(w, "cmdstat_%s:calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d\r\n",
			spec.Name, calls, usec, ratio(usec, calls), rejected, failed)
	}
}

func infoErrorStats(w *infoWriter) {
	for _, e := range w.srv.stats.Errors() {
		fmt.Fprintf(w, "errorstat_%s:count=%d\r\n", e.Code, e.Count)
	}
}

func infoLatencyStats(w *infoWriter) {
	if !w.srv.config.LatencyTracking.Load() {
		return
	}
	percentiles := strings.Fields(w.srv.config.String("latency-tracking-info-percentiles"))
	for _, spec := range command.All() {
		h := w.srv.stats.Command(spec).Latency()
		if h == nil {
			continue
		}
		var values []string
		for _, p := range percentiles {
			f, _ := strconv.ParseFloat(p, 64) // checked when it was set
			values = append(values, fmt.Sprintf("p%s=%.3f", p, float64(h.Percentile(f))/1000))
		}
		fmt.Fprintf(w, "latency_percentiles_usec_%s:%s\r\n", spec.Name, strings.Join(values, ","))
	}
}

func infoKeyspace(w *infoWriter) {
	for _, db := range w.srv.nonEmptyDatabases() {
		fmt.Fprintf(w, "db%d:keys=%d,expires=%d,avg_ttl=%d\r\n", db.index, db.keys, db.expires, db.avgTTL)
	}
}
