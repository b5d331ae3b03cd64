package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// printHeader says what is about to be measured, and how to do it again.
func printHeader(out io.Writer, c *config, servers []server) {
	pace := "as fast as replies come"
	if c.rate > 0 {
		pace = fmt.Sprintf("%g operations/s", c.rate)
	}
	var limits []string
	if c.count > 0 {
		limits = append(limits, fmt.Sprintf("%d operations", c.count))
	}
	if c.duration > 0 {
		limits = append(limits, c.duration.String())
	}
	fmt.Fprintf(out, "dkvbench %s: %d connections, pipeline %d, %d records %s, values %s, %s, %s, seed %d\n",
		c.workload.name, c.conns, c.pipeline, c.keys, c.dist, valueText(c), pace, strings.Join(limits, " or "), c.seed)
	for i, s := range servers {
		label := "server"
		if len(servers) > 1 {
			label = string(rune('A' + i))
		}
		fmt.Fprintf(out, "%s: %s (%s)\n", label, s.target.addr, s.info)
	}
}

func valueText(c *config) string {
	s := fmt.Sprint(c.valueMin)
	if c.valueMax > c.valueMin {
		s += fmt.Sprint("-", c.valueMax)
	}
	s += " bytes"
	if c.compressible > 0 {
		s += fmt.Sprintf(" (%g compressible)", c.compressible)
	}
	return s
}

// printRun prints one run in full.
func printRun(out io.Writer, r *runResult) {
	fmt.Fprintf(out, "\n%-12s %11s %11s %9s %9s %9s %9s %9s %9s\n",
		"", "ops", "ops/s", "p50 ms", "p90", "p99", "p99.9", "p99.99", "max")
	for _, p := range r.Parts {
		printLine(out, p.Name, p.Ops, p.OpsPerSec, p.Latency)
	}
	if len(r.Parts) > 1 {
		printLine(out, "all", r.Ops, r.OpsPerSec, r.Latency)
	}
	if r.Lag != nil {
		fmt.Fprintln(out, "counted from the send instead of the schedule:")
		for _, p := range r.Parts {
			printLine(out, p.Name, p.Ops, p.OpsPerSec, *p.Service)
		}
	}
	fmt.Fprintf(out, "\n%.2f s, %d errors", r.Elapsed, r.Errors+r.Lost)
	if r.Lookups > 0 {
		fmt.Fprintf(out, ", %.2f%% of %d lookups found", 100*(1-float64(r.Misses)/float64(r.Lookups)), r.Lookups)
	}
	fmt.Fprintln(out)
	printRemarks(out, r)
}

func printLine(out io.Writer, name string, ops uint64, rate float64, q quantiles) {
	fmt.Fprintf(out, "%-12s %11d %11.0f %9.3f %9.3f %9.3f %9.3f %9.3f %9.3f\n",
		name, ops, rate, q.P50, q.P90, q.P99, q.P999, q.P9999, q.Max)
}

// printRemarks prints what the reader of the figures must know besides.
func printRemarks(out io.Writer, r *runResult) {
	if r.Interrupted {
		fmt.Fprintln(out, "interrupted")
	}
	if r.Late > 0 {
		fmt.Fprintf(out, "%d operations were not finished in time: they are in the latencies with the time they had waited\n", r.Late)
	}
	if r.Lag != nil && r.Lag.Count > 0 {
		fmt.Fprintf(out, "the generator itself was late by: p50 %.3f ms, p99 %.3f ms, max %.3f ms\n", r.Lag.P50, r.Lag.P99, r.Lag.Max)
	}
	for _, text := range r.sortedTexts() {
		fmt.Fprintf(out, "%9d x %s\n", r.ErrorTexts[text], text)
	}
}

// printRound prints a run of a comparison as one line.
func printRound(out io.Writer, label string, r *runResult) {
	remark := ""
	if n := r.Errors + r.Lost; n > 0 {
		remark = fmt.Sprintf("   %d errors", n)
	}
	if r.Lookups > 0 && r.Misses > 0 {
		remark += fmt.Sprintf("   %.2f%% found", 100*(1-float64(r.Misses)/float64(r.Lookups)))
	}
	fmt.Fprintf(out, "round %d  %s %11.0f ops/s   p50 %.3f ms   p99 %.3f ms   max %.3f ms%s\n",
		r.Round, label, r.OpsPerSec, r.Latency.P50, r.Latency.P99, r.Latency.Max, remark)
	printRemarks(out, r)
}

// printComparison prints the medians of two servers and their ratios.
func printComparison(out io.Writer, a, b medianRun) {
	fmt.Fprintf(out, "\n%-12s %11s %11s %7s\n", "medians", "A", "B", "A/B")
	line := func(name, format string, x, y float64) {
		ratio := "-"
		if y > 0 {
			ratio = fmt.Sprintf("%.2f", x/y)
		}
		fmt.Fprintf(out, "%-12s %11s %11s %7s\n", name, fmt.Sprintf(format, x), fmt.Sprintf(format, y), ratio)
	}
	line("ops/s", "%.0f", a.OpsPerSec, b.OpsPerSec)
	line("p50 ms", "%.3f", a.P50, b.P50)
	line("p90 ms", "%.3f", a.P90, b.P90)
	line("p99 ms", "%.3f", a.P99, b.P99)
	line("p99.9 ms", "%.3f", a.P999, b.P999)
	line("p99.99 ms", "%.3f", a.P9999, b.P9999)
	line("max ms", "%.3f", a.Max, b.Max)
}

// progress is the live line; its zero value prints nothing.
type progress struct {
	out   io.Writer
	label string
}

func (p *progress) tick(pt point) {
	if p.out == nil {
		return
	}
	text := fmt.Sprintf("%s %4.0fs %9.0f ops/s   p50 %.3f ms   p99 %.3f ms   max %.3f ms",
		p.label, pt.at.Seconds(), perSecond(pt.ops, max(pt.width, time.Millisecond)), pt.latency.P50, pt.latency.P99, pt.latency.Max)
	if pt.errors > 0 {
		text += fmt.Sprintf("   %d errors", pt.errors)
	}
	fmt.Fprintf(p.out, "\r\x1b[K%s", text)
}

func (p *progress) clear() {
	if p.out != nil {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
