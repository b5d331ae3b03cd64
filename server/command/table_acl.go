package command

// aclTable is ACL.
var aclTable = []*Spec{
	{
		Name: "acl", Arity: -2,
		Since: "6.0.0", Summary: "Looks at and changes users and their rights.", Complexity: "Depends on the subcommand.",
		Subcommands: []*Spec{
			{
				Name: "acl|cat", Arity: -2, Flags: FlagNoScript | FlagLoading | FlagStale,
				Since: "6.0.0", Summary: "Lists the categories of commands, or the commands of one.", Complexity: "O(1)",
				Args: []Arg{str("category").opt()},
			},
			{
				Name: "acl|deluser", Arity: -3, Flags: aclAdmin, Effect: keepUsers,
				Since: "6.0.0", Summary: "Deletes users and closes their connections.", Complexity: "O(1) for each user",
				Tips: []string{"request_policy:all_nodes", "response_policy:all_succeeded"},
				Args: []Arg{str("username").many()},
			},
			{
				Name: "acl|dryrun", Arity: -4, Flags: aclAdmin,
				Since: "7.0.0", Summary: "Says whether a user could run a command, without running it.", Complexity: "O(1)",
				Args: []Arg{str("username"), str("command"), str("arg").opt().many()},
			},
			{
				Name: "acl|genpass", Arity: -2, Flags: FlagNoScript | FlagLoading | FlagStale,
				Since: "6.0.0", Summary: "Makes up a password.", Complexity: "O(1)",
				Args: []Arg{integer("bits").opt()},
			},
			{
				Name: "acl|getuser", Arity: 3, Flags: aclAdmin,
				Since: "6.0.0", Summary: "Returns the rules of a user.", Complexity: "O(N) for N passwords and rules of the user",
				History: []Change{{"6.2.0", "Channel patterns."}, {"7.0.0", "Selectors; patterns of keys and channels as rules."}},
				Args:    []Arg{str("username")},
			},
			{
				Name: "acl|help", Arity: 2, Flags: FlagLoading | FlagStale,
				Since: "6.0.0", Summary: "Lists the subcommands.", Complexity: "O(1)",
			},
			{
				Name: "acl|list", Arity: 2, Flags: aclAdmin,
				Since: "6.0.0", Summary: "Returns the rules of all users, as in a file of users.", Complexity: "O(N) for N users",
			},
			{
				Name: "acl|load", Arity: 2, Flags: aclAdmin,
				Since: "6.0.0", Summary: "Reads the file of users again.", Complexity: "O(N) for N users",
			},
			{
				Name: "acl|log", Arity: -2, Flags: aclAdmin,
				Since: "6.0.0", Summary: "Returns what was denied lately, or forgets it.", Complexity: "O(N) for N entries",
				History: []Change{{"7.2.0", "Id and times of an entry."}},
				Args:    []Arg{oneOf("operation", integer("count"), token("RESET")).opt()},
			},
			{
				Name: "acl|save", Arity: 2, Flags: aclAdmin,
				Since: "6.0.0", Summary: "Writes the users to the file of users.", Complexity: "O(N) for N users",
				Tips: []string{"request_policy:all_nodes", "response_policy:all_succeeded"},
			},
			{
				Name: "acl|setuser", Arity: -3, Flags: aclAdmin, Effect: keepUsers,
				Since: "6.0.0", Summary: "Makes or changes a user.", Complexity: "O(N) for N rules",
				History: []Change{{"6.2.0", "Channel patterns."}, {"7.0.0", "Selectors; rights to read and to write keys."}},
				Tips:    []string{"request_policy:all_nodes", "response_policy:all_succeeded"},
				Args:    []Arg{str("username"), str("rule").opt().many()},
			},
			{
				Name: "acl|users", Arity: 2, Flags: aclAdmin,
				Since: "6.0.0", Summary: "Returns the names of all users.", Complexity: "O(N) for N users",
			},
			{
				Name: "acl|whoami", Arity: 2, Flags: FlagNoScript | FlagLoading | FlagStale,
				Since: "6.0.0", Summary: "Returns the name of the connection's user.", Complexity: "O(1)",
			},
		},
	},
}

const aclAdmin = FlagAdmin | FlagNoScript | FlagLoading | FlagStale
