package server

import (
	"fmt"
	"strings"
	"time"

	"dkv/resp"
	"dkv/server/command"
)

func init() {
	bind("latency|latest", latencyLatest)
	bind("latency|history", latencyHistory)
	bind("latency|reset", latencyReset)
	bind("latency|graph", latencyGraphCmd)
	bind("latency|doctor", latencyDoctor)
	bind("latency|histogram", latencyHistogram)
	bind("latency|help", help("LATENCY",
		"DOCTOR",
		"    Return a human readable latency analysis report.",
		"GRAPH <event>",
		"    Return an ASCII latency graph for the <event> class.",
		"HISTORY <event>",
		"    Return time-latency samples for the <event> class.",
		"LATEST",
		"    Return the latest latency samples for all events.",
		"RESET [<event> ...]",
		"    Reset latency data of one or more <event> classes.",
		"    (default: reset all data for all event classes)",
		"HISTOGRAM [COMMAND ...]",
		"    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.",
		"    If no commands are specified then all histograms are replied."))
}

func latencyLatest(c *Conn, x *command.Ctx) error {
	names := c.srv.latency.names()
	var body resp.Writer
	n := 0
	for _, name := range names {
		samples, ever := c.srv.latency.history(name)
		if len(samples) == 0 { // reset meanwhile
			continue
		}
		last := samples[len(samples)-1]
		body.Array(4)
		body.BulkString(name)
		body.Int(last.unixSec)
		body.Int(last.millis)
		body.Int(ever)
		n++
	}
	x.Out.Array(n)
	x.Out.Raw(body.Buf)
	return nil
}

func latencyHistory(c *Conn, x *command.Ctx) error {
	samples, _ := c.srv.latency.history(string(x.Args[2]))
	x.Out.Array(len(samples))
	for _, s := range samples {
		x.Out.Array(2)
		x.Out.Int(s.unixSec)
		x.Out.Int(s.millis)
	}
	return nil
}

func latencyReset(c *Conn, x *command.Ctx) error {
	events := make([]string, 0, len(x.Args))
	for _, a := range x.Args[2:] {
		events = append(events, string(a))
	}
	x.Out.Int(int64(c.srv.latency.reset(events...)))
	return nil
}

func latencyGraphCmd(c *Conn, x *command.Ctx) error {
	event := string(x.Args[2])
	samples, ever := c.srv.latency.history(event)
	if len(samples) == 0 {
		return resp.Error("ERR No samples available for event '" + event + "'")
	}
	x.Out.Verbatim("txt", latencyGraph(event, samples, ever, c.srv.clock()))
	return nil
}

// latencyDoctor reports what was slow, and what usually helps.
func latencyDoctor(c *Conn, x *command.Ctx) error {
	names := c.srv.latency.names()
	var b strings.Builder
	switch {
	case len(names) == 0 && c.srv.config.LatencyMonitorThreshold.Load() == 0:
		b.WriteString("Latency monitoring is off. CONFIG SET latency-monitor-threshold <milliseconds> turns it on.\n")
	case len(names) == 0:
		b.WriteString("Nothing took longer than latency-monitor-threshold so far.\n")
	default:
		fmt.Fprintf(&b, "%d kinds of events took longer than latency-monitor-threshold:\n\n", len(names))
		for i, name := range names {
			samples, ever := c.srv.latency.history(name)
			if len(samples) > 0 {
				fmt.Fprintf(&b, "%d. %s: %s\n", i+1, name, summary(samples, ever))
			}
		}
		b.WriteString("\n- SLOWLOG GET shows which commands were slow.\n" +
			"- With fsync always a write waits for the disk; INFO dkv shows how long a sync takes.\n" +
			"- Reads of data that is not in the block cache wait for the disk; see block-cache-size.\n")
	}
	x.Out.Verbatim("txt", b.String())
	return nil
}

func summary(samples []latencySample, ever int64) string {
	var sum, deviation int64
	for _, s := range samples {
		sum += s.millis
	}
	n := int64(len(samples))
	mean := sum / n
	for _, s := range samples {
		deviation += max(s.millis-mean, mean-s.millis)
	}
	period := float64(samples[n-1].unixSec-samples[0].unixSec) / float64(n)
	return fmt.Sprintf("%d latency spikes (average %dms, mean deviation %dms, period %.2f sec). Worst all time event %dms.",
		n, mean, deviation/n, period, ever)
}

// latencyHistogram replies, for each command that was called, the counts of
// calls up to powers of two of microseconds.
func latencyHistogram(c *Conn, x *command.Ctx) error {
	var specs []*command.Spec
	if len(x.Args) == 2 {
		specs = command.All()
	}
	for _, name := range x.Args[2:] {
		spec := lookupFull(name)
		if spec == nil {
			continue
		}
		if len(spec.Subcommands) > 0 {
			specs = append(specs, spec.Subcommands...)
		} else {
			specs = append(specs, spec)
		}
	}
	type entry struct {
		name string
		h    *Histogram
	}
	var entries []entry
	for _, spec := range specs {
		if h := c.srv.stats.Command(spec).Latency(); h != nil {
			entries = append(entries, entry{spec.Name, h})
		}
	}
	x.Out.Map(len(entries))
	for _, e := range entries {
		x.Out.BulkString(e.name)
		writeHistogram(x.Out, e.h)
	}
	return nil
}

func writeHistogram(w *resp.Writer, h *Histogram) {
	total, last := h.Count(), uint64(0)
	var micros, counts []uint64
	for level := uint64(1024); last < total && level < 1<<62; level <<= 1 {
		if n := h.CountUpTo(time.Duration(level)); n > last {
			micros = append(micros, histogramLabel(level))
			counts = append(counts, n)
			last = n
		}
	}
	w.Map(2)
	w.BulkString("calls")
	w.Uint(total)
	w.BulkString("histogram_usec")
	w.Map(len(counts))
	for i := range counts {
		w.Uint(micros[i])
		w.Uint(counts[i])
	}
}

// histogramLabel is the number that Redis prints for a bucket that ends at
// level nanoseconds, a power of two: its histograms keep eight bits of a
// number, and the label is the largest number that is kept like level, in
// microseconds.
func histogramLabel(level uint64) uint64 { return (level + level/128 - 1) / 1000 }
