package main

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"dkv/tests/harness"
)

// ycsbNode is a node that is watched while it serves.
type ycsbNode struct {
	contender
	group *memoryGroup // nil: its memory is not bounded
	conn  *harness.Conn
	end   chan struct{}
	done  sync.WaitGroup

	mu struct {
		sync.Mutex
		samples []ycsbSample
		err     error
	}
}

// ycsbSample is what a node says, and the system of it, at a moment.
type ycsbSample struct {
	at          time.Time
	resident    float64       // bytes
	checkpoints int64         // so far
	last        time.Duration // how long the last one took
}

// watch samples the node until stop.
func (n *ycsbNode) watch() error {
	var err error
	if n.conn, err = n.server.Connect(); err != nil {
		return err
	}
	n.end = make(chan struct{})
	n.done.Go(func() {
		tick := time.NewTicker(sampleInterval)
		defer tick.Stop()
		for {
			s, err := n.sample()
			n.mu.Lock()
			if n.mu.err = err; err == nil {
				n.mu.samples = append(n.mu.samples, s)
			}
			n.mu.Unlock()
			if err != nil {
				return
			}
			select {
			case <-tick.C:
			case <-n.end:
				return
			}
		}
	})
	return nil
}

func (n *ycsbNode) sample() (s ycsbSample, err error) {
	info, err := ask(n.conn, "INFO", "dkv")
	if err != nil {
		return s, fmt.Errorf("%s: %w\n%s", n.name, err, n.server.Logs())
	}
	s.at = time.Now()
	s.checkpoints, s.last = parseCheckpoints(info)
	s.resident, err = residentBytes(n.server.PID())
	return s, err
}

// parseCheckpoints reads the figures of the hot layer's checkpoints; a node without
// one has none.
func parseCheckpoints(info string) (count int64, last time.Duration) {
	for line := range strings.SplitSeq(info, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		v, err := strconv.ParseInt(value, 10, 64)
		switch {
		case err != nil:
		case name == "hot_checkpoints":
			count = v
		case name == "hot_checkpoint_msec_last":
			last = time.Duration(v) * time.Millisecond
		}
	}
	return count, last
}

// killed says that the kernel has ended the node for its memory, if it has.
func (n *ycsbNode) killed() error {
	if n.group == nil {
		return nil
	}
	kills, err := n.group.kills()
	if err == nil && kills > 0 {
		err = fmt.Errorf("%s: the kernel has killed it, since it needed more than its memory", n.name)
	}
	return err
}

// stop ends watching and the server, and returns all samples. It may be called again.
func (n *ycsbNode) stop() ([]ycsbSample, error) {
	if n.end != nil {
		close(n.end)
		n.done.Wait()
		n.conn.Close()
		n.end = nil
	}
	n.server.Kill()
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mu.samples, n.mu.err
}

// during returns the samples of a time.
func (n *ycsbNode) during(from, to time.Time) []ycsbSample {
	n.mu.Lock()
	defer n.mu.Unlock()
	var in []ycsbSample
	for _, s := range n.mu.samples {
		if !s.at.Before(from) && !s.at.After(to) {
			in = append(in, s)
		}
	}
	return in
}

// checkpointSpans says when the checkpoints were that ended between samples. Of several
// between two samples it knows the last.
func checkpointSpans(samples []ycsbSample, began time.Time) []ycsbSpan {
	var spans []ycsbSpan
	for i := 1; i < len(samples); i++ {
		if s := samples[i]; s.checkpoints > samples[i-1].checkpoints {
			to := s.at.Sub(began).Seconds()
			spans = append(spans, ycsbSpan{From: max(0, to-s.last.Seconds()), To: to})
		}
	}
	return spans
}

// ycsbRun joins what dkvbench has measured with what the node has said meanwhile.
func (b *benchRun) ycsbRun(workload string, n *ycsbNode) *ycsbRun {
	r := &ycsbRun{Workload: workload, Node: n.name, Rate: b.Rate, Latency: b.Latency, Series: b.Series}
	samples := n.during(b.Began, b.Began.Add(time.Duration(b.Seconds*float64(time.Second))))
	r.Checkpoints = checkpointSpans(samples, b.Began)
	for _, s := range samples {
		r.Resident = append(r.Resident, ycsbResident{At: s.at.Sub(b.Began).Seconds(), Bytes: s.resident})
	}
	return r
}
