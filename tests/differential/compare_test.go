package differential

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"dkv/tests/harness"
)

// comparer returns why two replies that are not equal byte for byte differ, or
// "" when they agree. It is only called for replies that are no errors: error
// replies are equal or different.
type comparer func(redis, dkv harness.Reply) string

// comparers hold for commands whose replies cannot be equal, by the name, or
// the name and the subcommand. All others must be equal byte for byte.
var comparers = map[string]comparer{
	// Times that are read from two clocks at two moments.
	"TTL":         within(1),
	"EXPIRETIME":  within(1),
	"PTTL":        within(1500),
	"PEXPIRETIME": within(1500),
	"TIME":        shape,
	"LASTSAVE":    shape,
	// Keys that have expired count until they are deleted, which each server does
	// when it has time; !dbsize waits for it.
	"DBSIZE": shape,
	// An order that Redis does not define, or a choice that it makes at random.
	"KEYS":      asSet,
	"!SCAN":     asSet,
	"RANDOMKEY": shape,
	"HGETALL":   asPairs, "HKEYS": asSet, "HVALS": asSet, "SMEMBERS": asSet, "SINTER": asSet, "SUNION": asSet, "SDIFF": asSet, "SPOP": asSet,
	"HSCAN": scanOf(asPairs), "SSCAN": scanOf(asSet), "ZSCAN": scanOf(asPairs),
	"HRANDFIELD": shape, "SRANDMEMBER": shape, "ZRANDMEMBER": shape,
	// Times, and what is new in 7.2; compared field by field in server/command.
	"XINFO STREAM": streamInfo, "XINFO GROUPS": shape, "XINFO CONSUMERS": shape, "XPENDING": shape,
	"SCAN":       shape, // cursors belong to the server; !SCAN compares whole loops
	"CONFIG GET": shape, // the values are each server's own
	// Figures and texts of each server's own.
	"HELLO":           hello,
	"INFO":            shape,
	"CLIENT ID":       shape,
	"CLIENT INFO":     shape,
	"CLIENT LIST":     shape,
	"COMMAND":         shape,
	"COMMAND COUNT":   shape,
	"COMMAND LIST":    shape,
	"COMMAND DOCS":    shape,
	"COMMAND INFO":    shape, // compared row by row in TestCommandInfo
	"ROLE":            shape,
	"MEMORY USAGE":    shape,
	"MEMORY DOCTOR":   shape,
	"MEMORY STATS":    shape,
	"OBJECT IDLETIME": shape, // dkv does not write down when a key was read
	"OBJECT REFCOUNT": shape, // how a server shares values in memory
	"SLOWLOG LEN":     shape,
	"SLOWLOG GET":     shape,
	"LATENCY LATEST":  shape,
	"LATENCY DOCTOR":  shape,
	"LATENCY RESET":   shape,
	"LOLWUT":          shape,
	"PUBSUB CHANNELS": asSet, "PUBSUB SHARDCHANNELS": asSet,
	"LATENCY HISTOGRAM": shape, "DUMP": shape, "ACL CAT": asSet, "ACL LOG": shape, "ACL GETUSER": shape,
	"FUNCTION LIST": shape, "FUNCTION STATS": shape, "FUNCTION DUMP": shape, // compared in TestFunctions and TestFunctionDump
	"BGSAVE": shape,
}

// comparerOf returns the comparer for a command, nil for byte for byte.
func comparerOf(args []string) comparer {
	if len(args) == 0 {
		return nil
	}
	name := strings.ToUpper(args[0])
	if len(args) > 1 {
		sub := strings.ToUpper(args[1])
		if sub == "HELP" {
			return shape
		}
		if c, ok := comparers[name+" "+sub]; ok {
			return c
		}
	}
	return comparers[name]
}

// differ returns why the replies to a command differ, or "". queued are the
// commands that an EXEC ran.
func differ(args []string, queued [][]string, redis, dkv harness.Reply) string {
	if bytes.Equal(redis.Raw, dkv.Raw) || isKnown(args, redis, dkv) {
		return ""
	}
	if redis.IsError() || dkv.IsError() {
		return "an error on one side"
	}
	if len(queued) > 0 && strings.EqualFold(args[0], "EXEC") {
		return differExec(queued, redis, dkv)
	}
	if c := comparerOf(args); c != nil {
		return c(redis, dkv)
	}
	if isScores(args) && sameNumbers(redis, dkv) {
		return ""
	}
	return "the bytes differ"
}

// isScores says whether a command replies with scores: 7.0 writes a score with
// seventeen digits, 7.2 with as few as will do.
func isScores(args []string) bool {
	return len(args) > 0 && strings.HasPrefix(strings.ToUpper(args[0]), "Z")
}

// sameNumbers compares replies byte for byte but for how a number is written.
func sameNumbers(redis, dkv harness.Reply) bool {
	if redis.Kind != dkv.Kind || redis.Null != dkv.Null || len(redis.Elems) != len(dkv.Elems) {
		return false
	}
	for i := range redis.Elems {
		if !sameNumbers(redis.Elems[i], dkv.Elems[i]) {
			return false
		}
	}
	if bytes.Equal(redis.Str, dkv.Str) {
		return true
	}
	a, errA := strconv.ParseFloat(string(redis.Str), 64)
	b, errB := strconv.ParseFloat(string(dkv.Str), 64)
	return errA == nil && errB == nil && a == b
}

