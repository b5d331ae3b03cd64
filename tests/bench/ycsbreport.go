package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// reportYCSB prints tables as they go into docs/benchmarks.md.
func reportYCSB(c config, d *ycsbDocument, took time.Duration) {
	fmt.Fprintf(c.out, "%s. %s, %d keys of %d bytes, %d MiB for everything (%s), %d connections, `-P %d`, %g s a run, %v in all.\n\n", d.Machine, d.Date,
		d.Keys, d.ValueBytes, d.MemoryBytes>>20, d.pageCache(), clients, d.Pipeline, c.seconds, took.Round(time.Second))
	for _, node := range []string{nodeLayer, nodePlain} {
		fmt.Fprintf(c.out, "%s: `%s`\n\n", node, strings.Join(d.Flags[node], " "))
	}
	printYCSBRates(c, d)
	printYCSBLatencies(c, d)
	fmt.Fprintf(c.out, "\n| node | highest resident memory, MiB | of what is configured | floor |\n|---|---:|---:|---|\n")
	for _, node := range []string{nodeLayer, nodePlain} {
		share := d.Peaks[node] / float64(d.ProcessBytes)
		fmt.Fprintf(c.out, "| %s | %.0f | **%.2f** | %.2f %s |\n", node, d.Peaks[node]/(1<<20), share, memoryFloor, mark(share <= memoryFloor))
	}
	if d.Restless > 0 {
		fmt.Fprintf(c.out, "\n%d runs began while a node was not at rest.\n", d.Restless)
	}
}

// pageCache says what the memory of a node has to do with the page cache.
func (d *ycsbDocument) pageCache() string {
	if !d.Bounded {
		return "but the page cache, which is the machine's"
	}
	return fmt.Sprintf("with its page cache, in a control group; %d MiB configured", d.ProcessBytes>>20)
}

// printYCSBRates prints throughput. rowSteady has none to compare: its rate is given.
func printYCSBRates(c config, d *ycsbDocument) {
	fmt.Fprintf(c.out, "| workload | without the layer, /s | with it, /s | ratio | floor | the node's processor time, us an operation | of it, with the layer |\n"+
		"|---|---:|---:|---:|---|---:|---:|\n")
	for _, w := range ycsbRows {
		plain, layer := d.run(w, nodePlain), d.run(w, nodeLayer)
		if plain == nil || layer == nil || w == rowSteady {
			continue
		}
		ratio := layer.Rate / plain.Rate
		fmt.Fprintf(c.out, "| YCSB %s | %.0f | %.0f | **%.2f** | %.2f %s | %.1f, %.1f | %.2f |\n", strings.ToUpper(w), plain.Rate, layer.Rate, ratio, ycsbFloor,
			mark(ratio >= ycsbFloor), plain.ServerCPU, layer.ServerCPU, layer.ServerCPU/plain.ServerCPU)
	}
}

// printYCSBLatencies prints the latencies of whole runs, and of their seconds with and
// without a checkpoint.
func printYCSBLatencies(c config, d *ycsbDocument) {
	fmt.Fprint(c.out, "\nLatencies in ms; of the seconds with a checkpoint and of those without, the medians of each second's figure:\n\n")
	fmt.Fprintln(c.out, "| workload | node | p50 | p99 | p99.9 | longest | checkpoints | p99 without, with | p99.9 without, with |")
	fmt.Fprintln(c.out, "|---|---|---:|---:|---:|---:|---:|---:|---:|")
	for _, w := range ycsbRows {
		for _, node := range []string{nodePlain, nodeLayer} {
			r := d.run(w, node)
			if r == nil {
				continue
			}
			name := "YCSB " + strings.ToUpper(w)
			if w == rowSteady {
				name = fmt.Sprintf("A at %.0f/s", r.TargetRate)
			}
			calm, busy := r.split()
			fmt.Fprintf(c.out, "| %s | %s | %.2f | %.2f | %.2f | %.1f | %d | %s | %s |\n", name, node, r.Latency.P50, r.Latency.P99, r.Latency.P999,
				r.Latency.Max, len(r.Checkpoints), pairOf(calm, busy, func(p ycsbPoint) float64 { return p.P99 }),
				pairOf(calm, busy, func(p ycsbPoint) float64 { return p.P999 }))
		}
	}
}

// split divides the seconds of a run into those without a checkpoint and those with one.
func (r *ycsbRun) split() (calm, busy []ycsbPoint) {
	from := 0.0
	for _, p := range r.Series {
		if slices.ContainsFunc(r.Checkpoints, func(s ycsbSpan) bool { return s.From < p.At && s.To > from }) {
			busy = append(busy, p)
		} else {
			calm = append(calm, p)
		}
		from = p.At
	}
	return calm, busy
}

// pairOf returns the medians of two groups of seconds.
func pairOf(calm, busy []ycsbPoint, of func(ycsbPoint) float64) string {
	one := func(points []ycsbPoint) string {
		if len(points) == 0 {
			return "-"
		}
		var v []float64
		for _, p := range points {
			v = append(v, of(p))
		}
		return fmt.Sprintf("%.2f", median(v))
	}
	return one(calm) + ", " + one(busy)
}

func (d *ycsbDocument) write(file string) error {
	text, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// plotFile makes a plot of what an earlier run has written.
func plotFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var d ycsbDocument
	if err := json.Unmarshal(text, &d); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	return os.WriteFile(to, plotYCSB(&d), 0o644)
}
