package pebbledb

import (
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"dkv/engine"
)

// Options configures a DB. The zero value of a field means its default.
type Options struct {
	// FS is the file system; nil is the machine's.
	FS vfs.FS
	// InMemory keeps the whole store in memory: nothing survives Close. It
	// excludes FS.
	InMemory bool

	// BlockCacheBytes is the size of the cache of uncompressed blocks. Default:
	// 32 MiB when the machine (or its cgroup) has up to 4 GiB of memory,
	// otherwise 64 MiB. Ignored when Cache is set. Pebble takes memtables out
	// of the cache's budget; two of them (one being filled, one being flushed)
	// are added to it, and when more wait the cache shrinks for that time. So
	// the two together stay within BlockCacheBytes + 2 * MemtableBytes, unless
	// the disk is so slow that waiting memtables outgrow the cache.
	//
	// Without cgo the cache and the memtables are Go memory, so the garbage
	// collector counts them as live heap and, at GOGC=100, lets the process
	// grow to about twice their size before it collects. With cgo Pebble takes
	// them from malloc, out of the collector's sight. A pure Go build that must
	// stay small sets GOMEMLIMIT (or a lower GOGC).
	BlockCacheBytes int64
	// Cache is a block cache shared with other DBs, whose memtables come out of
	// its budget too.
	Cache *Cache

	// MemtableBytes is the size of a memtable, default 32 MiB: large enough
	// that tables of level 0 are few, small enough that the upper part of its
	// skiplist stays in the CPU's cache. Memtables start at 256 KiB and double
	// up to this size.
	MemtableBytes int64
	// MemtableCount is how many memtables there may be, the one being filled
	// included, before Apply waits for a flush. Default 4.
	MemtableCount int

	// BloomBitsPerKey is the size of the tables' Bloom filters, default 10 (1 %
	// of absent keys cost a block read). Negative: no filters.
	BloomBitsPerKey int
	// Compression of table blocks: "none", "snappy" (the default: about as fast
	// as not compressing, because it saves page cache and writes) or "zstd"
	// (smaller, several times the CPU of compactions).
	Compression string

	// TableBytes is the size of tables on every level, and BaseLevelBytes that of the
	// first level below level 0. Small ones make compactions small, which need room for
	// what they write until they end. Default: Pebble's, tables of 2 MiB and more, and
	// 64 MiB.
	TableBytes     int64
	BaseLevelBytes int64

	// MaxConcurrentCompactions is how many compactions may run at once when
	// they fall behind; one runs otherwise. Default: half of GOMAXPROCS, at
	// least 1, at most 8.
	MaxConcurrentCompactions int
	// Idle: the store compacts nothing by itself. It is for one that is opened to be
	// looked at: what runs in the background would wait for space on a full disk.
	Idle bool
	// MaxOpenFiles bounds the tables kept open. Default: a quarter of the
	// process's limit, at least 256, at most 8192.
	MaxOpenFiles int

	// ReserveDiskBytes is the free space below which no table is written, so
	// that Pebble's MANIFEST, and the log, still can be. Flushes stop at it,
	// compactions at twice it. Default 64 MiB, but no more than 1/20 of the
	// disk. Negative: no reserve but the ballast, a file of 2 MiB that gives way
	// to a MANIFEST write which finds no space.
	ReserveDiskBytes int64

	// BeforeFlush, when set, is called, and must return nil, before any table
	// is created that could make applied data durable: once for each flush. It is
	// called with no lock held; it must not call Flush, Checkpoint, Compact or
	// Close. While it fails, flushes are tried again, and Writable returns its
	// error.
	BeforeFlush func() error
	// OnFlush, when set, is called after a flush became durable. Calls come
	// from one goroutine, one at a time; flushes that end close together share
	// a call. It may read the DB but must not block.
	OnFlush func()
	// OnFatal, when set, is called once, from the goroutine that calls OnFlush,
	// when the store stopped after an error that it cannot recover from. Reads
	// go on; Apply, Flush and Writable return engine.ErrFailed.
	OnFatal func(error)

	// Logger receives events; nil is slog.Default().
	Logger *slog.Logger
}

const (
	defaultMemtableBytes   = 32 << 20
	defaultMemtableCount   = 4
	defaultBloomBitsPerKey = 10
	defaultReserveBytes    = 64 << 20
	// reserveDiskFraction bounds the default reserve on small disks.
	reserveDiskFraction = 20

	smallMachineBytes   = 4 << 30
	smallMachineCache   = 32 << 20
	regularMachineCache = 64 << 20

	// minMemtableBytes keeps a memtable larger than Pebble's bookkeeping in it.
	minMemtableBytes = 64 << 10
	// maxMemtableBytes is Pebble's limit (32-bit offsets), with room to spare.
	maxMemtableBytes = 1 << 30

	// deleteRangeFlushDelay is how long a delete-range stays in memory at most:
	// the space that it covers is given back only once it is in a table.
	deleteRangeFlushDelay = 10 * time.Second

	// maxManifestBytes bounds the log of version edits that Open replays.
	maxManifestBytes = 32 << 20

	// l0CompactionSublevels is how many sublevels of level 0 start a
	// compaction; each is one more table that a point read looks into.
	l0CompactionSublevels = 2
	// l0StopSublevels is where Apply waits for compactions. It bounds what a
	// read costs; a store that is written faster than it can be compacted is
	// slowed down here.
	l0StopSublevels = 24
)

