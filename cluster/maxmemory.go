package cluster

import (
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"dkv/engine/keyspace"
)

// MaxMemory is what a node may take, and how it makes room. See
// docs/adr/0022-eviction.md.
type MaxMemory struct {
	// Bytes bounds the process's memory on a diskless node, and the engine's size on
	// one with a disk; zero: no bound. There it holds only with a policy that evicts.
	Bytes   int64
	Policy  keyspace.Policy
	Samples int // keys looked at for each that goes
	// LogFactor and DecayMinutes are those of LFU.
	LogFactor, DecayMinutes int64
}

// MemoryMetrics are the figures of a node's memory. All sizes are bytes.
type MemoryMetrics struct {
	// Data is what tables, memtables and log take on a diskless node, and tables and
	// memtables on one with a disk. Limit is the most that it may be: what MaxMemory
	// leaves to it; zero: any.
	Data, Limit int64
	// Other is what else is live in the process.
	Other int64
	// BlockCache and Memtables are the engines', what is held back from them included.
	// Outside is what of both is not on Go's heap.
	BlockCache, Memtables, Outside int64
	// Evicted counts keys.
	Evicted uint64
	// Exceeded is for how long Data was over Limit, ExceededNow for how long it is.
	Exceeded, ExceededNow time.Duration
	// Full says that writes which take memory are refused.
	Full bool
}

// memory watches over a node's memory.
type memory struct {
	tracker keyspace.Tracker
	max     atomic.Pointer[MaxMemory]
	changed chan struct{}                 // kicked when max is
	full    atomic.Bool                   // see Node.OutOfMemory
	gate    atomic.Pointer[chan struct{}] // nil: open

	data, limit, other atomic.Int64
	exceeded           atomic.Int64 // ns, of the times that are over
	since              atomic.Int64 // unix ns when data went over its limit; zero: it is not
	warned             time.Time

	compacting atomic.Bool
	closing    sync.WaitGroup
}

const (
	// headroomFraction of MaxMemory are left to the garbage collector, and
	// imageBytes to the program itself, its threads and the runtime's own tables.
	headroomFraction = 5
	imageBytes       = 28 << 20
	// leastDataFraction of MaxMemory are for data, however much the rest takes.
	leastDataFraction = 4
	// unboundedTable is for the uses of keys where no MaxMemory gives the size, bytes.
	unboundedTable = 4 << 20
	// minMaxMemory is the MaxMemory that a diskless node can keep to.
	minMaxMemory = 64 << 20
	// leastDataBytes are for data where keys are evicted, whatever the bound is. With
	// less than the log and a memtable take there would always be too much, and every
	// write would wait in vain for room.
	leastDataBytes = minMaxMemory / leastDataFraction
)

// SetMaxMemory changes the bound, at once.
func (n *Node) SetMaxMemory(m MaxMemory) {
	// A word a 128 bytes of data: there are seldom more keys.
	kind, table := m.Policy.Tracking(), m.Bytes/32
	switch {
	case m.Bytes > 0:
	case kind == keyspace.TrackUses: // nothing is evicted, but OBJECT FREQ is asked
		table = unboundedTable
	default:
		kind = keyspace.TrackNone
	}
	n.memory.tracker.Track(kind, table, n.o.Clock().UnixMilli())
	n.memory.tracker.SetLFU(m.LogFactor, m.DecayMinutes)
	old := n.memory.max.Swap(&m)
	kick(n.memory.changed)
	if old == nil || old.Bytes != m.Bytes || old.Policy != m.Policy {
		n.explainMaxMemory(m)
	}
}

// explainMaxMemory says what of a bound cannot be.
func (n *Node) explainMaxMemory(m MaxMemory) {
	switch {
	case m.Bytes <= 0:
	case n.o.Diskless && m.Bytes < minMaxMemory:
		n.o.Logger.Warn("maxmemory is less than the process needs for itself: it bounds the data, and the process will be larger",
			"maxmemory", m.Bytes, "least", minMaxMemory, "data", n.leastData(&m))
	case n.o.Diskless && n.o.MaxMemory.Bytes == 0:
		n.o.Logger.Warn("maxmemory was not given at the start: log and caches keep the sizes of a node without a bound, and may leave no room for data",
			"maxmemory", m.Bytes, "log", n.o.MaxLogBytes+n.o.LogRetainBytes)
	case !n.o.Diskless && m.Policy == keyspace.NoEviction:
		n.o.Logger.Warn("maxmemory has no effect: data is on disk, and maxmemory-policy is noeviction")
	case !n.o.Diskless:
		n.o.Logger.Info("maxmemory bounds the size of the data on disk", "maxmemory", m.Bytes, "policy", m.Policy.String())
	}
}

// bounded returns the bound, nil when there is none that matters here.
func (n *Node) bounded() *MaxMemory {
	m := n.memory.max.Load()
	if m == nil || m.Bytes <= 0 || !n.o.Diskless && m.Policy == keyspace.NoEviction {
		return nil
	}
	return m
}

// Tracking says what is known of the use of keys.
func (n *Node) Tracking() keyspace.Tracking { return n.memory.tracker.Kind() }

// OutOfMemory says that writes which take memory are to be refused.
func (n *Node) OutOfMemory() bool { return n.memory.full.Load() }

