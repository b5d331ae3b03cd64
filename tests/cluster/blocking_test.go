package cluster

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dkv/tests/harness"
)

// queues is producers and consumers that keep account of what they were told.
type queues struct {
	t       *testing.T
	cluster *harness.Cluster
	stop    atomic.Bool
	tokens  atomic.Int64
	wg      sync.WaitGroup
	mu      struct {
		sync.Mutex
		acked     map[string]bool // pushed for certain
		popped    map[string]int
		uncertain int // pops of which nobody knows
		refused   int
	}
}

const (
	producers     = 4
	consumers     = 12
	queueCount    = 3
	consumerBatch = 2 // elements that one pop takes at most
)

// connected runs f with connections to one node after the other until the end.
func (q *queues) connected(first int, f func(c *harness.Conn) error) {
	for i := first; !q.stop.Load(); i++ {
		c, err := q.cluster.Nodes()[i%3].Connect()
		if err != nil {
			time.Sleep(refusalsPause)
			continue
		}
		for !q.stop.Load() {
			if err := f(c); err != nil {
				break
			}
		}
		c.Close()
	}
}

func (q *queues) produce(c *harness.Conn) error {
	token := fmt.Sprintf("<%d>", q.tokens.Add(1))
	c.SetDeadline(time.Now().Add(replyLimit))
	r, err := c.Call("LPUSH", fmt.Sprintf("queue{%d}", q.tokens.Load()%queueCount), token)
	if err == nil && !r.IsError() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.mu.acked[token] = true
	}
	return err
}

func (q *queues) consume(number int) func(c *harness.Conn) error {
	key := fmt.Sprintf("queue{%d}", number%queueCount)
	args := []string{"BRPOP", key, "0.5"}
	if number%2 == 0 {
		args = []string{"BLMPOP", "0.5", "1", key, "RIGHT", "COUNT", fmt.Sprint(consumerBatch)}
	}
	return func(c *harness.Conn) error {
		c.SetDeadline(time.Now().Add(replyLimit))
		r, err := c.Call(args...)
		q.mu.Lock()
		defer q.mu.Unlock()
		switch text := string(r.Raw); {
		case err != nil, strings.HasPrefix(text, "-UNCERTAIN"):
			q.mu.uncertain++
		case strings.HasPrefix(text, "-CLUSTERDOWN"):
			q.mu.refused++
		case r.IsError():
			q.t.Errorf("%q: %s", args, r)
		default:
			q.took(text)
		}
		return err
	}
}

// took notes the tokens in a reply.
func (q *queues) took(reply string) {
	for word := range strings.SplitSeq(reply, "\r\n") {
		if strings.HasPrefix(word, "<") {
			q.mu.popped[word]++
		}
	}
}

func (q *queues) count() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.mu.popped)
}

// mustFlow waits until some more elements are popped.
func (q *queues) mustFlow() {
	q.t.Helper()
	n := q.count()
	harness.Until(q.t, backLimit, "popped elements", func() bool { return q.count() > n+50 })
}

// Leaders die, hang and are cut off while clients of all nodes wait in blocking pops
// and others push: every element that was pushed is popped once, or is still there,
// or the pop that may have taken it ended as uncertain.
func TestBlockingPopsThroughFailover(t *testing.T) {
	c := wired(t)
	q := &queues{t: t, cluster: c}
	q.mu.acked, q.mu.popped = make(map[string]bool), make(map[string]int)
	for i := range producers {
		q.wg.Go(func() { q.connected(i, q.produce) })
	}
	for i := range consumers {
		q.wg.Go(func() { q.connected(i, q.consume(i)) })
	}
	q.mustFlow()
	for range 2 {
		leader := c.MustLeader(t)
		leader.Kill()
		q.mustFlow()
		restart(t, leader)
		q.mustFlow()

		leader = c.MustLeader(t)
		c.Isolate(leader)
		if err := c.AwaitWrites(backLimit, c.Others(leader)...); err != nil {
			t.Fatal(err)
		}
		q.mustFlow()
		c.Heal()
		q.mustFlow()
	}
	q.stop.Store(true)
	q.wg.Wait()
	c.MustAwaitWrites(t, backLimit)
	same(t, c)
	conn := c.Nodes()[0].Dial(t)
	for i := range queueCount {
		q.took(string(conn.Do("LRANGE", fmt.Sprintf("queue{%d}", i), "0", "-1").Raw))
	}
	lost := 0
	for token := range q.mu.acked {
		if q.mu.popped[token] == 0 {
			lost++
		}
	}
	for token, n := range q.mu.popped {
		if n > 1 {
			t.Errorf("%s was popped %d times", token, n)
		}
	}
	t.Logf("%d pushed for certain, %d popped, %d pops uncertain, %d refused, %d not found", len(q.mu.acked), len(q.mu.popped), q.mu.uncertain, q.mu.refused, lost)
	if lost > consumerBatch*q.mu.uncertain {
		t.Errorf("%d elements were lost, and only %d pops are uncertain", lost, q.mu.uncertain)
	}
	for _, n := range c.Nodes() {
		conn := n.Dial(t)
		harness.Until(t, backLimit, "no blocked clients", func() bool { return conn.Info("clients")["blocked_clients"] == "0" })
	}
}
