package command

// sortTable are SORT and SORT_RO.
var sortTable = []*Spec{
	{
		Name: "sort", Arity: -2, Flags: FlagWrite | FlagDenyOOM | FlagMovableKeys, Categories: CatSet | CatSortedSet | CatList | CatDangerous,
		KeySpecs: []KeySpec{at(1, KeyRO|KeyAccess), sortPatterns(), {Flags: KeyOW | KeyUpdate, Notes: "Of STORE, which can be anywhere", Unknown: true}},
		MoreKeys: sortKeys, Snapshot: true, OnlyReads: sortOnlyReads, Handler: sortCmd,
		Since: "1.0.0", Summary: "Sorts the elements of a list, set or sorted set, and may store the result.", Complexity: sortComplexity,
		Args: append(sortArgs(), key("destination").after("STORE").spec(2).opt()),
	},
	{
		Name: "sort_ro", Arity: -2, Flags: FlagReadOnly | FlagMovableKeys, Categories: CatSet | CatSortedSet | CatList | CatDangerous,
		KeySpecs: []KeySpec{at(1, KeyRO|KeyAccess), sortPatterns()},
		Snapshot: true, Handler: sortRO,
		Since: "7.0.0", Summary: "Sorts the elements of a list, set or sorted set.", Complexity: sortComplexity,
		Args: sortArgs(),
	},
}

const sortComplexity = "O(N+M*log(M)) to sort N elements and reply M of them; O(N) when they are not sorted"

func sortPatterns() KeySpec {
	return KeySpec{Flags: KeyRO | KeyAccess, Notes: "Of BY and GET, whose keys depend on the elements", Unknown: true}
}

func sortArgs() []Arg {
	return []Arg{
		key("key"),
		pattern("by-pattern").after("BY").spec(1).opt(),
		block("limit", integer("offset"), integer("count")).after("LIMIT").opt(),
		pattern("get-pattern").after("GET").spec(1).opt().manyWithToken(),
		oneOf("order", token("ASC"), token("DESC")).opt(),
		token("ALPHA").named("sorting").opt(),
	}
}
