package command

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// score is such that redis-server 7.0, which writes "%.17g", and dkv, which as 7.2
// writes the shortest digits, agree on it.
func (g generator) score() string {
	return pick(g, "0", "-0", "1", "-1", "2", "2.5", "-0.25", "inf", "-inf", "+inf", "Infinity", "1e3", "0x10", "3.0", "x", "", "nan", " 1", "1 ", "1e400",
		"1e-400", "1_0", "++1", "12345678", strconv.Itoa(g.IntN(20)), strconv.Itoa(g.IntN(20)), strconv.Itoa(g.IntN(20)))
}

func (g generator) fineScore() string { return pick(g, "1", "2", "3.5", "-1", "inf", "-inf", "0") }

func (g generator) scoreBound() string {
	return pick(g, "", "(", "(", "") + pick(g, g.score(), "-inf", "+inf", "inf")
}

func (g generator) lexBound() string {
	return pick(g, "-", "+", "[", "(", "[f", "(f", "[m1", "(m5", "[1", "(2", "x", "", "-x", "[m100", "[zzz")
}

func (g generator) limit() []string {
	return g.options(1, []string{"LIMIT", g.integer(), g.integer()}, []string{"LIMIT", "1", "3"}, []string{"LIMIT", "0", "-1"})
}

func (g generator) numbered(most int) []string {
	n := 1 + g.IntN(most)
	args := []string{pick(g, strconv.Itoa(n), strconv.Itoa(n), strconv.Itoa(n), strconv.Itoa(n), "0", "x", "9", "-1")}
	for range n {
		args = append(args, g.key())
	}
	return args
}

// zaddCommand keeps the key "lex" to one score: ranges of members of other sets have
// no defined result.
func (g generator) zaddCommand() []string {
	if g.IntN(5) == 0 {
		args := []string{"zadd", "lex"}
		for range 1 + g.IntN(10) {
			args = append(args, "0", pick(g, "m"+strconv.Itoa(g.IntN(120)), g.field()))
		}
		return args
	}
	args := []string{"zadd", g.key()}
	args = append(args, g.options(2, []string{"NX"}, []string{"XX"}, []string{"GT"}, []string{"LT"}, []string{"CH"}, []string{"INCR"}, []string{"CH"})...)
	for range 1 + g.IntN(3)*g.IntN(2) {
		args = append(args, pick(g, g.score(), g.fineScore(), g.fineScore()), g.field())
	}
	if g.IntN(20) == 0 {
		args = args[:len(args)-1]
	}
	return args
}

func (g generator) zrangeCommand() []string {
	withScores := []string{"WITHSCORES"}
	switch g.IntN(8) {
	case 0:
		return append([]string{pick(g, "zrange", "zrevrange"), g.key(), g.integer(), g.integer()},
			g.options(2, withScores, []string{"REV"}, []string{"LIMIT", "0", "1"})...)
	case 1:
		return append(append([]string{"zrange", g.key(), g.scoreBound(), g.scoreBound(), "BYSCORE"}, g.limit()...), g.options(2, withScores, []string{"REV"})...)
	case 2:
		return append(append([]string{"zrange", "lex", g.lexBound(), g.lexBound(), "BYLEX"}, g.limit()...), g.options(1, withScores, []string{"REV"}, []string{"REV"})...)
	case 3:
		return append([]string{pick(g, "zrangebyscore", "zrevrangebyscore"), g.key(), g.scoreBound(), g.scoreBound()}, append(g.limit(), g.options(1, withScores)...)...)
	case 4:
		return append([]string{pick(g, "zrangebylex", "zrevrangebylex"), "lex", g.lexBound(), g.lexBound()}, g.limit()...)
	case 5:
		return append(append([]string{"zrangestore", g.key(), g.key(), g.scoreBound(), g.scoreBound(), "BYSCORE"}, g.limit()...), g.options(1, withScores, []string{"REV"})...)
	case 6:
		return append([]string{"zrangestore", g.key(), pick(g, g.key(), "lex"), g.integer(), g.integer()}, g.options(1, []string{"REV"})...)
	}
	return pick(g, []string{"zcount", g.key(), g.scoreBound(), g.scoreBound()}, []string{"zlexcount", "lex", g.lexBound(), g.lexBound()},
		[]string{"zremrangebyrank", g.key(), g.integer(), g.integer()}, []string{"zremrangebyscore", g.key(), g.scoreBound(), g.scoreBound()},
		[]string{"zremrangebylex", "lex", g.lexBound(), g.lexBound()})
}

