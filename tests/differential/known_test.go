package differential

import (
	"bytes"
	"slices"
	"strings"
	"sync/atomic"

	"dkv/tests/harness"
)

// difference is one that is known and meant.
type difference struct {
	// command is a name, or a name and a subcommand.
	command string
	reason  string
	// holds narrows it to replies; nil: any.
	holds func(args []string, redis, dkv harness.Reply) bool

	seen atomic.Int64
}

// known is the whole list of what dkv answers otherwise than the oracle,
// Debian's Redis 7.0, and why. docs/compatibility.md tells users.
var known = []*difference{
	{command: "CLIENT NO-TOUCH", reason: "new in 7.2"},
	{command: "CLIENT SETINFO", reason: "new in 7.2"},
	{command: "OBJECT ENCODING", reason: "7.2 has listpacks for small lists",
		holds: func(_ []string, redis, dkv harness.Reply) bool {
			return string(redis.Str) == "quicklist" && string(dkv.Str) == "listpack"
		}},
	{command: "OBJECT ENCODING", reason: "7.2 has listpacks for small sets, and intsets from SINTERSTORE",
		holds: func(_ []string, redis, dkv harness.Reply) bool {
			return string(redis.Str) == "hashtable" && (string(dkv.Str) == "listpack" || string(dkv.Str) == "intset")
		}},
	{command: "LPOS", reason: "7.2 refuses the lowest integer as RANK",
		holds: errorsBegin("", "-ERR value is out of range, value must between")},
	{command: "BITCOUNT", reason: "7.2 looks at all arguments before it looks the key up", holds: badArgumentsFirst},
	{command: "BITPOS", reason: "7.2 looks at all arguments before it looks the key up", holds: badArgumentsFirst},
	{command: "GET", reason: "PFCOUNT does not write the count that it found into the HyperLogLog",
		holds: func(_ []string, redis, dkv harness.Reply) bool {
			a, b := redis.Str, dkv.Str
			return len(a) == len(b) && len(a) >= 16 && bytes.HasPrefix(a, []byte("HYLL")) && bytes.Equal(a[:8], b[:8]) && bytes.Equal(a[16:], b[16:])
		}},
	{command: "OBJECT ENCODING", reason: "SORT of a sorted set changes how Redis keeps it",
		holds: func(_ []string, redis, dkv harness.Reply) bool {
			return string(redis.Str) == "skiplist" && string(dkv.Str) == "listpack"
		}},
	{command: "SORT", reason: "Redis takes what errno says of an earlier command for this one's", holds: staleErrno},
	{command: "SORT_RO", reason: "Redis takes what errno says of an earlier command for this one's", holds: staleErrno},
	{command: "HELLO", reason: "7.2 looks at all words before the password",
		holds: func(args []string, redis, dkv harness.Reply) bool {
			return errorsBegin("-WRONGPASS", "-ERR Client names cannot contain")(args, redis, dkv) ||
				errorsBegin("-WRONGPASS", "-ERR Syntax error in HELLO")(args, redis, dkv)
		}},
	{command: "XGROUP CREATECONSUMER", reason: "7.2 makes a consumer that asks, 7.0 one that gets something",
		holds: func(_ []string, redis, dkv harness.Reply) bool { return redis.Kind == ':' && dkv.Kind == ':' }},
	{command: "XREAD", reason: "7.2 names the command", holds: errorsBegin("-ERR Unbalanced XREAD", "-ERR Unbalanced 'xread'")},
	{command: "XREADGROUP", reason: "7.2 names the command", holds: errorsBegin("-ERR Unbalanced XREAD", "-ERR Unbalanced 'xreadgroup'")},
	{command: "BLMPOP", reason: "7.2 tells a time that is too long from one that is negative", holds: tooLong},
	{command: "BZMPOP", reason: "7.2 tells a time that is too long from one that is negative", holds: tooLong},
	{command: "COMMAND GETKEYS", reason: "7.0 wants an argument more", holds: oneArgument},
	{command: "COMMAND GETKEYSANDFLAGS", reason: "7.0 wants an argument more", holds: oneArgument},
	{command: "COMMAND GETKEYSANDFLAGS", reason: "where the number of keys is 1.5, Redis finds one key and does not know what is done with it",
		holds: func(args []string, redis, dkv harness.Reply) bool {
			return slices.Contains(args, "1.5") && redis.Kind == '*' && dkv.Kind == '*'
		}},
	{command: "COMMAND GETKEYS", reason: "where there are no keys to combine, Redis does not name the destination either", holds: onlyDestination},
	{command: "COMMAND GETKEYSANDFLAGS", reason: "where there are no keys to combine, Redis does not name the destination either", holds: onlyDestination},
	{command: "COMMAND GETKEYS", reason: "Redis does not see KEYS where nothing follows it", holds: endsInKeys},
	{command: "COMMAND GETKEYSANDFLAGS", reason: "Redis does not see KEYS where nothing follows it", holds: endsInKeys},
	{command: "CLUSTER", reason: "a server that is in no cluster tells about itself as one of a single node",
		holds: func(_ []string, redis, _ harness.Reply) bool { return noCluster(redis) }},
	{command: "READONLY", reason: "accepted outside of a cluster", holds: func(_ []string, redis, _ harness.Reply) bool { return noCluster(redis) }},
	{command: "READWRITE", reason: "accepted outside of a cluster", holds: func(_ []string, redis, _ harness.Reply) bool { return noCluster(redis) }},
	{command: "ASKING", reason: "accepted outside of a cluster", holds: func(_ []string, redis, _ harness.Reply) bool { return noCluster(redis) }},
	{command: "CONFIG SET", reason: "7.2 has a log level nothing",
		holds: errorsBegin("-ERR CONFIG SET failed (possibly related to argument 'loglevel')", "-ERR CONFIG SET failed (possibly related to argument 'loglevel')")},
	{command: "EVAL", reason: "the interpreter has its own words for what it cannot parse", holds: badCode},
	{command: "EVAL_RO", reason: "the interpreter has its own words for what it cannot parse", holds: badCode},
	{command: "SCRIPT LOAD", reason: "the interpreter has its own words for what it cannot parse", holds: badCode},
	{command: "FUNCTION LOAD", reason: "the interpreter has its own words for what it cannot parse", holds: badCode},
	{command: "FUNCTION LIST", reason: "Redis shows a word up to its first zero byte only",
		holds: errorsBegin("-ERR Unknown argument", "-ERR Unknown argument")},
	{command: "FUNCTION LOAD", reason: "Redis shows a word up to its first zero byte only",
		holds: errorsBegin("-ERR Unknown option given", "-ERR Unknown option given")},
	{command: "LATENCY GRAPH", reason: "Redis shows a name up to its first zero byte only",
		holds: errorsBegin("-ERR No samples available for event", "-ERR No samples available for event")},
	{command: "MEMORY USAGE", reason: "Redis also measures a key that has expired and is not deleted yet",
		holds: func(_ []string, redis, dkv harness.Reply) bool { return redis.Kind == ':' && dkv.Null }},
	{command: "CONFIG SET", reason: "Redis shows a parameter's name up to its first zero byte only",
		holds: func(args []string, redis, dkv harness.Reply) bool {
			return len(args) > 2 && strings.Contains(strings.Join(args[2:], ""), "\x00") && errorsBegin("-ERR Unknown option", "-ERR Unknown option")(args, redis, dkv)
		}},
}

