package server

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"

	"dkv/cluster"
	"dkv/server/command"
)

func init() {
	bind("memory|doctor", memoryDoctor)
	bind("memory|stats", memoryStats)
	bind("memory|malloc-stats", memoryMallocStats)
	bind("memory|purge", memoryPurge)
	bind("memory|help", help("MEMORY",
		"DOCTOR",
		"    Return memory problems reports.",
		"MALLOC-STATS",
		"    Return internal statistics report from the memory allocator.",
		"PURGE",
		"    Attempt to purge dirty pages for reclamation by the allocator.",
		"STATS",
		"    Return information about the memory usage of the server.",
		"USAGE <key> [SAMPLES <count>]",
		"    Return memory in bytes used by <key> and its value. Nested values are",
		"    sampled up to <count> times (default: 5, 0 means sample all)."))
}

// memoryFigures say where the process's memory is. All are bytes.
type memoryFigures struct {
	used       uint64 // all that is taken, what the collector has not freed yet included
	live       uint64 // of used: data and whatever else is live, see cluster.MemoryMetrics
	rss        uint64 // as the system counts
	peak       uint64 // the highest used that was seen
	heapLive   uint64 // reachable at the last collection
	heapInUse  uint64
	stacks     uint64
	goTotal    uint64 // mapped by the Go runtime
	goReleased uint64 // of goTotal, given back to the system
	blockCache uint64
	memtables  uint64 // what is in no table yet; dirty is of it
	hot        uint64 // the table of hot records, and ranges that are kept
	dirty      uint64 // what the hot layer holds back
	limit      uint64 // of the Go runtime, 0 is none
	node       cluster.MemoryMetrics
}

// Names in runtime/metrics.
var memorySamples = []string{
	"/memory/classes/total:bytes",
	"/memory/classes/heap/released:bytes",
	"/memory/classes/heap/objects:bytes",
	"/memory/classes/heap/stacks:bytes",
	"/gc/heap/live:bytes",
	"/gc/gomemlimit:bytes",
	"/memory/classes/heap/free:bytes",
}

func (s *Server) memory() memoryFigures {
	samples := make([]metrics.Sample, len(memorySamples))
	for i, name := range memorySamples {
		samples[i].Name = name
	}
	metrics.Read(samples)
	n := func(i int) uint64 {
		if samples[i].Value.Kind() != metrics.KindUint64 {
			return 0
		}
		return samples[i].Value.Uint64()
	}
	m := memoryFigures{
		goTotal: n(0), goReleased: n(1), heapInUse: n(2), stacks: n(3), heapLive: n(4), limit: n(5),
		rss: residentBytes(),
	}
	if m.limit == 1<<63-1 {
		m.limit = 0
	}
	m.live = m.goTotal - m.goReleased
	if s.node != nil {
		m.node = s.node.Memory()
		m.blockCache, m.memtables = uint64(m.node.BlockCache), uint64(m.node.Memtables)
		hot := s.node.HotMetrics()
		m.hot, m.dirty = hot.Bytes, hot.DirtyBytes
		m.live += uint64(m.node.Outside)
	}
	if m.rss == 0 {
		m.rss = m.live
	}
	// Free pages are what the process could give back at once. The system's count is the
	// only one that has C's memory and the program itself.
	m.used = m.rss - min(n(6), m.rss)
	// Without what the collector will free.
	if m.node.Other > 0 {
		m.live = uint64(m.node.Other)
		if s.node.Diskless() {
			m.live += uint64(max(m.node.Data, 0))
		}
	}
	m.peak = s.admin.raisePeak(m.used)
	return m
}

// clientFigures say what connections hold. All are bytes.
type clientFigures struct {
	memory    uint64 // of all clients
	maxInput  uint64 // of one client
	maxOutput uint64
}

func (s *Server) clientMemory() (m clientFigures) {
	s.clients.each(func(c *Conn) {
		in := uint64(max(c.shared.pending.Load(), 0))
		c.outbox.mu.Lock()
		out := uint64(c.outbox.bytes)
		c.outbox.mu.Unlock()
		m.memory += connBytes + in + out
		m.maxInput = max(m.maxInput, in)
		m.maxOutput = max(m.maxOutput, out)
	})
	return m
}

// raisePeak remembers the highest use of memory that was seen.
func (a *admin) raisePeak(used uint64) uint64 {
	for {
		old := a.peakMemory.Load()
		if used <= old {
			return old
		}
		if a.peakMemory.CompareAndSwap(old, used) {
			return used
		}
	}
}

