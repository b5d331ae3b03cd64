package command

// streamKeys are the keys of XREAD and XREADGROUP: the first half of what follows
// STREAMS.
func streamKeys(from int) []KeySpec {
	return []KeySpec{{Flags: KeyRO | KeyAccess, Keyword: "STREAMS", Index: from, LastKey: -1, Step: 1, Limit: 2}}
}

// trimArg is how XADD and XTRIM are told what to cut off.
func trimArg() Arg {
	return block("trim",
		oneOf("strategy", token("MAXLEN"), token("MINID").since("6.2.0")),
		oneOf("operator", token("=").named("equal"), token("~").named("approximately")).opt(),
		str("threshold"),
		integer("count").after("LIMIT").since("6.2.0").opt())
}

func streamsArg() Arg {
	return block("streams", key("key").many(), str("ID").many()).after("STREAMS")
}

// streamTable are the commands on streams.
var streamTable = []*Spec{
	{
		Name: "xadd", Arity: -5, Flags: FlagWrite | FlagDenyOOM | FlagFast, Categories: CatStream,
		KeySpecs: []KeySpec{at(1, KeyRW|KeyUpdate).note("Not an insertion alone, because it may trim")},
		Handler:  xadd,
		Since:    "5.0.0", Summary: "Adds an entry to a stream, which is created if needed.",
		Complexity: "O(1); O(N) when N entries are trimmed",
		History:    []Change{{"6.2.0", "Options NOMKSTREAM, MINID and LIMIT."}, {"7.0.0", "Ids of the form `<ms>-*`."}},
		Tips:       []string{"nondeterministic_output"},
		Args: []Arg{key("key"), token("NOMKSTREAM").since("6.2.0").opt(), trimArg().opt(),
			oneOf("id-selector", token("*").named("auto-id"), str("id")), block("data", str("field"), str("value")).many()},
	},
	{
		Name: "xlen", Arity: 2, Flags: FlagReadOnly | FlagFast, Categories: CatStream,
		KeySpecs: []KeySpec{at(1, KeyRO)},
		Handler:  xlen,
		Since:    "5.0.0", Summary: "Returns the number of entries of a stream.",
		Complexity: "O(1)",
		Args:       []Arg{key("key")},
	},
	{
		Name: "xdel", Arity: -3, Flags: FlagWrite | FlagFast, Categories: CatStream,
		KeySpecs: []KeySpec{at(1, KeyRW|KeyDelete)},
		Handler:  xdel,
		Since:    "5.0.0", Summary: "Deletes entries of a stream.",
		Complexity: "O(log(N)) for each entry, in a stream of N",
		Args:       []Arg{key("key"), str("ID").many()},
	},
	{
		Name: "xtrim", Arity: -4, Flags: FlagWrite, Categories: CatStream,
		KeySpecs: []KeySpec{at(1, KeyRW|KeyDelete)},
		Handler:  xtrim,
		Since:    "5.0.0", Summary: "Deletes the oldest entries of a stream.",
		Complexity: "O(N) for N entries deleted",
		History:    []Change{{"6.2.0", "MINID and the option LIMIT."}},
		Tips:       []string{"nondeterministic_output"},
		Args:       []Arg{key("key"), trimArg()},
	},
	{
		Name: "xsetid", Arity: -3, Flags: FlagWrite | FlagDenyOOM | FlagFast, Categories: CatStream,
		KeySpecs: []KeySpec{at(1, KeyRW|KeyUpdate)},
		Handler:  xsetid,
		Since:    "5.0.0", Summary: "Sets the last id of a stream, and its counters.",
		Complexity: "O(1)",
		History:    []Change{{"7.0.0", "Options ENTRIESADDED and MAXDELETEDID."}},
		Args: []Arg{key("key"), str("last-id"), integer("entries-added").after("ENTRIESADDED").since("7.0.0").opt(),
			str("max-deleted-id").after("MAXDELETEDID").since("7.0.0").opt()},
	},
	{
		Name: "xrange", Arity: -4, Flags: FlagReadOnly, Categories: CatStream,
		KeySpecs: []KeySpec{at(1, KeyRO|KeyAccess)},
		Elements: true, Counted: true, Handler: xrange,
		Since: "5.0.0", Summary: "Returns the entries of a stream in a range of ids.",
		Complexity: "O(N) for N entries returned",
		History:    []Change{{"6.2.0", "Ranges without their ends."}},
		Args:       []Arg{key("key"), str("start"), str("end"), integer("count").after("COUNT").opt()},
	},
	{
		Name: "xrevrange", Arity: -4, Flags: FlagReadOnly, Categories: CatStream,
		KeySpecs: []KeySpec{at(1, KeyRO|KeyAccess)},
		Elements: true, Counted: true, Handler: xrevrange,
		Since: "5.0.0", Summary: "Returns the entries of a stream in a range of ids, the newest first.",
		Complexity: "O(N) for N entries returned",
		History:    []Change{{"6.2.0", "Ranges without their ends."}},
		Args:       []Arg{key("key"), str("end"), str("start"), integer("count").after("COUNT").opt()},
	},
	{
		Name: "xread", Arity: -4, Flags: FlagBlocking | FlagReadOnly | FlagMovableKeys, Categories: CatStream,
		KeySpecs: streamKeys(1),
		Timeout:  streamTimeout, Handler: xread,
		Since: "5.0.0", Summary: "Returns the entries of streams that come after given ids.",
		Complexity: "O(N) for N entries returned",
		Args:       []Arg{integer("count").after("COUNT").opt(), integer("milliseconds").after("BLOCK").opt(), streamsArg()},
	},
	{
		Name: "xreadgroup", Arity: -7, Flags: FlagBlocking | FlagWrite | FlagMovableKeys, Categories: CatStream,
		KeySpecs: streamKeys(4),
		Timeout:  streamTimeout, Handler: xreadgroup,
		Since: "5.0.0", Summary: "Delivers entries of streams to a consumer of a group, or returns those it was delivered before.",
		Complexity: "O(M) for M entries returned",
		Args: []Arg{block("group-block", str("group"), str("consumer")).after("GROUP"), integer("count").after("COUNT").opt(),
			integer("milliseconds").after("BLOCK").opt(), token("NOACK").opt(), streamsArg()},
	},
	{
		Name: "xack", Arity: -4, Flags: FlagWrite | FlagFast, Categories: CatStream,
		KeySpecs: []KeySpec{at(1, KeyRW|KeyUpdate)},
		Handler:  xack,
		Since:    "5.0.0", Summary: "Acknowledges entries that were delivered to consumers of a group.",
		Complexity: "O(1) for each entry",
		Args:       []Arg{key("key"), str("group"), str("ID").many()},
	},
	{
		Name: "xclaim", Arity: -6, Flags: FlagWrite | FlagFast, Categories: CatStream,
		KeySpecs: []KeySpec{at(1, KeyRW|KeyUpdate)},
		Handler:  xclaim,
		Since:    "5.0.0", Summary: "Gives pending entries to another consumer of a group.",
		Complexity: "O(log(N)) with N pending entries of the group",
		Tips:       []string{"nondeterministic_output"},
		Args: []Arg{key("key"), str("group"), str("consumer"), str("min-idle-time"), str("ID").many(), integer("ms").after("IDLE").opt(),
			unixTime("unix-time-milliseconds").after("TIME").opt(), integer("count").after("RETRYCOUNT").opt(), token("FORCE").opt(),
			token("JUSTID").opt(), str("lastid").after("LASTID").opt()},
	},
	{
		Name: "xautoclaim", Arity: -6, Flags: FlagWrite | FlagFast, Categories: CatStream,
		KeySpecs: []KeySpec{at(1, KeyRW|KeyDelete)},
		Handler:  xautoclaim,
		Since:    "6.2.0", Summary: "Gives entries that were pending for long to another consumer of a group.",
		Complexity: "O(1) if COUNT is small",
		History:    []Change{{"7.0.0", "The reply tells which entries were deleted and are not pending any more."}},
		Tips:       []string{"nondeterministic_output"},
		Args: []Arg{key("key"), str("group"), str("consumer"), str("min-idle-time"), str("start"), integer("count").after("COUNT").opt(),
			token("JUSTID").opt()},
	},
	{
		Name: "xpending", Arity: -3, Flags: FlagReadOnly, Categories: CatStream,
		KeySpecs: []KeySpec{at(1, KeyRO|KeyAccess)},
		Elements: true, Handler: xpending,
		Since: "5.0.0", Summary: "Tells what is pending of a group's consumers.",
		Complexity: "O(N) for N entries returned, or passed with IDLE",
		History:    []Change{{"6.2.0", "Option IDLE, and ranges without their ends."}},
		Tips:       []string{"nondeterministic_output"},
		Args: []Arg{key("key"), str("group"), block("filters", integer("min-idle-time").after("IDLE").since("6.2.0").opt(), str("start"),
			str("end"), integer("count"), str("consumer").opt()).opt()},
	},
	{
		Name: "xgroup", Arity: -2,
		Since: "5.0.0", Summary: "Commands on groups of consumers.", Complexity: "Depends on the subcommand.",
		Subcommands: xgroupTable,
	},
	{
		Name: "xinfo", Arity: -2,
		Since: "5.0.0", Summary: "Commands that tell about streams.", Complexity: "Depends on the subcommand.",
		Subcommands: xinfoTable,
	},
}

