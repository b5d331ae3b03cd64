package command

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// unordered are the commands whose replies have no order (or a random choice), with
// what brings them into one.
var unordered = map[string]func(args []string, reply string) string{
	"hgetall": sortedBy(2), "hkeys": sortedBy(1), "hvals": sortedBy(1),
	"smembers": sortedBy(1), "sinter": sortedBy(1), "sunion": sortedBy(1), "sdiff": sortedBy(1),
	"hscan": scanReply(2), "sscan": scanReply(1), "zscan": scanReply(2),
	"hrandfield": shape, "srandmember": shape, "zrandmember": shape,
	"spop": sortedBy(1),
}

// items splits an array, map or set reply into the wire forms of its items; ok is
// false for another reply.
func items(reply string) (head string, list []string, ok bool) {
	if reply == "" || !strings.Contains("*~%", reply[:1]) {
		return reply, nil, false
	}
	head, rest, _ := strings.Cut(reply, "\r\n")
	for rest != "" {
		_, after := shortenOne(rest)
		list = append(list, rest[:len(rest)-len(after)])
		rest = after
	}
	return head, list, true
}

// sortedBy sorts the items of a reply, n at a time.
func sortedBy(n int) func([]string, string) string {
	return func(_ []string, reply string) string {
		head, list, ok := items(reply)
		if !ok || len(list)%n != 0 {
			return reply
		}
		var groups []string
		for g := range slices.Chunk(list, n) {
			groups = append(groups, strings.Join(g, ""))
		}
		slices.Sort(groups)
		return head + fmt.Sprintf("%q", groups)
	}
}

// scanReply is for scans that return all at once.
func scanReply(n int) func([]string, string) string {
	return func(args []string, reply string) string {
		_, list, ok := items(reply)
		if !ok || len(list) != 2 {
			return reply
		}
		return list[0] + sortedBy(n)(args, list[1])
	}
}

// shape is a reply without its bulk strings and numbers.
func shape(_ []string, reply string) string {
	if strings.HasPrefix(reply, ",") {
		return "a number"
	}
	if strings.HasPrefix(reply, "$") && reply != "$-1\r\n" {
		return "a bulk string"
	}
	head, list, ok := items(reply)
	if !ok {
		return reply
	}
	for i := range list {
		list[i] = shape(nil, list[i])
	}
	return head + fmt.Sprint(list)
}

// knownEncoding reports whether a reply is the name that Redis has since 7.2 for a
// small set, or for the result of SINTERSTORE when it has nothing but integers.
func (c *client) knownEncoding(args []string, got, want string) bool {
	if args[0] == "object" && got == "$8\r\nlistpack\r\n" && want == "$9\r\nquicklist\r\n" {
		return true // since 7.2 small lists are listpacks
	}
	return args[0] == "object" && (got == "$8\r\nlistpack\r\n" || got == "$6\r\nintset\r\n") && want == "$9\r\nhashtable\r\n" &&
		c.do("type", args[2]) == "+set\r\n"
}

func (g generator) field() string {
	return pick(g, "f", "g", "h", "", "1", "2", "-5", "007", "k\x00\r\n", strings.Repeat("x", 64), strings.Repeat("x", 65), strconv.Itoa(g.IntN(40)))
}

func (g generator) fields(most int) (list []string) {
	for range 1 + g.IntN(most) {
		list = append(list, g.field())
	}
	return list
}

// crowd are many different fields, n arguments for each.
func (g generator) crowd(n int) (list []string) {
	from, prefix := g.IntN(300), pick(g, "", "", "m")
	for i := range pick(g, 50, 128, 129, 200, 512, 513) {
		for range n {
			list = append(list, prefix+strconv.Itoa(from+i))
		}
	}
	return list
}

// scanOptions are such that the scan is over in one call.
func (g generator) scanOptions() []string {
	return append([]string{"COUNT", "100000"}, g.options(2, []string{"MATCH", pick(g, "*", "1*", "?", "f")}, []string{"COUNT", pick(g, "200000", "x", "0", "-1")},
		[]string{"TYPE", "hash"}, []string{"nonsense"})...)
}

func (g generator) cursor() string { return pick(g, "0", "0", "0", "0", "", "x", "-0") }

// small is a count of random elements that does not make either server reply millions.
func (g generator) small() string { return pick(g, "0", "1", "2", "5", "-1", "-3", "1000", "x", "") }

func (g generator) hashCommand() []string {
	if g.IntN(60) == 0 {
		return append([]string{"hset", g.key()}, g.crowd(2)...)
	}
	switch g.IntN(15) {
	case 0, 1, 2, 3:
		args := []string{pick(g, "hset", "hset", "hmset"), g.key()}
		for range 1 + g.IntN(5) {
			args = append(args, g.field(), g.value())
		}
		if g.IntN(12) == 0 {
			args = args[:len(args)-1]
		}
		return args
	case 4:
		return []string{"hsetnx", g.key(), g.field(), g.value()}
	case 5:
		return []string{pick(g, "hget", "hexists", "hstrlen"), g.key(), g.field()}
	case 6:
		return append([]string{pick(g, "hmget", "hdel", "hdel"), g.key()}, g.fields(4)...)
	case 7, 8:
		return []string{pick(g, "hlen", "hgetall", "hkeys", "hvals"), g.key()}
	case 9:
		return []string{"hincrby", g.key(), g.field(), g.integer()}
	case 10:
		return []string{"hincrbyfloat", g.key(), g.field(), pick(g, g.value(), g.float())}
	case 11:
		return append([]string{"hrandfield", g.key()}, g.options(2, []string{g.small()}, []string{"WITHVALUES"})...)
	case 12:
		return []string{"hrandfield", g.key(), pick(g, g.small(), "9223372036854775807", "-9223372036854775808"), g.word("WITHVALUES")}
	case 13:
		return append([]string{"hscan", g.key(), g.cursor()}, g.scanOptions()...)
	}
	args := g.common()
	return args
}

