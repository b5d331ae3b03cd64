package replica

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

// What a source evicts goes on its replicas too, which evict nothing by themselves: they
// are equal, with a smaller bound too, of which they complain.
func TestEvictingSource(t *testing.T) {
	source := harness.Dkv(t, "-diskless", "yes", "-maxmemory", "80mb", "-maxmemory-policy", "allkeys-lru", "-notify-keyspace-events", "Ee")
	replica := replicaOf(t, source, "-diskless", "yes", "-maxmemory", "10mb", "-maxmemory-policy", "allkeys-random", "-notify-keyspace-events", "Ee")
	awaitUp(t, replica)
	events := replica.Dial(t)
	events.Do("SUBSCRIBE", "__keyevent@0__:evicted")
	c := source.Dial(t)
	c.SetDeadline(time.Now().Add(patience))
	value := make([]byte, 1000)
	noise := rand.NewChaCha8([32]byte{3})
	const pipeline = 500
	for i := range 200 {
		for j := range pipeline {
			noise.Read(value)
			c.Queue("SET", fmt.Sprintf("k%d", i*pipeline+j), string(value))
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		for range pipeline {
			if r, err := c.Read(); err != nil || r.IsError() {
				t.Fatalf("%s %v", r, err)
			}
		}
	}
	if n := c.Info("stats")["evicted_keys"]; n == "0" {
		t.Fatal("nothing was evicted")
	}
	c.OK("CONFIG", "SET", "maxmemory", "0")
	if got := awaitEqualSums(t, source, replica); got.keys == 0 || got.keys == 200*pipeline {
		t.Errorf("%d keys are left", got.keys)
	}
	if n := infoField(replica, "stats", "evicted_keys"); n != "0" {
		t.Errorf("the replica has evicted %s keys", n)
	}
	events.SetDeadline(time.Now().Add(patience))
	if r, err := events.Read(); err != nil || !strings.Contains(string(r.Raw), "__keyevent@0__:evicted") {
		t.Errorf("event: %s %v", r, err)
	}
	if !strings.Contains(replica.Logs(), "maxmemory is too small") {
		t.Error("the replica does not complain of its bound")
	}
}
