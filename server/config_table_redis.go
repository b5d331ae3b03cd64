package server

import (
	"fmt"
	"math"
)

// These parameters of Redis 7.2 are known so that a redis.conf loads and tools
// can read and set them.

func stored(k kind, names string, def string, flags paramFlags, doc string) *param {
	return redisParam(effectStored, k, names, def, flags, doc)
}

func redisParam(e effect, k kind, names string, def string, flags paramFlags, doc string) *param {
	n := splitFields(names)
	return &param{name: n[0], aliases: n[1:], kind: k, def: def, flags: flags, effect: e, group: groupRedis, doc: doc}
}

func (p *param) bounds(lo, hi int64) *param { p.min, p.max = lo, hi; return p }

func (p *param) oneOf(enum ...string) *param { p.enum = enum; return p }

// redisStoredParams are read back as they were set and change nothing, because
// dkv works in another way.
func redisStoredParams() []*param {
	const imm, prot = paramImmutable, paramProtected
	const (
		noRDB   = "dkv writes no RDB files; every write is in its log."
		noAOF   = "dkv has a log of its own, always on; see fsync."
		noFree  = "Freeing is always in the background."
		noAlloc = "The Go runtime manages memory."
		noProc  = "Left to the service manager."
	)
	ps := []*param{
		stored(kindSave, "save", "3600 1 300 100 60 10000", 0, noRDB),
		stored(kindString, "dbfilename", "dump.rdb", prot, noRDB),
		stored(kindBool, "rdbcompression", "yes", 0, noRDB),
		stored(kindBool, "rdbchecksum", "yes", imm, noRDB),
		stored(kindBool, "rdb-del-sync-files", "no", 0, noRDB),
		stored(kindBool, "rdb-save-incremental-fsync", "yes", 0, noRDB),
		stored(kindBool, "stop-writes-on-bgsave-error", "yes", 0, noRDB),
		stored(kindBool, "appendonly", "yes", 0, noAOF),
		stored(kindString, "appendfilename", "appendonly.aof", imm, noAOF),
		stored(kindString, "appenddirname", "appendonlydir", imm, noAOF),
		stored(kindBool, "no-appendfsync-on-rewrite", "no", 0, noAOF),
		stored(kindInt, "auto-aof-rewrite-percentage", "100", 0, noAOF).bounds(0, maxInt32),
		stored(kindMemory, "auto-aof-rewrite-min-size", fmt.Sprint(64<<20), 0, noAOF),
		stored(kindBool, "aof-load-truncated", "yes", 0, noAOF),
		stored(kindBool, "aof-use-rdb-preamble", "yes", 0, noAOF),
		stored(kindBool, "aof-timestamp-enabled", "no", 0, noAOF),
		stored(kindBool, "aof-disable-auto-gc", "no", paramHidden, noAOF),
		stored(kindBool, "aof-rewrite-incremental-fsync", "yes", 0, noAOF),

		stored(kindBool, "lazyfree-lazy-eviction", "no", 0, noFree),
		stored(kindBool, "lazyfree-lazy-expire", "no", 0, noFree),
		stored(kindBool, "lazyfree-lazy-server-del", "no", 0, noFree),
		stored(kindBool, "lazyfree-lazy-user-del", "no", 0, noFree),
		stored(kindBool, "lazyfree-lazy-user-flush", "no", 0, noFree),
		stored(kindBool, "activerehashing", "yes", 0, "There is no hash table to rehash."),
		stored(kindInt, "hz", "10", 0, "Background work has rates of its own.").bounds(0, maxInt32),
		stored(kindBool, "dynamic-hz", "yes", 0, "Background work has rates of its own."),
		stored(kindInt, "active-expire-effort", "1", 0, "Expired keys are found by an index.").bounds(1, 10),

		stored(kindInt, "io-threads", "1", imm, "Every core is used.").bounds(1, 128),
		stored(kindBool, "io-threads-do-reads", "no", imm, "Every core is used."),
		stored(kindString, "server-cpulist server_cpulist", "", imm, noProc),
		stored(kindString, "bio-cpulist bio_cpulist", "", imm, noProc),
		stored(kindString, "aof-rewrite-cpulist aof_rewrite_cpulist", "", imm, noProc),
		stored(kindString, "bgsave-cpulist bgsave_cpulist", "", imm, noProc),
		stored(kindBool, "daemonize", "no", imm, "dkvsrv stays in the foreground."),
		stored(kindEnum, "supervised", "no", imm, noProc).oneOf("upstart", "systemd", "auto", "no"),
		stored(kindBool, "always-show-logo", "no", imm, "There is no logo."),
		stored(kindBool, "set-proc-title", "yes", imm, noProc),
		stored(kindString, "proc-title-template", "{title} {listen-addr} {server-mode}", 0, noProc),
		stored(kindBool, "syslog-enabled", "no", imm, noProc),
		stored(kindString, "syslog-ident", "redis", imm, noProc),
		stored(kindEnum, "syslog-facility", "local0", imm, noProc).oneOf("user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"),
		stored(kindEnum, "oom-score-adj", "no", 0, noProc).oneOf("no", "yes", "relative", "absolute"),
		stored(kindWords, "oom-score-adj-values", "0 200 800", 0, noProc).bounds(3, 0),
		stored(kindBool, "disable-thp", "yes", imm, noProc),
		stored(kindBool, "crash-log-enabled", "yes", 0, "A crash prints Go's stack traces."),
		stored(kindBool, "crash-memcheck-enabled", "yes", 0, "A crash prints Go's stack traces."),
		stored(kindBool, "use-exit-on-panic", "no", paramHidden, "A crash prints Go's stack traces."),
		stored(kindString, "ignore-warnings", "", 0, noProc),
		stored(kindString, "locale-collate", "", 0, "Order is by bytes."),
		stored(kindString, "bind-source-addr", "", 0, "The system chooses the address of outgoing connections."),
		stored(kindInt, "socket-mark-id", "0", 0, noProc).bounds(0, math.MaxUint32),
		stored(kindInt, "watchdog-period", "0", paramHidden, "A profile shows more; see pprof.").bounds(0, maxInt32),
		stored(kindInt, "rdb-key-save-delay", "0", paramHidden, noRDB).bounds(math.MinInt32, maxInt32),
		stored(kindInt, "key-load-delay", "0", paramHidden, noRDB).bounds(math.MinInt32, maxInt32),
		stored(kindMemory, "loading-process-events-interval-bytes", fmt.Sprint(2<<20), paramHidden, noRDB),
		stored(kindEnum, "enable-module-command", "no", imm, "There are no modules.").oneOf("no", "yes", "local"),
		stored(kindEnum, "propagation-error-behavior", "ignore", 0, "Effects are logged, not commands.").oneOf("ignore", "panic", "panic-on-replicas"),

		stored(kindBool, "jemalloc-bg-thread", "yes", 0, noAlloc),
		stored(kindBool, "activedefrag", "no", 0, noAlloc),
		stored(kindInt, "active-defrag-cycle-min", "1", 0, noAlloc).bounds(1, 99),
		stored(kindInt, "active-defrag-cycle-max", "25", 0, noAlloc).bounds(1, 99),
		stored(kindInt, "active-defrag-threshold-lower", "10", 0, noAlloc).bounds(0, 1000),
		stored(kindInt, "active-defrag-threshold-upper", "100", 0, noAlloc).bounds(0, 1000),
		stored(kindMemory, "active-defrag-ignore-bytes", fmt.Sprint(100<<20), 0, noAlloc).bounds(1, 0),
		stored(kindInt, "active-defrag-max-scan-fields", "1000", 0, noAlloc).bounds(1, 0),
	}
	return ps
}

func splitFields(s string) []string {
	words, _ := splitWords(s)
	return words
}
