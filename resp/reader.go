package resp

import (
	"bytes"
	"errors"
	"io"
	"math"
	"sync"
)

// Limits bound what a Reader accepts. The zero value means Redis's defaults.
type Limits struct {
	// MaxBulk is the longest argument in bytes (proto-max-bulk-len).
	MaxBulk int64
	// MaxQuery is how many bytes of one unfinished command are kept
	// (client-query-buffer-limit).
	MaxQuery int64
	// Unauthenticated makes the limits strict: a client that has not given
	// its password yet can hardly take any memory.
	Unauthenticated bool
}

// The limits that are no parameters in Redis either.
const (
	DefaultMaxBulk  = 512 << 20
	DefaultMaxQuery = 1 << 30

	maxLine         = 64 << 10 // an inline request, or the line of a length
	maxArgs         = math.MaxInt32
	maxArgsUnauth   = 10
	maxBulkUnauth   = 16384
	smallBuffer     = 16 << 10  // what a read starts with
	largeBuffer     = 128 << 10 // while a client's pipeline fills the small one
	minRead         = 4 << 10   // a buffer with less free space is full
	smallReadsInRow = 8         // after so many small reads the small buffer does again
	maxKeptArgs     = 16 << 10  // arguments whose slices a pooled buffer keeps room for
)

// ErrQueryTooLong says that an unfinished command passed Limits.MaxQuery. Redis
// closes such a connection without a reply.
var ErrQueryTooLong = errors.New("resp: query buffer limit exceeded")

// Command is one request: its name and its arguments, never empty.
type Command struct {
	// Args point into the reader's buffer. They, and what they hold, are valid
	// until the next Fill, Space or Release; whoever keeps an argument longer
	// copies it.
	Args [][]byte
	// Size is the number of bytes of the request on the wire.
	Size int
}

// Reader parses requests incrementally: bytes go in through Fill (or Space and
// Advance), commands come out of Next. It remembers how far it has come in an
// unfinished command, so no byte is parsed twice however slowly it arrives.
// Not safe for concurrent use.
type Reader struct {
	// Limits may be changed between calls.
	Limits Limits

	b   *buffer // nil while nothing is buffered
	err error   // what Next found wrong; parsing stops there

	// Invariant: cmd <= pos <= end <= len(b.data). The bytes [cmd,pos) are the
	// parsed part of the unfinished command, [pos,end) is not parsed yet.
	cmd, pos, end int

	scanned int // bytes from pos that hold no line end
	left    int // arguments of the unfinished command that have not come yet
	bulk    int // length of the argument at pos; -1: its length line comes first

	large      bool // use the large buffer
	smallReads int  // reads in a row that the small one would have held
}

// buffer is memory that readers share through a pool, so that a connection
// that waits for its client holds none.
type buffer struct {
	data  []byte
	args  [][]byte // arguments of all commands since the last fill
	spans []span   // arguments of the unfinished command
}

// span is an argument, as offsets from the start of its command: the bytes
// move when the buffer is compacted or grows.
type span struct{ from, to int }

var smallBuffers = sync.Pool{New: func() any { return &buffer{data: make([]byte, smallBuffer)} }}
var largeBuffers = sync.Pool{New: func() any { return &buffer{data: make([]byte, largeBuffer)} }}

