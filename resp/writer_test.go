package resp

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
)

func TestWriterForms(t *testing.T) {
	tests := []struct {
		name         string
		write        func(w *Writer)
		resp2, resp3 string
	}{
		{"simple", func(w *Writer) { w.Simple("PONG") }, "+PONG\r\n", "+PONG\r\n"},
		{"simple with a line break", func(w *Writer) { w.Simple("a\r\nb") }, "+a  b\r\n", "+a  b\r\n"},
		{"ok", func(w *Writer) { w.OK() }, "+OK\r\n", "+OK\r\n"},
		{"error", func(w *Writer) { w.Error("ERR no") }, "-ERR no\r\n", "-ERR no\r\n"},
		{"error with a line break", func(w *Writer) { w.Error("ERR n\no") }, "-ERR n o\r\n", "-ERR n o\r\n"},
		{"int", func(w *Writer) { w.Int(-12) }, ":-12\r\n", ":-12\r\n"},
		{"smallest int", func(w *Writer) { w.Int(math.MinInt64) }, ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"},
		{"uint", func(w *Writer) { w.Uint(math.MaxUint64) }, ":18446744073709551615\r\n", ":18446744073709551615\r\n"},
		{"bulk", func(w *Writer) { w.Bulk([]byte("a\r\nb")) }, "$4\r\na\r\nb\r\n", "$4\r\na\r\nb\r\n"},
		{"nil bulk", func(w *Writer) { w.Bulk(nil) }, "$0\r\n\r\n", "$0\r\n\r\n"},
		{"bulk string", func(w *Writer) { w.BulkString("abc") }, "$3\r\nabc\r\n", "$3\r\nabc\r\n"},
		{"bulk int", func(w *Writer) { w.BulkInt(-7) }, "$2\r\n-7\r\n", "$2\r\n-7\r\n"},
		{"null", func(w *Writer) { w.Null() }, "$-1\r\n", "_\r\n"},
		{"null array", func(w *Writer) { w.NullArray() }, "*-1\r\n", "_\r\n"},
		{"array", func(w *Writer) { w.Array(12) }, "*12\r\n", "*12\r\n"},
		{"map", func(w *Writer) { w.Map(2) }, "*4\r\n", "%2\r\n"},
		{"set", func(w *Writer) { w.Set(2) }, "*2\r\n", "~2\r\n"},
		{"push", func(w *Writer) { w.Push(2) }, "*2\r\n", ">2\r\n"},
		{"double", func(w *Writer) { w.Double(1.5) }, "$3\r\n1.5\r\n", ",1.5\r\n"},
		{"infinity", func(w *Writer) { w.Double(math.Inf(-1)) }, "$4\r\n-inf\r\n", ",-inf\r\n"},
		{"true", func(w *Writer) { w.Bool(true) }, ":1\r\n", "#t\r\n"},
		{"false", func(w *Writer) { w.Bool(false) }, ":0\r\n", "#f\r\n"},
		{"big number", func(w *Writer) { w.BigNumber("123") }, "$3\r\n123\r\n", "(123\r\n"},
		{"verbatim", func(w *Writer) { w.Verbatim("txt", "abc") }, "$3\r\nabc\r\n", "=7\r\ntxt:abc\r\n"},
		{"raw", func(w *Writer) { w.Raw([]byte(":1\r\n")) }, ":1\r\n", ":1\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for proto, want := range map[int]string{0: tt.resp2, 2: tt.resp2, 3: tt.resp3} {
				w := Writer{Proto: proto}
				tt.write(&w)
				if string(w.Buf) != want {
					t.Errorf("RESP%d: got %q, want %q", proto, w.Buf, want)
				}
			}
		})
	}
}

func TestAppendDouble(t *testing.T) {
	tests := map[float64]string{
		0: "0", 1: "1", -1: "-1", 3.14: "3.14", -0.5: "-0.5", 0.1: "0.1",
		100: "100", 1e15: "1000000000000000", 4503599627370495: "4503599627370495",
		1e20: "1e+20", 1e17: "1e+17", 1.5e300: "1.5e+300", 1e-5: "0.00001",
		1e-6: "0.000001", 1e-7: "1e-7", 1.25e-10: "1.25e-10", 5e-324: "5e-324",
		math.MaxFloat64: "1.7976931348623157e+308", 17179869184.5: "17179869184.5",
		0.30000000000000004: "0.30000000000000004",
		123456789012345680:  "123456789012345680",
	}
	for f, want := range tests {
		if got := string(AppendDouble(nil, f)); got != want {
			t.Errorf("AppendDouble(%g) = %s, want %s", f, got, want)
		}
	}
	if got := string(AppendDouble(nil, math.Copysign(0, -1))); got != "-0" {
		t.Errorf("negative zero is %s", got)
	}
	if got := string(AppendDouble(nil, math.NaN())); got != "nan" {
		t.Errorf("NaN is %s", got)
	}
}

