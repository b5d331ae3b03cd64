package server

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// queueLoad is producers and consumers of queues that keep account of what they were
// told.
type queueLoad struct {
	t       *testing.T
	servers []*Server
	stop    chan struct{}
	wg      sync.WaitGroup
	mu      struct {
		sync.Mutex
		pushed    map[string]bool // acknowledged
		popped    map[string]int
		uncertain int
		served    int // by a command that could wait
	}
}

func (l *queueLoad) dial(r *rand.Rand) *client {
	c := dial(l.t, l.servers[r.IntN(len(l.servers))])
	if err := c.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil { // it lasts as long as the load
		l.t.Error(err)
	}
	return c
}

func (l *queueLoad) key(r *rand.Rand) string { return fmt.Sprintf("{q}%d", r.IntN(4)) }

// produce pushes tokens in pipelines, between which others are served, and in
// transactions.
func (l *queueLoad) produce(number int, r *rand.Rand) {
	c := l.dial(r)
	defer c.Close()
	for n := 0; ; n++ {
		select {
		case <-l.stop:
			return
		default:
		}
		var raw strings.Builder
		var tokens []string
		inMulti := r.IntN(3) == 0
		if inMulti {
			raw.WriteString(request("MULTI"))
		}
		for i := range 1 + r.IntN(4) {
			tokens = append(tokens, fmt.Sprintf("%d.%d.%d", number, n, i))
			raw.WriteString(request([]string{"LPUSH", "RPUSH"}[r.IntN(2)], l.key(r), tokens[i]))
		}
		if inMulti {
			raw.WriteString(request("EXEC"))
		}
		c.send(raw.String())
		var acked []bool
		if inMulti {
			for range tokens {
				c.reply()
			}
			c.reply()
			ok := strings.HasPrefix(c.reply(), "*")
			for range tokens {
				acked = append(acked, ok)
			}
		} else {
			for range tokens {
				acked = append(acked, strings.HasPrefix(c.reply(), ":"))
			}
		}
		l.mu.Lock()
		for i, token := range tokens {
			if acked[i] {
				l.mu.pushed[token] = true
			}
		}
		l.mu.Unlock()
	}
}

// consume sends pipelines in which commands that wait stand between others, and
// checks that the replies come in their order.
func (l *queueLoad) consume(number int, r *rand.Rand) {
	c := l.dial(r)
	defer c.Close()
	for n := 0; ; n++ {
		select {
		case <-l.stop:
			return
		default:
		}
		var raw strings.Builder
		var kinds []string
		for i := range 1 + r.IntN(5) {
			mark := fmt.Sprintf("%d.%d.%d", number, n, i)
			timeout := fmt.Sprintf("0.0%d", 1+r.IntN(5))
			a, b := l.key(r), l.key(r)
			args := [][]string{{"BLPOP", a, b, timeout}, {"BRPOP", a, timeout}, {"BLMPOP", timeout, "2", a, b, "LEFT", "COUNT", "3"},
				{"BLMOVE", a, b, "LEFT", "RIGHT", timeout}, {"LPOP", a}, {"RPOP", a, "2"}}[r.IntN(6)]
			kinds = append(kinds, args[0])
			raw.WriteString(request(args...) + request("ECHO", mark))
		}
		if r.IntN(20) == 0 { // the client goes while it waits
			c.send(request("BLPOP", "{q}nothing", "0"))
			c.Close()
			c = l.dial(r)
		}
		c.send(raw.String())
		for i, kind := range kinds {
			l.took(kind, c.reply())
			mark := fmt.Sprintf("%d.%d.%d", number, n, i)
			if got := c.reply(); !strings.HasSuffix(got, "\r\n"+mark+"\r\n") {
				l.t.Errorf("after %s: %q, want %s", kind, got, mark)
				return
			}
		}
	}
}

// took notes what a pop replied.
func (l *queueLoad) took(kind, reply string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if strings.HasPrefix(reply, "-") {
		if strings.HasPrefix(reply, "-UNCERTAIN") {
			l.mu.uncertain++
		} else {
			l.t.Errorf("%s: %q", kind, reply)
		}
		return
	}
	if kind == "BLMOVE" {
		return // it stays in a queue
	}
	for word := range strings.SplitSeq(reply, "\r\n") {
		if strings.Count(word, ".") == 2 {
			l.mu.popped[word]++
			if kind[0] == 'B' {
				l.mu.served++
			}
		}
	}
}

func (l *queueLoad) served() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.served
}

// runQueueLoad has clients of servers push and pop while f lasts, which can wait for them to make
// way.
func runQueueLoad(t *testing.T, servers []*Server, f func(flow func())) {
	t.Helper()
	r := rand.New(rand.NewPCG(loopSeed(t), 0))
	l := &queueLoad{t: t, servers: servers, stop: make(chan struct{})}
	l.mu.pushed, l.mu.popped = map[string]bool{}, map[string]int{}
	for i := range 3 {
		p, c := rand.New(rand.NewPCG(r.Uint64(), 1)), rand.New(rand.NewPCG(r.Uint64(), 2))
		l.wg.Go(func() { l.produce(i, p) })
		l.wg.Go(func() { l.consume(2*i, c) })
		d := rand.New(rand.NewPCG(r.Uint64(), 3))
		l.wg.Go(func() { l.consume(2*i+1, d) })
	}
	f(func() {
		t.Helper()
		served := l.served()
		eventually(t, "elements are popped", func() bool { return l.served() > served+50 })
	})
	close(l.stop)
	l.wg.Wait()
	c := dial(t, servers[0])
	for i := range 4 {
		l.took("LRANGE", c.do("LRANGE", fmt.Sprintf("{q}%d", i), "0", "-1"))
	}
	missing := 0
	for token := range l.mu.pushed {
		if n := l.mu.popped[token]; n > 1 {
			t.Errorf("%s was popped %d times", token, n)
		} else if n == 0 {
			missing++
		}
	}
	if missing > 3*l.mu.uncertain { // so many may one command pop
		t.Errorf("%d elements were lost", missing)
	}
	t.Logf("%d pushed, %d served by commands that may wait, %d uncertain", len(l.mu.pushed), l.mu.served, l.mu.uncertain)
	if l.mu.served == 0 {
		t.Error("nobody was served")
	}
}

func TestQueuesAtRandom(t *testing.T) {
	withLoops(t, func(t *testing.T, settings ...string) {
		s := startServer(t, settings...)
		runQueueLoad(t, []*Server{s}, func(flow func()) {
			for range 8 {
				flow()
			}
		})
		eventually(t, "nothing is parked", func() bool { return s.node.Shard(0).Parked() == 0 })
	})
}

func TestQueuesThroughHandovers(t *testing.T) {
	servers := startCluster(t, 3, 1)
	runQueueLoad(t, servers, func(flow func()) {
		for range 5 {
			_, other := leaderAndOther(t, servers)
			if err := other.node.Failover(t.Context()); err != nil {
				t.Log(err)
			}
			flow()
		}
	})
	for _, s := range servers {
		eventually(t, "nothing is parked", func() bool { return s.node.Shard(0).Parked() == 0 })
	}
}
