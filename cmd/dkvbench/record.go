package main

import (
	"sync"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	latencyMaxUS   = 3_600_000_000 // an hour; what took longer counts as that
	latencyDigits  = 3             // significant digits
	maxErrorTexts  = 16            // different error texts that are kept
	maxRecorders   = 4             // connections share recorders, to keep histograms few
	otherErrorText = "(other errors)"
)

// tally is what was measured: latencies in microseconds for each part of the
// workload, and counts.
type tally struct {
	latency []*hdrhistogram.Histogram // by part; from an operation's intended start
	service []*hdrhistogram.Histogram // by part; from when it was sent. nil without -rate
	ops     []uint64                  // by part: answered, without an error
	errors  uint64                    // error replies
	lost    uint64                    // in flight when a connection broke
	late    uint64                    // unanswered or not sent when the phase ended; they are in latency
	lookups uint64                    // keys read
	misses  uint64                    // of them, absent
	lag     *hdrhistogram.Histogram   // how late the generator itself was with a send. nil without -rate
	texts   map[string]uint64         // error texts
}

func newTally(parts int, paced bool) *tally {
	t := &tally{ops: make([]uint64, parts), texts: map[string]uint64{}}
	if paced {
		t.lag = newHistogram()
	}
	for range parts {
		t.latency = append(t.latency, newHistogram())
		if paced {
			t.service = append(t.service, newHistogram())
		}
	}
	return t
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, latencyMaxUS, latencyDigits)
}

func record(h *hdrhistogram.Histogram, us int64, n int64) {
	h.RecordValues(min(max(us, 1), latencyMaxUS), n) // within range: no error
}

// addError counts an error text; beyond maxErrorTexts different ones it counts
// without the text.
func (t *tally) addError(text string, n uint64) {
	if _, ok := t.texts[text]; !ok && len(t.texts) >= maxErrorTexts {
		text = otherErrorText
	}
	t.texts[text] += n
}

// merge adds o to t.
func (t *tally) merge(o *tally) {
	for i := range o.latency {
		mergeHistogram(t.latency[i], o.latency[i])
		t.ops[i] += o.ops[i]
	}
	for i := range o.service {
		mergeHistogram(t.service[i], o.service[i])
	}
	t.errors += o.errors
	t.lost += o.lost
	t.late += o.late
	t.lookups += o.lookups
	t.misses += o.misses
	if o.lag != nil {
		mergeHistogram(t.lag, o.lag)
	}
	for text, n := range o.texts {
		t.addError(text, n)
	}
}

func mergeHistogram(dst, src *hdrhistogram.Histogram) {
	if src.TotalCount() > 0 {
		dst.Merge(src)
	}
}

func (t *tally) reset() {
	for i := range t.latency {
		resetHistogram(t.latency[i])
		t.ops[i] = 0
	}
	for i := range t.service {
		resetHistogram(t.service[i])
	}
	if t.lag != nil {
		resetHistogram(t.lag)
	}
	t.errors, t.lost, t.late, t.lookups, t.misses = 0, 0, 0, 0, 0
	clear(t.texts)
}

func resetHistogram(h *hdrhistogram.Histogram) {
	if h.TotalCount() > 0 {
		h.Reset()
	}
}

// allOps is the number of operations answered without an error.
func (t *tally) allOps() uint64 {
	var n uint64
	for _, k := range t.ops {
		n += k
	}
	return n
}

// allLatency is the latency of all parts together.
func (t *tally) allLatency() *hdrhistogram.Histogram {
	if len(t.latency) == 1 {
		return t.latency[0]
	}
	all := newHistogram()
	for _, h := range t.latency {
		mergeHistogram(all, h)
	}
	return all
}

// failures is the number of operations that did not succeed.
func (t *tally) failures() uint64 { return t.errors + t.lost }

// recorder takes what some connections measure until it is drained.
type recorder struct {
	mu struct {
		sync.Mutex
		t *tally
	}
}

func newRecorder(parts int, paced bool) *recorder {
	r := &recorder{}
	r.mu.t = newTally(parts, paced)
	return r
}

// drain moves what was recorded since the last time into t.
func (r *recorder) drain(t *tally) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.merge(r.mu.t)
	r.mu.t.reset()
}
