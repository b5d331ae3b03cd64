package command

// pubsubTable are the commands about channels.
var pubsubTable = []*Spec{
	{
		Name: "subscribe", Arity: -2, Flags: FlagPubSub | FlagNoScript | FlagLoading | FlagStale,
		Since: "2.0.0", Summary: "Has the messages of channels sent to the connection.",
		Complexity: "O(N) for N channels",
		Args:       []Arg{str("channel").many()},
	},
	{
		Name: "psubscribe", Arity: -2, Flags: FlagPubSub | FlagNoScript | FlagLoading | FlagStale,
		Since: "2.0.0", Summary: "Has the messages of all channels that match patterns sent to the connection.",
		Complexity: "O(N) for N patterns",
		Args:       []Arg{block("pattern", pattern("pattern")).many()},
	},
	{
		Name: "ssubscribe", Arity: -2, Flags: FlagPubSub | FlagNoScript | FlagLoading | FlagStale,
		KeySpecs: []KeySpec{from(1, KeyNotKey)},
		Since:    "7.0.0", Summary: "Has the messages of shard channels sent to the connection.",
		Complexity: "O(N) for N shard channels",
		Args:       []Arg{str("shardchannel").many()},
	},
	{
		Name: "unsubscribe", Arity: -1, Flags: FlagPubSub | FlagNoScript | FlagLoading | FlagStale,
		Since: "2.0.0", Summary: "Ends the subscriptions to channels, or to all.",
		Complexity: "O(N) for N channels",
		Args:       []Arg{str("channel").opt().many()},
	},
	{
		Name: "punsubscribe", Arity: -1, Flags: FlagPubSub | FlagNoScript | FlagLoading | FlagStale,
		Since: "2.0.0", Summary: "Ends the subscriptions to patterns, or to all.",
		Complexity: "O(N) for N patterns",
		Args:       []Arg{pattern("pattern").opt().many()},
	},
	{
		Name: "sunsubscribe", Arity: -1, Flags: FlagPubSub | FlagNoScript | FlagLoading | FlagStale,
		KeySpecs: []KeySpec{from(1, KeyNotKey)},
		Since:    "7.0.0", Summary: "Ends the subscriptions to shard channels, or to all.",
		Complexity: "O(N) for N shard channels",
		Args:       []Arg{str("shardchannel").opt().many()},
	},
	{
		Name: "publish", Arity: 3, Flags: FlagPubSub | FlagLoading | FlagStale | FlagFast | FlagMayReplicate,
		Since: "2.0.0", Summary: "Sends a message to the subscribers of a channel.",
		Complexity: "O(N+M) for N subscribers of the channel and M patterns",
		Args:       []Arg{str("channel"), str("message")},
	},
	{
		Name: "spublish", Arity: 3, Flags: FlagPubSub | FlagLoading | FlagStale | FlagFast | FlagMayReplicate,
		KeySpecs: []KeySpec{at(1, KeyNotKey)},
		Since:    "7.0.0", Summary: "Sends a message to the subscribers of a shard channel.",
		Complexity: "O(N) for N subscribers of the shard channel",
		Args:       []Arg{str("shardchannel"), str("message")},
	},
	{
		Name: "pubsub", Arity: -2,
		Since: "2.8.0", Summary: "Tells about channels.", Complexity: "Depends on the subcommand",
		Subcommands: []*Spec{
			{
				Name: "pubsub|channels", Arity: -2, Flags: FlagPubSub | FlagLoading | FlagStale,
				Since: "2.8.0", Summary: "Lists the channels that have subscribers.", Complexity: "O(N) for N channels",
				Args: []Arg{pattern("pattern").opt()},
			},
			{
				Name: "pubsub|numsub", Arity: -2, Flags: FlagPubSub | FlagLoading | FlagStale,
				Since: "2.8.0", Summary: "Counts the subscribers of channels.", Complexity: "O(N) for N channels",
				Args: []Arg{str("channel").opt().many()},
			},
			{
				Name: "pubsub|numpat", Arity: 2, Flags: FlagPubSub | FlagLoading | FlagStale,
				Since: "2.8.0", Summary: "Counts the patterns that are subscribed to.", Complexity: "O(1)",
			},
			{
				Name: "pubsub|shardchannels", Arity: -2, Flags: FlagPubSub | FlagLoading | FlagStale,
				Since: "7.0.0", Summary: "Lists the shard channels that have subscribers.", Complexity: "O(N) for N shard channels",
				Args: []Arg{pattern("pattern").opt()},
			},
			{
				Name: "pubsub|shardnumsub", Arity: -2, Flags: FlagPubSub | FlagLoading | FlagStale,
				Since: "7.0.0", Summary: "Counts the subscribers of shard channels.", Complexity: "O(N) for N shard channels",
				Args: []Arg{str("shardchannel").opt().many()},
			},
			{
				Name: "pubsub|help", Arity: 2, Flags: FlagLoading | FlagStale,
				Since: "6.2.0", Summary: "Prints the subcommands.", Complexity: "O(1)",
			},
		},
	},
}
