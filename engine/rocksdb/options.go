package rocksdb

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"

	"dkv/engine"
	"dkv/engine/front"
)

// ErrNotBuilt says that the program was built without RocksDB.
var ErrNotBuilt = errors.New("this program was built without RocksDB: install librocksdb-dev and build with `make build`, or with CGO_ENABLED=1 go build -tags rocksdb")

// Options configures a store. The zero value of a field means its default.
type Options struct {
	// BlockCacheBytes is the size of the cache of uncompressed blocks, indexes and
	// filters, default 64 MiB. It is malloc's memory, beside Go's. Ignored when
	// Cache is set.
	BlockCacheBytes int64
	// Cache is a block cache shared with other stores.
	Cache *Cache

	// MemtableBytes and MemtableCount: see front.Options.
	MemtableBytes int64
	MemtableCount int

	// BloomBitsPerKey is the size of the tables' Bloom filters, default 10 (1 % of
	// absent keys cost a block read). Negative: no filters.
	BloomBitsPerKey int
	// Compression of table blocks: none, snappy (the default), lz4 or zstd.
	Compression string
	// MaxBackgroundJobs is how many compactions may run at once. Default: half of
	// GOMAXPROCS, at least 2, at most 8.
	MaxBackgroundJobs int
	// MaxOpenFiles bounds the tables kept open, default 4096.
	MaxOpenFiles int
	// BlockBytes is the size of a block of a table before compression, default
	// 4 KiB. Larger ones compress better and take less index; a point read costs
	// more.
	BlockBytes int

	// ReserveDiskBytes is the free space that is left alone: see front.Reserve.
	ReserveDiskBytes int64

	// BeforeFlush, OnFlush and OnFatal: see front.Options.
	BeforeFlush func() error
	OnFlush     func()
	OnFatal     func(error)

	// Logger receives events; nil is slog.Default().
	Logger *slog.Logger
}

const (
	defaultCacheBytes   = 64 << 20
	defaultBloomBits    = 10
	defaultMaxOpenFiles = 4096
	defaultBlockBytes   = 4 << 10
)

func (o Options) withDefaults() Options {
	if o.BlockCacheBytes == 0 {
		o.BlockCacheBytes = defaultCacheBytes
	}
	if o.MemtableBytes == 0 {
		o.MemtableBytes = front.DefaultMemtableBytes
	}
	if o.BloomBitsPerKey == 0 {
		o.BloomBitsPerKey = defaultBloomBits
	}
	if o.Compression == "" {
		o.Compression = "snappy"
	}
	if o.MaxBackgroundJobs == 0 {
		o.MaxBackgroundJobs = min(max(2, runtime.GOMAXPROCS(0)/2), 8)
	}
	if o.MaxOpenFiles == 0 {
		o.MaxOpenFiles = defaultMaxOpenFiles
	}
	if o.BlockBytes == 0 {
		o.BlockBytes = defaultBlockBytes
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Check returns engine.ErrOptions, wrapped, for options that Open would refuse.
func (o Options) Check() error { return o.withDefaults().validate() }

func (o Options) validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", engine.ErrOptions, fmt.Sprintf(format, args...))
	}
	switch {
	case o.BlockCacheBytes < 0:
		return bad("block cache of %d bytes", o.BlockCacheBytes)
	case o.BloomBitsPerKey > 64:
		return bad("%d Bloom filter bits a key", o.BloomBitsPerKey)
	case o.MaxBackgroundJobs < 1:
		return bad("%d background jobs", o.MaxBackgroundJobs)
	case o.MaxOpenFiles < 64:
		return bad("%d open files: must be at least 64", o.MaxOpenFiles)
	case o.BlockBytes < 1<<10 || o.BlockBytes > 4<<20:
		return bad("blocks of %d bytes: must be 1 KiB to 4 MiB", o.BlockBytes)
	}
	switch o.Compression {
	case "none", "snappy", "lz4", "zstd":
	default:
		return bad("compression %q: must be none, snappy, lz4 or zstd", o.Compression)
	}
	return o.front("").Validate()
}

// front returns the options of the memtables over a store in dir.
func (o Options) front(dir string) front.Options {
	fo := front.Options{
		MemtableBytes: o.MemtableBytes,
		MemtableCount: o.MemtableCount,
		BeforeFlush:   o.BeforeFlush,
		OnFlush:       o.OnFlush,
		OnFatal:       o.OnFatal,
		Name:          "rocksdb",
		Logger:        o.Logger,
	}
	if dir != "" {
		fo.ReserveBytes = front.Reserve(dir, o.ReserveDiskBytes)
		fo.FreeBytes = front.FreeBytes(dir)
	}
	return fo.WithDefaults()
}
