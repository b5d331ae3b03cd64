package chaos

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"dkv/tests/chaos/history"
	"dkv/tests/harness"
)

// pause after an error, so that clients of a cluster that is down do not spin.
const pause = 20 * time.Millisecond

// load is the clients of a round.
type load struct {
	cluster *harness.Cluster
	book    *history.Book
	stale   bool // see Options.staleReads
	stop    atomic.Bool
	wg      sync.WaitGroup

	mu struct {
		sync.Mutex
		operations, nothing, unknown int
		errors                       map[string]int
		wrong                        []string // what no server may do
		lastWrite                    time.Time
		longestGap                   time.Duration
	}
}

// client is one connection after the other, each to a node of its choice.
type client struct {
	*load
	number int
	rng    *rand.Rand
	conn   *harness.Conn
	serial int // makes texts and tokens unique
}

// call is an operation that was sent.
type call struct {
	group *history.Group
	in    history.Input
	count int // of replies
	at    int64
}

func startLoad(c *harness.Cluster, book *history.Book, o Options, seed uint64) *load {
	l := &load{cluster: c, book: book, stale: o.staleReads}
	l.mu.errors = make(map[string]int)
	l.mu.lastWrite = time.Now()
	for i := range o.Clients {
		one := &client{load: l, number: i, rng: rand.New(rand.NewPCG(seed, uint64(i)))}
		l.wg.Go(one.run)
	}
	return l
}

// end stops the clients and waits for their last replies.
func (l *load) end() {
	l.stop.Store(true)
	l.wg.Wait()
}

func (c *client) run() {
	for !c.stop.Load() {
		if c.conn == nil && !c.connect() {
			time.Sleep(pause)
			continue
		}
		var err error
		if c.rng.IntN(12) == 0 {
			err = c.compareSet()
		} else {
			err = c.pipeline()
		}
		if err != nil {
			c.conn.Close()
			c.conn = nil
		}
	}
	if c.conn != nil {
		c.conn.Close()
	}
}

func (c *client) connect() bool {
	nodes := c.cluster.Nodes()
	conn, err := nodes[c.rng.IntN(len(nodes))].Connect()
	if err != nil {
		c.note(func() { c.load.mu.errors["(no connection)"]++ })
		return false
	}
	c.conn = conn
	if c.stale {
		conn.SetDeadline(time.Now().Add(callLimit))
		conn.Call("READONLY")
	}
	return true
}

// pipeline sends some operations at once and reads their replies. Before them
// goes a token: a reply that belongs to another connection would show.
func (c *client) pipeline() error {
	n := 1
	if c.rng.IntN(3) == 0 {
		n += c.rng.IntN(6)
	}
	token := c.text()
	c.conn.Queue("ECHO", token)
	calls := make([]call, n)
	for i := range calls {
		g := c.book.Pick(c.rng)
		calls[i] = call{group: g, in: c.choose(g)}
		args := commands(g, calls[i].in)
		calls[i].count = len(args)
		for _, a := range args {
			c.conn.Queue(a...)
		}
	}
	at := c.book.Now()
	for i := range calls {
		calls[i].at = at
	}
	c.conn.SetDeadline(time.Now().Add(callLimit))
	err := c.conn.Flush()
	if err == nil {
		var r harness.Reply
		if r, err = c.conn.Read(); err == nil && string(r.Str) != token {
			c.wrong("ECHO %s was answered %s", token, r)
		}
	}
	for _, one := range calls {
		var last harness.Reply
		for range one.count {
			if err != nil {
				last = harness.Reply{}
				break
			}
			last, err = c.conn.Read()
		}
		if err != nil {
			last = harness.Reply{}
		}
		c.record(one, last)
	}
	return err
}

