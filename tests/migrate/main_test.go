package migrate

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dkv/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// patience bounds what a test waits for.
const patience = 90 * time.Second

// seedOf returns the test's random numbers.
func seedOf(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	if s := os.Getenv("DKV_SEED"); s != "" {
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("DKV_SEED: %v", err)
		}
		seed = v
	}
	t.Logf("seed %d (set DKV_SEED to repeat)", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// ask sends one command over a connection of its own, "" when there is no answer.
func ask(s *harness.Server, args ...string) string {
	c, err := s.Connect()
	if err != nil {
		return ""
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	r, err := c.Call(args...)
	if err != nil {
		return ""
	}
	return string(r.Str)
}

// infoField is a field of INFO, "" when there is no answer.
func infoField(s *harness.Server, section, field string) string {
	for line := range strings.SplitSeq(ask(s, "INFO", section), "\r\n") {
		if name, value, _ := strings.Cut(line, ":"); name == field {
			return value
		}
	}
	return ""
}

func linkUp(s *harness.Server) func() bool {
	return func() bool { return infoField(s, "replication", "master_link_status") == "up" }
}

// follow makes a server a replica of another one.
func follow(t *testing.T, s, source *harness.Server) {
	t.Helper()
	s.Dial(t).OK("REPLICAOF", "127.0.0.1", strconv.Itoa(source.Port()))
}

// awaitSame waits until two servers, to which nobody writes, hold the same: DEBUG
// DIGEST is of all keys, their values, and whether they expire.
func awaitSame(t *testing.T, a, b *harness.Server) {
	t.Helper()
	harness.Until(t, patience, "both to hold the same", func() bool {
		x, y := ask(a, "DEBUG", "DIGEST"), ask(b, "DEBUG", "DIGEST")
		return x == y && len(x) == 40
	})
}

// awaitAcked waits until a replica has acknowledged all that a Redis server has
// written.
func awaitAcked(t *testing.T, source *harness.Server) {
	t.Helper()
	c := source.Dial(t)
	c.SetDeadline(time.Now().Add(3 * patience))
	c.OK("SET", "load:end", "x") // WAIT is about the connection's own writes
	harness.Until(t, 2*patience, "the replica to have all writes", func() bool { return c.DoInt("WAIT", "1", "20000") == 1 })
}

// fill writes keys of all types, large ones among them, with times to live and in
// several databases.
func fill(t *testing.T, s *harness.Server, rng *rand.Rand, keys int) {
	t.Helper()
	c := s.Dial(t)
	c.SetDeadline(time.Now().Add(patience))
	for db := range 3 {
		c.OK("SELECT", strconv.Itoa(db*5))
		queued := 0
		for i := range keys {
			name := strconv.Itoa(i)
			c.Queue("SET", "s"+name, strings.Repeat(strconv.FormatUint(rng.Uint64(), 36), 1+rng.IntN(20)))
			c.Queue("SET", "i"+name, strconv.Itoa(rng.IntN(1<<40)-1<<30), "EX", "100000")
			queued += 2 + collection(c.Conn, rng, name, 1+rng.IntN(20))
		}
		flush(t, c.Conn, queued)
	}
	queued := collection(c.Conn, rng, "large", 20000)
	c.Queue("SET", "large", strings.Repeat("large ", 1<<20))
	flush(t, c.Conn, queued+1)
}

// collection queues a hash, a set, an intset, a sorted set, a list and a stream of so
// many elements, and returns how many commands that were.
func collection(c *harness.Conn, rng *rand.Rand, name string, n int) int {
	l, queued := []string{"RPUSH", "l" + name}, 0
	queue := func(args ...string) {
		c.Queue(args...)
		queued++
	}
	h, s, is, z := []string{"HSET", "h" + name}, []string{"SADD", "u" + name}, []string{"SADD", "n" + name}, []string{"ZADD", "z" + name}
	for i := range n {
		word := strconv.FormatUint(rng.Uint64(), 36)
		h = append(h, "field"+strconv.Itoa(i), word)
		s = append(s, word)
		is = append(is, strconv.Itoa(rng.IntN(1<<20)))
		z = append(z, strconv.FormatFloat(rng.NormFloat64(), 'g', -1, 64), word)
		l = append(l, strings.Repeat(word, 1+rng.IntN(3)))
		if i < 300 {
			queue("XADD", "x"+name, "*", "field"+strconv.Itoa(rng.IntN(3)), word)
		}
	}
	for _, cmd := range [][]string{h, s, is, z, l} {
		queue(cmd...)
	}
	queue("EXPIRE", "h"+name, "90000")
	queue("XGROUP", "CREATE", "x"+name, "group", "0")
	queue("XREADGROUP", "GROUP", "group", "consumer", "COUNT", "5", "STREAMS", "x"+name, ">")
	return queued
}

func flush(t *testing.T, c *harness.Conn, replies int) {
	t.Helper()
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	for range replies {
		r, err := c.Read()
		if err != nil {
			t.Fatal(err)
		}
		if r.IsError() {
			t.Fatalf("%s", r.Str)
		}
	}
}

// loadPause is between two pipelines of a client: a machine that runs other tests too
// has to keep up.
const loadPause = 4 * time.Millisecond

// load writes to a server until stop is called, which returns how many commands were
// answered. It stands interruptions of the server.
func load(addr string, seed uint64, clients int) (stop func() int64) {
	var answered atomic.Int64
	var over atomic.Bool
	var running sync.WaitGroup
	for i := range clients {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		running.Go(func() {
			for !over.Load() {
				c, err := harness.Dial(addr)
				if err != nil {
					time.Sleep(5 * time.Millisecond) // the server is down
					continue
				}
				for !over.Load() && writeSome(c, rng, &answered) == nil {
					time.Sleep(loadPause)
				}
				c.Close()
			}
		})
	}
	return func() int64 {
		over.Store(true)
		running.Wait()
		return answered.Load()
	}
}

const pipeline = 20

// writeSome writes a pipeline of commands of all sorts, with transactions, scripts and
// times to live that end while it goes on.
func writeSome(c *harness.Conn, rng *rand.Rand, answered *atomic.Int64) error {
	c.SetDeadline(time.Now().Add(patience))
	num := strconv.Itoa
	key := func(kind string) string { return "load:" + kind + num(rng.IntN(300)) }
	word := func() string { return strconv.FormatUint(rng.Uint64(), 36) }
	queued := 0
	queue := func(args ...string) {
		c.Queue(args...)
		queued++
	}
	for range pipeline {
		switch rng.IntN(38) {
		case 0:
			queue("DEL", key("s"), key("h"), key("u"), key("z"))
		case 1:
			queue("SET", key("v"), "volatile", "PX", num(1+rng.IntN(300)))
		case 2:
			queue("INCR", "load:counter")
		case 3:
			queue("APPEND", key("v"), "x")
		case 4:
			queue("INCRBYFLOAT", "load:float", "0.25")
		case 5, 6:
			queue("HSET", key("h"), "f"+num(rng.IntN(200)), word(), "g", word())
		case 7:
			queue("HINCRBY", key("h"), "n", "7")
		case 8, 9:
			queue("SADD", key("u"), word(), num(rng.IntN(100)))
		case 10:
			queue("SPOP", key("u"))
		case 11, 12:
			queue("ZADD", key("z"), num(rng.IntN(1000)), "m"+num(rng.IntN(200)))
		case 13:
			queue("ZPOPMIN", key("z"))
		case 14:
			queue("EXPIRE", key("h"), num(1+rng.IntN(3)))
		case 15:
			queue("GETEX", key("s"), "PX", num(100+rng.IntN(10000)))
		case 16:
			queue("RENAME", key("s"), key("s"))
		case 17:
			queue("MULTI")
			queue("SELECT", "9")
			queue("INCR", "load:a")
			queue("DECR", "load:b")
			queue("SELECT", "0")
			queue("EXEC")
		case 18:
			queue("EVAL", "redis.call('incr','load:a') redis.call('decr','load:b') return redis.call('set',KEYS[1],ARGV[1])", "1", key("s"), word())
		case 19:
			queue("ZUNIONSTORE", "load:zz", "2", key("z"), key("z"))
		case 20:
			queue("MOVE", key("s"), "7")
		case 21, 22:
			queue("LPUSH", key("l"), word(), word())
		case 23:
			queue("RPOP", key("l"))
		case 24:
			queue("LMOVE", key("l"), key("l"), "LEFT", "RIGHT")
		case 25:
			queue("LTRIM", key("l"), "0", "20")
		case 26:
			queue("XADD", key("x"), "MAXLEN", "50", "*", "f", word())
		case 27:
			queue("XGROUP", "CREATE", key("x"), "g", "$", "MKSTREAM")
		case 28:
			queue("XREADGROUP", "GROUP", "g", "c"+num(rng.IntN(2)), "COUNT", "3", "STREAMS", key("x"), ">")
		case 29:
			queue("SETBIT", "load:bits"+num(rng.IntN(3)), num(rng.IntN(2000)), num(rng.IntN(2)))
		case 31:
			queue("SMOVE", key("u"), key("u"), num(rng.IntN(100)))
		case 32:
			queue("COPY", key("h"), key("h"), "REPLACE")
			queue("SINTERSTORE", "load:inter", key("u"), key("u"))
		case 33:
			queue("MSET", key("s"), word(), key("s"), word(), key("s"), word())
			queue("MSETNX", key("s"), word(), key("m"), word())
			queue("DEL", key("m"), key("m"))
		case 34:
			queue("MULTI")
			queue("RENAME", "load:a", "load:moved")
			queue("INCR", "load:moved")
			queue("RENAME", "load:moved", "load:a")
			queue("INCR", "load:counter")
			queue("EXEC")
		case 35:
			queue("BITOP", "XOR", "load:bits"+num(rng.IntN(3)), "load:bits"+num(rng.IntN(3)), "load:bits"+num(rng.IntN(3)))
		case 36:
			queue("EVAL", "redis.call('rename', KEYS[1], KEYS[2]) redis.call('append', KEYS[2], 'x')", "2", key("s"), key("s"))
		case 30:
			queue("PFADD", "load:hll", word())
			queue("GEOADD", "load:geo", "13.361389", "38.115556", word()[:1])
		default:
			queue("SET", key("s"), word())
		}
	}
	if err := c.Flush(); err != nil {
		return err
	}
	for range queued {
		if _, err := c.Read(); err != nil {
			return err
		}
		answered.Add(1)
	}
	return nil
}

func deadline() time.Time { return time.Now().Add(patience) }
