//go:build rocksdb

package rocksdb

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"dkv/engine"
)

// Metrics implements front.Store. What RocksDB counts, it counts since it was
// opened, and in a text.
func (s *store) Metrics(m *engine.Metrics) {
	property := func(name string) uint64 {
		n, _ := s.db.GetIntProperty("rocksdb." + name)
		return n
	}
	m.DiskBytes = property("total-sst-files-size")
	m.BlockCacheBytes, m.BlockCacheCapacity = s.cache.GetUsage(), s.cache.GetCapacity()
	m.CompactionDebt = property("estimate-pending-compaction-bytes")
	m.EstimatedKeys = property("estimate-num-keys")
	m.BackgroundErrors = s.backgroundErrors()
	m.WriteStalls, m.WriteStallDuration = uint64(s.stalls.Load()), time.Duration(s.stallNanos.Load())

	stats := statistics(s.options.GetStatisticsString())
	m.BlockCacheHits = stats["rocksdb.block.cache.hit"].count
	m.BlockCacheMisses = stats["rocksdb.block.cache.miss"].count
	m.CompactionBytes = stats["rocksdb.compact.write.bytes"].count
	times := stats["rocksdb.compaction.times.micros"]
	m.CompactionCount, m.CompactionDuration = times.count, time.Duration(times.sum)*time.Microsecond

	for level := range levels {
		n, _ := strconv.ParseInt(s.db.GetProperty(fmt.Sprintf("rocksdb.num-files-at-level%d", level)), 10, 64)
		m.Tables += n
		if level == 0 {
			m.ReadAmplification += int(n)
		} else if n > 0 {
			m.ReadAmplification++
		}
	}
}

// levels is RocksDB's default.
const levels = 7

func (s *store) backgroundErrors() uint64 {
	n, _ := s.db.GetIntProperty("rocksdb.background-errors")
	return n
}

type statistic struct{ count, sum uint64 }

// statistics reads RocksDB's statistics, of which a line is one of
//
//	name COUNT : 1
//	name P50 : 1.0 P95 : 1.0 P99 : 1.0 P100 : 1.0 COUNT : 1 SUM : 1
func statistics(text string) map[string]statistic {
	all := make(map[string]statistic)
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		var st statistic
		for i := 1; i+2 < len(words); i++ {
			n, _ := strconv.ParseUint(words[i+2], 10, 64)
			switch words[i] {
			case "COUNT":
				st.count = n
			case "SUM":
				st.sum = n
			}
		}
		if len(words) > 0 {
			all[words[0]] = st
		}
	}
	return all
}
