package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// parsed is what the parser says of one reply.
type parsed struct {
	failed bool
	nulls  int64
	first  string
}

// parseAll feeds in, cut into pieces of n bytes, and returns all replies and
// whether the input ended between two of them.
func parseAll(in string, n, keep int) (replies []parsed, clean bool, err error) {
	p := replyParser{keep: keep}
	clean = true
	for len(in) > 0 {
		piece := in[:min(n, len(in))]
		in = in[len(piece):]
		b := []byte(piece)
		for len(b) > 0 {
			took, complete, err := p.feed(b)
			if err != nil {
				return replies, false, err
			}
			b = b[took:]
			if clean = complete; complete {
				replies = append(replies, parsed{p.failed, p.nulls, string(p.first)})
			} else if len(b) > 0 {
				return replies, false, errors.New("an incomplete reply, and bytes left over")
			}
		}
	}
	return replies, clean, nil
}

func TestParseReplies(t *testing.T) {
	tests := []struct {
		in   string
		want []parsed
	}{
		{"+OK\r\n:1\r\n", []parsed{{first: "OK"}, {first: "1"}}},
		{"-ERR no\r\n", []parsed{{failed: true, first: "ERR no"}}},
		{"$3\r\na\r\n\r\n$0\r\n\r\n", []parsed{{first: "a\r\n"}, {}}},
		{"$-1\r\n*-1\r\n*0\r\n", []parsed{{nulls: 1}, {nulls: 1}, {}}},
		{"*3\r\n$1\r\na\r\n$-1\r\n-ERR in\r\n", []parsed{{first: "a", nulls: 1}}},
		{"*2\r\n$2\r\n17\r\n*2\r\n$1\r\na\r\n*1\r\n:4\r\n+x\r\n", []parsed{{first: "17"}, {first: "x"}}},
		{"$20\r\n12345678901234567890\r\n", []parsed{{first: "12345678"}}},
		{"*2\r\n$0\r\n\r\n$1\r\na\r\n", []parsed{{}}}, // the first string is the empty one
	}
	for _, tt := range tests {
		for n := 1; n <= len(tt.in); n++ {
			got, clean, err := parseAll(tt.in, n, 8)
			if err != nil || !clean || fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("%q in pieces of %d: %v, %v, %v; want %v", tt.in, n, got, clean, err, tt.want)
			}
		}
	}
	if got, clean, err := parseAll("*2\r\n$5\r\nab", 3, 0); len(got) > 0 || clean || err != nil {
		t.Errorf("incomplete: %v, %v, %v", got, clean, err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, in := range []string{
		"+OK\n", "\r\n", "x\r\n", "_\r\n", "$x\r\n", "$\r\n", "$-2\r\n", "*-2\r\n", "$1\r\nab\r\n", "$1\r\na\rb",
		"$9999999999999999999\r\n", "*9999999999999999999\r\n", "*1099511627777\r\n",
		"*1099511627776\r\n*1099511627776\r\n", "+" + strings.Repeat("x", maxLine+9) + "\r\n",
	} {
		for _, n := range []int{1, 7, 1 << 20} {
			if got, _, err := parseAll(in, n, 8); !errors.Is(err, errProtocol) {
				t.Errorf("%.40q in pieces of %d: %v, %v", in, n, got, err)
			}
		}
	}
}

// How the stream is cut must not matter, memory must not grow with what a
// header promises, and nothing panics.
func FuzzParseReplies(f *testing.F) {
	for _, s := range []string{"+OK\r\n:1\r\n", "*2\r\n$1\r\na\r\n*1\r\n$-1\r\n", "-ERR x\r\n$3\r\nabc\r\n", "*1000000000000\r\n+x\r\n"} {
		f.Add(s, 3)
	}
	f.Fuzz(func(t *testing.T, in string, n int) {
		whole, clean, err := parseAll(in, len(in)+1, 8)
		cut, cutClean, cutErr := parseAll(in, 1+abs(n)%64, 8)
		if fmt.Sprint(whole) != fmt.Sprint(cut) || clean != cutClean || (err == nil) != (cutErr == nil) {
			t.Errorf("%q: whole %v %v %v, cut %v %v %v", in, whole, clean, err, cut, cutClean, cutErr)
		}
	})
}

func abs(n int) int {
	if n < 0 {
		return -(n + 1)
	}
	return n
}

func BenchmarkParse(b *testing.B) {
	in := []byte(strings.Repeat("$100\r\n"+strings.Repeat("v", 100)+"\r\n", 32))
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	var p replyParser
	for b.Loop() {
		for rest := in; len(rest) > 0; {
			n, _, err := p.feed(rest)
			if err != nil {
				b.Fatal(err)
			}
			rest = rest[n:]
		}
	}
}
