package server

import (
	"testing"

	"dkv/cluster"
	"dkv/cluster/shard"
)

// The default of the write buffer suits the machine and maxmemory; what was given is
// what it is.
func TestHotWriteBytes(t *testing.T) {
	set := func(pairs ...string) *Config {
		t.Helper()
		c := NewConfig()
		for i := 0; i < len(pairs); i += 2 {
			if err := c.Set(pairs[i], pairs[i+1]); err != nil {
				t.Fatal(err)
			}
		}
		return c
	}
	if n := set().HotWriteBytes(); n <= 0 || n > defHotWriteSize {
		t.Errorf("by default %d bytes", n)
	}
	if n := set("maxmemory", "160mb").HotWriteBytes(); n != 10<<20 {
		t.Errorf("with a maxmemory of 160mb %d bytes", n)
	}
	if n := set("maxmemory", "160mb", "hot-write-buffer-size", "1gb").HotWriteBytes(); n != 1<<30 {
		t.Errorf("where 1gb was given %d bytes", n)
	}
	if n := set("hot-write-buffer-size", "0").HotWriteBytes(); n != 0 {
		t.Errorf("where 0 was given %d bytes", n)
	}
}

// The collector is given what the caches take: of the write buffer what the engine
// uses of it, and of the block cache what is on Go's heap.
func TestHeapWanted(t *testing.T) {
	const mib = 1 << 20
	for _, tc := range []struct {
		engine       string
		dirty, block uint64
		goBlocks     bool
	}{
		{cluster.EnginePebble, 512 * mib, 64 * mib, !cgoEnabled},
		{cluster.EngineRocksDB, 64 * mib, 64 * mib, !cgoEnabled},
		{cluster.EngineBadger, 64 * mib, 64 * mib, true},
		{cluster.EnginePebble, 0, 400 * mib, !cgoEnabled},
	} {
		c := NewConfig()
		for _, pair := range [][2]string{{"db-engine", tc.engine}, {"hot-cache-size", "200mb"}, {"hot-write-buffer-size", "512mb"}, {"log-cache-size", "16mb"}} {
			if err := c.Set(pair[0], pair[1]); err != nil {
				t.Fatal(err)
			}
		}
		m := cluster.Metrics{Shards: make([]shard.Metrics, 1)}
		m.Hot.DirtyCapacity, m.Shards[0].Engine.BlockCacheCapacity = tc.dirty, tc.block
		want := int64(216*mib+workingMemory) + int64(tc.dirty)
		if tc.goBlocks {
			want += int64(tc.block)
		}
		if got := heapWanted(c, m); got != want+want/16 {
			t.Errorf("%+v: %d MiB, want %d", tc, got/mib, (want+want/16)/mib)
		}
		// Shards that share a block cache have it once.
		m.Shards, m.SharedCache = append(m.Shards, m.Shards[0]), true
		if got := heapWanted(c, m); got != want+want/16 {
			t.Errorf("%+v, shared by two shards: %d MiB, want %d", tc, got/mib, (want+want/16)/mib)
		}
	}
}
