package keyspace_test

import (
	"io"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"dkv/engine/enginetest"
	"dkv/engine/keyspace"
	"dkv/engine/keyspace/keyspacetest"
	"dkv/engine/pebbledb"
)

// typeModel is what the keys of a type should hold, in a map M, for the random tests
// that are the same for every type.
type typeModel[M any] interface {
	clone() M
	// step does the same random thing to both.
	step(tx *keyspace.Tx, r *rand.Rand)
	check(t *testing.T, s *keyspacetest.Store, r *rand.Rand)
}

// randomSteps returns a batch of so many random steps, some of which are undone.
func randomSteps[M interface {
	clone() M
	step(tx *keyspace.Tx, r *rand.Rand)
}](m M, random *rand.Rand, steps func() int) func(tx *keyspace.Tx) {
	return func(tx *keyspace.Tx) {
		for range steps() {
			if random.IntN(4) == 0 {
				mark, undone := tx.Mark(), m.clone()
				for range random.IntN(4) {
					undone.step(tx, random)
				}
				tx.Rollback(mark)
				continue
			}
			m.step(tx, random)
		}
	}
}

// changeAtRandom does rounds of random batches, with rollbacks, lost batches and
// restarts, and looks at all keys in every so many of them.
func changeAtRandom[M typeModel[M]](t *testing.T, s *keyspacetest.Store, m M, random *rand.Rand, rounds, checkEvery int) {
	t.Helper()
	batch := func(m M) func(tx *keyspace.Tx) {
		return randomSteps(m, random, func() int { return 1 + random.IntN(6) })
	}
	for range rounds {
		if random.IntN(8) == 0 {
			s.Attempt(batch(m.clone()))
		} else {
			s.Write(batch(m))
		}
		if random.IntN(60) == 0 {
			s.Reopen()
		}
		if random.IntN(checkEvery) == 0 {
			m.check(t, s, random)
		}
	}
	m.check(t, s, random)
}

// followAtRandom does random batches on a leader, whose follower has the same, and
// goes on with it when it becomes the leader.
func followAtRandom[M typeModel[M]](t *testing.T, m M, random *rand.Rand) {
	t.Helper()
	leader, follower := keyspacetest.New(t), keyspacetest.New(t)
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

// crashRun is what a type does in crashAtRandom besides its model's steps; each may
// be nil.
type crashRun[M typeModel[M]] struct {
	// between is called before each batch, and may move the clock.
	between func(s *keyspacetest.Store)
	// begin is called first in each batch.
	begin func(s *keyspacetest.Store, tx *keyspace.Tx, m M)
	// after is called when a crash has left what it should, which is m then.
	after func(s *keyspacetest.Store, m M)
}

// crashAtRandom does random batches over a disk that crashes at some of them. A crash
// leaves all as it was after some batch.
func crashAtRandom[M typeModel[M]](t *testing.T, m M, random *rand.Rand, run crashRun[M]) {
	t.Helper()
	fs := enginetest.NewCrashFS()
	db := openOn(t, fs)
	s := keyspacetest.Over(t, db)
	type state struct {
		m   M
		now int64
	}
	states := []state{{m.clone(), s.Now}}
	type crash struct {
		fs     *enginetest.CrashFS
		atMost int
	}
	var crashes []crash
	const counterDB = 15
	batches := 250
	if testing.Short() {
		batches = 80
	}
	for n := 1; n <= batches; n++ {
		if run.between != nil {
			run.between(s)
		}
		s.Write(func(tx *keyspace.Tx) {
			if run.begin != nil {
				run.begin(s, tx, m)
			}
			for range 1 + random.IntN(5) {
				m.step(tx, random)
			}
			setKey(tx, counterDB, "batch", strconv.Itoa(n), 0)
		})
		states = append(states, state{m.clone(), s.Now})
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
		after.Now = states[n].now
		states[n].m.check(t, after, random)
		if run.after != nil {
			run.after(after, states[n].m.clone())
		}
		check(db.Close())
	}
}

func openOn(t *testing.T, fs vfs.FS) *pebbledb.DB {
	t.Helper()
	db, err := pebbledb.Open("data", pebbledb.Options{
		FS: fs, MemtableBytes: 128 << 10, BlockCacheBytes: 8 << 20, ReserveDiskBytes: -1,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return db
}
