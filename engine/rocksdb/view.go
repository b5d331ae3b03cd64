//go:build rocksdb

package rocksdb

import (
	"bytes"

	"github.com/linxGnu/grocksdb"

	"dkv/engine"
)

// view is a front.View: a snapshot of RocksDB.
type view struct {
	s        *store
	snapshot *grocksdb.Snapshot
	read     *grocksdb.ReadOptions
}

func (v *view) Get(dst, key []byte) (value []byte, found bool, err error) {
	h, err := v.s.db.GetPinned(v.read, key)
	if err != nil {
		return dst, false, rocksError(err)
	}
	if !h.Exists() {
		return dst, false, nil
	}
	defer h.Destroy()
	return append(dst, h.Data()...), true, nil
}

func (v *view) NewIter(o engine.IterOptions) (engine.Iterator, error) {
	it := &iter{read: grocksdb.NewDefaultReadOptions(), lower: o.Lower}
	it.read.SetSnapshot(v.snapshot)
	// The options keep the bounds alive, and the iterator the options.
	if len(o.Lower) != 0 {
		it.read.SetIterateLowerBound(bytes.Clone(o.Lower))
	}
	if len(o.Upper) != 0 {
		it.upper = bytes.Clone(o.Upper)
		it.read.SetIterateUpperBound(it.upper)
	}
	it.it = v.s.db.NewIterator(it.read)
	return it, nil
}

func (v *view) Close() error {
	v.read.Destroy()
	v.s.db.ReleaseSnapshot(v.snapshot)
	return nil
}

// iter is an engine.Iterator. It asks RocksDB for its key once at each place: a
// call of C costs more than most of what it does.
type iter struct {
	it           *grocksdb.Iterator
	read         *grocksdb.ReadOptions
	lower, upper []byte
	key          []byte // RocksDB's memory; nil: not valid
	err          error
}

func (i *iter) at() bool {
	i.key = nil
	if i.it.Valid() {
		i.key = i.it.Key().Data()
		return true
	}
	if err := i.it.Err(); err != nil {
		i.err = rocksError(err)
	}
	return false
}

func (i *iter) First() bool {
	i.it.SeekToFirst()
	return i.at()
}

func (i *iter) Last() bool {
	i.it.SeekToLast()
	return i.at()
}

func (i *iter) SeekGE(key []byte) bool {
	if len(key) == 0 {
		return i.First()
	}
	if bytes.Compare(key, i.lower) < 0 {
		key = i.lower
	}
	i.it.Seek(key)
	return i.at()
}

func (i *iter) SeekLT(key []byte) bool {
	if len(i.upper) != 0 && bytes.Compare(key, i.upper) >= 0 {
		return i.Last()
	}
	i.it.SeekForPrev(key)
	if i.at() && bytes.Equal(i.key, key) {
		i.it.Prev()
		return i.at()
	}
	return i.Valid()
}

func (i *iter) Next() bool {
	if i.key == nil {
		return false
	}
	i.it.Next()
	return i.at()
}

func (i *iter) Prev() bool {
	if i.key == nil {
		return false
	}
	i.it.Prev()
	return i.at()
}

func (i *iter) Valid() bool { return i.key != nil }
func (i *iter) Key() []byte { return i.key }

func (i *iter) Value() ([]byte, error) { return i.it.Value().Data(), nil }
func (i *iter) Err() error             { return i.err }

func (i *iter) Close() error {
	i.it.Close()
	i.read.Destroy()
	return nil
}
