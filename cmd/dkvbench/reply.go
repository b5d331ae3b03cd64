package main

import (
	"bytes"
	"errors"
	"fmt"
)

// Limits of what is accepted from a server.
const (
	maxLine     = 64 << 10 // a status, an error, a number, a header
	maxString   = 1 << 40  // a string's length; its bytes are skipped, not kept
	maxElements = 1 << 40  // values still to come of one reply
	keepError   = 128      // bytes of an error's text that are kept
)

var errProtocol = errors.New("protocol error")

// replyParser recognises where RESP2 replies end and little more: it skips the
// contents, so that a reply of any size costs no memory and nearly no time. It
// may be fed any pieces of the stream. RESP3 it does not know, because it never
// asks for it.
type replyParser struct {
	// The state within a reply.
	begun bool   // its first header was seen
	left  int64  // values still to come; 0 between replies
	skip  int64  // bytes of a string still to come
	tail  int    // bytes of the line end after a string still to come
	line  []byte // a line of which only the beginning has arrived

	// What is known of the reply that feed has completed.
	failed bool   // it is an error reply
	nulls  int64  // absent values in it
	first  []byte // up to keep bytes: an error's text, or the first string or status
	keep   int    // set by the owner; first stays empty when it is 0
	got    bool   // first is complete
}

// feed parses b up to the end of the next reply. It returns how many bytes it
// took, and whether a reply is complete; if not, all of b was taken.
func (p *replyParser) feed(b []byte) (n int, complete bool, err error) {
	if p.left == 0 && p.skip == 0 && p.tail == 0 {
		p.begun, p.left, p.failed, p.nulls, p.first, p.got = false, 1, false, 0, p.first[:0], false
	}
	for n < len(b) {
		switch {
		case p.skip > 0:
			n += p.skipString(b[n:])
		case p.tail > 0:
			if b[n] != "\n\r"[p.tail-1] {
				return n, false, fmt.Errorf("%w: string not followed by a line end", errProtocol)
			}
			p.tail--
			n++
		default:
			took, err := p.header(b[n:])
			n += took
			if err != nil {
				return n, false, err
			}
		}
		if p.left == 0 && p.skip == 0 && p.tail == 0 {
			return n, true, nil
		}
	}
	return n, false, nil
}

func (p *replyParser) skipString(b []byte) int {
	k := int(min(p.skip, int64(len(b))))
	if !p.got {
		p.first = append(p.first, b[:min(k, max(0, p.keep-len(p.first)))]...)
		p.got = p.skip == int64(k)
	}
	p.skip -= int64(k)
	return k
}

// header takes a line, or the part of it that has arrived.
func (p *replyParser) header(b []byte) (int, error) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		if len(p.line)+len(b) > maxLine {
			return 0, fmt.Errorf("%w: a line of more than %d bytes", errProtocol, maxLine)
		}
		p.line = append(p.line, b...)
		return len(b), nil
	}
	line := b[:end+1]
	if len(p.line) > 0 {
		p.line = append(p.line, line...)
		line = p.line
		p.line = p.line[:0]
	}
	if len(line) < 3 || len(line) > maxLine+2 || line[len(line)-2] != '\r' {
		return end + 1, fmt.Errorf("%w: bad line %q", errProtocol, line[:min(len(line), 64)])
	}
	return end + 1, p.value(line[0], line[1:len(line)-2])
}

// value takes the header of one value: its type byte and what follows.
func (p *replyParser) value(typ byte, rest []byte) error {
	p.left--
	top := !p.begun
	p.begun = true
	switch typ {
	case '+', ':':
		p.text(rest, p.keep)
		return nil
	case '-':
		p.failed = top
		p.text(rest, max(p.keep, keepError))
		return nil
	case '$', '*':
	default:
		return fmt.Errorf("%w: unknown reply type %q", errProtocol, typ)
	}
	n, ok := parseLength(rest)
	if !ok || typ == '$' && n > maxString || typ == '*' && n > maxElements-p.left {
		return fmt.Errorf("%w: bad length %q", errProtocol, rest[:min(len(rest), 64)])
	}
	switch {
	case n == -1:
		p.nulls++
	case typ == '*':
		p.left += n
	default:
		p.skip, p.tail = n, 2
		p.got = p.got || n == 0
	}
	return nil
}

// text keeps up to keep bytes of a line as the reply's first string, if none
// came before it.
func (p *replyParser) text(s []byte, keep int) {
	if !p.got {
		p.first = append(p.first, s[:min(len(s), keep)]...)
		p.got = true
	}
}

// parseLength parses a length: digits, or -1 for an absent value.
func parseLength(b []byte) (int64, bool) {
	if string(b) == "-1" {
		return -1, true
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' || n > maxElements {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, len(b) > 0
}
