package badgerdb

import (
	"encoding/binary"
	"sync"

	"github.com/dgraph-io/badger/v4"
)

// largeValues keeps the large values of a store in memory, of which Badger, having
// no value log there, would take none: a record holds the value's id instead.
type largeValues struct {
	sync.RWMutex
	next   uint64
	values map[largeID]largeValue
	bytes  int64
}

type largeID uint64

type largeValue struct {
	value []byte
	key   string // as Badger has it
	ts    uint64
}

// isLarge marks a record that holds an id.
const isLarge byte = 1

// keep keeps a copy of a value and returns the id that Badger gets, marked isLarge.
func (l *largeValues) keep(at, value []byte, ts uint64) []byte {
	l.Lock()
	defer l.Unlock()
	l.next++
	l.values[largeID(l.next)] = largeValue{append([]byte(nil), value...), string(at), ts}
	l.bytes += int64(len(value))
	return binary.BigEndian.AppendUint64(nil, l.next)
}

func (l *largeValues) get(id []byte) []byte {
	l.RLock()
	defer l.RUnlock()
	return l.values[largeID(binary.BigEndian.Uint64(id))].value
}

// sweep forgets values that nobody can ask for any more: those written at or before
// the oldest timestamp that is read, of which the record there knows nothing.
func (l *largeValues) sweep(s *store, oldest uint64) error {
	l.Lock()
	defer l.Unlock()
	if len(l.values) == 0 {
		return nil
	}
	txn := s.db.NewTransactionAt(oldest, false)
	defer txn.Discard()
	for id, v := range l.values {
		if v.ts > oldest {
			continue
		}
		item, err := txn.Get([]byte(v.key))
		if err != nil && err != badger.ErrKeyNotFound {
			return err
		}
		if err == nil && item.UserMeta() == isLarge {
			current, err := item.ValueCopy(nil)
			if err != nil {
				return err
			}
			if largeID(binary.BigEndian.Uint64(current)) == id {
				continue
			}
		}
		l.bytes -= int64(len(v.value))
		delete(l.values, id)
	}
	return nil
}
