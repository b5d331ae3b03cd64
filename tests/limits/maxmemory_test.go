package limits

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dkv/tests/harness"
)

// rss is what the system says that a process takes, in bytes.
func rss(t testing.TB, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		harness.Missing(t, "/proc")
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// flood sets random keys from several connections until stop is closed. Replies that
// begin with OOM are counted, other errors fail the test.
func flood(t *testing.T, srv *harness.Server, keys, valueBytes int, stop <-chan struct{}) (sets, refused *atomic.Int64, wait func()) {
	t.Helper()
	sets, refused = new(atomic.Int64), new(atomic.Int64)
	var running sync.WaitGroup
	for range 4 {
		c := srv.Dial(t)
		running.Go(func() {
			noise := rand.NewChaCha8([32]byte{1})
			value := make([]byte, valueBytes)
			const pipeline = 32
			for {
				select {
				case <-stop:
					return
				default:
				}
				for range pipeline {
					noise.Read(value)
					c.Queue("SET", fmt.Sprintf("key:%012d", rand.IntN(keys)), string(value))
				}
				c.SetDeadline(time.Now().Add(replyLimit))
				if err := c.Flush(); err != nil {
					t.Errorf("flood: %v", err)
					return
				}
				for range pipeline {
					r, err := c.Read()
					switch {
					case err != nil:
						t.Errorf("flood: %v", err)
						return
					case !r.IsError():
						sets.Add(1)
					case strings.HasPrefix(string(r.Str), "OOM "):
						refused.Add(1)
					default:
						t.Errorf("flood: %s", r)
						return
					}
				}
			}
		})
	}
	return sets, refused, running.Wait
}

// A diskless cache stays within its maxmemory, as the system counts, while clients write
// as fast as they can.
func TestMaxMemoryFlood(t *testing.T) {
	harness.NeedItself(t)
	for _, c := range []struct {
		engine, policy string
		value          int
		over           float64 // of maxmemory
	}{
		{"pebble", "allkeys-lru", 500, 1.1},
		{"pebble", "allkeys-random", 4000, 1.1},
		{"badger", "allkeys-lfu", 500, 1.6},
	} {
		t.Run(c.engine+" "+c.policy, func(t *testing.T) {
			const maxMemory = 160 << 20
			srv := harness.Dkv(t, "-diskless", "yes", "-db-engine", c.engine, "-maxmemory", strconv.Itoa(maxMemory), "-maxmemory-policy", c.policy)
			stop := make(chan struct{})
			sets, refused, wait := flood(t, srv, 100_000_000/c.value, c.value, stop)
			var peak int64
			var truth []float64 // used_memory of what the system counts
			conn := srv.Dial(t)
			for end := time.Now().Add(12 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
				now := rss(t, srv.PID())
				if peak = max(peak, now); now > maxMemory/2 {
					truth = append(truth, float64(infoInt(conn, "memory", "used_memory"))/float64(now))
				}
			}
			close(stop)
			wait()
			memory, stats := conn.Info("memory"), conn.Info("stats")
			data, _ := strconv.ParseInt(memory["dkv_maxmemory_data"], 10, 64)
			limit, _ := strconv.ParseInt(memory["dkv_maxmemory_data_limit"], 10, 64)
			evicted, _ := strconv.ParseInt(stats["evicted_keys"], 10, 64)
			keys := conn.DoInt("DBSIZE")
			if len(truth) == 0 {
				t.Fatal("RSS was never more than half of maxmemory")
			}
			slices.Sort(truth)
			median := truth[len(truth)/2]
			t.Logf("%d SETs, %d refused, %d keys evicted, %d are left (%d MiB of values); RSS at most %.2f of maxmemory, used_memory %.2f to %.2f of RSS, median %.2f; data %d of %d MiB",
				sets.Load(), refused.Load(), evicted, keys, keys*int64(c.value)>>20, float64(peak)/maxMemory,
				truth[0], truth[len(truth)-1], median, data>>20, limit>>20)
			if float64(peak) > c.over*maxMemory {
				t.Errorf("RSS was %d at most, maxmemory is %d", peak, maxMemory)
			}
			if evicted == 0 || keys*int64(c.value) < maxMemory/8 || refused.Load() > sets.Load()/100 {
				t.Errorf("%d keys evicted, %d left, %d of %d SETs refused", evicted, keys, refused.Load(), sets.Load())
			}
			if median < 0.9 || median > 1.1 {
				t.Errorf("used_memory is %.2f of RSS", median)
			}
		})
	}
}

// With noeviction the writes that take memory are refused, and no others; once there is
// room they are taken again.
func TestMaxMemoryNoEviction(t *testing.T) {
	harness.NeedItself(t)
	srv := harness.Dkv(t, "-diskless", "yes", "-maxmemory", "100mb")
	stop := make(chan struct{})
	_, refused, wait := flood(t, srv, 1_000_000, 1000, stop)
	harness.Until(t, replyLimit, "writes to be refused", func() bool { return refused.Load() > 0 })
	close(stop)
	wait()
	c := srv.Dial(t)
	harness.Until(t, replyLimit, "a lasting refusal", func() bool { return c.Do("SET", "x", "y").IsError() })
	c.Want("-OOM command not allowed when used memory > 'maxmemory'.\r\n", "LPUSH", "l", "x")
	c.Want(":0\r\n", "DEL", "none")
	if n := c.DoInt("DBSIZE"); n == 0 {
		t.Fatal("no keys")
	}
	if evicted := c.Info("stats")["evicted_keys"]; evicted != "0" {
		t.Errorf("%s keys were evicted", evicted)
	}
	if doctor := string(c.Do("MEMORY", "DOCTOR").Str); !strings.Contains(doctor, "maxmemory is reached") {
		t.Errorf("MEMORY DOCTOR: %s", doctor)
	}
	c.OK("FLUSHALL")
	harness.Until(t, replyLimit, "writes to be taken again", func() bool { return !c.Do("SET", "x", "y").IsError() })
	c.OK("CONFIG", "SET", "maxmemory", "0")
	c.OK("SET", "x", "z")
}