// Memory returns the figures of the node's memory.
func (n *Node) Memory() MemoryMetrics {
	mem := &n.memory
	m := MemoryMetrics{Limit: mem.limit.Load(), Full: mem.full.Load(), Exceeded: time.Duration(mem.exceeded.Load())}
	m.Data, m.Other = n.weigh()
	e := n.enginesLately()
	m.BlockCache, m.Memtables, m.Outside = e.blockCache, e.memtables, e.outside
	if since := mem.since.Load(); since != 0 {
		m.ExceededNow = max(time.Duration(n.o.Clock().UnixNano()-since), 0)
		m.Exceeded += m.ExceededNow
	}
	for i := range n.list() {
		m.Evicted += n.list()[i].Evicted()
	}
	return m
}

// weigh returns what data takes now, and what else is live.
func (n *Node) weigh() (data, other int64) {
	e := n.enginesLately()
	data = e.data
	if n.files != nil {
		data += n.files.Bytes()
	}
	return data, n.otherBytes(data, e.outside)
}

// engineMemory is what the engines take, bytes.
type engineMemory struct {
	data                  int64 // memtables, and what is not in files of Node.files
	blockCache, memtables int64
	outside               int64 // of these two, what is not on Go's heap
}

// enginesInterval is for how long enginesLately goes by what it knows.
const enginesInterval = 25 * time.Millisecond

// enginesLately is engineMemory, of some milliseconds ago: an engine with many tables
// takes a while to tell.
func (n *Node) enginesLately() engineMemory {
	w := &n.otherLive
	w.Lock()
	defer w.Unlock()
	if now := time.Now(); now.Sub(w.asked) > enginesInterval {
		w.engines = n.engineMemory()
		w.asked = time.Now()
	}
	return w.engines
}

func (n *Node) engineMemory() (sum engineMemory) {
	for i := range n.list() {
		m := n.list()[i].EngineMetrics()
		sum.memtables += int64(m.MemtableBytes)
		if n.files == nil || n.o.Engine != EnginePebble {
			sum.data += int64(m.DiskBytes)
		}
		if cgoEnabled && n.o.Engine == EnginePebble {
			sum.outside += int64(m.MemtableBytes - m.HeldBackBytes)
		}
		if i == 0 || !n.engines.shareCache() {
			sum.blockCache += int64(m.BlockCacheBytes)
		}
	}
	sum.data += sum.memtables
	if cgoEnabled && n.o.Engine != EngineBadger {
		sum.outside += sum.blockCache
	}
	return sum
}

var heapSamples = []string{"/gc/cycles/total:gc-cycles", "/gc/heap/live:bytes", "/memory/classes/heap/stacks:bytes",
	"/memory/classes/metadata/mspan/inuse:bytes", "/memory/classes/metadata/other:bytes"}

// otherBytes is what is live beside the data, as the latest garbage collection found it:
// data is what it is now, and changes little between two looks.
func (n *Node) otherBytes(data, outside int64) int64 {
	w := &n.otherLive
	w.Lock()
	defer w.Unlock()
	if w.samples == nil {
		w.samples = make([]metrics.Sample, len(heapSamples))
		for i, name := range heapSamples {
			w.samples[i].Name = name
		}
	}
	metrics.Read(w.samples)
	cycles := w.samples[0].Value.Uint64()
	if cycles == w.cycles {
		return w.bytes
	}
	w.cycles = cycles
	live := outside
	for _, s := range w.samples[1:] {
		live += int64(s.Value.Uint64())
	}
	if n.files == nil {
		data = 0 // it is on disk
	}
	w.bytes = max(live-data, 0)
	return w.bytes
}

// otherLive is what otherBytes knows.
type otherLive struct {
	sync.Mutex
	samples []metrics.Sample
	cycles  uint64 // of the garbage collector, when bytes was true
	bytes   int64

	asked   time.Time // when engines was true
	engines engineMemory
}

// dataLimit is what a bound leaves to data.
func (n *Node) dataLimit(m *MaxMemory, other int64) int64 {
	if !n.o.Diskless {
		return m.Bytes
	}
	return max(m.Bytes-m.Bytes/headroomFraction-imageBytes-other, n.leastData(m))
}

// leastData is what is for data however much the rest takes. Without eviction, writes are
// refused at a bound as small as somebody likes.
func (n *Node) leastData(m *MaxMemory) int64 {
	least := m.Bytes / leastDataFraction
	if m.Policy != keyspace.NoEviction {
		least = max(least, leastDataBytes)
	}
	return least
}

// withMaxMemory makes what is not given small enough for a diskless node to keep to its
// bound: what is not data is about a sixth of it.
func (o Options) withMaxMemory() Options {
	m := o.MaxMemory.Bytes
	if m <= 0 {
		return o
	}
	share := func(size *int64, fraction, least, most int64) {
		if *size == 0 {
			*size = min(max(m/fraction, least), most)
		}
	}
	share(&o.MemtableBytes, 64, 1<<20, 32<<20)
	share(&o.BlockCacheBytes, 64, 2<<20, 64<<20)
	share(&o.HotCacheBytes, 32, 1<<20, defaultHotCacheBytes)
	share(&o.LogCacheBytes, 64, 1<<20, 32<<20)
	share(&o.LogRetainBytes, 64, 1<<20, 64<<20)
	share(&o.MaxLogBytes, 16, 4<<20, defaultMaxLogBytes)
	share(&o.LogSegmentBytes, 256, 1<<20, 4<<20)
	return o
}
