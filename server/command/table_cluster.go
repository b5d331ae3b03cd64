package command

import "slices"

const clusterAdmin = FlagAdmin | FlagStale

// clusterTable is CLUSTER. What Redis has and dkv does in another way is there
// too: it is answered with the name of dkv's own command.
var clusterTable = []*Spec{
	{
		Name: "cluster", Arity: -2,
		Since: "3.0.0", Summary: "Looks at and manages a cluster.", Complexity: "Depends on the subcommand.",
		Subcommands: slices.Concat(clusterLooks, clusterOwn, clusterForeign),
	},
}

// clusterLooks answer as Redis Cluster does.
var clusterLooks = []*Spec{
	{
		Name: "cluster|count-failure-reports", Arity: 3, Flags: clusterAdmin,
		Since: "3.0.0", Summary: "Returns 1 when this node has no connection to another one, else 0.", Complexity: "O(N) for N nodes",
		Tips: []string{"nondeterministic_output"},
		Args: []Arg{str("node-id")},
	},
	{
		Name: "cluster|countkeysinslot", Arity: 3, Flags: FlagStale,
		Since: "3.0.0", Summary: "Returns the number of keys in a hash slot.", Complexity: "O(N) for N keys in the slot",
		Args: []Arg{integer("slot")},
	},
	{
		Name: "cluster|getkeysinslot", Arity: 4, Flags: FlagStale,
		Since: "3.0.0", Summary: "Returns keys of a hash slot.", Complexity: "O(N) for N keys",
		Tips: []string{"nondeterministic_output"},
		Args: []Arg{integer("slot"), integer("count")},
	},
	{
		Name: "cluster|help", Arity: 2, Flags: FlagLoading | FlagStale,
		Since: "5.0.0", Summary: "Lists the subcommands.", Complexity: "O(1)",
	},
	{
		Name: "cluster|info", Arity: 2, Flags: FlagStale,
		Since: "3.0.0", Summary: "Tells the state of the cluster.", Complexity: "O(N) for N nodes",
		Tips: []string{"nondeterministic_output"},
	},
	{
		Name: "cluster|keyslot", Arity: 3, Flags: FlagStale,
		Since: "3.0.0", Summary: "Returns the hash slot of a key.", Complexity: "O(N) for N bytes of the key",
		Args: []Arg{str("key")},
	},
	{
		Name: "cluster|links", Arity: 2, Flags: FlagStale,
		Since: "7.0.0", Summary: "Lists the connections between this node and the others.", Complexity: "O(N) for N nodes",
		Tips: []string{"nondeterministic_output"},
	},
	{
		Name: "cluster|myid", Arity: 2, Flags: FlagStale,
		Since: "3.0.0", Summary: "Returns the id of this node.", Complexity: "O(1)",
	},
	{
		Name: "cluster|myshardid", Arity: 2, Flags: FlagStale,
		Since: "7.2.0", Summary: "Returns the id of a shard that this node leads, or else of the first.", Complexity: "O(1)",
		Tips: []string{"nondeterministic_output"},
	},
	{
		Name: "cluster|nodes", Arity: 2, Flags: FlagStale,
		Since: "3.0.0", Summary: "Describes the nodes, a line each.", Complexity: "O(N) for N nodes",
		Tips: []string{"nondeterministic_output"},
	},
	{
		Name: "cluster|replicas", Arity: 3, Flags: clusterAdmin,
		Since: "5.0.0", Summary: "Describes the nodes that follow one.", Complexity: "O(N) for N nodes",
		Tips: []string{"nondeterministic_output"},
		Args: []Arg{str("node-id")},
	},
	{
		Name: "cluster|saveconfig", Arity: 2, Flags: clusterAdmin | FlagNoAsyncLoading,
		Since: "3.0.0", Summary: "Does nothing: the members are always on disk.", Complexity: "O(1)",
	},
	{
		Name: "cluster|shards", Arity: 2, Flags: FlagStale,
		Since: "7.0.0", Summary: "Tells which nodes have which hash slots.", Complexity: "O(N) for N nodes",
		Tips: []string{"nondeterministic_output"},
	},
	{
		Name: "cluster|slaves", Arity: 3, Flags: clusterAdmin,
		Since: "3.0.0", Summary: "Describes the nodes that follow one.", Complexity: "O(N) for N nodes",
		DeprecatedSince: "5.0.0", ReplacedBy: "CLUSTER REPLICAS",
		Tips: []string{"nondeterministic_output"},
		Args: []Arg{str("node-id")},
	},
	{
		Name: "cluster|slots", Arity: 2, Flags: FlagStale,
		Since: "3.0.0", Summary: "Tells which nodes have which hash slots.", Complexity: "O(N) for N nodes",
		History: []Change{{"4.0.0", "Ids of the nodes."}, {"7.0.0", "Further fields of a node."}},
		Tips:    []string{"nondeterministic_output"},
	},
	{
		Name: "cluster|failover", Arity: -2, Flags: clusterAdmin | FlagNoAsyncLoading,
		Since: "3.0.0", Summary: "Makes this node the leader of all shards.", Complexity: "O(N) for N shards",
		Args: []Arg{oneOf("options", token("FORCE"), token("TAKEOVER")).opt()},
	},
}

