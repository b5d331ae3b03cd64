package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"dkv/tests/harness"
)

const (
	outageWriters = 6
	// steadyWrites is how many each writer has acknowledged before a leader is
	// killed, so that the cluster is under load and all connections stand.
	steadyWrites = 50
	outageLimit  = 30 * time.Second
	// redialEvery is the pause before asking again: a writer that failed, and who
	// waits for a leader.
	redialEvery = 5 * time.Millisecond
	// floor and goal of the time until writes flow again.
	outageFloor = 2 * time.Second
	outageGoal  = time.Second
)

// outage is what one kill -9 of the leader did, as times from the kill on. A
// write counts that was sent after the leader was gone, and acknowledged.
type outage struct {
	first time.Duration // until some writer's
	all   time.Duration // until every writer's
}

// measureOutages kills the leader of a cluster under constant writes, again
// and again. The killed node is started again, and has caught up before the
// next kill.
func measureOutages(ctx context.Context, c config) ([]outage, error) {
	dir, err := filepath.Abs(filepath.Join(c.folder, rowOutage))
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(c.progress, "%s: starting\n", rowOutage)
	cluster, err := newCluster(c, dir)
	if err != nil {
		return nil, err
	}
	defer cluster.Close()
	var out []outage
	for kill := range c.kills {
		o, err := killLeader(ctx, cluster)
		if err != nil {
			return nil, fmt.Errorf("kill %d: %w\n%s", kill+1, err, cluster.Logs(40))
		}
		fmt.Fprintf(c.progress, "%s: kill %d: first write after %v, all writers after %v\n", rowOutage, kill+1,
			o.first.Round(time.Millisecond), o.all.Round(time.Millisecond))
		out = append(out, o)
	}
	return out, nil
}

// killLeader measures one outage, and leaves a whole cluster behind.
func killLeader(ctx context.Context, cluster *harness.Cluster) (outage, error) {
	ctx, stop := context.WithTimeout(ctx, outageLimit)
	defer stop()
	nodes := cluster.Nodes()
	leader, err := awaitLeader(ctx, cluster)
	if err != nil {
		return outage{}, err
	}
	var addrs []string
	for _, n := range nodes {
		addrs = append(addrs, n.Addr())
	}
	writers := make([]*writer, outageWriters)
	var wg sync.WaitGroup
	for i := range writers {
		writers[i] = &writer{addrs: addrs, at: i, steady: make(chan struct{}), dead: make(chan struct{}), again: make(chan time.Time, 1)}
		wg.Go(func() { writers[i].run(ctx) })
	}
	defer wg.Wait()
	defer stop()
	for _, w := range writers {
		select {
		case <-w.steady:
		case <-ctx.Done():
			return outage{}, fmt.Errorf("before the kill: %w, %s", ctx.Err(), w.lastError())
		}
	}
	killed := time.Now()
	leader.Kill()
	for _, w := range writers {
		close(w.dead)
	}
	var times []time.Duration
	for _, w := range writers {
		select {
		case at := <-w.again:
			times = append(times, at.Sub(killed))
		case <-ctx.Done():
			return outage{}, fmt.Errorf("a writer gets nothing through: %w, %s", ctx.Err(), w.lastError())
		}
	}
	stop()
	wg.Wait()
	if err := leader.Start(); err != nil {
		return outage{}, err
	}
	return outage{first: slices.Min(times), all: slices.Max(times)}, cluster.AwaitWrites(outageLimit, nodes...)
}

// awaitLeader asks until there is a leader.
func awaitLeader(ctx context.Context, cluster *harness.Cluster) (*harness.Node, error) {
	for {
		if leader := cluster.Leader(0); leader != nil {
			return leader, nil
		}
		select {
		case <-time.After(redialEvery):
		case <-ctx.Done():
			return nil, fmt.Errorf("nobody leads: %w", ctx.Err())
		}
	}
}

// writer writes without a pause, one write in flight, and goes on to the next
// node when one fails it.
type writer struct {
	addrs   []string
	at      int // of addrs; goes on beyond them, and around
	written int
	steady  chan struct{}  // closed when writes flow
	dead    chan struct{}  // closed by the owner when the leader is gone
	again   chan time.Time // gets when run ended, with room for it

	mu struct {
		sync.Mutex
		last error
	}
}

// run ends when a write that was sent after the leader was gone is acknowledged.
func (w *writer) run(ctx context.Context) {
	key := fmt.Sprintf("outage:%d", w.at)
	for ctx.Err() == nil {
		conn, err := harness.Dial(w.addrs[w.at%len(w.addrs)])
		if err == nil {
			release := context.AfterFunc(ctx, func() { conn.Close() })
			err = w.write(conn, key)
			release()
			conn.Close()
			if err == nil {
				return
			}
		}
		w.failed(ctx, err)
	}
}

// write is run on one connection.
func (w *writer) write(conn *harness.Conn, key string) error {
	for {
		after := isClosed(w.dead)
		reply, err := conn.Call("SET", key, fmt.Sprint(w.written))
		if err == nil && reply.IsError() {
			err = errors.New(string(reply.Str))
		}
		if err != nil {
			return err
		}
		if w.written++; w.written == steadyWrites {
			close(w.steady)
		}
		if after {
			w.again <- time.Now()
			return nil
		}
	}
}

// failed moves on to the next node.
func (w *writer) failed(ctx context.Context, err error) {
	w.mu.Lock()
	w.mu.last = err
	w.mu.Unlock()
	w.at++
	select {
	case <-time.After(redialEvery):
	case <-ctx.Done():
	}
}

// lastError is for messages.
func (w *writer) lastError() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprintf("last error: %v", w.mu.last)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
