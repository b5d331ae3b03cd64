package command

// How scripts and functions are called: their keys follow the number of them.
const (
	noteRW = "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE"
	noteRO = "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS"
)

const scriptFlags = FlagNoScript | FlagStale | FlagSkipMonitor | FlagNoMandatoryKeys | FlagMovableKeys

// scriptArgs are the arguments of a call.
func scriptArgs(what string) []Arg {
	return []Arg{str(what), integer("numkeys"), key("key").opt().many(), str("arg").opt().many()}
}

// flushArgs are those of a flush.
func flushArgs() []Arg {
	return []Arg{oneOf("flush-type", token("ASYNC").since("6.2.0"), token("SYNC").since("6.2.0")).opt()}
}

// scriptingTable are scripts and functions.
var scriptingTable = []*Spec{
	{
		Name: "eval", Arity: -3, Flags: scriptFlags, Categories: CatScripting, MayWrite: true,
		KeySpecs: []KeySpec{counted(2, KeyRW|KeyAccess|KeyUpdate).note(noteRW)}, Handler: scripting,
		Since: "2.6.0", Summary: "Runs a script.", Complexity: "Depends on the script.", Args: scriptArgs("script"),
	},
	{
		Name: "eval_ro", Arity: -3, Flags: scriptFlags | FlagReadOnly, Categories: CatScripting, Snapshot: true, Slow: true,
		KeySpecs: []KeySpec{counted(2, KeyRO|KeyAccess).note(noteRO)}, Handler: scripting,
		Since: "7.0.0", Summary: "Runs a script that must not write.", Complexity: "Depends on the script.", Args: scriptArgs("script"),
	},
	{
		Name: "evalsha", Arity: -3, Flags: scriptFlags, Categories: CatScripting, MayWrite: true,
		KeySpecs: []KeySpec{counted(2, KeyRW|KeyAccess|KeyUpdate)}, Handler: scripting,
		Since: "2.6.0", Summary: "Runs a script that is known by its SHA1.", Complexity: "Depends on the script.", Args: scriptArgs("sha1"),
	},
	{
		Name: "evalsha_ro", Arity: -3, Flags: scriptFlags | FlagReadOnly, Categories: CatScripting, Snapshot: true, Slow: true,
		KeySpecs: []KeySpec{counted(2, KeyRO|KeyAccess)}, Handler: scripting,
		Since: "7.0.0", Summary: "Runs a script that is known by its SHA1 and must not write.",
		Complexity: "Depends on the script.", Args: scriptArgs("sha1"),
	},
	{
		Name: "script", Arity: -2,
		Since: "2.6.0", Summary: "A container for script management commands.", Complexity: "Depends on subcommand.",
		Subcommands: []*Spec{
			{
				Name: "script|load", Arity: 3, Flags: FlagNoScript | FlagStale, Categories: CatScripting, MayWrite: true,
				Handler: scripting,
				Since:   "2.6.0", Summary: "Keeps a script without running it, and returns its SHA1.",
				Complexity: "O(N) for a script of N bytes", Tips: []string{"request_policy:all_nodes", "response_policy:all_succeeded"},
				Args: []Arg{str("script")},
			},
			{
				Name: "script|exists", Arity: -3, Flags: FlagNoScript, Categories: CatScripting, Handler: scripting,
				Since: "2.6.0", Summary: "Tells which scripts are known by their SHA1.", Complexity: "O(N) for N scripts",
				Tips: []string{"request_policy:all_shards", "response_policy:agg_logical_and"}, Args: []Arg{str("sha1").many()},
			},
			{
				Name: "script|flush", Arity: -2, Flags: FlagNoScript, Categories: CatScripting, MayWrite: true, Handler: scripting,
				Since: "2.6.0", Summary: "Forgets all scripts.", Complexity: "O(N) for N scripts",
				History: []Change{{"6.2.0", "Options ASYNC and SYNC."}},
				Tips:    []string{"request_policy:all_nodes", "response_policy:all_succeeded"}, Args: flushArgs(),
			},
			{
				Name: "script|kill", Arity: 2, Flags: FlagNoScript | FlagAllowBusy, Categories: CatScripting,
				Since: "2.6.0", Summary: "Ends a script that is being run and has not written.", Complexity: "O(1)",
				Tips: []string{"request_policy:all_shards", "response_policy:one_succeeded"},
			},
			{
				Name: "script|debug", Arity: 3, Flags: FlagNoScript, Categories: CatScripting,
				Since: "3.2.0", Summary: "Sets the debug mode of the scripts that follow.", Complexity: "O(1)",
				Args: []Arg{oneOf("mode", token("YES"), token("SYNC"), token("NO"))},
			},
			{
				Name: "script|help", Arity: 2, Flags: FlagLoading | FlagStale, Categories: CatScripting,
				Since: "5.0.0", Summary: "Returns helpful text about the subcommands.", Complexity: "O(1)",
			},
		},
	},
	{
		Name: "fcall", Arity: -3, Flags: scriptFlags, Categories: CatScripting, MayWrite: true,
		KeySpecs: []KeySpec{counted(2, KeyRW|KeyAccess|KeyUpdate).note(noteRW)}, Handler: scripting,
		Since: "7.0.0", Summary: "Calls a function.", Complexity: "Depends on the function.", Args: scriptArgs("function"),
	},
	{
		Name: "fcall_ro", Arity: -3, Flags: scriptFlags | FlagReadOnly, Categories: CatScripting, Snapshot: true, Slow: true,
		KeySpecs: []KeySpec{counted(2, KeyRO|KeyAccess).note(noteRO)}, Handler: scripting,
		Since: "7.0.0", Summary: "Calls a function that does not write.", Complexity: "Depends on the function.", Args: scriptArgs("function"),
	},
	{
		Name: "function", Arity: -2,
		Since: "7.0.0", Summary: "A container for function commands.", Complexity: "Depends on subcommand.",
		Subcommands: []*Spec{
			{
				Name: "function|load", Arity: -3, Flags: FlagWrite | FlagDenyOOM | FlagNoScript, Categories: CatScripting, Handler: scripting,
				Since: "7.0.0", Summary: "Keeps a library of functions.", Complexity: "O(1), and what the library does",
				Tips: []string{"request_policy:all_shards", "response_policy:all_succeeded"},
				Args: []Arg{token("REPLACE").opt(), str("function-code")},
			},
			{
				Name: "function|delete", Arity: 3, Flags: FlagWrite | FlagNoScript, Categories: CatScripting, Handler: scripting,
				Since: "7.0.0", Summary: "Deletes a library and its functions.", Complexity: "O(N) for N functions",
				Tips: []string{"request_policy:all_shards", "response_policy:all_succeeded"}, Args: []Arg{str("library-name")},
			},
			{
				Name: "function|flush", Arity: -2, Flags: FlagWrite | FlagNoScript, Categories: CatScripting, Handler: scripting,
				Since: "7.0.0", Summary: "Deletes all libraries.", Complexity: "O(N) for N functions",
				Tips: []string{"request_policy:all_shards", "response_policy:all_succeeded"},
				Args: []Arg{oneOf("flush-type", token("ASYNC"), token("SYNC")).opt()},
			},
			{
				Name: "function|restore", Arity: -3, Flags: FlagWrite | FlagDenyOOM | FlagNoScript, Categories: CatScripting, Handler: scripting,
				Since: "7.0.0", Summary: "Restores all libraries from what FUNCTION DUMP has returned.", Complexity: "O(N) for N functions",
				Tips: []string{"request_policy:all_shards", "response_policy:all_succeeded"},
				Args: []Arg{str("serialized-value"), oneOf("policy", token("FLUSH"), token("APPEND"), token("REPLACE")).opt()},
			},
			{
				Name: "function|dump", Arity: 2, Flags: FlagNoScript, Categories: CatScripting, Handler: scripting,
				Since: "7.0.0", Summary: "Returns all libraries as one string.", Complexity: "O(N) for N functions",
			},
			{
				Name: "function|list", Arity: -2, Flags: FlagNoScript, Categories: CatScripting, Handler: scripting,
				Since: "7.0.0", Summary: "Returns what is known of the libraries.", Complexity: "O(N) for N functions",
				Tips: []string{"nondeterministic_output_order"},
				Args: []Arg{str("library-name-pattern").after("LIBRARYNAME").opt(), token("WITHCODE").opt()},
			},
			{
				Name: "function|stats", Arity: 2, Flags: FlagNoScript | FlagAllowBusy, Categories: CatScripting, Handler: scripting,
				Since: "7.0.0", Summary: "Returns what is being run, and how many functions there are.", Complexity: "O(1)",
				Tips: []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"},
			},
			{
				Name: "function|kill", Arity: 2, Flags: FlagNoScript | FlagAllowBusy, Categories: CatScripting,
				Since: "7.0.0", Summary: "Ends a function that is being run and has not written.", Complexity: "O(1)",
				Tips: []string{"request_policy:all_shards", "response_policy:one_succeeded"},
			},
			{
				Name: "function|help", Arity: 2, Flags: FlagLoading | FlagStale, Categories: CatScripting,
				Since: "7.0.0", Summary: "Returns helpful text about the subcommands.", Complexity: "O(1)",
			},
		},
	},
}
