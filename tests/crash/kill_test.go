package crash

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"dkv/tests/harness"
)

// A killed process loses nothing that it acknowledged, in any mode: what it
// wrote is in the operating system's hands. (Only a dying machine tells the
// modes apart.)
func TestKillUnderLoad(t *testing.T) {
	for _, mode := range []struct {
		fsync  string
		rounds int
	}{{"always", 12}, {"everysec", 5}, {"no", 5}} {
		t.Run(mode.fsync, func(t *testing.T) { killRounds(t, mode.fsync, rounds(t, mode.rounds)) })
	}
}

func killRounds(t *testing.T, fsync string, rounds int) {
	seed := rand.Uint64()
	t.Logf("seed %d, %d rounds", seed, rounds)
	rng := rand.New(rand.NewPCG(seed, 0))
	// A small write buffer, so that it dies during checkpoints as well.
	srv := harness.Dkv(t, "-fsync", fsync, "-hot-write-buffer-size", "256kb")
	var all []*writer
	var slowest time.Duration
	for round := range rounds {
		ws := newWriters(round)
		all = append(all, ws...)
		load(t, ws, srv.Addr(), rng, minAcked+rng.Int64N(maxAcked), srv.Kill)
		if rng.IntN(3) == 0 {
			// Dying again while it recovers must not make it worse.
			if err := srv.StartAndKill(time.Duration(rng.Int64N(int64(200 * time.Millisecond)))); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		srv.MustStart(t)
		slowest = max(slowest, time.Since(start))
		c := srv.Dial(t)
		for _, w := range all {
			w.check(t, c)
		}
		c.Close()
		if t.Failed() {
			t.Fatalf("in round %d, seed %d", round, seed)
		}
	}
	if slowest > maxRestartGap {
		t.Errorf("a restart took %v, more than %v", slowest, maxRestartGap)
	}
	t.Logf("slowest restart %v", slowest)
}

// A crash may also come while nothing is written any more, after a long pause,
// or twice in a row with nothing in between.
func TestKillIdle(t *testing.T) {
	srv := harness.Dkv(t)
	c := srv.Dial(t)
	c.OK("SET", "k", "v")
	c.OK("SELECT", "5")
	c.OK("SET", "k5", "v5", "PX", "3600000")
	c.Want(":1\r\n", "INCR", "n")
	c.OK("SWAPDB", "5", "6")
	for range 3 {
		srv.Kill()
		srv.MustStart(t)
		c := srv.Dial(t)
		c.Want("$1\r\nv\r\n", "GET", "k")
		c.OK("SELECT", "6")
		c.Want("$2\r\nv5\r\n", "GET", "k5")
		c.Want(":2\r\n", "DBSIZE")
		if ttl := c.DoInt("PTTL", "k5"); ttl < 3_000_000 || ttl > 3_600_000 {
			t.Errorf("PTTL is %d after a restart", ttl)
		}
	}
}

// Whole-database commands survive, and so do the counts of keys.
func TestKillAfterFlush(t *testing.T) {
	srv := harness.Dkv(t)
	c := srv.Dial(t)
	for i := range 200 {
		c.OK("SET", "a"+strconv.Itoa(i), "v")
	}
	c.OK("FLUSHDB")
	c.OK("SET", "b", "v")
	srv.Kill()
	srv.MustStart(t)
	c = srv.Dial(t)
	c.Want(":1\r\n", "DBSIZE")
	c.Want("*1\r\n$1\r\nb\r\n", "KEYS", "*")
}

func rounds(t *testing.T, otherwise int) int {
	if text := os.Getenv("DKV_CRASH_ROUNDS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if testing.Short() {
		return 2
	}
	return otherwise
}
