package badgerdb

import (
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"dkv/engine"
	"dkv/engine/front"
)

// Options configures a store. The zero value of a field means its default.
type Options struct {
	// InMemory keeps the whole store in memory: nothing survives Close.
	InMemory bool
	// Memory, when set, keeps the store, in memory, by the name of its folder: it
	// can be closed and opened again. Nothing is lost but what was not flushed.
	Memory *Memory

	// BlockCacheBytes is the size of the cache of uncompressed blocks, default
	// 64 MiB. It is Go's memory.
	BlockCacheBytes int64
	// MemtableBytes and MemtableCount: see front.Options. Badger has memtables of
	// its own beside these, storeMemtableBytes each.
	MemtableBytes int64
	MemtableCount int

	// BloomBitsPerKey is the size of the tables' Bloom filters, default 10 (1 % of
	// absent keys cost a block read). Negative: no filters.
	BloomBitsPerKey int
	// Compression of table blocks: none, snappy (the default) or zstd.
	Compression string
	// ValueThreshold is the size in bytes above which a value is kept in the value
	// log instead of the tables, default and at most 1 MiB. A low one makes
	// compactions of large values cheap, and reads and scans of them dear.
	ValueThreshold int64
	// Compactors is how many compactions may run at once, at least 2. Default: half
	// of GOMAXPROCS, at least 3 (the third looks after what is stale in the last
	// level), at most 8.
	Compactors int
	// GCInterval is how often files of the value log are looked for that are mostly
	// garbage, to be written anew. Default 5 minutes; negative: never.
	GCInterval time.Duration
	// GCRatio is the part of such a file that must be garbage, default 0.5.
	GCRatio float64

	// ReserveDiskBytes is the free space that is left alone. Badger writes through
	// memory maps: a disk that turns out to be full ends the process (SIGBUS). So
	// the reserve has room for compactions, default 512 MiB, but no more than a
	// tenth of the disk; and there is always one of minReserveBytes at least.
	ReserveDiskBytes int64

	// BeforeFlush, OnFlush and OnFatal: see front.Options.
	BeforeFlush func() error
	OnFlush     func()
	OnFatal     func(error)

	// Logger receives events; nil is slog.Default().
	Logger *slog.Logger
}

const (
	// DefaultCacheBytes is BlockCacheBytes where it is zero.
	DefaultCacheBytes = 64 << 20

	defaultBloomBits  = 10
	defaultGCInterval = 5 * time.Minute
	defaultGCRatio    = 0.5

	maxValueThreshold = 1 << 20

	// storeMemtableBytes is the size of Badger's own memtables, which front's are
	// written through. Badger takes a transaction of 15 % of it at most, which has
	// to hold a value of maxValueThreshold.
	storeMemtableBytes = 16 << 20
	storeMemtables     = 2

	// A store in memory has smaller ones, the least that such a transaction fits into,
	// and compacts level 0 sooner: there it is memory that could hold data.
	ramMemtableBytes   = 8 << 20
	ramMemtables       = 1
	ramLevelZeroTables = 2
	ramLevelZeroStall  = 6

	// writeFactor is how often a change is on disk at its worst moment: in Badger's
	// write-ahead log, in a table of level 0, and in one below.
	writeFactor = 3

	defaultReserveBytes = 512 << 20
	// reserveFraction bounds the default reserve on small disks.
	reserveFraction = 10
	// minReserveBytes is for Badger's memtable on its way to the disk.
	minReserveBytes = writeFactor * storeMemtableBytes

	// format is the version of how records are laid out in Badger.
	format = 1
)

