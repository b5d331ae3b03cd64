package differential

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

// builtCommands are the commands whose rows in COMMAND must say what Redis's do.
var builtCommands = strings.Fields(`
get set setnx setex psetex getset getdel getex mget mset msetnx incr decr incrby decrby incrbyfloat append strlen getrange
setrange substr lcs
del unlink exists type touch keys scan randomkey rename renamenx copy move swapdb expire pexpire expireat pexpireat ttl pttl
expiretime pexpiretime persist object dbsize flushdb flushall
ping echo quit reset select auth hello client info config command time lastsave save bgsave shutdown role wait memory slowlog
latency monitor debug lolwut
multi exec discard watch unwatch
object|encoding object|freq object|idletime object|refcount object|help
client|id client|info client|list client|getname client|setname client|kill client|pause client|unpause client|reply client|no-evict
client|tracking client|trackinginfo client|caching client|getredir
config|get config|set config|resetstat config|rewrite config|help
command|docs command|info command|count command|getkeys command|list command|help
memory|usage memory|doctor memory|stats memory|help
slowlog|get slowlog|len slowlog|reset slowlog|help
latency|latest latency|history latency|reset latency|doctor latency|graph latency|help
hset hmset hsetnx hget hmget hdel hlen hexists hgetall hkeys hvals hincrby hincrbyfloat hstrlen hrandfield hscan
sadd srem smembers sismember smismember scard spop srandmember smove sinter sintercard sinterstore sunion
sunionstore sdiff sdiffstore sscan
zadd zrem zscore zmscore zcard zcount zlexcount zincrby zrank zrevrank zrange zrangestore zrangebyscore zrangebylex
zrevrange zrevrangebyscore zrevrangebylex zremrangebyrank zremrangebyscore zremrangebylex zpopmin zpopmax zmpop
zunion zunionstore zinter zinterstore zintercard zdiff zdiffstore zrandmember zscan
xadd xlen xdel xtrim xsetid xrange xrevrange xread xreadgroup xack xclaim xautoclaim xpending xgroup xinfo
xgroup|create xgroup|createconsumer xgroup|delconsumer xgroup|destroy xgroup|setid xgroup|help
xinfo|stream xinfo|groups xinfo|consumers xinfo|help
lpush rpush lpushx rpushx lpop rpop llen lrange lindex lset ltrim lrem linsert lpos lmove rpoplpush lmpop
blpop brpop blmove brpoplpush blmpop bzpopmin bzpopmax bzmpop client|unblock
eval eval_ro evalsha evalsha_ro script script|load script|exists script|flush script|kill script|debug script|help
fcall fcall_ro function function|load function|delete function|flush function|list function|stats function|kill function|dump
function|restore function|help
module module|list module|load module|loadex module|unload module|help
`)

// rowDiffers are fields of COMMAND INFO that 7.2 has otherwise than 7.0, as
// "command field".
var rowDiffers = map[string]string{
	"zrank arity":           "WITHSCORE is new in 7.2",
	"zrevrank arity":        "WITHSCORE is new in 7.2",
	"command|getkeys arity": "one less since 7.2", "command|getkeysandflags arity": "one less since 7.2",
	// Since 7.2 scripts may use them, and do not wait.
	"blpop flags": "no noscript", "brpop flags": "no noscript", "blmove flags": "no noscript", "brpoplpush flags": "no noscript",
	"bzpopmin flags": "no noscript", "bzpopmax flags": "no noscript", "wait flags": "no noscript",
}

// rowFields are the places in a row of COMMAND INFO. The sets are unordered.
var rowFields = []struct {
	name string
	set  bool
}{{"name", false}, {"arity", false}, {"flags", true}, {"first key", false}, {"last key", false}, {"step", false},
	{"categories", true}, {"tips", true}, {"key specifications", false}}

func TestCommandInfo(t *testing.T) {
	p := startPair(t)
	redis, dkv := p.redis.Dial(t), p.dkv.Dial(t)
	for _, name := range builtCommands {
		a, b := redis.Do("COMMAND", "INFO", name), dkv.Do("COMMAND", "INFO", name)
		if len(a.Elems) != 1 || a.Elems[0].Null {
			t.Fatalf("redis-server does not know %s: %s", name, a)
		}
		if len(b.Elems) != 1 || len(b.Elems[0].Elems) < len(rowFields) {
			t.Errorf("%s: got %s", name, shorten(b.String()))
			continue
		}
		for i, field := range rowFields {
			want, got := a.Elems[0].Elems[i], b.Elems[0].Elems[i]
			if field.set && sameSet(want, got) || withoutNotes(want) == withoutNotes(got) {
				continue
			}
			if _, meant := rowDiffers[name+" "+field.name]; !meant {
				t.Errorf("%s: %s\n redis: %s\n dkv:   %s", name, field.name, want, got)
			}
		}
	}
}

