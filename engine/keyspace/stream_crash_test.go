package keyspace_test

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"dkv/engine/enginetest"
	"dkv/engine/keyspace"
	"dkv/engine/keyspace/keyspacetest"
)

// A crash leaves streams as they were after some batch: Meta records, entries, nodes,
// groups and what is pending agree, and nothing is left behind by what was deleted.
func TestStreamsAfterCrash(t *testing.T) {
	random := seed(t)
	fs := enginetest.NewCrashFS()
	db := openOn(t, fs)
	s := keyspacetest.Over(t, db)
	m := streamModel{}
	states := []streamModel{m.clone()}
	type crash struct {
		fs     *enginetest.CrashFS
		atMost int
	}
	var crashes []crash
	const batches, counterDB = 250, 15
	for n := 1; n <= batches; n++ {
		s.Write(func(tx *keyspace.Tx) {
			for range 1 + random.IntN(5) {
				m.step(tx, random)
			}
			setKey(tx, counterDB, "batch", strconv.Itoa(n), 0)
		})
		states = append(states, m.clone())
		if random.IntN(20) == 0 {
			check(db.Flush())
		}
		if random.IntN(8) == 0 {
			cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[random.IntN(3)], RNG: rand.New(rand.NewPCG(random.Uint64(), 0))}
			crashes = append(crashes, crash{fs.Crash(cfg), n})
		}
	}
	check(db.Close())
	for _, c := range crashes {
		db := openOn(t, c.fs)
		after := keyspacetest.Over(t, db)
		n := 0
		after.Read(func(tx *keyspace.Tx) {
			if v, ok := getKey(tx, counterDB, "batch"); ok {
				n = must(strconv.Atoi(v))
			}
		})
		if n > c.atMost {
			t.Fatalf("batch %d is there after a crash at %d", n, c.atMost)
		}
		states[n].check(t, after, random)
		check(db.Close())
	}
}

// A follower has the same streams, and goes on with them when it becomes the leader.
func TestStreamsOfFollower(t *testing.T) {
	random := seed(t)
	leader, follower := keyspacetest.New(t), keyspacetest.New(t)
	m := streamModel{}
	for range 6 {
		leader.Applied = follower.Follow
		for range 30 {
			leader.Write(func(tx *keyspace.Tx) {
				for range 1 + random.IntN(5) {
					m.step(tx, random)
				}
			})
		}
		m.check(t, follower, random)
		leader.Applied = nil
		check(follower.Keyspace().Reload(follower.Engine()))
		leader, follower = follower, leader
	}
}
