package cluster

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dkv/tests/harness"
)

// load is writers that keep account of what they were told. Each writes tokens
// that nobody else writes: to a log of its own (APPEND), counted (INCR), and in
// a transaction to two logs that all writers share.
type load struct {
	number  int64 // of the load: each has keys of its own
	cluster *harness.Cluster
	via     []*harness.Node // where the writers connect; nil: any member
	stop    atomic.Bool
	wg      sync.WaitGroup
	tokens  atomic.Int64

	mu struct {
		sync.Mutex
		entries []entry
		wrong   []string
		last    time.Time // of the last acknowledged write
		longest time.Duration
	}
}

// entry is what became of one token.
type entry struct {
	token, log, counter string
	pair                [2]string
	append, incr, exec  outcome
}

type outcome uint8

const (
	unknown outcome = iota
	refused
	acked
)

const (
	writers       = 6
	tokensPerLog  = 100
	replyLimit    = 15 * time.Second // longer than any pause here
	refusalsPause = 10 * time.Millisecond
)

var loads atomic.Int64

func startLoad(c *harness.Cluster, via ...*harness.Node) *load {
	l := &load{number: loads.Add(1), cluster: c, via: via}
	l.mu.last = time.Now()
	for i := range writers {
		l.wg.Go(func() { l.write(i) })
	}
	return l
}

// end stops the writers, and returns when all have their last replies.
func (l *load) end() {
	l.stop.Store(true)
	l.wg.Wait()
}

// count returns how many tokens were acknowledged in all ways.
func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for i := range l.mu.entries {
		if e := &l.mu.entries[i]; e.append == acked && e.incr == acked && e.exec == acked {
			n++
		}
	}
	return n
}

// mustFlow waits until some more writes are acknowledged.
func (l *load) mustFlow(t *testing.T) {
	t.Helper()
	const more = 20
	n := l.count()
	harness.Until(t, backLimit, "acknowledged writes", func() bool { return l.count() >= n+more })
}

func (l *load) write(number int) {
	rng := rand.New(rand.NewPCG(uint64(number), 7))
	for !l.stop.Load() {
		nodes := l.via
		if nodes == nil {
			nodes = l.cluster.Nodes()
		}
		c, err := nodes[rng.IntN(len(nodes))].Connect()
		if err != nil {
			time.Sleep(refusalsPause)
			continue
		}
		for !l.stop.Load() && l.one(c, number) == nil {
		}
		c.Close()
	}
}

// one writes one token.
func (l *load) one(c *harness.Conn, number int) error {
	serial := l.tokens.Add(1)
	pair := fmt.Sprintf("pair{%d:%d}", l.number, serial/tokensPerLog)
	log := fmt.Sprintf("log{%d:%d:%d}", l.number, number, serial/(writers*tokensPerLog))
	e := entry{token: fmt.Sprintf("<%d.%d>", l.number, serial), log: log, counter: log + "n", pair: [2]string{pair + "l", pair + "r"}}
	c.Queue("ECHO", e.token)
	c.Queue("APPEND", e.log, e.token)
	c.Queue("INCR", e.counter)
	c.Queue("MULTI")
	c.Queue("APPEND", e.pair[0], e.token)
	c.Queue("APPEND", e.pair[1], e.token)
	c.Queue("EXEC")
	c.Queue("SET", "own"+e.token, e.token)
	c.Queue("GET", "own"+e.token)
	c.Queue("MGET", e.pair[0], e.pair[1])
	const replies, appended, incremented, executed, set, got, both = 10, 1, 2, 6, 7, 8, 9
	c.SetDeadline(time.Now().Add(replyLimit))
	err := c.Flush()
	var r [replies]harness.Reply
	for i := range r {
		if err != nil {
			break
		}
		r[i], err = c.Read()
	}
	e.append, e.incr, e.exec = l.outcome(r[appended]), l.outcome(r[incremented]), l.outcome(r[executed])
	l.mu.Lock()
	l.mu.entries = append(l.mu.entries, e)
	if e.append == acked {
		now := time.Now()
		l.mu.longest = max(l.mu.longest, now.Sub(l.mu.last))
		l.mu.last = now
	}
	l.mu.Unlock()
	// Every reply must be this client's own.
	if len(r[0].Raw) > 0 && string(r[0].Str) != e.token {
		l.note("ECHO %s was answered %s", e.token, r[0])
	}
	if string(r[set].Str) == "OK" && r[got].Kind == '$' && string(r[got].Str) != e.token {
		l.note("GET of what was SET to %s was answered %s", e.token, r[got])
	}
	if x := r[executed]; e.exec == acked && (len(x.Elems) != 2 || string(x.Elems[0].Raw) != string(x.Elems[1].Raw)) {
		l.note("a transaction of two APPENDs to equal logs was answered %s", x)
	}
	if m := r[both]; len(m.Elems) == 2 && string(m.Elems[0].Str) != string(m.Elems[1].Str) {
		l.note("MGET saw half a transaction: %.80s, %.80s", m.Elems[0], m.Elems[1])
	}
	if err == nil && (e.append == refused || e.exec == refused) {
		time.Sleep(refusalsPause)
	}
	return err
}

