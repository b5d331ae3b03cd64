package differential

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

// trackingScripts are steps of several connections: "A GET k" has connection A send a
// command. $A is the id of A. What each connection is sent, in order, is compared.
var trackingScripts = map[string]string{
	"default": `
A HELLO 3
A CLIENT TRACKING ON
A CLIENT TRACKINGINFO
A CLIENT GETREDIR
A SET k 1
A GET k
B SET k 2
B SET k 3
A GET k
A SET k 4
A GET k
A GET k
B DEL k
B DEL k
A GET k
A EXISTS k x
A MGET k x y
B MSET k 1 x 1 y 1
A STRLEN k
A INCR k
A GETRANGE k 0 1
B EXPIRE k 100
A TTL k
B PERSIST k
A TYPE k
B RENAME k k2
A MGET k k2
B COPY k2 k
A MGET k k2
B RENAME k k2
A GET k2
B SET k2 5 GET
A TOUCH k2
B GETDEL k2
A OBJECT ENCODING k2
B APPEND k2 x
A GET k2
B SELECT 1
B SET k2 x
A GET k2
B SELECT 0
B MOVE k2 1
B MOVE k2 2
A GET k2
A CLIENT TRACKING OFF
A CLIENT TRACKINGINFO
B SET k2 1
B SET k2 2
`,
	"types": `
A HELLO 3
A CLIENT TRACKING ON
B HSET h a 1 b 2
A HGETALL h
B HSET h a 2
A HGET h a
B HSET h a 2
A HGET h a
B HDEL h nosuch
B HDEL h a
A HLEN h
B HINCRBY h b 1
A HVALS h
B DEL h
B SADD s a b c
A SCARD s
B SADD s a
B SREM s a
A SISMEMBER s a
B SPOP s 5
B ZADD z 1 a 2 b
A ZRANGE z 0 -1
B ZADD z 1 a
B ZADD z 3 a
A ZSCORE z a
B ZPOPMIN z
A ZCARD z
B ZINCRBY z 1 a
B RPUSH l a b c
A LRANGE l 0 -1
B LSET l 0 x
A LINDEX l 0
B LPOP l
A LLEN l
B LREM l 0 nosuch
B LTRIM l 0 0
A LLEN l
B RPOPLPUSH l m
B XADD x 1-1 a b
A XRANGE x - +
B XADD x 1-2 a b
A XLEN x
B XDEL x 1-1
A XREAD STREAMS x 0
B XADD x 1-3 a b
A SINTER s z2
A SUNION s s2
B SADD s2 a
A PFCOUNT p
B PFADD p a
A BITCOUNT b
B SETBIT b 7 1
A GETBIT b 7
B BITOP NOT c b
A GEODIST g a b
B GEOADD g 1 1 a
A SORT_RO l
B LPUSH l 1
A SORT l
B LPUSH l 2
`,
	"elements with records": `
A HELLO 3
A CLIENT TRACKING ON
B EVAL "for i=1,3000 do redis.call('hset',KEYS[1],i,i) redis.call('zadd',KEYS[2],i,i) redis.call('rpush',KEYS[3],i) redis.call('sadd',KEYS[4],'m'..i) end" 4 h z l s
A HGET h 5
B HSET h 5 x
A HGET h 5
B HSET h 5 x
A HGET h 5
B HINCRBY h 6 1
A ZSCORE z 5
B ZADD z 6 5
A ZSCORE z 5
B ZADD z 6 5
B ZINCRBY z 1 7
A LINDEX l 1000
B LSET l 1000 x
A SISMEMBER s m5
B SADD s m5
B SREM s m5
A HGET h 5
A HSET h 5 z
B MULTI
B HSET h 5 1
B HSET h 5 2
B EXEC
A HGET h 5
B EVAL "redis.call('hset',KEYS[1],5,9) return redis.call('hget',KEYS[1],5)" 1 h
A HGET h 1
B DEL h
`,
	"flush": `
A HELLO 3
A CLIENT TRACKING ON
C HELLO 3
C CLIENT TRACKING ON BCAST PREFIX a
A SET k 1
A GET k
B FLUSHALL
B FLUSHALL
A SET k 1
A GET k
B FLUSHDB
A GET k
A FLUSHDB
B SELECT 3
B SET k 1
A GET k
B FLUSHDB
`,
	"broadcast": `
A HELLO 3
A CLIENT TRACKING ON BCAST
A CLIENT TRACKINGINFO
B HELLO 3
B CLIENT TRACKING ON BCAST PREFIX a PREFIX b PREFIX cc
B CLIENT TRACKINGINFO
C SET a1 x
C SET b1 x
C SET cc x
C SET c x
C MSET a1 1 a2 2 b1 3 d 4 cc1 5
C MULTI
C SET a2 1
C SET a1 1
C SET a2 2
C DEL b1 nosuch
C EXEC
A SET a1 y
B SET a1 y
A GET a1
C SET a1 z
C SET a1 z
B CLIENT TRACKING ON BCAST PREFIX d
B CLIENT TRACKINGINFO
C SET d x
C SET a x
B CLIENT TRACKING OFF
C SET d x
B CLIENT TRACKINGINFO
`,
	"no loop": `
A HELLO 3
A CLIENT TRACKING ON NOLOOP
A CLIENT TRACKINGINFO
B HELLO 3
B CLIENT TRACKING ON BCAST NOLOOP
A SET k 1
A GET k
A SET k 2
B SET k 3
A GET k
B SET k 4
A GET k
A MULTI
A SET k 1
A SET k2 2
A EXEC
B MSET k 1 k2 2
A HSET h a 1
A HGET h a
A HSET h a 2
A HSET h a 2
A HGETALL h
B HSET h a 3
A RPUSH l 1 2 3
A LRANGE l 0 -1
A LPOP l
A LRANGE l 0 -1
B LPOP l
A EVAL "redis.call('get',KEYS[1]) return redis.call('set',KEYS[1],1)" 1 k
A GET k
A FLUSHALL
B FLUSHALL
`,
	"opt in": `
A HELLO 3
A CLIENT TRACKING ON OPTIN
A CLIENT TRACKINGINFO
A GET k
B SET k 1
A CLIENT CACHING YES
A CLIENT TRACKINGINFO
A GET k
A CLIENT TRACKINGINFO
A GET k2
B SET k 1
B SET k2 1
A CLIENT CACHING NO
A CLIENT CACHING maybe
A CLIENT CACHING YES
A NOSUCHCOMMAND
A GET k
B SET k 1
A CLIENT CACHING YES
A MULTI
A GET k
A GET k2
A EXEC
A GET k3
B MSET k 1 k2 2 k3 3
A MULTI
A GET k
A CLIENT CACHING YES
A GET k2
A EXEC
B MSET k 1 k2 2
A CLIENT TRACKING ON OPTOUT
A CLIENT TRACKING OFF
A CLIENT TRACKING ON OPTOUT
A CLIENT TRACKINGINFO
A GET k
A CLIENT CACHING NO
A CLIENT TRACKINGINFO
A GET k2
A GET k3
B MSET k 1 k2 2 k3 3
A CLIENT CACHING YES
A CLIENT TRACKING OFF
A CLIENT CACHING YES
A CLIENT CACHING NO
`,
	"redirect in RESP2": `
A CLIENT TRACKING ON REDIRECT $C
A CLIENT GETREDIR
A CLIENT TRACKINGINFO
A GET k
B SET k 1
A GET k
C SUBSCRIBE __redis__:invalidate
B SET k 2
A GET k
B SET k 3
A MGET k k2
B MSET k 1 k2 1
A GET k
B FLUSHALL
A SET k 1
A GET k
A SET k 2
A CLIENT TRACKING ON REDIRECT $C
A CLIENT TRACKING OFF
A GET k
B SET k 1
A CLIENT TRACKING ON BCAST REDIRECT $C PREFIX k
B MSET k 1 k2 2 x 3
A MSET k 1 k2 2 x 3
`,
	"redirect in RESP3": `
A HELLO 3
C HELLO 3
A CLIENT TRACKING ON REDIRECT $C
A GET k
B SET k 1
C GET k
B SET k 1
A GET k
A SET k 1
A CLIENT TRACKING ON REDIRECT $A
A GET k
A SET k 1
A GET k
B SET k 1
B FLUSHALL
A CLIENT TRACKING ON
A GET k
B SET k 1
`,
	"RESP2 without a place": `
A CLIENT TRACKING ON
A GET k
B SET k 1
B FLUSHALL
A GET k
A HELLO 3
B SET k 1
A GET k
A HELLO 2
B SET k 1
A GET k
`,
	"errors": `
A CLIENT TRACKING
A CLIENT TRACKING maybe
A CLIENT TRACKING ON PREFIX
A CLIENT TRACKING ON REDIRECT
A CLIENT TRACKING ON REDIRECT x
A CLIENT TRACKING ON REDIRECT 99999
A CLIENT TRACKING ON REDIRECT -1
A CLIENT TRACKING ON REDIRECT $A REDIRECT $B
A CLIENT TRACKING ON REDIRECT 0
A CLIENT TRACKING ON NOSUCH
A CLIENT TRACKING ON PREFIX a
A CLIENT TRACKING ON BCAST OPTIN
A CLIENT TRACKING ON BCAST OPTOUT
A CLIENT TRACKING ON OPTIN OPTOUT
A CLIENT TRACKING ON BCAST PREFIX a PREFIX ab
A CLIENT TRACKING ON BCAST PREFIX ab PREFIX a
A CLIENT TRACKING ON BCAST PREFIX a PREFIX a
A CLIENT TRACKING ON BCAST PREFIX a PREFIX b
A CLIENT TRACKING ON BCAST PREFIX ax
A CLIENT TRACKING ON BCAST PREFIX b
A CLIENT TRACKING ON BCAST PREFIX c
A CLIENT TRACKING ON
A CLIENT TRACKING ON OPTIN
A CLIENT TRACKINGINFO
A CLIENT TRACKING OFF BCAST
A CLIENT TRACKING OFF NOSUCH
A CLIENT TRACKING OFF
A CLIENT TRACKING ON BCAST
A CLIENT TRACKING ON BCAST
A CLIENT TRACKING ON BCAST PREFIX a
A CLIENT TRACKINGINFO
A CLIENT TRACKINGINFO x
A CLIENT GETREDIR x
A CLIENT CACHING
A RESET
A CLIENT TRACKINGINFO
A CLIENT GETREDIR
`,
	"transactions and scripts": `
A HELLO 3
A CLIENT TRACKING ON
A MULTI
A GET a
A SET c 1
A GET b
A EXEC
B SET a 1
B SET b 1
A EVAL "return redis.call('get',KEYS[1])" 1 a
B SET a 1
A EVAL_RO "return redis.call('get',KEYS[1])" 1 a
B SET a 1
A WATCH w
B SET w 1
A UNWATCH
B MULTI
B SET a 1
B SET b 1
B DEL a
B EXEC
A GET a
B MULTI
B SET a 1
B DEL a
B SET a 2
B EXEC
A GET a
A MULTI
A SET c 1
A GET a
A EXEC
B SET a 5
A SETEX e 100 1
A GET e
B EXPIREAT e 1
A CLIENT REPLY OFF
A CLIENT REPLY ON
A GET a
B SET a 1
`,
	"reset": `
A HELLO 3
A CLIENT TRACKING ON
A GET k
A RESET
B SET k 1
A GET k
B SET k 1
A HELLO 3
A GET k
B SET k 1
`,
}