// clusterOwn are dkv's. They wait for other nodes, which a transaction must not.
var clusterOwn = []*Spec{
	{
		Name: "cluster|addnode", Arity: -3, Flags: clusterAdmin | FlagNoScript | FlagNoMulti, Group: GroupDKV,
		Summary:    "Adds a node that was started with -join and waits until it has caught up and votes; with ASYNC it does not wait.",
		Complexity: "O(N) for N bytes of data, which the new node is sent",
		Args:       []Arg{str("url"), token("ASYNC").opt()},
	},
	{
		Name: "cluster|listnodes", Arity: 2, Flags: FlagStale, Group: GroupDKV,
		Summary:    "Describes the nodes: addresses, state, and for each shard its role, term, and how far it is behind.",
		Complexity: "O(N) for N nodes and shards",
		Tips:       []string{"nondeterministic_output"},
	},
	{
		Name: "cluster|removenode", Arity: -3, Flags: clusterAdmin | FlagNoScript | FlagNoMulti, Group: GroupDKV,
		Summary:    "Takes a node out of the cluster. Refused where too few of the others answer, unless FORCE is given.",
		Complexity: "O(N) for N shards",
		Args:       []Arg{str("url-or-id"), token("FORCE").opt()},
	},
	{
		Name: "cluster|transferleader", Arity: -2, Flags: clusterAdmin | FlagNoScript | FlagNoMulti, Group: GroupDKV,
		Summary:    "Hands leadership of a shard, or of all, to a node, or to whichever is best.",
		Complexity: "O(N) for N shards",
		Args:       []Arg{str("url-or-id").opt(), integer("shard").after("SHARD").opt()},
	},
}

// clusterForeign would change what dkv decides by itself, or has another command
// for.
var clusterForeign = []*Spec{
	{
		Name: "cluster|addslots", Arity: -3, Flags: clusterAdmin | FlagNoAsyncLoading,
		Since: "3.0.0", Summary: "Refused: slots belong to shards.", Complexity: "O(1)",
		Args: []Arg{integer("slot").many()},
	},
	{
		Name: "cluster|addslotsrange", Arity: -4, Flags: clusterAdmin | FlagNoAsyncLoading,
		Since: "7.0.0", Summary: "Refused: slots belong to shards.", Complexity: "O(1)",
		Args: []Arg{block("start-slot_end-slot", integer("start-slot"), integer("end-slot")).many()},
	},
	{
		Name: "cluster|bumpepoch", Arity: 2, Flags: clusterAdmin | FlagNoAsyncLoading,
		Since: "3.0.0", Summary: "Refused: terms change by elections.", Complexity: "O(1)",
		Tips: []string{"nondeterministic_output"},
	},
	{
		Name: "cluster|delslots", Arity: -3, Flags: clusterAdmin | FlagNoAsyncLoading,
		Since: "3.0.0", Summary: "Refused: slots belong to shards.", Complexity: "O(1)",
		Args: []Arg{integer("slot").many()},
	},
	{
		Name: "cluster|delslotsrange", Arity: -4, Flags: clusterAdmin | FlagNoAsyncLoading,
		Since: "7.0.0", Summary: "Refused: slots belong to shards.", Complexity: "O(1)",
		Args: []Arg{block("start-slot_end-slot", integer("start-slot"), integer("end-slot")).many()},
	},
	{
		Name: "cluster|flushslots", Arity: 2, Flags: clusterAdmin | FlagNoAsyncLoading,
		Since: "3.0.0", Summary: "Refused: slots belong to shards.", Complexity: "O(1)",
	},
	{
		Name: "cluster|forget", Arity: 3, Flags: clusterAdmin | FlagNoAsyncLoading,
		Since: "3.0.0", Summary: "Refused: see CLUSTER REMOVENODE.", Complexity: "O(1)",
		Args: []Arg{str("node-id")},
	},
	{
		Name: "cluster|meet", Arity: -4, Flags: clusterAdmin | FlagNoAsyncLoading,
		Since: "3.0.0", Summary: "Refused: see CLUSTER ADDNODE.", Complexity: "O(1)",
		History: []Change{{"4.0.0", "Port of the cluster bus."}},
		Args:    []Arg{str("ip"), integer("port"), integer("cluster-bus-port").opt().since("4.0.0")},
	},
	{
		Name: "cluster|replicate", Arity: 3, Flags: clusterAdmin | FlagNoAsyncLoading,
		Since: "3.0.0", Summary: "Refused: every node has all data.", Complexity: "O(1)",
		Args: []Arg{str("node-id")},
	},
	{
		Name: "cluster|reset", Arity: -2, Flags: clusterAdmin | FlagNoScript,
		Since: "3.0.0", Summary: "Refused: see CLUSTER REMOVENODE.", Complexity: "O(1)",
		Args: []Arg{oneOf("hard_soft", token("HARD"), token("SOFT")).opt()},
	},
	{
		Name: "cluster|set-config-epoch", Arity: 3, Flags: clusterAdmin | FlagNoAsyncLoading,
		Since: "3.0.0", Summary: "Refused: terms change by elections.", Complexity: "O(1)",
		Args: []Arg{integer("config-epoch")},
	},
	{
		Name: "cluster|setslot", Arity: -4, Flags: clusterAdmin | FlagNoAsyncLoading,
		Since: "3.0.0", Summary: "Refused: slots belong to shards.", Complexity: "O(1)",
		Args: []Arg{
			integer("slot"),
			oneOf("subcommand",
				str("node-id").after("IMPORTING"),
				str("node-id").after("MIGRATING"),
				str("node-id").after("NODE"),
				token("STABLE"),
			),
		},
	},
}