func groupIDArg() Arg { return oneOf("id-selector", str("id"), token("$").named("new-id")) }

var xgroupTable = []*Spec{
	{
		Name: "xgroup|create", Arity: -5, Flags: FlagWrite | FlagDenyOOM, Categories: CatStream,
		KeySpecs: []KeySpec{at(2, KeyRW|KeyInsert)},
		Handler:  xgroupCreate,
		Since:    "5.0.0", Summary: "Makes a group of consumers.", Complexity: "O(1)",
		History: []Change{{"7.0.0", "Option ENTRIESREAD."}},
		Args: []Arg{key("key"), str("group"), groupIDArg(), token("MKSTREAM").opt(),
			integer("entries-read").after("ENTRIESREAD").opt()},
	},
	{
		Name: "xgroup|createconsumer", Arity: 5, Flags: FlagWrite | FlagDenyOOM, Categories: CatStream,
		KeySpecs: []KeySpec{at(2, KeyRW|KeyInsert)},
		Handler:  xgroupCreateconsumer,
		Since:    "6.2.0", Summary: "Makes a consumer in a group.", Complexity: "O(1)",
		Args: []Arg{key("key"), str("group"), str("consumer")},
	},
	{
		Name: "xgroup|delconsumer", Arity: 5, Flags: FlagWrite, Categories: CatStream,
		KeySpecs: []KeySpec{at(2, KeyRW|KeyDelete)},
		Handler:  xgroupDelconsumer,
		Since:    "5.0.0", Summary: "Removes a consumer from a group.", Complexity: "O(N) with N pending entries of the consumer",
		Args: []Arg{key("key"), str("group"), str("consumer")},
	},
	{
		Name: "xgroup|destroy", Arity: 4, Flags: FlagWrite, Categories: CatStream,
		KeySpecs: []KeySpec{at(2, KeyRW|KeyDelete)},
		Handler:  xgroupDestroy,
		Since:    "5.0.0", Summary: "Removes a group.", Complexity: "O(1)",
		Args: []Arg{key("key"), str("group")},
	},
	{
		Name: "xgroup|help", Arity: 2, Flags: FlagLoading | FlagStale, Categories: CatStream,
		Handler: xgroupHelp,
		Since:   "5.0.0", Summary: "Lists the subcommands.", Complexity: "O(1)",
	},
	{
		Name: "xgroup|setid", Arity: -5, Flags: FlagWrite, Categories: CatStream,
		KeySpecs: []KeySpec{at(2, KeyRW|KeyUpdate)},
		Handler:  xgroupSetid,
		Since:    "5.0.0", Summary: "Sets up to which entry a group has read.", Complexity: "O(1)",
		History: []Change{{"7.0.0", "Option ENTRIESREAD."}},
		Args:    []Arg{key("key"), str("group"), groupIDArg(), integer("entriesread").after("ENTRIESREAD").opt()},
	},
}