func FuzzAppendDouble(f *testing.F) {
	f.Add(1.5)
	f.Add(-1e-7)
	f.Add(123456789e20)
	f.Fuzz(func(t *testing.T, d float64) {
		text := AppendDouble(nil, d)
		if len(text) > maxDoubleLen {
			t.Fatalf("%g takes %d bytes", d, len(text))
		}
		back, err := strconv.ParseFloat(string(text), 64)
		if err != nil || back != d && !math.IsNaN(d) {
			t.Fatalf("%g became %s, which reads as %g (%v)", d, text, back, err)
		}
	})
}

func TestErrors(t *testing.T) {
	var err error = ErrSyntax
	if !errors.Is(err, ErrSyntax) || errors.Is(err, ErrNotInt) {
		t.Error("errors.Is does not tell errors apart")
	}
	if code := ErrWrongType.Code(); code != "WRONGTYPE" {
		t.Errorf("code is %q", code)
	}
	if n := testing.AllocsPerRun(10, func() { err = ErrNotInt }); n != 0 {
		t.Errorf("returning a constant error allocates %v times", n)
	}
	args := func(words ...string) (a [][]byte) {
		for _, w := range words {
			a = append(a, []byte(w))
		}
		return a
	}
	long := string(make([]byte, 0, 300))
	for len(long) < 300 {
		long += "0123456789"
	}
	tests := map[Error]string{
		ErrUnknownCommand(args("foo")):              "ERR unknown command 'foo', with args beginning with: ",
		ErrUnknownCommand(args("foo", "a", "b")):    "ERR unknown command 'foo', with args beginning with: 'a' 'b' ",
		ErrUnknownCommand(args("foo", long, "b")):   "ERR unknown command 'foo', with args beginning with: '" + long[:128] + "' ",
		ErrUnknownCommand(args(long)):               "ERR unknown command '" + long[:128] + "', with args beginning with: ",
		ErrUnknownCommand(args("a\x00b", "c\x00d")): "ERR unknown command 'a', with args beginning with: 'c' ",
		ErrUnknownSubcommand([]byte("x"), "client"): "ERR unknown subcommand 'x'. Try CLIENT HELP.",
		ErrWrongArity("client|kill"):                "ERR wrong number of arguments for 'client|kill' command",
		ErrExpectedBulk('x'):                        "ERR Protocol error: expected '$', got 'x'",
	}
	for got, want := range tests {
		if string(got) != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

func TestBulkLengths(t *testing.T) {
	text := strings.Repeat("x", 10_001)
	for _, n := range []int{0, 1, 9, 10, 11, 99, 100, 101, 109, 110, 999, 1000, 9999, 10_000} {
		var bytes, str Writer
		bytes.Bulk([]byte(text[:n]))
		str.BulkString(text[:n])
		if want := "$" + strconv.Itoa(n) + "\r\n" + text[:n] + "\r\n"; string(bytes.Buf) != want || string(str.Buf) != want {
			t.Errorf("%d bytes: %.20q, %.20q", n, bytes.Buf, str.Buf)
		}
	}
}

func BenchmarkBulks(b *testing.B) {
	var w Writer
	value := make([]byte, 100)
	for b.Loop() {
		w.Reset()
		for range 100 {
			w.Bulk(value)
		}
	}
}

// A Writer with a limit asks for more, and drops what there is no room for.
func TestWriterLimit(t *testing.T) {
	asked := 0
	w := new(Writer)
	w.Limit(20, func(length int) int {
		asked++
		if length > 60 {
			return 10 // whatever is too little
		}
		return length + 10
	})
	w.Array(3)
	w.BulkString("0123456789")
	if asked != 0 || w.Full() {
		t.Errorf("asked %d times for %d bytes", asked, len(w.Buf))
	}
	w.Bulk([]byte("0123456789"))
	if asked != 1 || w.Full() || string(w.Buf) != "*3\r\n$10\r\n0123456789\r\n$10\r\n0123456789\r\n" {
		t.Errorf("asked %d times, %q", asked, w.Buf)
	}
	before := len(w.Buf)
	w.Raw(make([]byte, 100))
	if asked != 2 || !w.Full() || len(w.Buf) != before {
		t.Errorf("asked %d times for %d bytes", asked, len(w.Buf))
	}
	w.BulkString("x")
	w.Int(1)
	w.Raw([]byte("+x\r\n"))
	if asked != 2 || len(w.Buf) != before {
		t.Errorf("a full Writer has asked %d times, and has %d bytes", asked, len(w.Buf))
	}
	w.Error("ERR no")
	if !strings.HasSuffix(string(w.Buf), "-ERR no\r\n") {
		t.Errorf("no error at the end of %q", w.Buf)
	}
	w.Limit(0, nil)
	if w.Int(1); w.Full() || !strings.HasSuffix(string(w.Buf), ":1\r\n") {
		t.Errorf("%q after the limit was lifted", w.Buf)
	}
	w.Reset()
	w.Limit(5, nil)
	w.BulkString("0123456789")
	if !w.Full() || len(w.Buf) != 0 {
		t.Errorf("nobody to ask: %q", w.Buf)
	}
}
