package replica

import (
	"fmt"
	"testing"

	"dkv/tests/harness"
)

// fillAll writes values of all types and sizes.
func fillAll(t *testing.T, c *harness.TestConn) {
	t.Helper()
	for i := range 60 {
		key := fmt.Sprint(i)
		c.OK("SET", "s"+key, string(make([]byte, i*i*20)))
		c.Do("HSET", "h"+key, "f", key, "g", string(make([]byte, i*10)))
		c.Do("SADD", "set"+key, "a", "b", key)
		c.Do("ZADD", "z"+key, key, "m", "2.5", "n")
		c.OK("SET", "t"+key, "x", "PX", "3600000")
	}
	for i := range 600 {
		c.Do("HSET", "large", fmt.Sprint("f", i), fmt.Sprint(i))
	}
	c.Do("DEL", "s3", "h4", "large2")
	c.OK("SELECT", "3")
	c.OK("SET", "in", "three")
	c.OK("SWAPDB", "3", "4")
	c.OK("SELECT", "0")
}

// testFollows has replicas on all engines follow a source, from a copy in full and from
// its log, restarts them, and compares what they hold in the end.
func testFollows(t *testing.T, source *harness.Server) {
	rng := seedOf(t)
	c := source.Dial(t)
	fillAll(t, c)
	var replicas []*harness.Server
	for _, engine := range harness.Engines {
		replicas = append(replicas, replicaOf(t, source, "-db-engine", engine))
	}
	replicas = append(replicas, replicaOf(t, source, "-diskless"), replicaOf(t, source, "-diskless", "-db-engine", "badger"))
	for _, r := range replicas {
		awaitUp(t, r)
	}
	stop := load(source.Addr(), rng.Uint64(), 2)
	for _, r := range replicas[:len(harness.Engines)] {
		r.Kill()
		r.MustStart(t)
	}
	harness.Until(t, patience, "all to follow again", func() bool {
		for _, r := range replicas {
			if infoField(r, "replication", "master_link_status") != "up" {
				return false
			}
		}
		return true
	})
	if stop() == 0 {
		t.Error("nothing was written")
	}
	c.OK("SET", "last", "1")
	sum := awaitEqualSums(t, append([]*harness.Server{source}, replicas...)...)
	if sum.keys < 240 {
		t.Errorf("%d keys", sum.keys)
	}
	awaitSame(t, source, replicas...)
}

// TestEveryPairOfEngines: replicas on each engine follow a source on each.
func TestEveryPairOfEngines(t *testing.T) {
	for _, engine := range harness.Engines {
		t.Run(engine, func(t *testing.T) {
			harness.NeedEngine(t, "rocksdb")
			testFollows(t, harness.Dkv(t, "-db-engine", engine))
		})
	}
}

// TestEnginesFollowACluster: so do replicas of a member of a cluster, and replicas of
// these on another engine.
func TestEnginesFollowACluster(t *testing.T) {
	harness.NeedEngine(t, "rocksdb")
	c := harness.StartCluster(t, harness.ClusterOptions{})
	testFollows(t, c.MustLeader(t).Server)
	member := c.Nodes()[0].Server
	rocks := replicaOf(t, member, "-db-engine", "rocksdb")
	badger := replicaOf(t, rocks, "-db-engine", "badger")
	awaitUp(t, badger)
	awaitEqualSums(t, member, c.Nodes()[1].Server, c.Nodes()[2].Server, rocks)
	// Whose place is in the log of the one that it follows: the digest is the same.
	harness.Until(t, patience, "the last in the chain to hold the same", func() bool {
		a, err := checksumOf(member, "0")
		b, err2 := checksumOf(badger, "0")
		return err == nil && err2 == nil && a.digest == b.digest
	})
}
