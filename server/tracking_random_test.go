package server

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// cacher is a client that keeps what it has read, until it is told to forget it.
type cacher struct {
	*client
	mode  string
	cache map[string]string
	rand  *rand.Rand
	reads int
}

// newCacher connects a client with options of CLIENT TRACKING.
func newCacher(t testing.TB, s *Server, mode string, seed uint64) *cacher {
	k := &cacher{client: patient(t, s), mode: mode, cache: make(map[string]string), rand: rand.New(rand.NewPCG(seed, 1))}
	k.do("HELLO", "3")
	if strings.Contains(mode, "READONLY") {
		k.do("READONLY")
	}
	words := append([]string{"CLIENT", "TRACKING", "ON"}, strings.Fields(strings.TrimPrefix(mode, "READONLY"))...)
	if got := k.do(words...); got != "+OK\r\n" {
		t.Fatal(got)
	}
	return k
}

// answer returns the next reply, and does what messages before it say.
func (k *cacher) answer() string {
	for {
		raw := k.reply()
		if raw[0] != '>' {
			return raw
		}
		k.forget(raw)
	}
}

func (k *cacher) forget(push string) {
	lines := strings.Split(push, "\r\n")
	if lines[2] != "invalidate" {
		k.t.Errorf("message %q", push)
	}
	if lines[3] == "_" {
		clear(k.cache)
		return
	}
	for i := 5; i < len(lines); i += 2 {
		delete(k.cache, lines[i])
	}
}

// readsOf are the commands that read a key, by the first letter of its name.
var readsOf = map[byte][]string{
	's': {"GET"}, 'h': {"HGETALL"}, 'l': {"LRANGE", "0", "-1"}, 'z': {"ZRANGE", "0", "-1", "WITHSCORES"},
}

func readOf(key string) string {
	words := readsOf[key[0]]
	return request(append([]string{words[0], key}, words[1:]...)...)
}

// step reads something that it has no copy of, alone or together with other things.
func (k *cacher) step(keys []string) {
	key, other := keys[k.rand.IntN(len(keys))], keys[k.rand.IntN(len(keys))]
	optIn := ""
	if strings.Contains(k.mode, "OPTIN") {
		optIn = request("CLIENT", "CACHING", "YES")
	}
	if _, cached := k.cache[key]; cached && k.rand.IntN(4) > 0 {
		k.drain()
		return
	}
	k.reads++
	switch n := k.rand.IntN(8); {
	case n == 0 && optIn == "" && key[0] == 's':
		// A write of its own, and reads behind it.
		delete(k.cache, key)
		k.send(request("SET", key, strconv.Itoa(k.rand.IntN(1e6))) + readOf(key) + readOf(other))
		k.answer()
		k.keep(key)
		k.keep(other)
	case n == 1 && slotOf(key) == slotOf(other):
		k.send(optIn + request("MULTI") + readOf(key) + readOf(other) + request("EXEC"))
		k.skip(len(optIn) > 0, 3)
		if k.executed() {
			k.keep(key)
			k.keep(other)
		}
	case n == 2 && slotOf(key) == slotOf(other) && other[0] == 's':
		// On the leader: it writes.
		delete(k.cache, other)
		k.send(optIn + request("MULTI") + request("APPEND", other, "x") + readOf(key) + request("EXEC"))
		k.skip(len(optIn) > 0, 3)
		if k.executed() {
			k.answer()
			k.keep(key)
		}
	case n == 3 && key[0] == 's':
		k.send(optIn + request("EVAL", "return redis.call('get',KEYS[1])", "1", key))
		k.skip(len(optIn) > 0, 0)
		k.keep(key)
	default:
		k.send(optIn + readOf(key))
		k.skip(len(optIn) > 0, 0)
		k.keep(key)
	}
}

func slotOf(key string) int { return strings.Index("shlz", key[:1]) } // all of a letter have a tag

// executed reads the beginning of the reply to EXEC, of two commands.
func (k *cacher) executed() bool {
	for {
		b, err := k.r.Peek(1)
		if err != nil {
			k.t.Error(err)
			return false
		}
		if b[0] == '>' {
			k.forget(k.reply())
			continue
		}
		line, _ := k.r.ReadString('\n')
		if line != "*2\r\n" && !strings.HasPrefix(line, "-UNCERTAIN") {
			k.t.Errorf("EXEC: %q", line)
		}
		return line[0] == '*'
	}
}

