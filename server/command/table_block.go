package command

// keysBeforeLast are the keys from the first argument to the one before the last.
func keysBeforeLast(flags KeyFlags) KeySpec {
	return KeySpec{Flags: flags, Index: 1, LastKey: -2, Step: 1}
}

var timeoutHistory = []Change{{"6.0.0", "`timeout` is a double, not an integer."}}

// blockingListTable are the commands that wait for lists.
var blockingListTable = []*Spec{
	{
		Name: "blpop", Arity: -3, Flags: FlagWrite | FlagBlocking, Categories: CatList,
		KeySpecs: []KeySpec{keysBeforeLast(KeyRW | KeyAccess | KeyDelete)},
		Timeout:  lastTimeout, Handler: blpop,
		Since: "2.0.0", Summary: "Removes the first element of the first of several lists that has some and returns it; waits when none has.",
		Complexity: "O(N) for N keys",
		History:    timeoutHistory,
		Args:       []Arg{key("key").many(), double("timeout")},
	},
	{
		Name: "brpop", Arity: -3, Flags: FlagWrite | FlagBlocking, Categories: CatList,
		KeySpecs: []KeySpec{keysBeforeLast(KeyRW | KeyAccess | KeyDelete)},
		Timeout:  lastTimeout, Handler: brpop,
		Since: "2.0.0", Summary: "Removes the last element of the first of several lists that has some and returns it; waits when none has.",
		Complexity: "O(N) for N keys",
		History:    timeoutHistory,
		Args:       []Arg{key("key").many(), double("timeout")},
	},
	{
		Name: "brpoplpush", Arity: 4, Flags: FlagWrite | FlagDenyOOM | FlagBlocking, Categories: CatList,
		KeySpecs: []KeySpec{at(1, KeyRW|KeyAccess|KeyDelete), at(2, KeyRW|KeyInsert)},
		Timeout:  lastTimeout, Handler: brpoplpush,
		Since: "2.2.0", Summary: "Moves the last element of a list to the front of another and returns it; waits when there is none.",
		Complexity:      "O(1)",
		DeprecatedSince: "6.2.0", ReplacedBy: "`BLMOVE` with the `RIGHT` and `LEFT` arguments",
		History: timeoutHistory,
		Args:    []Arg{key("source"), key("destination").spec(1), double("timeout")},
	},
	{
		Name: "blmove", Arity: 6, Flags: FlagWrite | FlagDenyOOM | FlagBlocking, Categories: CatList,
		KeySpecs: []KeySpec{at(1, KeyRW|KeyAccess|KeyDelete), at(2, KeyRW|KeyInsert)},
		Timeout:  lastTimeout, Handler: blmove,
		Since: "6.2.0", Summary: "Moves an element from an end of a list to an end of another and returns it; waits when there is none.",
		Complexity: "O(1)",
		Args:       []Arg{key("source"), key("destination").spec(1), oneOf("wherefrom", token("LEFT"), token("RIGHT")), oneOf("whereto", token("LEFT"), token("RIGHT")), double("timeout")},
	},
	{
		Name: "blmpop", Arity: -5, Flags: FlagWrite | FlagBlocking | FlagMovableKeys, Categories: CatList,
		KeySpecs: []KeySpec{counted(2, KeyRW|KeyAccess|KeyDelete)},
		Timeout:  firstTimeout, Handler: blmpop,
		Since: "7.0.0", Summary: "Removes elements from the first of several lists that has some and returns them; waits when none has.",
		Complexity: "O(K+M) for K keys and M elements removed",
		Args:       []Arg{double("timeout"), integer("numkeys"), key("key").many(), oneOf("where", token("LEFT"), token("RIGHT")), integer("count").after("COUNT").opt()},
	},
}

// blockingZSetTable are the commands that wait for sorted sets.
var blockingZSetTable = []*Spec{
	{
		Name: "bzpopmin", Arity: -3, Flags: FlagWrite | FlagFast | FlagBlocking, Categories: CatSortedSet,
		KeySpecs: []KeySpec{keysBeforeLast(KeyRW | KeyAccess | KeyDelete)},
		Timeout:  lastTimeout, Handler: bzpopmin,
		Since: "5.0.0", Summary: "Removes the member with the lowest score from the first of several sorted sets that has some and returns it; waits when none has.",
		Complexity: "O(log(N)) in a set of N",
		History:    timeoutHistory,
		Args:       []Arg{key("key").many(), double("timeout")},
	},
	{
		Name: "bzpopmax", Arity: -3, Flags: FlagWrite | FlagFast | FlagBlocking, Categories: CatSortedSet,
		KeySpecs: []KeySpec{keysBeforeLast(KeyRW | KeyAccess | KeyDelete)},
		Timeout:  lastTimeout, Handler: bzpopmax,
		Since: "5.0.0", Summary: "Removes the member with the highest score from the first of several sorted sets that has some and returns it; waits when none has.",
		Complexity: "O(log(N)) in a set of N",
		History:    timeoutHistory,
		Args:       []Arg{key("key").many(), double("timeout")},
	},
	{
		Name: "bzmpop", Arity: -5, Flags: FlagWrite | FlagBlocking | FlagMovableKeys, Categories: CatSortedSet,
		KeySpecs: []KeySpec{counted(2, KeyRW|KeyAccess|KeyDelete)},
		Timeout:  firstTimeout, Handler: bzmpop,
		Since: "7.0.0", Summary: "Removes members from the first of several sorted sets that has some and returns them; waits when none has.",
		Complexity: "O(K+M*log(N)) for K keys and M members removed, in a set of N",
		Args:       []Arg{double("timeout"), integer("numkeys"), key("key").many(), oneOf("where", token("MIN"), token("MAX")), integer("count").after("COUNT").opt()},
	},
}
