package command

// hyperloglogTable are the commands on HyperLogLogs.
var hyperloglogTable = []*Spec{
	{
		Name: "pfadd", Arity: -2, Flags: FlagWrite | FlagDenyOOM | FlagFast, Categories: CatHyperLogLog,
		KeySpecs: []KeySpec{at(1, KeyRW|KeyInsert)},
		Handler:  pfadd,
		Since:    "2.8.9", Summary: "Adds elements to a HyperLogLog, which is created if needed.",
		Complexity: "O(N) for N elements",
		Args:       []Arg{key("key"), str("element").opt().many()},
	},
	{
		Name: "pfcount", Arity: -2, Flags: FlagReadOnly, Categories: CatHyperLogLog,
		KeySpecs: []KeySpec{from(1, KeyRW|KeyAccess).note("RW in Redis, which keeps the count in the key")},
		Snapshot: true, Handler: pfcount,
		Since: "2.8.9", Summary: "Returns about how many different elements HyperLogLogs have seen together.",
		Complexity: "O(N) for N keys",
		Args:       []Arg{key("key").many()},
	},
	{
		Name: "pfmerge", Arity: -2, Flags: FlagWrite | FlagDenyOOM, Categories: CatHyperLogLog,
		KeySpecs: []KeySpec{at(1, KeyRW|KeyAccess|KeyInsert), from(2, KeyRO|KeyAccess)},
		Handler:  pfmerge,
		Since:    "2.8.9", Summary: "Merges HyperLogLogs into the first one.",
		Complexity: "O(N) for N keys",
		Args:       []Arg{key("destkey"), key("sourcekey").spec(1).opt().many()},
	},
	{
		Name: "pfdebug", Arity: 3, Flags: FlagWrite | FlagDenyOOM | FlagAdmin, Categories: CatHyperLogLog,
		KeySpecs: []KeySpec{at(2, KeyRW|KeyAccess)},
		Handler:  pfdebug,
		Since:    "2.8.9", Summary: "Tells how a HyperLogLog is kept, or makes it dense.",
		Complexity: "O(1)",
		Args:       []Arg{str("subcommand"), key("key")},
	},
	{
		Name: "pfselftest", Arity: 1, Flags: FlagAdmin, Categories: CatHyperLogLog,
		Since: "2.8.9", Summary: "Tests the code of HyperLogLogs, without touching any key.",
		Complexity: "O(1)",
	},
}
