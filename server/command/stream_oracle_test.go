package command

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// streamGenerator makes commands on streams. Some come in a row: queue.
type streamGenerator struct {
	generator
	queue [][]string
	at    map[string]int // the time up to which a stream has ids
}

func (g *streamGenerator) name() string {
	return pick(g.generator, "a", "a", "a", "a", "b", "b", "c", "list")
}

// id is mostly one of few, so that commands meet.
func (g *streamGenerator) id() string {
	if g.IntN(25) == 0 {
		return pick(g.generator, "", "-", "+", "(", "x", "1-", "-1", "1-x", "1-*", "1--1", "1--01", " 1", "+1-1", "01-1", "1-1\x00x", "18446744073709551615-18446744073709551615",
			"18446744073709551615", "18446744073709551616-1", "1-18446744073709551615", "0-0", "0", "$", ">", strings.Repeat("1", 128))
	}
	if g.IntN(6) == 0 {
		return strconv.Itoa(g.IntN(40))
	}
	if g.IntN(3) > 0 { // near the end of a stream
		return fmt.Sprintf("%d-%d", max(g.at[g.name()]-g.IntN(12), 0), g.IntN(3))
	}
	return fmt.Sprintf("%d-%d", g.IntN(40), g.IntN(3))
}

func (g *streamGenerator) group() string {
	return pick(g.generator, "g", "g", "g", "g", "g", "g", "h", "h", "", "g\x00r")
}
func (g *streamGenerator) consumer() string {
	return pick(g.generator, "c", "c", "c", "d", "d", "e", "")
}
func (g *streamGenerator) ids(most int) (list []string) {
	for range 1 + g.IntN(most) {
		list = append(list, g.id())
	}
	return list
}

// bound is an end of a range.
func (g *streamGenerator) bound() string { return pick(g.generator, "", "", "(") + g.id() }

func (g *streamGenerator) count() string {
	return pick(g.generator, "0", "1", "2", "3", "5", "10", "-1", "x", "100")
}

func (g *streamGenerator) trim() []string {
	args := []string{g.word("MAXLEN", "MINID")}
	if op := pick(g.generator, "", "=", "~", "~"); op != "" {
		args = append(args, op)
	}
	if strings.HasPrefix(strings.ToUpper(args[0]), "MAXLEN") {
		args = append(args, pick(g.generator, strconv.Itoa(g.IntN(25)), g.count()))
	} else {
		args = append(args, g.id())
	}
	if g.IntN(4) == 0 {
		args = append(args, g.word("LIMIT"), pick(g.generator, strconv.Itoa(g.IntN(20)), "0", "-1", "x"))
	}
	return args
}

func (g *streamGenerator) fields() (list []string) {
	for range 1 + g.IntN(3) {
		list = append(list, pick(g.generator, "f", "f", "g", ""), pick(g.generator, "v", "1", "-77", "123456789", "1234567890123", strings.Repeat("x", g.IntN(90)), ""))
	}
	if g.IntN(20) == 0 {
		list = list[1:]
	}
	return list
}

func (g *streamGenerator) next() []string {
	if len(g.queue) == 0 {
		g.queue = g.commands()
	}
	args := g.queue[0]
	g.queue = g.queue[1:]
	return args
}

