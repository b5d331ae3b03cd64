package cluster

import (
	"errors"
	"fmt"

	"dkv/cluster/raftlog"
	"dkv/engine"
	"dkv/engine/badgerdb"
	"dkv/engine/pebbledb"
	"dkv/engine/rocksdb"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Names of the engines.
const (
	EnginePebble  = "pebble" // the default
	EngineRocksDB = "rocksdb"
	EngineBadger  = "badger"
)

// engines is what the engines of a node's shards have in common.
type engines struct {
	tuning tuning
	// Block caches that several shards share; nil: there is one shard.
	pebble *pebbledb.Cache
	rocks  *rocksdb.Cache
	// memory keeps Badger's stores of a diskless node.
	memory *badgerdb.Memory
}

// validateEngine tells engines that cannot be had.
func (o Options) validateEngine() error {
	switch o.Engine {
	case EnginePebble, EngineBadger:
		return nil
	case EngineRocksDB:
		if !rocksdb.Built {
			return fmt.Errorf("cluster: engine %q: %w", o.Engine, rocksdb.ErrNotBuilt)
		}
		if o.Diskless {
			return fmt.Errorf("cluster: engine %q keeps its data on disk; diskless are %q and %q: %w",
				o.Engine, EnginePebble, EngineBadger, ErrUnsupported)
		}
		return nil
	}
	return fmt.Errorf("cluster: engine %q: %w", o.Engine, ErrUnsupported)
}

// prepareEngines reads the file of engine options, before anything is opened.
func (n *Node) prepareEngines() error {
	if n.o.EngineFile != "" {
		t, err := readTuning(n.o.EngineFile)
		if err != nil {
			return err
		}
		n.engines.tuning = t
	}
	if n.o.Diskless && n.o.Engine == EngineBadger {
		n.engines.memory = badgerdb.NewMemory()
		n.o.FS = forgettingFS{n.o.FS, n.engines.memory}
	}
	return nil
}

// forgettingFS tells Badger's memory of folders that are removed: its stores have
// no files there.
type forgettingFS struct {
	vfs.FS
	memory *badgerdb.Memory
}

func (fs forgettingFS) RemoveAll(name string) error {
	return errors.Join(fs.memory.Forget(name), fs.FS.RemoveAll(name))
}

// shareCaches makes the block cache that several shards share, of as many bytes as
// one shard by itself would have.
func (n *Node) shareCaches(shards int) {
	if shards < 2 {
		return
	}
	bytes := n.engines.tuning.blockCache(n.o.Engine, n.o.BlockCacheBytes)
	switch {
	case n.o.Engine == EnginePebble && n.engines.pebble == nil:
		o := pebbledb.Options{MemtableBytes: n.shardMemtable()}
		n.engines.tuning.pebble(&o)
		o.BlockCacheBytes, o.MemtableBytes = bytes, o.MemtableBytes*int64(shards)
		n.engines.pebble = pebbledb.NewCache(o)
	case n.o.Engine == EngineRocksDB && n.engines.rocks == nil:
		n.engines.rocks = rocksdb.NewCache(bytes)
	}
}

// shareCache reports whether all shards have one block cache: each says of itself what is
// true of all of them.
func (e *engines) shareCache() bool { return e.pebble != nil || e.rocks != nil }

// close gives back what the engines shared. They are closed.
func (e *engines) close() error {
	if e.pebble != nil {
		e.pebble.Close()
	}
	if e.rocks != nil {
		e.rocks.Close()
	}
	if e.memory != nil {
		return e.memory.Close()
	}
	return nil
}

// hooks is whom an engine calls; see pebbledb.Options.
type hooks struct {
	beforeFlush func() error
	onFlush     func()
	onFatal     func(error)
	idle        bool // see pebbledb.Options.Idle
}

// openDB opens an engine. memtable is the shard's share.
func (n *Node) openDB(dir string, memtable int64, h hooks) (engine.Engine, error) {
	switch n.o.Engine {
	case EngineRocksDB:
		o := rocksdb.Options{
			BlockCacheBytes:  n.o.BlockCacheBytes,
			Cache:            n.engines.rocks,
			MemtableBytes:    memtable,
			Compression:      n.o.Compression,
			ReserveDiskBytes: n.o.ReserveDiskBytes,
			BeforeFlush:      h.beforeFlush,
			OnFlush:          h.onFlush,
			OnFatal:          h.onFatal,
			Logger:           n.o.Logger,
		}
		n.engines.tuning.rocksdb(&o)
		return rocksdb.Open(dir, o)
	case EngineBadger:
		return n.openBadger(dir, memtable, h)
	}
	o := pebbledb.Options{
		FS:               n.o.FS,
		BlockCacheBytes:  n.o.BlockCacheBytes,
		Cache:            n.engines.pebble,
		MemtableBytes:    memtable,
		Compression:      n.o.Compression,
		ReserveDiskBytes: n.o.ReserveDiskBytes,
		BeforeFlush:      h.beforeFlush,
		OnFlush:          h.onFlush,
		OnFatal:          h.onFatal,
		Idle:             h.idle,
		Logger:           n.o.Logger,
	}
	if m := n.o.MaxMemory.Bytes; n.files != nil && m > 0 {
		o.TableBytes = min(max(m/256, 1<<20), 32<<20)
		o.BaseLevelBytes = min(max(m/32, 2<<20), 64<<20)
	}
	n.engines.tuning.pebble(&o)
	return opened(pebbledb.Open(dir, o))
}

func (n *Node) openBadger(dir string, memtable int64, h hooks) (engine.Engine, error) {
	o := badgerdb.Options{
		BlockCacheBytes:  n.o.BlockCacheBytes,
		Memory:           n.engines.memory,
		MemtableBytes:    memtable,
		Compression:      n.o.Compression,
		ReserveDiskBytes: n.o.ReserveDiskBytes,
		BeforeFlush:      h.beforeFlush,
		OnFlush:          h.onFlush,
		OnFatal:          h.onFatal,
		Logger:           n.o.Logger,
	}
	n.engines.tuning.badger(&o)
	// Badger's cache is of one store.
	if shards := int64(n.identity().Shards); shards > 1 {
		if o.BlockCacheBytes == 0 {
			o.BlockCacheBytes = badgerdb.DefaultCacheBytes
		}
		o.BlockCacheBytes = max(o.BlockCacheBytes/shards, minShardCache)
	}
	if o.Memory != nil {
		// Its folder has nothing in it but a name.
		if err := n.o.FS.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	return opened(badgerdb.Open(dir, o))
}

// minShardCache is the block cache that a shard's Badger gets at least.
const minShardCache = 4 << 20

// opened makes an interface without a value of none.
func opened[E engine.Engine](db E, err error) (engine.Engine, error) {
	if err != nil {
		return nil, err
	}
	return db, nil
}

// hooksOf are whom the engine that serves a shard calls.
func (n *Node) hooksOf(id raftlog.ShardID) hooks {
	return hooks{beforeFlush: n.log.Sync, onFlush: func() { n.onFlush(id) }, onFatal: n.stop}
}
