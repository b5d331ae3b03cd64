package resp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"strconv"
	"strings"
	"testing"
)

// request returns words in multibulk form.
func request(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

// feed gives input to r in pieces of the given size and returns what it made
// of it: one line per command, and the error's text last.
func feed(r *Reader, input string, piece int) string {
	var out strings.Builder
	src := strings.NewReader(input)
	for {
		err := r.Fill(io.LimitReader(src, int64(piece)))
		if errors.Is(err, io.EOF) {
			return out.String()
		}
		if err == nil {
			err = drain(r, &out)
		}
		if err != nil {
			out.WriteString("error: " + err.Error())
			return out.String()
		}
		r.Release()
	}
}

func drain(r *Reader, out *strings.Builder) error {
	for {
		cmd, ok, err := r.Next()
		if err != nil || !ok {
			return err
		}
		fmt.Fprintf(out, "%d:%q\n", cmd.Size, cmd.Args)
	}
}

func TestReader(t *testing.T) {
	long := strings.Repeat("x", maxLine+1)
	tests := []struct {
		name, input, want string
	}{
		{"one command", request("GET", "k"), `20:["GET" "k"]` + "\n"},
		{"a pipeline", request("A") + request("B", "") + "C\r\n", `11:["A"]` + "\n" + `17:["B" ""]` + "\n" + `3:["C"]` + "\n"},
		{"empty requests", "*0\r\n*-1\r\n\r\n   \r\n\n" + request("A"), `11:["A"]` + "\n"},
		{"unfinished", "*2\r\n$1\r\nA\r\n$3\r\nab", ""},
		{"binary", request("A", "\r\n\x00\xff"), `21:["A" "\r\n\x00\xff"]` + "\n"},
		{"line ends are not looked at", "*1\r\n$1\r\nAxy*1\rx$1\rxBzz", `11:["A"]` + "\n" + `11:["B"]` + "\n"},
		{"inline", "set k  v\r\n", `10:["set" "k" "v"]` + "\n"},
		{"inline without CR", "PING\n", `5:["PING"]` + "\n"},
		{"inline quotes", `a "b c" 'd "e' "\x41\n\"\q" '\'\n'` + "\n", `35:["a" "b c" "d \"e" "A\n\"q" "'\\n"]` + "\n"},
		{"inline quote within a word", `a"b c" x` + "\n", `9:["ab c" "x"]` + "\n"},
		{"inline empty word", `"" ''` + "\n", `6:["" ""]` + "\n"},
		{"inline bad escape", `"\xzz\x4"` + "\n", `10:["xzzx4"]` + "\n"},
		{"inline unclosed", `a "b` + "\n", "error: ERR Protocol error: unbalanced quotes in request"},
		{"inline unclosed single", `a 'b\` + "\n", "error: ERR Protocol error: unbalanced quotes in request"},
		{"inline text after quote", `"a"b` + "\n", "error: ERR Protocol error: unbalanced quotes in request"},
		{"inline longest", long[:maxLine] + "\n", fmt.Sprintf("%d:[%q]\n", maxLine+1, long[:maxLine])},
		{"inline too long", long + "\n", "error: ERR Protocol error: too big inline request"},
		{"inline too long unfinished", long, "error: ERR Protocol error: too big inline request"},
		{"count not a number", "*x\r\n", "error: ERR Protocol error: invalid multibulk length"},
		{"count empty", "*\r\n", "error: ERR Protocol error: invalid multibulk length"},
		{"count with plus", "*+1\r\n", "error: ERR Protocol error: invalid multibulk length"},
		{"count with zero", "*01\r\n", "error: ERR Protocol error: invalid multibulk length"},
		{"count negative zero", "*-0\r\n", "error: ERR Protocol error: invalid multibulk length"},
		{"count too large", "*2147483648\r\n", "error: ERR Protocol error: invalid multibulk length"},
		{"count beyond 64 bits", "*99999999999999999999\r\n", "error: ERR Protocol error: invalid multibulk length"},
		{"count largest", "*2147483647\r\n$1\r\n", ""},
		{"count line too long", "*" + long, "error: ERR Protocol error: too big mbulk count string"},
		{"count line too long but ended", "*" + long + "\r\n", "error: ERR Protocol error: too big mbulk count string"},
		{"not a bulk", "*1\r\nfoo\r\n", "error: ERR Protocol error: expected '$', got 'f'"},
		{"not a bulk with digits", "*1\r\n:12\r\n", "error: ERR Protocol error: expected '$', got ':'"},
		{"not a bulk but a line end", "*1\r\n\r\n", "error: ERR Protocol error: expected '$', got '\r'"},
		{"bulk not a number", "*1\r\n$x\r\n", "error: ERR Protocol error: invalid bulk length"},
		{"bulk negative", "*1\r\n$-1\r\n", "error: ERR Protocol error: invalid bulk length"},
		{"bulk too long", "*1\r\n$536870913\r\n", "error: ERR Protocol error: invalid bulk length"},
		{"bulk longest", "*1\r\n$536870912\r\n", ""},
		{"bulk line too long", "*1\r\n$" + long, "error: ERR Protocol error: too big bulk count string"},
		{"commands before an error", request("A") + "*x\r\n" + request("B"), `11:["A"]` + "\n" + "error: ERR Protocol error: invalid multibulk length"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, piece := range []int{1 << 20, 1, 2, 3, 7, 1000} {
				if piece < 1000 && len(tt.input) > maxLine {
					continue // takes long, and shows nothing that the others do not
				}
				if got := feed(new(Reader), tt.input, piece); got != tt.want {
					t.Fatalf("in pieces of %d:\ngot  %.300q\nwant %.300q", piece, got, tt.want)
				}
			}
		})
	}
}

func TestReaderUnauthenticated(t *testing.T) {
	arg := strings.Repeat("x", maxBulkUnauth)
	tests := []struct{ name, input, want string }{
		{"ten arguments", request(strings.Split("a b c d e f g h i j", " ")...), ""},
		{"eleven", request(strings.Split("a b c d e f g h i j k", " ")...), "error: ERR Protocol error: unauthenticated multibulk length"},
		{"longest argument", request(arg), ""},
		{"too long argument", request(arg + "x"), "error: ERR Protocol error: unauthenticated bulk length"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Reader{Limits: Limits{Unauthenticated: true}}
			got := feed(&r, tt.input, 1<<20)
			if tt.want == "" && strings.HasPrefix(got, "error") || tt.want != "" && got != tt.want {
				t.Errorf("got %.100q, want %q", got, tt.want)
			}
		})
	}
}

func TestReaderErrorStays(t *testing.T) {
	r := new(Reader)
	if err := r.Fill(strings.NewReader("*x\r\nPING\r\n")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, ok, err := r.Next(); ok || err != ErrInvalidMultibulkLength {
			t.Fatalf("ok=%v err=%v", ok, err)
		}
	}
}

func TestReaderQueryLimit(t *testing.T) {
	r := Reader{Limits: Limits{MaxQuery: 1 << 20}}
	got := feed(&r, "*2\r\n$1\r\nA\r\n$5000000\r\n"+strings.Repeat("x", 5000000), 1<<20)
	if got != "error: "+ErrQueryTooLong.Error() {
		t.Errorf("got %.100q", got)
	}
}

// TestReaderMemory checks that memory follows what was received, not what was
// announced, and that it is given back.
func TestReaderMemory(t *testing.T) {
	const size = 20 << 20
	r := new(Reader)
	src := strings.NewReader("*2\r\n$3\r\nSET\r\n$" + strconv.Itoa(size) + "\r\n" + strings.Repeat("v", size) + "\r\n" + request("PING"))
	received, seen := 0, 0
	for src.Len() > 0 {
		before := src.Len()
		if err := r.Fill(io.LimitReader(src, 10000)); err != nil {
			t.Fatal(err)
		}
		received += before - src.Len()
		if got := cap(r.b.data); got > 2*received+largeBuffer {
			t.Fatalf("%d bytes for %d received", got, received)
		}
		for {
			cmd, ok, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if seen++; seen == 1 && len(cmd.Args[1]) != size {
				t.Fatalf("argument has %d bytes", len(cmd.Args[1]))
			}
		}
	}
	if seen != 2 {
		t.Fatalf("%d commands", seen)
	}
	r.Release()
	if r.b != nil {
		t.Error("an idle reader holds a buffer")
	}
	if err := r.Fill(strings.NewReader("PING\r\n")); err != nil {
		t.Fatal(err)
	}
	if got := cap(r.b.data); got > largeBuffer {
		t.Errorf("%d bytes held after a big request", got)
	}
}

// TestReaderCopies checks that commands that arrive slowly are not copied over
// and over: one of many middle-sized arguments, and one of a big one.
func TestReaderCopies(t *testing.T) {
	words := make([]string, 400)
	for i := range words {
		words[i] = strings.Repeat("x", 50000)
	}
	for name, input := range map[string]string{
		"many arguments": request(words...),
		"big argument":   request("SET", "k", strings.Repeat("x", 20000000)),
	} {
		t.Run(name, func(t *testing.T) {
			r := new(Reader)
			src := strings.NewReader(input)
			moved := 0
			for src.Len() > 0 {
				old, have := r.b, r.Buffered()
				if err := r.Fill(io.LimitReader(src, 16000)); err != nil {
					t.Fatal(err)
				}
				if old != nil && old != r.b {
					moved += have
				}
				if _, ok, err := r.Next(); err != nil || ok != (src.Len() == 0) {
					t.Fatal(ok, err)
				}
			}
			if moved > 2*len(input) {
				t.Errorf("%d bytes moved for %d received", moved, len(input))
			}
		})
	}
}

func TestReaderRandomSplits(t *testing.T) {
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewSource(seed))
	rounds := 15
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		var input strings.Builder
		for range 1 + rng.Intn(200) {
			words := make([]string, 1+rng.Intn(6))
			for i := range words {
				n := rng.Intn(20)
				if rng.Intn(30) == 0 {
					n = rng.Intn(100000)
				}
				words[i] = strings.Repeat(string(rune('a'+i)), n)
			}
			input.WriteString(request(words...))
			if rng.Intn(4) == 0 {
				input.WriteString("inline 'a b'\r\n")
			}
		}
		want := feed(new(Reader), input.String(), 1<<30)
		for range 5 {
			if got := feed(new(Reader), input.String(), 1+rng.Intn(40000)); got != want {
				t.Fatal("commands depend on how the input was cut")
			}
		}
	}
}

type cycle struct{ data []byte }

func (c *cycle) Read(p []byte) (int, error) { return copy(p, c.data), nil }

func BenchmarkReaderPipeline(b *testing.B) {
	one := request("SET", "key:000000012345", strings.Repeat("x", 100))
	for _, depth := range []int{1, 32} {
		b.Run("P"+strconv.Itoa(depth), func(b *testing.B) {
			src := &cycle{bytes.Repeat([]byte(one), depth)}
			r := new(Reader)
			b.ReportAllocs()
			b.SetBytes(int64(len(one)))
			for done := 0; done < b.N; {
				if err := r.Fill(src); err != nil {
					b.Fatal(err)
				}
				for {
					_, ok, err := r.Next()
					if err != nil {
						b.Fatal(err)
					}
					if !ok {
						break
					}
					done++
				}
				r.Release()
			}
		})
	}
}
