package server

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// params is the registry: dkv's own parameters, then those of Redis 7.2.
var params = slices.Concat(dkvParams(), memoryParams(), backupParams(), clusterParams(), replicaParams(), redisParams(), redisStoredParams(), redisClusterParams(), redisLaterParams(), tlsTableParams())

var paramByName = func() map[string]*param {
	m := make(map[string]*param, 2*len(params))
	for _, p := range params {
		for _, n := range append([]string{p.name}, p.aliases...) {
			if m[n] != nil {
				panic("server: parameter " + n + " is in the registry twice")
			}
			m[n] = p
		}
	}
	return m
}()

func findParam(name string) *param { return paramByName[strings.ToLower(name)] }

func mustParam(name string) *param {
	p := paramByName[name]
	if p == nil {
		panic(fmt.Sprintf("server: no parameter %q in the registry", name))
	}
	return p
}

// Groups are the headings of the documentation, in its order.
const (
	groupNetwork  = "Network"
	groupStorage  = "Storage"
	groupRole     = "Cluster and replication"
	groupSecurity = "Security"
	groupTLS      = "TLS"
	groupLimits   = "Limits"
	groupObserve  = "Logging and monitoring"
	groupKeyspace = "Keyspace"
	groupRedis    = "Accepted for compatibility"
)

var paramGroups = []string{groupNetwork, groupStorage, groupRole, groupSecurity, groupTLS, groupLimits, groupObserve, groupKeyspace, groupRedis}

const maxInt32 = math.MaxInt32

// Defaults of the log's sizes.
const (
	defReplLogSize  = 64 << 20
	defMaxLogSize   = 512 << 20
	defLogCacheSize = 16 << 20
	defHotCacheSize = 192 << 20
	defHotWriteSize = 512 << 20
)

// dkvParams are the parameters that Redis does not have.
func dkvParams() []*param {
	const imm = paramImmutable
	return []*param{
		{name: "listen-addr", kind: kindString, def: "127.0.0.1:6379", flags: imm, group: groupNetwork,
			doc: "Address to serve clients on, host:port: bind and port in one. An empty host is every address."},
		{name: "http-listen-addr", kind: kindString, flags: imm, group: groupNetwork,
			doc: "Address of the HTTP server with /metrics, /healthz and /readyz. Empty: no HTTP."},
		{name: "pprof", kind: kindBool, def: "no", flags: imm, group: groupNetwork,
			doc: "Serve Go's profiles under /debug/pprof/ on http-listen-addr."},

		{name: "event-loops", kind: kindInt, def: "-1", min: -1, max: 128, flags: imm, group: groupNetwork,
			doc: "Goroutines that read clients' requests, each for many clients. 0: one a client, as on systems other than Linux; -1: one a processor."},
		{name: "db-folder", kind: kindString, def: "dkv-data", flags: imm, group: groupStorage,
			doc: "Folder of the data. A relative path starts from dir."},
		{name: "db-engine", kind: kindEnum, enum: []string{"pebble", "rocksdb", "badger"}, def: "pebble", flags: imm, group: groupStorage,
			doc: "Storage engine, decided when the data folder is made. rocksdb needs a program that was built with it. See docs/engines.md."},
		{name: "db-engine-ini", kind: kindString, flags: imm, group: groupStorage,
			doc: "File of engine options, in sections [pebble], [rocksdb] and [badger]; they go before the parameters of the same meaning. A relative path starts from dir. See docs/engines.md."},
		{name: "diskless", aliases: []string{"dbdiskless"}, kind: kindBool, def: "no", flags: imm, group: groupStorage,
			doc: "Keep data in memory only; nothing survives a restart."},
		{name: "fsync", aliases: []string{"appendfsync"}, kind: kindEnum, enum: []string{"everysec", "always", "no"}, def: "always", group: groupStorage,
			doc: "When an acknowledged write is on disk: always (before the reply), everysec (within a second), no (when the system likes)."},
		{name: "hot-cache-size", kind: kindMemory, def: fmt.Sprint(defHotCacheSize), flags: imm, group: groupStorage,
			doc: "Memory for the table of records that were written or read lately, and for ranges of collections that are read again and again (an eighth); it is taken as they come. 0: no table."},
		{name: "hot-write-buffer-size", kind: kindMemory, def: fmt.Sprint(defHotWriteSize), max: 4 << 30, flags: imm, group: groupStorage,
			doc: "Memory for writes that the engine gets later, sorted: the log has them already. The default is at most a sixteenth of the machine's memory, and of maxmemory. 0: the engine gets each batch at once."},
		{name: "block-cache-size", kind: kindMemory, def: "0", flags: imm, group: groupStorage,
			doc: "Memory for blocks of table files that were read. 0: 64mb, with pebble 32mb on a machine with up to 4gb of memory; all shards together."},
		{name: "memtable-size", kind: kindMemory, def: "0", max: 1 << 30, flags: imm, group: groupStorage,
			doc: "Memory that collects writes before they go to a table file; up to two of them are in use as a rule. 0: 32mb."},
		{name: "compression", kind: kindEnum, enum: []string{"none", "snappy", "zstd"}, def: "snappy", flags: imm, group: groupStorage,
			doc: "Compression of table files, of every engine."},
		{name: "reserve-disk-size", kind: kindMemory, def: "0", flags: imm, group: groupStorage,
			doc: "Free space on the data disk below which writes are refused. 0: 64mb, but at most a twentieth of the disk."},
		{name: "log-cache-size", kind: kindMemory, def: fmt.Sprint(defLogCacheSize), min: 1 << 20, flags: imm, group: groupStorage,
			doc: "Memory for entries of the log."},
		{name: "max-log-size", kind: kindMemory, def: fmt.Sprint(defMaxLogSize), min: 1 << 20, flags: imm, group: groupStorage,
			doc: "Size of the log from which the engine is flushed so that the log can be cut. A restart replays up to this much."},
		{name: "repl-log-size", kind: kindMemory, def: fmt.Sprint(defReplLogSize), flags: imm, group: groupStorage,
			doc: "Bytes of log kept beyond what a restart needs, for replicas that were away."},
		{name: "repl-log-ttl", kind: kindDuration, def: "0s", flags: imm, group: groupStorage,
			doc: "Age from which such log is not kept, counted from the last start where that is later. 0s: any age."},

		{name: "log-format", kind: kindEnum, enum: []string{"text", "json"}, def: "text", flags: imm, group: groupObserve,
			doc: "Form of log lines."},
	}
}

