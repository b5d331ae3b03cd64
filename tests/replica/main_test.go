package replica

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dkv/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// patience bounds what a test waits for.
const patience = 60 * time.Second

// replicaOf starts a replica of a server with the old store's flags.
func replicaOf(t *testing.T, source *harness.Server, flags ...string) *harness.Server {
	t.Helper()
	harness.NeedItself(t)
	return harness.Dkv(t, append([]string{"-role", "slave", "-repl-master-addr", source.Addr()}, flags...)...)
}

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

// awaitUp waits until a replica follows its source.
func awaitUp(t *testing.T, r *harness.Server) {
	t.Helper()
	harness.Until(t, patience, "the link to be up", func() bool { return infoField(r, "replication", "master_link_status") == "up" })
}

// infoField is a field of INFO, "" when there is no answer.
func infoField(s *harness.Server, section, field string) string {
	c, err := s.Connect()
	if err != nil {
		return ""
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	r, err := c.Call("INFO", section)
	if err != nil {
		return ""
	}
	return fieldOf(string(r.Str), field)
}

func fieldOf(info, field string) string {
	var name, value string
	for len(info) > 0 {
		var line string
		line, info = cut(info, "\r\n")
		if name, value = cut(line, ":"); name == field {
			return value
		}
	}
	return ""
}

func cut(s, sep string) (before, after string) {
	for i := 0; i+len(sep) <= len(s); i++ {
		if s[i:i+len(sep)] == sep {
			return s[:i], s[i+len(sep):]
		}
	}
	return s, ""
}

func digest(s *harness.Server) string {
	c, err := s.Connect()
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	r, err := c.Call("DEBUG", "DIGEST")
	if err != nil || r.IsError() {
		return fmt.Sprint(r, err)
	}
	return string(r.Str)
}

// awaitSame waits until servers, to which nobody writes, hold the same.
func awaitSame(t *testing.T, source *harness.Server, replicas ...*harness.Server) {
	t.Helper()
	for _, r := range replicas {
		// Each time anew: what has a time to live goes.
		harness.Until(t, patience, "the replica to hold what the source holds", func() bool { return digest(r) == digest(source) })
		for _, field := range []string{"db0", "db3"} {
			harness.Until(t, patience, "the replica to count what the source counts", func() bool {
				return keysOf(infoField(source, "keyspace", field)) == keysOf(infoField(r, "keyspace", field))
			})
		}
	}
}

// keysOf leaves the average time to live out.
func keysOf(field string) string {
	keys, _ := cut(field, ",avg_ttl")
	return keys
}

// load writes to a server until stop is called, which returns how many commands
// were answered. It stands interruptions of the server.
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

const pipeline = 16

// writeSome writes a pipeline of commands of all sorts.
func writeSome(c *harness.Conn, rng *rand.Rand, answered *atomic.Int64) error {
	c.SetDeadline(time.Now().Add(patience))
	key := func() string { return "k" + strconv.Itoa(rng.IntN(2000)) }
	for range pipeline {
		switch rng.IntN(14) {
		case 0:
			c.Queue("DEL", key(), key())
		case 1:
			c.Queue("SET", key(), "volatile", "PX", strconv.Itoa(1+rng.IntN(200)))
		case 2:
			c.Queue("INCR", "n"+strconv.Itoa(rng.IntN(50)))
		case 3:
			c.Queue("MSET", key(), "a", key(), "b")
		case 4:
			c.Queue("APPEND", "log"+strconv.Itoa(rng.IntN(20)), "x")
		case 5:
			c.Queue("XADD", "stream"+strconv.Itoa(rng.IntN(5)), "MAXLEN", "~", "500", "*", "field", key())
		case 6:
			c.Queue("XTRIM", "stream"+strconv.Itoa(rng.IntN(5)), "MAXLEN", strconv.Itoa(rng.IntN(400)))
		default:
			c.Queue("SET", key(), strconv.FormatUint(rng.Uint64(), 36))
		}
	}
	if err := c.Flush(); err != nil {
		return err
	}
	for range pipeline {
		if _, err := c.Read(); err != nil {
			return err
		}
		answered.Add(1)
	}
	return nil
}
