package command

import (
	"math"

	"dkv/engine/keyspace"
	"dkv/resp"
)

const (
	errRankZero    resp.Error = "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list"
	errCountBelow0 resp.Error = "ERR COUNT can't be negative"
	errMaxlenBelow resp.Error = "ERR MAXLEN can't be negative"
)

// lposOptions are those of LPOS; a count of -1 asks for one match, not in an array.
type lposOptions struct {
	rank, count, maxlen int64
}

func (c *Ctx) parseLpos() (o lposOptions, err error) {
	o.rank, o.count = 1, -1
	for i := 3; i < len(c.Args); i += 2 {
		var ok bool
		switch {
		case i+1 == len(c.Args):
			return o, resp.ErrSyntax
		case isWord(c.Args[i], "RANK"):
			if o.rank, err = c.rangeArg(i+1, -math.MaxInt64, math.MaxInt64); err != nil {
				return o, err
			}
			if o.rank == 0 {
				return o, errRankZero
			}
		case isWord(c.Args[i], "COUNT"):
			if o.count, ok = keyspace.ParseInt(c.Args[i+1]); !ok || o.count < 0 {
				return o, errCountBelow0
			}
		case isWord(c.Args[i], "MAXLEN"):
			if o.maxlen, ok = keyspace.ParseInt(c.Args[i+1]); !ok || o.maxlen < 0 {
				return o, errMaxlenBelow
			}
		default:
			return o, resp.ErrSyntax
		}
	}
	return o, nil
}

func lpos(c *Ctx) error {
	o, err := c.parseLpos()
	if err != nil {
		return err
	}
	l, err := c.readList(c.Args[1])
	if err != nil {
		return err
	}
	matches, err := o.find(&l, c.Args[2])
	switch {
	case err != nil:
		return err
	case o.count >= 0:
		c.Out.Array(len(matches))
		for _, at := range matches {
			c.Out.Int(at)
		}
	case len(matches) == 0:
		c.Out.Null()
	default:
		c.Out.Int(matches[0])
	}
	return nil
}

// find returns the indexes that LPOS replies.
func (o *lposOptions) find(l *keyspace.List, element []byte) (matches []int64, err error) {
	if !l.Exists() {
		return nil, nil
	}
	backwards, skip := o.rank < 0, max(o.rank, -o.rank)-1
	first, last := int64(0), l.Len()-1
	if o.maxlen > 0 && o.maxlen < l.Len() {
		if backwards {
			first = l.Len() - o.maxlen
		} else {
			last = o.maxlen - 1
		}
	}
	at, step := first, int64(1)
	if backwards {
		at, step = last, -1
	}
	most := max(o.count, 0)
	if o.count < 0 {
		most = 1
	}
	err = l.Range(first, last, backwards, func(e []byte) bool {
		if string(e) == string(element) {
			if skip--; skip < 0 {
				matches = append(matches, at)
			}
		}
		at += step
		return most == 0 || int64(len(matches)) < most
	})
	return matches, err
}

// endArg parses an argument that is LEFT or RIGHT.
func (c *Ctx) endArg(i int) (left bool, err error) {
	left = isWord(c.Args[i], "LEFT")
	if !left && !isWord(c.Args[i], "RIGHT") {
		return false, resp.ErrSyntax
	}
	return left, nil
}

func rpoplpush(c *Ctx) error { return c.moveElement(false, true) }

func lmove(c *Ctx) error {
	from, err := c.endArg(3)
	if err != nil {
		return err
	}
	to, err := c.endArg(4)
	if err != nil {
		return err
	}
	return c.moveElement(from, to)
}

// moveElement moves an element from an end of the list in argument 1 to an end of the
// one in argument 2, which may be the same, and replies it.
func (c *Ctx) moveElement(from, to bool) error {
	moved, err := c.tryMove(from, to)
	if err == nil && !moved {
		c.Out.Null()
	}
	return err
}

// tryMove is moveElement where there is an element.
func (c *Ctx) tryMove(from, to bool) (moved bool, err error) {
	src, err := c.findList(c.Args[1])
	if err != nil || !src.Exists() {
		return false, err
	}
	var element []byte
	keep := func(e []byte) { element = append([]byte(nil), e...) }
	if string(c.Args[1]) == string(c.Args[2]) {
		if err := src.Pop(from, 1, keep); err != nil {
			return false, err
		}
		if err := c.pushAll(&src, to, [][]byte{element}); err != nil {
			return false, err
		}
		c.notifyPushed(c.Args[2], to)
		c.notifyPopped(&src, from, 1)
		c.Out.Bulk(element)
		return true, nil
	}
	// Nothing is taken before the other key is known to be good.
	target, err := c.Tx.FindTarget(c.DB, c.Args[2])
	if err == nil && target.Exists() && target.Type != keyspace.TypeList {
		err = resp.ErrWrongType
	}
	if err != nil {
		return false, err
	}
	if err := c.popOne(&src, from, keep); err != nil {
		return false, err
	}
	dst, err := c.findList(c.Args[2])
	if err != nil {
		return false, err
	}
	if err := c.pushAll(&dst, to, [][]byte{element}); err != nil {
		return false, err
	}
	c.notifyPushed(c.Args[2], to)
	c.notifyPopped(&src, from, 1)
	c.Out.Bulk(element)
	return true, nil
}

const errCountNotPositive resp.Error = "ERR count should be greater than 0"

// manyPop is what LMPOP, ZMPOP and their blocking forms ask for.
type manyPop struct {
	keys  [][]byte
	first bool // the first word: LEFT, MIN
	count int64
}

// parseManyPop parses numkeys key ... first|second [COUNT n], which begins at an
// argument.
func (c *Ctx) parseManyPop(at int, first, second string) (p manyPop, err error) {
	n, ok := keyspace.ParseInt(c.Args[at])
	if !ok || n < 1 {
		return p, errNumkeys
	}
	if n >= int64(len(c.Args)-at-1) {
		return p, resp.ErrSyntax
	}
	where := at + 1 + int(n)
	p.keys = c.Args[at+1 : where]
	if p.first = isWord(c.Args[where], first); !p.first && !isWord(c.Args[where], second) {
		return p, resp.ErrSyntax
	}
	p.count = -1
	for i := where + 1; i < len(c.Args); i += 2 {
		if p.count >= 0 || !isWord(c.Args[i], "COUNT") || i+1 == len(c.Args) {
			return p, resp.ErrSyntax
		}
		if p.count, ok = keyspace.ParseInt(c.Args[i+1]); !ok || p.count < 1 {
			return p, errCountNotPositive
		}
	}
	p.count = max(p.count, 1)
	return p, nil
}

func lmpop(c *Ctx) error {
	p, err := c.parseManyPop(1, "LEFT", "RIGHT")
	if err != nil {
		return err
	}
	popped, err := c.popLists(&p)
	if err == nil && !popped {
		c.Out.NullArray()
	}
	return err
}

// popLists replies elements of the first list that there is, with its name.
func (c *Ctx) popLists(p *manyPop) (popped bool, err error) {
	for _, key := range p.keys {
		l, err := c.findList(key)
		if err != nil {
			return false, err
		}
		if l.Exists() {
			c.Out.Array(2)
			c.Out.Bulk(key)
			return true, c.replyPopped(&l, p.first, min(p.count, l.Len()))
		}
	}
	return false, nil
}
