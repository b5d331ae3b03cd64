package command

// geoTable are the commands on places, kept in sorted sets.
var geoTable = []*Spec{
	{
		Name: "geoadd", Arity: -5, Flags: FlagWrite | FlagDenyOOM, Categories: CatGeo,
		KeySpecs: []KeySpec{at(1, KeyRW|KeyUpdate)},
		Handler:  geoadd,
		Since:    "3.2.0", Summary: "Adds places to a sorted set, or moves them.",
		Complexity: "O(log(N)) for each place, in a set of N",
		History:    []Change{{"6.2.0", "Options CH, NX and XX."}},
		Args: []Arg{
			key("key"),
			oneOf("condition", token("NX"), token("XX")).opt().since("6.2.0"),
			token("CH").named("change").opt().since("6.2.0"),
			block("data", double("longitude"), double("latitude"), str("member")).many(),
		},
	},
	{
		Name: "geodist", Arity: -4, Flags: FlagReadOnly, Categories: CatGeo,
		KeySpecs: []KeySpec{at(1, KeyRO|KeyAccess)},
		Elements: true, Handler: geodist,
		Since: "3.2.0", Summary: "Returns the distance between two places.", Complexity: "O(1)",
		Args: []Arg{key("key"), str("member1"), str("member2"), geoUnitArg().opt()},
	},
	{
		Name: "geohash", Arity: -2, Flags: FlagReadOnly, Categories: CatGeo,
		KeySpecs: []KeySpec{at(1, KeyRO|KeyAccess)},
		Elements: true, Handler: geohash,
		Since: "3.2.0", Summary: "Returns places as geohash strings.", Complexity: "O(N) for N places",
		Args: []Arg{key("key"), str("member").opt().many()},
	},
	{
		Name: "geopos", Arity: -2, Flags: FlagReadOnly, Categories: CatGeo,
		KeySpecs: []KeySpec{at(1, KeyRO|KeyAccess)},
		Elements: true, Handler: geopos,
		Since: "3.2.0", Summary: "Returns the longitude and latitude of places.", Complexity: "O(N) for N places",
		Args: []Arg{key("key"), str("member").opt().many()},
	},
	{
		Name: "geosearch", Arity: -7, Flags: FlagReadOnly, Categories: CatGeo,
		KeySpecs: []KeySpec{at(1, KeyRO|KeyAccess)},
		Elements: true, Handler: geosearch,
		Since: "6.2.0", Summary: "Finds the places within a circle or a box.", Complexity: geoComplexity,
		History: []Change{{"7.0.0", "Units in capitals."}},
		Args:    append([]Arg{key("key")}, geoSearchArgs(geoWithArgs()...)...),
	},
	{
		Name: "geosearchstore", Arity: -8, Flags: FlagWrite | FlagDenyOOM, Categories: CatGeo,
		KeySpecs: []KeySpec{at(1, KeyOW|KeyUpdate), at(2, KeyRO|KeyAccess)},
		Handler:  geosearchstore,
		Since:    "6.2.0", Summary: "Stores the places within a circle or a box in a key.", Complexity: geoComplexity,
		History: []Change{{"7.0.0", "Units in capitals."}},
		Args:    append([]Arg{key("destination"), key("source").spec(1)}, geoSearchArgs(token("STOREDIST").opt())...),
	},
	{
		Name: "georadius", Arity: -6, Flags: FlagWrite | FlagDenyOOM | FlagMovableKeys, Categories: CatGeo,
		KeySpecs: []KeySpec{at(1, KeyRO|KeyAccess), behind("STORE", 6, KeyOW|KeyUpdate), behind("STOREDIST", 6, KeyOW|KeyUpdate)},
		Handler:  georadius,
		Since:    "3.2.0", Summary: "Finds the places within a circle around coordinates, and may store them.", Complexity: geoComplexity,
		DeprecatedSince: "6.2.0", ReplacedBy: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument",
		History: []Change{{"6.2.0", "Option ANY of COUNT."}, {"7.0.0", "Units in capitals."}},
		Args:    append([]Arg{key("key"), double("longitude"), double("latitude")}, geoRadiusArgs(true)...),
	},
	{
		Name: "georadius_ro", Arity: -6, Flags: FlagReadOnly, Categories: CatGeo,
		KeySpecs: []KeySpec{at(1, KeyRO|KeyAccess)},
		Elements: true, Handler: georadiusRO,
		Since: "3.2.10", Summary: "Finds the places within a circle around coordinates.", Complexity: geoComplexity,
		DeprecatedSince: "6.2.0", ReplacedBy: "`GEOSEARCH` with the `BYRADIUS` argument",
		History: []Change{{"6.2.0", "Option ANY of COUNT."}, {"7.0.0", "Units in capitals."}},
		Args:    append([]Arg{key("key"), double("longitude"), double("latitude")}, geoRadiusArgs(false)...),
	},
	{
		Name: "georadiusbymember", Arity: -5, Flags: FlagWrite | FlagDenyOOM | FlagMovableKeys, Categories: CatGeo,
		KeySpecs: []KeySpec{at(1, KeyRO|KeyAccess), behind("STORE", 5, KeyOW|KeyUpdate), behind("STOREDIST", 5, KeyOW|KeyUpdate)},
		Handler:  georadiusbymember,
		Since:    "3.2.0", Summary: "Finds the places within a circle around a place, and may store them.", Complexity: geoComplexity,
		DeprecatedSince: "6.2.0", ReplacedBy: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
		History: []Change{{"6.2.0", "Option ANY of COUNT."}, {"7.0.0", "Units in capitals."}},
		Args:    append([]Arg{key("key"), str("member")}, geoRadiusArgs(true)...),
	},
	{
		Name: "georadiusbymember_ro", Arity: -5, Flags: FlagReadOnly, Categories: CatGeo,
		KeySpecs: []KeySpec{at(1, KeyRO|KeyAccess)},
		Elements: true, Handler: georadiusbymemberRO,
		Since: "3.2.10", Summary: "Finds the places within a circle around a place.", Complexity: geoComplexity,
		DeprecatedSince: "6.2.0", ReplacedBy: "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments",
		History: []Change{{"6.2.0", "Option ANY of COUNT."}, {"7.0.0", "Units in capitals."}},
		Args:    append([]Arg{key("key"), str("member")}, geoRadiusArgs(false)...),
	},
}

