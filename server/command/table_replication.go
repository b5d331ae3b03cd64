package command

// replicationTable are the commands of asynchronous replicas.
var replicationTable = []*Spec{
	{
		Name: "replicaof", Arity: 3, Flags: FlagAdmin | FlagNoScript | FlagStale | FlagNoAsyncLoading,
		Since: "5.0.0", Summary: "Makes the server a replica of another one, or a master again.", Complexity: "O(1)",
		Args: []Arg{replicaofArgs()},
	},
	{
		Name: "slaveof", Arity: 3, Flags: FlagAdmin | FlagNoScript | FlagStale | FlagNoAsyncLoading,
		Since: "1.0.0", Summary: "Makes the server a replica of another one, or a master again.", Complexity: "O(1)",
		DeprecatedSince: "5.0.0", ReplacedBy: "REPLICAOF",
		Args: []Arg{replicaofArgs()},
	},
	{
		Name: "replconf", Arity: -1, Flags: FlagAdmin | FlagNoScript | FlagLoading | FlagStale | FlagAllowBusy,
		Since: "3.0.0", Summary: "What a replica tells its source about itself.", Complexity: "O(1)",
	},
	{
		Name: "psync", Arity: -3, Flags: FlagAdmin | FlagNoScript | FlagNoAsyncLoading | FlagNoMulti,
		Since: "2.8.0", Summary: "How a Redis replica begins; refused, since dkv's replicas use DKV.SYNC.",
	},
	{
		Name: "sync", Arity: 1, Flags: FlagAdmin | FlagNoScript | FlagNoAsyncLoading | FlagNoMulti,
		Since: "1.0.0", Summary: "Sends an RDB file to redis-cli --rdb; an old Redis replica is refused, since dkv's replicas use DKV.SYNC.",
	},
	{
		Name: "waitaof", Arity: 4, Flags: FlagNoScript, Categories: CatConnection, Group: GroupGeneric,
		Since: "7.2.0", Summary: "Waits until the writes of this connection are on the disks of this server and of a number of replicas.",
		Complexity: "O(1)",
		Tips:       []string{"request_policy:all_shards", "response_policy:agg_min"},
		Args:       []Arg{integer("numlocal"), integer("numreplicas"), integer("timeout")},
	},
	{
		// DKV.SYNC version shards shard history index term [copy place]
		Name: "dkv.sync", Arity: -2, Flags: FlagAdmin | FlagNoScript | FlagNoMulti, Group: GroupDKV,
		Summary:    "How a replica of dkv begins to follow a shard: the connection becomes a stream of the shard's log.",
		Complexity: "O(1) where the log reaches back, O(N) for N keys otherwise",
		Args: []Arg{
			integer("version"), integer("shards"), integer("shard"), str("history"), integer("index"), integer("term"),
			block("copy", str("id"), str("place")).opt(),
		},
	},
}

func replicaofArgs() Arg {
	return oneOf("args",
		block("host_port", str("host"), integer("port")),
		block("no_one", token("NO"), token("ONE")))
}
