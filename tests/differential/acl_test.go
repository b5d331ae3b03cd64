package differential

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

// rulesOf are the rules that random users are made of. Passwords are made up.
var rulesOf = strings.Fields(`on off nopass resetpass >pw >two <pw <two sanitize-payload skip-sanitize-payload
	~* allkeys resetkeys ~a* ~b ~k:* %R~a* %W~b %RW~k:* %r~x %X~y %~ ~
	&* allchannels resetchannels &c* &news & +@all -@all allcommands nocommands
	+@read -@read +@write -@write +@dangerous -@dangerous +@admin +@string -@hash +@pubsub +@keyspace -@slow +@fast +@nope -@nope
	+get -get +set -set +mget +mset -mset +del +config -config +config|get -config|get +config|set +config|nope +select -select +select|1
	+GET -Set +CONFIG|GET +acl|whoami -acl|list +eval +sort +publish -publish +subscribe +psubscribe +copy +rename +getset +zunionstore +bitop
	+nope -nope -get|x +get|
	(+get (~a*) (~a* +get) (+@read %R~b) (&c* +publish) (+mget ~a* ~b ) (on) (+nope) () clearselectors reset
	#2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b #short !short bad`)

// asked are the commands that DRYRUN is asked about.
var asked = []string{
	"get a1", "get b", "get zz", "set a1 v", "set b v", "set b v get", "mget a1 b", "mset a1 v b v", "del b", "copy a1 b", "copy b a1", "rename a1 b",
	"getset a1 v", "zunionstore b 1 a1", "bitop and b a1 a2", "sort a1 store b", "eval x 1 a1", "eval x 2 a1 zz", "publish c1 m", "publish x m",
	"subscribe c1 news", "psubscribe c*", "psubscribe c1", "spublish c1 m", "config get x", "config set x y", "config resetstat", "select 1", "select 2", "acl whoami",
	"acl list", "flushall", "ping", "auth x", "exists b", "expire a1 1", "xread streams a1 b 0 0", "lmove a1 b left left", "bitfield a1 get u8 0", "object encoding b",
	"georadius a1 0 0 1 m store b", "get", "nope", "config nope", "append b v", "lpush b v", "incr a1", "type zz", "touch a1", "getdel b", "smove a1 b m",
}

