package command

// moduleTable is MODULE: clients ask for the list, which is empty.
var moduleTable = []*Spec{
	{
		Name: "module", Arity: -2,
		Since: "4.0.0", Summary: "Looks at, loads and unloads modules.", Complexity: "Depends on the subcommand.",
		Subcommands: []*Spec{
			{
				Name: "module|help", Arity: 2, Flags: FlagLoading | FlagStale,
				Since: "5.0.0", Summary: "Lists the subcommands.", Complexity: "O(1)",
			},
			{
				Name: "module|list", Arity: 2, Flags: FlagAdmin | FlagNoScript,
				Since: "4.0.0", Summary: "Returns the modules that are loaded.", Complexity: "O(N) for N modules",
				Tips: []string{"nondeterministic_output_order"},
			},
			{
				Name: "module|load", Arity: -3, Flags: FlagAdmin | FlagNoScript | FlagNoAsyncLoading,
				Since: "4.0.0", Summary: "Loads a module.", Complexity: "O(1)",
				Args: []Arg{str("path"), str("arg").opt().many()},
			},
			{
				Name: "module|loadex", Arity: -3, Flags: FlagAdmin | FlagNoScript | FlagNoAsyncLoading,
				Since: "7.0.0", Summary: "Loads a module, with parameters of its own.", Complexity: "O(1)",
				Args: []Arg{
					str("path"),
					block("configs", str("name"), str("value")).after("CONFIG").opt().many(),
					str("args").after("ARGS").opt().many(),
				},
			},
			{
				Name: "module|unload", Arity: 3, Flags: FlagAdmin | FlagNoScript | FlagNoAsyncLoading,
				Since: "4.0.0", Summary: "Unloads a module.", Complexity: "O(1)",
				Args: []Arg{str("name")},
			},
		},
	},
}
