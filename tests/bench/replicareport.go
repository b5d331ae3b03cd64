package main

import (
	"fmt"
	"io"
	"time"
)

// replicaResults is what -replicas has measured; what is nil was not asked for.
type replicaResults struct {
	lags    []lagRow
	catchUp *catchUp
	copy    *copied
	sources []*sourceRow
	sinks   []*sourceRow
}

// reportReplicas prints the tables as they go into docs/benchmarks.md.
func reportReplicas(c config, r replicaResults, machine string, took time.Duration) {
	fmt.Fprintf(c.out, "%s. %s, %v in all. dkvsrv with `-fsync always`%s, source, replicas and load on one machine.\n", machine,
		time.Now().UTC().Format("2006-01-02"), took.Round(time.Second), extra(c))
	if len(r.lags) > 0 {
		printLags(c.out, r.lags)
	}
	if r.catchUp != nil {
		printCatchUp(c.out, r.catchUp)
	}
	if r.copy != nil {
		printCopy(c.out, r.copy)
	}
	if len(r.sources) > 0 {
		printSources(c.out, "source of replicas on the same machine", r.sources)
	}
	if len(r.sinks) > 0 {
		printSources(c.out, "source of replicas that only take and acknowledge", r.sinks)
	}
}

func printLags(w io.Writer, rows []lagRow) {
	fmt.Fprint(w, "\n| lag of a replica under SET | load, SETs/s | p50 | p99 | max | floor |\n|---|---:|---:|---:|---:|---|\n")
	for _, r := range rows {
		load, floor := "full", fmt.Sprintf("max %v", fullLagLimit)
		if r.half {
			load, floor = "half", fmt.Sprintf("p50 %v", halfLagLimit)
		}
		fmt.Fprintf(w, "| `-P %d`, %s load | %.0f | %s | %s | %s | %s %s |\n", r.pipeline, load, r.rate, inMillis(quantile(r.lags, 0.5)),
			inMillis(quantile(r.lags, 0.99)), inMillis(quantile(r.lags, 1)), floor, mark(r.met()))
	}
}

func inMillis(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1e3) }

func printCatchUp(w io.Writer, r *catchUp) {
	fmt.Fprint(w, "\n| catching up | log entries | the source's write rate | took | catch-up rate | ratio | floor |\n|---|---:|---:|---:|---:|---:|---|\n")
	fmt.Fprintf(w, "| %d SETs behind | %.0f | %.0f/s | %.1f s | %.0f/s | **%.2f** | 1.00 %s |\n", r.writes, r.entries, r.writeRate,
		r.took.Seconds(), r.rate(), r.rate()/r.writeRate, mark(r.met()))
}

func printCopy(w io.Writer, r *copied) {
	seconds := r.took.Seconds()
	fmt.Fprint(w, "\n| full copy | took | speed | disk | floor |\n|---|---:|---:|---:|---|\n")
	fmt.Fprintf(w, "| %.0f MB in values of %d bytes | %.1f s | **%.0f MB/s** | %.0f MB/s | %d MB/s, or the disk's %s |\n", r.data/mega, copyValueBytes,
		seconds, r.data/mega/seconds, r.disk/mega, copyFloor, mark(r.met()))
}

func printSources(w io.Writer, title string, rows []*sourceRow) {
	fmt.Fprintf(w, "\n| %s | SETs/s | of none | lost with the last replica | source, us a SET | replicas, us a SET | rounds |\n|---|---:|---:|---:|---:|---:|---|\n", title)
	for i, r := range rows {
		rate := median(r.rates)
		none, lost := 1.0, "-"
		if i >= 2 { // rows of -P 1 and -P 32 take turns
			none = rate / median(rows[i%2].rates)
			lost = fmt.Sprintf("%.0f%%", 100*(1-rate/median(rows[i-2].rates)))
		}
		var rounds string
		for _, v := range r.rates {
			rounds += fmt.Sprintf("%.0f ", v)
		}
		fmt.Fprintf(w, "| `-P %d`, %d replicas | %.0f | %.2f | %s | %.1f | %.1f | %s|\n", r.pipeline, r.replicas, rate, none, lost, median(r.source),
			median(r.others), rounds)
	}
	fmt.Fprintf(w, "\nAllowed is a loss of %.0f%% a replica on a machine with a core to spare.\n", 100*lossPerReplica)
}
