package harness

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
)

// Reply is one RESP2 or RESP3 reply.
//
//	Kind   the byte that starts it: + - : $ * _ , # ( = ! ~ % > |
//	Str    the text of a simple string, error, number or bulk
//	Null   $-1, *-1 or _
//	Elems  the elements of * ~ > and, key after value, of %
//	Raw    every byte as it came
type Reply struct {
	Kind  byte
	Str   []byte
	Null  bool
	Elems []Reply
	Raw   []byte
}

// IsError reports whether the reply is an error.
func (r Reply) IsError() bool { return r.Kind == '-' || r.Kind == '!' }

// Int returns the number of an integer reply, or of a bulk that holds one.
func (r Reply) Int() (int64, bool) {
	n, err := strconv.ParseInt(string(r.Str), 10, 64)
	return n, err == nil && (r.Kind == ':' || r.Kind == '$')
}

// String shows the reply as it came, quoted.
func (r Reply) String() string { return strconv.Quote(string(r.Raw)) }

const (
	maxReplyLine = 64 << 10
	maxReplyBulk = 1 << 30
	maxDepth     = 32
)

// ReadReply reads exactly one reply.
func ReadReply(r *bufio.Reader) (Reply, error) {
	var raw bytes.Buffer
	reply, err := readReply(r, &raw, 0)
	if err != nil {
		if raw.Len() > 0 && err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return Reply{Raw: raw.Bytes()}, err
	}
	return reply, nil
}

func readReply(r *bufio.Reader, raw *bytes.Buffer, depth int) (Reply, error) {
	if depth > maxDepth {
		return Reply{}, fmt.Errorf("reply nested deeper than %d", maxDepth)
	}
	start := raw.Len()
	line, err := readLine(r, raw)
	if err != nil {
		return Reply{}, err
	}
	out := Reply{Kind: line[0], Str: line[1:]}
	switch out.Kind {
	case '+', '-', ':', ',', '#', '(':
	case '_':
		out.Null = true
	case '$', '=', '!':
		err = readBulk(r, raw, &out)
	case '*', '~', '>', '%', '|':
		err = readElems(r, raw, &out, depth)
	default:
		err = fmt.Errorf("a reply cannot start with %q", line)
	}
	// Taken last: the buffer moves as it grows.
	out.Raw = raw.Bytes()[start:]
	return out, err
}

func readLine(r *bufio.Reader, raw *bytes.Buffer) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		raw.Write(part)
		if err == nil {
			break
		}
		if err != bufio.ErrBufferFull || len(line) > maxReplyLine {
			return nil, err
		}
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return nil, fmt.Errorf("bad reply line %q", line)
	}
	return line[:len(line)-2], nil
}

func readBulk(r *bufio.Reader, raw *bytes.Buffer, out *Reply) error {
	n, err := length(out, maxReplyBulk)
	if err != nil || out.Null {
		return err
	}
	body := make([]byte, n+2)
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	raw.Write(body)
	if body[n] != '\r' || body[n+1] != '\n' {
		return fmt.Errorf("a bulk of %d bytes does not end in CRLF", n)
	}
	out.Str = body[:n]
	return nil
}

func readElems(r *bufio.Reader, raw *bytes.Buffer, out *Reply, depth int) error {
	n, err := length(out, maxReplyBulk)
	if err != nil || out.Null {
		return err
	}
	if out.Kind == '%' || out.Kind == '|' {
		n *= 2
	}
	for range n {
		e, err := readReply(r, raw, depth+1)
		if err != nil {
			return err
		}
		out.Elems = append(out.Elems, e)
	}
	return nil
}

// length parses the number after the type byte; -1 makes the reply a null.
func length(out *Reply, limit int) (int, error) {
	n, err := strconv.Atoi(string(out.Str))
	if err != nil || n < -1 || n > limit {
		return 0, fmt.Errorf("bad length %q in a reply", out.Str)
	}
	out.Str = nil
	out.Null = n == -1
	return n, nil
}
