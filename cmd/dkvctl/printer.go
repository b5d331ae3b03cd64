package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// printer writes replies in the chosen format.
type printer struct {
	out    *bufio.Writer
	err    io.Writer
	format format // never formatAuto
	buf    []byte
	// inline makes error replies part of the output even in the raw format.
	// It is set where commands come one a line, so that replies stay aligned
	// with them; a single command's error goes to stderr instead, where
	// value=$(dkvctl GET k) does not mistake it for the value.
	inline bool
}

func newPrinter(std stdio, f format) *printer {
	if f == formatAuto {
		f = formatRaw
		if std.outTTY {
			f = formatTTY
		}
	}
	return &printer{out: bufio.NewWriterSize(std.out, 64<<10), err: std.err, format: f}
}

// reply prints r and returns the exit code it stands for.
func (p *printer) reply(r *reply) int {
	p.buf = p.buf[:0]
	switch {
	case p.format == formatTTY:
		p.buf = appendTTY(p.buf, r, "")
	case p.format == formatJSON:
		p.buf = append(appendJSON(p.buf, r), '\n')
	case r.isError() && !p.inline:
		fmt.Fprintf(p.err, "(error) %s\n", r.str)
		return p.errorCode(string(r.str))
	case r.kind == kindVerbatim:
		p.buf = appendText(p.buf, r.str)
	default:
		p.buf = append(appendRaw(p.buf, r), '\n')
	}
	p.out.Write(p.buf)
	if cap(p.buf) > 1<<20 {
		p.buf = nil
	}
	if r.isError() {
		return p.errorCode(string(r.str))
	}
	return exitOK
}

// errorCode is the exit code of an error reply. What an UNCERTAIN one means is
// said in words: the obvious reaction, to repeat the command, may be wrong.
func (p *printer) errorCode(text string) int {
	if !strings.HasPrefix(text, "UNCERTAIN") {
		return exitError
	}
	p.flush()
	fmt.Fprintln(p.err, "dkvctl: the write may or may not have happened; look before repeating it")
	return exitUncertain
}

// failure prints an error of the client's and returns its exit code.
func (p *printer) failure(err error) int {
	p.flush()
	var se serverError
	if errors.As(err, &se) {
		fmt.Fprintf(p.err, "(error) %s\n", string(se))
		return p.errorCode(string(se))
	}
	fmt.Fprintf(p.err, "dkvctl: %v\n", err)
	if errors.Is(err, errQuotes) || errors.Is(err, errLongLine) {
		return exitUsage
	}
	return exitConn
}

// text prints a line that is no reply.
func (p *printer) text(s string) {
	p.out.WriteString(s)
	p.out.WriteByte('\n')
}

func (p *printer) flush() error { return p.out.Flush() }