func (o Options) withDefaults() Options {
	if o.BlockCacheBytes == 0 {
		o.BlockCacheBytes = defaultCacheBytes(totalMemory())
	}
	if o.MemtableBytes == 0 {
		o.MemtableBytes = defaultMemtableBytes
	}
	if o.MemtableCount == 0 {
		o.MemtableCount = defaultMemtableCount
	}
	if o.BloomBitsPerKey == 0 {
		o.BloomBitsPerKey = defaultBloomBitsPerKey
	}
	if o.Compression == "" {
		o.Compression = "snappy"
	}
	if o.MaxConcurrentCompactions == 0 {
		o.MaxConcurrentCompactions = min(max(1, runtime.GOMAXPROCS(0)/2), 8)
	}
	if o.MaxOpenFiles == 0 {
		o.MaxOpenFiles = min(max(256, openFileLimit()/4), 8192)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// UsableMemory returns the bytes of memory that the process can use, 0 when the system
// does not say.
func UsableMemory() int64 { return int64(min(totalMemory(), 1<<62)) }

// defaultCacheBytes is the block cache for a machine with that much memory; 0 is
// unknown.
func defaultCacheBytes(memory uint64) int64 {
	if memory != 0 && memory <= smallMachineBytes {
		return smallMachineCache
	}
	return regularMachineCache
}

// Check returns engine.ErrOptions, wrapped, for options that Open would refuse.
func (o Options) Check() error { return o.withDefaults().validate() }

func (o Options) validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", engine.ErrOptions, fmt.Sprintf(format, args...))
	}
	switch {
	case o.InMemory && o.FS != nil:
		return bad("InMemory and FS exclude each other")
	case o.BlockCacheBytes < 0:
		return bad("block cache of %d bytes", o.BlockCacheBytes)
	case o.MemtableBytes < minMemtableBytes || o.MemtableBytes > maxMemtableBytes:
		return bad("memtable of %d bytes: must be %d to %d", o.MemtableBytes, minMemtableBytes, maxMemtableBytes)
	case o.MemtableCount < 2:
		return bad("%d memtables: at least 2 are needed, one to fill while one is flushed", o.MemtableCount)
	case o.BloomBitsPerKey > 64:
		return bad("%d Bloom filter bits a key", o.BloomBitsPerKey)
	case o.MaxConcurrentCompactions < 1:
		return bad("%d concurrent compactions", o.MaxConcurrentCompactions)
	case o.MaxOpenFiles < 64:
		return bad("%d open files: must be at least 64", o.MaxOpenFiles)
	case compressionProfile(o.Compression) == nil:
		return bad("compression %q: must be none, snappy or zstd", o.Compression)
	}
	return nil
}

func compressionProfile(name string) *sstable.CompressionProfile {
	switch strings.ToLower(name) {
	case "none":
		return sstable.NoCompression
	case "snappy":
		return sstable.SnappyCompression
	case "zstd":
		return sstable.ZstdCompression
	}
	return nil
}

// pebbleOptions translates o, which has its defaults.
func (o Options) pebbleOptions(fs vfs.FS, cache *pebble.Cache, listener *pebble.EventListener, logger pebble.Logger) *pebble.Options {
	compression := compressionProfile(o.Compression)
	po := &pebble.Options{
		FS:                 fs,
		Cache:              cache,
		DisableWAL:         true, // the shard's log is the write-ahead log
		FormatMajorVersion: pebble.FormatNewest,
		EventListener:      listener,
		Logger:             logger,

		MemTableSize: uint64(o.MemtableBytes),
		// Pebble's own write stalls are out of reach: monitor.waitForRoom stalls
		// first, because a writer that waits inside Pebble for a full disk
		// cannot be woken to close the store.
		MemTableStopWritesThreshold: 1 << 20,
		L0StopWritesThreshold:       1 << 20,

		L0CompactionThreshold: l0CompactionSublevels,

		DisableAutomaticCompactions: o.Idle,
		FlushDelayDeleteRange:       deleteRangeFlushDelay,
		MaxManifestFileSize:         maxManifestBytes,
		MaxOpenFiles:                o.MaxOpenFiles,
		CompactionConcurrencyRange: func() (lower, upper int) {
			return 1, o.MaxConcurrentCompactions
		},
	}
	if o.TableBytes > 0 {
		for i := range po.TargetFileSizes {
			po.TargetFileSizes[i] = o.TableBytes
		}
	}
	if o.BaseLevelBytes > 0 {
		po.LBaseMaxBytes = o.BaseLevelBytes
	}
	// Nothing that Load adds may wait in memory for its flush: it is durable at once.
	po.Experimental.DisableIngestAsFlushable = func() bool { return true }
	po.Levels[0].Compression = func() *sstable.CompressionProfile { return compression }
	if o.BloomBitsPerKey > 0 {
		po.Levels[0].FilterPolicy = bloom.FilterPolicy(o.BloomBitsPerKey)
	}
	// The other levels take what the level above them has (EnsureDefaults).
	po.EnsureDefaults()
	return po
}

// cacheBudgetMemtables is how many memtables the cache's budget has room for
// beside the blocks.
const cacheBudgetMemtables = 2

// newCache returns the block cache to use; the caller unrefs it.
func (o Options) newCache() *pebble.Cache {
	if o.Cache != nil {
		o.Cache.c.Ref()
		return o.Cache.c
	}
	return pebble.NewCache(o.cacheBudget())
}

func (o Options) cacheBudget() int64 { return o.BlockCacheBytes + cacheBudgetMemtables*o.MemtableBytes }

// Cache is a block cache that DBs can share, which bounds them together.
type Cache struct {
	c *pebble.Cache
}

// NewCache returns a cache for DBs that together have o's BlockCacheBytes and, since
// their memtables come out of it, MemtableBytes, or the defaults of both. The caller
// closes it after the DBs that use it.
func NewCache(o Options) *Cache {
	return &Cache{c: pebble.NewCache(o.withDefaults().cacheBudget())}
}

// Close releases the caller's hold on the cache.
func (c *Cache) Close() {
	c.c.Unref()
}