func (g generator) zcombineCommand() []string {
	args := g.numbered(3)
	what := g.IntN(4)
	weights := []string{"WEIGHTS"}
	for range args[1:] {
		if what == 1 { // stored: such that no digits come about that are written otherwise
			weights = append(weights, pick(g, "1", "1", "-1", "0", "inf"))
			continue
		}
		weights = append(weights, pick(g, "1", "2", "0.5", "-1", "0", "inf", "1", "2", g.score()))
	}
	options := g.options(2, weights, []string{"AGGREGATE", pick(g, "SUM", "min", "MAX", "other")}, []string{"WITHSCORES"}, []string{"WITHSCORES"})
	switch what {
	case 0:
		return append(append([]string{pick(g, "zunion", "zinter", "zdiff")}, args...), options...)
	case 1:
		return append(append([]string{pick(g, "zunionstore", "zinterstore", "zdiffstore"), g.key()}, args...), options...)
	case 2:
		return append(append([]string{"zintercard"}, args...), g.options(1, []string{"LIMIT", g.integer()}, []string{"WITHSCORES"})...)
	}
	return append(append([]string{"zdiff"}, args...), g.options(1, []string{"WITHSCORES"})...)
}

func (g generator) zsetCommand() []string {
	if g.IntN(60) == 0 {
		args := []string{"zadd", g.key()}
		for i, member := range g.crowd(1) {
			args = append(args, strconv.Itoa(i%7), member)
		}
		return args
	}
	switch g.IntN(16) {
	case 0, 1, 2, 3:
		return g.zaddCommand()
	case 4:
		return []string{"zincrby", g.key(), pick(g, g.score(), g.fineScore()), g.field()}
	case 5:
		return append([]string{pick(g, "zrem", "zmscore"), pick(g, g.key(), "lex")}, g.fields(3)...)
	case 6:
		return []string{pick(g, "zscore", "zrank", "zrevrank"), g.key(), g.field()}
	case 7:
		return []string{"zcard", g.key()}
	case 8, 9, 10:
		return g.zrangeCommand()
	case 11:
		return append([]string{pick(g, "zpopmin", "zpopmax"), g.key()}, g.options(1, []string{pick(g, "1", "2", "0", "-1", "x", "1000")}, []string{"1"})...)
	case 12:
		return append(append([]string{"zmpop"}, g.numbered(2)...), append([]string{g.word("MIN", "MAX")},
			g.options(1, []string{"COUNT", pick(g, "1", "2", "0", "x", "100")}, []string{"other"})...)...)
	case 13:
		return g.zcombineCommand()
	case 14:
		return pick(g, append([]string{"zrandmember", g.key()}, g.options(2, []string{g.small()}, []string{"WITHSCORES"})...),
			append([]string{"zscan", g.key(), g.cursor()}, g.scanOptions()...), []string{"object", "encoding", g.key()}, []string{"zrange", g.key(), "0", "-1", "withscores"})
	}
	return g.common()
}

func TestSortedSetsAgainstRedis(t *testing.T) {
	g := generator{seed(t)}
	compareWithRedis(t, 20_000, func() []string {
		switch g.IntN(20) {
		case 0:
			return g.setCommand()
		case 1:
			return g.hashCommand()
		}
		return g.zsetCommand()
	})
}

