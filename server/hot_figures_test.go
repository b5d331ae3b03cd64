package server

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"dkv/cluster"
	"dkv/cluster/raftlog"
)

// figures returns INFO dkv's numbers.
func figures(c *client) map[string]float64 {
	c.t.Helper()
	if err := c.SetDeadline(time.Now().Add(ioTimeout)); err != nil {
		c.t.Fatal(err)
	}
	all := make(map[string]float64)
	for line := range strings.SplitSeq(c.do("INFO", "dkv"), "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			all[name] = n
		}
	}
	return all
}

func setKeys(c *client, from, to int) {
	c.t.Helper()
	const many = 100
	value := strings.Repeat("v", 100)
	for ; from < to; from += many {
		words := []string{"MSET"}
		for n := from; n < from+many; n++ {
			words = append(words, fmt.Sprintf("key:%012d", n), value)
		}
		if got := c.do(words...); got != "+OK\r\n" {
			c.t.Fatal(got)
		}
	}
}

// getKeys asks for that many keys, in one pipeline.
func getKeys(c *client, format string, keys int) {
	c.t.Helper()
	var b strings.Builder
	for n := range keys {
		b.WriteString(request("GET", fmt.Sprintf(format, n)))
	}
	c.send(b.String())
	for range keys {
		c.reply()
	}
}

// What INFO, /metrics and MEMORY STATS say of the hot layer is what was done to it, on each
// engine.
func TestHotFigures(t *testing.T) {
	for _, engine := range []string{cluster.EnginePebble, cluster.EngineBadger, cluster.EngineRocksDB} {
		t.Run(engine, func(t *testing.T) {
			const hotBytes = 2 << 20
			node, err := cluster.Open(cluster.Options{Dir: t.TempDir(), Engine: engine, Fsync: raftlog.FsyncEverySec, HotCacheBytes: hotBytes, HotWriteBytes: 64 << 20})
			if err != nil && strings.Contains(err.Error(), "built without RocksDB") {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			testHotFigures(t, serveNode(t, node), hotBytes)
		})
	}
}

func testHotFigures(t *testing.T, s *Server, hotBytes float64) {
	c := dial(t, s)
	var last map[string]float64
	m := figures(c)
	// A record of the shard's own comes with the keys now and then.
	within := func(name string, least, most float64) {
		t.Helper()
		if got := m[name] - last[name]; got < least || got > most {
			t.Errorf("%s has risen by %v, not %v to %v", name, got, least, most)
		}
	}
	step := func() { last, m = m, figures(c) }
	const keys, keyBytes = 1000, 116

	setKeys(c, 0, keys)
	step()
	within("hot_dirty_records", keys, keys+10)
	within("hot_dirty_bytes", keys*keyBytes, keys*2*keyBytes)
	within("hot_checkpoints", 0, 0)

	if got := c.do("SAVE"); got != "+OK\r\n" {
		t.Fatal(got)
	}
	eventually(t, "the end of the checkpoint", func() bool { return figures(c)["hot_dirty_records"] == 0 })
	step()
	within("hot_checkpoints", 1, 1)
	within("hot_checkpoint_bytes", keys*keyBytes, keys*2*keyBytes)
	within("hot_cache_evictions", 0, 0)
	if m["hot_dirty_bytes"] > 1<<20 || m["hot_cache_records"] < keys || m["hot_cache_bytes"] < keys*keyBytes || m["hot_checkpoint_bytes_per_sec"] <= 0 {
		t.Errorf("after a checkpoint: %v", m)
	}

	getKeys(c, "key:%012d", keys)
	step()
	within("hot_cache_hits", keys, 2*keys)
	within("hot_cache_misses", 0, 10)

	// The table notes what it has found to be absent.
	for range 2 {
		getKeys(c, "no:%d", keys)
	}
	step()
	within("hot_cache_misses", keys, keys+10)
	within("hot_cache_hits", keys, 4*keys)

	// Several times what fits.
	const more = 60_000
	setKeys(c, keys, more)
	c.do("SAVE")
	eventually(t, "the end of the checkpoint", func() bool { return figures(c)["hot_dirty_records"] == 0 })
	step()
	within("hot_cache_evictions", more/2, more+4*keys)
	// What is held back has its slots in the table too, of which there are fewer than half a
	// thousand in each of 256 parts: 8 KiB each, which stay.
	if took := m["hot_cache_bytes"]; took < hotBytes/2 || took > hotBytes/8*9+256*(8<<10) {
		t.Errorf("%v bytes of %v are taken", took, hotBytes)
	}
	if ratio := m["hot_cache_hits"] / (m["hot_cache_hits"] + m["hot_cache_misses"]); m["hot_cache_hit_ratio"]-ratio > 0.001 || ratio-m["hot_cache_hit_ratio"] > 0.001 {
		t.Errorf("hit ratio %v, of the counts %v", m["hot_cache_hit_ratio"], ratio)
	}
	sameElsewhere(t, c, metricsOf(s))
}

// sameElsewhere compares INFO with /metrics and MEMORY STATS, while nothing is done.
func sameElsewhere(t *testing.T, c *client, text string) {
	t.Helper()
	stats := strings.Split(c.do("MEMORY", "STATS"), "\r\n")
	m := figures(c)
	for field, name := range map[string]string{"dkv.hot-cache": "hot_cache_bytes", "dkv.hot-dirty": "hot_dirty_bytes", "dkv.block-cache": "shard0_block_cache_bytes"} {
		want := ":" + strconv.FormatFloat(m[name], 'f', -1, 64)
		found := false
		for i, line := range stats {
			found = found || line == field && stats[i+1] == want
		}
		if !found {
			t.Errorf("MEMORY STATS has no %s of %s: %q", field, want, stats)
		}
	}
	for series, name := range map[string]string{
		"hot_cache_records": "hot_cache_records", "hot_cache_bytes": "hot_cache_bytes", "hot_cache_hits_total": "hot_cache_hits",
		"hot_cache_misses_total": "hot_cache_misses", "hot_cache_evictions_total": "hot_cache_evictions", "hot_dirty_bytes": "hot_dirty_bytes",
		"hot_dirty_records": "hot_dirty_records", "hot_checkpoints_total": "hot_checkpoints", "hot_checkpoint_bytes_total": "hot_checkpoint_bytes",
		"hot_write_stalls_total": "hot_write_stalls", "hot_checkpoint_failures_total": "hot_checkpoint_failures",
	} {
		if got := scraped(text, series); got != m[name] {
			t.Errorf("/metrics has %s %v, INFO %s %v", series, got, name, m[name])
		}
	}
	if took := scraped(text, "hot_checkpoint_last_seconds") * 1000; took < m["hot_checkpoint_msec_last"] || took > m["hot_checkpoint_msec_last"]+1 {
		t.Errorf("the last checkpoint took %v ms, or %v", took, m["hot_checkpoint_msec_last"])
	}
}

// scraped returns a series of a text for Prometheus; -1: there is none.
func scraped(text, series string) float64 {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, "dkv_"+series+" "); ok {
			if n, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil {
				return n
			}
		}
	}
	return -1
}