// abortedByFlush counts transactions that dkv alone aborted, see player.watch.
var abortedByFlush atomic.Int64

func isKnown(args []string, redis, dkv harness.Reply) bool {
	for _, k := range known {
		name, sub, _ := strings.Cut(k.command, " ")
		if len(args) == 0 || !strings.EqualFold(args[0], name) || sub != "" && (len(args) < 2 || !strings.EqualFold(args[1], sub)) {
			continue
		}
		if k.holds == nil || k.holds(args, redis, dkv) {
			k.seen.Add(1)
			return true
		}
	}
	return false
}

// badArgumentsFirst is for commands that 7.0 answers by the key alone.
func badArgumentsFirst(_ []string, redis, dkv harness.Reply) bool {
	return (redis.Kind == ':' || bytes.HasPrefix(redis.Raw, []byte("-WRONGTYPE"))) && bytes.HasPrefix(dkv.Raw, []byte("-ERR"))
}

// oneArgument is for a command without arguments in COMMAND GETKEYS.
func oneArgument(args []string, redis, dkv harness.Reply) bool {
	return len(args) == 3 && errorsBegin("-ERR wrong number of arguments", "-ERR The command has no key arguments")(args, redis, dkv)
}

// endsInKeys is for MIGRATE in COMMAND GETKEYS.
func endsInKeys(args []string, redis, dkv harness.Reply) bool {
	return len(args) > 3 && strings.EqualFold(args[2], "MIGRATE") && strings.EqualFold(args[len(args)-1], "KEYS") && redis.Kind == '*' && dkv.IsError()
}

// onlyDestination is for ZUNIONSTORE and its like of no keys in COMMAND GETKEYS.
func onlyDestination(args []string, redis, dkv harness.Reply) bool {
	return len(args) > 4 && strings.HasSuffix(strings.ToUpper(args[2]), "STORE") && redis.IsError() && len(dkv.Elems) == 1
}

// tooLong is for a timeout that no number of milliseconds is.
func tooLong(args []string, redis, dkv harness.Reply) bool {
	return errorsBegin("-ERR timeout is negative", "-ERR timeout is out of range")(args, redis, dkv)
}

// badCode is for scripts and libraries that cannot be compiled.
func badCode(args []string, redis, dkv harness.Reply) bool {
	return errorsBegin("-ERR Error compiling script", "-ERR Error compiling script")(args, redis, dkv) ||
		errorsBegin("-ERR Error compiling function", "-ERR Error compiling function")(args, redis, dkv)
}

// noCluster is what Redis says of commands about clusters.
func noCluster(redis harness.Reply) bool {
	return bytes.HasPrefix(redis.Raw, []byte("-ERR This instance has cluster support disabled"))
}

// staleErrno: a number that was out of range before makes all others so.
func staleErrno(_ []string, redis, dkv harness.Reply) bool {
	return bytes.HasPrefix(redis.Raw, []byte("-ERR One or more scores")) && dkv.Kind == '*'
}

// errorsBegin is for differences in the text of errors.
func errorsBegin(redisPrefix, dkvPrefix string) func([]string, harness.Reply, harness.Reply) bool {
	return func(_ []string, redis, dkv harness.Reply) bool {
		return bytes.HasPrefix(redis.Raw, []byte(redisPrefix)) && bytes.HasPrefix(dkv.Raw, []byte(dkvPrefix))
	}
}
