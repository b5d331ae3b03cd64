package cluster

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dkv/tests/harness"
)

// Members die, hang and come back while others publish and write. A publisher is always
// served at once; subscribers on members that are well get all of its messages, and
// those on the others some, in order and never twice. The same holds for keyspace events,
// of which nobody that stays connected misses one.
func TestPublishUnderFaults(t *testing.T) {
	const slow = 2 * time.Second // a busy machine included
	c := local(t, 3, "-notify-keyspace-events", "Eh")
	nodes := c.Nodes()
	publisher, victim := nodes[0], nodes[2]
	subs := make([]*subscriber, len(nodes))
	for i, n := range nodes {
		subs[i] = subscribe(t, n)
	}
	p := publisher.Dial(t)
	sent := 0
	publish := func(n int) {
		t.Helper()
		for range n {
			began := time.Now()
			p.SetDeadline(time.Now().Add(backLimit))
			if r := p.DoInt("PUBLISH", "news", strconv.Itoa(sent)); r != 1 {
				t.Fatalf("message %d has %d receivers on its node", sent, r)
			}
			sent++
			if took := time.Since(began); took > slow {
				t.Errorf("PUBLISH took %v", took)
			}
		}
	}
	events := 0
	write := func(n int) {
		t.Helper()
		for range n {
			if r := p.Do("HSET", "events", "f", strconv.Itoa(events)); r.IsError() {
				t.Fatal(r)
			}
			events++
		}
	}
	arrived := func(s *subscriber) {
		t.Helper()
		harness.Until(t, backLimit, "the messages to arrive", func() bool { return s.last.Load() == int64(sent-1) })
	}
	// From when on messages flow to a member cannot be told but by trying.
	flows := func(s *subscriber) {
		t.Helper()
		harness.Until(t, backLimit, "messages to flow again", func() bool {
			publish(1)
			return s.last.Load() >= int64(sent-1)
		})
	}
	flows(subs[1])
	flows(subs[2])
	from := [...]int{1: sent, 2: sent}
	publish(200)
	write(50)
	arrived(subs[1])
	arrived(subs[2])
	if n := subs[2].after(from[2]); n != 200 {
		t.Errorf("%d of 200 messages have come to a healthy member", n)
	}

	victim.Pause()
	publish(200)
	awaitWrites(t, c, nodes[:2])
	write(50)
	arrived(subs[1])
	victim.Resume()
	flows(subs[2])

	victim.Kill()
	publish(200)
	awaitWrites(t, c, nodes[:2])
	write(50)
	arrived(subs[1])
	restart(t, victim)
	subs[2].end()
	late := subscribe(t, victim)
	flows(late)
	publish(200)
	write(50)
	arrived(late)
	arrived(subs[1])
	if n := subs[1].after(from[1]); n != sent-from[1] {
		t.Errorf("the member that was never hurt has got %d of %d messages", n, sent-from[1])
	}
	for i, s := range subs[:2] {
		harness.Until(t, backLimit, "the events to arrive", func() bool { return s.events.Load() >= int64(events) })
		if n := s.events.Load(); n != int64(events) {
			t.Errorf("node %d has told of %d events, there were %d", i+1, n, events)
		}
	}
	for _, s := range append(subs, late) {
		s.end()
		if s.wrong != "" {
			t.Error(s.wrong)
		}
	}
}

// subscriber reads what one member tells.
type subscriber struct {
	conn    *harness.TestConn
	reading sync.WaitGroup
	last    atomic.Int64 // message
	events  atomic.Int64
	mu      sync.Mutex
	got     []int
	wrong   string // read after end
}

func subscribe(t *testing.T, n *harness.Node) *subscriber {
	t.Helper()
	s := &subscriber{conn: n.Dial(t)}
	s.last.Store(-1)
	s.conn.Do("SUBSCRIBE", "news")
	s.conn.Do("SUBSCRIBE", "__keyevent@0__:hset")
	s.conn.SetDeadline(time.Time{})
	s.reading.Go(s.read)
	return s
}

func (s *subscriber) read() {
	for {
		r, err := s.conn.Read()
		if err != nil {
			return // ended, or its server was killed
		}
		if len(r.Elems) != 3 {
			s.wrong = fmt.Sprintf("a message %s", r)
			return
		}
		if strings.HasPrefix(string(r.Elems[1].Str), "__") {
			s.events.Add(1)
			continue
		}
		n, err := strconv.Atoi(string(r.Elems[2].Str))
		if err != nil || int64(n) <= s.last.Load() {
			s.wrong = fmt.Sprintf("message %s after %d", r, s.last.Load())
			return
		}
		s.mu.Lock()
		s.got = append(s.got, n)
		s.mu.Unlock()
		s.last.Store(int64(n))
	}
}

// after counts the messages from one on.
func (s *subscriber) after(from int) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.got {
		if m >= from {
			n++
		}
	}
	return n
}

func (s *subscriber) end() {
	s.conn.Close()
	s.reading.Wait()
}

func awaitWrites(t *testing.T, c *harness.Cluster, nodes []*harness.Node) {
	t.Helper()
	if err := c.AwaitWrites(backLimit, nodes...); err != nil {
		t.Fatal(err)
	}
}
