package command

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

func TestLists(t *testing.T) {
	c := newClient(t)
	wrong := "-WRONGTYPE Operation against a key holding the wrong kind of value"
	c.expect(
		"rpush l a b c", "3", "lpush l z y", "5", "lrange l 0 -1", "[y z a b c]", "lrange l 1 2", "[z a]", "lrange l -2 100", "[b c]", "lrange l 3 1", "[]",
		"lrange l 5 9", "[]", "lrange missing 0 -1", "[]", "lrange l x 1", "-ERR value is not an integer or out of range", "llen l", "5", "llen missing", "0",
		"lindex l 0", "y", "lindex l -1", "c", "lindex l 5", "nil", "lindex l -6", "nil", "lindex missing x", "nil", "lindex l x", "-ERR value is not an integer or out of range",
		"lpushx missing a", "0", "rpushx missing a", "0", "lpushx l x", "6", "rpushx l d e", "8", "lpop l", "x", "rpop l", "e", "lpop l 2", "[y z]", "rpop l 2", "[d c]",
		"lpop l 0", "[]", "lpop missing", "nil", "lpop missing 0", "nil", "lpop l x", "-ERR value is out of range, must be positive", "lpop l -1", "-ERR value is out of range, must be positive",
		"lpop l 1 2", "-ERR wrong number of arguments for 'lpop' command", "rpop l 100", "[b a]", "exists l", "0", "type l", "+none",
		"lset missing 0 a", "-ERR no such key", "rpush l a b c", "3", "lset l 1 B", "+OK", "lset l -1 C", "+OK", "lset l 3 x", "-ERR index out of range", "lrange l 0 -1", "[a B C]",
		"ltrim l 1 -1", "+OK", "lrange l 0 -1", "[B C]", "ltrim l 5 9", "+OK", "exists l", "0", "ltrim missing 0 1", "+OK", "rpush l a b a c a", "5",
		"lrem l 2 a", "2", "lrange l 0 -1", "[b c a]", "lrem l -1 a", "1", "lrem l 0 x", "0", "lrem missing 0 a", "0", "lrem l 0 b", "1", "lrange l 0 -1", "[c]",
		"linsert l BEFORE c b", "2", "linsert l after c d", "3", "linsert l BEFORE x y", "-1", "linsert missing BEFORE a b", "0", "linsert l under c x", "-ERR syntax error", "lrange l 0 -1", "[b c d]",
		"lpos l c", "1", "lpos l x", "nil", "lpos l c COUNT 0", "[1]", "lpos missing c", "nil", "lpos missing c COUNT 1", "[]", "lpos l c RANK 0", "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
		"lpos l c RANK -9223372036854775808", "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807", "lpos l c COUNT -1", "-ERR COUNT can't be negative", "lpos l c MAXLEN -1", "-ERR MAXLEN can't be negative", "lpos l c RANK", "-ERR syntax error",
		"lmove l m LEFT RIGHT", "b", "lmove l m RIGHT LEFT", "d", "lrange m 0 -1", "[d b]", "lmove m m LEFT RIGHT", "d", "lrange m 0 -1", "[b d]", "lmove missing m LEFT LEFT", "nil",
		"lmove l m UP LEFT", "-ERR syntax error", "rpoplpush m m", "d", "rpoplpush m l", "b", "lrange l 0 -1", "[b c]", "lmpop 2 missing l LEFT COUNT 5", "[l [b c]]",
		"lmpop 1 missing LEFT", "nil", "lmpop 0 l LEFT", "-ERR numkeys should be greater than 0", "lmpop 1 m LEFT COUNT 0", "-ERR count should be greater than 0", "lmpop 2 m LEFT", "-ERR syntax error",
		"set s v", "+OK", "lpush s a", wrong, "lpop s", wrong, "lrange s 0 1", wrong, "lmove m s LEFT LEFT", wrong, "lrange m 0 -1", "[d]", "llen s", wrong, "rpoplpush s m", wrong, "get m", wrong,
		"expire m 10", "1", "rpush m x", "2", "ttl m", "10", "rename m n", "+OK", "lrange n 0 -1", "[d x]", "copy n o", "1", "del n", "1", "lrange o 0 -1", "[d x]", "scan 0 TYPE list", "[0 [o]]",
	)
	c.proto = 3
	c.expect("lpop missing", "null", "lpop missing 1", "null", "lindex missing 0", "null", "lmove missing o LEFT LEFT", "null", "lmpop 1 missing LEFT", "null", "lpos o nope", "null")
}