// compareSet changes a key if it still holds what it was seen to hold.
func (c *client) compareSet() error {
	g := c.book.Pick(c.rng)
	one := call{group: g, in: history.Input{Kind: history.CompareSet, Key: c.rng.IntN(2)}}
	one.in.Texts[0] = c.textFor(g)
	key := g.Keys[one.in.Key]
	c.conn.SetDeadline(time.Now().Add(callLimit))
	c.conn.Queue("WATCH", key)
	c.conn.Queue("GET", key)
	one.at = c.book.Now()
	if err := c.conn.Flush(); err != nil {
		return err
	}
	watch, err := c.conn.Read()
	if err != nil {
		return err
	}
	get, err := c.conn.Read()
	if err != nil {
		return err
	}
	out, what := parse(history.Input{Kind: history.Get}, get)
	if watch.IsError() || what != done {
		c.refused(watch)
		c.refused(get)
		// Whatever is watched now, the next transaction must not depend on it.
		_, err := c.conn.Call("UNWATCH")
		return err
	}
	g.Add(c.number, history.Input{Kind: history.Get, Key: one.in.Key}, out, one.at, c.book.Now())
	one.in.Expect = out.Values[0]

	for _, args := range transaction([]string{"SET", key, one.in.Texts[0]}) {
		c.conn.Queue(args...)
	}
	var last harness.Reply
	if err = c.conn.Flush(); err == nil {
		for range 3 {
			if last, err = c.conn.Read(); err != nil {
				last = harness.Reply{}
				break
			}
		}
	}
	c.record(one, last)
	return err
}

// record writes down what became of an operation.
func (c *client) record(one call, last harness.Reply) {
	ret := c.book.Now()
	out, what := parse(one.in, last)
	switch what {
	case wrong:
		c.wrong("%v on %s was answered %s", one.in, one.group.Keys[one.in.Key], last)
		return
	case unknown:
		out.Unknown = true
		one.group.Add(c.number, one.in, out, one.at, ret)
	case done:
		one.group.Add(c.number, one.in, out, one.at, ret)
	}
	c.note(func() {
		l := c.load
		switch what {
		case done:
			l.mu.operations++
			if !one.in.Kind.Reads() {
				l.gapLocked()
			}
		case nothing:
			l.mu.nothing++
		case unknown:
			l.mu.unknown++
		}
	})
	if last.IsError() || len(last.Raw) == 0 {
		c.refused(last)
	}
}

// refused counts an error and waits a little.
func (c *client) refused(r harness.Reply) {
	switch {
	case r.IsError():
		c.note(func() { c.load.mu.errors[errorWord(r)]++ })
		if errorOutcome(r) == wrong {
			c.wrong("an error that says nothing about the cluster: %s", r)
		}
	case len(r.Raw) == 0:
		c.note(func() { c.load.mu.errors["(no reply)"]++ })
	default:
		return
	}
	time.Sleep(pause)
}

func (c *client) choose(g *history.Group) history.Input {
	kinds := []history.Kind{history.Get, history.Get, history.Get, history.MGet, history.Set, history.Set,
		history.SetNX, history.GetSet, history.Append, history.Del, history.SetPair, history.GetPair}
	if g.Counted {
		kinds = []history.Kind{history.Get, history.MGet, history.Incr, history.Incr, history.Incr,
			history.IncrPair, history.IncrPair, history.GetPair, history.Del}
	}
	in := history.Input{Kind: kinds[c.rng.IntN(len(kinds))], Key: c.rng.IntN(2)}
	switch in.Kind {
	case history.Set, history.SetNX, history.GetSet, history.Append:
		in.Texts[0] = c.text()
	case history.SetPair:
		in.Texts = [2]string{c.text(), c.text()}
	}
	return in
}

// textFor returns what may be written to a group by SET.
func (c *client) textFor(g *history.Group) string {
	if !g.Counted {
		return c.text()
	}
	// Unique too, and leaves room to count up from.
	c.serial++
	return fmt.Sprintf("%d%06d000", c.number+1, c.serial)
}

// text returns a text that nobody wrote before.
func (c *client) text() string {
	c.serial++
	return fmt.Sprintf("<%d.%d>", c.number, c.serial)
}

func (c *client) wrong(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	c.note(func() {
		const most = 20
		if l := c.load; len(l.mu.wrong) < most {
			l.mu.wrong = append(l.mu.wrong, text)
		}
	})
}

func (c *client) note(f func()) {
	c.load.mu.Lock()
	defer c.load.mu.Unlock()
	f()
}

// gapLocked takes note of an acknowledged write.
func (l *load) gapLocked() {
	now := time.Now()
	l.mu.longestGap = max(l.mu.longestGap, now.Sub(l.mu.lastWrite))
	l.mu.lastWrite = now
}