// trackers are the connections of a script to one server.
type trackers struct {
	t       *testing.T
	server  *harness.Server
	names   []string
	conns   map[string]*harness.TestConn
	ids     map[string]string
	log     map[string]*strings.Builder
	pending map[string]bool // a PING would mean something to it
	naming  bool            // the present command may reply with an id
}

func newTrackers(t *testing.T, s *harness.Server) *trackers {
	k := &trackers{t, s, []string{"A", "B", "C"}, make(map[string]*harness.TestConn), make(map[string]string),
		make(map[string]*strings.Builder), make(map[string]bool), false}
	for _, name := range k.names {
		c := s.Dial(t)
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		k.conns[name], k.log[name] = c, new(strings.Builder)
		k.ids[name] = strconv.FormatInt(c.DoInt("CLIENT", "ID"), 10)
	}
	k.conns["B"].OK("FLUSHALL")
	return k
}

// message says whether a reply is one that nobody has asked for.
func message(r harness.Reply) bool {
	return r.Kind == '>' || r.Kind == '*' && len(r.Elems) == 3 && string(r.Elems[0].Str) == "message"
}

// take reads what a connection is sent, up to a reply that is the last.
func (k *trackers) take(name string, last func(harness.Reply) bool) {
	k.t.Helper()
	for {
		r, err := k.conns[name].Read()
		if err != nil {
			k.t.Fatalf("%s: %v after %s", name, err, k.log[name])
		}
		raw := strings.ReplaceAll(string(r.Raw), "\r\n", " ")
		for of, id := range k.ids {
			// Ids are told by commands about clients alone.
			if k.naming {
				raw = strings.ReplaceAll(raw, ":"+id+" ", ":id-of-"+of+" ")
			}
		}
		if strings.Contains(raw, "$6 server $5 redis") {
			raw = "what HELLO says"
		}
		if strings.Contains(raw, "sync") && !message(r) {
			return
		}
		fmt.Fprintf(k.log[name], "%s\n", raw)
		if last != nil && last(r) {
			return
		}
	}
}