// A user that the same random rules have made is the same: the errors, ACL GETUSER, and what
// it may do. Redis 7.0 has other words for a denial, and tells rules about commands in another
// order than 7.2: what they allow is compared, not their text.
func TestRandomUsers(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("DKV_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("DKV_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	redis, dkv := harness.Redis(t).Dial(t), harness.Dkv(t, "-fsync", "no").Dial(t)
	alike(t, redis, dkv, "ACL", "SETUSER", "u", "reset")
	for round := range 300 {
		args := []string{"ACL", "SETUSER", "u"}
		if round%10 == 0 {
			args = append(args, "reset")
		}
		for range 1 + random.IntN(5) {
			args = append(args, rulesOf[random.IntN(len(rulesOf))])
		}
		if strings.Contains(strings.Join(args, " "), "%~") {
			continue // Redis 7.0 ends itself
		}
		if nests(args) {
			continue // 7.0 begins anew where 7.2 goes on
		}
		alike(t, redis, dkv, args...)
		want, got := described(redis.Do("ACL", "GETUSER", "u")), described(dkv.Do("ACL", "GETUSER", "u"))
		if got != want {
			t.Fatalf("%q\nRedis %s\ndkv   %s", args, want, got)
		}
		for range 8 {
			alike(t, redis, dkv, append([]string{"ACL", "DRYRUN", "u"}, strings.Fields(asked[random.IntN(len(asked))])...)...)
		}
	}
}

func alike(t *testing.T, redis, dkv *harness.TestConn, args ...string) {
	t.Helper()
	want := string(redis.Do(args...).Raw)
	got := string(dkv.Do(args...).Raw)
	if args[1] == "DRYRUN" {
		want, got = withoutLength(strings.Replace(want, "This user", "User u", 1)), withoutLength(got)
	}
	if got != want {
		t.Fatalf("%s\nRedis %q\ndkv   %q", strings.Join(args, " "), want, got)
	}
}

// nests reports whether a selector begins within one that has not ended.
func nests(args []string) bool {
	open := false
	for _, a := range args {
		if open && strings.HasPrefix(a, "(") {
			return true
		}
		open = open && !strings.HasSuffix(a, ")") || strings.HasPrefix(a, "(") && !strings.HasSuffix(a, ")")
	}
	return false
}

// described is a reply of ACL GETUSER without the rules about commands.
func described(r harness.Reply) string {
	if len(r.Elems) == 0 {
		return string(r.Str)
	}
	var parts []string
	for i := 0; i < len(r.Elems); i++ {
		if string(r.Elems[i].Str) == "commands" {
			i++
			continue
		}
		parts = append(parts, described(r.Elems[i]))
	}
	return "[" + strings.Join(parts, " ") + "]"
}

// withoutLength takes the length off a bulk string.
func withoutLength(reply string) string {
	if head, text, bulk := strings.Cut(reply, "\r\n"); bulk && head[0] == '$' {
		return text
	}
	return reply
}

// Every command that both have needs the same rights for its keys: of users who may read or
// write some keys only, Redis and dkv let the same run it.
func TestRightsOfEveryCommand(t *testing.T) {
	redis, dkv := harness.Redis(t).Dial(t), harness.Dkv(t, "-fsync", "no").Dial(t)
	for name, rules := range map[string]string{"reader": "reset +@all %R~*", "writer": "reset +@all %W~*", "other": "reset +@all ~other", "nobody": "reset"} {
		for _, c := range []*harness.TestConn{redis, dkv} {
			c.OK(append([]string{"ACL", "SETUSER", name}, strings.Fields(rules)...)...)
		}
	}
	known := make(map[string]bool)
	for _, e := range dkv.Do("COMMAND", "LIST").Elems {
		known[string(e.Str)] = true
	}
	asked := 0
	for _, e := range redis.Do("COMMAND", "LIST").Elems {
		name := string(e.Str)
		if !known[name] || strings.Contains(name, "|") {
			continue
		}
		// Numbers are keys and counts of keys; more of them are what most commands take.
		for n := range 7 {
			args := []string{name}
			for range n {
				args = append(args, "1")
			}
			for _, user := range []string{"reader", "writer", "other", "nobody"} {
				want := string(redis.Do(append([]string{"ACL", "DRYRUN", user}, args...)...).Raw)
				got := string(dkv.Do(append([]string{"ACL", "DRYRUN", user}, args...)...).Raw)
				want, got = withoutLength(strings.Replace(want, "This user", "User "+user, 1)), withoutLength(got)
				switch {
				case got == want:
				case strings.HasSuffix(name, "rank") && strings.Contains(want, "wrong number"): // WITHSCORE is new in 7.2
				case name == "pfmerge" && n == 1: // Redis 7.0 finds no keys in it, and lets everybody run it
				default:
					t.Errorf("%s %s\nRedis %q\ndkv   %q", user, strings.Join(args, " "), want, got)
				}
				asked++
			}
		}
	}
	if asked < 1000 {
		t.Errorf("only %d questions were asked", asked)
	}
	for _, category := range redis.Do("ACL", "CAT").Elems {
		compareCategory(t, redis, dkv, string(category.Str))
	}
}

// compareCategory compares who is in a category: commands that only one has do not count.
func compareCategory(t *testing.T, redis, dkv *harness.TestConn, category string) {
	t.Helper()
	members := func(c *harness.TestConn) map[string]bool {
		set := make(map[string]bool)
		for _, e := range c.Do("ACL", "CAT", category).Elems {
			set[string(e.Str)] = true
		}
		return set
	}
	all := func(c *harness.TestConn) map[string]bool {
		set := make(map[string]bool)
		for _, e := range c.Do("ACL", "CAT").Elems {
			for _, m := range c.Do("ACL", "CAT", string(e.Str)).Elems {
				set[string(m.Str)] = true
			}
		}
		return set
	}
	inRedis, inDkv, redisHas, dkvHas := members(redis), members(dkv), all(redis), all(dkv)
	var differ []string
	for name := range redisHas {
		if dkvHas[name] && inRedis[name] != inDkv[name] {
			differ = append(differ, fmt.Sprintf("%s: Redis %v, dkv %v", name, inRedis[name], inDkv[name]))
		}
	}
	if len(differ) > 0 {
		t.Errorf("@%s:\n%s", category, strings.Join(differ, "\n"))
	}
}
