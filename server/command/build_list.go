package command

import (
	"fmt"

	"dkv/engine/keyspace"
	"dkv/server/rdb"
)

// listMaker makes lists, and goes on with them at their end.
type listMaker struct {
	c *Ctx
	l keyspace.List
}

func makeList(c *Ctx, e keyspace.Entry, expireAt int64) (maker, error) {
	l, err := c.Tx.List(e)
	l.ExpireAt = expireAt
	return &listMaker{c: c, l: l}, err
}

func (m *listMaker) add(el *rdb.Element) error {
	if err := m.c.growList(&m.l, [][]byte{el.Value}); err != nil {
		return err
	}
	return m.l.Push(false, el.Value)
}

func (m *listMaker) save() error { return m.l.Save() }
func (m *listMaker) drop()       { m.l.Clear() }

func dumpList(dst []byte, tx *keyspace.Tx, e *keyspace.Entry) ([]byte, rdb.Type, error) {
	l, err := tx.List(*e)
	if err != nil {
		return dst, rdb.TypeList, err
	}
	dst = rdb.AppendLength(dst, uint64(l.Len()))
	n := int64(0)
	err = l.Range(0, l.Len()-1, false, func(element []byte) bool {
		n++
		dst = rdb.AppendString(dst, element)
		return true
	})
	if err == nil && n != l.Len() {
		err = fmt.Errorf("%w: %d of %d elements", keyspace.ErrCorrupt, n, l.Len())
	}
	return dst, rdb.TypeList, err
}
