package server

import (
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"dkv/server/command"
)

// Stats are the server's counters. They count since the start or the last
// CONFIG RESETSTAT, and are safe for concurrent use. A connection adds to them
// once a pipeline, not once a command (see tally).
type Stats struct {
	ConnectionsReceived atomic.Uint64 // accepted, refused ones included
	ConnectionsRejected atomic.Uint64 // over maxclients, or by protected mode
	CommandsProcessed   atomic.Uint64
	Reads               atomic.Uint64 // reads from clients that brought bytes
	Writes              atomic.Uint64 // writes to clients
	NetInput            atomic.Uint64 // bytes
	NetOutput           atomic.Uint64 // bytes
	KeyspaceHits        atomic.Uint64
	KeyspaceMisses      atomic.Uint64
	ErrorReplies        atomic.Uint64
	AuthFailures        atomic.Uint64
	DeniedCommands      atomic.Uint64 // by the rules about users
	DeniedKeys          atomic.Uint64
	DeniedChannels      atomic.Uint64
	QueryLimitKills     atomic.Uint64 // connections closed by client-query-buffer-limit
	OutputLimitKills    atomic.Uint64 // connections closed by client-output-buffer-limit
	ClientsEvicted      atomic.Uint64 // connections closed by maxmemory-clients

	commands []CommandStats // by command.Spec.ID
	tracking *atomic.Bool   // latency-tracking

	errors struct {
		sync.RWMutex
		byCode map[string]*atomic.Uint64
	}

	rates struct {
		sync.Mutex
		last    [3]uint64 // commands, input, output at the last sample
		lastAt  time.Time
		next    int
		samples [rateSamples][3]float64 // a second
	}
}

// CommandStats are the counters of one command.
type CommandStats struct {
	Calls    atomic.Uint64
	Nanos    atomic.Uint64 // spent in the handler; waiting for the log is not in it
	Rejected atomic.Uint64 // refused before it ran
	Failed   atomic.Uint64 // ran and answered an error

	latency atomic.Pointer[Histogram] // nil until the first call
}

// Rates are averages over the last rateSamples samples.
type Rates struct {
	OpsPerSec, InputBytesPerSec, OutputBytesPerSec float64
}

const (
	rateSamples    = 16
	rateInterval   = 100 * time.Millisecond
	maxErrorCodes  = 128 // error codes that are told apart, as in Redis
	maxErrorCode   = 64  // bytes of a code
	otherErrorCode = "OTHER"
)

func newStats(tracking *atomic.Bool) *Stats {
	s := &Stats{commands: make([]CommandStats, len(command.All())), tracking: tracking}
	s.errors.byCode = make(map[string]*atomic.Uint64)
	return s
}

// Command returns the counters of a row of the command table.
func (s *Stats) Command(spec *command.Spec) *CommandStats { return &s.commands[spec.ID] }

// Latency returns the distribution of the command's duration; nil when it was
// never called.
func (c *CommandStats) Latency() *Histogram { return c.latency.Load() }

func (c *CommandStats) histogram() *Histogram {
	if h := c.latency.Load(); h != nil {
		return h
	}
	c.latency.CompareAndSwap(nil, new(Histogram))
	return c.latency.Load()
}

// ResetCommands clears the latency distribution of the commands that match, or
// of all when match is nil.
func (s *Stats) ResetLatency(match func(*command.Spec) bool) {
	for _, spec := range command.All() {
		if match == nil || match(spec) {
			s.commands[spec.ID].latency.Store(nil)
		}
	}
}

// Reset is CONFIG RESETSTAT.
func (s *Stats) Reset() {
	for _, n := range []*atomic.Uint64{
		&s.ConnectionsReceived, &s.ConnectionsRejected, &s.CommandsProcessed, &s.Reads, &s.Writes,
		&s.NetInput, &s.NetOutput, &s.KeyspaceHits, &s.KeyspaceMisses, &s.ErrorReplies,
		&s.AuthFailures, &s.DeniedCommands, &s.DeniedKeys, &s.DeniedChannels, &s.QueryLimitKills, &s.OutputLimitKills, &s.ClientsEvicted,
	} {
		n.Store(0)
	}
	for i := range s.commands {
		c := &s.commands[i]
		c.Calls.Store(0)
		c.Nanos.Store(0)
		c.Rejected.Store(0)
		c.Failed.Store(0)
		c.latency.Store(nil)
	}
	s.errors.Lock()
	clear(s.errors.byCode)
	s.errors.Unlock()
	s.rates.Lock()
	s.rates.last = [3]uint64{}
	s.rates.samples = [rateSamples][3]float64{}
	s.rates.Unlock()
}

// ErrorCount is how many replies began with an error code.
type ErrorCount struct {
	Code  string
	Count uint64
}

// Errors returns the counts of error replies, sorted by code.
func (s *Stats) Errors() []ErrorCount {
	s.errors.RLock()
	list := make([]ErrorCount, 0, len(s.errors.byCode))
	for code, n := range s.errors.byCode {
		list = append(list, ErrorCount{code, n.Load()})
	}
	s.errors.RUnlock()
	slices.SortFunc(list, func(a, b ErrorCount) int { return strings.Compare(a.Code, b.Code) })
	return list
}