func (g *streamGenerator) commands() [][]string {
	one := func(args ...string) [][]string { return [][]string{args} }
	key, group, consumer := g.name(), g.group(), g.consumer()
	// 7.0 makes a consumer only when it gets something.
	create := []string{"xgroup", "createconsumer", key, group, consumer}
	switch g.IntN(31) {
	case 0:
		if g.IntN(6) > 0 {
			return one("xadd", key, fmt.Sprintf("%d-*", g.at[key]), "f", "v")
		}
		return append(one("xadd", key, "99999999999999-*", "f", "v"), []string{"xadd", key, "*", "f", "v"})
	case 1:
		return one(append(append([]string{"xadd", key}, g.trim()...), append([]string{g.id()}, g.fields()...)...)...)
	case 2:
		args := append([]string{"xadd", key}, g.options(2, []string{"NOMKSTREAM"}, []string{"LIMIT", "5"}, []string{"MAXLEN", "3"}, []string{"MINID", "3"})...)
		return one(append(append(args, g.id()), g.fields()...)...)
	case 3, 4, 5: // many at once
		from := g.at[key] + g.IntN(2)
		var list [][]string
		if from > 40 || g.IntN(6) == 0 {
			from = 0
			list = append(list, []string{"del", key}, []string{"xgroup", "create", key, "g", pick(g.generator, "0", "$"), "MKSTREAM"},
				[]string{"xgroup", "create", key, "h", g.id(), "MKSTREAM"})
		}
		n := 1 + g.IntN(20)
		g.at[key] = from + n/2
		for i := range n {
			list = append(list, append([]string{"xadd", key, fmt.Sprintf("%d-%d", from+i/2, i%3)}, g.fields()...))
		}
		return list
	case 6:
		return one(append([]string{"xdel", key}, g.ids(4)...)...)
	case 7, 8:
		return one(append([]string{"xtrim", key}, g.trim()...)...)
	case 9:
		return one("xlen", key)
	case 10, 11:
		return one(append([]string{pick(g.generator, "xrange", "xrevrange"), key, g.bound(), g.bound()}, g.options(1, []string{"COUNT", g.count()})...)...)
	case 12:
		return one(pick(g.generator, "xrange", "xrevrange"), key, pick(g.generator, "-", "+"), pick(g.generator, "-", "+"))
	case 13:
		args := append([]string{"xread"}, g.options(2, []string{"COUNT", g.count()}, []string{"COUNT", g.count()}, []string{"NOACK"}, []string{"GROUP", group, consumer})...)
		return one(append(args, g.word("STREAMS"), key, pick(g.generator, g.id(), "$", ">"))...)
	case 14:
		return one(append([]string{"xread", "COUNT", g.count(), "STREAMS"}, key, g.name(), g.id(), pick(g.generator, g.id(), "$"))...)
	case 15, 16, 28, 29:
		args := append([]string{"xreadgroup", g.word("GROUP"), group, consumer}, g.options(2, []string{"COUNT", g.count()}, []string{"NOACK"})...)
		return [][]string{create, append(args, g.word("STREAMS"), key, pick(g.generator, g.id(), ">", ">", ">", ">", ">", ">", "0", "$"))}
	case 17:
		other := g.name()
		return [][]string{create, {"xgroup", "createconsumer", other, group, consumer},
			{"xreadgroup", "GROUP", group, consumer, "COUNT", g.count(), "STREAMS", key, other, ">", pick(g.generator, ">", "0")}}
	case 18:
		return one(append([]string{"xack", key, group}, g.ids(9)...)...)
	case 19, 30:
		args := append([]string{"xclaim", key, group, consumer, pick(g.generator, "0", "0", "0", "1000000000", "-1", "x")}, g.ids(9)...)
		return [][]string{create, append(args, g.options(3, []string{"IDLE", pick(g.generator, "0", "2000000000", "x")}, []string{"TIME", pick(g.generator, "1000", "-1", "x")},
			[]string{"RETRYCOUNT", pick(g.generator, "0", "7", "-1", "x")}, []string{"FORCE"}, []string{"FORCE"}, []string{"JUSTID"}, []string{"LASTID", g.id()})...)}
	case 20:
		args := []string{"xautoclaim", key, group, consumer, pick(g.generator, "0", "0", "1000000000", "-1", "x"), g.bound()}
		return [][]string{create, append(args, g.options(2, []string{"COUNT", g.count()}, []string{"JUSTID"})...)}
	case 21:
		return one(append([]string{"xpending", key, group}, pick(g.generator, nil, []string{"-", "+", g.count()}, []string{g.bound(), g.bound(), g.count()}, []string{"-", "+", g.count(), consumer},
			[]string{"IDLE", pick(g.generator, "1000000000", "0", "x"), "-", "+", "10", consumer}, []string{"IDLE", "1", "-"}, []string{"-", "+"})...)...)
	case 22:
		id := pick(g.generator, g.id(), "0", "$")
		args := append([]string{"xgroup", pick(g.generator, "create", "create", "setid"), key, group, id}, g.options(2, []string{"MKSTREAM"}, []string{"ENTRIESREAD", pick(g.generator, "0", "3", "-1", "-2", "x")})...)
		return one(args...)
	case 23:
		return pick(g.generator, one("xgroup", "destroy", key, group), create2(create), one("xgroup", "delconsumer", key, group, consumer), one("xgroup", "create", key, group))
	case 24, 25:
		return pick(g.generator, one("xinfo", "stream", key), one("xinfo", "stream", key), one("xinfo", "groups", key), one("xinfo", "groups", key), one("xinfo", "consumers", key, group),
			one("xinfo", "stream", key, g.word("FULL")), one("xinfo", "stream", key, "FULL", g.word("COUNT"), g.count()), one("xinfo", "stream", key, "FULL", "COUNT"))
	case 26:
		id := pick(g.generator, g.id(), fmt.Sprint(40+g.IntN(20)))
		return one(append([]string{"xsetid", key, id}, g.options(2, []string{"ENTRIESADDED", pick(g.generator, "0", "5", "1000", "-1", "x")}, []string{"MAXDELETEDID", g.id()})...)...)
	}
	for {
		if args := g.common(); args[0] != "randomkey" && args[0] != "memory" {
			return one(args...)
		}
	}
}