// replicaParams are those of asynchronous replicas.
func replicaParams() []*param {
	const imm = paramImmutable
	return []*param{
		{name: "repl-master-addr", kind: kindPeers, flags: imm, group: groupRole,
			doc: "Master that a slave follows, host:port of its port for clients; or those of several members of one cluster, separated by commas, which are tried in turn. What REPLICAOF has changed since it was given first is kept."},
		{name: "repl-poll-interval", aliases: []string{"replpollinterval"}, kind: kindDuration, def: "0s", group: groupRole,
			doc: "Least time between two batches that a slave applies, at most half of repl-timeout. 0s: as they come, within milliseconds."},
		{name: "replicaof", aliases: []string{"slaveof"}, kind: kindWords, flags: imm, group: groupRole,
			doc: "Master to follow, host and port, as in redis.conf; see repl-master-addr."},
		{name: "masteruser", kind: kindString, flags: paramSensitive, group: groupRole,
			doc: "User that a slave authenticates as, with masterauth. Empty: the default one."},
		{name: "masterauth", kind: kindString, flags: paramSensitive, group: groupRole,
			doc: "Password that a slave gives its master. Empty: none."},
		{name: "repl-timeout", kind: kindInt, def: "60", min: 1, max: maxInt32, group: groupRole,
			doc: "Seconds of silence after which a master and a slave give each other up."},
		{name: "replica-serve-stale-data", aliases: []string{"slave-serve-stale-data"}, kind: kindBool, def: "yes", group: groupRole,
			doc: "no: a slave answers MASTERDOWN while it does not follow its master."},
		{name: "replica-priority", aliases: []string{"slave-priority"}, kind: kindInt, def: "100", max: maxInt32, group: groupRole,
			doc: "Shown in INFO, for tools that choose a new master."},
		{name: "replica-announced", kind: kindBool, def: "yes", group: groupRole,
			doc: "Shown in INFO, for such tools."},
		{name: "replica-announce-ip", aliases: []string{"slave-announce-ip"}, kind: kindString, group: groupRole,
			doc: "Host that a slave tells its master, where it is not the address that it comes from."},
		{name: "replica-announce-port", aliases: []string{"slave-announce-port"}, kind: kindInt, def: "0", max: 65535, group: groupRole,
			doc: "Port that a slave tells its master. 0: that of listen-addr."},
		{name: "min-replicas-to-write", aliases: []string{"min-slaves-to-write"}, kind: kindInt, def: "0", max: maxInt32, group: groupRole,
			doc: "Slaves that must have been heard of within min-replicas-max-lag, or writes are answered NOREPLICAS. 0: none."},
		{name: "min-replicas-max-lag", aliases: []string{"min-slaves-max-lag"}, kind: kindInt, def: "10", max: maxInt32, group: groupRole,
			doc: "Seconds; see min-replicas-to-write. 0: writes are never refused for it."},
	}
}

