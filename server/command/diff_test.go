package command

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// seed returns the source of a random test: DKV_SEED, or a new seed.
func seed(t *testing.T) *rand.Rand {
	n := uint64(time.Now().UnixNano())
	if s := os.Getenv("DKV_SEED"); s != "" {
		var err error
		if n, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d (DKV_SEED)", n)
	return rand.New(rand.NewPCG(n, 0))
}

// generator makes random commands on few keys, with odd arguments among them.
type generator struct{ *rand.Rand }

func pick[T any](g generator, list ...T) T { return list[g.IntN(len(list))] }

func (g generator) key() string { return pick(g, "a", "b", "c", "{t}d", "", "k\x00\r\n", "list") }

func (g generator) value() string {
	return pick(g, "", "0", "1", "-1", "10", "-0", "01", " 1", "1 ", "+5", "3.0", "1.5", "-2.25", "1e3", "1e400", "1e4932",
		"1e-4960", "0x1p4", "0x.8", "inf", "-inf", "nan", "infinity", ".5", "5.", ".", "1e", "1e+", "0x", "1e5000", "abc",
		"9223372036854775807", "-9223372036854775808", "9223372036854775808", "99999999999999999999", "10000", "9999",
		"hello world", strings.Repeat("x", 44), strings.Repeat("y", 45), strings.Repeat("z", 300), "a\x00b", "\xff\xfe",
		"ohmytext", "mynewtext", "3.14159265358979323846264338327950288", "0.1", "123456789.123456789", "1e17", "1e-17", "12345678901234567890.5")
}

func (g generator) integer() string {
	return pick(g, "0", "1", "-1", "2", "5", "-5", "100", "x", "", "1.5", "01", "9223372036854775807", "-9223372036854775808",
		"9223372036854775808", strconv.Itoa(g.IntN(50)))
}

// float is a number with many digits, so that rounding shows.
func (g generator) float() string {
	digits := func(most int) string {
		b := make([]byte, g.IntN(most))
		for i := range b {
			b[i] = byte('0' + g.IntN(10))
		}
		return string(b)
	}
	s := pick(g, "", "", "-", "+") + digits(25) + "." + digits(30)
	if g.IntN(4) == 0 {
		s += "e" + strconv.Itoa(g.IntN(60)-30)
	}
	return s
}

// when is an argument of an expiry: relative ones are far enough apart to tell which
// is the later however long the test takes.
func (g generator) when(kind expiryKind) string {
	if g.IntN(5) == 0 {
		return pick(g, "0", "-1", "x", "", "9223372036854775807", "9223372036854775", "9223372036854776", "-9223372036854775808",
			"1e3", " 5")
	}
	switch kind {
	case expiryEX:
		return strconv.Itoa(1000 + 5*g.IntN(1_000_000))
	case expiryPX:
		return strconv.Itoa(1_000_000 + 5000*g.IntN(1_000_000))
	case expiryEXAT:
		return strconv.Itoa(4_000_000_000 + g.IntN(5))
	}
	return strconv.Itoa(4_000_000_000_000 + g.IntN(5)*1000)
}

func (g generator) word(list ...string) string {
	w := pick(g, list...)
	switch g.IntN(8) {
	case 0:
		return strings.ToLower(w)
	case 1:
		return w + "x"
	case 2:
		return w + "\x00x"
	}
	return w
}

// options returns up to n options, each of which may have an argument.
func (g generator) options(n int, list ...[]string) []string {
	var out []string
	for range g.IntN(n + 1) {
		o := pick(g, list...)
		out = append(out, g.word(o[0]))
		out = append(out, o[1:]...)
	}
	if g.IntN(20) == 0 && len(out) > 0 {
		out = out[:len(out)-1]
	}
	return out
}

func (g generator) expiries() [][]string {
	return [][]string{
		{"EX", g.when(expiryEX)}, {"PX", g.when(expiryPX)}, {"EXAT", g.when(expiryEXAT)}, {"PXAT", g.when(expiryPXAT)},
	}
}

func (g generator) db() string { return pick(g, "0", "1", "2", "15", "16", "-1", "x", "99999999999") }

// command returns a random command.
func (g generator) command() []string {
	one := func(names ...string) []string { return []string{pick(g, names...), g.key()} }
	switch g.IntN(31) {
	case 0:
		return append([]string{"set", g.key(), g.value()}, g.options(3, append(g.expiries(), []string{"NX"}, []string{"XX"},
			[]string{"GET"}, []string{"KEEPTTL"}, []string{"PERSIST"}, []string{"nonsense"})...)...)
	case 1:
		return []string{"set", g.key(), g.value()}
	case 2:
		return []string{pick(g, "setnx", "getset", "append"), g.key(), g.value()}
	case 3:
		return []string{"setex", g.key(), g.when(expiryEX), g.value()}
	case 4:
		return []string{"psetex", g.key(), g.when(expiryPX), g.value()}
	case 5, 6:
		return one("get", "getdel", "strlen", "incr", "decr", "type", "persist", "get", "get")
	case 7:
		return append([]string{"getex", g.key()}, g.options(2, append(g.expiries(), []string{"PERSIST"}, []string{"KEEPTTL"})...)...)
	case 8:
		return []string{"mget", g.key(), g.key(), g.key()}
	case 9:
		args := []string{pick(g, "mset", "msetnx"), g.key(), g.value(), g.key(), g.value()}
		return args[:3+g.IntN(3)]
	case 10:
		return []string{pick(g, "incrby", "decrby"), g.key(), g.integer()}
	case 11:
		return []string{"incrbyfloat", g.key(), g.value()}
	case 12:
		return []string{"incrbyfloat", g.key(), g.float()}
	case 13:
		return []string{pick(g, "getrange", "substr"), g.key(), g.integer(), g.integer()}
	case 14:
		return []string{"setrange", g.key(), pick(g, "0", "1", "5", "100", "-1", "x", "536870912", "9223372036854775807"), g.value()}
	case 15:
		return append([]string{"lcs", g.key(), g.key()}, g.options(3, []string{"IDX"}, []string{"LEN"}, []string{"WITHMATCHLEN"},
			[]string{"MINMATCHLEN", g.integer()}, []string{"IDX"})...)
	case 16:
		return []string{pick(g, "del", "unlink", "exists", "touch"), g.key(), g.key()}
	case 17:
		return []string{pick(g, "rename", "renamenx"), g.key(), g.key()}
	case 18:
		return append([]string{"copy", g.key(), g.key()}, g.options(2, []string{"DB", g.db()}, []string{"REPLACE"})...)
	case 19:
		return []string{"move", g.key(), g.db()}
	case 20, 21:
		i := g.IntN(4)
		return append([]string{[]string{"expire", "pexpire", "expireat", "pexpireat"}[i],
			g.key(), g.when(expiryEX + expiryKind(i))},
			g.options(2, []string{"NX"}, []string{"XX"}, []string{"GT"}, []string{"LT"}, []string{"GT"}, []string{"other"})...)
	case 22, 23:
		return one("ttl", "pttl", "expiretime", "pexpiretime")
	case 24:
		return []string{"object", pick(g, "encoding", "refcount", "freq", "nonsense", "encoding"), g.key()}
	case 25:
		return []string{"keys", pick(g, "*", "a*", "?", "[a-c]", "{t}*", "nothing", "", "a", "\\a")}
	case 26:
		return append([]string{"scan", pick(g, "0", "0", "0", "", "+0", "-0", "x", "1x", " 0", "99999999999999999999")},
			g.options(3, []string{"COUNT", pick(g, "1000", "500", "0", "-1", "x")}, []string{"MATCH", pick(g, "*", "a*", "?")},
				[]string{"TYPE", pick(g, "string", "STRING", "hash", "nothing")}, []string{"COUNT", "1000"})...)
	case 27:
		return pick(g, []string{"dbsize"}, []string{"randomkey"}, []string{"flushdb", g.word("ASYNC")}, []string{"flushall", "now"},
			[]string{"swapdb", g.db(), g.db()}, []string{"swapdb", "0", "1"}, []string{"flushdb"})
	case 28:
		return append([]string{"memory", "usage", g.key()}, g.options(1, []string{"SAMPLES", g.integer()})...)
	case 29:
		c := g.command() // cut short or made longer
		if g.IntN(2) == 0 && len(c) > 1 {
			return c[:len(c)-1]
		}
		return append(c, g.value())
	}
	return []string{"select", pick(g, "0", "1")}
}

// comparable brings a reply into a form in which it must be the same as Redis's.
func comparable(args []string, reply string) string {
	if strings.HasPrefix(reply, "-") {
		return reply
	}
	name := args[0]
	if f := unordered[name]; f != nil {
		return f(args, reply)
	}
	switch {
	case name == "keys":
		items := strings.Split(reply, "$")
		slices.Sort(items)
		return fmt.Sprint(items)
	case name == "scan" && !slices.Contains([]string{"0", "", "+0", "-0"}, args[1]):
		return "a cursor of one is nothing to the other"
	case name == "scan":
		at := strings.Index(reply[4:], "*") // behind the cursor; its array's header
		items := strings.Split(reply[at+4:], "$")
		slices.Sort(items)
		return fmt.Sprint(reply[:at+4], items)
	case name == "randomkey", name == "memory", name == "object" && args[1] == "refcount":
		// The reference count of a small integer depends on how the key came by it.
		return strconv.FormatBool(shorten(reply) == "nil" || shorten(reply) == "null")
	}
	return reply
}

// nearly reports whether two replies of TTL and its kin agree, given that the two
// servers did not see the same moment.
func nearly(args []string, a, b string) bool {
	tolerance := int64(2)
	switch args[0] {
	case "pttl", "pexpiretime":
		tolerance = 2000
	case "ttl", "expiretime":
	default:
		return false
	}
	x, errX := strconv.ParseInt(shorten(a), 10, 64)
	y, errY := strconv.ParseInt(shorten(b), 10, 64)
	return errX == nil && errY == nil && x > 0 && y > 0 && x-y <= tolerance && y-x <= tolerance
}

// Random commands get the replies of a real server, byte for byte.
func TestAgainstRedis(t *testing.T) {
	g := generator{seed(t)}
	compareWithRedis(t, 15_000, g.command)
}

// compareWithRedis runs what next returns on both, in RESP2 and RESP3.
func compareWithRedis(t *testing.T, rounds int, next func() []string) {
	t.Helper()
	o := newOracle(t)
	if testing.Short() {
		rounds /= 5
	}
	for _, proto := range []int{2, 3} {
		c := newClient(t)
		c.proto = proto
		o.do("HELLO", strconv.Itoa(proto))
		o.do("FLUSHALL")
		o.do("SELECT", "0")
		var history []string
		for range rounds {
			args := next()
			c.store.Now = time.Now().UnixMilli()
			if args[0] == "select" {
				if len(args) == 2 && (args[1] == "0" || args[1] == "1") {
					c.db, _ = strconv.Atoi(args[1])
					o.do(args...)
				}
				continue
			}
			want, got := o.do(args...), c.do(args...)
			history = append(history, fmt.Sprintf("%q -> %q", args, got))
			if comparable(args, got) != comparable(args, want) && !nearly(args, got, want) && !c.knownEncoding(args, got, want) &&
				!isNewer(args, got, want) {
				t.Fatalf("RESP%d, %q:\n got %q\nwant %q\nbefore:\n%s", proto, args, got, want,
					strings.Join(history[max(0, len(history)-15):], "\n"))
			}
		}
	}
}
