package badgerdb

import (
	"bytes"
	"context"
	"errors"

	"github.com/dgraph-io/badger/v4"

	"dkv/engine"
)

// view is a front.View: Badger at a timestamp.
type view struct {
	s  *store
	ts uint64
}

func (v *view) Close() error {
	v.s.closeView(v.ts)
	return nil
}

func (v *view) Get(dst, key []byte) (value []byte, found bool, err error) {
	if isLong(key) {
		b, err := v.bucket(storeKey(nil, key))
		if err != nil {
			return dst, false, err
		}
		if i, found := b.find(key[maxShortKey:]); found {
			return append(dst, b[i].value...), true, nil
		}
		return dst, false, nil
	}
	return v.get(dst, storeKey(make([]byte, 0, len(key)+1), key))
}

// get reads what Badger has under a key of its own.
func (v *view) get(dst, at []byte) (value []byte, found bool, err error) {
	txn := v.s.db.NewTransactionAt(v.ts, false)
	defer txn.Discard()
	item, err := txn.Get(at)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return dst, false, nil
	}
	if err != nil {
		return dst, false, badgerError(err)
	}
	value, err = v.value(dst, item)
	if err != nil {
		return dst, false, err
	}
	return value, true, nil
}

// value appends an item's value.
func (v *view) value(dst []byte, item *badger.Item) ([]byte, error) {
	err := item.Value(func(b []byte) error {
		if item.UserMeta() == isLarge {
			b = v.s.large.get(b)
		}
		dst = append(dst, b...)
		return nil
	})
	return dst, badgerError(err)
}

func (v *view) bucket(at []byte) (bucket, error) {
	value, _, err := v.get(nil, at)
	if err != nil {
		return nil, err
	}
	return parseBucket(value)
}

func (v *view) NewIter(o engine.IterOptions) (engine.Iterator, error) {
	return &iter{
		v:     v,
		txn:   v.s.db.NewTransactionAt(v.ts, false),
		lower: bytes.Clone(o.Lower), upper: bytes.Clone(o.Upper),
	}, nil
}

// copyTo copies all records into an empty store, as they are.
func (v *view) copyTo(ctx context.Context, to *store) error {
	txn := v.s.db.NewTransactionAt(v.ts, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{PrefetchValues: true, PrefetchSize: 16, Prefix: []byte{keyPrefix}})
	defer it.Close()
	w := newWriter(to, 1)
	defer w.cancel()
	written := 0
	for it.Rewind(); it.Valid(); it.Next() {
		value, err := it.Item().ValueCopy(nil)
		if err != nil {
			return badgerError(err)
		}
		at := it.Item().KeyCopy(nil)
		if written += len(at) + len(value); written >= spaceCheckBytes {
			written = 0
			if err := errors.Join(ctx.Err(), v.s.checkSpace()); err != nil {
				return err
			}
		}
		if err := w.set(at, value, nil, nil); err != nil {
			return badgerError(err)
		}
	}
	if err := w.finish(); err != nil {
		return badgerError(err)
	}
	return badgerError(to.mark(1))
}

// spaceCheckBytes is how much of a checkpoint is written between looks at the free
// space, and at whether the engine is being closed.
const spaceCheckBytes = 8 << 20