// common are commands on keys of any type.
func (g generator) common() []string {
	switch g.IntN(10) {
	case 0, 1:
		return []string{"object", "encoding", g.key()}
	case 2:
		return []string{pick(g, "rename", "renamenx"), g.key(), g.key()}
	case 3:
		return append([]string{"copy", g.key(), g.key()}, g.options(1, []string{"REPLACE"}, []string{"DB", g.db()})...)
	case 4:
		return []string{"move", g.key(), g.db()}
	case 5:
		return []string{pick(g, "del", "unlink"), g.key()}
	case 6:
		return pick(g, []string{"set", g.key(), g.value()}, []string{"get", g.key()}, []string{"type", g.key()}, []string{"swapdb", "0", "1"},
			[]string{"scan", "0", "COUNT", "1000", "TYPE", pick(g, "hash", "set", "zset", "list")}, []string{"dbsize"})
	case 7:
		return pick(g, []string{"expire", g.key(), "10000"}, []string{"ttl", g.key()}, []string{"persist", g.key()})
	case 8:
		return []string{"select", pick(g, "0", "1")}
	}
	return g.command()
}

func (g generator) setCommand() []string {
	keys := func(most int) (list []string) {
		for range 1 + g.IntN(most) {
			list = append(list, g.key())
		}
		return list
	}
	if g.IntN(60) == 0 {
		return append([]string{pick(g, "sadd", "sadd", "srem"), g.key()}, g.crowd(1)...)
	}
	switch g.IntN(14) {
	case 0, 1, 2, 3:
		return append([]string{"sadd", g.key()}, g.fields(5)...)
	case 4:
		return append([]string{pick(g, "srem", "smismember"), g.key()}, g.fields(3)...)
	case 5:
		return []string{"sismember", g.key(), g.field()}
	case 6:
		return []string{pick(g, "scard", "smembers"), g.key()}
	case 7:
		return []string{"smove", g.key(), g.key(), g.field()}
	case 8, 9:
		return append([]string{pick(g, "sinter", "sunion", "sdiff")}, keys(3)...)
	case 10:
		return append([]string{pick(g, "sinterstore", "sunionstore", "sdiffstore"), g.key()}, keys(3)...)
	case 11:
		list := keys(3)
		args := append([]string{"sintercard", pick(g, strconv.Itoa(len(list)), strconv.Itoa(len(list)), "0", "x", "5")}, list...)
		return append(args, g.options(1, []string{"LIMIT", g.integer()}, []string{"other", "1"})...)
	case 12:
		return pick(g, []string{"srandmember", g.key(), g.small()}, []string{"srandmember", g.key()}, []string{"spop", g.key(), pick(g, "100000", "0", "-1", "x")},
			[]string{"srandmember", g.key(), "1", "2"}, []string{"spop", g.key(), "1", "2"},
			append([]string{"sscan", g.key(), g.cursor()}, g.scanOptions()...))
	}
	return g.common()
}

func TestHashesAgainstRedis(t *testing.T) {
	g := generator{seed(t)}
	compareWithRedis(t, 15_000, g.hashCommand)
}

func TestSetsAgainstRedis(t *testing.T) {
	g := generator{seed(t)}
	compareWithRedis(t, 15_000, func() []string {
		if g.IntN(8) == 0 {
			return g.hashCommand()
		}
		return g.setCommand()
	})
}

// A count of elements with repetition asks for as long a reply as it likes: it is bounded
// also where nothing is configured, and in a transaction.
func TestRepeatedElements(t *testing.T) {
	c := newClient(t)
	defer func(n int64) { maxRepeated = n }(maxRepeated)
	maxRepeated = 1 << 10
	c.do("SADD", "s", "a", "b")
	c.do("ZADD", "z", "1", "a", "2", "b")
	c.do("HSET", "h", "a", "1", "b", "2")
	for _, line := range []string{
		"SRANDMEMBER s -2147483647", "ZRANDMEMBER z -2147483647", "HRANDFIELD h -1000000000 WITHVALUES", "ZRANDMEMBER z -1000000000 WITHSCORES",
	} {
		if got, want := c.do(strings.Fields(line)...), "-"+string(ErrReplyTooLong)+"\r\n"; got != want {
			t.Errorf("%s: %d bytes, want %q", line, len(got), want)
		}
	}
	if got := c.do("SRANDMEMBER", "s", "-20"); !strings.HasPrefix(got, "*20\r\n") {
		t.Errorf("20 elements: %q", got)
	}
}
