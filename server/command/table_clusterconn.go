package command

// clusterConnTable are the commands by which a client tells how it means to use
// its connection to a node of a cluster.
var clusterConnTable = []*Spec{
	{
		Name: "readonly", Arity: 1, Flags: FlagLoading | FlagStale | FlagFast, Categories: CatConnection,
		Since: "3.0.0", Summary: "Lets reads on this connection take what the node has, which may be behind.", Complexity: "O(1)",
	},
	{
		Name: "readwrite", Arity: 1, Flags: FlagLoading | FlagStale | FlagFast, Categories: CatConnection,
		Since: "3.0.0", Summary: "Ends READONLY.", Complexity: "O(1)",
	},
	{
		Name: "asking", Arity: 1, Flags: FlagFast, Categories: CatConnection,
		Since: "3.0.0", Summary: "Accepted for compatibility: slots do not move between nodes.", Complexity: "O(1)",
	},
}
