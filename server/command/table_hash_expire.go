package command

// hashExpireTable are the commands about the expiry of hash fields.
var hashExpireTable = []*Spec{
	hexpireSpec("hexpire", "Sets the expiry of hash fields, in seconds from now.", integer("seconds"), hexpire),
	hexpireSpec("hpexpire", "Sets the expiry of hash fields, in milliseconds from now.", integer("milliseconds"), hpexpire),
	hexpireSpec("hexpireat", "Sets the expiry of hash fields, as Unix time in seconds.", unixTime("unix-time-seconds"), hexpireat),
	hexpireSpec("hpexpireat", "Sets the expiry of hash fields, as Unix time in milliseconds.", unixTime("unix-time-milliseconds"), hpexpireat),
	httlSpec("httl", "Returns after how many seconds hash fields expire.", httl),
	httlSpec("hpttl", "Returns after how many milliseconds hash fields expire.", hpttl),
	httlSpec("hexpiretime", "Returns when hash fields expire, as Unix time in seconds.", hexpiretime),
	httlSpec("hpexpiretime", "Returns when hash fields expire, as Unix time in milliseconds.", hpexpiretime),
	{
		Name: "hpersist", Arity: -5, Flags: FlagWrite | FlagFast, Categories: CatHash,
		KeySpecs: []KeySpec{at(1, KeyRW|KeyUpdate)},
		Handler:  hpersist,
		Since:    "7.4.0", Summary: "Takes the expiry of hash fields away.", Complexity: "O(N) for N fields",
		Args: []Arg{key("key"), fieldsBlock()},
	},
	{
		Name: "hgetex", Arity: -5, Flags: FlagWrite | FlagFast, Categories: CatHash,
		KeySpecs: []KeySpec{at(1, KeyRW|KeyAccess|KeyUpdate)},
		Handler:  hgetex,
		Since:    "8.0.0", Summary: "Returns hash fields, and may change their expiry.", Complexity: "O(N) for N fields",
		Args: []Arg{key("key"), fieldExpiryArg(token("PERSIST")), fieldsBlock()},
	},
	{
		Name: "hsetex", Arity: -6, Flags: FlagWrite | FlagDenyOOM | FlagFast, Categories: CatHash,
		KeySpecs: []KeySpec{at(1, KeyRW|KeyUpdate)},
		Handler:  hsetex,
		Since:    "8.0.0", Summary: "Sets hash fields together with their expiry.", Complexity: "O(N) for N fields",
		Args: []Arg{
			key("key"),
			oneOf("condition", token("FNX"), token("FXX")).opt(),
			fieldExpiryArg(token("KEEPTTL")),
			block("fields", integer("numfields"), block("data", str("field"), str("value")).many()).after("FIELDS"),
		},
	},
}

func hexpireSpec(name, summary string, when Arg, h Handler) *Spec {
	return &Spec{
		Name: name, Arity: -6, Flags: FlagWrite | FlagDenyOOM | FlagFast, Categories: CatHash,
		KeySpecs: []KeySpec{at(1, KeyRW|KeyUpdate)},
		Handler:  h,
		Since:    "7.4.0", Summary: summary, Complexity: "O(N) for N fields",
		Args: []Arg{
			key("key"),
			when,
			oneOf("condition", token("NX"), token("XX"), token("GT"), token("LT")).opt(),
			fieldsBlock(),
		},
	}
}

func httlSpec(name, summary string, h Handler) *Spec {
	return &Spec{
		Name: name, Arity: -5, Flags: FlagReadOnly | FlagFast, Categories: CatHash,
		KeySpecs: []KeySpec{at(1, KeyRO|KeyAccess)},
		Elements: true, Handler: h,
		Since: "7.4.0", Summary: summary, Complexity: "O(N) for N fields",
		Args: []Arg{key("key"), fieldsBlock()},
	}
}

func fieldsBlock() Arg {
	return block("fields", integer("numfields"), str("field").many()).after("FIELDS")
}

func fieldExpiryArg(other Arg) Arg {
	return oneOf("expiration",
		integer("seconds").after("EX"),
		integer("milliseconds").after("PX"),
		unixTime("unix-time-seconds").after("EXAT"),
		unixTime("unix-time-milliseconds").after("PXAT"),
		other,
	).opt()
}
