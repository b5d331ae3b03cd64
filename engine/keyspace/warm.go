package keyspace

import (
	"fmt"

	"dkv/engine"
)

// Keys are keys that will be looked up soon. The zero value is none.
type Keys struct {
	buf  []byte
	ends []int
	list [][]byte
}

// Reset forgets the keys, and memory that long ones took.
func (k *Keys) Reset() {
	k.buf, k.ends = k.buf[:0], k.ends[:0]
	if cap(k.buf) > maxScratchBytes {
		k.buf, k.ends, k.list = nil, nil, nil
	}
}

// Len is how many there are.
func (k *Keys) Len() int { return len(k.ends) }

// Expect adds a key of a database to those that Warm looks up.
func (tx *Tx) Expect(k *Keys, db int, key []byte) error {
	m, err := tx.openView() // of another moment is good enough
	if err != nil {
		return err
	}
	k.buf = appendMetaKey(k.buf, m.of(db), SlotOf(key), key)
	k.ends = append(k.ends, len(k.buf))
	return nil
}

// Warm looks keys up so that whoever looks for them soon after finds them in memory.
// For read Txs.
func (tx *Tx) Warm(k *Keys) (err error) {
	if len(k.ends) == 0 {
		return nil
	}
	start := 0
	k.list = k.list[:0]
	for _, end := range k.ends {
		k.list = append(k.list, k.buf[start:end])
		start = end
	}
	if m, ok := tx.r.(engine.Rememberer); ok {
		err = m.Remember(k.list)
	} else {
		for _, key := range k.list {
			if tx.value, _, err = tx.r.Get(tx.value[:0], key); err != nil {
				break
			}
		}
	}
	if err != nil {
		return fmt.Errorf("keyspace: read keys: %w", err)
	}
	return nil
}

// Warm looks an element up so that a Get soon after finds it in memory.
func (c *Collection) Warm(element []byte) (err error) {
	if !c.separate {
		return nil
	}
	tx := c.tx
	c.elementKey(element)
	if m, ok := tx.r.(engine.Rememberer); ok && m.InMemory(tx.elem) {
		return nil
	}
	if tx.old, _, err = tx.r.Get(tx.old[:0], tx.elem); err != nil {
		return fmt.Errorf("keyspace: read element: %w", err)
	}
	return nil
}
