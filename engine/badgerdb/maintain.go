package badgerdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/dgraph-io/badger/v4"

	"dkv/engine"
)

// maxFlattenBytes is the size of a store up to which Compact merges its tables.
const maxFlattenBytes = 512 << 20

// Compact implements front.Store. Badger can only compact all that there is, and
// nothing stops it then: not Close, nor a write that waits. So the bounds are not
// looked at, and a store of more than maxFlattenBytes is left to Badger's own
// compactions, but for its value log. Reads wait while Badger writes its memtable
// and merges level 0, which Flatten has made small before.
func (s *store) Compact(ctx context.Context, _, _ []byte) error {
	if err := s.checkSpace(); err != nil {
		return err
	}
	steps := []func() error{s.flatten, s.flushMemtable, s.flatten, s.collectAll}
	if s.tableBytes() > maxFlattenBytes {
		steps = steps[3:]
	}
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(); err != nil {
			return badgerError(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.compactions++
	return nil
}

func (s *store) flatten() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.db.Flatten(1)
}

// flushMemtable makes tables of what is in Badger's memtables, which nothing but
// DropPrefix does on demand, and only when there is something to drop.
func (s *store) flushMemtable() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	ts := s.mu.ts
	s.mu.Unlock()
	if ts == 0 {
		return nil // there is nothing
	}
	w := newWriter(s, ts)
	defer w.cancel()
	if err := w.set([]byte{dropPrefix}, nil, nil, nil); err != nil {
		return err
	}
	if err := w.finish(); err != nil {
		return err
	}
	if err := s.db.DropPrefix([]byte{dropPrefix}); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.inMemtable = 0
	return nil
}

// collectAll writes value log files anew until none is mostly garbage.
func (s *store) collectAll() error {
	for s.dir != "" {
		err := s.db.RunValueLogGC(s.o.GCRatio)
		switch {
		case errors.Is(err, badger.ErrNoRewrite), errors.Is(err, badger.ErrRejected):
			return nil
		case err != nil:
			return fmt.Errorf("collect the value log: %w", err)
		}
	}
	return nil
}

// startGC begins to collect the value log in the background.
func (s *store) startGC() {
	if s.dir == "" || s.o.GCInterval < 0 {
		return
	}
	s.gc.Go(func() {
		tick := time.NewTicker(s.o.GCInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.collect()
			case <-s.stopGC:
				return
			}
		}
	})
}

// collect is a round of startGC's. A disk without space is left alone: the files
// are written before the old ones go.
func (s *store) collect() {
	defer func() {
		if p := recover(); p != nil {
			s.o.Logger.Error("the value log cannot be collected", "engine", "badger", "panic", p)
		}
	}()
	err := s.checkSpace()
	if err == nil {
		err = s.collectAll()
	}
	if err != nil && !errors.Is(err, engine.ErrNoSpace) {
		s.o.Logger.Warn("the value log cannot be collected", "engine", "badger", "err", err)
	}
}

// Metrics implements front.Store. Badger counts most things for all stores of a
// process together, which is of no use here: bytes of compactions are missing.
func (s *store) Metrics(m *engine.Metrics) {
	m.DiskBytes = s.diskBytes()
	m.BlockCacheCapacity = uint64(s.o.BlockCacheBytes)
	if cache := s.db.BlockCacheMetrics(); cache != nil {
		m.BlockCacheBytes = cache.CostAdded() - cache.CostEvicted()
		m.BlockCacheHits, m.BlockCacheMisses = cache.Hits(), cache.Misses()
	}
	s.mu.Lock()
	m.CompactionCount = s.mu.compactions
	s.mu.Unlock()
	m.CompactionCount += s.log.compactions.Load()
	m.CompactionDuration = time.Duration(s.log.compactNanos.Load())
	m.BackgroundErrors = s.log.errors.Load()
	seen := make(map[int]bool)
	for _, t := range s.db.Tables() {
		m.Tables++
		m.EstimatedKeys += uint64(t.KeyCount)
		if t.Level == 0 || !seen[t.Level] {
			m.ReadAmplification++
		}
		seen[t.Level] = true
	}
}

func (s *store) tableBytes() int64 {
	var n int64
	for _, t := range s.db.Tables() {
		n += int64(t.OnDiskSize)
	}
	return n
}

// diskBytes is what the store takes of its disk, or of memory. (Its logs are sparse
// files.)
func (s *store) diskBytes() uint64 {
	if s.dir == "" {
		n := s.tableBytes()
		s.large.RLock()
		defer s.large.RUnlock()
		s.mu.Lock()
		defer s.mu.Unlock()
		return uint64(n + s.large.bytes + s.mu.inMemtable)
	}
	var n uint64
	// A file that goes away meanwhile takes nothing.
	_ = filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := os.Lstat(path); err == nil {
			n += allocated(info)
		}
		return nil
	})
	return n
}