// step has one connection send a command and waits until all have what it makes for
// them.
func (k *trackers) step(name string, words []string) {
	k.t.Helper()
	fmt.Fprintf(k.log[name], "    %s\n", strings.Join(words, " "))
	k.naming = words[0] == "CLIENT"
	for i, w := range words {
		if len(w) == 2 && w[0] == '$' && k.ids[w[1:]] != "" {
			words[i] = k.ids[w[1:]]
		}
	}
	c := k.conns[name]
	c.Queue(words...)
	if err := c.Flush(); err != nil {
		k.t.Fatal(err)
	}
	command := strings.ToLower(strings.Join(words, " "))
	switch {
	case strings.HasPrefix(command, "multi"), strings.HasPrefix(command, "client caching"):
		k.pending[name] = true
	case strings.HasPrefix(command, "exec"), !strings.HasPrefix(command, "client"):
		k.pending[name] = k.pending[name] && strings.HasPrefix(k.inMulti(name), "multi") && command != "exec"
	}
	if command != "client reply off" {
		k.take(name, func(r harness.Reply) bool {
			return !message(r) || len(r.Elems) > 0 && strings.Contains(string(r.Elems[0].Str), "subscribe")
		})
	}
	for _, other := range k.names {
		if !k.pending[other] && !(other == name && command == "client reply off") {
			k.sync(other)
		}
	}
}