// The names of encodings are those of Redis 7.2 by its limits.
func TestListEncodings(t *testing.T) {
	c := newClient(t)
	long := strings.Repeat("x", 4000)
	c.expect("rpush l a", "1", "object encoding l", "listpack", "rpush l "+long, "2", "rpush l "+long, "3", "object encoding l", "listpack",
		"rpush l "+long, "4", "object encoding l", "quicklist", "lpop l", "a", "ltrim l 0 1", "+OK", "object encoding l", "quicklist",
		"ltrim l 0 0", "+OK", "object encoding l", "listpack", "linsert l AFTER "+long+" "+long, "2", "object encoding l", "listpack",
		"lset l 0 "+long+long, "+OK", "object encoding l", "quicklist", "lset l 0 a", "+OK", "object encoding l", "listpack")
	limits := &Limits{}
	c.limits = limits
	limits.ListMaxListpackSize.Store(4)
	c.expect("rpush n 1 2 3 4", "4", "object encoding n", "listpack", "rpush n 5", "5", "object encoding n", "quicklist", "lrem n 1 1", "1", "lpop n", "2",
		"object encoding n", "quicklist", "rpop n", "5", "object encoding n", "listpack", "lpop missing 3", "nil")
	limits.ListMaxListpackSize.Store(0)
	c.expect("rpush z a", "1", "object encoding z", "listpack", "rpush z b", "2", "object encoding z", "quicklist")
	limits.ListMaxListpackSize.Store(-9)
	c.expect("rpush y "+strings.Repeat("x", 60000), "1", "object encoding y", "listpack", "rpush y "+strings.Repeat("x", 5536), "2", "object encoding y", "quicklist")
}

func (g generator) elements(most int) (list []string) {
	for range 1 + g.IntN(most) {
		list = append(list, g.element())
	}
	return list
}

func (g generator) element() string {
	if g.IntN(20) == 0 {
		return strings.Repeat("y", g.IntN(400))
	}
	return pick(g, "a", "b", "c", "", "1", "-5", "k\x00\r\n", strconv.Itoa(g.IntN(6)))
}

func (g generator) index() string {
	return pick(g, "0", "1", "-1", "2", "-2", "3", "10", "-10", "100", "-100", "x", "", strconv.Itoa(g.IntN(250)-125), "9223372036854775807", "-9223372036854775807")
}

func (g generator) side() string { return g.word("LEFT", "RIGHT") }

func (g generator) listCommand() []string {
	if g.IntN(50) == 0 {
		return append([]string{pick(g, "rpush", "lpush"), g.key()}, g.crowd(1)...)
	}
	switch g.IntN(22) {
	case 0, 1, 2:
		return append([]string{pick(g, "rpush", "lpush", "rpushx", "lpushx"), g.key()}, g.elements(5)...)
	case 3, 4:
		return append([]string{pick(g, "lpop", "rpop"), g.key()}, g.options(1, []string{"1"})...)
	case 5:
		return []string{pick(g, "lpop", "rpop"), g.key(), pick(g, "0", "1", "2", "100", "-1", "x")}
	case 6, 7, 8:
		return pick(g, []string{"lrange", g.key(), "0", "-1"}, []string{"lrange", g.key(), g.index(), g.index()})
	case 9:
		return []string{"lindex", g.key(), g.index()}
	case 10:
		return []string{"llen", g.key()}
	case 11:
		return []string{"lset", g.key(), g.index(), g.element()}
	case 12:
		return pick(g, []string{"ltrim", g.key(), g.index(), g.index()}, []string{"ltrim", g.key(), "0", "150"})
	case 13, 14:
		return []string{"lrem", g.key(), pick(g, "0", "1", "-1", "2", "-2", "x", "100"), g.element()}
	case 15, 16:
		return []string{"linsert", g.key(), g.word("BEFORE", "AFTER"), g.element(), g.element()}
	case 17:
		return append([]string{"lpos", g.key(), g.element()}, g.options(3, []string{"RANK", pick(g, "1", "2", "-1", "-2", "0", "x")},
			[]string{"COUNT", pick(g, "0", "1", "2", "-1", "x")}, []string{"MAXLEN", pick(g, "0", "1", "3", "100", "-1")})...)
	case 18:
		return []string{"lmove", g.key(), g.key(), g.side(), g.side()}
	case 19:
		return []string{"rpoplpush", g.key(), g.key()}
	case 20:
		return append([]string{"lmpop"}, append(g.numbered(2), append([]string{g.side()},
			g.options(1, []string{"COUNT", pick(g, "1", "2", "0", "x", "100")}, []string{"other"})...)...)...)
	}
	return g.common()
}

func TestListsAgainstRedis(t *testing.T) {
	g := generator{seed(t)}
	compareWithRedis(t, 20_000, func() []string {
		if g.IntN(20) == 0 {
			return g.zsetCommand()
		}
		return g.listCommand()
	})
}

// A queue of many elements does not slow down by what was popped from it.
func TestListQueue(t *testing.T) {
	c := newClient(t)
	var args []string
	for i := range 300 {
		args = append(args, strconv.Itoa(i))
	}
	c.do(append([]string{"rpush", "q"}, args...)...)
	for i := range 3000 {
		c.do("rpush", "q", strconv.Itoa(300+i))
		if got := shorten(c.do("lpop", "q")); got != strconv.Itoa(i) {
			t.Fatalf("pop %d is %s", i, got)
		}
	}
	if got := shorten(c.do("lindex", "q", "-1")); got != "3299" {
		t.Error(got)
	}
	c.expect("llen q", "300", fmt.Sprintf("lindex q %d", 0), "3000")
}
