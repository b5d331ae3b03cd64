package command

// dkvTable are dkv's own commands.
var dkvTable = []*Spec{
	{
		// DKV.CAS key expected new [ABSENT] [PX ms]
		//
		// The first three arguments are always data, so no value can be mistaken
		// for a word of the syntax. ABSENT says that the key must not exist;
		// expected must then be the empty string.
		Name: "dkv.cas", Arity: -4, Flags: FlagWrite | FlagDenyOOM | FlagFast, Categories: CatString,
		KeySpecs:   []KeySpec{at(1, KeyRW|KeyAccess|KeyUpdate|KeyInsert)},
		Handler:    cas,
		Summary:    "Sets a key to a new string if it holds the expected one (or, with ABSENT, nothing); replies 1 if it did, 0 if not. The expiry stays unless PX sets one.",
		Complexity: "O(N) for a string of N bytes",
		Args: []Arg{
			key("key"), str("expected"), str("new"),
			token("ABSENT").opt(), integer("milliseconds").after("PX").opt(),
		},
	},
	{
		// DKV.BACKUP dir
		Name: "dkv.backup", Arity: 2, Flags: FlagAdmin | FlagNoScript | FlagNoAsyncLoading | FlagNoMulti,
		Summary:    "Makes a backup of this node in a new folder on its machine, while it serves, and tells what is in it.",
		Complexity: "O(N) for N bytes of data, of which most are linked and read, not copied",
		Args:       []Arg{str("dir")},
	},
	{
		// DKV.CHECKSUM [shard] [AT index]
		Name: "dkv.checksum", Arity: -1, Flags: FlagAdmin | FlagNoScript | FlagStale | FlagNoMulti,
		Summary:    "Digests of this node's shards, each at an entry of its log: nodes and replicas whose digests at one entry are the same hold the same. AT waits for an entry.",
		Complexity: "O(N) for N bytes of data, read beside what clients do",
		Args:       []Arg{integer("shard").opt(), integer("index").after("AT").opt()},
	},
}
