package server

import "time"

// clusterParams are those of synchronous masters. The first names are dkv's
// own; the aliases are what users of the older store know.
func clusterParams() []*param {
	const imm = paramImmutable
	return []*param{
		{name: "role", kind: kindEnum, enum: []string{"none", "master", "slave"}, def: "none", flags: imm, group: groupRole,
			doc: "master: takes writes, with cluster-peers or join (which imply it) as a member of a cluster of synchronous masters, otherwise by itself. none: by itself, or what the data folder says. slave: an asynchronous replica, of repl-master-addr."},
		{name: "peer-addr", aliases: []string{"nexus-node-url"}, kind: kindPeer, flags: imm, group: groupRole,
			doc: "This node's address for its peers, host:port, with http:// before it or not. Can be left out when exactly one of cluster-peers is an address of this machine that nobody listens on. With it alone, a node by itself can be grown into a cluster."},
		{name: "cluster-peers", aliases: []string{"nexus-cluster-url"}, kind: kindPeers, flags: imm, group: groupRole,
			doc: "Peer addresses of all nodes that found a cluster, this one among them, separated by commas. The same on each of them; has no effect on a node that is a member already."},
		{name: "join", aliases: []string{"nexus-join", "nexusjoin"}, kind: kindBool, def: "no", flags: imm, group: groupRole,
			doc: "Wait to be added to a running cluster by CLUSTER ADDNODE instead of founding one. Has no effect on a node that is a member already."},
		{name: "peer-listen", kind: kindPeer, flags: imm, group: groupRole,
			doc: "Address to listen on for peers, host:port, where it is not peer-addr; an empty host is every address."},
		{name: "client-addr", kind: kindPeer, flags: imm, group: groupRole,
			doc: "This node's address for clients as others should know it (CLUSTER SLOTS, MOVED). Empty: what is listened on, with the host of peer-addr if that is every address."},
		{name: "shards", kind: kindInt, def: "1", min: 1, max: maxShards, flags: imm, group: groupRole,
			doc: "Raft groups that the slots are spread over. Chosen when the data folder, or the cluster, is made; a node that joins takes the cluster's."},
		{name: "read-mode", kind: kindEnum, enum: []string{"index", "lease"}, def: "index", flags: imm, group: groupRole,
			doc: "How a read makes sure that it misses no write. index: the leader asks a majority; lease: the leader trusts its clock instead, which saves a round trip, and is stale if a clock runs far too slowly."},
		{name: "cluster-redirect", kind: kindBool, def: "no", group: groupRole,
			doc: "Answer with MOVED where another node leads, instead of passing the command on to it. For clients that know Redis Cluster."},
		{name: "cluster-timeout", kind: kindDuration, def: "5s", min: int64(time.Millisecond), flags: imm, group: groupRole,
			doc: "How long a command waits for a leader before it is answered CLUSTERDOWN."},
		{name: "raft-tick", kind: kindDuration, def: "50ms", min: int64(time.Millisecond), flags: imm, group: groupRole,
			doc: "Interval of heartbeats between nodes. The same on all nodes."},
		{name: "raft-election-ticks", kind: kindInt, def: "15", min: 3, max: 1000, flags: imm, group: groupRole,
			doc: "Silence of the leader, in units of raft-tick, after which the others elect a new one. The same on all nodes."},
		{name: "raft-snapshot-rate", kind: kindMemory, def: "0", flags: imm, group: groupRole,
			doc: "Bytes a second at which a node sends its data to one that is far behind. 0: no limit."},
		{name: "peer-tls-cert-file", kind: kindString, flags: imm, group: groupRole,
			doc: "Certificate for TLS between nodes, PEM. Needs the other two peer-tls files, on all nodes."},
		{name: "peer-tls-key-file", kind: kindString, flags: imm, group: groupRole,
			doc: "Key of peer-tls-cert-file, PEM."},
		{name: "peer-tls-ca-file", kind: kindString, flags: imm, group: groupRole,
			doc: "Authorities that the certificates of peers must be signed by, PEM."},
		{name: "recover-lost-majority", kind: kindBool, def: "no", flags: imm, group: groupRole,
			doc: "Make the data folder a cluster of one and exit: for when most nodes are lost for good. What it prints says what may be lost."},
	}
}

// maxShards bounds -shards: each has an engine and a queue of its own.
const maxShards = 64

// redisClusterParams are those of Redis Cluster, which works in another way.
func redisClusterParams() []*param {
	const imm = paramImmutable
	const other = "A cluster of dkv has its own parameters."
	enabled := stored(kindBool, "cluster-enabled", "no", imm, other)
	enabled.refused = map[string]string{"yes": "a cluster of dkv is made with cluster-peers or join instead; see docs/cluster.md"}
	return []*param{
		enabled,
		stored(kindString, "cluster-config-file", "nodes.conf", imm, other),
		stored(kindInt, "cluster-node-timeout", "15000", 0, other),
		stored(kindInt, "cluster-port", "0", imm, other).bounds(0, 65535),
		stored(kindString, "cluster-announce-ip", "", 0, other),
		stored(kindString, "cluster-announce-hostname", "", 0, other),
		stored(kindString, "cluster-announce-human-nodename", "", 0, other),
		stored(kindInt, "cluster-announce-port", "0", 0, other).bounds(0, 65535),
		stored(kindInt, "cluster-announce-bus-port", "0", 0, other).bounds(0, 65535),
		stored(kindInt, "cluster-announce-tls-port", "0", 0, other).bounds(0, 65535),
		stored(kindEnum, "cluster-preferred-endpoint-type", "ip", 0, other).oneOf("ip", "hostname", "unknown-endpoint"),
		stored(kindInt, "cluster-migration-barrier", "1", 0, other).bounds(0, maxInt32),
		stored(kindInt, "cluster-replica-validity-factor cluster-slave-validity-factor", "10", 0, other).bounds(0, maxInt32),
		stored(kindBool, "cluster-replica-no-failover cluster-slave-no-failover", "no", 0, other),
		stored(kindBool, "cluster-require-full-coverage", "yes", 0, other),
		stored(kindBool, "cluster-allow-reads-when-down", "no", 0, other),
		stored(kindBool, "cluster-allow-pubsubshard-when-down", "yes", 0, other),
		stored(kindBool, "cluster-allow-replica-migration", "yes", 0, other),
		stored(kindMemory, "cluster-link-sendbuf-limit", "0", 0, other),
	}
}
