package main

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

const (
	maxReplicas = 3
	// sourceLogBytes is what the source keeps of its log for the replicas that do not run for a while.
	sourceLogBytes = 8 << 30
	// lossPerReplica is how much of its rate a source may lose for each replica, on a
	// machine with a core to spare.
	lossPerReplica = 0.15
)

// sourceRow is a source with so many replicas.
type sourceRow struct {
	pipeline, replicas int
	rates              []float64 // SETs a second
	source             []float64 // processor time of the source, us a SET
	others             []float64 // of all its replicas together
}

// measureSources measures a source with none to three replicas, in turn. Those that
// are not wanted do not run; they catch up before they are measured with. sinks stand in
// for replicas on other machines.
func measureSources(c config, sinks bool) ([]*sourceRow, error) {
	p, err := startSources(c, sinks)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	if _, err := fillScattered(p.source, c.keys, valueBytes); err != nil {
		return nil, err
	}
	if err := p.awaitSame(); err != nil {
		return nil, err
	}
	var rows []*sourceRow
	var counts []int
	for n := range maxReplicas + 1 {
		rows = append(rows, &sourceRow{pipeline: 1, replicas: n}, &sourceRow{pipeline: 32, replicas: n})
		counts = append(counts, n)
	}
	requests := map[int]int{} // a pipeline length's, which fill the time
	for round := range c.rounds {
		for _, n := range counts {
			if err := p.run(n); err != nil {
				return nil, err
			}
			for _, r := range rows[2*n : 2*n+2] {
				if err := r.measure(c, p, requests); err != nil {
					return nil, err
				}
				fmt.Fprintf(c.progress, "sources: round %d: %d replicas, -P %-2d %9.0f/s, %.1f us of the source, %.1f us of replicas\n", round+1, n,
					r.pipeline, r.rates[round], r.source[round], r.others[round])
			}
		}
		slices.Reverse(counts)
	}
	return rows, nil
}

// startSources starts a source, and replicas or sinks.
func startSources(c config, sinks bool) (*pair, error) {
	p := &pair{}
	var err error
	if p.source, err = startDkv(c, fmt.Sprint("sources-", sinks), "-repl-log-size", strconv.Itoa(sourceLogBytes)); err != nil {
		return nil, err
	}
	for i := range maxReplicas {
		if sinks {
			p.sinks = append(p.sinks, &sink{name: fmt.Sprint("sink-", i+1)})
		} else if err := p.add(c, fmt.Sprint("sources-replica-", i+1), "-role", "slave", "-repl-master-addr", p.source.Addr()); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// run has the first n replicas run, and no others, and waits until they have caught up.
func (p *pair) run(n int) error {
	for i, r := range p.replicas {
		switch {
		case i < n && r.PID() == 0:
			if err := r.Start(); err != nil {
				return err
			}
		case i >= n && r.PID() != 0:
			if _, err := r.Terminate(stopLimit); err != nil {
				return err
			}
		}
	}
	for i, s := range p.sinks {
		var err error
		if i >= n {
			err = s.stop()
		} else if s.conn == nil {
			err = s.start(p.source)
		}
		if err != nil {
			return err
		}
	}
	return p.awaitSame()
}

// measure is one run. The replicas' processor time counts until they have caught up,
// the source's likewise.
func (r *sourceRow) measure(c config, p *pair, requests map[int]int) error {
	all := p.contenders()
	if err := settle(all); err != nil {
		return err
	}
	if requests[r.pipeline] == 0 {
		rate, err := redisBenchmark(p.source, c.keys, "set", r.pipeline, 2000*r.pipeline*5)
		if err != nil {
			return err
		}
		requests[r.pipeline] = max(1000, int(rate*c.seconds))
	}
	n := requests[r.pipeline]
	before, err := bothTimes(all)
	if err != nil {
		return err
	}
	rate, err := redisBenchmark(p.source, c.keys, "set", r.pipeline, n)
	if err != nil {
		return err
	}
	if err := p.awaitSame(); err != nil {
		return err
	}
	after, err := bothTimes(all)
	if err != nil {
		return err
	}
	perSet := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 / float64(n) }
	r.rates = append(r.rates, rate)
	r.source = append(r.source, perSet(after[0]-before[0]))
	r.others = append(r.others, perSet(after[1]-before[1]))
	return nil
}

// bothTimes returns the processor time of the first, and of all others.
func bothTimes(all []contender) (t [2]time.Duration, err error) {
	if t[0], err = cpuTime(all[:1]); err != nil {
		return t, err
	}
	t[1], err = cpuTime(all[1:])
	return t, err
}
