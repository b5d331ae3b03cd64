package command

// bitmapTable are the commands on strings as rows of bits.
var bitmapTable = []*Spec{
	{
		Name: "setbit", Arity: 4, Flags: FlagWrite | FlagDenyOOM, Categories: CatBitmap,
		KeySpecs: []KeySpec{at(1, KeyRW|KeyAccess|KeyUpdate)},
		Handler:  setbit,
		Since:    "2.2.0", Summary: "Sets or clears a bit of a string, which grows as needed, and returns what it was.",
		Complexity: "O(N) for a string of N bytes",
		Args:       []Arg{key("key"), integer("offset"), integer("value")},
	},
	{
		Name: "getbit", Arity: 3, Flags: FlagReadOnly | FlagFast, Categories: CatBitmap,
		KeySpecs: []KeySpec{at(1, KeyRO|KeyAccess)},
		Handler:  getbit,
		Since:    "2.2.0", Summary: "Returns a bit of a string.", Complexity: "O(N) for a string of N bytes",
		Args: []Arg{key("key"), integer("offset")},
	},
	{
		Name: "bitcount", Arity: -2, Flags: FlagReadOnly, Categories: CatBitmap,
		KeySpecs: []KeySpec{at(1, KeyRO|KeyAccess)},
		Handler:  bitcount,
		Since:    "2.6.0", Summary: "Counts the bits that are set in a string, or in a part of it.",
		Complexity: "O(N) for a string of N bytes",
		History:    []Change{{"7.0.0", "Options BYTE and BIT."}},
		Args: []Arg{
			key("key"),
			block("range", integer("start"), integer("end"), unit()).opt(),
		},
	},
	{
		Name: "bitpos", Arity: -3, Flags: FlagReadOnly, Categories: CatBitmap,
		KeySpecs: []KeySpec{at(1, KeyRO|KeyAccess)},
		Handler:  bitpos,
		Since:    "2.8.7", Summary: "Finds the first bit of a string that is set, or that is not.",
		Complexity: "O(N) for a string of N bytes",
		History:    []Change{{"7.0.0", "Options BYTE and BIT."}},
		Args: []Arg{
			key("key"),
			integer("bit"),
			block("range", integer("start"), block("end-unit-block", integer("end"), unit()).opt()).opt(),
		},
	},
	{
		Name: "bitop", Arity: -4, Flags: FlagWrite | FlagDenyOOM, Categories: CatBitmap,
		KeySpecs: []KeySpec{at(2, KeyOW|KeyUpdate), from(3, KeyRO|KeyAccess)},
		Handler:  bitop,
		Since:    "2.6.0", Summary: "Stores the result of a bitwise operation on strings in a key.",
		Complexity: "O(N) for strings of N bytes together",
		Args: []Arg{
			oneOf("operation", token("AND"), token("OR"), token("XOR"), token("NOT")),
			key("destkey"),
			key("key").spec(1).many(),
		},
	},
	{
		Name: "bitfield", Arity: -2, Flags: FlagWrite | FlagDenyOOM, Categories: CatBitmap,
		KeySpecs: []KeySpec{at(1, KeyRW|KeyAccess|KeyUpdate|KeyVariableFlags).note("RW because it reads and changes")},
		Handler:  bitfield,
		Since:    "3.2.0", Summary: "Reads, sets and adds to integers of any width within a string.",
		Complexity: "O(N) for a string of N bytes, and O(1) for each operation",
		Args: []Arg{
			key("key"),
			oneOf("operation",
				fieldArg("get-block").after("GET"),
				block("write",
					oneOf("overflow-block", token("WRAP"), token("SAT"), token("FAIL")).after("OVERFLOW").opt(),
					oneOf("write-operation",
						fieldArg("set-block", integer("value")).after("SET"),
						fieldArg("incrby-block", integer("increment")).after("INCRBY"),
					),
				),
			).opt().many(),
		},
	},
	{
		Name: "bitfield_ro", Arity: -2, Flags: FlagReadOnly | FlagFast, Categories: CatBitmap,
		KeySpecs: []KeySpec{at(1, KeyRO|KeyAccess)},
		Handler:  bitfieldRO,
		Since:    "6.0.0", Summary: "Reads integers of any width within a string.",
		Complexity: "O(N) for a string of N bytes, and O(1) for each operation",
		Args:       []Arg{key("key"), fieldArg("get-block").after("GET").opt().manyWithToken()},
	},
}

func unit() Arg { return oneOf("unit", token("BYTE"), token("BIT")).opt().since("7.0.0") }

// fieldArg are the type and the place of a field, and what is done to it.
func fieldArg(name string, more ...Arg) Arg {
	return block(name, append([]Arg{str("encoding"), integer("offset")}, more...)...)
}
