package command

// serverTable are the commands about the server and whole databases.
var serverTable = []*Spec{
	{
		Name: "swapdb", Arity: 3, Flags: FlagWrite | FlagFast, Categories: CatKeyspace | CatDangerous,
		Handler: swapdb,
		Since:   "4.0.0", Summary: "Exchanges the contents of two databases.", Complexity: "O(1)",
		Args: []Arg{integer("index1"), integer("index2")},
	},
	{
		Name: "dbsize", Arity: 1, Flags: FlagReadOnly | FlagFast, Categories: CatKeyspace,
		Handler: dbsize,
		Since:   "1.0.0", Summary: "Returns the number of keys in the database.", Complexity: "O(1)",
		Tips: []string{"request_policy:all_shards", "response_policy:agg_sum"},
	},
	{
		Name: "flushdb", Arity: -1, Flags: FlagWrite, Categories: CatKeyspace | CatDangerous,
		Handler: flushdb,
		Since:   "1.0.0", Summary: "Deletes all keys of the database.",
		Complexity: "O(1), or O(N) for N keys when there are few",
		History:    []Change{{"4.0.0", "Modifier ASYNC."}, {"6.2.0", "Modifier SYNC."}},
		Tips:       []string{"request_policy:all_shards", "response_policy:all_succeeded"},
		Args:       []Arg{oneOf("async", token("ASYNC").since("4.0.0"), token("SYNC").since("6.2.0")).opt()},
	},
	{
		Name: "flushall", Arity: -1, Flags: FlagWrite, Categories: CatKeyspace | CatDangerous,
		Handler: flushall,
		Since:   "1.0.0", Summary: "Deletes all keys of all databases.",
		Complexity: "O(1), or O(N) for N keys when there are few",
		History:    []Change{{"4.0.0", "Modifier ASYNC."}, {"6.2.0", "Modifier SYNC."}},
		Tips:       []string{"request_policy:all_shards", "response_policy:all_succeeded"},
		Args:       []Arg{oneOf("async", token("ASYNC").since("4.0.0"), token("SYNC").since("6.2.0")).opt()},
	},
	{
		Name: "info", Arity: -1, Flags: FlagLoading | FlagStale, Categories: CatDangerous,
		Since: "1.0.0", Summary: "Tells about the server, with figures.", Complexity: "O(1)",
		History: []Change{{"7.0.0", "Several sections."}},
		Tips:    []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"},
		Args:    []Arg{str("section").opt().many()},
	},
	{
		Name: "time", Arity: 1, Flags: FlagLoading | FlagStale | FlagFast,
		Since: "2.6.0", Summary: "Returns the time of the server.", Complexity: "O(1)",
		Tips: []string{"nondeterministic_output"},
	},
	{
		Name: "lastsave", Arity: 1, Flags: FlagLoading | FlagStale | FlagFast, Categories: CatAdmin | CatDangerous,
		Since: "1.0.0", Summary: "Returns when the data was last flushed to disk or backed up, by SAVE, BGSAVE, DKV.BACKUP or at shutdown.",
		Complexity: "O(1)",
		Tips:       []string{"nondeterministic_output"},
	},
	{
		Name: "save", Arity: 1, Flags: FlagAdmin | FlagNoScript | FlagNoAsyncLoading | FlagNoMulti,
		Since: "1.0.0", Summary: "Flushes everything to the data files, or makes a backup where backup-dir is set, and waits for it.",
		Complexity: "O(N) for N bytes not flushed yet",
	},
	{
		Name: "bgsave", Arity: -1, Flags: FlagAdmin | FlagNoScript | FlagNoAsyncLoading,
		Since: "1.0.0", Summary: "Flushes everything to the data files, or makes a backup where backup-dir is set, in the background.", Complexity: "O(1)",
		History: []Change{{"3.2.2", "Option SCHEDULE."}},
		Args:    []Arg{token("SCHEDULE").opt().since("3.2.2")},
	},
	{
		Name: "bgrewriteaof", Arity: 1, Flags: FlagAdmin | FlagNoScript | FlagNoAsyncLoading,
		Since: "1.0.0", Summary: "Flushes in the background what the log holds, so that the log can be cut.", Complexity: "O(1)",
	},
	{
		Name: "shutdown", Arity: -1, Flags: FlagAdmin | FlagNoScript | FlagLoading | FlagStale | FlagNoMulti | FlagAllowBusy,
		Since: "1.0.0", Summary: "Flushes everything and stops the server.", Complexity: "O(N) for N bytes not flushed yet",
		History: []Change{{"7.0.0", "Modifiers NOW, FORCE and ABORT."}},
		Args: []Arg{
			oneOf("nosave_save", token("NOSAVE"), token("SAVE")).opt(),
			token("NOW").opt().since("7.0.0"),
			token("FORCE").opt().since("7.0.0"),
			token("ABORT").opt().since("7.0.0"),
		},
	},
	{
		Name: "role", Arity: 1, Flags: FlagNoScript | FlagLoading | FlagStale | FlagFast, Categories: CatAdmin | CatDangerous,
		Since: "2.8.12", Summary: "Tells whether the server is a master or a replica, and of whom.", Complexity: "O(1)",
	},
	{
		Name: "monitor", Arity: 1, Flags: FlagAdmin | FlagNoScript | FlagLoading | FlagStale,
		Since: "1.0.0", Summary: "Shows every command that the server runs, as it runs.",
		Complexity: "O(1) for every command shown",
	},
	{
		Name: "debug", Arity: -2, Flags: FlagAdmin | FlagNoScript | FlagLoading | FlagStale,
		Since: "1.0.0", Summary: "Does what tests need.", Complexity: "Depends on the subcommand.",
	},
	{
		Name: "lolwut", Arity: -1, Flags: FlagReadOnly | FlagFast,
		Since: "5.0.0", Summary: "Draws something, and tells the version.",
		Args: []Arg{integer("version").after("VERSION").opt()},
	},
}
