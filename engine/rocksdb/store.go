//go:build rocksdb

package rocksdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/linxGnu/grocksdb"

	"dkv/engine"
	"dkv/engine/front"
)

const (
	// l0CompactionFiles is how many tables of level 0 start a compaction.
	l0CompactionFiles = 4
	// l0StopFiles is where flushes wait for compactions. It bounds what a read
	// costs.
	l0StopFiles = 24

	// l0Poll is how often a flush that waits looks again. RocksDB tells nobody.
	l0Poll = 10 * time.Millisecond
)

// store is a front.Store.
type store struct {
	dir, flush string
	lock       io.Closer
	db         *grocksdb.DB
	options    *grocksdb.Options
	table      *grocksdb.BlockBasedTableOptions
	cache      *grocksdb.Cache
	ownCache   *grocksdb.Cache // nil when it is shared
	free       func() (uint64, bool)
	reserve    uint64

	stalls, stallNanos atomic.Int64
}

// View implements front.Store.
func (s *store) View() (front.View, error) {
	v := &view{s: s, snapshot: s.db.NewSnapshot()}
	v.read = grocksdb.NewDefaultReadOptions()
	v.read.SetSnapshot(v.snapshot)
	return v, nil
}

// Write implements front.Store.
func (s *store) Write(ctx context.Context, change *front.Change, _ front.View) error {
	if err := s.waitForCompactions(ctx); err != nil {
		return err
	}
	err := s.writeTable(change)
	if err == nil {
		err = s.ingest()
	}
	if err == nil {
		return nil
	}
	if rerr := os.Remove(s.flush); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}

// writeTable makes a table of a change. Finish syncs it.
func (s *store) writeTable(change *front.Change) error {
	env := grocksdb.NewDefaultEnvOptions()
	defer env.Destroy()
	w := grocksdb.NewSSTFileWriter(env, s.options)
	defer w.Destroy()
	if err := w.Open(s.flush); err != nil {
		return rocksError(err)
	}
	// A range tombstone of a table does not hide keys of the same table: RocksDB
	// gives all of it one number. Just what a Change says.
	for _, r := range change.Ranges() {
		if err := w.DeleteRange(r.Start, r.End); err != nil {
			return rocksError(err)
		}
	}
	records := change.Records()
	for records.Next() {
		var err error
		if value, ok := records.Value(); ok {
			err = w.Put(records.Key(), value)
		} else {
			err = w.Delete(records.Key())
		}
		if err != nil {
			return rocksError(err)
		}
	}
	if err := records.Err(); err != nil {
		return err
	}
	return rocksError(w.Finish())
}

// ingest makes the table part of the store. RocksDB links it, syncs the folder and
// then the MANIFEST.
func (s *store) ingest() error {
	o := grocksdb.NewDefaultIngestExternalFileOptions()
	defer o.Destroy()
	o.SetMoveFiles(true)
	return rocksError(s.db.IngestExternalFile([]string{s.flush}, o))
}

// waitForCompactions waits while level 0 has too many tables, each of which a read
// looks into. (RocksDB's own limits are for its write path.)
func (s *store) waitForCompactions(ctx context.Context) error {
	if s.level0() < l0StopFiles {
		return nil
	}
	s.stalls.Add(1)
	began := time.Now()
	defer func() { s.stallNanos.Add(int64(time.Since(began))) }()
	tick := time.NewTicker(l0Poll)
	defer tick.Stop()
	for s.level0() >= l0StopFiles {
		if free, ok := s.free(); ok && free < s.reserve {
			return fmt.Errorf("%w: compactions have %d bytes", engine.ErrNoSpace, free)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return engine.ErrClosed
		}
	}
	return nil
}

func (s *store) level0() uint64 {
	n, _ := s.db.GetIntProperty("rocksdb.num-files-at-level0")
	return n
}

// Checkpoint implements front.Store.
func (s *store) Checkpoint(_ context.Context, _ front.View, dir string) error {
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("%s: %w", dir, os.ErrExist)
	}
	c, err := s.db.NewCheckpoint()
	if err != nil {
		return rocksError(err)
	}
	defer c.Destroy()
	if err := c.CreateCheckpoint(dir, 0); err != nil {
		// RocksDB works in dir.tmp and renames it at the end.
		return errors.Join(rocksError(err), os.RemoveAll(dir+".tmp"), os.RemoveAll(dir))
	}
	return front.SyncDir(filepath.Dir(dir))
}

// Compact implements front.Store.
func (s *store) Compact(ctx context.Context, lower, upper []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(lower) != 0 && len(upper) != 0 && string(lower) >= string(upper) {
		return nil
	}
	// RocksDB has no compaction of ours but this one.
	cancelled := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(cancelled)
		s.db.DisableManualCompaction()
	})
	o := grocksdb.NewCompactRangeOptions()
	defer o.Destroy()
	// Also what lies in the last level, where RocksDB would see no reason.
	o.SetBottommostLevelCompaction(grocksdb.KForceOptimized)
	o.SetExclusiveManualCompaction(false)
	var r grocksdb.Range
	if len(lower) != 0 {
		r.Start = lower
	}
	if len(upper) != 0 {
		r.Limit = upper
	}
	errsBefore := s.backgroundErrors()
	s.db.CompactRangeOpt(r, o)
	if !stop() {
		<-cancelled
		s.db.EnableManualCompaction()
		return ctx.Err()
	}
	// RocksDB does not tell the C interface how it went.
	if s.backgroundErrors() > errsBefore {
		if free, ok := s.free(); ok && free < s.reserve {
			return fmt.Errorf("%w: a compaction failed", engine.ErrNoSpace)
		}
		return errors.New("a compaction failed; the store's LOG says why")
	}
	return nil
}

// Writable implements front.Store: what matters shows in Write.
func (s *store) Writable() error { return nil }

// Close implements front.Store.
func (s *store) Close() error {
	s.db.CancelAllBackgroundWork(true)
	s.db.Close()
	s.destroyOptions()
	return s.lock.Close()
}

func (s *store) destroyOptions() {
	s.options.Destroy()
	s.table.Destroy()
	if s.ownCache != nil {
		s.ownCache.Destroy()
	}
}
