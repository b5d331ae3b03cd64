package command

import (
	"bytes"
	"cmp"
	"errors"
	"slices"

	"dkv/engine/keyspace"
	"dkv/resp"
)

const (
	errSortScores resp.Error = "ERR One or more scores can't be converted into double"
	errSortBy     resp.Error = "ERR BY option of SORT denied in cluster mode."
	errSortGet    resp.Error = "ERR GET option of SORT denied in cluster mode."
	errSortByACL  resp.Error = "ERR BY option of SORT denied due to insufficient ACL permissions."
	errSortGetACL resp.Error = "ERR GET option of SORT denied due to insufficient ACL permissions."
)

// sortQuery is what a SORT asks for.
type sortQuery struct {
	by           []byte // pattern; nil: the elements themselves
	unsorted     bool   // BY a pattern that names no keys
	get          [][]byte
	offset       int64
	count        int64 // -1: all
	descending   bool
	alphabetical bool
	target       []byte // of STORE
}

// sortItem is an element with what it is sorted by.
type sortItem struct {
	element []byte
	score   float64
	text    []byte
	missing bool // there is no text
}

// sortItemOverhead is what a sortItem takes beside the element, and what is kept of any.
const sortItemOverhead = 40

// sortOnlyReads reports whether a SORT cannot have a STORE.
func sortOnlyReads(args [][]byte) bool {
	return !slices.ContainsFunc(args[2:], func(arg []byte) bool { return isWord(arg, "STORE") })
}

func sortCmd(c *Ctx) error { return c.sort(true) }
func sortRO(c *Ctx) error  { return c.sort(false) }

func (c *Ctx) sort(mayStore bool) error {
	q, err := c.parseSort(mayStore)
	if err != nil {
		return err
	}
	e, err := c.Tx.Read(c.DB, c.Args[1])
	if err != nil {
		return err
	}
	switch e.Type {
	case keyspace.TypeNone, keyspace.TypeList, keyspace.TypeSet, keyspace.TypeZSet:
	default:
		return resp.ErrWrongType
	}
	if e.Type == keyspace.TypeSet && q.unsorted && (q.target != nil || c.Scripted) {
		q.unsorted, q.alphabetical, q.by = false, true, nil // what is stored has an order, and what scripts see
	}
	items, err := c.sortItems(e, &q)
	if err != nil {
		return err
	}
	if !q.unsorted {
		if err := c.weigh(items, &q); err != nil {
			return err
		}
		slices.SortStableFunc(items, q.compare)
		first, last := q.limits(int64(len(items)))
		items = items[first:last]
	}
	if q.target != nil {
		return c.storeSorted(items, &q)
	}
	return c.replySorted(items, &q)
}

func (c *Ctx) parseSort(mayStore bool) (q sortQuery, err error) {
	q.count = -1
	for i := 2; i < len(c.Args); i++ {
		arg, left := c.Args[i], len(c.Args)-i-1
		switch {
		case isWord(arg, "ASC"):
			q.descending = false
		case isWord(arg, "DESC"):
			q.descending = true
		case isWord(arg, "ALPHA"):
			q.alphabetical = true
		case isWord(arg, "LIMIT") && left >= 2:
			if q.offset, err = c.integerArg(i + 1); err != nil {
				return q, err
			}
			if q.count, err = c.integerArg(i + 2); err != nil {
				return q, err
			}
			i += 2
		case mayStore && isWord(arg, "STORE") && left >= 1:
			i++
			q.target = c.Args[i]
		case isWord(arg, "BY") && left >= 1:
			i++
			q.by = c.Args[i]
			if star(q.by) < 0 {
				q.unsorted = true
			} else if !c.reaches(q.by) {
				return q, errSortBy
			} else if c.Caller != nil && !c.Caller.MayRead(c.Spec, c.Args) {
				return q, errSortByACL
			}
		case isWord(arg, "GET") && left >= 1:
			i++
			if !c.reaches(c.Args[i]) {
				return q, errSortGet
			}
			if c.Caller != nil && !c.Caller.MayRead(c.Spec, c.Args) {
				return q, errSortGetACL
			}
			q.get = append(q.get, c.Args[i])
		default:
			return q, resp.ErrSyntax
		}
	}
	return q, nil
}

// star returns the place of the star of a pattern, which ends at a NUL; -1: it has
// none.
func star(pattern []byte) int {
	return bytes.IndexByte([]byte(cString(pattern)), '*')
}

// reaches reports whether the keys of a pattern are sure to be where the key is that
// is sorted. Where there is one shard they are. Where there are more, a hash tag
// before the star must say that it is the same slot.
func (c *Ctx) reaches(pattern []byte) bool {
	at := star(pattern)
	if !c.Sharded || at < 0 {
		return true
	}
	fixed := pattern[:at]
	open := bytes.IndexByte(fixed, '{')
	if open < 0 {
		return false
	}
	closed := bytes.IndexByte(fixed[open:], '}')
	return closed > 1 && keyspace.SlotOf(fixed) == keyspace.SlotOf(c.Args[1])
}

// limits returns the range of n elements that LIMIT means.
func (q *sortQuery) limits(n int64) (first, last int64) {
	first = min(max(q.offset, 0), n)
	if q.count < 0 {
		return first, n
	}
	return first, first + min(q.count, n-first)
}