// memoryDoctor says in words whether the figures look healthy.
func memoryDoctor(c *Conn, x *command.Ctx) error {
	m := c.srv.memory()
	var b strings.Builder
	fmt.Fprintf(&b, "The process holds %s of memory: %s of live Go objects, %s of hot records, %s of cached blocks, %s of writes not yet in a table file.\n",
		humanBytes(m.rss), humanBytes(m.heapLive), humanBytes(m.hot), humanBytes(m.blockCache), humanBytes(m.memtables))
	advice := 0
	if m.limit > 0 && m.live > m.limit {
		advice++
		b.WriteString("- It is over the Go memory limit, so garbage collection runs often. Larger limits (GOMEMLIMIT) or smaller caches help.\n")
	}
	if m.rss > 64<<20 && m.rss > 2*m.live {
		advice++
		b.WriteString("- The system counts twice of what is live. MEMORY PURGE gives free pages back.\n")
	}
	if word := c.srv.keptTo(m); word != "" {
		advice++
		b.WriteString("- " + word + "\n")
	}
	if advice == 0 {
		b.WriteString("Nothing looks wrong.\n")
	}
	x.Out.Verbatim("txt", b.String())
	return nil
}

// memoryStats replies the fields that tools read, under the names Redis has, and where the
// memory of data on disk is, under names of dkv's own.
func memoryStats(c *Conn, x *command.Ctx) error {
	m, clients := c.srv.memory(), c.srv.clientMemory()
	dbs := c.srv.nonEmptyDatabases()
	keys := int64(0)
	for _, db := range dbs {
		keys += db.keys
	}
	dataset := c.srv.dataset(m)
	perKey := uint64(0)
	if keys > 0 {
		perKey = dataset / uint64(keys)
	}
	w := x.Out
	ints := func(pairs ...any) {
		for i := 0; i < len(pairs); i += 2 {
			w.BulkString(pairs[i].(string))
			switch v := pairs[i+1].(type) {
			case uint64:
				w.Uint(v)
			case int64:
				w.Int(v)
			case int:
				w.Int(int64(v))
			case float64:
				w.Double(v)
			}
		}
	}
	w.Map(31 + len(dbs))
	ints("peak.allocated", m.peak, "total.allocated", m.used, "startup.allocated", 0, "replication.backlog", 0,
		"clients.slaves", 0, "clients.normal", clients.memory, "cluster.links", 0, "aof.buffer", 0, "lua.caches", 0, "functions.caches", 0)
	for _, db := range dbs {
		w.BulkString(fmt.Sprintf("db.%d", db.index))
		w.Map(3)
		ints("overhead.hashtable.main", 0, "overhead.hashtable.expires", 0, "overhead.hashtable.slot-to-keys", 0)
	}
	ints("overhead.total", m.used-min(dataset, m.used), "keys.count", keys, "keys.bytes-per-key", perKey,
		"dataset.bytes", dataset, "dataset.percentage", percentage(dataset, m.used), "peak.percentage", percentage(m.used, m.peak),
		"allocator.allocated", m.heapInUse, "allocator.active", m.goTotal-m.goReleased, "allocator.resident", m.rss,
		"allocator-fragmentation.ratio", ratio(m.goTotal-m.goReleased, m.heapInUse),
		"allocator-fragmentation.bytes", int64(m.goTotal-m.goReleased)-int64(m.heapInUse),
		"allocator-rss.ratio", ratio(m.rss, m.goTotal-m.goReleased),
		"allocator-rss.bytes", int64(m.rss)-int64(m.goTotal-m.goReleased),
		"rss-overhead.ratio", ratio(m.rss, m.used), "rss-overhead.bytes", int64(m.rss)-int64(m.used),
		"fragmentation", ratio(m.rss, m.used), "fragmentation.bytes", int64(m.rss)-int64(m.used),
		"dkv.hot-cache", m.hot, "dkv.hot-dirty", m.dirty, "dkv.block-cache", m.blockCache, "dkv.memtables", m.memtables-min(m.dirty, m.memtables))
	return nil
}

// memoryMallocStats prints what the Go runtime knows of its memory.
func memoryMallocStats(c *Conn, x *command.Ctx) error {
	var b strings.Builder
	samples := make([]metrics.Sample, 0, 64)
	for _, d := range metrics.All() {
		if strings.HasPrefix(d.Name, "/memory/") || strings.HasPrefix(d.Name, "/gc/") {
			samples = append(samples, metrics.Sample{Name: d.Name})
		}
	}
	metrics.Read(samples)
	fmt.Fprintf(&b, "Go runtime %s\n", runtime.Version())
	for _, s := range samples {
		switch s.Value.Kind() {
		case metrics.KindUint64:
			fmt.Fprintf(&b, "%s %d\n", s.Name, s.Value.Uint64())
		case metrics.KindFloat64:
			fmt.Fprintf(&b, "%s %g\n", s.Name, s.Value.Float64())
		}
	}
	x.Out.Verbatim("txt", b.String())
	return nil
}

func memoryPurge(_ *Conn, x *command.Ctx) error {
	debug.FreeOSMemory()
	x.Out.OK()
	return nil
}

func ratio(a, b uint64) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

func percentage(a, b uint64) float64 { return 100 * ratio(a, b) }

// humanBytes prints a size as Redis does in INFO: 1.33M.
func humanBytes(n uint64) string {
	f := float64(n)
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%dB", n)
	case n < 1<<20:
		return fmt.Sprintf("%.2fK", f/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.2fM", f/(1<<20))
	case n < 1<<40:
		return fmt.Sprintf("%.2fG", f/(1<<30))
	}
	return fmt.Sprintf("%.2fT", f/(1<<40))
}
