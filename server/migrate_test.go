package server

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
)

// incrHere adds to a counter that has not been moved yet.
const incrHere = "if redis.call('EXISTS', KEYS[1]) == 1 then return redis.call('INCR', KEYS[1]) end return 0"

// TestMigrateWhileWritten moves counters while clients add to them: what was added here
// before a counter went has gone with it.
func TestMigrateWhileWritten(t *testing.T) {
	const counters, writers = 150, 3
	seed := loopSeed(t)
	source, target := startServer(t), startServer(t)
	c := dial(t, source)
	keys := make([]string, counters)
	for i := range keys {
		keys[i] = fmt.Sprint("counter:", i)
		c.do("SET", keys[i], "0")
	}
	stop := make(chan struct{})
	added := make([]map[string]int, writers)
	var writing sync.WaitGroup
	for w := range writers {
		added[w] = make(map[string]int)
		wc, rng := dial(t, source), rand.New(rand.NewPCG(seed, uint64(w)))
		writing.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				key := keys[rng.IntN(counters)]
				if r := wc.do("EVAL", incrHere, "1", key); strings.HasPrefix(r, ":") && r != ":0\r\n" {
					added[w][key]++
				}
			}
		})
	}
	_, port, _ := net.SplitHostPort(target.Addr().String())
	again := 0
	for first := 0; first < counters; first += 30 {
		request := append([]string{"MIGRATE", "127.0.0.1", port, "", "0", "10000", "REPLACE", "KEYS"}, keys[first:first+30]...)
		for {
			r := c.do(request...)
			if r == "+OK\r\n" || r == "+NOKEY\r\n" {
				break
			}
			if r != "-"+string(errMigrateChanged)+"\r\n" {
				t.Fatalf("%q", r)
			}
			again++
		}
	}
	close(stop)
	writing.Wait()
	there, total := dial(t, target), 0
	for _, key := range keys {
		want := 0
		for w := range writers {
			want += added[w][key]
		}
		total += want
		if got := there.do("GET", key); got != fmt.Sprintf("$%d\r\n%d\r\n", len(fmt.Sprint(want)), want) {
			t.Errorf("%s: %q at the target, %d were added here", key, got, want)
		}
	}
	t.Logf("%d additions, %d calls had to be said again", total, again)
	if got := c.do("DBSIZE"); got != ":0\r\n" {
		t.Errorf("DBSIZE here: %q", got)
	}
}
