//go:build rocksdb

package rocksdb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/linxGnu/grocksdb"

	"dkv/engine"
	"dkv/engine/front"
)

// Built says that the program has RocksDB.
const Built = true

// Cache is a block cache that stores can share, which bounds them together.
type Cache struct{ c *grocksdb.Cache }

// NewCache returns a cache of that many bytes, 0 for as many as a store has by
// default. The caller closes it after the stores that use it.
func NewCache(bytes int64) *Cache {
	if bytes == 0 {
		bytes = defaultCacheBytes
	}
	return &Cache{c: grocksdb.NewLRUCache(uint64(bytes))}
}

// Close gives the cache back.
func (c *Cache) Close() { c.c.Destroy() }

// Open opens the store in dir, or makes one there when dir is empty or missing.
// Errors, wrapped: engine.ErrOptions, engine.ErrLocked, engine.ErrDataFormat,
// engine.ErrCorrupt, engine.ErrNoSpace, and those of the file system.
func Open(dir string, o Options) (engine.Engine, error) {
	o = o.withDefaults()
	db, err := open(dir, o)
	if err != nil {
		return nil, fmt.Errorf("rocksdb: open %s: %w", dir, err)
	}
	return db, nil
}

func open(dir string, o Options) (*front.DB, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := front.OwnFolder(dir, "CURRENT", leftByFirstOpen); err != nil {
		return nil, err
	}
	s, err := openStore(dir, o)
	if err != nil {
		return nil, err
	}
	db, err := front.Open(s, o.front(dir))
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return db, nil
}

// leftByFirstOpen reports whether a first Open that crashed may have left the
// file.
func leftByFirstOpen(name string) bool {
	for _, prefix := range []string{"LOCK", "LOG", "IDENTITY", "MANIFEST-", "OPTIONS-", flushName} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return strings.HasSuffix(name, ".dbtmp") || strings.HasSuffix(name, ".log")
}

// lockName is the file that is locked while the store is open.
const lockName = "LOCK.dkv"

// flushName is the table that is being written, before it is ingested.
const flushName = "dkv-flush.sst.tmp"

func openStore(dir string, o Options) (*store, error) {
	s := &store{dir: dir, flush: filepath.Join(dir, flushName)}
	if o.Cache != nil {
		s.cache = o.Cache.c
	} else {
		s.cache = grocksdb.NewLRUCache(uint64(o.BlockCacheBytes))
		s.ownCache = s.cache
	}
	s.options = o.rocksOptions(s)
	s.free, s.reserve = front.FreeBytes(dir), front.Reserve(dir, o.ReserveDiskBytes)
	if err := s.open(); err != nil {
		s.destroyOptions()
		return nil, err
	}
	return s, nil
}

// open locks the folder, tidies it up and opens RocksDB. (RocksDB's own lock is
// taken too late for the tidying.)
func (s *store) open() (err error) {
	if s.lock, err = vfs.Default.Lock(filepath.Join(s.dir, lockName)); err != nil {
		// Opening the file fails with a PathError; locking it with an errno
		// (another process) or a text (this process).
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) || front.IsNoSpace(err) {
			return err
		}
		return fmt.Errorf("%w: another process has it open (%v)", engine.ErrLocked, err)
	}
	if err = s.tidy(); err == nil {
		s.db, err = grocksdb.OpenDb(s.options, s.dir)
		err = openError(err)
	}
	if err != nil {
		return errors.Join(err, s.lock.Close())
	}
	return nil
}

// tidy removes what a crash left of a flush, and the write-ahead logs of earlier
// Opens. RocksDB makes one at each, and does not remove it while nothing is written
// through it. One that is not empty is not ours.
func (s *store) tidy() error {
	if err := os.Remove(s.flush); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	logs, err := filepath.Glob(filepath.Join(s.dir, "*.log"))
	if err != nil {
		return err
	}
	for _, path := range logs {
		if info, err := os.Stat(path); err != nil || info.Size() != 0 {
			continue
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// rocksOptions translates o, which has its defaults.
func (o Options) rocksOptions(s *store) *grocksdb.Options {
	table := grocksdb.NewDefaultBlockBasedTableOptions()
	table.SetBlockCache(s.cache)
	table.SetBlockSize(o.BlockBytes)
	table.SetFormatVersion(5)
	// Indexes and filters count towards the cache's limit too; those of level 0,
	// which every read looks into, stay.
	table.SetCacheIndexAndFilterBlocks(true)
	table.SetCacheIndexAndFilterBlocksWithHighPriority(true)
	table.SetPinL0FilterAndIndexBlocksInCache(true)
	if o.BloomBitsPerKey > 0 {
		table.SetFilterPolicy(grocksdb.NewBloomFilterFull(float64(o.BloomBitsPerKey)))
	}
	s.table = table

	ro := grocksdb.NewDefaultOptions()
	ro.SetCreateIfMissing(true)
	ro.SetBlockBasedTableFactory(table)
	ro.SetCompression(map[string]grocksdb.CompressionType{
		"none":   grocksdb.NoCompression,
		"snappy": grocksdb.SnappyCompression,
		"lz4":    grocksdb.LZ4Compression,
		"zstd":   grocksdb.ZSTDCompression,
	}[o.Compression])
	ro.SetLevelCompactionDynamicLevelBytes(true)
	ro.SetTargetFileSizeBase(uint64(max(o.MemtableBytes, 1<<20)))
	ro.SetMaxBytesForLevelBase(uint64(max(4*o.MemtableBytes, 16<<20)))
	ro.SetLevel0FileNumCompactionTrigger(l0CompactionFiles)
	ro.SetMaxBackgroundJobs(o.MaxBackgroundJobs)
	ro.SetMaxOpenFiles(o.MaxOpenFiles)
	// A compaction that writes a lot is synced bit by bit.
	ro.SetBytesPerSync(1 << 20)
	// RocksDB's own log of what it does: small, and warnings only.
	ro.SetInfoLogLevel(grocksdb.WarnInfoLogLevel)
	ro.SetMaxLogFileSize(4 << 20)
	ro.SetKeepLogFileNum(2)
	ro.SetStatsDumpPeriodSec(0)
	ro.SetStatsPersistPeriodSec(0)
	ro.EnableStatistics()
	return ro
}

func openError(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "While lock file") || strings.Contains(text, "lock hold by current process"):
		return fmt.Errorf("%w: another process has it open (%v)", engine.ErrLocked, err)
	case strings.HasPrefix(text, "Invalid argument"):
		return fmt.Errorf("%w: %v", engine.ErrDataFormat, err)
	}
	return rocksError(err)
}

// rocksError gives an error of RocksDB, which is a text, its meaning.
func rocksError(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "No space left on device") || strings.Contains(text, "Disk quota exceeded") ||
		strings.Contains(text, "NoSpace"):
		return fmt.Errorf("%w: %v", engine.ErrNoSpace, err)
	case strings.HasPrefix(text, "Corruption"):
		return fmt.Errorf("%w: %v", engine.ErrCorrupt, err)
	}
	return fmt.Errorf("rocksdb: %w", err)
}
