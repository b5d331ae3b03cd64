package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// report prints the table as it goes into docs/benchmarks.md.
func report(c config, rows []*row, machine string, took time.Duration) {
	if len(rows) == 0 {
		fmt.Fprintf(c.out, "%s. %s, %v in all.\n", machine, time.Now().UTC().Format("2006-01-02"), took.Round(time.Second))
		return
	}
	fmt.Fprintf(c.out, "%s. %s, medians of %d rounds, %.0f s a run, %v in all.\n\n", machine,
		time.Now().UTC().Format("2006-01-02"), c.rounds, c.seconds, took.Round(time.Second))
	printTable(c.out, "Redis", "dkv", rows)
	fmt.Fprintf(c.out, "\nLoad: `redis-benchmark %s`; Redis with `--appendonly yes --appendfsync everysec` or `always`, dkvsrv with `-fsync` likewise%s. "+
		"GET is measured on the everysec servers.\n", strings.Join(benchmarkArgs(6379, c.keys, "set", 32, 0)[2:10], " "), extra(c))
}

// printTable prints rows; base and dkv are the heads of their columns. A row
// without a goal has none to meet.
func printTable(w io.Writer, base, dkv string, rows []*row) {
	fmt.Fprintf(w, "| row | %s | %s | ratio | floor | goal | rounds' ratios |\n", base, dkv)
	fmt.Fprintln(w, "|---|---:|---:|---:|---:|---:|---|")
	for _, r := range rows {
		goal := "-"
		if r.goal > 0 {
			goal = fmt.Sprintf("%.2f %s", r.goal, mark(r.met(r.goal)))
		}
		fmt.Fprintf(w, "| %s (%s) | %.0f | %.0f | **%.2f** | %.2f %s | %s | %s |\n", r.name, r.unit,
			median(r.base), median(r.dkv), r.ratio(), r.floor, mark(r.met(r.floor)), goal, spread(r))
	}
}

func mark(ok bool) string {
	if ok {
		return "met"
	}
	return "missed"
}

// spread shows the ratio of each round, which is how far to trust the median.
func spread(r *row) string {
	var out []string
	for i := range min(len(r.base), len(r.dkv)) {
		out = append(out, fmt.Sprintf("%.2f", r.dkv[i]/r.base[i]))
	}
	return strings.Join(out, " ")
}

func extra(c config) string {
	if len(c.dkvFlags) == 0 {
		return ""
	}
	return " and " + strings.Join(c.dkvFlags, " ")
}