// withoutNotes returns a reply's bytes without the remarks for people that key
// specifications may have.
func withoutNotes(r harness.Reply) string {
	if len(r.Elems) == 0 {
		return string(r.Raw)
	}
	var out strings.Builder
	for i := 0; i < len(r.Elems); i++ {
		if string(r.Elems[i].Str) == "notes" {
			i++
			continue
		}
		out.WriteString(withoutNotes(r.Elems[i]))
	}
	return out.String()
}

func sameSet(a, b harness.Reply) bool {
	x, y := rawElems(a), rawElems(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

// Clients look at other clients: these compare what one connection sees of
// another and does to it, with addresses and ids that differ.
func TestClientKill(t *testing.T) {
	for _, c := range []struct{ name, kill string }{
		{"by address", "KILL %s"},
		{"by ADDR", "KILL ADDR %s"},
		{"by ID", "KILL ID %d"},
		{"by ID, with a TYPE", "KILL ID %[2]d TYPE normal"},
		{"by ID, of another TYPE", "KILL ID %[2]d TYPE pubsub"},
		{"by USER", "KILL ID %[2]d USER default SKIPME yes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := startPair(t)
			var said []string
			for _, s := range []*harness.Server{p.redis, p.dkv} {
				killer, victim := s.Dial(t), s.Dial(t)
				id := victim.DoInt("CLIENT", "ID")
				command := c.kill
				if strings.Contains(command, "%s") {
					command = fmt.Sprintf(command, victim.LocalAddr())
				} else if strings.Contains(command, "%[2]d") {
					command = fmt.Sprintf(command, "", id)
				} else {
					command = fmt.Sprintf(command, id)
				}
				reply := string(killer.Do(append([]string{"CLIENT"}, strings.Fields(command)...)...).Raw)
				victim.SetDeadline(time.Now().Add(closeLimit))
				_, err := victim.Call("PING")
				said = append(said, fmt.Sprintf("%q, closed: %v", reply, err != nil))
			}
			if said[0] != said[1] {
				t.Errorf("redis: %s\ndkv:   %s", said[0], said[1])
			}
		})
	}
}

// CLIENT LIST and INFO name the same fields in the same order, but for those
// that came with 7.2.
func TestClientListFields(t *testing.T) {
	p := startPair(t)
	fields := func(s *harness.Server) (out []string) {
		c := s.Dial(t)
		c.OK("CLIENT", "SETNAME", "me")
		for word := range strings.FieldsSeq(string(c.Do("CLIENT", "INFO").Str)) {
			name, _, _ := strings.Cut(word, "=")
			if name != "lib-name" && name != "lib-ver" {
				out = append(out, name)
			}
		}
		return out
	}
	if want, got := fields(p.redis), fields(p.dkv); !slices.Equal(want, got) {
		t.Errorf("redis: %v\ndkv:   %v", want, got)
	}
}

// CLIENT PAUSE holds writers back, and with ALL everyone.
func TestClientPause(t *testing.T) {
	const pause = 400 * time.Millisecond // half of it is more than a busy machine takes for a reply
	p := startPair(t)
	for _, mode := range []string{"WRITE", "ALL"} {
		for _, command := range []string{"GET", "INCR"} {
			for _, s := range []*harness.Server{p.redis, p.dkv} {
				admin, c := s.Dial(t), s.Dial(t)
				c.Do("GET", "n")
				admin.OK("CLIENT", "PAUSE", fmt.Sprint(pause.Milliseconds()), mode)
				start := time.Now()
				c.Do(command, "n")
				waited := time.Since(start) > pause/2
				if want := mode == "ALL" || command == "INCR"; waited != want {
					t.Errorf("port %d: %s under PAUSE %s: held back %v, want %v", s.Port(), command, mode, waited, want)
				}
				admin.OK("CLIENT", "UNPAUSE")
			}
		}
	}
}

// MONITOR shows what other connections do, in Redis's format.
func TestMonitor(t *testing.T) {
	p := startPair(t)
	var seen [2][]string
	for i, s := range []*harness.Server{p.redis, p.dkv} {
		m, c := s.Dial(t), s.Dial(t)
		m.OK("MONITOR")
		c.Do("SELECT", "3")
		c.Do("SET", "k", "a \"quoted\"\n\x00value")
		c.Do("get", "k")
		c.Do("NOSUCH", "x")
		c.Do("AUTH", "secret")
		c.Do("CLIENT", "SETNAME", "me")
		c.Do("MULTI")
		c.Do("INCR", "n")
		c.Do("EXEC")
		c.Do("PING", "end")
		m.SetDeadline(time.Now().Add(closeLimit))
		for {
			r, err := m.Read()
			if err != nil {
				t.Fatalf("port %d: %v after %q", s.Port(), err, seen[i])
			}
			line := string(r.Raw)
			if start := strings.Index(line, "["); start > 0 {
				db, rest, _ := strings.Cut(line[start:], " ")
				_, rest, _ = strings.Cut(rest, "]")
				line = line[:1] + db + rest
			}
			seen[i] = append(seen[i], line)
			if strings.Contains(line, "\"end\"") {
				break
			}
		}
	}
	if !slices.Equal(seen[0], seen[1]) {
		t.Errorf("redis: %q\ndkv:   %q", seen[0], seen[1])
	}
}