// redisParams are parameters of Redis 7.2 that work here.
func redisParams() []*param {
	const imm = paramImmutable
	debugEnum := []string{"no", "yes", "local"}
	shutdownEnum := []string{"default", "save", "nosave", "now", "force"}
	return []*param{
		{name: "bind", kind: kindWords, def: "127.0.0.1", group: groupNetwork,
			doc: "Addresses to listen on; * is every IPv4 and ::* every IPv6 address; a leading - skips an address that the machine lacks. Empty: none, only unixsocket. A node of a cluster keeps those it was started with."},
		{name: "port", kind: kindInt, def: "6379", max: 65535, group: groupNetwork,
			doc: "TCP port. 0 takes any free port, or none when unixsocket is set. A node of a cluster keeps the one it was started with."},
		{name: "unixsocket", kind: kindString, flags: imm, group: groupNetwork, doc: "Path of a unix socket to listen on as well."},
		{name: "unixsocketperm", kind: kindOctal, def: "0", max: 0o777, flags: imm, group: groupNetwork, doc: "Mode of the unix socket, octal; 0 leaves the system's."},
		{name: "tcp-backlog", kind: kindInt, def: "511", max: maxInt32, flags: imm, effect: effectStored, group: groupNetwork,
			doc: "Length of the accept queue; the system's limit is used."},
		{name: "tcp-keepalive", kind: kindInt, def: "300", max: maxInt32, group: groupNetwork, doc: "Seconds between TCP keepalive probes; 0 is off."},
		{name: "timeout", kind: kindInt, def: "0", max: maxInt32, group: groupNetwork, doc: "Close a client that was idle for so many seconds; 0 is never."},

		{name: "dir", kind: kindString, def: ".", flags: paramProtected, group: groupStorage,
			doc: "Folder that relative paths start from. It cannot change while the server runs."},
		{name: "databases", kind: kindInt, def: "16", min: 1, max: 16, flags: imm, group: groupStorage, doc: "Number of databases, at most 16."},

		{name: "protected-mode", kind: kindBool, def: "yes", group: groupSecurity,
			doc: "Without a password, serve only loopback clients."},
		{name: "requirepass", kind: kindString, flags: paramSensitive, group: groupSecurity, doc: "Password that clients give with AUTH. Empty: none."},
		{name: "aclfile", kind: kindString, flags: imm, group: groupSecurity,
			doc: "File of users, for ACL LOAD and ACL SAVE. With it, and with `user` lines in the config file, users are this node's own; else they are kept with the data. A relative path starts from dir. See docs/security.md."},
		{name: "acllog-max-len", kind: kindInt, def: "128", group: groupSecurity, doc: "Denials kept for ACL LOG."},
		{name: "acl-pubsub-default", kind: kindEnum, enum: []string{"allchannels", "resetchannels"}, def: "resetchannels", group: groupSecurity,
			doc: "Channels of new users, and of those that are reset: all or none."},
		{name: "enable-protected-configs", kind: kindEnum, enum: debugEnum, def: "no", flags: imm, group: groupSecurity, doc: "Allow CONFIG SET of protected parameters (dir, dbfilename)."},
		{name: "enable-debug-command", kind: kindEnum, enum: debugEnum, def: "local", flags: imm, group: groupSecurity, doc: "Allow DEBUG: no, yes, or local for loopback and unix socket clients."},

		{name: "maxclients", kind: kindInt, def: "10000", min: 1, max: math.MaxUint32, group: groupLimits, doc: "Clients served at once."},
		{name: "proto-max-bulk-len", kind: kindMemory, def: fmt.Sprint(512 << 20), min: 1 << 20, group: groupLimits, doc: "Largest argument of a command."},
		{name: "client-query-buffer-limit", kind: kindMemory, def: fmt.Sprint(1 << 30), min: 1 << 20, group: groupLimits, doc: "Largest request that waits unparsed."},
		{name: "client-output-buffer-limit", kind: kindOutput, def: "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", group: groupLimits,
			doc: "Replies that may wait for a slow client: class, hard limit, soft limit, soft seconds."},

		{name: "command-memory-limit", kind: kindMemory, def: fmt.Sprint(1 << 30), min: 1 << 20, group: groupLimits,
			doc: "Largest reply of one command, or of a transaction, and the most that SORT, SUNION, ZUNION and their like keep in memory while they work. A command that needs more is answered with an error, and has changed nothing."},
		{name: "maxmemory-clients", kind: kindPercent, def: "0", group: groupLimits,
			doc: "Memory for all clients' unfinished requests, open transactions, and replies that are made or wait to be sent; n% is a part of maxmemory. Above it the clients that take the most are cut. 0: an eighth of the machine's memory."},

		{name: "loglevel", kind: kindEnum, enum: []string{"debug", "verbose", "notice", "warning", "nothing"}, def: "notice", group: groupObserve, doc: "Least important log line to write."},
		{name: "logfile", kind: kindString, flags: imm, group: groupObserve, doc: "File that log lines are appended to. Empty: standard output."},
		{name: "pidfile", kind: kindString, flags: imm, group: groupObserve, doc: "File that the process id is written to."},
		{name: "slowlog-log-slower-than", kind: kindInt, def: "10000", min: -1, group: groupObserve, doc: "Microseconds from which a command is kept in SLOWLOG; -1 is never."},
		{name: "slowlog-max-len", kind: kindInt, def: "128", group: groupObserve, doc: "Commands kept in SLOWLOG."},
		{name: "latency-monitor-threshold", kind: kindInt, def: "0", group: groupObserve, doc: "Milliseconds from which LATENCY keeps an event; 0 is off."},
		{name: "latency-tracking", kind: kindBool, def: "yes", group: groupObserve, doc: "Keep a latency histogram of each command."},
		{name: "latency-tracking-info-percentiles", kind: kindPercentile, def: "50 99 99.9", group: groupObserve, doc: "Percentiles that INFO latencystats prints."},
		{name: "shutdown-on-sigint", kind: kindWords, def: "default", enum: shutdownEnum, group: groupObserve, effect: effectStored, doc: "A signal always stops gracefully: data is flushed."},
		{name: "shutdown-on-sigterm", kind: kindWords, def: "default", enum: shutdownEnum, group: groupObserve, effect: effectStored, doc: "A signal always stops gracefully: data is flushed."},
		{name: "shutdown-timeout", kind: kindInt, def: "10", max: maxInt32, group: groupObserve, doc: "Seconds that a stop waits for clients."},

		{name: "hash-max-listpack-entries", aliases: []string{"hash-max-ziplist-entries"}, kind: kindInt, def: "512", group: groupKeyspace, doc: "OBJECT ENCODING of a hash: listpack up to so many fields."},
		{name: "hash-max-listpack-value", aliases: []string{"hash-max-ziplist-value"}, kind: kindMemory, def: "64", group: groupKeyspace, doc: "OBJECT ENCODING of a hash: listpack up to this length of a field or value."},
		{name: "list-max-listpack-size", aliases: []string{"list-max-ziplist-size"}, kind: kindInt, def: "-2", min: math.MinInt32, max: maxInt32, group: groupKeyspace, doc: "OBJECT ENCODING of a list: listpack up to so many elements, or, below zero, up to 4 KiB (-1), 8 KiB (-2) ... 64 KiB (-5)."},
		{name: "list-compress-depth", kind: kindInt, def: "0", max: maxInt32, effect: effectStored, group: groupKeyspace, doc: "The engine compresses blocks, not list nodes."},
		{name: "set-max-intset-entries", kind: kindInt, def: "512", group: groupKeyspace, doc: "OBJECT ENCODING of a set of integers: intset up to so many members."},
		{name: "set-max-listpack-entries", kind: kindInt, def: "128", group: groupKeyspace, doc: "OBJECT ENCODING of a set: listpack up to so many members."},
		{name: "set-max-listpack-value", kind: kindMemory, def: "64", group: groupKeyspace, doc: "OBJECT ENCODING of a set: listpack up to this length of a member."},
		{name: "zset-max-listpack-entries", aliases: []string{"zset-max-ziplist-entries"}, kind: kindInt, def: "128", group: groupKeyspace, doc: "OBJECT ENCODING of a sorted set: listpack up to so many members."},
		{name: "zset-max-listpack-value", aliases: []string{"zset-max-ziplist-value"}, kind: kindMemory, def: "64", group: groupKeyspace, doc: "OBJECT ENCODING of a sorted set: listpack up to this length of a member."},
		{name: "stream-node-max-bytes", kind: kindMemory, def: "4096", group: groupKeyspace, doc: "Granularity of approximate trimming of a stream, in bytes."},
		{name: "stream-node-max-entries", kind: kindInt, def: "100", group: groupKeyspace, doc: "Granularity of approximate trimming of a stream, in entries."},
		{name: "hll-sparse-max-bytes", kind: kindMemory, def: "3000", group: groupKeyspace, doc: "Size above which a HyperLogLog becomes dense."},
		{name: "notify-keyspace-events", kind: kindEvents, group: groupKeyspace, doc: "Classes of keyspace notifications to publish, as in Redis; to be set alike on all nodes of a cluster and on replicas."},
		{name: "busy-reply-threshold", aliases: []string{"lua-time-limit"}, kind: kindInt, def: "5000", group: groupKeyspace, doc: "Milliseconds from which a script is called slow and others get BUSY; 0: never."},
		{name: "lua-memory-limit", kind: kindMemory, def: "268435456", min: 1 << 20, group: groupKeyspace, doc: "Memory that one script may take. It is measured on the whole process, roughly."},
		{name: "tracking-table-max-keys", kind: kindInt, def: "1000000", group: groupKeyspace, doc: "Keys remembered for client-side caching; of more than these some are invalidated. 0: no limit."},
	}
}
