package apps

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"dkv/tests/harness"
)

// jobs is how many a queue has to do.
const jobs = 200

// concurrency is how many jobs a worker does at once: so many are in its hands when it
// is killed.
const concurrency = 4

// queuePlaces runs a test of a queue on one node, and on clusters whose leader is
// killed while the jobs are done.
func queuePlaces(t *testing.T, test func(t *testing.T, p place)) {
	t.Run("one node", func(t *testing.T) { test(t, alone(t)) })
	for _, kind := range clusters {
		t.Run(kind.name, func(t *testing.T) {
			harness.NeedItself(t)
			test(t, three(t, kind.redirects, kind.flags...))
		})
	}
}

// client connects to a place; it is patient while there is no leader.
func (p place) client() redis.UniversalClient {
	if p.clustered {
		return redis.NewClusterClient(&redis.ClusterOptions{Addrs: p.addrs, MaxRedirects: 20,
			MinRetryBackoff: 10 * time.Millisecond, MaxRetryBackoff: 200 * time.Millisecond})
	}
	return redis.NewClient(&redis.Options{Addr: p.addrs[0]})
}

// dialClient is client for a test, which closes it.
func (p place) dialClient(t *testing.T) redis.UniversalClient {
	c := p.client()
	t.Cleanup(func() { c.Close() })
	return c
}

// killLeader kills the node that leads the shard of a key, and brings it back.
func (p place) killLeader(t *testing.T, key string) {
	t.Helper()
	if p.cluster == nil {
		return
	}
	slot, _ := p.cluster.Nodes()[0].Must(t, "CLUSTER", "KEYSLOT", key).Int()
	var leader *harness.Node
	harness.Until(t, programLimit, "a leader", func() bool {
		leader = p.cluster.Leader(slot)
		return leader != nil && leader.Running()
	})
	leader.Kill()
	harness.Until(t, programLimit, "another leader", func() bool {
		next := p.cluster.Leader(slot)
		return next != nil && next != leader && next.Running()
	})
	leader.MustStart(t)
	p.setRedirect(t, leader)
}

// untilDone waits until a hash of what was done has at least n fields.
func untilDone(t *testing.T, c redis.UniversalClient, key string, n int64) {
	t.Helper()
	harness.Until(t, programLimit, fmt.Sprintf("%d jobs done", n), func() bool {
		got, err := c.HLen(context.Background(), key).Result()
		return err == nil && got >= n
	})
}

// checkDone fails the test when a job was not done, and when more were done again than
// were in the hands of workers that were killed.
func checkDone(t *testing.T, done map[string]string, again int) {
	t.Helper()
	if len(done) != jobs {
		t.Errorf("%d jobs are done, want %d", len(done), jobs)
	}
	extra := 0
	for job, times := range done {
		n := 0
		if _, err := fmt.Sscan(times, &n); err != nil || n < 1 {
			t.Errorf("job %s was done %q times", job, times)
		}
		extra += n - 1
	}
	t.Logf("%d of %d jobs were done again", extra, len(done))
	if extra > again {
		t.Errorf("%d jobs were done again, at most %d were in the hands of workers that were killed", extra, again)
	}
}
