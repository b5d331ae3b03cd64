package server

import (
	"context"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"dkv/cluster"
)

// The Go runtime collects garbage when the heap has grown by GOGC percent,
// which with large caches on the heap doubles the process. A memory limit keeps
// it near what was configured instead, and lets a small heap grow more freely
// than GOGC=100 would.
const (
	// workingMemory is what connections, batches and replies may take before
	// the collector works harder.
	workingMemory = 32 << 20
	gcPercent     = 200
	// memoryInterval is how often the limit follows the live heap.
	memoryInterval = time.Second
)

// hotWriteShare is the part of the machine's memory, and of maxmemory, that the default
// of hot-write-buffer-size is at most.
const hotWriteShare = 16

// HotWriteBytes is hot-write-buffer-size, or how much of its default suits the machine
// and what maxmemory was at the start.
func (c *Config) HotWriteBytes() int64 {
	n := c.Int("hot-write-buffer-size")
	if c.Given("hot-write-buffer-size") {
		return n
	}
	for _, bound := range []int64{cluster.UsableMemory(), c.Int("maxmemory")} {
		if bound > 0 {
			n = min(n, bound/hotWriteShare)
		}
	}
	return n
}

// LimitMemory sets the collector of this process up for a node and keeps
// adjusting it until ctx ends: many clients may need more than is foreseen, and
// a limit below what is live would make the collector run all the time. It
// leaves alone what GOGC and GOMEMLIMIT set.
func LimitMemory(ctx context.Context, c *Config, m cluster.Metrics) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		<-ctx.Done()
		return
	}
	if c.Bool("diskless") && c.Int("maxmemory") > 0 {
		limitToMaxMemory(ctx, c, m)
		return
	}
	base := heapWanted(c, m)
	limit := base
	debug.SetMemoryLimit(limit)
	defer debug.SetMemoryLimit(math.MaxInt64)
	tick := time.NewTicker(memoryInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		live := liveMemory()
		want := max(base, live+live/16+workingMemory)
		if diff := want - limit; diff > limit/16 || diff < -limit/16 {
			limit = want
			debug.SetMemoryLimit(limit)
		}
	}
}

// heapWanted is what the caches of a node take of Go's heap when they are full, with
// what the collector needs beside it. The write buffer is what it came to be.
func heapWanted(c *Config, m cluster.Metrics) int64 {
	write := c.HotWriteBytes()
	if len(m.Shards) > 0 {
		write = int64(m.Hot.DirtyCapacity)
	}
	n := c.Int("log-cache-size") + c.Int("hot-cache-size") + write + workingMemory
	if !cgoEnabled || c.String("db-engine") == cluster.EngineBadger {
		n += m.BlockCacheCapacity()
	}
	return n + n/16
}

// programMemory is what a process takes beside the memory of the Go runtime.
const programMemory = 28 << 20

// limitToMaxMemory has the collector keep a diskless process within maxmemory, as far as
// what is live allows.
func limitToMaxMemory(ctx context.Context, c *Config, m cluster.Metrics) {
	outside := int64(programMemory)
	if cgoEnabled {
		outside += m.BlockCacheCapacity()
	}
	defer debug.SetMemoryLimit(math.MaxInt64)
	tick := time.NewTicker(memoryInterval)
	defer tick.Stop()
	for {
		live, bound := liveMemory(), c.Int("maxmemory")
		if bound == 0 {
			bound = math.MaxInt64
		}
		// A collection takes its time, while clients go on.
		debug.SetMemoryLimit(max(bound-bound/16-outside, live+live/16+workingMemory/4))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// liveMemory is what the last collection found in use, and stacks.
func liveMemory() int64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(s)
	var n int64
	for i := range s {
		if s[i].Value.Kind() == metrics.KindUint64 {
			n += int64(s[i].Value.Uint64())
		}
	}
	return n
}