// countError counts an error reply; text is the reply line without its '-'.
func (s *Stats) countError(text string) {
	s.ErrorReplies.Add(1)
	code, _, _ := strings.Cut(text, " ")
	s.errors.RLock()
	n := s.errors.byCode[code]
	s.errors.RUnlock()
	if n == nil {
		n = s.newErrorCode(code)
	}
	n.Add(1)
}

func (s *Stats) newErrorCode(code string) *atomic.Uint64 {
	s.errors.Lock()
	defer s.errors.Unlock()
	if len(code) > maxErrorCode || len(s.errors.byCode) >= maxErrorCodes {
		code = otherErrorCode
	}
	n := s.errors.byCode[code]
	if n == nil {
		n = new(atomic.Uint64)
		s.errors.byCode[strings.Clone(code)] = n
	}
	return n
}

// sample is called every rateInterval.
func (s *Stats) sample(now time.Time) {
	s.rates.Lock()
	defer s.rates.Unlock()
	r := &s.rates
	current := [3]uint64{s.CommandsProcessed.Load(), s.NetInput.Load(), s.NetOutput.Load()}
	if seconds := now.Sub(r.lastAt).Seconds(); !r.lastAt.IsZero() && seconds > 0 {
		for i := range current {
			if current[i] >= r.last[i] {
				r.samples[r.next][i] = float64(current[i]-r.last[i]) / seconds
			}
		}
		r.next = (r.next + 1) % rateSamples
	}
	r.last, r.lastAt = current, now
}

// Rates returns the current rates.
func (s *Stats) Rates() Rates {
	s.rates.Lock()
	defer s.rates.Unlock()
	var sum [3]float64
	for _, sample := range s.rates.samples {
		for i, v := range sample {
			sum[i] += v / rateSamples
		}
	}
	return Rates{sum[0], sum[1], sum[2]}
}

// Histogram counts durations in buckets: eight to a power of two, so that a
// bucket's bounds are 12.5 percent apart or less.
type Histogram struct {
	buckets [histogramBuckets]atomic.Uint64
}

const (
	histogramStep    = 3 // bits
	histogramBuckets = (64 - histogramStep + 1) << histogramStep
)

// bucketOf returns the bucket of a duration in nanoseconds.
func bucketOf(nanos uint64) int {
	if nanos < 1<<histogramStep {
		return int(nanos)
	}
	shift := bits.Len64(nanos) - histogramStep - 1
	return shift<<histogramStep + int(nanos>>shift)
}

// bucketBound is the largest duration in nanoseconds that belongs to a bucket.
func bucketBound(bucket int) uint64 {
	if bucket < 2<<histogramStep {
		return uint64(bucket)
	}
	shift := bucket>>histogramStep - 1
	mantissa := uint64(bucket&(1<<histogramStep-1) | 1<<histogramStep)
	return (mantissa+1)<<shift - 1
}

func (h *Histogram) add(bucket int, n uint64) { h.buckets[bucket].Add(n) }

// Count returns how many durations were counted.
func (h *Histogram) Count() (n uint64) {
	for i := range h.buckets {
		n += h.buckets[i].Load()
	}
	return n
}

// Percentile returns an upper bound of the duration that percent of all are not
// longer than.
func (h *Histogram) Percentile(percent float64) time.Duration {
	total := h.Count()
	if total == 0 {
		return 0
	}
	want := max(1, uint64(percent/100*float64(total)+0.5))
	var seen uint64
	for i := range h.buckets {
		if seen += h.buckets[i].Load(); seen >= want {
			return time.Duration(bucketBound(i))
		}
	}
	return time.Duration(bucketBound(histogramBuckets - 1))
}

// CountUpTo returns how many durations were counted that are certainly not
// longer than d.
func (h *Histogram) CountUpTo(d time.Duration) (n uint64) {
	for i := range h.buckets {
		if bucketBound(i) > uint64(d) {
			break
		}
		n += h.buckets[i].Load()
	}
	return n
}

// tally collects what a connection's commands add to the statistics, so that a
// pipeline of a hundred like commands touches the shared counters once.
type tally struct {
	spec    *command.Spec
	calls   uint64
	nanos   uint64
	failed  uint64
	bucket  int
	samples uint64 // in bucket, not yet added
	total   uint64 // commands, whatever their spec
}

func (t *tally) add(s *Stats, spec *command.Spec, nanos uint64, failed bool) {
	if spec != t.spec {
		t.flushSpec(s)
		t.spec = spec
	}
	if b := bucketOf(nanos); b != t.bucket {
		t.flushBucket(s)
		t.bucket = b
	}
	t.samples++
	t.calls++
	t.total++
	t.nanos += nanos
	if failed {
		t.failed++
	}
}

func (t *tally) flushBucket(s *Stats) {
	if t.samples > 0 {
		if s.tracking.Load() {
			s.commands[t.spec.ID].histogram().add(t.bucket, t.samples)
		}
		t.samples = 0
	}
}

func (t *tally) flushSpec(s *Stats) {
	if t.calls == 0 {
		return
	}
	t.flushBucket(s)
	c := &s.commands[t.spec.ID]
	c.Calls.Add(t.calls)
	c.Nanos.Add(t.nanos)
	if t.failed > 0 {
		c.Failed.Add(t.failed)
	}
	t.calls, t.nanos, t.failed = 0, 0, 0
}

func (t *tally) flush(s *Stats) {
	t.flushSpec(s)
	if t.total > 0 {
		s.CommandsProcessed.Add(t.total)
		t.total = 0
	}
}