var xinfoTable = []*Spec{
	{
		Name: "xinfo|consumers", Arity: 4, Flags: FlagReadOnly, Categories: CatStream,
		KeySpecs: []KeySpec{at(2, KeyRO|KeyAccess)},
		Elements: true, Handler: xinfoConsumers,
		Since: "5.0.0", Summary: "Tells about the consumers of a group.", Complexity: "O(N) for N consumers",
		History: []Change{{"7.2.0", "The field `inactive`."}},
		Tips:    []string{"nondeterministic_output"},
		Args:    []Arg{key("key"), str("group")},
	},
	{
		Name: "xinfo|groups", Arity: 3, Flags: FlagReadOnly, Categories: CatStream,
		KeySpecs: []KeySpec{at(2, KeyRO|KeyAccess)},
		Elements: true, Handler: xinfoGroups,
		Since: "5.0.0", Summary: "Tells about the groups of a stream.", Complexity: "O(N) for N groups",
		History: []Change{{"7.0.0", "The fields `entries-read` and `lag`."}},
		Args:    []Arg{key("key")},
	},
	{
		Name: "xinfo|help", Arity: 2, Flags: FlagLoading | FlagStale, Categories: CatStream,
		Handler: xinfoHelp,
		Since:   "5.0.0", Summary: "Lists the subcommands.", Complexity: "O(1)",
	},
	{
		Name: "xinfo|stream", Arity: -3, Flags: FlagReadOnly, Categories: CatStream,
		KeySpecs: []KeySpec{at(2, KeyRO|KeyAccess)},
		Elements: true, Handler: xinfoStream,
		Since: "5.0.0", Summary: "Tells about a stream.", Complexity: "O(1); O(N) for N entries with FULL",
		History: []Change{{"6.0.0", "FULL."}, {"7.0.0", "The fields `max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, `entries-read` and `lag`."},
			{"7.2.0", "The field `active-time`, and another meaning of `seen-time`."}},
		Args: []Arg{key("key"), block("full-block", token("FULL"), integer("count").after("COUNT").opt()).opt()},
	},
}