// skip reads replies that say nothing.
func (k *cacher) skip(first bool, more int) {
	if first {
		more++
	}
	for range more {
		if raw := k.answer(); raw[0] != '+' {
			k.t.Errorf("got %q", raw)
		}
	}
}

func (k *cacher) keep(key string) {
	raw := k.answer()
	if raw[0] == '-' {
		if !strings.HasPrefix(raw, "-UNCERTAIN") {
			k.t.Errorf("%s: %q", key, raw)
		}
		return
	}
	k.cache[key] = raw
}

// drain does what the messages say that have come.
func (k *cacher) drain() {
	k.send(request("PING"))
	if got := k.answer(); got != "+PONG\r\n" {
		k.t.Errorf("PING: %q", got)
	}
}

// stale names a key of which it has another value than the server, "" for none.
func (k *cacher) stale(truth *client) string {
	k.drain()
	for key, kept := range k.cache {
		truth.send(readOf(key))
		if now := truth.reply(); now != kept {
			return fmt.Sprintf("%s (%s): kept %.80q, is %.80q", key, k.mode, kept, now)
		}
	}
	return ""
}

// trackingKeys are keys of four types, those of one in the same slot.
func trackingKeys() (keys []string) {
	for _, letter := range "shlz" {
		for i := range 3 {
			keys = append(keys, fmt.Sprintf("%c{%c}%d", letter, letter, i))
		}
	}
	return keys
}

// change writes something.
func change(c *client, r *rand.Rand, keys []string) {
	key, n := keys[r.IntN(len(keys))], strconv.Itoa(r.IntN(300))
	var words []string
	switch m := r.IntN(40); {
	case m == 0:
		words = []string{"DEL", key}
	case m == 1:
		words = []string{"PEXPIRE", key, strconv.Itoa(1 + r.IntN(20))}
	case m == 2:
		words = []string{"RENAME", key, key[:len(key)-1] + strconv.Itoa(r.IntN(3))}
	case m == 3:
		words = []string{"COPY", key, key[:len(key)-1] + strconv.Itoa(r.IntN(3)), "REPLACE"}
	case m == 4 && r.IntN(10) == 0:
		words = []string{"FLUSHALL"}
	case m == 5 && r.IntN(10) == 0:
		words = []string{"SWAPDB", "0", "1"}
	case key[0] == 's':
		words = [][]string{{"SET", key, n}, {"APPEND", key, n}, {"SET", key, n, "PX", "5"}, {"GETDEL", key},
			{"EVAL", "return redis.call('set',KEYS[1],ARGV[1])", "1", key, n}}[r.IntN(5)]
	case key[0] == 'h':
		words = []string{"HSET", key, n, strconv.Itoa(r.IntN(1e6))}
	case key[0] == 'l':
		words = [][]string{{"RPUSH", key, n}, {"LSET", key, "0", n}, {"LPOP", key}}[r.IntN(3)]
	default:
		words = []string{"ZADD", key, n, strconv.Itoa(r.IntN(200))}
	}
	c.do(words...)
}

// trackingTime is how long clients write, trackingPatience how long a test may take for
// that on a machine that is busy.
const (
	trackingTime     = time.Second
	trackingPatience = 4 * time.Minute
)

// patient is dial for clients that are needed for long.
func patient(t testing.TB, s *Server) *client {
	c := dial(t, s)
	if err := c.SetDeadline(time.Now().Add(trackingPatience)); err != nil {
		t.Fatal(err)
	}
	return c
}

