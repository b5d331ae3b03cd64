package resp

import (
	"bytes"
	"testing"

	"github.com/tidwall/redcon"
)

// FuzzReader checks for any input that the reader does not panic, that its
// memory is bounded by what it received, that the commands are the same
// however the input is cut, and that redcon's parser reads the same commands
// in what is well-formed to both.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		request("SET", "k", "v"), request("A") + request("B", ""), "PING\r\n", "set 'a b' \"\\x41\"\r\n",
		"*0\r\n", "*-1\r\n", "*1\r\n$536870912\r\nabc", "*2147483647\r\n$0\r\n\r\n", "*1\r\n:1\r\n", "\"",
	} {
		f.Add([]byte(seed), uint16(3))
	}
	f.Fuzz(func(t *testing.T, input []byte, cut uint16) {
		whole := feed(new(Reader), string(input), len(input)+1)
		r := new(Reader)
		if got := feed(r, string(input), int(cut%512)+1); got != whole {
			t.Fatalf("in one piece: %q\nin pieces of %d: %q", whole, cut%512+1, got)
		}
		if r.b != nil && cap(r.b.data) > 2*len(input)+largeBuffer {
			t.Fatalf("%d bytes held for %d received", cap(r.b.data), len(input))
		}
		compareWithRedcon(t, input)
	})
}

// compareWithRedcon reads commands with both parsers as long as both take
// them for whole multibulk requests with proper line ends.
func compareWithRedcon(t *testing.T, input []byte) {
	r := new(Reader)
	if r.Fill(bytes.NewReader(input)) != nil || r.end < len(input) {
		return
	}
	for rest := input; len(rest) > 0 && rest[0] == '*'; {
		complete, args, _, leftover, err := redcon.ReadNextCommand(rest, nil)
		if !complete || err != nil {
			return
		}
		if size := len(rest) - len(leftover); !wellFormed(rest[:size], args) {
			return
		}
		rest = leftover
		if len(args) == 0 {
			continue
		}
		cmd, ok, err := r.Next()
		if !ok || err != nil {
			t.Fatalf("redcon reads %q, this parser none (%v)", args, err)
		}
		if len(cmd.Args) != len(args) {
			t.Fatalf("redcon reads %q, this parser %q", args, cmd.Args)
		}
		for i := range args {
			if !bytes.Equal(args[i], cmd.Args[i]) {
				t.Fatalf("redcon reads %q, this parser %q", args, cmd.Args)
			}
		}
	}
}

// wellFormed says whether raw is exactly how a client writes args: redcon also
// takes lengths like "+1" and "01", which Redis refuses.
func wellFormed(raw []byte, args [][]byte) bool {
	var w Writer
	w.Array(len(args))
	for _, a := range args {
		w.Bulk(a)
	}
	return bytes.Equal(raw, w.Buf)
}
