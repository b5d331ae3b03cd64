package enginetest

import (
	"bytes"
	"cmp"
	"slices"
	"sort"

	"dkv/engine"
)

// Model is a key-value store in a sorted slice: slow, and simple enough to be
// believed. It is an engine.Reader whose iterators see the state at NewIter.
// The zero value is empty. Not safe for concurrent use with a change.
type Model struct {
	kvs []kv
	// shared says that a clone or an iterator has the slice as well.
	shared bool
}

type kv struct {
	key, value []byte // never changed
}

// Len returns the number of keys.
func (m *Model) Len() int {
	return len(m.kvs)
}

// Clone returns a copy that later changes do not show in.
func (m *Model) Clone() *Model {
	m.shared = true
	return &Model{kvs: m.kvs, shared: true}
}

// Put sets key to value, both copied.
func (m *Model) Put(key, value []byte) {
	m.own()
	e := kv{bytes.Clone(key), bytes.Clone(value)}
	if i, found := m.find(key); found {
		m.kvs[i] = e
	} else {
		m.kvs = slices.Insert(m.kvs, i, e)
	}
}

// Delete removes key.
func (m *Model) Delete(key []byte) {
	if i, found := m.find(key); found {
		m.own()
		m.kvs = slices.Delete(m.kvs, i, i+1)
	}
}

// DeleteRange removes the keys in [start, end).
func (m *Model) DeleteRange(start, end []byte) {
	i, _ := m.find(start)
	j, _ := m.find(end)
	if i < j {
		m.own()
		m.kvs = slices.Delete(m.kvs, i, j)
	}
}

// Apply does what a batch says.
func (m *Model) Apply(repr []byte) error {
	r, err := engine.ReadBatch(repr)
	if err != nil {
		return err
	}
	for {
		kind, key, value, ok, err := r.Next()
		if err != nil || !ok {
			return err
		}
		switch kind {
		case engine.KindPut:
			m.Put(key, value)
		case engine.KindDelete:
			m.Delete(key)
		case engine.KindDeleteRange:
			m.DeleteRange(key, value)
		}
	}
}

func (m *Model) own() {
	if m.shared {
		m.kvs, m.shared = slices.Clone(m.kvs), false
	}
}

// find returns the position of the first key >= key, and whether it is key.
func (m *Model) find(key []byte) (int, bool) {
	return slices.BinarySearchFunc(m.kvs, key, func(e kv, key []byte) int {
		return bytes.Compare(e.key, key)
	})
}

// Get implements engine.Reader.
func (m *Model) Get(dst, key []byte) ([]byte, bool, error) {
	i, found := m.find(key)
	if !found {
		return dst, false, nil
	}
	return append(dst, m.kvs[i].value...), true, nil
}

// NewIter implements engine.Reader.
func (m *Model) NewIter(o engine.IterOptions) (engine.Iterator, error) {
	m.shared = true
	lo, _ := m.find(o.Lower)
	hi := len(m.kvs)
	if len(o.Upper) != 0 {
		hi, _ = m.find(o.Upper)
	}
	return &modelIter{kvs: m.kvs[lo:max(lo, hi)], at: -1}, nil
}

// modelIter stands on kvs[at], or nowhere.
type modelIter struct {
	kvs []kv
	at  int
}

func (it *modelIter) to(at int) bool {
	if at >= len(it.kvs) {
		at = -1
	}
	it.at = at
	return it.at >= 0
}

func (it *modelIter) search(key []byte) int {
	return sort.Search(len(it.kvs), func(i int) bool { return bytes.Compare(it.kvs[i].key, key) >= 0 })
}

func (it *modelIter) First() bool            { return it.to(0) }
func (it *modelIter) Last() bool             { return it.to(len(it.kvs) - 1) }
func (it *modelIter) SeekGE(key []byte) bool { return it.to(it.search(key)) }
func (it *modelIter) SeekLT(key []byte) bool { return it.to(it.search(key) - 1) }
func (it *modelIter) Next() bool             { return it.Valid() && it.to(it.at+1) }
func (it *modelIter) Prev() bool             { return it.Valid() && it.to(it.at-1) }
func (it *modelIter) Valid() bool            { return it.at >= 0 }
func (it *modelIter) Key() []byte            { return it.kvs[it.at].key }
func (it *modelIter) Value() ([]byte, error) { return it.kvs[it.at].value, nil }
func (it *modelIter) Err() error             { return nil }
func (it *modelIter) Close() error           { return nil }

// equal reports whether two models hold the same.
func (m *Model) equal(other *Model) bool {
	return slices.EqualFunc(m.kvs, other.kvs, func(a, b kv) bool {
		return cmp.Or(bytes.Compare(a.key, b.key), bytes.Compare(a.value, b.value)) == 0
	})
}
