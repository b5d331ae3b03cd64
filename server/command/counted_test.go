package command

import (
	"fmt"
	"strings"
	"testing"
)

// TestCounted: every row that counts tells when it reads many elements, or large ones,
// and not when it reads few, also of a large collection where it reads no more of it.
func TestCounted(t *testing.T) {
	c := newClient(t)
	const few, many = 200, shortRead + 1
	huge := strings.Repeat("x", shortReadBytes/2)
	for n, name := range map[int]string{few: "few", many: "many"} {
		for i := range n {
			c.do("rpush", "l"+name, fmt.Sprint(i))
			c.do("hset", "h"+name, fmt.Sprint(i), "v")
			c.do("sadd", "s"+name, fmt.Sprint(i))
			c.do("zadd", "z"+name, fmt.Sprint(i), fmt.Sprint(i))
			c.do("zadd", "same"+name, "1", fmt.Sprint(i))
			c.do("xadd", "x"+name, fmt.Sprint(i+1), "f", "v")
		}
	}
	for i := range 3 {
		c.do("rpush", "lhuge", huge)
		c.do("hset", "hhuge", fmt.Sprint(i)+huge, huge)
		c.do("sadd", "shuge", fmt.Sprint(i)+huge)
		c.do("zadd", "zhuge", "1", fmt.Sprint(i)+huge)
		c.do("xadd", "xhuge", fmt.Sprint(i+1), "f", huge)
	}
	calls := 0
	c.lengthy = func() { calls++ }
	tested := map[string]bool{}
	for _, test := range []struct {
		command string
		tells   bool
	}{
		{"lrange lfew 0 -1", false}, {"lrange lmany 0 -1", true}, {"lrange lmany -20 -1", false}, {"lrange lhuge 0 -1", true}, {"lrange lhuge 0 0", false},
		{"lindex lmany 5", false}, {"lindex lhuge 0", false},
		{"hgetall hfew", false}, {"hgetall hmany", true}, {"hgetall hhuge", true},
		{"hkeys hfew", false}, {"hkeys hmany", true}, {"hkeys hhuge", true},
		{"hvals hfew", false}, {"hvals hmany", true}, {"hvals hhuge", true},
		{"smembers sfew", false}, {"smembers smany", true}, {"smembers shuge", true},
		{"zrange zfew 0 -1", false}, {"zrange zmany 0 -1", true}, {"zrange zmany 0 9", false}, {"zrange zmany -9 -1 REV", false}, {"zrange zmany 9 0", false},
		{"zrange zmany 0 9 WITHSCORES", false}, {"zrange zhuge 0 -1", true},
		{"zrevrange zfew 0 -1", false}, {"zrevrange zmany 0 -1", true}, {"zrevrange zmany 0 9", false}, {"zrevrange zhuge 0 -1", true},
		{"zrangebyscore zfew -inf +inf", false}, {"zrangebyscore zmany -inf +inf", true}, {"zrangebyscore zmany -inf +inf LIMIT 10 10", false},
		{"zrangebyscore zmany -inf +inf LIMIT 10 -1", true}, {"zrangebyscore zmany -inf +inf LIMIT 9223372036854775807 9223372036854775807", true},
		{"zrevrangebyscore zfew +inf -inf", false}, {"zrevrangebyscore zmany +inf -inf", true}, {"zrevrangebyscore zmany +inf -inf LIMIT 0 10", false},
		{"zrangebylex samefew - +", false}, {"zrangebylex samemany - +", true},
		{"zrevrangebylex samefew + -", false}, {"zrevrangebylex samemany + -", true},
		{"xrange xfew - +", false}, {"xrange xmany - +", true}, {"xrange xmany - + COUNT 10", false}, {"xrange xhuge - +", true},
		{"xrevrange xfew + -", false}, {"xrevrange xmany + -", true}, {"xrevrange xmany + - COUNT 10", false}, {"xrevrange xhuge + -", true},
	} {
		calls = 0
		args := strings.Fields(test.command)
		if reply := c.do(args...); strings.HasPrefix(reply, "-") {
			t.Errorf("%s: %s", test.command, reply)
		}
		if calls > 0 != test.tells {
			t.Errorf("%s: told %d times", test.command, calls)
		}
		tested[args[0]] = true
	}
	for _, spec := range All() {
		if spec.Counted != tested[spec.Name] {
			t.Errorf("%s: Counted is %v", spec.Name, spec.Counted)
		}
	}
}
