package chaos

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"dkv/tests/harness"
)

// counters are keys that only go up, and connections that read them after
// READONLY: such a read may be stale, but on one connection none may be older
// than the one before, nor name a number that nobody has asked for yet.
type counters struct {
	cluster *harness.Cluster
	keys    []string
	asked   []atomic.Int64 // how often INCR was sent
	acked   []atomic.Int64 // the highest number in a reply
	stop    atomic.Bool
	wg      sync.WaitGroup

	mu struct {
		sync.Mutex
		wrong []string
		reads int
	}
}

const (
	counterKeys    = 3
	counterReaders = 3
	counterPause   = 3 * time.Millisecond
)

func startCounters(c *harness.Cluster, prefix string, seed uint64) *counters {
	s := &counters{cluster: c, asked: make([]atomic.Int64, counterKeys), acked: make([]atomic.Int64, counterKeys)}
	for i := range counterKeys {
		s.keys = append(s.keys, fmt.Sprintf("%s{counter%d}", prefix, i))
	}
	run := func(number int, step func(*harness.Conn, *rand.Rand, []int64) error) {
		rng := rand.New(rand.NewPCG(seed, uint64(number)))
		s.wg.Go(func() {
			for !s.stop.Load() {
				s.connection(rng, step)
				time.Sleep(pause)
			}
		})
	}
	run(100, s.write)
	for i := range counterReaders {
		run(101+i, s.read)
	}
	return s
}

func (s *counters) end() {
	s.stop.Store(true)
	s.wg.Wait()
}

// connection steps on one connection until it breaks.
func (s *counters) connection(rng *rand.Rand, step func(*harness.Conn, *rand.Rand, []int64) error) {
	nodes := s.cluster.Nodes()
	conn, err := nodes[rng.IntN(len(nodes))].Connect()
	if err != nil {
		return
	}
	defer conn.Close()
	seen := make([]int64, counterKeys)
	for !s.stop.Load() {
		conn.SetDeadline(time.Now().Add(callLimit))
		if err := step(conn, rng, seen); err != nil {
			return
		}
		time.Sleep(counterPause)
	}
}

func (s *counters) write(conn *harness.Conn, rng *rand.Rand, _ []int64) error {
	i := rng.IntN(counterKeys)
	before := s.acked[i].Load()
	asked := s.asked[i].Add(1)
	r, err := conn.Call("INCR", s.keys[i])
	if err != nil {
		return err
	}
	n, ok := r.Int()
	if !ok {
		if errorOutcome(r) == nothing {
			s.asked[i].Add(-1) // there is one writer
		}
		return nil
	}
	if n <= before || n > asked {
		s.note("INCR %s was answered %d; %d was acknowledged before, %d asked for", s.keys[i], n, before, asked)
	}
	s.acked[i].Store(n)
	return nil
}

func (s *counters) read(conn *harness.Conn, rng *rand.Rand, seen []int64) error {
	i := rng.IntN(counterKeys)
	if _, err := conn.Call("READONLY"); err != nil {
		return err
	}
	r, err := conn.Call("GET", s.keys[i])
	if err != nil || r.IsError() {
		return err
	}
	n, _ := r.Int()
	if n < seen[i] {
		s.note("READONLY on %s: %s went back from %d to %d", conn.RemoteAddr(), s.keys[i], seen[i], n)
	}
	if asked := s.asked[i].Load(); n > asked {
		s.note("READONLY on %s: %s is %d, only %d were asked for", conn.RemoteAddr(), s.keys[i], n, asked)
	}
	seen[i] = n
	s.mu.Lock()
	s.mu.reads++
	s.mu.Unlock()
	return nil
}

// final checks what a read after everything found.
func (s *counters) final(read func(key string) (int64, error)) error {
	for i, key := range s.keys {
		n, err := read(key)
		if err != nil {
			return err
		}
		if acked, asked := s.acked[i].Load(), s.asked[i].Load(); n < acked || n > asked {
			s.note("%s is %d in the end; %d were acknowledged, %d asked for", key, n, acked, asked)
		}
	}
	return nil
}

func (s *counters) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.wrong = append(s.mu.wrong, fmt.Sprintf(format, args...))
}