// inMulti returns "multi" when the connection has sent MULTI and no EXEC since.
func (k *trackers) inMulti(name string) string {
	log := strings.ToLower(k.log[name].String())
	if strings.LastIndex(log, "    multi") > strings.LastIndex(log, "    exec") {
		return "multi"
	}
	return ""
}

func (k *trackers) sync(name string) {
	k.t.Helper()
	c := k.conns[name]
	c.Queue("PING", "sync")
	if err := c.Flush(); err != nil {
		k.t.Fatal(err)
	}
	k.take(name, nil)
}

// splitStep is strings.Fields that keeps what stands in double quotes together.
func splitStep(line string) (words []string) {
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}

func (k *trackers) play(steps []string) map[string]string {
	for _, line := range steps {
		words := splitStep(line)
		k.step(words[0], words[1:])
	}
	out := make(map[string]string)
	for _, name := range k.names {
		k.sync(name)
		out[name] = k.log[name].String()
		k.conns[name].Close()
	}
	return out
}

func TestTracking(t *testing.T) {
	p := startPair(t)
	for name, script := range trackingScripts {
		t.Run(name, func(t *testing.T) {
			steps := strings.Split(strings.TrimSpace(script), "\n")
			compareTracking(t, p.redis, p.dkv, steps)
		})
	}
}