func (l *load) outcome(r harness.Reply) outcome {
	switch text := string(r.Str); {
	case len(r.Raw) == 0 || r.IsError() && strings.HasPrefix(text, "UNCERTAIN "):
		return unknown
	case r.IsError():
		if !strings.HasPrefix(text, "CLUSTERDOWN ") && !strings.HasPrefix(text, "MISCONF ") &&
			text != "ERR The server is shutting down" {
			l.note("a writer was told %s", r)
		}
		return refused
	}
	return acked
}

func (l *load) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	const most = 10
	if len(l.mu.wrong) < most {
		l.mu.wrong = append(l.mu.wrong, fmt.Sprintf(format, args...))
	}
}

// verify compares what a node holds with what the writers were told; each
// check is a test named after what earlier systems got wrong.
func (l *load) verify(t *testing.T, n *harness.Node) {
	t.Helper()
	c := n.Dial(t)
	texts := make(map[string]string)
	text := func(key string) string {
		if _, ok := texts[key]; !ok {
			r := c.Do("GET", key)
			if r.IsError() {
				t.Fatalf("GET %s on node %d: %s", key, n.Number, r)
			}
			texts[key] = string(r.Str)
		}
		return texts[key]
	}
	// times returns how often a token is in a log.
	times := func(log, token string) int { return strings.Count(text(log), token) }

	t.Run("nothing acknowledged is lost", func(t *testing.T) {
		for _, e := range l.mu.entries {
			if e.append == acked && times(e.log, e.token) == 0 {
				t.Errorf("APPEND %s %s was acknowledged and is not there", e.log, e.token)
			}
			if e.exec == acked && times(e.pair[0], e.token) == 0 {
				t.Errorf("a transaction with %s was acknowledged and is not there", e.token)
			}
		}
	})
	t.Run("a definite error means that nothing happened", func(t *testing.T) {
		for _, e := range l.mu.entries {
			if e.append == refused && times(e.log, e.token) != 0 {
				t.Errorf("APPEND %s %s was refused and happened", e.log, e.token)
			}
			if e.exec == refused && times(e.pair[0], e.token)+times(e.pair[1], e.token) != 0 {
				t.Errorf("a transaction with %s was refused and happened", e.token)
			}
		}
	})
	t.Run("nothing is done twice", func(t *testing.T) {
		low, high := make(map[string]int64), make(map[string]int64)
		for _, e := range l.mu.entries {
			if times(e.log, e.token) > 1 || times(e.pair[0], e.token) > 1 || times(e.pair[1], e.token) > 1 {
				t.Errorf("%s was appended more than once", e.token)
			}
			if e.incr == acked {
				low[e.counter]++
			}
			if e.incr != refused {
				high[e.counter]++
			}
		}
		for key, most := range high {
			var got int64
			fmt.Sscan(text(key), &got)
			if got < low[key] || got > most {
				t.Errorf("%s is %d; INCR was acknowledged %d times, and may have happened %d times", key, got, low[key], most)
			}
		}
	})
	t.Run("transactions are not interleaved", func(t *testing.T) {
		for _, e := range l.mu.entries {
			if text(e.pair[0]) != text(e.pair[1]) {
				t.Fatalf("%s and %s are not the same:\n%s\n%s", e.pair[0], e.pair[1], text(e.pair[0]), text(e.pair[1]))
			}
		}
	})
	t.Run("replies reach who asked", func(t *testing.T) {
		for _, w := range l.mu.wrong {
			t.Error(w)
		}
	})
	sums := make(map[outcome]int)
	for _, e := range l.mu.entries {
		sums[e.append]++
	}
	t.Logf("%d tokens: %d acknowledged, %d refused, %d unknown; longest gap %v",
		len(l.mu.entries), sums[acked], sums[refused], sums[unknown], l.mu.longest)
}