func create2(create []string) [][]string { return [][]string{create, create} }

var (
	unbalanced = regexp.MustCompile(`^-ERR Unbalanced .*\r\n$`)
	treeNodes  = regexp.MustCompile(`(radix-tree-nodes\r\n):\d+`)
	// inactive and active-time are new in 7.2, and all times are of two clocks.
	newTimes   = regexp.MustCompile(`\$(8\r\ninactive|11\r\nactive-time)\r\n:-?\d+\r\n`)
	clockTimes = regexp.MustCompile(`(idle|seen-time)\r\n:\d+`)
	deliveries = regexp.MustCompile(`(\$\d+\r\n\d+-\d+\r\n(?:\$\d+\r\n.*\r\n)?):\d+(\r\n:\d+\r\n)`)
	mapOf      = regexp.MustCompile(`(\*\d+|%\d+)(\r\n\$4\r\nname\r\n)`)
)

// streamReply brings a reply into a form in which it must be the same as Redis 7.0's.
func streamReply(args []string, reply string) string {
	if unbalanced.MatchString(reply) {
		return "unbalanced"
	}
	switch args[0] {
	case "xpending":
		return deliveries.ReplaceAllString(reply, "${1}:time$2")
	case "xinfo":
		reply = treeNodes.ReplaceAllString(reply, "$1")
		reply = newTimes.ReplaceAllString(reply, "")
		reply = clockTimes.ReplaceAllString(reply, "$1")
		reply = deliveries.ReplaceAllString(reply, "${1}:time$2")
		if len(args) > 1 && args[1] != "groups" {
			reply = mapOf.ReplaceAllString(reply, "$2")
		}
		return reply
	}
	return comparable(args, reply)
}

// Random commands on streams get the replies of a real server.
func TestStreamsAgainstRedis(t *testing.T) {
	g := streamGenerator{generator: generator{seed(t)}, at: map[string]int{}}
	o := newOracle(t)
	rounds := 30_000
	if testing.Short() {
		rounds /= 5
	}
	o.do("CONFIG", "SET", "stream-node-max-entries", "7")
	o.do("CONFIG", "SET", "stream-node-max-bytes", "220")
	limits := new(Limits)
	limits.StreamNodeEntries.Store(7)
	limits.StreamNodeBytes.Store(220)
	for _, proto := range []int{2, 3} {
		c := newClient(t)
		c.proto, c.limits = proto, limits
		o.do("HELLO", strconv.Itoa(proto))
		o.do("FLUSHALL")
		o.do("SELECT", "0")
		var history []string
		for range rounds {
			args := g.next()
			c.store.Now = time.Now().UnixMilli()
			if args[0] == "select" || args[0] == "swapdb" {
				continue
			}
			want, got := o.do(args...), c.do(args...)
			history = append(history, fmt.Sprintf("%q -> %q", args, got))
			if got == "-"+string(errXsetidMax)+"\r\n" { // 7.0 does not look at it
				o.do("del", args[1])
				c.do("del", args[1])
				continue
			}
			if streamReply(args, got) != streamReply(args, want) && !nearly(args, got, want) && !c.knownEncoding(args, got, want) {
				t.Fatalf("RESP%d, %q:\n got %q\nwant %q\nbefore:\n%s", proto, args, got, want,
					strings.Join(history[max(0, len(history)-25):], "\n"))
			}
		}
	}
}
