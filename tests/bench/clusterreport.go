package main

import (
	"fmt"
	"slices"
	"time"
)

// reportCluster prints the tables as they go into docs/benchmarks.md.
func reportCluster(c config, sections []section, outages []outage, machine string, took time.Duration) {
	fmt.Fprintf(c.out, "%s. %s, medians of %d rounds, %.0f s a run, %v in all.\n", machine,
		time.Now().UTC().Format("2006-01-02"), c.rounds, c.seconds, took.Round(time.Second))
	for _, s := range sections {
		var rows []*row
		for _, l := range s.loads {
			rows = append(rows, l.row)
		}
		fmt.Fprintf(c.out, "\n### %s\n\n", s.title)
		printTable(c.out, s.base, s.dkv, rows)
	}
	if len(outages) > 0 {
		fmt.Fprintf(c.out, "\n### Writes after a leader's death\n\n")
		printOutages(c, outages)
	}
	fmt.Fprintf(c.out, "\nLoad: %d clients, spread over all nodes, %d keys at random, values of %d bytes; dkvsrv with `-fsync always`%s.\n",
		clients, c.keys, valueBytes, extra(c))
}

func printOutages(c config, outages []outage) {
	fmt.Fprintln(c.out, "| kill -9 of the leader, until | kills | p50 | max | floor | goal |")
	fmt.Fprintln(c.out, "|---|---:|---:|---:|---:|---:|")
	for _, line := range []struct {
		name string
		of   func(outage) time.Duration
	}{
		{"a write is acknowledged", func(o outage) time.Duration { return o.first }},
		{fmt.Sprintf("each of %d writers has one acknowledged", outageWriters), func(o outage) time.Duration { return o.all }},
	} {
		var ms []float64
		for _, o := range outages {
			ms = append(ms, float64(line.of(o))/float64(time.Millisecond))
		}
		longest := slices.Max(ms)
		met := func(limit time.Duration) string { return mark(longest <= float64(limit)/float64(time.Millisecond)) }
		fmt.Fprintf(c.out, "| %s | %d | %.0f ms | **%.0f ms** | %v %s | %v %s |\n", line.name, len(outages), median(ms), longest,
			outageFloor, met(outageFloor), outageGoal, met(outageGoal))
	}
}

func clusterMachine(c config) string {
	if slices.Contains(c.rows, rowEtcd) {
		return machine() + ", " + etcdVersion()
	}
	return machine()
}
