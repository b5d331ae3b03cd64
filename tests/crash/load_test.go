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

const (
	writers       = 8
	maxPipeline   = 24
	pairEvery     = 4 // of a writer's operations one is a transaction
	appendWidth   = 10
	callLimit     = 30 * time.Second
	maxAcked      = 6000 // operations acknowledged before a kill, at most
	minAcked      = 20
	maxRestartGap = 5 * time.Second
)

// writer is one connection's load. It numbers its operations 1, 2, 3 ...; each
// does INCR of a counter and APPEND of the number to a log, and every few of
// them also set two keys to the number in a transaction. So the number that a
// key holds says which of the operations happened.
type writer struct {
	counter, log, left, right string

	// First and last number of the current round: those up to acked have been
	// acknowledged, those up to sent may have happened.
	first, acked, sent int64
	// The last transaction that was acknowledged, and sent.
	ackedPair, sentPair int64
}

func newWriters(round int) []*writer {
	ws := make([]*writer, writers)
	for i := range ws {
		ws[i] = &writer{
			counter: fmt.Sprintf("counter:%d:%d", round, i),
			log:     fmt.Sprintf("log:%d:%d", round, i),
			left:    fmt.Sprintf("left:%d:%d", round, i),
			right:   fmt.Sprintf("right:%d:%d", round, i),
		}
	}
	return ws
}

// run writes in pipelines until the connection breaks, which is no error:
// the server is killed while it runs. It returns what no crash may cause.
func (w *writer) run(addr string, rng *rand.Rand, acked *atomic.Int64) error {
	c, err := harness.Dial(addr)
	if err != nil {
		return nil
	}
	defer c.Close()
	for {
		n := 1 + rng.Int64N(maxPipeline)
		from := w.sent
		for i := from + 1; i <= from+n; i++ {
			c.Queue("INCR", w.counter)
			c.Queue("APPEND", w.log, fmt.Sprintf("%0*d", appendWidth, i))
			if i%pairEvery == 0 {
				c.Queue("MULTI")
				c.Queue("SET", w.left, strconv.FormatInt(i, 10))
				c.Queue("SET", w.right, strconv.FormatInt(i, 10))
				c.Queue("EXEC")
			}
		}
		w.sent = from + n
		w.sentPair = w.sent / pairEvery * pairEvery
		c.SetDeadline(time.Now().Add(callLimit))
		if c.Flush() != nil {
			return nil
		}
		for i := from + 1; i <= from+n; i++ {
			if broken, err := w.readAck(c, i); broken || err != nil {
				return err
			}
			acked.Add(1)
		}
	}
}

// readAck reads the replies of operation i.
func (w *writer) readAck(c *harness.Conn, i int64) (broken bool, err error) {
	want := []string{fmt.Sprintf(":%d\r\n", i), fmt.Sprintf(":%d\r\n", i*appendWidth)}
	if i%pairEvery == 0 {
		want = append(want, "+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n", "*2\r\n+OK\r\n+OK\r\n")
	}
	for k, text := range want {
		r, err := c.Read()
		if err != nil {
			return true, nil
		}
		if string(r.Raw) != text {
			return false, fmt.Errorf("operation %d of %s: reply %d is %s, want %q", i, w.counter, k, r, text)
		}
	}
	w.acked = i
	if i%pairEvery == 0 {
		w.ackedPair = i
	}
	return false, nil
}

// check compares what the server holds after a restart with what it said.
func (w *writer) check(t *testing.T, c *harness.TestConn) {
	t.Helper()
	counter := number(t, c, w.counter)
	if counter < w.acked || counter > w.sent {
		t.Errorf("%s is %d; %d were acknowledged, %d sent", w.counter, counter, w.acked, w.sent)
	}
	left, right := number(t, c, w.left), number(t, c, w.right)
	if left != right {
		t.Errorf("%s is %d, %s is %d: half a transaction", w.left, left, w.right, right)
	}
	if left < w.ackedPair || left > w.sentPair {
		t.Errorf("%s is %d; %d was acknowledged, %d sent", w.left, left, w.ackedPair, w.sentPair)
	}
	log := string(c.Do("GET", w.log).Str)
	entries := int64(len(log) / appendWidth)
	for i := range entries {
		if got := log[i*appendWidth : (i+1)*appendWidth]; got != fmt.Sprintf("%0*d", appendWidth, i+1) {
			t.Errorf("%s: entry %d is %q", w.log, i+1, got)
			break
		}
	}
	// What is there is a prefix of what this connection sent: INCR, then
	// APPEND, then perhaps the transaction, then the next INCR.
	if int64(len(log))%appendWidth != 0 || entries > counter || entries < counter-1 {
		t.Errorf("%s holds %d bytes and %s is %d: not a prefix", w.log, len(log), w.counter, counter)
	}
	if due := entries / pairEvery * pairEvery; left > entries || left < due-pairEvery || counter > entries && left != due {
		t.Errorf("%s is %d with %d entries in %s and %s at %d: not a prefix", w.left, left, entries, w.log, w.counter, counter)
	}
}

// load runs the writers until about limit operations are acknowledged, then
// calls kill while they go on.
func load(t *testing.T, ws []*writer, addr string, rng *rand.Rand, limit int64, kill func()) {
	t.Helper()
	var (
		acked atomic.Int64
		wg    sync.WaitGroup
	)
	for _, w := range ws {
		own := rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))
		wg.Go(func() {
			if err := w.run(addr, own, &acked); err != nil {
				t.Error(err)
			}
		})
	}
	harness.Until(t, callLimit, fmt.Sprintf("%d acknowledged operations", limit), func() bool {
		return acked.Load() >= limit || t.Failed()
	})
	kill()
	wg.Wait()
}

func number(t *testing.T, c *harness.TestConn, key string) int64 {
	t.Helper()
	r := c.Do("GET", key)
	if r.Null {
		return 0
	}
	n, ok := r.Int()
	if !ok {
		t.Fatalf("GET %s: %s", key, r)
	}
	return n
}