// What redis-server 7.0 does not know, or writes with other digits.
func TestSortedSets72(t *testing.T) {
	c := newClient(t)
	c.expect(
		"zadd z 0.1 a 3.14159 b 1e300 c 1e-7 d", "4", "zrange z 0 -1 withscores", "[d 1e-7 a 0.1 b 3.14159 c 1e+300]",
		"zrank z a withscore", "[1 0.1]", "zrevrank z a WITHSCORE", "[2 0.1]", "zrank z nope withscore", "nil", "zrank nope a withscore", "nil",
		"zrank z a other", "-ERR syntax error", "zrank z a withscore x", "-ERR syntax error", "zincrby z 0.2 a", "0.30000000000000004",
		"zscan z 0 MATCH a", "[0 [a 0.30000000000000004]]",
	)
	c.proto = 3
	c.expect("zrank z a withscore", "[1 ,0.30000000000000004]", "zrank z nope withscore", "null", "zrank z nope", "null")
}

// Every element is picked about as often as any other, in small collections and in
// large ones.
func TestRandomIsEven(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	sizes := []int{5, 100, 200, 1000}
	if testing.Short() {
		sizes = sizes[:3]
	}
	for _, size := range sizes {
		c := newClient(t)
		for range size {
			c.do("sadd", "s", fmt.Sprintf("member%d", random.Uint64()))
		}
		size, _ := strconv.Atoi(shorten(c.do("scard", "s")))
		picks := 60 * size
		seen := map[string]int{}
		for range picks / 20 {
			_, list, _ := items(c.do("srandmember", "s", "-20"))
			for _, m := range list {
				seen[m]++
			}
		}
		if len(seen) != size {
			t.Errorf("%d of %d members were picked", len(seen), size)
		}
		mean := float64(picks) / float64(size)
		for m, n := range seen {
			if math.Abs(float64(n)-mean) > 0.75*mean {
				t.Errorf("of %d: %q was picked %d times, the mean is %.0f", size, strings.TrimSpace(m), n, mean)
			}
		}
	}
}

// A random selection has the right size, no element twice, and SPOP removes what it
// returns.
func TestRandomSelection(t *testing.T) {
	c := newClient(t)
	for i := range 2000 {
		c.do("sadd", "s", strconv.Itoa(i))
	}
	left := 2000
	for _, n := range []int{1, 10, 700, 600, 5, 600, 84} {
		_, list, _ := items(c.do("srandmember", "s", strconv.Itoa(n)))
		different := map[string]bool{}
		for _, m := range list {
			different[m] = true
		}
		if len(list) != min(n, left) || len(different) != len(list) {
			t.Fatalf("%d members, %d different, want %d of %d", len(list), len(different), n, left)
		}
		_, list, _ = items(c.do("spop", "s", strconv.Itoa(n)))
		left -= n
		if len(list) != n || shorten(c.do("scard", "s")) != strconv.Itoa(left) {
			t.Fatalf("popped %d of %d, %s left", len(list), n, c.do("scard", "s"))
		}
		for _, m := range list {
			if got := c.do("sismember", "s", shorten(m)); got != ":0\r\n" {
				t.Fatalf("%q is still there", m)
			}
		}
	}
	c.expect("exists s", "0", "sadd t only", "1", "spop t", "only", "exists t", "0")
}

// A scan of a large collection meets all that is there throughout, while others come
// and go.
func TestElementScanDuringChanges(t *testing.T) {
	c := newClient(t)
	for i := range 2000 {
		c.do("hset", "h", fmt.Sprint("stays", i), "v", fmt.Sprint("goes", i), "v")
	}
	seen := map[string]bool{}
	cursor, calls := "0", 0
	for ; calls == 0 || cursor != "0"; calls++ {
		_, parts, _ := items(c.do("hscan", "h", cursor, "COUNT", "20"))
		cursor = shorten(parts[0])
		_, list, _ := items(parts[1])
		for _, f := range list {
			seen[shorten(f)] = true
		}
		c.do("hdel", "h", fmt.Sprint("goes", calls))
		c.do("hset", "h", fmt.Sprint("new", calls), "v")
		if calls > 5000 {
			t.Fatal("the scan does not end")
		}
	}
	for i := range 2000 {
		if !seen[fmt.Sprint("stays", i)] {
			t.Fatalf("stays%d was missed", i)
		}
	}
	if calls < 100 {
		t.Errorf("only %d calls", calls)
	}
}