func differExec(queued [][]string, redis, dkv harness.Reply) string {
	if redis.Null || dkv.Null {
		return "aborted on one side"
	}
	if len(redis.Elems) != len(dkv.Elems) || len(redis.Elems) != len(queued) {
		return fmt.Sprintf("%d and %d replies to %d queued commands", len(redis.Elems), len(dkv.Elems), len(queued))
	}
	for i := range queued {
		if why := differ(queued[i], nil, redis.Elems[i], dkv.Elems[i]); why != "" {
			return fmt.Sprintf("queued command %d (%q): %s", i+1, queued[i], why)
		}
	}
	return ""
}

// within allows numbers to differ by tolerance; negative ones have a meaning
// and must be equal.
func within(tolerance int64) comparer {
	return func(redis, dkv harness.Reply) string {
		a, okA := redis.Int()
		b, okB := dkv.Int()
		if !okA || !okB || redis.Kind != dkv.Kind {
			return "not both numbers"
		}
		if (a < 0 || b < 0) && a != b || max(a-b, b-a) > tolerance {
			return fmt.Sprintf("%d and %d differ by more than %d", a, b, tolerance)
		}
		return ""
	}
}

// asSet compares arrays whose order is open.
func asSet(redis, dkv harness.Reply) string {
	if why := shape(redis, dkv); why != "" {
		return why
	}
	a, b := rawElems(redis), rawElems(dkv)
	slices.Sort(a)
	slices.Sort(b)
	if !slices.Equal(a, b) {
		return fmt.Sprintf("other elements: %d and %d", len(a), len(b))
	}
	return ""
}

// asPairs is asSet for elements that belong together two by two.
func asPairs(redis, dkv harness.Reply) string {
	if why := shape(redis, dkv); why != "" {
		return why
	}
	a, b := rawPairs(redis), rawPairs(dkv)
	if !slices.Equal(a, b) {
		return fmt.Sprintf("other pairs: %d and %d", len(a), len(b))
	}
	return ""
}

func rawPairs(r harness.Reply) (out []string) {
	for pair := range slices.Chunk(rawElems(r), 2) {
		out = append(out, strings.Join(pair, ""))
	}
	slices.Sort(out)
	return out
}

// scanOf compares the replies of a scan that is over in one call.
func scanOf(elements comparer) comparer {
	return func(redis, dkv harness.Reply) string {
		if len(redis.Elems) != 2 || len(dkv.Elems) != 2 || !bytes.Equal(redis.Elems[0].Raw, dkv.Elems[0].Raw) {
			return "another cursor"
		}
		return elements(redis.Elems[1], dkv.Elems[1])
	}
}

func rawElems(r harness.Reply) []string {
	var out []string
	for _, e := range r.Elems {
		out = append(out, string(e.Raw))
	}
	return out
}

// shape compares the kind of reply only.
func shape(redis, dkv harness.Reply) string {
	if redis.Kind != dkv.Kind || redis.Null != dkv.Null {
		return "another kind of reply"
	}
	return ""
}

// streamInfo compares length, keys of the tree, ids and counts of XINFO STREAM.
func streamInfo(redis, dkv harness.Reply) string {
	if why := shape(redis, dkv); why != "" {
		return why
	}
	for i := 0; i+1 < min(len(redis.Elems), 14); i += 2 {
		field := string(redis.Elems[i].Str)
		if !bytes.Equal(redis.Elems[i].Raw, dkv.Elems[i].Raw) {
			return "another field than " + field
		}
		if field != "radix-tree-nodes" && !bytes.Equal(redis.Elems[i+1].Raw, dkv.Elems[i+1].Raw) {
			return "another " + field
		}
	}
	return ""
}

// asAlone is a node's reply as it would be if the node were in no cluster: HELLO, by
// itself or queued, says whether it is.
func asAlone(args []string, queued [][]string, r harness.Reply) harness.Reply {
	r.Elems = slices.Clone(r.Elems)
	switch {
	case len(args) > 0 && strings.EqualFold(args[0], "HELLO"):
		for i := 0; i+1 < len(r.Elems); i += 2 {
			if v := &r.Elems[i+1]; string(r.Elems[i].Str) == "mode" && string(v.Str) == "cluster" {
				v.Str, v.Raw = []byte("standalone"), []byte("$10\r\nstandalone\r\n")
			}
		}
	case len(queued) == len(r.Elems):
		for i := range queued {
			r.Elems[i] = asAlone(queued[i], nil, r.Elems[i])
		}
	}
	return r
}

// hello compares all but the version and the connection's id.
func hello(redis, dkv harness.Reply) string {
	if why := shape(redis, dkv); why != "" {
		return why
	}
	if len(redis.Elems) != len(dkv.Elems) {
		return "another number of fields"
	}
	for i := 0; i+1 < len(redis.Elems); i += 2 {
		field := string(redis.Elems[i].Str)
		if !bytes.Equal(redis.Elems[i].Raw, dkv.Elems[i].Raw) {
			return "another field than " + field
		}
		if field != "version" && field != "id" && !bytes.Equal(redis.Elems[i+1].Raw, dkv.Elems[i+1].Raw) {
			return "another " + field
		}
	}
	return ""
}