func compareTracking(t *testing.T, redis, dkv *harness.Server, steps []string) {
	t.Helper()
	want, got := newTrackers(t, redis).play(steps), newTrackers(t, dkv).play(steps)
	for _, conn := range []string{"A", "B", "C"} {
		a, b := sortMessages(want[conn]), sortMessages(got[conn])
		for i := range a {
			if i >= len(b) || a[i] != b[i] {
				t.Fatalf("connection %s\n redis: %s\n dkv:   %s\nsteps:\n%s", conn,
					strings.Join(a[max(0, i-4):min(len(a), i+3)], "\n        "),
					strings.Join(b[min(len(b), max(0, i-4)):min(len(b), i+3)], "\n        "), strings.Join(steps, "\n"))
			}
		}
		if len(b) > len(a) {
			t.Fatalf("connection %s is sent more: %s", conn, strings.Join(b[len(a):], "\n"))
		}
	}
}

// sortMessages returns the lines of a log with messages that stand side by side sorted:
// one command may change several keys, in an order that nobody sees.
func sortMessages(log string) []string {
	lines := strings.Split(log, "\n")
	for i := 0; i < len(lines); {
		end := i
		for end < len(lines) && strings.HasPrefix(lines[end], ">2 $10 invalidate *1") {
			end++
		}
		slices.Sort(lines[i:end])
		i = max(end, i+1)
	}
	return lines
}

// trackingSeed chooses the random scripts.
func trackingSeed(t *testing.T) int64 {
	seed := time.Now().UnixNano()
	if s := os.Getenv("DKV_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseInt(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("DKV_SEED=%d", seed)
	return seed
}

// TestRandomTracking: random commands of three connections.
func TestRandomTracking(t *testing.T) {
	const scripts, length = 30, 60
	r := rand.New(rand.NewPCG(uint64(trackingSeed(t)), 0))
	modes := []string{"", "", "NOLOOP", "BCAST", "BCAST NOLOOP", "BCAST PREFIX k1 PREFIX k2", "OPTOUT", "OPTIN"}
	commands := []string{
		"GET k%d", "GET k%d", "MGET k%d k%d", "SET k%d %d", "SET k%d %d", "DEL k%d", "DEL k%d k%d", "MSET k%d 1 k%d 2", "INCR k%d",
		"HSET h%d f %d", "HGET h%d f", "HGETALL h%d", "HDEL h%d f", "EXPIRE k%d 100", "RENAME k%d k%d", "COPY k%d k%d REPLACE",
		"EXISTS k%d k%d", "TYPE h%d", "FLUSHALL", "LPUSH l%d x", "LRANGE l%d 0 -1", "RPOP l%d", "SADD s%d %d", "SCARD s%d", "SREM s%d %d",
		"ZADD z%d %d m", "ZSCORE z%d m", "CLIENT TRACKINGINFO", "APPEND k%d x", "GETDEL k%d",
	}
	p := startPair(t)
	for range scripts {
		var steps []string
		for _, conn := range []string{"A", "B", "C"} {
			steps = append(steps, conn+" HELLO 3", strings.TrimSpace(conn+" CLIENT TRACKING ON "+modes[r.IntN(len(modes))]))
		}
		for range length {
			f := commands[r.IntN(len(commands))]
			var args []any
			for range strings.Count(f, "%d") {
				args = append(args, r.IntN(4))
			}
			steps = append(steps, string("ABC"[r.IntN(3)])+" "+fmt.Sprintf(f, args...))
		}
		compareTracking(t, p.redis, p.dkv, steps)
	}
}