const geoComplexity = "O(N+log(M)) for N places in the cells of the grid around the area, in a set of M"

// behind is the key that follows a word, which is looked for from an argument on.
func behind(word string, index int, flags KeyFlags) KeySpec {
	return KeySpec{Flags: flags, Keyword: word, Index: index, Step: 1}
}

func geoUnitArg() Arg {
	return oneOf("unit", token("M"), token("KM"), token("FT"), token("MI"))
}

func geoWithArgs() []Arg {
	return []Arg{token("WITHCOORD").opt(), token("WITHDIST").opt(), token("WITHHASH").opt()}
}

func geoOrderArg() Arg { return oneOf("order", token("ASC"), token("DESC")).opt() }

func geoCountArg() Arg {
	return block("count-block", integer("count").after("COUNT"), token("ANY").opt().since("6.2.0")).opt()
}

func geoSearchArgs(last ...Arg) []Arg {
	return append([]Arg{
		oneOf("from",
			str("member").after("FROMMEMBER"),
			block("fromlonlat", double("longitude"), double("latitude")).after("FROMLONLAT"),
		),
		oneOf("by",
			block("circle", double("radius").after("BYRADIUS"), geoUnitArg()),
			block("box", double("width").after("BYBOX"), double("height"), geoUnitArg()),
		),
		geoOrderArg(),
		geoCountArg(),
	}, last...)
}

func geoRadiusArgs(store bool) []Arg {
	args := append([]Arg{double("radius"), geoUnitArg()}, geoWithArgs()...)
	args = append(args, geoCountArg(), geoOrderArg())
	if !store {
		return args
	}
	return append(args, oneOf("store", key("storekey").after("STORE").spec(1), key("storedistkey").after("STOREDIST").spec(2)).opt())
}
