package command

import (
	"dkv/engine/keyspace"
	"dkv/resp"
)

// What SORT has to do with lists.

const errNoLists resp.Error = "ERR lists are not available in this version"

// eachOfList calls emit for the elements of a list; when they are not to be sorted,
// for those of the range that is asked for, from the end when descending.
func (c *Ctx) eachOfList(_ keyspace.Entry, _ *sortQuery, _ func(element []byte) bool) error {
	return errNoLists
}

// storeSorted makes the target a list of what was sorted, and replies how many
// elements that are. Without any the target is deleted. What GET does not find is an
// empty element.
func (c *Ctx) storeSorted(items []sortItem, q *sortQuery) error {
	if len(items) != 0 {
		return errNoLists
	}
	e, err := c.Tx.Find(c.DB, q.target)
	if err != nil {
		return err
	}
	c.Tx.Delete(&e)
	c.Out.Int(0)
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