// checkTracking has clients of all modes on all servers read and keep, while others write
// through any of them. When all is quiet nobody has a value that is not the server's.
func checkTracking(t *testing.T, servers []*Server, writable []*Server, meanwhile func(r *rand.Rand)) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("DKV_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("DKV_SEED=%d", seed)
	keys := trackingKeys()
	prefill(t, writable[0], keys)
	var cachers []*cacher
	var at []*Server
	for i, s := range servers {
		for j, mode := range []string{"", "NOLOOP", "BCAST", "BCAST NOLOOP", "OPTIN", "READONLY", "READONLY BCAST"} {
			cachers, at = append(cachers, newCacher(t, s, mode, seed+uint64(10*i+j))), append(at, s)
		}
	}
	var stop atomic.Bool
	var writing, reading sync.WaitGroup
	for i := range 3 {
		c, r := patient(t, writable[i%len(writable)]), rand.New(rand.NewPCG(seed, uint64(100+i)))
		writing.Go(func() {
			for end := time.Now().Add(trackingTime); time.Now().Before(end); {
				change(c, r, keys)
			}
		})
	}
	writable0 := isWritable(servers, writable)
	for i, k := range cachers {
		if !writable0[at[i]] {
			k.rand = nil
		}
		reading.Go(func() {
			if k.rand == nil { // a replica: it only reads
				k.rand = rand.New(rand.NewPCG(seed, uint64(i)))
				for !stop.Load() {
					key := keys[k.rand.IntN(len(keys))]
					if _, cached := k.cache[key]; !cached && k.mode != "OPTIN" {
						k.reads++
						k.send(readOf(key))
						k.keep(key)
					}
					k.drain()
				}
				return
			}
			for !stop.Load() {
				k.step(keys)
			}
		})
	}
	if meanwhile != nil {
		meanwhile(rand.New(rand.NewPCG(seed, 7)))
	}
	writing.Wait()
	stop.Store(true)
	reading.Wait()
	reads, kept := 0, 0
	for i, k := range cachers {
		truth := patient(t, at[i])
		truth.do("HELLO", "3")
		last := ""
		deadline := time.Now().Add(ioTimeout / 2)
		for {
			if last = k.stale(truth); last == "" || time.Now().After(deadline) {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if last != "" {
			t.Errorf("a value is kept for ever: %s", last)
		}
		reads += k.reads
		kept += len(k.cache)
	}
	t.Logf("%d reads, %d values kept", reads, kept)
	if kept == 0 {
		t.Error("nobody keeps anything")
	}
}

func isWritable(servers, writable []*Server) map[*Server]bool {
	m := make(map[*Server]bool)
	for _, s := range servers {
		for _, w := range writable {
			m[s] = m[s] || s == w
		}
	}
	return m
}

// prefill makes collections that are records.
func prefill(t *testing.T, s *Server, keys []string) {
	c := patient(t, s)
	for _, key := range keys {
		for i := range 200 {
			n := strconv.Itoa(i)
			words := map[byte][]string{'s': {"SET", key, n}, 'h': {"HSET", key, n, n}, 'l': {"RPUSH", key, n}, 'z': {"ZADD", key, n, n}}[key[0]]
			c.send(request(words...))
		}
		for range 200 {
			if r := c.reply(); r[0] == '-' {
				t.Fatal(r)
			}
		}
	}
}

func TestCachesFollow(t *testing.T) {
	t.Run("one node", func(t *testing.T) {
		s := startServer(t)
		checkTracking(t, []*Server{s}, []*Server{s}, nil)
	})
	t.Run("small table", func(t *testing.T) {
		s := startServer(t, "tracking-table-max-keys", "3")
		checkTracking(t, []*Server{s}, []*Server{s}, nil)
	})
	t.Run("shards", func(t *testing.T) {
		s := startShards(t, 3)
		checkTracking(t, []*Server{s}, []*Server{s}, nil)
	})
	t.Run("cluster", func(t *testing.T) {
		servers := startCluster(t, 3, 2)
		checkTracking(t, servers, servers, nil)
	})
	t.Run("cluster of changing leaders", func(t *testing.T) {
		servers := startCluster(t, 3, 1)
		checkTracking(t, servers, servers, func(r *rand.Rand) {
			for range 5 {
				dial(t, servers[r.IntN(len(servers))]).do("CLUSTER", "TRANSFERLEADER")
			}
		})
	})
	t.Run("replica", func(t *testing.T) {
		source, replica := startServer(t), startServer(t)
		follow(t, replica, source)
		checkTracking(t, []*Server{replica}, []*Server{source}, nil)
	})
}

// follow makes a server the replica of another and waits until it is.
func follow(t *testing.T, s, source *Server) {
	t.Helper()
	host, port, err := net.SplitHostPort(source.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, s)
	c.roundTrip(request("REPLICAOF", host, port), "+OK\r\n")
	eventually(t, "the link is up", func() bool { return strings.Contains(c.do("INFO", "replication"), "master_link_status:up") })
}
