package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dkv/engine/badgerdb"
	"dkv/engine/pebbledb"
	"dkv/engine/rocksdb"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// builtEngines are the engines that this program has.
func builtEngines() []string {
	all := []string{EnginePebble, EngineBadger}
	if rocksdb.Built {
		all = append(all, EngineRocksDB)
	}
	return all
}

// onDisk puts a node's folder on the machine's disk, where all engines can be.
func onDisk(dir, engine string) func(*Options) {
	return func(o *Options) {
		o.Dir, o.FS, o.Engine = dir, vfs.Default, engine
	}
}

// TestEngines: a node serves, restarts and is refused by other engines, on each.
func TestEngines(t *testing.T) {
	for _, engine := range builtEngines() {
		t.Run(engine, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data") // first, since it goes last
			c := newTestCluster(t)
			alone := func(o *Options) {
				onDisk(dir, engine)(o)
				o.PeerAddr, o.PeerListen, o.Shards = "", "", 2
			}
			n := c.start(1, alone)
			for k := range 200 {
				n.mustPutIn(0, fmt.Sprint("k", k), strings.Repeat("v", 20<<10))
				n.mustPutIn(1, fmt.Sprint("l", k), "w")
			}
			if err := n.Save(t.Context()); err != nil {
				t.Fatal(err)
			}
			n.mustPut("after", "the save")
			if m := n.Metrics(); m.Engine != engine || m.Shards[0].Engine.FlushCount == 0 {
				t.Errorf("%+v", m)
			}
			if err := n.Close(); err != nil {
				t.Fatal(err)
			}
			for _, other := range builtEngines() {
				if _, err := c.tryStart(1, func(o *Options) { alone(o); o.Engine = other }); other != engine && !errors.Is(err, ErrEngine) {
					t.Errorf("opened as %s: %v", other, err)
				} else if other == engine && err != nil {
					t.Fatal(err)
				} else if other == engine {
					c.nodes[testAddr(1)].mustGet("after", "the save")
					c.nodes[testAddr(1)].mustGet("k7", strings.Repeat("v", 20<<10))
					if err := c.nodes[testAddr(1)].Close(); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
}

// TestBlockCacheIsOfAllShards: four shards have no more than one has, and memtables
// that come out of the same budget leave it to the blocks.
func TestBlockCacheIsOfAllShards(t *testing.T) {
	for _, engine := range builtEngines() {
		for _, bytes := range []int64{0, 24 << 20} {
			t.Run(fmt.Sprint(engine, bytes), func(t *testing.T) {
				var sum [2]uint64
				for i, shards := range []int{1, 4} {
					dir := filepath.Join(t.TempDir(), "data")
					n := newTestCluster(t).start(1, func(o *Options) {
						onDisk(dir, engine)(o)
						o.PeerAddr, o.PeerListen, o.Shards = "", "", shards
						o.BlockCacheBytes, o.MemtableBytes = bytes, 16<<20
					})
					for _, s := range n.Metrics().Shards {
						if sum[i] == 0 || !n.engines.shareCache() {
							sum[i] += s.Engine.BlockCacheCapacity
						}
					}
				}
				if sum[0] < uint64(max(bytes, 32<<20)) && bytes == 0 || sum[0] != sum[1] {
					t.Errorf("%d bytes for one shard, %d for four", sum[0], sum[1])
				}
			})
		}
	}
}

// TestEnginesMixed: the members of a cluster have different engines, and one that
// was away for long receives the state of another engine.
func TestEnginesMixed(t *testing.T) {
	engines := builtEngines()
	for turn := range engines {
		of := func(i int) string { return engines[(i+turn)%len(engines)] }
		t.Run(of(1)+of(2)+of(3), func(t *testing.T) { testEnginesMixed(t, of) })
	}
}

// testEnginesMixed forms a cluster whose node i has the engine of(i).
func testEnginesMixed(t *testing.T, of func(i int) string) {
	base := t.TempDir() // first, since it goes last
	c := newTestCluster(t)
	with := func(i int) func(*Options) {
		return func(o *Options) {
			onDisk(filepath.Join(base, fmt.Sprint(i)), of(i))(o)
			o.MaxLogBytes = 256 << 10
		}
	}
	var list []*testNode
	for i := 1; i <= 3; i++ {
		list = append(list, c.start(i, withPeers(3, with(i))))
	}
	c.waitServing(list...)
	behind := c.follower(list...)
	at := 1
	for testAddr(at) != behind.addr {
		at++
	}
	behind.stopNode(true)
	rest := without(list, behind)
	t.Logf("%s receives from %s", of(at), c.leader(rest...).o.Engine)
	value := strings.Repeat("x", 16<<10)
	for k := range 60 {
		rest[k%2].mustPut(fmt.Sprint("k", k), value)
		for _, n := range rest {
			if k%20 == 19 {
				if err := n.Save(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	behind = c.start(at, with(at))
	waitFor(t, func() bool { return behind.Metrics().Snapshots[0].Switched > 0 })
	for k := range 60 {
		behind.mustGet(fmt.Sprint("k", k), value)
	}
	behind.stopNode(false)
	behind = c.start(at, with(at))
	behind.mustGet("k1", value)
}

// TestEnginesDiskless: what a diskless node's engine forgets takes no memory, and
// what it flushed is there when it is opened again.
func TestEnginesDiskless(t *testing.T) {
	n := openNode(t, Options{Diskless: true, Engine: EngineBadger, ReserveDiskBytes: -1})
	db, err := n.openEngine(0, "diskless/shards/x", false)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := n.o.FS.RemoveAll("diskless/shards/x"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Diskless: true, Engine: EngineRocksDB}); err == nil {
		t.Error("a diskless node on RocksDB")
	}
	if _, err := Open(Options{Dir: t.TempDir(), Engine: EngineRocksDB}); !rocksdb.Built && (!errors.Is(err, rocksdb.ErrNotBuilt) || !strings.Contains(err.Error(), "librocksdb-dev")) {
		t.Errorf("without RocksDB: %v", err)
	} else if rocksdb.Built && err == nil {
		t.Log("RocksDB is there")
	}
}

func TestEngineFile(t *testing.T) {
	good := `
; for all engines
[pebble]
block_cache_size = 64mb
bloom_bits = 0
[RocksDB]
# of ten
memtable_size=16m
compression = LZ4
block_size = 16384
[badger]
value_threshold = 4kb
gc_interval = 0
gc_ratio = 0.7
`
	tun, err := parseTuning(strings.NewReader(good))
	if err != nil {
		t.Fatal(err)
	}
	var p pebbledb.Options
	var r rocksdb.Options
	var b badgerdb.Options
	tun.pebble(&p)
	tun.rocksdb(&r)
	tun.badger(&b)
	if p.BlockCacheBytes != 64<<20 || p.BloomBitsPerKey != -1 || r.MemtableBytes != 16e6 || r.Compression != "lz4" ||
		r.BlockBytes != 16384 || b.ValueThreshold != 4<<10 || b.GCInterval != -1 || b.GCRatio != 0.7 {
		t.Errorf("%+v\n%+v\n%+v", p, r, b)
	}
	if n := tun.blockCache(EnginePebble, 1); n != 64<<20 {
		t.Errorf("block cache of %d", n)
	}
	if n := tun.blockCache(EngineBadger, 1); n != 1 {
		t.Errorf("block cache of %d", n)
	}
	for text, want := range map[string]string{
		"compression = zstd":                                    "line 1: an option before the first section",
		"[leveldb]":                                             "line 1: section [leveldb] is none of",
		"[badger":                                               "is none of",
		"[badger]\n\ncompression zstd":                          `line 3: "compression zstd" is not a name`,
		"[badger]\nmax_open_files = 1":                          "[badger] max_open_files: no such option; there are block_cache_size",
		"[pebble]\ncompression = lz4":                           `"lz4" is none of none, snappy, zstd`,
		"[pebble]\nmemtable_size = 16q":                         `"16q" is not a size`,
		"[pebble]\nmemtable_size = -1":                          "is not a size",
		"[pebble]\nmemtable_size = 99999999999999999gb":         "is not a size",
		"[pebble]\nmemtable_count = 0":                          "is not a number above 0",
		"[pebble]\nbloom_bits = 65":                             "is not a number of bits",
		"[badger]\ngc_ratio = 1":                                "between 0 and 1",
		"[badger]\nvalue_threshold = 2mb":                       "line 2: [badger] value_threshold: engine: bad option: value threshold of 2097152 bytes",
		"[rocksdb]\nblock_size = 16":                            "blocks of 16 bytes",
		"[badger]\nblock_cache_size = 9223372036854775807":      "line 2: [badger] block_cache_size: engine: bad option: block cache of 9223372036854775807 bytes",
		"[badger]\ngc_interval = 5":                             "is not a time span",
		"[pebble]\ncompactions = 1\ncompactions = 2":            "line 3: [pebble] compactions is set twice",
		"[pebble]\n" + strings.Repeat("#\n", maxEngineFile/2+1): "larger than",
	} {
		if _, err := parseTuning(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %s", text, err, want)
		}
	}
	path := filepath.Join(t.TempDir(), "engine.ini")
	if _, err := Open(Options{Dir: t.TempDir(), EngineFile: path}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(path, []byte("[pebble]\nx = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: t.TempDir(), EngineFile: path}); !errors.Is(err, ErrEngineFile) || !strings.Contains(err.Error(), path) {
		t.Errorf("a mistake in the file: %v", err)
	}
}
