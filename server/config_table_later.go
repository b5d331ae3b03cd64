package server

import "fmt"

func later(k kind, names string, def string, flags paramFlags, doc string) *param {
	return redisParam(effectLater, k, names, def, flags, doc)
}

// redisLaterParams belong to features that are not built yet. Those that a
// user would rely on (ACL files) are refused; the others are read back as they were set.
func redisLaterParams() []*param {
	const imm, unbuilt = paramImmutable, paramUnbuilt
	const (
		repl = "Replication is done in another way here; see docs/replication.md."
		acl  = "Belongs to ACLs."
	)
	return []*param{
		stored(kindBool, "replica-read-only slave-read-only", "yes", 0, "A replica is always read only."),
		stored(kindBool, "replica-lazy-flush slave-lazy-flush", "no", 0, repl),
		later(kindBool, "replica-ignore-maxmemory slave-ignore-maxmemory", "yes", 0, repl),
		stored(kindBool, "replica-ignore-disk-write-errors", "no", 0, repl),
		stored(kindBool, "repl-disable-tcp-nodelay", "no", 0, repl),
		stored(kindBool, "repl-diskless-sync", "yes", 0, repl),
		stored(kindInt, "repl-diskless-sync-delay", "5", 0, repl).bounds(0, maxInt32),
		stored(kindInt, "repl-diskless-sync-max-replicas", "0", 0, repl).bounds(0, maxInt32),
		stored(kindEnum, "repl-diskless-load", "disabled", 0, repl).oneOf("disabled", "on-empty-db", "swapdb"),
		stored(kindInt, "repl-ping-replica-period repl-ping-slave-period", "10", 0, repl).bounds(1, maxInt32),
		stored(kindMemory, "repl-backlog-size", fmt.Sprint(1<<20), 0, repl).bounds(1, 0),
		stored(kindInt, "repl-backlog-ttl", "3600", 0, repl),

		later(kindString, "aclfile", "", imm|unbuilt, "File of users."),
		later(kindInt, "acllog-max-len", "128", 0, acl),
		later(kindEnum, "acl-pubsub-default", "resetchannels", 0, acl).oneOf("allchannels", "resetchannels"),
		stored(kindEnum, "sanitize-dump-payload", "no", 0, "Payloads given to RESTORE are always checked.").oneOf("no", "yes", "clients"),
	}
}
