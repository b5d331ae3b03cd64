package crash

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dkv/tests/harness"
)

const stableKeys = 3000

// fillStable sets the keys that stay there during a scan.
func fillStable(t *testing.T, c *harness.TestConn) {
	t.Helper()
	for i := range stableKeys {
		c.Queue("SET", "stable:"+strconv.Itoa(i), "v")
	}
	c.SetDeadline(time.Now().Add(callLimit))
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	for range stableKeys {
		if _, err := c.Read(); err != nil {
			t.Fatal(err)
		}
	}
}

// SCAN returns every key that is there from its start to its end, whatever
// happens to others meanwhile.
func TestScanUnderWrites(t *testing.T) {
	srv := harness.Dkv(t, "-fsync", "no")
	c := srv.Dial(t)
	fillStable(t, c)

	var (
		stop atomic.Bool
		wg   sync.WaitGroup
	)
	for w := range 2 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			conn, err := harness.Dial(srv.Addr())
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			for !stop.Load() {
				key := "other:" + strconv.Itoa(rng.IntN(5000))
				for _, args := range [][]string{{"SET", key, "v"}, {"DEL", "other:" + strconv.Itoa(rng.IntN(5000))},
					{"RENAME", key, "stable:x" + key}, {"SET", "stable:" + strconv.Itoa(rng.IntN(stableKeys)), "w", "KEEPTTL"}} {
					if _, err := conn.Call(args...); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	for range 10 {
		scan(t, c, func(calls int) *harness.TestConn { return nil })
	}
	stop.Store(true)
	wg.Wait()
}

// A scan goes on after a restart with the cursor that it had.
func TestScanOverRestart(t *testing.T) {
	harness.NeedItself(t) // a Redis that reads its data in again hashes it otherwise
	srv := harness.Dkv(t)
	c := srv.Dial(t)
	fillStable(t, c)
	restarts := 0
	scan(t, c, func(calls int) *harness.TestConn {
		if calls%40 != 20 || restarts == 4 {
			return nil
		}
		restarts++
		if restarts%2 == 0 {
			srv.Kill()
		} else if code, err := srv.Terminate(exitLimit); err != nil || code != 0 {
			t.Fatalf("exit code %d, %v", code, err)
		}
		srv.MustStart(t)
		return srv.Dial(t)
	})
	if restarts < 4 {
		t.Errorf("only %d restarts in the scan", restarts)
	}
}

// scan runs one scan and fails the test for every stable key that is missed.
// between is called after every call; a connection that it returns is used from
// there on.
func scan(t *testing.T, c *harness.TestConn, between func(calls int) *harness.TestConn) {
	t.Helper()
	const maxCalls = 100_000
	seen := make(map[string]bool)
	cursor := "0"
	for calls := 1; ; calls++ {
		r := c.Do("SCAN", cursor, "COUNT", "10")
		if len(r.Elems) != 2 || calls > maxCalls {
			t.Fatalf("call %d: SCAN %s: %s", calls, cursor, r)
		}
		for _, key := range r.Elems[1].Elems {
			seen[string(key.Str)] = true
		}
		if cursor = string(r.Elems[0].Str); cursor == "0" {
			break
		}
		if _, err := strconv.ParseUint(cursor, 10, 64); err != nil {
			t.Fatalf("cursor %q is not a number below 2^64", cursor)
		}
		if other := between(calls); other != nil {
			c = other
		}
	}
	missed := 0
	for i := range stableKeys {
		if !seen["stable:"+strconv.Itoa(i)] {
			missed++
		}
	}
	if missed > 0 {
		t.Errorf("%s", fmt.Sprintf("the scan missed %d of %d keys that were there all the time", missed, stableKeys))
	}
}
