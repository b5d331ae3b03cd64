package command

// adminTable are the containers about the server.
var adminTable = []*Spec{
	{
		Name: "config", Arity: -2,
		Since: "2.0.0", Summary: "Looks at and changes the configuration.", Complexity: "Depends on the subcommand.",
		Subcommands: []*Spec{
			{
				Name: "config|get", Arity: -3, Flags: FlagAdmin | FlagNoScript | FlagLoading | FlagStale,
				Since: "2.0.0", Summary: "Returns parameters that match patterns.", Complexity: "O(N) for N parameters",
				History: []Change{{"7.0.0", "Several patterns."}},
				Args:    []Arg{block("parameter", str("parameter")).many()},
			},
			{
				Name: "config|help", Arity: 2, Flags: FlagLoading | FlagStale,
				Since: "5.0.0", Summary: "Lists the subcommands.", Complexity: "O(1)",
			},
			{
				Name: "config|resetstat", Arity: 2, Flags: FlagAdmin | FlagNoScript | FlagLoading | FlagStale,
				Since: "2.0.0", Summary: "Sets the statistics back to zero.", Complexity: "O(1)",
			},
			{
				Name: "config|rewrite", Arity: 2, Flags: FlagAdmin | FlagNoScript | FlagLoading | FlagStale,
				Since: "2.8.0", Summary: "Writes the configuration back to its file.", Complexity: "O(1)",
			},
			{
				Name: "config|set", Arity: -4, Flags: FlagAdmin | FlagNoScript | FlagLoading | FlagStale,
				Since: "2.0.0", Summary: "Sets parameters.", Complexity: "O(N) for N parameters",
				History: []Change{{"7.0.0", "Several parameters."}},
				Tips:    []string{"request_policy:all_nodes", "response_policy:all_succeeded"},
				Args:    []Arg{block("parameter_value", str("parameter"), str("value")).many()},
			},
		},
	},
	{
		Name: "command", Arity: -1, Flags: FlagLoading | FlagStale, Categories: CatConnection,
		Since: "2.8.13", Summary: "Describes all commands.", Complexity: "O(N) for N commands",
		Tips: []string{"nondeterministic_output_order"},
		Subcommands: []*Spec{
			{
				Name: "command|count", Arity: 2, Flags: FlagLoading | FlagStale, Categories: CatConnection,
				Since: "2.8.13", Summary: "Returns the number of commands.", Complexity: "O(1)",
			},
			{
				Name: "command|docs", Arity: -2, Flags: FlagLoading | FlagStale, Categories: CatConnection,
				Since: "7.0.0", Summary: "Returns the documentation of commands.", Complexity: "O(N) for N commands",
				Tips: []string{"nondeterministic_output_order"},
				Args: []Arg{str("command-name").opt().many()},
			},
			{
				Name: "command|getkeys", Arity: -3, Flags: FlagLoading | FlagStale, Categories: CatConnection,
				Since: "2.8.13", Summary: "Finds the keys in a command.", Complexity: "O(N) for N arguments",
			},
			{
				Name: "command|getkeysandflags", Arity: -3, Flags: FlagLoading | FlagStale, Categories: CatConnection,
				Since: "7.0.0", Summary: "Finds the keys in a command and how it uses them.", Complexity: "O(N) for N arguments",
			},
			{
				Name: "command|help", Arity: 2, Flags: FlagLoading | FlagStale, Categories: CatConnection,
				Since: "5.0.0", Summary: "Lists the subcommands.", Complexity: "O(1)",
			},
			{
				Name: "command|info", Arity: -2, Flags: FlagLoading | FlagStale, Categories: CatConnection,
				Since: "2.8.13", Summary: "Describes some commands, or all.", Complexity: "O(N) for N commands",
				History: []Change{{"7.0.0", "Without arguments: all commands."}},
				Tips:    []string{"nondeterministic_output_order"},
				Args:    []Arg{str("command-name").opt().many()},
			},
			{
				Name: "command|list", Arity: -2, Flags: FlagLoading | FlagStale, Categories: CatConnection,
				Since: "7.0.0", Summary: "Returns the names of commands.", Complexity: "O(N) for N commands",
				Tips: []string{"nondeterministic_output_order"},
				Args: []Arg{
					oneOf("filterby",
						str("module-name").after("MODULE"),
						str("category").after("ACLCAT"),
						pattern("pattern").after("PATTERN"),
					).after("FILTERBY").opt(),
				},
			},
		},
	},
	{
		Name: "memory", Arity: -2,
		Since: "4.0.0", Summary: "Looks at memory.", Complexity: "Depends on the subcommand.",
		Subcommands: []*Spec{
			{
				Name: "memory|doctor", Arity: 2,
				Since: "4.0.0", Summary: "Tells of problems with memory.", Complexity: "O(1)",
				Tips: []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"},
			},
			{
				Name: "memory|help", Arity: 2, Flags: FlagLoading | FlagStale,
				Since: "4.0.0", Summary: "Lists the subcommands.", Complexity: "O(1)",
			},
			{
				Name: "memory|malloc-stats", Arity: 2,
				Since: "4.0.0", Summary: "Returns figures of the memory allocator.", Complexity: "O(1)",
				Tips: []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"},
			},
			{
				Name: "memory|purge", Arity: 2,
				Since: "4.0.0", Summary: "Gives unused memory back to the operating system.",
				Complexity: "Depends on how much memory is in use",
				Tips:       []string{"request_policy:all_shards", "response_policy:all_succeeded"},
			},
			{
				Name: "memory|stats", Arity: 2,
				Since: "4.0.0", Summary: "Returns figures on memory.", Complexity: "O(1)",
				Tips: []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"},
			},
			{
				Name: "memory|usage", Arity: -3, Flags: FlagReadOnly,
				KeySpecs: []KeySpec{at(2, KeyRO)},
				Elements: true, Handler: memoryUsage,
				Since: "4.0.0", Summary: "Estimates the bytes that a key takes.", Complexity: "O(N) for N samples of a collection",
				Args: []Arg{key("key"), integer("count").after("SAMPLES").opt()},
			},
		},
	},
	{
		Name: "slowlog", Arity: -2,
		Since: "2.2.12", Summary: "Looks at the log of slow commands.", Complexity: "Depends on the subcommand.",
		Subcommands: []*Spec{
			{
				Name: "slowlog|get", Arity: -2, Flags: FlagAdmin | FlagLoading | FlagStale,
				Since: "2.2.12", Summary: "Returns entries of the log, newest first.", Complexity: "O(N) for N entries",
				History: []Change{{"4.0.0", "Address, port and name of the client."}},
				Tips:    []string{"request_policy:all_nodes", "nondeterministic_output"},
				Args:    []Arg{integer("count").opt()},
			},
			{
				Name: "slowlog|help", Arity: 2, Flags: FlagLoading | FlagStale,
				Since: "6.2.0", Summary: "Lists the subcommands.", Complexity: "O(1)",
			},
			{
				Name: "slowlog|len", Arity: 2, Flags: FlagAdmin | FlagLoading | FlagStale,
				Since: "2.2.12", Summary: "Returns the number of entries.", Complexity: "O(1)",
				Tips: []string{"request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"},
			},
			{
				Name: "slowlog|reset", Arity: 2, Flags: FlagAdmin | FlagLoading | FlagStale,
				Since: "2.2.12", Summary: "Empties the log.", Complexity: "O(N) for N entries",
				Tips: []string{"request_policy:all_nodes", "response_policy:all_succeeded"},
			},
		},
	},
	{
		Name: "latency", Arity: -2,
		Since: "2.8.13", Summary: "Looks at what took the server long.", Complexity: "Depends on the subcommand.",
		Subcommands: []*Spec{
			{
				Name: "latency|doctor", Arity: 2, Flags: FlagAdmin | FlagNoScript | FlagLoading | FlagStale,
				Since: "2.8.13", Summary: "Returns a report for humans.", Complexity: "O(1)",
				Tips: []string{"nondeterministic_output", "request_policy:all_nodes", "response_policy:special"},
			},
			{
				Name: "latency|graph", Arity: 3, Flags: FlagAdmin | FlagNoScript | FlagLoading | FlagStale,
				Since: "2.8.13", Summary: "Draws the samples of an event.", Complexity: "O(1)",
				Tips: []string{"nondeterministic_output", "request_policy:all_nodes", "response_policy:special"},
				Args: []Arg{str("event")},
			},
			{
				Name: "latency|help", Arity: 2, Flags: FlagLoading | FlagStale,
				Since: "2.8.13", Summary: "Lists the subcommands.", Complexity: "O(1)",
			},
			{
				Name: "latency|histogram", Arity: -2, Flags: FlagAdmin | FlagNoScript | FlagLoading | FlagStale,
				Since: "7.0.0", Summary: "Returns the distribution of the run times of commands.",
				Complexity: "O(N) for N commands",
				Tips:       []string{"nondeterministic_output", "request_policy:all_nodes", "response_policy:special"},
				Args:       []Arg{str("command").opt().many()},
			},
			{
				Name: "latency|history", Arity: 3, Flags: FlagAdmin | FlagNoScript | FlagLoading | FlagStale,
				Since: "2.8.13", Summary: "Returns the samples of an event.", Complexity: "O(1)",
				Tips: []string{"nondeterministic_output", "request_policy:all_nodes", "response_policy:special"},
				Args: []Arg{str("event")},
			},
			{
				Name: "latency|latest", Arity: 2, Flags: FlagAdmin | FlagNoScript | FlagLoading | FlagStale,
				Since: "2.8.13", Summary: "Returns the latest sample of every event.", Complexity: "O(1)",
				Tips: []string{"nondeterministic_output", "request_policy:all_nodes", "response_policy:special"},
			},
			{
				Name: "latency|reset", Arity: -2, Flags: FlagAdmin | FlagNoScript | FlagLoading | FlagStale,
				Since: "2.8.13", Summary: "Forgets the samples of events.", Complexity: "O(1)",
				Tips: []string{"request_policy:all_nodes", "response_policy:all_succeeded"},
				Args: []Arg{str("event").opt().many()},
			},
		},
	},
}
