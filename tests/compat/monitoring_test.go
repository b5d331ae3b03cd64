package compat

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"dkv/tests/harness"
)

// infoFields are what Prometheus's redis_exporter, Datadog's, Telegraf's and
// RedisInsight's collectors read from INFO for a node without replicas.
var infoFields = map[string]string{
	"server": `redis_version redis_git_sha1 redis_build_id redis_mode os arch_bits process_id run_id tcp_port
		uptime_in_seconds uptime_in_days hz executable config_file`,
	"clients": `connected_clients cluster_connections maxclients client_recent_max_input_buffer
		client_recent_max_output_buffer blocked_clients tracking_clients clients_in_timeout_table`,
	"memory": `used_memory used_memory_human used_memory_rss used_memory_rss_human used_memory_peak used_memory_peak_human
		used_memory_overhead used_memory_startup used_memory_dataset total_system_memory used_memory_lua maxmemory
		maxmemory_human maxmemory_policy mem_fragmentation_ratio mem_allocator active_defrag_running lazyfree_pending_objects`,
	"persistence": `loading rdb_changes_since_last_save rdb_bgsave_in_progress rdb_last_save_time rdb_last_bgsave_status
		rdb_last_bgsave_time_sec rdb_current_bgsave_time_sec aof_enabled aof_rewrite_in_progress aof_rewrite_scheduled
		aof_last_rewrite_time_sec aof_current_rewrite_time_sec aof_last_bgrewrite_status aof_last_write_status`,
	"stats": `total_connections_received total_commands_processed instantaneous_ops_per_sec total_net_input_bytes
		total_net_output_bytes instantaneous_input_kbps instantaneous_output_kbps rejected_connections sync_full
		sync_partial_ok sync_partial_err expired_keys expired_stale_perc evicted_keys keyspace_hits keyspace_misses
		pubsub_channels pubsub_patterns latest_fork_usec migrate_cached_sockets total_error_replies
		total_reads_processed total_writes_processed`,
	"replication": `role connected_slaves master_failover_state master_replid master_replid2 master_repl_offset
		second_repl_offset repl_backlog_active repl_backlog_size repl_backlog_first_byte_offset repl_backlog_histlen`,
	"cpu":     `used_cpu_sys used_cpu_user used_cpu_sys_children used_cpu_user_children`,
	"cluster": `cluster_enabled`,
}

func TestInfoFields(t *testing.T) {
	c := harness.Dkv(t).Dial(t)
	for section, names := range infoFields {
		fields := c.Info(section)
		for _, name := range strings.Fields(names) {
			if _, ok := fields[name]; !ok {
				t.Errorf("INFO %s has no %s", section, name)
			}
		}
	}
}

// /metrics, /healthz and /readyz, with -http-listen-addr.
func TestHTTP(t *testing.T) {
	harness.NeedItself(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	c := harness.Dkv(t, "-http-listen-addr", addr).Dial(t)
	c.OK("SET", "k", "v")
	for path, texts := range map[string][]string{
		"/healthz": nil,
		"/readyz":  nil,
		"/metrics": {"# TYPE dkv_", "go_goroutines", "process_resident_memory_bytes"},
	} {
		r, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s, %v", path, r.Status, err)
		}
		for _, text := range texts {
			if !strings.Contains(string(body), text) {
				t.Errorf("%s has no %q", path, text)
			}
		}
	}
	r, err := http.Get("http://" + addr + "/debug/pprof/")
	if err != nil {
		t.Fatal(err)
	}
	if r.Body.Close(); r.StatusCode == http.StatusOK {
		t.Error("profiles are served without being asked for")
	}
}

// The figures are true: they move with what is done.
func TestInfoFigures(t *testing.T) {
	c := harness.Dkv(t).Dial(t)
	figure := func(section, name string) int64 {
		t.Helper()
		n, err := strconv.ParseInt(c.Info(section)[name], 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return n
	}
	c.OK("CONFIG", "RESETSTAT")
	c.OK("SET", "k", "v")
	for range 5 {
		c.Do("GET", "k")
	}
	c.Do("GET", "absent")
	c.Do("GET")
	c.Do("INCR", "k")
	c.OK("SET", "soon", "v", "EX", "1000")
	for name, want := range map[string]int64{"keyspace_hits": 5, "keyspace_misses": 1} {
		// INCR and SET look keys up too, as in Redis, but do not count.
		if got := figure("stats", name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
	if got := figure("stats", "total_commands_processed"); got < 9 {
		t.Errorf("total_commands_processed is %d", got)
	}
	if got := figure("stats", "total_error_replies"); got != 2 {
		t.Errorf("total_error_replies is %d, want 2", got)
	}
	if got := c.Info("keyspace")["db0"]; !strings.HasPrefix(got, "keys=2,expires=1,avg_ttl=") {
		t.Errorf("INFO keyspace: db0 is %q", got)
	}
	if got := c.Info("commandstats")["cmdstat_get"]; !strings.HasPrefix(got, "calls=6,usec=") || !strings.Contains(got, ",rejected_calls=1,failed_calls=0") {
		t.Errorf("cmdstat_get is %q", got)
	}
	if got := c.Info("commandstats")["cmdstat_incr"]; !strings.Contains(got, "calls=1,") || !strings.Contains(got, "failed_calls=1") {
		t.Errorf("cmdstat_incr is %q", got)
	}
	if got := c.Info("errorstats")["errorstat_ERR"]; got != "count=2" {
		t.Errorf("errorstat_ERR is %q, want count=2", got)
	}
	if got := c.Info("latencystats")["latency_percentiles_usec_get"]; !strings.HasPrefix(got, "p50=") {
		t.Errorf("latency_percentiles_usec_get is %q", got)
	}
	if got := figure("clients", "connected_clients"); got != 1 {
		t.Errorf("connected_clients is %d", got)
	}
}