// sortItems reads the elements; when they are not to be sorted, those that are asked
// for.
func (c *Ctx) sortItems(e keyspace.Entry, q *sortQuery) (items []sortItem, err error) {
	if !e.Exists() {
		return nil, nil
	}
	kept, tooMuch := c.keeps(), error(nil)
	defer func() { err = errors.Join(err, tooMuch) }()
	add := func(element []byte) bool {
		items = append(items, sortItem{element: bytes.Clone(element)})
		tooMuch = kept.take(len(element) + sortItemOverhead)
		return tooMuch == nil
	}
	if e.Type == keyspace.TypeList {
		return items, c.eachOfList(e, q, add)
	}
	col, err := c.Tx.Collection(e, e.Type)
	if err != nil {
		return nil, err
	}
	if !q.unsorted {
		return items, col.Each(func(element, _ []byte) bool { return add(element) })
	}
	first, last := q.limits(col.Len())
	at := int64(0)
	within := func(element []byte) bool {
		if at++; at > first && at <= last {
			add(element)
		}
		return at < last
	}
	if first == last {
		return nil, nil
	}
	if e.Type == keyspace.TypeSet {
		return items, col.Each(func(element, _ []byte) bool { return within(element) })
	}
	err = col.Scores(keyspace.Place{}, keyspace.Place{}, q.descending, func(member []byte, _ float64) bool { return within(member) })
	return items, err
}

// weigh finds what each element is sorted by.
func (c *Ctx) weigh(items []sortItem, q *sortQuery) error {
	failed := false
	kept := c.keeps()
	for i := range items {
		it := &items[i]
		it.text = it.element
		if q.by != nil {
			text, found, err := c.dereference(q.by, it.element)
			if err != nil {
				return err
			}
			if it.missing = !found; it.missing {
				continue
			}
			it.text = text
		}
		if q.alphabetical {
			it.text = bytes.Clone(it.text)
			if err := kept.take(len(it.text)); err != nil {
				return err
			}
			continue
		}
		var ok bool
		it.score, ok = parseSortScore(it.text)
		failed = failed || !ok
		it.text = nil
	}
	if failed {
		return errSortScores
	}
	return nil
}

// parseSortScore parses as C's strtod does, from a C string: spaces before the number
// are skipped, and nothing at all is 0.
func parseSortScore(text []byte) (float64, bool) {
	text = []byte(cString(text))
	if len(text) == 0 {
		return 0, true
	}
	return parseDouble(bytes.TrimLeft(text, " \t\n\v\f\r"))
}

func (q *sortQuery) compare(a, b sortItem) int {
	order := 0
	switch {
	case !q.alphabetical:
		if order = cmp.Compare(a.score, b.score); order == 0 {
			order = bytes.Compare(a.element, b.element)
		}
	case a.missing || b.missing:
		order = int(boolInt(b.missing) - boolInt(a.missing))
	default:
		order = bytes.Compare(a.text, b.text)
	}
	if q.descending {
		return -order
	}
	return order
}

// dereference returns the value that a pattern of BY or GET leads to for an element:
// "#" is the element; otherwise the element stands for the star in a key, which is
// a string's or, with "->" and a field, a hash's. The value is valid until the next
// lookup.
func (c *Ctx) dereference(pattern, element []byte) (value []byte, found bool, err error) {
	if cString(pattern) == "#" {
		return element, true, nil
	}
	at := star(pattern)
	if at < 0 {
		return nil, false, nil
	}
	behind, field, isField := bytes.Cut(pattern[at+1:], []byte("->"))
	if !isField || len(field) == 0 {
		behind, field = pattern[at+1:], nil
	}
	key := slices.Concat(pattern[:at], element, behind)
	e, err := c.Tx.Read(c.DB, key)
	if err != nil {
		return nil, false, err
	}
	switch {
	case field == nil && e.Type == keyspace.TypeString:
		return e.Body, true, nil
	case field != nil && e.Type == keyspace.TypeHash:
		h, err := c.Tx.Collection(e, keyspace.TypeHash)
		if err != nil {
			return nil, false, err
		}
		return c.get(&h, field)
	}
	return nil, false, nil
}

func (c *Ctx) replySorted(items []sortItem, q *sortQuery) error {
	if len(q.get) == 0 {
		c.Out.Array(len(items))
		for i := range items {
			c.Out.Bulk(items[i].element)
		}
		return nil
	}
	c.Out.Array(len(items) * len(q.get))
	return c.eachSorted(items, q, func(value []byte, found bool) error {
		if found {
			c.Out.Bulk(value)
		} else {
			c.Out.Null()
		}
		return nil
	})
}

// eachSorted calls emit for what is replied or stored: the elements, or what GET
// names for each of them.
func (c *Ctx) eachSorted(items []sortItem, q *sortQuery, emit func(value []byte, found bool) error) error {
	for i := range items {
		if c.Out.Full() {
			break
		}
		if len(q.get) == 0 {
			if err := emit(items[i].element, true); err != nil {
				return err
			}
		}
		for _, pattern := range q.get {
			value, found, err := c.dereference(pattern, items[i].element)
			if err == nil {
				err = emit(value, found)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
