package replica

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

// TestKillReplica: a replica that is killed at any time goes on from where it was.
func TestKillReplica(t *testing.T) {
	for _, fsync := range []string{"always", "no"} {
		t.Run(fsync, func(t *testing.T) {
			rng := seedOf(t)
			source := harness.Dkv(t, "-fsync", "no")
			replica := replicaOf(t, source, "-fsync", fsync, "-memtable-size", "1mb")
			stop := load(source.Addr(), rng.Uint64(), 4)
			awaitUp(t, replica)
			rounds := 10
			if testing.Short() {
				rounds = 3
			}
			for range rounds {
				harness.Until(t, patience, "some progress", progress(replica, rng.IntN(2000)))
				replica.Kill()
				if rng.IntN(3) == 0 {
					if err := replica.StartAndKill(time.Duration(rng.Int64N(int64(100 * time.Millisecond)))); err != nil {
						t.Fatal(err)
					}
				}
				replica.MustStart(t)
			}
			if n := stop(); n == 0 {
				t.Fatal("nothing was written")
			}
			awaitSame(t, source, replica)
			if got := infoField(source, "stats", "sync_full"); got != "1" {
				t.Errorf("sync_full is %s: a restart was no reason for a copy", got)
			}
		})
	}
}

// progress says whether a replica has applied that many more entries than when it was
// made.
func progress(r *harness.Server, entries int) func() bool {
	var from int
	return func() bool {
		at, err := strconv.Atoi(infoField(r, "replication", "slave_repl_offset"))
		if err != nil || infoField(r, "replication", "master_link_status") != "up" {
			return false
		}
		if from == 0 {
			from = at
		}
		return at >= from+entries
	}
}

// TestKillSource: a source that is killed and started again is followed on. What it had
// acknowledged is on its disk, and the replica has no more than that.
func TestKillSource(t *testing.T) {
	rng := seedOf(t)
	source := harness.Dkv(t)
	replica := replicaOf(t, source)
	stop := load(source.Addr(), rng.Uint64(), 4)
	awaitUp(t, replica)
	for range 5 {
		harness.Until(t, patience, "some progress", progress(replica, 50+rng.IntN(500)))
		source.Kill()
		harness.Until(t, patience, "the replica to notice", func() bool {
			return infoField(replica, "replication", "master_link_status") == "down"
		})
		source.MustStart(t)
	}
	awaitUp(t, replica)
	stop()
	awaitSame(t, source, replica)
	if n := strings.Count(replica.Logs(), "copying the source in full"); n != 1 {
		t.Errorf("%d full copies", n)
	}
}

// TestKillDuringCopy: a copy that a kill breaks off begins again, and what the replica
// served before it is served until it is done.
func TestKillDuringCopy(t *testing.T) {
	rng := seedOf(t)
	source, replica := harness.Dkv(t, "-fsync", "no"), harness.Dkv(t, "-fsync", "no")
	harness.NeedItself(t)
	s := source.Dial(t)
	fill(s, rng, 60)
	r := replica.Dial(t)
	r.OK("SET", "old", "1")
	r.OK("REPLICAOF", "127.0.0.1", strconv.Itoa(source.Port()))
	for range 6 {
		time.Sleep(time.Duration(rng.Int64N(int64(200 * time.Millisecond)))) // at any time
		replica.Kill()
		replica.MustStart(t)
		c := replica.Dial(t)
		if c.Do("GET", "old").Null && c.Do("GET", "big59").Null {
			t.Fatal("the replica serves neither what it had nor what it was to get")
		}
	}
	awaitUp(t, replica)
	awaitSame(t, source, replica)
}

// fill writes megabytes that do not compress.
func fill(c *harness.TestConn, rng *rand.Rand, megabytes int) {
	value := make([]byte, 1<<20)
	for i := range megabytes {
		for j := 0; j < len(value); j += 8 {
			x := rng.Uint64()
			for k := range 8 {
				value[j+k] = byte(x >> (8 * k))
			}
		}
		c.OK("SET", "big"+strconv.Itoa(i), string(value))
	}
}
