package main

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

const (
	iterBatch   = 128     // keys whose values are asked for in one go, and
	iterBytes   = 32768   // bytes of them: more could block both sides in writing
	iterCount   = "1000"  // SCAN's COUNT
	iterSeenMax = 1 << 20 // keys remembered against SCAN's duplicates, in each of two halves
)

// iterate prints every key that matches the pattern, with its value.
//
// The values come from a pipeline of GETs rather than from an MGET: its replies
// are printed one by one, so that memory is bounded by the largest value, and
// a key of another type says so instead of looking absent.
func iterate(c *conn, pattern string, p *printer) int {
	// The older store takes a prefix, with nothing behind it.
	if !strings.ContainsAny(pattern, `*?[\`) {
		pattern += "*"
	}
	seen := newRecentKeys(iterSeenMax)
	for cursor := "0"; ; {
		r, err := c.do("SCAN", cursor, "MATCH", pattern, "COUNT", iterCount)
		if err != nil {
			return p.failure(err)
		}
		if r.isError() {
			return p.reply(&r)
		}
		if len(r.elems) != 2 || r.elems[1].kind != kindArray {
			return p.failure(fmt.Errorf("%w: not a reply to SCAN", errProtocol))
		}
		keys := make([]string, 0, len(r.elems[1].elems))
		for _, e := range r.elems[1].elems {
			if seen.add(e.str) {
				keys = append(keys, string(e.str))
			}
		}
		for len(keys) > 0 {
			n := batchLen(keys)
			if code := printValues(c, keys[:n], p); code != exitOK {
				return code
			}
			keys = keys[n:]
		}
		if err := p.flush(); err != nil {
			return exitError
		}
		if cursor = string(r.elems[0].str); cursor == "0" {
			return exitOK
		}
	}
}

// batchLen is how many of keys make the next batch; at least one.
func batchLen(keys []string) int {
	n, size := 0, 0
	for n < min(len(keys), iterBatch) && size < iterBytes {
		size += len(keys[n])
		n++
	}
	return n
}

// printValues prints keys with their values. A key that is gone by now is
// left out: SCAN does not promise to show what is deleted meanwhile.
func printValues(c *conn, keys []string, p *printer) int {
	var out []byte
	for _, key := range keys {
		out = appendCommand(out, "GET", key)
	}
	if err := c.flush(out); err != nil {
		return p.failure(err)
	}
	var others []string // of another type than string
	for _, key := range keys {
		r, err := c.receive()
		switch {
		case err != nil:
			return p.failure(err)
		case r.kind == kindNil:
		case r.isError() && strings.HasPrefix(string(r.str), "WRONGTYPE"):
			others = append(others, key)
		case r.isError():
			return p.reply(&r)
		default:
			p.pair(key, &r)
		}
	}
	for _, key := range others {
		r, err := c.do("TYPE", key)
		if err != nil {
			return p.failure(err)
		}
		if r.isError() {
			return p.reply(&r)
		}
		if string(r.str) != "none" {
			p.typeOnly(key, string(r.str))
		}
	}
	return exitOK
}

// pair prints a key and its value: "key => value", or an object in JSON.
func (p *printer) pair(key string, value *reply) {
	b := p.buf[:0]
	switch p.format {
	case formatJSON:
		b = appendJSONString(append(b, `{"key":`...), []byte(key))
		b = append(appendJSON(append(b, `,"value":`...), value), '}')
	case formatTTY:
		b = append(appendShown(b, []byte(key)), " => "...)
		b = appendShown(b, value.str)
	default:
		b = append(append(append(b, key...), " => "...), value.str...)
	}
	p.out.Write(append(b, '\n'))
	if cap(b) <= 1<<20 {
		p.buf = b
	}
}

// typeOnly prints a key whose value is not a string: its type stands instead.
func (p *printer) typeOnly(key, typ string) {
	switch p.format {
	case formatJSON:
		b := appendJSONString([]byte(`{"key":`), []byte(key))
		p.text(string(appendJSONString(append(b, `,"type":`...), []byte(typ))) + "}")
	case formatTTY:
		p.text(string(appendShown(nil, []byte(key))) + " => (" + typ + ")")
	default:
		p.text(key + " => (" + typ + ")")
	}
}

// recentKeys remembers at least the last max keys added, in memory bounded by
// 2*max fingerprints of 16 bytes. A fingerprint is half of a SHA-256: if two
// keys shared one, the second would be missing from the output.
type recentKeys struct {
	max      int
	now, old map[[16]byte]struct{}
}

func newRecentKeys(max int) *recentKeys {
	return &recentKeys{max: max, now: map[[16]byte]struct{}{}}
}

// add reports whether key is new.
func (s *recentKeys) add(key []byte) bool {
	sum := sha256.Sum256(key)
	id := [16]byte(sum[:16])
	if _, ok := s.now[id]; ok {
		return false
	}
	_, known := s.old[id]
	if len(s.now) >= s.max {
		s.old, s.now = s.now, make(map[[16]byte]struct{}, s.max)
	}
	s.now[id] = struct{}{}
	return !known
}
