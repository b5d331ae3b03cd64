package command

// connectionTable are the commands about the own connection.
var connectionTable = []*Spec{
	{
		Name: "ping", Arity: -1, Flags: FlagFast, Categories: CatConnection,
		Since: "1.0.0", Summary: "Answers, to show that the connection and the server are alive.", Complexity: "O(1)",
		Tips: []string{"request_policy:all_shards", "response_policy:all_succeeded"},
		Args: []Arg{str("message").opt()},
	},
	{
		Name: "echo", Arity: 2, Flags: FlagLoading | FlagStale | FlagFast, Categories: CatConnection,
		Since: "1.0.0", Summary: "Returns its argument.", Complexity: "O(1)",
		Args: []Arg{str("message")},
	},
	{
		Name: "quit", Arity: -1, Flags: FlagNoScript | FlagLoading | FlagStale | FlagFast | FlagNoAuth | FlagAllowBusy, Categories: CatConnection,
		Since: "1.0.0", Summary: "Closes the connection.", Complexity: "O(1)",
	},
	{
		Name: "reset", Arity: 1, Flags: FlagNoScript | FlagLoading | FlagStale | FlagFast | FlagNoAuth | FlagAllowBusy, Categories: CatConnection,
		Since: "6.2.0", Summary: "Puts the connection into the state of a new one.", Complexity: "O(1)",
	},
	{
		Name: "select", Arity: 2, Flags: FlagLoading | FlagStale | FlagFast, Categories: CatConnection,
		Since: "1.0.0", Summary: "Chooses the database that the connection works on.", Complexity: "O(1)",
		Args: []Arg{integer("index")},
	},
	{
		Name: "auth", Arity: -2, Flags: FlagNoScript | FlagLoading | FlagStale | FlagFast | FlagNoAuth | FlagAllowBusy, Categories: CatConnection,
		Since: "1.0.0", Summary: "Authenticates the connection.", Complexity: "O(N) for N passwords of the user",
		History: []Change{{"6.0.0", "User name and password."}},
		Args:    []Arg{str("username").opt().since("6.0.0"), str("password")},
	},
	{
		Name: "hello", Arity: -1, Flags: FlagNoScript | FlagLoading | FlagStale | FlagFast | FlagNoAuth | FlagAllowBusy, Categories: CatConnection,
		Since: "6.0.0", Summary: "Chooses the version of the protocol, and may authenticate.", Complexity: "O(1)",
		History: []Change{{"6.2.0", "Without a version it only tells about the connection."}},
		Args: []Arg{
			block("arguments",
				integer("protover"),
				block("username_password", str("username"), str("password")).after("AUTH").opt(),
				str("clientname").after("SETNAME").opt(),
			).opt(),
		},
	},
}
