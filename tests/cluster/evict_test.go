package cluster

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"dkv/tests/harness"
)

// The leaders of a cluster evict for all, through the log: members stay equal, also
// when a leader dies meanwhile.
func TestEvictingCluster(t *testing.T) {
	c := local(t, 3, "-maxmemory", "12mb", "-maxmemory-policy", "allkeys-lru", "-memtable-size", "1mb", "-shards", "2", "-cluster-redirect", "no")
	conn := c.Nodes()[0].Dial(t)
	value := make([]byte, 1000)
	noise := rand.NewChaCha8([32]byte{4})
	const rounds, pipeline = 120, 500
	for i := range rounds {
		if i == rounds/2 {
			for _, n := range c.Nodes()[1:] {
				n.Kill()
				restart(t, n)
				c.MustAwaitWrites(t, backLimit)
			}
		}
		for j := range pipeline {
			noise.Read(value)
			conn.Queue("SET", fmt.Sprintf("k%d", i*pipeline+j), string(value))
		}
		conn.SetDeadline(time.Now().Add(backLimit))
		if err := conn.Flush(); err != nil {
			t.Fatal(err)
		}
		for range pipeline {
			if r, err := conn.Read(); err != nil || r.IsError() {
				t.Fatalf("%s %v", r, err)
			}
		}
	}
	evicted := func() (sum int64) {
		for _, n := range c.Nodes() {
			x, _ := strconv.ParseInt(n.Dial(t).Info("stats")["evicted_keys"], 10, 64)
			sum += x
		}
		return sum
	}
	harness.Until(t, backLimit, "evictions", func() bool { return evicted() > rounds*pipeline/2 })
	for _, n := range c.Nodes() {
		n.Dial(t).OK("CONFIG", "SET", "maxmemory", "0")
	}
	same(t, c)
	if n := conn.DoInt("DBSIZE"); n < 2000 || n > 30_000 {
		t.Errorf("%d keys are left", n)
	}
}
