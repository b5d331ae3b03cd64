package command

import (
	"bytes"

	"dkv/engine/keyspace"
)

// What SORT has to do with lists.

// eachOfList calls emit for the elements of a list; when they are not to be sorted,
// for those of the range that is asked for, from the end when descending.
func (c *Ctx) eachOfList(e keyspace.Entry, q *sortQuery, emit func(element []byte) bool) error {
	l, err := c.Tx.List(e)
	if err != nil {
		return err
	}
	first, end := int64(0), l.Len()
	if q.unsorted {
		if first, end = q.limits(l.Len()); q.descending {
			first, end = l.Len()-end, l.Len()-first
		}
	}
	if first >= end {
		return nil
	}
	return l.Range(first, end-1, q.unsorted && q.descending, emit)
}

// storeSorted makes the target a list of what was sorted, and replies how many
// elements that are. Without any the target is deleted. What GET does not find is an
// empty element.
func (c *Ctx) storeSorted(items []sortItem, q *sortQuery) error {
	var elements [][]byte // all, before the first write: what GET reads may be overwritten
	err := c.eachSorted(items, q, func(value []byte, _ bool) error {
		elements = append(elements, bytes.Clone(value))
		return nil
	})
	if err != nil {
		return err
	}
	e, err := c.Tx.Find(c.DB, q.target)
	if err != nil {
		return err
	}
	existed := e.Exists()
	c.Tx.Delete(&e)
	if len(elements) == 0 {
		if existed {
			c.notifyDeleted(q.target)
		}
		c.Out.Int(0)
		return nil
	}
	l, err := c.Tx.List(e)
	if err != nil {
		return err
	}
	if err := c.pushAll(&l, false, elements); err != nil {
		return err
	}
	c.notify(keyspace.ClassList, "sortstore", q.target)
	c.Out.Int(int64(len(elements)))
	return nil
}

// sortKeys finds the keys that STORE names, for the row of SORT: the last one counts.
func sortKeys(args [][]byte) (keys []KeyPosition) {
	for i := 2; i+1 < len(args); i++ {
		switch {
		case isWord(args[i], "LIMIT"):
			i += 2
		case isWord(args[i], "BY"), isWord(args[i], "GET"):
			i++
		case isWord(args[i], "STORE"):
			i++
			keys = []KeyPosition{{Arg: i, Flags: KeyOW | KeyUpdate}}
		}
	}
	return keys
}
