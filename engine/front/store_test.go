package front_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"dkv/engine"
	"dkv/engine/enginetest"
	"dkv/engine/front"
)

// fileStore is the simplest store that can survive crashes: every change is a file,
// and the contents of all of them are in memory.
type fileStore struct {
	fs   vfs.FS
	dir  string
	lock io.Closer
	// hits counts reads, moves steps of iterators.
	hits, moves atomic.Uint64
	// fail, when set, is what Write does instead.
	fail atomic.Pointer[func() error]

	mu struct {
		sync.Mutex
		m           *enginetest.Model
		files       []string
		next        int
		bytes       int64
		compactions uint64
	}
}

func openFileStore(dir string, fs vfs.FS) (*fileStore, error) {
	if fs == nil {
		fs = vfs.Default
	}
	s := &fileStore{fs: fs, dir: dir}
	s.mu.m = &enginetest.Model{}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for d := dir; ; d = fs.PathDir(d) {
		if err := s.syncDir(d); err != nil {
			return nil, err
		}
		if fs.PathDir(d) == d {
			break
		}
	}
	var err error
	if s.lock, err = fs.Lock(fs.PathJoin(dir, "LOCK")); err != nil {
		return nil, fmt.Errorf("%w: %w", engine.ErrLocked, err)
	}
	names, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		if err := s.load(name); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *fileStore) load(name string) error {
	f, err := s.fs.Open(s.fs.PathJoin(s.dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	if _, err := fmt.Sscanf(name, "%d", &s.mu.next); err != nil {
		return err
	}
	s.mu.files = append(s.mu.files, name)
	s.mu.bytes += int64(len(data))
	return s.mu.m.Apply(data)
}

func (s *fileStore) syncDir(dir string) error {
	d, err := s.fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (s *fileStore) Write(_ context.Context, change *front.Change, _ front.View) error {
	if fail := s.fail.Load(); fail != nil {
		if err := (*fail)(); err != nil {
			return err
		}
	}
	var b engine.Batch
	for _, r := range change.Ranges() {
		b.DeleteRange(r.Start, r.End)
	}
	records := change.Records()
	for records.Next() {
		if value, ok := records.Value(); ok {
			b.Put(records.Key(), value)
		} else {
			b.Delete(records.Key())
		}
	}
	if err := records.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addLocked(b.Repr())
}

func (s *fileStore) addLocked(repr []byte) error {
	name := fmt.Sprintf("%08d.sst", s.mu.next+1)
	if err := s.writeFile(s.dir, name, repr); err != nil {
		return err
	}
	s.mu.next++
	s.mu.files = append(s.mu.files, name)
	s.mu.bytes += int64(len(repr))
	return s.mu.m.Apply(repr)
}

// writeFile makes a file that a crash leaves whole or not at all.
func (s *fileStore) writeFile(dir, name string, data []byte) (err error) {
	tmp := s.fs.PathJoin(dir, name+".tmp")
	f, err := s.fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(bytes.Clone(data)) // which a vfs.File may change
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, s.fs.Remove(tmp))
	}
	if err := s.fs.Rename(tmp, s.fs.PathJoin(dir, name)); err != nil {
		return err
	}
	return s.syncDir(dir)
}

func (s *fileStore) Checkpoint(_ context.Context, _ front.View, dir string) error {
	if _, err := s.fs.Stat(dir); err == nil {
		return os.ErrExist
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return s.writeFile(dir, "00000001.sst", s.wholeLocked())
}

func (s *fileStore) wholeLocked() []byte {
	var b engine.Batch
	it, _ := s.mu.m.NewIter(engine.IterOptions{})
	for ok := it.First(); ok; ok = it.Next() {
		v, _ := it.Value()
		b.Put(it.Key(), v)
	}
	return b.Repr()
}

func (s *fileStore) Compact(context.Context, []byte, []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.compactions++
	old, bytes := s.mu.files, s.mu.bytes
	s.mu.files = nil
	if err := s.addLocked(s.wholeLocked()); err != nil {
		s.mu.files = old
		return err
	}
	// Oldest first: what is left must not undo what follows.
	for _, name := range old {
		if err := s.fs.Remove(s.fs.PathJoin(s.dir, name)); err != nil {
			return err
		}
		if err := s.syncDir(s.dir); err != nil {
			return err
		}
	}
	s.mu.bytes -= bytes
	return nil
}

func (s *fileStore) Writable() error { return nil }

func (s *fileStore) Metrics(m *engine.Metrics) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.DiskBytes, m.Tables = uint64(s.mu.bytes), int64(len(s.mu.files))
	m.ReadAmplification, m.CompactionCount = 1, s.mu.compactions
	m.BlockCacheCapacity, m.BlockCacheHits = 1, s.hits.Load()
	m.EstimatedKeys = uint64(s.mu.m.Len())
}

func (s *fileStore) Close() error { return s.lock.Close() }

func (s *fileStore) View() (front.View, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &fileView{s: s, m: s.mu.m.Clone()}, nil
}

type fileView struct {
	s      *fileStore
	mu     sync.Mutex
	m      *enginetest.Model
	closed atomic.Bool
}

func (v *fileView) Get(dst, key []byte) ([]byte, bool, error) {
	if v.closed.Load() {
		return dst, false, errors.New("read of a closed view")
	}
	v.s.hits.Add(1)
	return v.m.Get(dst, key)
}

func (v *fileView) NewIter(o engine.IterOptions) (engine.Iterator, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	it, err := v.m.NewIter(o)
	return &countingIter{it, v.s}, err
}

// countingIter counts steps.
type countingIter struct {
	engine.Iterator
	s *fileStore
}

func (i *countingIter) Next() bool {
	i.s.moves.Add(1)
	return i.Iterator.Next()
}

func (i *countingIter) Prev() bool {
	i.s.moves.Add(1)
	return i.Iterator.Prev()
}

func (v *fileView) Close() error {
	if v.closed.Swap(true) {
		return errors.New("closed a view twice")
	}
	return nil
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func openForSuite(dir string, o enginetest.Options) (engine.Engine, error) {
	s, err := openFileStore(dir, o.FS)
	if err != nil {
		return nil, err
	}
	fo := front.Options{
		MemtableBytes: o.MemtableBytes,
		BeforeFlush:   o.BeforeFlush,
		OnFlush:       o.OnFlush,
		Name:          "filestore",
		Logger:        quiet(),
	}
	if o.ReserveDiskBytes > 0 {
		fo.ReserveBytes = uint64(o.ReserveDiskBytes)
		fo.FreeBytes = func() (uint64, bool) {
			u, err := s.fs.GetDiskUsage(dir)
			return u.AvailBytes, err == nil
		}
	}
	db, err := front.Open(s, fo)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return db, nil
}

func TestEngine(t *testing.T) {
	enginetest.Run(t, enginetest.Factory{Open: openForSuite, CustomFS: true, Hooks: true, Loads: true})
}
