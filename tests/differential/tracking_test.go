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
