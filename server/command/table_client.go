package command

// clientTable is CLIENT.
var clientTable = []*Spec{
	{
		Name: "client", Arity: -2,
		Since: "2.4.0", Summary: "Looks at and manages connections.", Complexity: "Depends on the subcommand.",
		Subcommands: []*Spec{
			{
				Name: "client|getname", Arity: 2, Flags: FlagNoScript | FlagLoading | FlagStale, Categories: CatConnection,
				Since: "2.6.9", Summary: "Returns the name of the connection.", Complexity: "O(1)",
			},
			{
				Name: "client|help", Arity: 2, Flags: FlagLoading | FlagStale, Categories: CatConnection,
				Since: "5.0.0", Summary: "Lists the subcommands.", Complexity: "O(1)",
			},
			{
				Name: "client|id", Arity: 2, Flags: FlagNoScript | FlagLoading | FlagStale, Categories: CatConnection,
				Since: "5.0.0", Summary: "Returns the number of the connection.", Complexity: "O(1)",
			},
			{
				Name: "client|info", Arity: 2, Flags: FlagNoScript | FlagLoading | FlagStale, Categories: CatConnection,
				Since: "6.2.0", Summary: "Describes this connection.", Complexity: "O(1)",
				Tips: []string{"nondeterministic_output"},
			},
			{
				Name: "client|kill", Arity: -3, Flags: FlagAdmin | FlagNoScript | FlagLoading | FlagStale, Categories: CatConnection,
				Since: "2.4.0", Summary: "Closes connections.", Complexity: "O(N) for N connections",
				History: []Change{
					{"2.8.12", "Filters, and ID among them."},
					{"3.2.0", "TYPE master."},
					{"5.0.0", "TYPE replica; slave means the same."},
					{"6.2.0", "LADDR."},
				},
				Args: []Arg{
					oneOf("filter",
						str("ip:port").goneBy("2.8.12"),
						oneOf("new-format",
							integer("client-id").after("ID").opt().since("2.8.12"),
							oneOf("normal_master_slave_pubsub",
								token("NORMAL"),
								token("MASTER").since("3.2.0"),
								token("SLAVE"),
								token("REPLICA").since("5.0.0"),
								token("PUBSUB"),
							).after("TYPE").opt().since("2.8.12"),
							str("username").after("USER").opt(),
							str("ip:port").after("ADDR").opt(),
							str("ip:port").after("LADDR").opt().since("6.2.0"),
							str("yes/no").after("SKIPME").opt(),
						).many(),
					),
				},
			},
			{
				Name: "client|list", Arity: -2, Flags: FlagAdmin | FlagNoScript | FlagLoading | FlagStale, Categories: CatConnection,
				Since: "2.4.0", Summary: "Describes all connections.", Complexity: "O(N) for N connections",
				History: []Change{
					{"2.8.12", "Field id."},
					{"5.0.0", "Filter TYPE."},
					{"6.0.0", "Field user."},
					{"6.2.0", "Fields argv-mem, tot-mem, laddr and redir; filter ID."},
					{"7.0.0", "Fields resp, multi-mem, rbs and rbp."},
					{"7.0.3", "Field ssub."},
					{"7.2.0", "Fields lib-name and lib-ver."},
				},
				Tips: []string{"nondeterministic_output"},
				Args: []Arg{
					oneOf("normal_master_replica_pubsub",
						token("NORMAL"),
						token("MASTER"),
						token("REPLICA"),
						token("PUBSUB"),
					).after("TYPE").opt().since("5.0.0"),
					block("id", integer("client-id").many()).after("ID").opt().since("6.2.0"),
				},
			},
			{
				Name: "client|no-evict", Arity: 3, Flags: FlagAdmin | FlagNoScript | FlagLoading | FlagStale, Categories: CatConnection,
				Since: "7.0.0", Summary: "Protects the connection from being closed when clients take too much memory.",
				Complexity: "O(1)",
				Args:       []Arg{oneOf("enabled", token("ON"), token("OFF"))},
			},
			{
				Name: "client|no-touch", Arity: 3, Flags: FlagNoScript | FlagLoading | FlagStale, Categories: CatConnection,
				Since: "7.2.0", Summary: "Chooses whether the commands of this connection count as uses of keys.",
				Complexity: "O(1)",
				Args:       []Arg{oneOf("enabled", token("ON"), token("OFF"))},
			},
			{
				Name: "client|pause", Arity: -3, Flags: FlagAdmin | FlagNoScript | FlagLoading | FlagStale, Categories: CatConnection,
				Since: "2.9.50", Summary: "Holds back commands of clients for some time.", Complexity: "O(1)",
				History: []Change{{"6.2.0", "Modes WRITE and ALL."}},
				Args:    []Arg{integer("timeout"), oneOf("mode", token("WRITE"), token("ALL")).opt().since("6.2.0")},
			},
			{
				Name: "client|reply", Arity: 3, Flags: FlagNoScript | FlagLoading | FlagStale, Categories: CatConnection,
				Since: "3.2.0", Summary: "Turns replies to this connection on or off.", Complexity: "O(1)",
				Args: []Arg{oneOf("on_off_skip", token("ON"), token("OFF"), token("SKIP"))},
			},
			{
				Name: "client|setinfo", Arity: 4, Flags: FlagNoScript | FlagLoading | FlagStale, Categories: CatConnection,
				Since: "7.2.0", Summary: "Sets what the connection tells about its client library.", Complexity: "O(1)",
				Tips: []string{"request_policy:all_nodes", "response_policy:all_succeeded"},
				Args: []Arg{oneOf("attr", str("libname").after("LIB-NAME"), str("libver").after("LIB-VER"))},
			},
			{
				Name: "client|setname", Arity: 3, Flags: FlagNoScript | FlagLoading | FlagStale, Categories: CatConnection,
				Since: "2.6.9", Summary: "Names the connection.", Complexity: "O(1)",
				Args: []Arg{str("connection-name")},
			},
			{
				Name: "client|unblock", Arity: -3, Flags: FlagAdmin | FlagNoScript | FlagLoading | FlagStale, Categories: CatConnection,
				Since: "5.0.0", Summary: "Ends the wait of a client in a blocking command.",
				Complexity: "O(log N) for N clients",
				Args:       []Arg{integer("client-id"), oneOf("unblock-type", token("TIMEOUT"), token("ERROR")).opt()},
			},
			{
				Name: "client|unpause", Arity: 2, Flags: FlagAdmin | FlagNoScript | FlagLoading | FlagStale, Categories: CatConnection,
				Since: "6.2.0", Summary: "Ends CLIENT PAUSE.", Complexity: "O(N) for N held back clients",
			},
		},
	},
}
