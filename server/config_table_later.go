package server

import (
	"fmt"
	"math"
)

func later(k kind, names string, def string, flags paramFlags, doc string) *param {
	return redisParam(effectLater, k, names, def, flags, doc)
}

// redisLaterParams belong to features that are not built yet. Those that a
// user would rely on (TLS, ACL files, following a master) are refused; the others are read back as they were set.
func redisLaterParams() []*param {
	const imm, unbuilt = paramImmutable, paramUnbuilt
	const (
		repl = "Belongs to replication."
		acl  = "Belongs to ACLs."
		tls  = "Belongs to TLS."
	)
	return []*param{
		later(kindWords, "replicaof slaveof", "", imm|unbuilt, "Master to follow."),
		later(kindString, "masteruser", "", paramSensitive, repl),
		later(kindString, "masterauth", "", paramSensitive, repl),
		later(kindBool, "replica-serve-stale-data slave-serve-stale-data", "yes", 0, repl),
		later(kindBool, "replica-read-only slave-read-only", "yes", 0, repl),
		later(kindBool, "replica-lazy-flush slave-lazy-flush", "no", 0, repl),
		later(kindBool, "replica-ignore-maxmemory slave-ignore-maxmemory", "yes", 0, repl),
		later(kindBool, "replica-ignore-disk-write-errors", "no", 0, repl),
		later(kindBool, "replica-announced", "yes", 0, repl),
		later(kindInt, "replica-priority slave-priority", "100", 0, repl).bounds(0, maxInt32),
		later(kindString, "replica-announce-ip slave-announce-ip", "", 0, repl),
		later(kindInt, "replica-announce-port slave-announce-port", "0", 0, repl).bounds(0, 65535),
		later(kindBool, "repl-disable-tcp-nodelay", "no", 0, repl),
		later(kindBool, "repl-diskless-sync", "yes", 0, repl),
		later(kindInt, "repl-diskless-sync-delay", "5", 0, repl).bounds(0, maxInt32),
		later(kindInt, "repl-diskless-sync-max-replicas", "0", 0, repl).bounds(0, maxInt32),
		later(kindEnum, "repl-diskless-load", "disabled", 0, repl).oneOf("disabled", "on-empty-db", "swapdb"),
		later(kindInt, "repl-timeout", "60", 0, repl).bounds(1, maxInt32),
		later(kindInt, "repl-ping-replica-period repl-ping-slave-period", "10", 0, repl).bounds(1, maxInt32),
		later(kindMemory, "repl-backlog-size", fmt.Sprint(1<<20), 0, repl).bounds(1, 0),
		later(kindInt, "repl-backlog-ttl", "3600", 0, repl),
		later(kindInt, "min-replicas-to-write min-slaves-to-write", "0", 0, repl).bounds(0, maxInt32),
		later(kindInt, "min-replicas-max-lag min-slaves-max-lag", "10", 0, repl).bounds(0, maxInt32),

		later(kindString, "aclfile", "", imm|unbuilt, "File of users."),
		later(kindInt, "acllog-max-len", "128", 0, acl),
		later(kindEnum, "acl-pubsub-default", "resetchannels", 0, acl).oneOf("allchannels", "resetchannels"),
		later(kindEnum, "sanitize-dump-payload", "no", 0, "Payloads given to RESTORE are always checked.").oneOf("no", "yes", "clients"),

		later(kindInt, "tls-port", "0", unbuilt, "Port for TLS clients.").bounds(0, 65535),
		later(kindString, "tls-cert-file", "", 0, tls),
		later(kindString, "tls-key-file", "", 0, tls),
		later(kindString, "tls-key-file-pass", "", paramSensitive, tls),
		later(kindString, "tls-client-cert-file", "", 0, tls),
		later(kindString, "tls-client-key-file", "", 0, tls),
		later(kindString, "tls-client-key-file-pass", "", paramSensitive, tls),
		later(kindString, "tls-dh-params-file", "", 0, tls),
		later(kindString, "tls-ca-cert-file", "", 0, tls),
		later(kindString, "tls-ca-cert-dir", "", 0, tls),
		later(kindEnum, "tls-auth-clients", "yes", 0, tls).oneOf("no", "yes", "optional"),
		later(kindBool, "tls-replication", "no", 0, tls),
		later(kindBool, "tls-cluster", "no", 0, tls),
		later(kindString, "tls-protocols", "", 0, tls),
		later(kindString, "tls-ciphers", "", 0, tls),
		later(kindString, "tls-ciphersuites", "", 0, tls),
		later(kindBool, "tls-prefer-server-ciphers", "no", 0, tls),
		later(kindBool, "tls-session-caching", "yes", 0, tls),
		later(kindInt, "tls-session-cache-size", "20480", 0, tls).bounds(0, math.MaxInt32),
		later(kindInt, "tls-session-cache-timeout", "300", 0, tls).bounds(0, math.MaxInt32),
	}
}
