package command

import (
	"strconv"
	"strings"

	"dkv/engine/keyspace"
	"dkv/resp"
)

func keys(c *Ctx) error {
	list := c.beginList()
	if err := c.Tx.Keys(c.DB, c.Args[1], list.add); err != nil {
		return err
	}
	list.end(nil)
	return nil
}

// defaultScanCount is the COUNT of a SCAN without one.
const defaultScanCount = 10

func scan(c *Ctx) error {
	cursor, ok := ParseCursor(c.Args[1])
	if !ok {
		return resp.ErrInvalidCursor
	}
	o := keyspace.ScanOptions{Count: defaultScanCount}
	noType := false
	for i := 2; i < len(c.Args); i += 2 {
		if i+1 == len(c.Args) {
			return resp.ErrSyntax
		}
		switch value := c.Args[i+1]; {
		case isWord(c.Args[i], "COUNT"):
			n, err := c.integerArg(i + 1)
			if err != nil {
				return err
			}
			if n < 1 {
				return resp.ErrSyntax
			}
			o.Count = int(n)
		case isWord(c.Args[i], "MATCH"):
			o.Match = value
		case isWord(c.Args[i], "TYPE"):
			o.Type, noType = typeNamed(value)
		default:
			return resp.ErrSyntax
		}
	}
	list := c.beginList()
	emit := list.add
	if noType {
		emit = func([]byte) {} // no key has a type that does not exist
	}
	next, err := c.Tx.Scan(c.DB, cursor, o, emit)
	if err != nil {
		return err
	}
	head := resp.Writer{Buf: make([]byte, 0, 64)}
	head.Array(2)
	head.BulkString(strconv.FormatUint(uint64(next), 10))
	list.end(head.Buf)
	return nil
}

// typeNamed returns the type of a name; none tells that there is no such type.
func typeNamed(name []byte) (t keyspace.Type, none bool) {
	for t := keyspace.TypeString; t <= keyspace.TypeStream; t++ {
		if isWord(name, strings.ToUpper(t.String())) {
			return t, false
		}
	}
	return keyspace.TypeNone, true
}

// ParseCursor parses a cursor as C's strtoul does, on which Redis relies: with a
// sign (a minus wraps around), and empty for 0.
func ParseCursor(arg []byte) (cursor keyspace.Cursor, ok bool) {
	text := cString(arg)
	if text == "" {
		return 0, true
	}
	negative := text[0] == '-'
	if negative || text[0] == '+' {
		text = text[1:]
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || len(text) == 0 || text[0] == '+' {
		return 0, false
	}
	if negative {
		n = -n
	}
	return keyspace.Cursor(n), true
}

func randomkey(c *Ctx) error {
	key, ok, err := c.Tx.RandomKey(c.DB)
	if err != nil {
		return err
	}
	if ok {
		c.Out.Bulk(key)
	} else {
		c.Out.Null()
	}
	return nil
}

// list is an array reply whose length is known at its end only.
type list struct {
	out   *resp.Writer
	start int
	n     int
}

func (c *Ctx) beginList() *list {
	return &list{out: c.Out, start: len(c.Out.Buf)}
}

func (l *list) add(item []byte) {
	l.out.Bulk(item)
	l.n++
}

// end puts the array's header, and before it what else comes first, in front of the
// items.
func (l *list) end(first []byte) {
	head := resp.Writer{Buf: first}
	head.Array(l.n)
	l.prepend(head)
}

// endSet makes it a set.
func (l *list) endSet() {
	head := resp.Writer{Proto: l.out.Proto}
	head.Set(l.n)
	l.prepend(head)
}

func (l *list) prepend(head resp.Writer) {
	items := len(l.out.Buf) - l.start
	if l.out.Raw(head.Buf); l.out.Full() {
		return // it is taken back
	}
	at := l.out.Buf[l.start:]
	copy(at[len(head.Buf):], at[:items])
	copy(at, head.Buf)
}
