package server

import "strings"

// immutableInRedis are the parameters that Redis 7.2 does not let CONFIG SET change, not
// even to what they are.
var immutableInRedis = func() map[string]bool {
	m := make(map[string]bool)
	for _, name := range strings.Fields(
		"rdbchecksum daemonize io-threads-do-reads always-show-logo set-proc-title syslog-enabled cluster-enabled disable-thp " +
			"aclfile unixsocket pidfile cluster-config-file syslog-ident appendfilename appenddirname server_cpulist bio_cpulist " +
			"aof_rewrite_cpulist bgsave_cpulist logfile supervised syslog-facility enable-protected-configs enable-debug-command " +
			"enable-module-command databases io-threads tcp-backlog cluster-port unixsocketperm socket-mark-id replicaof slaveof") {
		m[name] = true
	}
	return m
}()
