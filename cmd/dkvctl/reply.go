package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Limits of what is accepted from a server. They are far above what a dkv or
// Redis server sends by default, and keep a broken or hostile one from taking
// all memory.
const (
	maxLineBytes  = 1 << 20 // a simple string, an error, a number or a header
	maxBulkBytes  = 1 << 30 // one string; the server's own default limit is 512 MiB
	maxReplyBytes = 2 << 30 // a whole reply, strings and elements
	maxDepth      = 64      // arrays in arrays
	elemBytes     = 64      // what one element costs against maxReplyBytes, at least
	readStep      = 1 << 20 // a string's memory grows with what has arrived, by this much
)

var (
	errProtocol = errors.New("protocol error")
	errTooBig   = errors.New("reply exceeds the client's limit")
)

// kind is the RESP type byte of a reply.
type kind byte

const (
	kindStatus   kind = '+'
	kindError    kind = '-' // also RESP3's bulk error '!'
	kindInt      kind = ':'
	kindBulk     kind = '$'
	kindArray    kind = '*'
	kindNil      kind = '_' // also RESP2's "$-1" and "*-1"
	kindDouble   kind = ','
	kindBool     kind = '#'
	kindVerbatim kind = '='
	kindBigNum   kind = '('
	kindMap      kind = '%'
	kindSet      kind = '~'
	kindPush     kind = '>'
	kindAttr     kind = '|' // never leaves readReply
)

// reply is one parsed reply.
type reply struct {
	kind  kind
	str   []byte  // status, error, bulk, verbatim (without its format), double, big number
	num   int64   // int; bool as 0 or 1
	elems []reply // array, set, push; map as key, value, key, value ...
}

func (r *reply) isError() bool { return r.kind == kindError }

// replyReader parses RESP2 and RESP3 replies.
type replyReader struct {
	br   *bufio.Reader
	left int64 // what the reply being read may still cost
}

func newReplyReader(r io.Reader) *replyReader {
	return &replyReader{br: bufio.NewReaderSize(r, 64<<10)}
}

// read returns the next reply. Errors are the connection's, errProtocol or
// errTooBig; after any of them the connection is of no more use. io.EOF is
// returned only between replies; within one it is io.ErrUnexpectedEOF.
func (rr *replyReader) read() (reply, error) {
	if _, err := rr.br.Peek(1); err != nil {
		return reply{}, err
	}
	rr.left = maxReplyBytes
	r, err := rr.value(0)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return r, err
}

func (rr *replyReader) value(depth int) (reply, error) {
	if depth > maxDepth {
		return reply{}, fmt.Errorf("%w: nested deeper than %d", errTooBig, maxDepth)
	}
	for {
		line, err := rr.line()
		if err != nil {
			return reply{}, err
		}
		if len(line) == 0 {
			return reply{}, fmt.Errorf("%w: empty line where a reply must begin", errProtocol)
		}
		k, rest := kind(line[0]), line[1:]
		if k == kindAttr {
			// Attributes describe the reply that follows; nothing here uses them.
			if _, err := rr.aggregate(k, rest, depth); err != nil {
				return reply{}, err
			}
			continue
		}
		return rr.typed(k, rest, depth)
	}
}

// typed parses the value whose header line is k followed by rest.
func (rr *replyReader) typed(k kind, rest []byte, depth int) (reply, error) {
	switch k {
	case kindStatus, kindError, kindDouble, kindBigNum:
		return reply{kind: k, str: bytes.Clone(rest)}, nil
	case kindInt:
		n, err := parseInt(rest)
		return reply{kind: k, num: n}, err
	case kindNil:
		return reply{kind: kindNil}, nil
	case kindBool:
		if len(rest) != 1 || rest[0] != 't' && rest[0] != 'f' {
			return reply{}, fmt.Errorf("%w: boolean %q", errProtocol, clip(rest))
		}
		r := reply{kind: k}
		if rest[0] == 't' {
			r.num = 1
		}
		return r, nil
	case kindBulk, kindVerbatim, '!':
		return rr.bulk(k, rest)
	case kindArray, kindMap, kindSet, kindPush:
		return rr.aggregate(k, rest, depth)
	}
	return reply{}, fmt.Errorf("%w: unknown reply type %q", errProtocol, byte(k))
}

