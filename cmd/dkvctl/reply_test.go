package main

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadReply(t *testing.T) {
	tests := []struct{ in, tty string }{
		{"+OK\r\n", "OK\n"},
		{"-ERR no\r\n", "(error) ERR no\n"},
		{"!6\r\nERR no\r\n", "(error) ERR no\n"},
		{":-7\r\n", "(integer) -7\n"},
		{"$0\r\n\r\n", "\"\"\n"},
		{"$4\r\na\r\nb\r\n", "\"a\\r\\nb\"\n"},
		{"$-1\r\n", "(nil)\n"},
		{"*-1\r\n", "(nil)\n"},
		{"_\r\n", "(nil)\n"},
		{"#t\r\n", "(true)\n"},
		{"#f\r\n", "(false)\n"},
		{",1.5\r\n", "(double) 1.5\n"},
		{"(123456789012345678901\r\n", "(big number) 123456789012345678901\n"},
		{"=7\r\ntxt:a\nb\r\n", "a\nb\n"},
		{"=6\r\ntxt:a\n\r\n", "a\n"},
		{"*0\r\n", "(empty array)\n"},
		{"%0\r\n", "(empty hash)\n"},
		{"~0\r\n", "(empty set)\n"},
		{"~1\r\n:1\r\n", "1~ (integer) 1\n"},
		{"*2\r\n:1\r\n*2\r\n$1\r\na\r\n_\r\n", "1) (integer) 1\n2) 1) \"a\"\n   2) (nil)\n"},
		{"%1\r\n$1\r\na\r\n*2\r\n:1\r\n:2\r\n", "1# \"a\" => \n   1) (integer) 1\n   2) (integer) 2\n"},
		{"|1\r\n+ttl\r\n:3\r\n$1\r\nv\r\n", "\"v\"\n"}, // attributes are dropped
	}
	for _, tt := range tests {
		for name, in := range map[string]io.Reader{
			"whole":   strings.NewReader(tt.in),
			"trickle": iotest.OneByteReader(strings.NewReader(tt.in)),
		} {
			rr := newReplyReader(in)
			r, err := rr.read()
			if err != nil {
				t.Errorf("%s %q: %v", name, tt.in, err)
				continue
			}
			if got := string(appendTTY(nil, &r, "")); got != tt.tty {
				t.Errorf("%s %q: got %q, want %q", name, tt.in, got, tt.tty)
			}
			if _, err := rr.read(); err != io.EOF {
				t.Errorf("%s %q: then %v, want EOF", name, tt.in, err)
			}
		}
	}
}

func TestReadReplyRefuses(t *testing.T) {
	tests := []struct {
		in   string
		want error
	}{
		{"+OK\n", errProtocol},
		{"\r\n", errProtocol},
		{"?\r\n", errProtocol},
		{":x\r\n", errProtocol},
		{"$-2\r\n", errProtocol},
		{"$1\r\nab\r\n", errProtocol},
		{"*-2\r\n", errProtocol},
		{"#x\r\n", errProtocol},
		{"=2\r\nab\r\n", errProtocol},
		{"$5\r\nab", io.ErrUnexpectedEOF},
		{"*2\r\n:1\r\n", io.ErrUnexpectedEOF},
		{"$99999999999\r\n", errTooBig},
		{"*99999999999\r\n", errTooBig},
		{"%9223372036854775807\r\n", errTooBig},
		{strings.Repeat("*1\r\n", maxDepth+2), errTooBig},
		{"+" + strings.Repeat("x", maxLineBytes+128<<10), errTooBig},
	}
	for _, tt := range tests {
		_, err := newReplyReader(strings.NewReader(tt.in)).read()
		if !errors.Is(err, tt.want) {
			t.Errorf("%.40q: got %v, want %v", tt.in, err, tt.want)
		}
	}
}

// A header alone must not make the client take the memory that it announces.
func TestReadReplyMemory(t *testing.T) {
	for _, in := range []string{"$1000000000\r\nabc", "*30000000\r\n:1\r\n"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		newReplyReader(strings.NewReader(in)).read()
		runtime.ReadMemStats(&after)
		bytesPerRead := after.TotalAlloc - before.TotalAlloc
		if bytesPerRead > 4*readStep {
			t.Errorf("%q: %d bytes allocated", in, bytesPerRead)
		}
	}
}

// Whatever a server sends, the parser returns a reply or an error, and every
// format prints what it returned.
func FuzzReadReply(f *testing.F) {
	for _, s := range []string{"+OK\r\n", "*2\r\n$1\r\na\r\n:1\r\n", "%1\r\n+a\r\n_\r\n", "|1\r\n+a\r\n+b\r\n,nan\r\n", "=5\r\ntxt:a\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		rr := newReplyReader(bytes.NewReader(in))
		for {
			r, err := rr.read()
			if err != nil {
				return
			}
			if tty := appendTTY(nil, &r, ""); len(tty) == 0 || tty[len(tty)-1] != '\n' {
				t.Errorf("%q: terminal format %q", in, tty)
			}
			appendRaw(nil, &r)
			checkJSON(t, &r)
		}
	})
}