func (o Options) withDefaults() Options {
	if o.Memory != nil {
		o.InMemory = true
	}
	if o.BlockCacheBytes == 0 {
		o.BlockCacheBytes = DefaultCacheBytes
	}
	if o.BloomBitsPerKey == 0 {
		o.BloomBitsPerKey = defaultBloomBits
	}
	if o.Compression == "" {
		o.Compression = "snappy"
	}
	if o.ValueThreshold == 0 {
		o.ValueThreshold = maxValueThreshold
	}
	if o.Compactors == 0 {
		o.Compactors = min(max(3, runtime.GOMAXPROCS(0)/2), 8)
	}
	if o.GCInterval == 0 {
		o.GCInterval = defaultGCInterval
	}
	if o.GCRatio == 0 {
		o.GCRatio = defaultGCRatio
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Check returns engine.ErrOptions, wrapped, for options that Open would refuse.
func (o Options) Check() error { return o.withDefaults().validate() }

// maxBlockCacheBytes bounds what Badger makes at once for a cache: a counter for each half
// KiB.
const maxBlockCacheBytes = 256 << 30

func (o Options) validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", engine.ErrOptions, fmt.Sprintf(format, args...))
	}
	switch {
	case o.BlockCacheBytes < 1<<20 || o.BlockCacheBytes > maxBlockCacheBytes:
		return bad("block cache of %d bytes: must be 1 MiB to 256 GiB", o.BlockCacheBytes)
	case o.BloomBitsPerKey > 64:
		return bad("%d Bloom filter bits a key", o.BloomBitsPerKey)
	case o.ValueThreshold < 1 || o.ValueThreshold > maxValueThreshold:
		return bad("value threshold of %d bytes: must be 1 to %d", o.ValueThreshold, maxValueThreshold)
	case o.Compactors < 2:
		return bad("%d compactors: at least 2 are needed", o.Compactors)
	case !(o.GCRatio > 0 && o.GCRatio < 1):
		return bad("garbage ratio %v: must be between 0 and 1", o.GCRatio)
	}
	if _, ok := compressions[o.Compression]; !ok {
		return bad("compression %q: must be none, snappy or zstd", o.Compression)
	}
	return o.front("").Validate()
}

var compressions = map[string]options.CompressionType{
	"none": options.None, "snappy": options.Snappy, "zstd": options.ZSTD,
}

// front returns the options of the memtables over a store in dir.
func (o Options) front(dir string) front.Options {
	fo := front.Options{
		MemtableBytes: o.MemtableBytes,
		MemtableCount: o.MemtableCount,
		WriteFactor:   writeFactor,
		BeforeFlush:   o.BeforeFlush,
		OnFlush:       o.OnFlush,
		OnFatal:       o.OnFatal,
		Name:          "badger",
		Logger:        o.Logger,
	}
	if dir != "" {
		fo.ReserveBytes = o.reserve(dir)
		fo.FreeBytes = front.FreeBytes(dir)
	}
	return fo.WithDefaults()
}

// reserve is the free space that a store in dir leaves alone.
func (o Options) reserve(dir string) uint64 {
	if o.ReserveDiskBytes != 0 {
		return uint64(max(o.ReserveDiskBytes, minReserveBytes))
	}
	usage, err := vfs.Default.GetDiskUsage(dir)
	if err != nil {
		return minReserveBytes
	}
	return max(min(defaultReserveBytes, usage.TotalBytes/reserveFraction), minReserveBytes)
}

// storeMemtable is the size of Badger's own memtables.
func (o Options) storeMemtable() int64 {
	if o.InMemory {
		return ramMemtableBytes
	}
	return storeMemtableBytes
}

// badgerOptions translates o, which has its defaults. dir is empty for a store in
// memory.
func (o Options) badgerOptions(dir string, log *logger) badger.Options {
	bo := badger.DefaultOptions(dir).
		WithInMemory(o.InMemory).
		WithLogger(log).
		// A transaction is durable when it returns, its part of a memtable that
		// Badger has set aside meanwhile included: DB.Sync would leave that out.
		WithSyncWrites(true).
		WithDetectConflicts(false).
		WithMemTableSize(o.storeMemtable()).
		WithNumMemtables(storeMemtables).
		WithNumCompactors(o.Compactors).
		WithBlockCacheSize(o.BlockCacheBytes).
		WithCompression(compressions[o.Compression]).
		WithValueThreshold(o.ValueThreshold).
		WithBloomFalsePositive(bloomFalsePositive(o.BloomBitsPerKey)).
		// For a value of 512 MiB; a sparse file until it is filled.
		WithValueLogFileSize(1<<30 - 1).
		WithExternalMagic(format)
	// The last level too, where much of a table is stale.
	bo.LmaxCompaction = true
	if o.InMemory {
		bo = bo.WithNumMemtables(ramMemtables).WithNumLevelZeroTables(ramLevelZeroTables).WithNumLevelZeroTablesStall(ramLevelZeroStall)
	}
	return bo
}

// bloomFalsePositive is what a filter of that many bits a key gets wrong; 0 is no
// filter.
func bloomFalsePositive(bits int) float64 {
	if bits < 0 {
		return 0
	}
	return math.Pow(0.6185, float64(bits))
}
