package server

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits of the latency monitor: samples kept of an event, and events. Redis
// has the same number of samples; its events are a fixed set, and so are ours,
// so that the second limit is never met.
const (
	latencySamples = 160
	latencyEvents  = 64
)

// Events that the server reports.
const (
	latencyCommand     = "command"      // a command that is not fast took long
	latencyFastCommand = "fast-command" // an O(1) or O(log n) command took long
)

// latencyMonitor keeps the recent times in which something took longer than
// latency-monitor-threshold, by kind of event.
type latencyMonitor struct {
	config *Config
	clock  func() time.Time

	mu struct {
		sync.Mutex
		events map[string]*latencySeries
	}
}

// latencySample is the worst latency of an event within one second.
type latencySample struct {
	unixSec int64
	millis  int64
}

type latencySeries struct {
	samples []latencySample // oldest first, at most latencySamples
	max     int64           // milliseconds, ever
}

func newLatencyMonitor(c *Config, clock func() time.Time) *latencyMonitor {
	m := &latencyMonitor{config: c, clock: clock}
	m.mu.events = make(map[string]*latencySeries)
	return m
}

// Observe records that an event took d, when that is at or above the
// threshold. It costs one atomic load otherwise.
func (m *latencyMonitor) Observe(event string, d time.Duration) {
	limit := m.config.LatencyMonitorThreshold.Load()
	if limit == 0 || d.Milliseconds() < limit {
		return
	}
	m.record(event, latencySample{m.clock().Unix(), d.Milliseconds()})
}

func (m *latencyMonitor) record(event string, s latencySample) {
	m.mu.Lock()
	defer m.mu.Unlock()
	series := m.mu.events[event]
	if series == nil {
		if len(m.mu.events) >= latencyEvents {
			return
		}
		series = &latencySeries{}
		m.mu.events[event] = series
	}
	series.max = max(series.max, s.millis)
	if n := len(series.samples); n > 0 && series.samples[n-1].unixSec == s.unixSec {
		series.samples[n-1].millis = max(series.samples[n-1].millis, s.millis)
		return
	}
	if len(series.samples) == latencySamples {
		copy(series.samples, series.samples[1:])
		series.samples = series.samples[:latencySamples-1]
	}
	series.samples = append(series.samples, s)
}

// history returns a copy of an event's samples, oldest first.
func (m *latencyMonitor) history(event string) ([]latencySample, int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.mu.events[event]
	if s == nil {
		return nil, 0
	}
	return slices.Clone(s.samples), s.max
}

// names returns the events that have samples, sorted.
func (m *latencyMonitor) names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := make([]string, 0, len(m.mu.events))
	for n := range m.mu.events {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// reset forgets the named events, or all when none is named, and returns how
// many there were.
func (m *latencyMonitor) reset(events ...string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(events) == 0 {
		n := len(m.mu.events)
		clear(m.mu.events)
		return n
	}
	n := 0
	for _, e := range events {
		if m.mu.events[e] != nil {
			delete(m.mu.events, e)
			n++
		}
	}
	return n
}

// graphRows is the height of LATENCY GRAPH, in lines of text.
const graphRows = 4

// latencyGraph draws samples as columns of text, the newest at the right, each
// with its age below, read downwards.
func latencyGraph(event string, samples []latencySample, ever int64, now time.Time) string {
	lo, hi := samples[0].millis, samples[0].millis
	for _, s := range samples {
		lo, hi = min(lo, s.millis), max(hi, s.millis)
	}
	var b strings.Builder
	b.WriteString(event + " - high " + itoa(hi) + " ms, low " + itoa(lo) + " ms (all time high " + itoa(ever) + " ms)\n")
	b.WriteString(strings.Repeat("-", 80) + "\n")
	ages := make([]string, len(samples))
	depth := 0
	for i, s := range samples {
		ages[i] = shortAge(now.Unix() - s.unixSec)
		depth = max(depth, len(ages[i]))
	}
	for row := graphRows - 1; row >= 0; row-- {
		for _, s := range samples {
			b.WriteByte(graphCell(s.millis-lo, hi-lo, row))
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	for i := range depth {
		for _, a := range ages {
			if i < len(a) {
				b.WriteByte(a[i])
			} else {
				b.WriteByte(' ')
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// graphCell is what a column of height v of span shows in a row, 0 being the
// lowest: each row has three steps, _ o #, and | below the top.
func graphCell(v, span int64, row int) byte {
	const marks = "_o#"
	steps := int64(graphRows * len(marks))
	level := int64(0)
	if span > 0 {
		level = v * (steps - 1) / span
	}
	top := int(level) / len(marks)
	switch {
	case row < top:
		return '|'
	case row == top:
		return marks[int(level)%len(marks)]
	}
	return ' '
}

// shortAge prints seconds in at most three characters where that is possible.
func shortAge(sec int64) string {
	switch {
	case sec < 60:
		return itoa(max(sec, 0)) + "s"
	case sec < 3600:
		return itoa(sec/60) + "m"
	case sec < 86400:
		return itoa(sec/3600) + "h"
	}
	return itoa(sec/86400) + "d"
}
