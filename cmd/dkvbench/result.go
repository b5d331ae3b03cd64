package main

import (
	"maps"
	"slices"
	"time"
)

// runResult is one measured run, as the report and the JSON show it.
type runResult struct {
	Server      string           `json:"server"`
	Round       int              `json:"round"`
	Began       time.Time        `json:"began"` // of the series' t = 0
	Elapsed     float64          `json:"seconds"`
	Ops         uint64           `json:"operations"`
	OpsPerSec   float64          `json:"operations_per_second"`
	Errors      uint64           `json:"error_replies"`
	Lost        uint64           `json:"lost"` // in flight when a connection broke
	Late        uint64           `json:"late"` // not finished when the time was over; in the latencies with what they had waited
	ErrorTexts  map[string]int64 `json:"error_texts,omitempty"`
	Lookups     uint64           `json:"lookups"`
	Misses      uint64           `json:"misses"`
	Interrupted bool             `json:"interrupted,omitempty"`
	Latency     quantiles        `json:"latency"`
	Parts       []partResult     `json:"parts"`
	Lag         *quantiles       `json:"generator_lag,omitempty"`
	Series      []seriesPoint    `json:"series"`
}

// partResult is one kind of operation of a run.
type partResult struct {
	Name      string     `json:"name"`
	Ops       uint64     `json:"operations"`
	OpsPerSec float64    `json:"operations_per_second"`
	Latency   quantiles  `json:"latency"`
	Service   *quantiles `json:"service_time,omitempty"` // counted from the send, with -rate
}

// seriesPoint is a tick of a run.
type seriesPoint struct {
	At        float64 `json:"t"`
	Ops       uint64  `json:"operations"`
	OpsPerSec float64 `json:"operations_per_second"`
	Errors    uint64  `json:"errors"`
	Late      uint64  `json:"late"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	P999      float64 `json:"p99.9_ms"`
	Max       float64 `json:"max_ms"`
}

func newRunResult(server string, round int, w *workload, out *outcome) runResult {
	t := out.total
	r := runResult{
		Server: server, Round: round, Began: out.began, Elapsed: out.elapsed.Seconds(), Ops: t.allOps(),
		OpsPerSec: perSecond(t.allOps(), out.elapsed), Errors: t.errors, Lost: t.lost, Late: t.late,
		Lookups: t.lookups, Misses: t.misses, Interrupted: out.interrupted, Latency: quantilesOf(t.allLatency()),
	}
	for i, p := range w.parts {
		pr := partResult{Name: p.label, Ops: t.ops[i], OpsPerSec: perSecond(t.ops[i], out.elapsed), Latency: quantilesOf(t.latency[i])}
		if t.service != nil {
			q := quantilesOf(t.service[i])
			pr.Service = &q
		}
		r.Parts = append(r.Parts, pr)
	}
	if t.lag != nil {
		q := quantilesOf(t.lag)
		r.Lag = &q
	}
	if len(t.texts) > 0 {
		r.ErrorTexts = map[string]int64{}
		for text, n := range t.texts {
			r.ErrorTexts[text] = int64(n)
		}
	}
	for _, p := range out.points {
		r.Series = append(r.Series, seriesPoint{
			At: p.at.Seconds(), Ops: p.ops, OpsPerSec: perSecond(p.ops, p.width), Errors: p.errors, Late: p.late,
			P50: p.latency.P50, P99: p.latency.P99, P999: p.latency.P999, Max: p.latency.Max,
		})
	}
	return r
}

func (r *runResult) failed() bool { return r.Errors+r.Lost > 0 }

func perSecond(n uint64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// medianRun holds the medians of a server's runs, each figure on its own.
type medianRun struct {
	OpsPerSec float64 `json:"operations_per_second"`
	P50       float64 `json:"p50_ms"`
	P90       float64 `json:"p90_ms"`
	P99       float64 `json:"p99_ms"`
	P999      float64 `json:"p99.9_ms"`
	P9999     float64 `json:"p99.99_ms"`
	Max       float64 `json:"max_ms"`
}

func mediansOf(runs []runResult) medianRun {
	pick := func(f func(*runResult) float64) float64 {
		var v []float64
		for i := range runs {
			v = append(v, f(&runs[i]))
		}
		return median(v)
	}
	return medianRun{
		OpsPerSec: pick(func(r *runResult) float64 { return r.OpsPerSec }),
		P50:       pick(func(r *runResult) float64 { return r.Latency.P50 }),
		P90:       pick(func(r *runResult) float64 { return r.Latency.P90 }),
		P99:       pick(func(r *runResult) float64 { return r.Latency.P99 }),
		P999:      pick(func(r *runResult) float64 { return r.Latency.P999 }),
		P9999:     pick(func(r *runResult) float64 { return r.Latency.P9999 }),
		Max:       pick(func(r *runResult) float64 { return r.Latency.Max }),
	}
}

// median is the middle of v, or the mean of the two middle ones; 0 of nothing.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	mid := len(v) / 2
	if len(v)%2 == 1 {
		return v[mid]
	}
	return (v[mid-1] + v[mid]) / 2
}

// sortedTexts are the error texts, in a fixed order.
func (r *runResult) sortedTexts() []string { return slices.Sorted(maps.Keys(r.ErrorTexts)) }
