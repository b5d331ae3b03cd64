package command

import (
	"bytes"
	"math"

	"dkv/engine/keyspace"
	"dkv/resp"
)

// lcsOptions are the options of LCS.
type lcsOptions struct {
	idx, length, withLen bool
	minLen               int64
}

func (c *Ctx) parseLCSOptions() (o lcsOptions, err error) {
	for i := 3; i < len(c.Args); i++ {
		switch {
		case isWord(c.Args[i], "IDX"):
			o.idx = true
		case isWord(c.Args[i], "LEN"):
			o.length = true
		case isWord(c.Args[i], "WITHMATCHLEN"):
			o.withLen = true
		case isWord(c.Args[i], "MINMATCHLEN") && i+1 < len(c.Args):
			i++
			if o.minLen, err = c.integerArg(i); err != nil {
				return o, err
			}
		default:
			return o, resp.ErrSyntax
		}
	}
	if o.idx && o.length {
		return o, resp.ErrLCSBothLenIdx
	}
	return o, nil
}

func lcs(c *Ctx) error {
	a, err := c.lcsString(c.Args[1])
	if err != nil {
		return err
	}
	b, err := c.lcsString(c.Args[2])
	if err != nil {
		return err
	}
	if a.Type > keyspace.TypeString || b.Type > keyspace.TypeString {
		return resp.ErrLCSWrongType
	}
	o, err := c.parseLCSOptions()
	if err != nil {
		return err
	}
	if len(a.Body) >= math.MaxUint32-1 || len(b.Body) >= math.MaxUint32-1 {
		return resp.ErrLCSTooLong
	}
	const cellBytes = 4
	if uint64(len(a.Body)+1)*uint64(len(b.Body)+1) > uint64(c.maxStringLen())/cellBytes {
		return resp.ErrLCSNoMemory
	}
	t := newLCSTable(a.Body, b.Body)
	switch {
	case o.length:
		c.Out.Int(int64(t.length()))
	case o.idx:
		c.replyMatches(t, o)
	default:
		c.Out.Bulk(t.subsequence())
	}
	return nil
}

// lcsString looks up one of the strings; its body is a copy, since there are two.
func (c *Ctx) lcsString(key []byte) (keyspace.Entry, error) {
	e, err := c.Tx.Read(c.DB, key)
	if err == nil {
		e.Body = bytes.Clone(e.Body)
	}
	return e, err
}

// replyMatches replies the ranges in which the strings agree, last first.
func (c *Ctx) replyMatches(t *lcsTable, o lcsOptions) {
	c.Out.Map(2)
	c.Out.BulkString("matches")
	matches := t.matches(o.minLen)
	c.Out.Array(len(matches))
	for _, m := range matches {
		if o.withLen {
			c.Out.Array(3)
		} else {
			c.Out.Array(2)
		}
		for _, start := range [...]int{m.a, m.b} {
			c.Out.Array(2)
			c.Out.Int(int64(start))
			c.Out.Int(int64(start + m.n - 1))
		}
		if o.withLen {
			c.Out.Int(int64(m.n))
		}
	}
	c.Out.BulkString("len")
	c.Out.Int(int64(t.length()))
}

// lcsTable holds, for every i and j, the length of the longest common subsequence of
// the first i bytes of a and the first j of b.
type lcsTable struct {
	a, b  []byte
	cells []uint32 // row i has len(b)+1
}

func newLCSTable(a, b []byte) *lcsTable {
	width := len(b) + 1
	t := &lcsTable{a: a, b: b, cells: make([]uint32, (len(a)+1)*width)}
	for i := range a {
		above, row := t.cells[i*width:(i+1)*width], t.cells[(i+1)*width:(i+2)*width]
		for j := range b {
			if a[i] == b[j] {
				row[j+1] = above[j] + 1
			} else {
				row[j+1] = max(above[j+1], row[j])
			}
		}
	}
	return t
}

func (t *lcsTable) at(i, j int) uint32 { return t.cells[i*(len(t.b)+1)+j] }

func (t *lcsTable) length() uint32 { return t.at(len(t.a), len(t.b)) }

// walk goes back from the ends of both strings and calls match for each pair of
// bytes of the subsequence, given by their positions. Where there is a choice it
// stays in a and goes back in b, so that the reply is the one that Redis gives.
func (t *lcsTable) walk(match func(i, j int)) {
	i, j := len(t.a), len(t.b)
	for i > 0 && j > 0 {
		switch {
		case t.a[i-1] == t.b[j-1]:
			i--
			j--
			match(i, j)
		case t.at(i-1, j) > t.at(i, j-1):
			i--
		default:
			j--
		}
	}
}

func (t *lcsTable) subsequence() []byte {
	s := make([]byte, t.length())
	n := len(s)
	t.walk(func(i, _ int) {
		n--
		s[n] = t.a[i]
	})
	return s
}

// lcsMatch is a stretch of n bytes in which both strings agree.
type lcsMatch struct{ a, b, n int }

// matches returns the stretches of the subsequence that have at least minLen bytes,
// last first.
func (t *lcsTable) matches(minLen int64) []lcsMatch {
	var out []lcsMatch
	var m lcsMatch
	flush := func() {
		if m.n > 0 && int64(m.n) >= minLen {
			out = append(out, m)
		}
	}
	t.walk(func(i, j int) {
		if m.n > 0 && i == m.a-1 && j == m.b-1 {
			m = lcsMatch{i, j, m.n + 1}
			return
		}
		flush()
		m = lcsMatch{i, j, 1}
	})
	flush()
	return out
}
