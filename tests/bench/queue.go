package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"dkv/tests/harness"
)

const (
	queueClients = 20
	// queuePairs is how many elements a client adds and takes in one pipeline.
	queuePairs = 16
	// queueDepth is how many elements a queue has all the time.
	queueDepth = 10_000
	// queueSlices is in how many parts a run is reported.
	queueSlices = 10
	queueKey    = "queue"
	maxLatency  = time.Minute
)

// queue is a way to use a collection as a queue: one command adds an element,
// another takes one away.
type queue struct {
	row  string
	name string
	add  func(n int64) []string
	take []string
	size string
}

var queues = []queue{
	{"queue-list", "LPUSH, RPOP", func(n int64) []string { return []string{"LPUSH", queueKey, job(n)} }, []string{"RPOP", queueKey}, "LLEN"},
	{"queue-zset", "ZADD, ZPOPMIN", func(n int64) []string { return []string{"ZADD", queueKey, strconv.FormatInt(n, 10), job(n)} },
		[]string{"ZPOPMIN", queueKey}, "ZCARD"},
	{"queue-stream", "XADD, XTRIM", func(n int64) []string { return []string{"XADD", queueKey, "*", "job", job(n)} },
		[]string{"XTRIM", queueKey, "MAXLEN", strconv.Itoa(queueDepth)}, "XLEN"},
}

func queueRows() []string {
	var names []string
	for _, q := range queues {
		names = append(names, q.row)
	}
	return names
}

func job(n int64) string { return fmt.Sprintf("job:%016d", n) }

// queueSlice is a part of a run: as many operations as each other one.
type queueSlice struct {
	ended     time.Time
	latencies *hdrhistogram.Histogram // of pipelines, in microseconds
}

// queueRun is what a server did.
type queueRun struct {
	queue  queue
	began  time.Time
	slices []queueSlice
	each   int // operations of a slice
}

// measureQueue uses a queue of a server at rest for c.queueOps operations.
func measureQueue(c config, q queue, s contender) (*queueRun, error) {
	if err := drop(s.server, queueKey); err != nil {
		return nil, err
	}
	var next, done atomic.Int64
	conn, err := s.server.Connect()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	for range queueDepth {
		if r, err := conn.Call(q.add(next.Add(1))...); err != nil || r.IsError() {
			return nil, fmt.Errorf("%s: %s, %v", q.name, r, err)
		}
	}
	if err := settle([]contender{s}); err != nil {
		return nil, err
	}
	run := &queueRun{queue: q, began: time.Now(), each: max(1, c.queueOps/queueSlices)}
	run.slices = make([]queueSlice, queueSlices)
	for i := range run.slices {
		run.slices[i].latencies = newLatencies()
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	failures := make(chan error, queueClients)
	for range queueClients {
		wg.Go(func() {
			client := queueClient{run: run, next: &next, done: &done, mu: &mu}
			if err := client.work(s.server); err != nil {
				failures <- err
			}
		})
	}
	wg.Wait()
	close(failures)
	if err := <-failures; err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", q.name, err, s.server.Logs())
	}
	if r, err := conn.Call(q.size, queueKey); err != nil || !isInt(r, queueDepth) {
		return nil, fmt.Errorf("%s: %s elements are left, not %d (%v)", q.name, r, queueDepth, err)
	}
	return run, nil
}

func isInt(r harness.Reply, want int64) bool {
	n, ok := r.Int()
	return ok && n == want
}

func newLatencies() *hdrhistogram.Histogram { return hdrhistogram.New(1, maxLatency.Microseconds(), 3) }

// queueClient is a connection that adds and takes in turn, queuePairs at a time.
type queueClient struct {
	run        *queueRun
	next, done *atomic.Int64
	mu         *sync.Mutex // of run.slices
}

func (c *queueClient) work(s *harness.Server) error {
	conn, err := s.Connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	for {
		for range queuePairs {
			conn.Queue(c.run.queue.add(c.next.Add(1))...)
			conn.Queue(c.run.queue.take...)
		}
		sent := time.Now()
		if err := conn.Flush(); err != nil {
			return err
		}
		for range 2 * queuePairs {
			if err := skipReply(conn.Reader()); err != nil {
				return err
			}
		}
		took := time.Since(sent)
		total := c.done.Add(2 * queuePairs)
		slice := int(total-1) / c.run.each
		if slice >= len(c.run.slices) {
			return nil
		}
		c.mu.Lock()
		c.run.slices[slice].ended = time.Now()
		err := c.run.slices[slice].latencies.RecordValue(took.Microseconds())
		c.mu.Unlock()
		if err != nil {
			return fmt.Errorf("a pipeline took %v: %w", took, err)
		}
	}
}

// skipReply reads a reply without keeping it: the client shares the machine with the
// server. An error, a nil and an empty array are errors: the queue is never empty.
func skipReply(r *bufio.Reader) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	kind := line[0]
	if kind == ':' {
		return nil
	}
	n, err := strconv.Atoi(string(bytes.TrimSpace(line[1:])))
	if err != nil || n <= 0 || kind != '$' && kind != '*' {
		return fmt.Errorf("the reply is %q", line)
	}
	if kind == '$' {
		_, err := r.Discard(n + len("\r\n"))
		return err
	}
	for range n {
		if err := skipReply(r); err != nil {
			return err
		}
	}
	return nil
}

// measureQueues measures the queues that c names. Redis is not asked: what counts is
// that the last million operations take what the first took.
func measureQueues(c config) ([]*queueRun, error) {
	var out []*queueRun
	for _, q := range queues {
		if !c.has(q.row) {
			continue
		}
		server, err := startDkv(c, q.row, "-fsync", "everysec")
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(c.progress, "%s: %d operations\n", q.row, c.queueOps)
		run, err := measureQueue(c, q, contender{name: "dkv", server: server})
		server.Kill()
		if err != nil {
			return nil, err
		}
		out = append(out, run)
	}
	return out, nil
}

// printQueues prints a line for each part of each run.
func printQueues(w io.Writer, runs []*queueRun) {
	for _, r := range runs {
		fmt.Fprintf(w, "\n%s, %d clients, pipelines of %d, %d elements all the time:\n\n", r.queue.name, queueClients, 2*queuePairs, queueDepth)
		fmt.Fprintln(w, "| operations | a second | p50 ms | p99 | p99.9 | max |")
		fmt.Fprintln(w, "|---:|---:|---:|---:|---:|---:|")
		from := r.began
		for i, s := range r.slices {
			at := func(percent float64) float64 { return float64(s.latencies.ValueAtQuantile(percent)) / 1000 }
			fmt.Fprintf(w, "| to %d | %.0f | %.2f | %.2f | %.2f | %.2f |\n", (i+1)*r.each, float64(r.each)/s.ended.Sub(from).Seconds(),
				at(50), at(99), at(99.9), float64(s.latencies.Max())/1000)
			from = s.ended
		}
	}
}
