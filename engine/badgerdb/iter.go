package badgerdb

import (
	"bytes"

	"github.com/dgraph-io/badger/v4"
)

// iter is an engine.Iterator. Badger's iterators go one way only: this one has one
// for each direction, made when it is first needed, and a move in the other
// direction is a seek. They fetch no values but those that are asked for.
type iter struct {
	v            *view
	txn          *badger.Txn
	lower, upper []byte
	dirs         [2]*badger.Iterator // forward, backward
	backward     bool

	// key is the current one, without prefix; nil: not valid. Where item is a
	// bucket, records are its records, and key that of records[at].
	key     []byte
	item    *badger.Item
	records bucket
	at      int
	buf     []byte
	value   []byte
	err     error
}

func (i *iter) dir(backward bool) *badger.Iterator {
	n := 0
	if backward {
		n = 1
	}
	if i.dirs[n] == nil {
		i.dirs[n] = i.txn.NewIterator(badger.IteratorOptions{Reverse: backward})
	}
	i.backward = backward
	return i.dirs[n]
}

func (i *iter) First() bool { return i.SeekGE(nil) }

func (i *iter) SeekGE(key []byte) bool {
	if bytes.Compare(key, i.lower) < 0 {
		key = i.lower
	}
	target := bytes.Clone(key)
	it := i.dir(false)
	it.Seek(storeKey(nil, target))
	// A bucket at the start may hold smaller keys.
	return i.settle(it, func(i *iter) bool { return bytes.Compare(i.key, target) >= 0 })
}

func (i *iter) Last() bool { return i.seekLT(nil) }

func (i *iter) SeekLT(key []byte) bool {
	if len(key) == 0 {
		return i.stop()
	}
	return i.seekLT(key)
}

// seekLT is SeekLT; no key means the end.
func (i *iter) seekLT(key []byte) bool {
	if len(i.upper) != 0 && (len(key) == 0 || bytes.Compare(key, i.upper) > 0) {
		key = i.upper
	}
	it := i.dir(true)
	if len(key) == 0 {
		it.Seek([]byte{keyPrefix + 1})
		return i.settle(it, func(*iter) bool { return true })
	}
	target := bytes.Clone(key)
	it.Seek(storeKey(nil, target)) // the last that is not above
	return i.settle(it, func(i *iter) bool { return bytes.Compare(i.key, target) < 0 })
}

// settle makes a record the current one: the first from where Badger's iterator
// stands that is wanted, if it is within the bounds.
func (i *iter) settle(it *badger.Iterator, wanted func(*iter) bool) bool {
	for ; it.Valid(); it.Next() {
		i.item = it.Item()
		at := i.item.Key()
		if len(at) == 0 || at[0] != keyPrefix {
			break
		}
		if !isBucket(at) {
			i.records, i.key = nil, at[1:]
			if wanted(i) {
				return i.within()
			}
			continue
		}
		if !i.openBucket(at) {
			return false
		}
		for ; i.at >= 0 && i.at < len(i.records); i.step() {
			if i.bucketKey(); wanted(i) {
				return i.within()
			}
		}
	}
	return i.stop()
}

func (i *iter) openBucket(at []byte) bool {
	value, err := i.v.value(nil, i.item)
	if err == nil {
		i.records, err = parseBucket(value)
	}
	if err != nil {
		i.err = err
		return i.stop()
	}
	i.buf = append(i.buf[:0], at[1:1+maxShortKey]...)
	if i.at = 0; i.backward {
		i.at = len(i.records) - 1
	}
	return true
}

func (i *iter) step() {
	if i.backward {
		i.at--
	} else {
		i.at++
	}
}

func (i *iter) bucketKey() {
	i.buf = append(i.buf[:maxShortKey], i.records[i.at].rest...)
	i.key = i.buf
}

func (i *iter) within() bool {
	if bytes.Compare(i.key, i.lower) < 0 || len(i.upper) != 0 && bytes.Compare(i.key, i.upper) >= 0 {
		return i.stop()
	}
	return true
}

func (i *iter) stop() bool {
	i.key, i.item, i.records = nil, nil, nil
	return false
}

func (i *iter) Next() bool {
	if i.key == nil {
		return false
	}
	if i.backward {
		return i.SeekGE(append(bytes.Clone(i.key), 0))
	}
	return i.move()
}

func (i *iter) Prev() bool {
	if i.key == nil {
		return false
	}
	if !i.backward {
		return i.seekLT(bytes.Clone(i.key))
	}
	return i.move()
}

// move goes on in the direction of the last move.
func (i *iter) move() bool {
	if i.records != nil {
		if i.step(); i.at >= 0 && i.at < len(i.records) {
			i.bucketKey()
			return i.within()
		}
	}
	it := i.dir(i.backward)
	it.Next()
	return i.settle(it, func(*iter) bool { return true })
}

func (i *iter) Valid() bool { return i.key != nil }
func (i *iter) Key() []byte { return i.key }

func (i *iter) Value() ([]byte, error) {
	if i.records != nil {
		return i.records[i.at].value, nil
	}
	var err error
	i.value, err = i.v.value(i.value[:0], i.item)
	return i.value, err
}

func (i *iter) Err() error { return i.err }

func (i *iter) Close() error {
	i.stop()
	for _, it := range i.dirs {
		if it != nil {
			it.Close()
		}
	}
	i.txn.Discard()
	return nil
}
