package command

// transactionTable are the commands of transactions.
var transactionTable = []*Spec{
	{
		Name: "multi", Arity: 1, Flags: FlagNoScript | FlagLoading | FlagStale | FlagFast | FlagAllowBusy, Categories: CatTransaction,
		Since: "1.2.0", Summary: "Begins a transaction: the commands that follow are queued.", Complexity: "O(1)",
	},
	{
		Name: "exec", Arity: 1, Flags: FlagNoScript | FlagLoading | FlagStale | FlagSkipSlowlog, Categories: CatTransaction,
		Since: "1.2.0", Summary: "Runs the queued commands as one.", Complexity: "Depends on the commands.",
	},
	{
		Name: "discard", Arity: 1, Flags: FlagNoScript | FlagLoading | FlagStale | FlagFast | FlagAllowBusy, Categories: CatTransaction,
		Since: "2.0.0", Summary: "Forgets the queued commands and ends the transaction.",
		Complexity: "O(N) for N queued commands",
	},
	{
		Name: "watch", Arity: -2, Flags: FlagNoScript | FlagLoading | FlagStale | FlagFast | FlagAllowBusy, Categories: CatTransaction,
		KeySpecs: []KeySpec{from(1, KeyRO)},
		Since:    "2.2.0", Summary: "Makes the next EXEC fail when one of the keys changes before it.",
		Complexity: "O(N) for N keys",
		Args:       []Arg{key("key").many()},
	},
	{
		Name: "unwatch", Arity: 1, Flags: FlagNoScript | FlagLoading | FlagStale | FlagFast | FlagAllowBusy, Categories: CatTransaction,
		Since: "2.2.0", Summary: "Forgets all watched keys.", Complexity: "O(1)",
	},
}
