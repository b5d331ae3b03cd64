package badgerdb

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"dkv/engine"
)

// Memory keeps stores in memory by the names of their folders, so that one can be
// closed and opened again, as long as the process lives. Badger forgets them.
type Memory struct {
	mu struct {
		sync.Mutex
		stores map[string]*memoryStore
		closed bool
	}
}

type memoryStore struct {
	*store
	used bool
}

// NewMemory returns a memory with nothing in it.
func NewMemory() *Memory {
	m := &Memory{}
	m.mu.stores = make(map[string]*memoryStore)
	return m
}

// open returns the store of a folder, and makes it when there is none.
func (m *Memory) open(dir string, o Options) (*memoryStore, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.closed {
		return nil, engine.ErrClosed
	}
	s := m.mu.stores[dir]
	switch {
	case s == nil:
		opened, err := openStore("", o)
		if err != nil {
			return nil, err
		}
		s = &memoryStore{store: opened}
		m.mu.stores[dir] = s
	case s.used:
		return nil, fmt.Errorf("%w: %s", engine.ErrLocked, dir)
	}
	s.used = true
	return s, nil
}

// lent is a store of a Memory, which outlives Close.
type lent struct {
	*memoryStore
	m *Memory
}

// Close gives the store back to the memory.
func (l *lent) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.used = false
	return nil
}

// Forget gives back the stores in a folder and the folders below it, which must be
// closed.
func (m *Memory) Forget(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for name, s := range m.mu.stores {
		if name != dir && !strings.HasPrefix(name, dir+"/") {
			continue
		}
		if s.used {
			errs = append(errs, fmt.Errorf("%w: %s", engine.ErrLocked, name))
			continue
		}
		delete(m.mu.stores, name)
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}

// Close gives back all stores. Those that are open are closed with it, so it comes
// after them.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.closed = true
	var errs []error
	for name, s := range m.mu.stores {
		delete(m.mu.stores, name)
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}
