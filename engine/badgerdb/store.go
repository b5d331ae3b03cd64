package badgerdb

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"dkv/engine"
	"dkv/engine/front"
)

// store is a front.Store.
type store struct {
	dir string
	o   Options
	db  *badger.DB
	log *logger

	// writing is held while a change is written, and while Badger's writes are
	// stopped by Compact.
	writing sync.Mutex
	torn    bool // a list failed, and may have left something above the mark

	mu struct {
		sync.Mutex
		ts    uint64         // of the mark
		views map[uint64]int // how many there are at a timestamp
		// inMemtable is about what Badger's memtable holds, which fills up and then
		// is a table.
		inMemtable int64
		// compactions that were asked for.
		compactions uint64
	}

	large largeValues

	stopGC chan struct{}
	gc     sync.WaitGroup
}

// markKey holds the timestamp of the last change that is whole, as 8 bytes.
var markKey = []byte{metaPrefix, 'm'}

// View implements front.Store.
func (s *store) View() (front.View, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.views[s.mu.ts]++
	return &view{s: s, ts: s.mu.ts}, nil
}

func (s *store) closeView(ts uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.views[ts]--; s.mu.views[ts] == 0 {
		delete(s.mu.views, ts)
	}
	s.db.SetDiscardTs(s.oldestLocked())
}

// oldestLocked is the timestamp of the oldest view that there is, or can be.
func (s *store) oldestLocked() uint64 {
	oldest := s.mu.ts
	for ts := range s.mu.views {
		oldest = min(oldest, ts)
	}
	return oldest
}

// Write implements front.Store.
func (s *store) Write(_ context.Context, change *front.Change, base front.View) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.torn {
		if err := s.mend(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	ts, oldest := s.mu.ts+1, s.oldestLocked()
	s.mu.Unlock()
	w := newWriter(s, ts)
	defer w.cancel()
	err := w.change(change, base.(*view))
	if err == nil {
		err = s.large.sweep(s, oldest)
	}
	if err == nil {
		err = w.finish()
	}
	if err == nil {
		err = s.mark(ts)
	}
	if err != nil {
		s.torn = change.Listed()
		return badgerError(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.inMemtable = (s.mu.inMemtable + w.bytes) % s.o.storeMemtable()
	return nil
}

// mark makes what was written at ts exist.
func (s *store) mark(ts uint64) error {
	w := newWriter(s, ts)
	defer w.cancel()
	if err := w.set(markKey, binary.BigEndian.AppendUint64(nil, ts), nil, nil); err != nil {
		return err
	}
	if err := w.finish(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.ts = ts
	s.db.SetDiscardTs(s.oldestLocked())
	return nil
}

// recover finds the mark, and takes back what is above it.
func (s *store) recover() error {
	ts, err := s.readMark()
	if err != nil {
		return err
	}
	s.mu.ts = ts
	s.db.SetDiscardTs(ts)
	return s.takeBackAbove(ts)
}

// mend takes back what a list that failed has left above the mark, which the next mark
// would reveal.
func (s *store) mend() error {
	if err := s.checkSpace(); err != nil {
		return err
	}
	s.mu.Lock()
	ts := s.mu.ts
	s.mu.Unlock()
	// Badger does one write after the other: when this one is there, no write of the list
	// is on its way any more.
	w := newWriter(s, ts+1)
	if err := errors.Join(w.set([]byte{dropPrefix}, nil, nil, nil), w.finish()); err != nil {
		return badgerError(err)
	}
	if err := s.takeBackAbove(ts); err != nil {
		return err
	}
	s.torn = false
	return nil
}

// takeBackAbove takes back what is above the mark, which is at ts.
func (s *store) takeBackAbove(ts uint64) error {
	newest, err := s.newestAbove(ts)
	if err != nil || newest == ts {
		return err
	}
	w := newWriter(s, newest+1)
	defer w.cancel()
	if err := s.takeBack(w, ts); err != nil {
		return err
	}
	if err := w.finish(); err != nil {
		return badgerError(err)
	}
	s.o.Logger.Info("an unfinished flush was taken back", "engine", "badger", "dir", s.dir)
	return badgerError(s.mark(newest + 1))
}

func (s *store) readMark() (uint64, error) {
	txn := s.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	item, err := txn.Get(markKey)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, badgerError(err)
	}
	var ts uint64
	err = item.Value(func(v []byte) error {
		if len(v) != 8 {
			return fmt.Errorf("%w: a mark of %d bytes", engine.ErrCorrupt, len(v))
		}
		ts = binary.BigEndian.Uint64(v)
		return nil
	})
	return ts, badgerError(err)
}

// above calls do for all versions above ts, those of a key in a row.
func (s *store) above(ts uint64, do func(item *badger.Item) error) error {
	txn := s.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{AllVersions: true, SinceTs: ts})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if item := it.Item(); item.Version() > ts {
			if err := do(item); err != nil {
				return err
			}
		}
	}
	return nil
}

// newestAbove returns the newest timestamp that there is; ts when nothing is above.
func (s *store) newestAbove(ts uint64) (uint64, error) {
	newest := ts
	err := s.above(ts, func(item *badger.Item) error {
		newest = max(newest, item.Version())
		return nil
	})
	return newest, err
}

// takeBack writes what was at ts for each key that has a version above it.
func (s *store) takeBack(w *writer, ts uint64) error {
	old := s.db.NewTransactionAt(ts, false)
	defer old.Discard()
	var last []byte
	return s.above(ts, func(item *badger.Item) error {
		if last != nil && string(last) == string(item.Key()) {
			return nil
		}
		last = item.KeyCopy(last)
		was, err := old.Get(last)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return w.delete(item.KeyCopy(nil))
		}
		if err != nil {
			return badgerError(err)
		}
		value, err := was.ValueCopy(nil)
		if err != nil {
			return badgerError(err)
		}
		return w.set(item.KeyCopy(nil), value, nil, []byte{was.UserMeta()})
	})
}

// Checkpoint implements front.Store. Badger has nothing for it: the view is copied,
// record by record, into a new store.
func (s *store) Checkpoint(ctx context.Context, from front.View, dir string) (err error) {
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("%s: %w", dir, os.ErrExist)
	}
	if s.dir == "" {
		return errors.New("a store in memory has no checkpoints")
	}
	if err := s.checkSpace(); err != nil {
		return err
	}
	tmp := dir + ".tmp"
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	if err := errors.Join(os.RemoveAll(tmp), os.Mkdir(tmp, 0o755)); err != nil {
		return err
	}
	o := s.o
	o.BlockCacheBytes = 1 << 20
	to, err := openStore(tmp, o)
	if err != nil {
		return err
	}
	if err := errors.Join(from.(*view).copyTo(ctx, to), to.Close(), front.SyncDir(tmp)); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return err
	}
	return front.SyncDir(filepath.Dir(dir))
}

// checkSpace refuses what would have to be written beside the changes.
func (s *store) checkSpace() error {
	if s.dir == "" {
		return nil
	}
	need := s.o.reserve(s.dir) + writeFactor*storeMemtableBytes
	if free, ok := front.FreeBytes(s.dir)(); ok && free < need {
		return fmt.Errorf("%w: %d bytes free, %d are needed", engine.ErrNoSpace, free, need)
	}
	return nil
}

// Writable implements front.Store: what matters shows in Write.
func (s *store) Writable() error { return nil }

// Close implements front.Store.
func (s *store) Close() error {
	close(s.stopGC)
	s.gc.Wait()
	return s.db.Close()
}