// Fill reads once from src. It invalidates the commands handed out before. The
// error is that of src, or ErrQueryTooLong.
func (r *Reader) Fill(src io.Reader) error {
	space, err := r.Space()
	if err != nil {
		return err
	}
	n, err := src.Read(space)
	if n > 0 {
		r.Advance(n)
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// Space returns free memory, never empty, for the caller to read into. It
// invalidates the commands handed out before. The error is ErrQueryTooLong.
func (r *Reader) Space() ([]byte, error) {
	have := r.end - r.cmd
	if have == 0 {
		r.restart()
	} else if int64(have) >= orDefault(r.Limits.MaxQuery, DefaultMaxQuery) {
		return nil, ErrQueryTooLong
	} else {
		r.makeRoom(have)
	}
	r.b.args = r.b.args[:0]
	return r.b.data[r.end:], nil
}

// Advance says that n bytes were read into what Space returned.
func (r *Reader) Advance(n int) {
	r.end += n
	switch {
	case r.end == len(r.b.data) && r.end <= largeBuffer:
		r.large, r.smallReads = true, 0
	case r.large && r.end <= smallBuffer:
		if r.smallReads++; r.smallReads >= smallReadsInRow {
			r.large, r.smallReads = false, 0
		}
	default:
		r.smallReads = 0
	}
}

// Release gives the buffer back when no unfinished command is in it. It
// invalidates the commands handed out before. For a caller about to wait.
func (r *Reader) Release() {
	if r.b != nil && r.cmd == r.end {
		r.cmd, r.pos, r.end = 0, 0, 0
		freeBuffer(r.b)
		r.b = nil
	}
}

// Buffered returns how many received bytes no command has been made of yet.
func (r *Reader) Buffered() int { return r.end - r.cmd }

// Free returns how many bytes fit in the buffer without growing it.
func (r *Reader) Free() int {
	if r.b == nil {
		return 0
	}
	return len(r.b.data) - r.end
}

// restart prepares an empty buffer of the size that the client's habits call for.
func (r *Reader) restart() {
	r.cmd, r.pos, r.end = 0, 0, 0
	pool, size := &smallBuffers, smallBuffer
	if r.large {
		pool, size = &largeBuffers, largeBuffer
	}
	if r.b != nil && len(r.b.data) != size {
		freeBuffer(r.b)
		r.b = nil
	}
	if r.b == nil {
		r.b = pool.Get().(*buffer)
	}
	r.b.spans = r.b.spans[:0]
}

// freeBuffer drops buffers that grew beyond the two sizes: they are the
// garbage collector's, so one big request does not keep its memory.
func freeBuffer(b *buffer) {
	if cap(b.args) > maxKeptArgs || cap(b.spans) > maxKeptArgs {
		return
	}
	switch len(b.data) {
	case smallBuffer:
		smallBuffers.Put(b)
	case largeBuffer:
		largeBuffers.Put(b)
	}
}

// makeRoom moves the unfinished command, have bytes of it, to where more can
// be read behind it.
//
// Invariant: memory stays below twice the bytes received plus largeBuffer, and
// the bytes copied stay linear in the bytes received. Therefore the buffer is
// cut to size only for the last argument of a command; for every argument, a
// command of many middle-sized ones would be copied once for each.
func (r *Reader) makeRoom(have int) {
	need := have + 1
	inBulk := r.left > 0 && r.bulk >= 0
	if inBulk {
		need = r.pos - r.cmd + r.bulk + len("\r\n")
	}
	size := len(r.b.data)
	oversized := size > largeBuffer && need <= largeBuffer/2
	switch {
	case (r.cmd+need <= size || size-r.end >= minRead) && !oversized:
		return
	case need <= size && have <= size/2 && !oversized:
		copy(r.b.data, r.b.data[r.cmd:r.end])
	default:
		grown := max(2*have, largeBuffer)
		if inBulk && r.left == 1 && need >= largeBuffer {
			grown = min(grown, need)
		}
		old := r.b
		if grown == largeBuffer {
			r.b = largeBuffers.Get().(*buffer)
		} else {
			r.b = &buffer{data: make([]byte, grown)}
		}
		copy(r.b.data, old.data[r.cmd:r.end])
		r.b.spans, old.spans = old.spans, r.b.spans
		freeBuffer(old)
	}
	r.pos -= r.cmd
	r.end = have
	r.cmd = 0
}

// Next returns the next command that has arrived whole; ok is false when there
// is none. It does no I/O and allocates nothing once the buffers have grown to
// the client's habits. The error is an Error that the client is to be sent
// before its connection is closed, and every later call returns it again.
func (r *Reader) Next() (cmd Command, ok bool, err error) {
	if r.err != nil {
		return Command{}, false, r.err
	}
	for r.pos < r.end {
		if r.left == 0 && r.b.data[r.pos] != '*' {
			ok, err = r.inline()
		} else {
			ok, err = r.multibulk()
		}
		if err != nil {
			r.err = err
			return Command{}, false, err
		}
		if !ok {
			return Command{}, false, nil
		}
		if len(r.b.spans) > 0 {
			return r.take(), true, nil
		}
		r.cmd = r.pos // an empty request: Redis passes over it
	}
	return Command{}, false, nil
}

// take makes a command of the spans and starts the next one.
func (r *Reader) take() Command {
	b := r.b
	first := len(b.args)
	data := b.data[r.cmd:r.end]
	for _, s := range b.spans {
		b.args = append(b.args, data[s.from:s.to:s.to])
	}
	cmd := Command{Args: b.args[first:len(b.args):len(b.args)], Size: r.pos - r.cmd}
	b.spans = b.spans[:0]
	r.cmd = r.pos
	return cmd
}

// multibulk parses "*<n>\r\n" and n times "$<len>\r\n<bytes>\r\n". Like Redis
// it takes the two bytes behind an argument for a line end without looking.
func (r *Reader) multibulk() (done bool, err error) {
	if r.left == 0 {
		n, ok, err := r.length(ErrInvalidMultibulkLength, ErrTooBigMbulkCount)
		switch {
		case err != nil || !ok:
			return false, err
		case n > maxArgs:
			return false, ErrInvalidMultibulkLength
		case n > maxArgsUnauth && r.Limits.Unauthenticated:
			return false, ErrUnauthMultibulkLength
		case n <= 0:
			return true, nil
		}
		r.left, r.bulk = int(n), -1
	}
	for r.left > 0 {
		if r.bulk < 0 {
			if r.pos == r.end {
				return false, nil
			}
			n, ok, err := r.length(ErrInvalidBulkLength, ErrTooBigBulkCount)
			switch {
			case err != nil || !ok:
				return false, err
			case n < 0 || n > orDefault(r.Limits.MaxBulk, DefaultMaxBulk):
				return false, ErrInvalidBulkLength
			case n > maxBulkUnauth && r.Limits.Unauthenticated:
				return false, ErrUnauthBulkLength
			}
			r.bulk = int(n)
		}
		if r.end-r.pos < r.bulk+len("\r\n") {
			return false, nil
		}
		from := r.pos - r.cmd
		r.b.spans = append(r.b.spans, span{from, from + r.bulk})
		r.pos += r.bulk + len("\r\n")
		r.bulk = -1
		r.left--
	}
	return true, nil
}

// length parses one line "<kind><decimal>\r\n" at pos, kind being '*' at the
// start of a command and '$' in it. ok is false while the line is unfinished.
func (r *Reader) length(invalid, tooLong Error) (n int64, ok bool, err error) {
	line := r.b.data[r.pos:r.end]
	// Nearly every length has few digits and arrived whole.
	i := 1
	for i < len(line) && i < 10 && line[i]-'0' <= 9 {
		n = n*10 + int64(line[i]-'0')
		i++
	}
	plain := i > 1 && (line[1] != '0' || i == 2)
	if !plain || i+1 >= len(line) || line[i] != '\r' {
		i = bytes.IndexByte(line[r.scanned:], '\r') + r.scanned
		if i < r.scanned || i > maxLine {
			if len(line) > maxLine {
				return 0, false, tooLong
			}
			r.scanned = len(line)
			return 0, false, nil
		}
		r.scanned = i
		if i+1 >= len(line) {
			return 0, false, nil
		}
		n, plain = parseInt(line[min(1, i):i])
	}
	r.scanned = 0
	if r.left > 0 && line[0] != '$' {
		return 0, false, ErrExpectedBulk(line[0])
	}
	if !plain {
		return 0, false, invalid
	}
	r.pos += i + len("\r\n")
	return n, true, nil
}

// parseInt reads a decimal as Redis does: no plus sign, no leading zeros, no
// blanks, within 64 bits.
func parseInt(b []byte) (n int64, ok bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 19 || b[0] == '0' && (len(b) > 1 || negative) {
		return 0, false
	}
	var u uint64 // 19 digits fit
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		u = u*10 + uint64(c-'0')
	}
	switch {
	case negative && u <= 1<<63:
		return -int64(u), true
	case !negative && u <= math.MaxInt64:
		return int64(u), true
	}
	return 0, false
}

func orDefault(n, def int64) int64 {
	if n <= 0 {
		return def
	}
	return n
}
