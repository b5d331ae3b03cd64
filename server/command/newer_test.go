package command

import "strings"

// newer say of a command what differs from the redis-server 7.0 that the tests compare
// with, because later versions do it otherwise, or because it is meant to.
var newer = map[string]func(args []string, got, want string) bool{
	"bitcount": badArgumentsFirst,
	"bitpos":   badArgumentsFirst,
	"sort":     sameElements,
	"sort_ro":  sameElements,
	"zrange":   sameDistances,
	"get":      sameHyperLogLog,
	"getdel":   sameHyperLogLog,
	"getex":    sameHyperLogLog,
	"getset":   sameHyperLogLog,
	"mget":     sameHyperLogLog,
	"set":      sameHyperLogLog,
}

func isNewer(args []string, got, want string) bool {
	f := newer[strings.ToLower(args[0])]
	return f != nil && f(args, got, want)
}

// badArgumentsFirst: 7.2 looks at all arguments before it looks the key up.
func badArgumentsFirst(_ []string, got, want string) bool {
	return strings.HasPrefix(got, "-ERR ") && (want == ":0\r\n" || want == ":-1\r\n" || strings.HasPrefix(want, "-WRONGTYPE"))
}
