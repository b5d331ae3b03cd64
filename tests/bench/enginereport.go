package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// reportEngines prints a table with a column for each engine, as it goes into
// docs/benchmarks.md.
func reportEngines(c config, results []*engineResult, machine string, took time.Duration) {
	fmt.Fprintf(c.out, "%s. %s, medians of %d rounds, %.0f s a run, %v in all. dkvsrv with `-fsync everysec`%s; %d keys of %d bytes with random values of %d.\n\n",
		machine, time.Now().UTC().Format("2006-01-02"), c.rounds, c.seconds, took.Round(time.Second), extra(c), c.keys, len(keyOf(0)), valueBytes)
	line := func(name string, cell func(r *engineResult) string) {
		var cells []string
		for _, r := range results {
			cells = append(cells, cell(r))
		}
		fmt.Fprintf(c.out, "| %s | %s |\n", name, strings.Join(cells, " | "))
	}
	line("", func(r *engineResult) string { return r.engine })
	line("---", func(*engineResult) string { return "---:" })
	line("filling, SETs of new keys in random order, /s", func(r *engineResult) string { return fmt.Sprintf("%.0f", r.fill) })
	for _, l := range engineLoads() {
		line(l.name+", /s", func(r *engineResult) string { return fmt.Sprintf("%.0f", r.rates[l.name]) })
	}
	mib := func(v float64) string { return fmt.Sprintf("%.0f MiB", v/(1<<20)) }
	line("resident memory after the reads", func(r *engineResult) string { return mib(r.resident) })
	line("resident memory after the overwriting", func(r *engineResult) string { return mib(r.residentEnd) })
	line("engine's files, flushed and compacted (data: "+mib(dataBytes(float64(c.keys)))+")", func(r *engineResult) string { return mib(r.disk) })
	line("the same after the overwriting", func(r *engineResult) string { return mib(r.diskEnd) })
	line("write amplification of filling", func(r *engineResult) string { return fmt.Sprintf("%.1f", r.amplification) })
	line("write amplification of overwriting", func(r *engineResult) string {
		return fmt.Sprintf("%.1f (%.1fM SETs)", r.overwriteAmplification, r.overwrites/1e6)
	})
	line("start after SIGTERM", func(r *engineResult) string { return seconds(r.restart) })
	line("start after kill -9 under load", func(r *engineResult) string { return seconds(r.recovery) })
	if slices.ContainsFunc(results, func(r *engineResult) bool { return r.restless > 0 }) {
		line("runs that began before it was at rest", func(r *engineResult) string { return fmt.Sprint(r.restless) })
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