func (rr *replyReader) bulk(k kind, header []byte) (reply, error) {
	n, err := parseInt(header)
	switch {
	case err != nil:
		return reply{}, err
	case n == -1:
		return reply{kind: kindNil}, nil
	case n < 0:
		return reply{}, fmt.Errorf("%w: length %d", errProtocol, n)
	case n > maxBulkBytes:
		return reply{}, fmt.Errorf("%w: a string of %d bytes", errTooBig, n)
	}
	if err := rr.charge(n); err != nil {
		return reply{}, err
	}
	str, err := rr.payload(int(n))
	if err != nil {
		return reply{}, err
	}
	switch k {
	case '!':
		k = kindError
	case kindVerbatim:
		if len(str) < 4 || str[3] != ':' {
			return reply{}, fmt.Errorf("%w: verbatim string without its format", errProtocol)
		}
		str = str[4:]
	}
	return reply{kind: k, str: str}, nil
}

// payload reads n bytes and the line end. Memory grows with what arrives: a
// header that promises a gigabyte costs nothing by itself.
func (rr *replyReader) payload(n int) ([]byte, error) {
	buf := make([]byte, 0, min(n, readStep))
	for len(buf) < n {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		end := min(n, cap(buf))
		m, err := io.ReadFull(rr.br, buf[len(buf):end])
		buf = buf[:len(buf)+m]
		if err != nil {
			return nil, err
		}
	}
	var crlf [2]byte
	if _, err := io.ReadFull(rr.br, crlf[:]); err != nil {
		return nil, err
	}
	if crlf != [2]byte{'\r', '\n'} {
		return nil, fmt.Errorf("%w: string not followed by a line end", errProtocol)
	}
	return buf, nil
}

func (rr *replyReader) aggregate(k kind, header []byte, depth int) (reply, error) {
	n, err := parseInt(header)
	switch {
	case err != nil:
		return reply{}, err
	case n == -1 && k == kindArray:
		return reply{kind: kindNil}, nil
	case n < 0:
		return reply{}, fmt.Errorf("%w: %d elements", errProtocol, n)
	case n > maxReplyBytes/elemBytes:
		return reply{}, fmt.Errorf("%w: %d elements", errTooBig, n)
	}
	if k == kindMap || k == kindAttr {
		n *= 2
	}
	r := reply{kind: k, elems: make([]reply, 0, min(n, 1024))}
	for range n {
		if err := rr.charge(elemBytes); err != nil {
			return reply{}, err
		}
		e, err := rr.value(depth + 1)
		if err != nil {
			return reply{}, err
		}
		r.elems = append(r.elems, e)
	}
	return r, nil
}

func (rr *replyReader) charge(n int64) error {
	if rr.left -= n; rr.left < 0 {
		return fmt.Errorf("%w: more than %d bytes", errTooBig, int64(maxReplyBytes))
	}
	return nil
}

// line returns the next line without its end; valid until the next read.
func (rr *replyReader) line() ([]byte, error) {
	line, err := rr.br.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line, err = rr.longLine(bytes.Clone(line))
	}
	if err != nil {
		return nil, err
	}
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return nil, fmt.Errorf("%w: line does not end in CR LF", errProtocol)
	}
	return line[:len(line)-2], rr.charge(int64(len(line)))
}

// longLine goes on with a line that does not fit the reader's buffer.
func (rr *replyReader) longLine(line []byte) ([]byte, error) {
	for {
		part, err := rr.br.ReadSlice('\n')
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
		if len(line) > maxLineBytes {
			return nil, fmt.Errorf("%w: a line of more than %d bytes", errTooBig, maxLineBytes)
		}
	}
}

func parseInt(b []byte) (int64, error) {
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %q is not a number", errProtocol, clip(b))
	}
	return n, nil
}

// clip shortens foreign text for an error message.
func clip(b []byte) []byte { return b[:min(len(b), 64)] }
