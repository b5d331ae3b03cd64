package rdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// describe reads a value and writes it down as text.
func describe(t Type, r *Reader) (string, error) {
	var out []string
	err := r.Value(t, func(el *Element) error {
		text := fmt.Sprintf("%s", el.Value)
		switch {
		case el.Stream != nil:
			text = fmt.Sprintf("%d %d-%d %s", el.Stream.Kind, el.Stream.ID.Millis, el.Stream.ID.Seq, el.Stream.Pairs)
		case t.Kind() == KindZSet:
			text += fmt.Sprintf("=%g", el.Score)
		case t.Kind() == KindHash:
			text += fmt.Sprintf("=%s", el.Second)
		}
		if el.ExpireAt != 0 {
			text += fmt.Sprintf("@%d", el.ExpireAt)
		}
		out = append(out, text)
		return nil
	})
	return strings.Join(out, " "), err
}

// ziplist makes a ziplist of entries in their wire form, without what precedes each.
func ziplist(entries ...string) []byte {
	body, prev := "", 0
	for _, e := range entries {
		head := string([]byte{byte(prev)})
		if prev >= 254 {
			head = "\xfe" + string(binary.LittleEndian.AppendUint32(nil, uint32(prev)))
		}
		prev = len(head + e)
		body += head + e
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(ziplistHead+len(body)+1))
	b = binary.LittleEndian.AppendUint32(b, uint32(ziplistHead+len(body)-prev))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(entries)))
	return append(append(b, body...), 0xff)
}

func listpack(entries ...string) []byte {
	body := ""
	for _, e := range entries {
		n := len(e)
		if body += e; n <= 127 {
			body += string([]byte{byte(n)})
		} else {
			body += string([]byte{byte(n >> 7), byte(n&127 | 128)})
		}
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(listpackHead+len(body)+1))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(entries)))
	return append(append(b, body...), 0xff)
}

func str(b []byte) string { return string(append(AppendLength(nil, uint64(len(b))), b...)) }

var long = strings.Repeat("x", 300)

// values are of every form, those included that no server of today writes.
var values = []struct {
	name  string
	t     Type
	bytes string
	want  string
}{
	{"string", TypeString, "\x05hello", "hello"},
	{"int8", TypeString, "\xc0\xff", "-1"},
	{"int16", TypeString, "\xc1\x00\x80", "-32768"},
	{"int32", TypeString, "\xc2\x15\xcd\x5b\x07", "123456789"},
	{"14 bits", TypeString, "\x41\x2c" + long, long},
	{"32 bits", TypeString, "\x80\x00\x00\x00\x02ab", "ab"},
	{"64 bits", TypeString, "\x81\x00\x00\x00\x00\x00\x00\x00\x02ab", "ab"},
	{"lzf", TypeString, "\xc3\x06\x0b\x01ab\xe0\x00\x01", "ababababab" + "a"},
	{"list", TypeList, "\x02\x01a\xc0\x07", "a 7"},
	{"set", TypeSet, "\x02\x01a\x01b", "a b"},
	{"zset", TypeZSet, "\x04\x01a\x031.5\x01b\xfe\x01c\xff\x01d\x02-2", "a=1.5 b=+Inf c=-Inf d=-2"},
	{"zset2", TypeZSet2, "\x01\x01a\x00\x00\x00\x00\x00\x00\xf8\x3f", "a=1.5"},
	{"hash", TypeHash, "\x01\x01a\x01b", "a=b"},
	{"zipmap", TypeHashZipmap, str([]byte("\x02\x01a\x01\x00b\x02cd\x03\x02efgxx\xff")), "a=b cd=efg"},
	{"zipmap, long", TypeHashZipmap, str([]byte("\x01\xfe\x2c\x01\x00\x00" + long + "\x01\x00v\xff")), long + "=v"},
	{"ziplist", TypeListZiplist, str(ziplist("\x01a", "\x41\x2c"+long, "\xf1", "\xfd", "\xfe\xff", "\xc0\x00\x80", "\xf0\xff\xff\xff",
		"\xd0\x00\x00\x00\x80", "\xe0\x00\x00\x00\x00\x00\x00\x00\x80", "\x80\x00\x00\x01\x2c"+long)),
		"a " + long + " 0 12 -1 -32768 -1 -2147483648 -9223372036854775808 " + long},
	{"hash ziplist", TypeHashZiplist, str(ziplist("\x01a", "\xf3", "\x01b", "\xf2")), "a=2 b=1"},
	{"zset ziplist", TypeZSetZiplist, str(ziplist("\x01a", "\xf3", "\x01b", "\x032.5")), "a=2 b=2.5"},
	{"quicklist", TypeListQuicklist, "\x02" + str(ziplist("\x01a")) + str(ziplist("\xf2")), "a 1"},
	{"quicklist2", TypeListQuicklist2, "\x02\x01\x05plain\x02" + str(listpack("\x81a", "\x07")), "plain a 7"},
	{"intset 2", TypeSetIntset, str([]byte("\x02\x00\x00\x00\x02\x00\x00\x00\xff\xff\x05\x00")), "-1 5"},
	{"intset 8", TypeSetIntset, str([]byte("\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80")), "-9223372036854775808"},
	{"set listpack", TypeSetListpack, str(listpack("\x81a", "\x7f", "\xdf\xff", "\xd0\x00", "\xe1\x2c"+long, "\xf0\x2c\x01\x00\x00"+long,
		"\xf1\x00\x80", "\xf2\xff\xff\xff", "\xf3\x00\x00\x00\x80", "\xf4\x01\x00\x00\x00\x00\x00\x00\x00")),
		"a 127 -1 -4096 " + long + " " + long + " -32768 -1 -2147483648 1"},
	{"hash listpack", TypeHashListpack, str(listpack("\x81a", "\x01")), "a=1"},
	{"zset listpack", TypeZSetListpack, str(listpack("\x81a", "\x01", "\x81b", "\x83inf")), "a=1 b=+Inf"},
	{"hash, expiring", TypeHashExpiry, "\xe8\x03\x00\x00\x00\x00\x00\x00\x02\x01\x01a\x01b\x00\x01c\x01d", "a=b@1000 c=d"},
	{"hash listpack, expiring", TypeHashExpiryListpack, "\xe8\x03\x00\x00\x00\x00\x00\x00" + str(listpack("\x81a", "\x81b", "\xc3\xe8", "\x81c", "\x81d", "\x00")),
		"a=b@1000 c=d"},
	{"hash, expiring, early", TypeHashExpiryPre, "\x01\x43\xe8\x01a\x01b", "a=b@1000"},
	{"hash listpack, expiring, early", TypeHashExpiryPackPre, str(listpack("\x81a", "\x81b", "\xc3\xe8")), "a=b@1000"},
	{"stream 1", TypeStream, "\x01\x10\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00" +
		str(listpack("\x02", "\x01", "\x01", "\x81f", "\x00", "\x02", "\x00", "\x01", "\x81v", "\x04", "\x03", "\x01", "\x00", "\x07", "\x04",
			"\x00", "\x02", "\x00", "\x01", "\x81g", "\x09", "\x06")) +
		"\x02\x07\x00\x01\x01g\x05\x01\x01" + "\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x01" + "\x01\x00\x00\x00\x00\x00\x00\x00\x03" +
		"\x01\x01c\x02\x00\x00\x00\x00\x00\x00\x00\x01" + "\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x01",
		"1 5-1 [f v] 1 7-0 [g 9] 2 7-0 [] 3 5-1 [] 4 5-1 [] 5 0-0 [] 6 5-1 []"},
}

func TestValues(t *testing.T) {
	for _, tc := range values {
		if got, err := describe(tc.t, NewBytes([]byte(tc.bytes))); err != nil || got != tc.want {
			t.Errorf("%s:\n got %q, %v\nwant %q", tc.name, got, err, tc.want)
		}
		if got, err := describe(tc.t, NewReader(iotest.OneByteReader(strings.NewReader(tc.bytes)))); err != nil || got != tc.want {
			t.Errorf("%s, from a stream:\n got %q, %v\nwant %q", tc.name, got, err, tc.want)
		}
		for n := range len(tc.bytes) {
			if _, err := describe(tc.t, NewBytes([]byte(tc.bytes[:n]))); !errors.Is(err, ErrFormat) {
				t.Errorf("%s, cut at %d of %d: %v", tc.name, n, len(tc.bytes), err)
			}
		}
	}
}

func TestBrokenValues(t *testing.T) {
	for _, tc := range []struct {
		name  string
		t     Type
		bytes string
		want  error
	}{
		{"no type", 8, "\x00", ErrFormat},
		{"module", TypeModule2, "\x81" + "\x45\xe2\x52\x38\xdf\x91\x2c\x03\x00", ErrModule},
		{"empty list", TypeList, "\x00", ErrEmpty},
		{"empty intset", TypeSetIntset, str([]byte("\x02\x00\x00\x00\x00\x00\x00\x00")), ErrEmpty},
		{"empty listpack", TypeHashListpack, str(listpack()), ErrEmpty},
		{"empty quicklist", TypeListQuicklist2, "\x01\x02" + str(listpack()), ErrEmpty},
		{"empty zipmap", TypeHashZipmap, str([]byte("\x00\xff")), ErrEmpty},
		{"half a field", TypeHashListpack, str(listpack("\x81a")), ErrFormat},
		{"NaN", TypeZSet2, "\x01\x01a\x00\x00\x00\x00\x00\x00\xf8\x7f", ErrFormat},
		{"NaN in decimal", TypeZSet, "\x01\x01a\x03nan", ErrFormat},
		{"a long string that is not there", TypeString, "\x81\x00\x00\x00\x00\x10\x00\x00\x00x", ErrFormat},
		{"an endless string", TypeString, "\x81\xff\xff\xff\xff\xff\xff\xff\xffx", ErrFormat},
		{"too much of LZF", TypeString, "\xc3\x01\x80\x10\x00\x00\x00\x00", ErrFormat},
		{"LZF from before the start", TypeString, "\xc3\x04\x04\x00a\x20\x05", ErrFormat},
		{"LZF of another length", TypeString, "\xc3\x02\x02\x00a", ErrFormat},
		{"many elements that are not there", TypeSet, "\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01a", ErrFormat},
		{"intset out of order", TypeSetIntset, str([]byte("\x02\x00\x00\x00\x02\x00\x00\x00\x05\x00\x05\x00")), ErrFormat},
		{"a wrong length before", TypeListZiplist, str(bytes.Replace(ziplist("\x01a", "\xf1"), []byte("\x03\xf1"), []byte("\x04\xf1"), 1)), ErrFormat},
		{"a wrong length behind", TypeSetListpack, str(bytes.Replace(listpack("\x81a"), []byte("a\x02"), []byte("a\x03"), 1)), ErrFormat},
		{"a stream of a wrong length", TypeStream, "\x00\x01\x00\x00\x00", ErrFormat},
		{"a stream's endless entry", TypeStream, "\x01\x10" + strings.Repeat("\x00", 16) +
			str(listpack("\x01", "\x00", "\x01", "\x81f", "\x00", "\x00", "\x00", "\x00", "\xf3\x00\x00\x10\x7f", "\x81f", "\x81v")), ErrFormat},
		{"a stream's endless node", TypeStream, "\x01\x10" + strings.Repeat("\x00", 16) + str(listpack("\xf4\xff\xff\xff\xff\xff\xff\xff\x7f", "\x00", "\x00", "\x00")), ErrFormat},
	} {
		for name, r := range map[string]*Reader{"bytes": NewBytes([]byte(tc.bytes)), "stream": NewReader(strings.NewReader(tc.bytes))} {
			if got, err := describe(tc.t, r); !errors.Is(err, tc.want) {
				t.Errorf("%s, %s: %q, %v", tc.name, name, got, err)
			}
		}
	}
}

// What a number in the input merely names takes no memory.
func TestBoundedMemory(t *testing.T) {
	inputs := map[Type]string{
		TypeString: "\x80\x1f\xff\xff\xff" + strings.Repeat("x", 1000),
		TypeSet:    "\x81\x00\xff\xff\xff\xff\xff\xff\xff\x01a",
		TypeStream: "\x01\x10" + strings.Repeat("\x00", 16) + str(listpack("\x01", "\x00", "\xf4\xff\xff\xff\xff\xff\xff\xff\x7f", "\x81f", "\x00")),
	}
	for typ, in := range inputs {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := describe(typ, NewReader(strings.NewReader(in)))
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; err == nil || took > 1<<20 {
			t.Errorf("type %d: %v, %d bytes were taken", typ, err, took)
		}
	}
}

func TestFile(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out)
	w.Aux("redis-ver", "7.0.0")
	w.Select(0, 2, 1)
	w.Key([]byte("k"), TypeString, []byte("\x05hello"), 0)
	w.Key([]byte("12"), TypeSet, []byte("\x01\x01a"), 1234567890123)
	w.Select(3, 1, 0)
	w.Key([]byte("h"), TypeHash, []byte("\x01\x01a\x01b"), 0)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	const want = `aux redis-ver=7.0.0 | 0 k 0 hello | 0 12 1234567890123 a | 3 h 0 a=b | EOF`
	if got := readFile(out.Bytes()); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	for i := range out.Len() {
		broken := bytes.Clone(out.Bytes())
		broken[i] ^= 0x20
		if got := readFile(broken); strings.HasSuffix(got, "EOF") {
			t.Errorf("byte %d is broken, and not noticed: %s", i, got)
		}
		if got := readFile(out.Bytes()[:i]); strings.HasSuffix(got, "EOF") {
			t.Errorf("cut at byte %d, and not noticed: %s", i, got)
		}
	}
	other := "REDIS0003\xfa\x01a\xc0\x05\xfe\x00\xfd\x01\x00\x00\x00\x00\x01k\x01v\xf8\x05\xf9\x07\xfb\x01\x00\xf4\x01\x02\x03" +
		"\xf7\x81\x45\xe2\x52\x38\xdf\x91\x2c\x03\x02\x02\x05\x03abc\x00\xf5\x04code\xff"
	if got := readFile([]byte(other)); got != `aux a=5 | 0 k 1000 v | module ReJSON-RL | function code | EOF` {
		t.Errorf("%s", got)
	}
	for in, want := range map[string]error{"REDIS0013": ErrVersion, "REDIS00x1": ErrFormat, "hello world": ErrFormat, "VALKEY080": ErrVersion, "": ErrFormat} {
		if _, err := NewFile(strings.NewReader(in)); !errors.Is(err, want) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// readFile writes a file down as text.
func readFile(b []byte) string {
	f, err := NewFile(bytes.NewReader(b))
	if err != nil {
		return err.Error()
	}
	var out []string
	for {
		rec, err := f.Next()
		switch {
		case err == io.EOF:
			return strings.Join(append(out, "EOF"), " | ")
		case err != nil:
			return err.Error()
		case rec.Op == OpAux:
			out = append(out, fmt.Sprintf("aux %s=%s", rec.Key, rec.Text))
		case rec.Op == OpFunction:
			out = append(out, fmt.Sprintf("function %s", rec.Text))
		case rec.Op == OpModule:
			out = append(out, fmt.Sprintf("module %s", rec.Key))
		default:
			text, err := describe(rec.Type, &f.Reader)
			if err != nil {
				return err.Error()
			}
			out = append(out, fmt.Sprintf("%d %s %d %s", rec.DB, rec.Key, rec.ExpireAt, text))
		}
	}
}

func TestStrings(t *testing.T) {
	for _, s := range []string{"", "0", "-1", "127", "-128", "128", "32767", "-32769", "2147483647", "-2147483648", "2147483648", "00", "-0", "+1", " 1", "1x", "99999999999", long} {
		b := AppendString(nil, []byte(s))
		if got, err := describe(TypeString, NewBytes(b)); err != nil || got != s {
			t.Errorf("%q became %q, %v", s, got, err)
		}
	}
	for _, n := range []uint64{0, 63, 64, 16383, 16384, 1<<32 - 1, 1 << 32, 1<<64 - 1} {
		if got, err := NewBytes(AppendLength(nil, n)).count(); err != nil || got != n {
			t.Errorf("%d became %d, %v", n, got, err)
		}
	}
}

func TestChecksum(t *testing.T) {
	// The value that Redis's own test expects.
	if got := updateSum(0, []byte("123456789")); got != 0xe9c6d914c4b8d9ca {
		t.Errorf("%x", got)
	}
}

func FuzzValue(f *testing.F) {
	for _, tc := range values {
		f.Add(byte(tc.t), []byte(tc.bytes))
	}
	f.Fuzz(func(t *testing.T, typ byte, b []byte) {
		r := NewBytes(b)
		whole, err := describe(Type(typ), r)
		s := NewReader(iotest.HalfReader(bytes.NewReader(b)))
		if again, errAgain := describe(Type(typ), s); again != whole || (err == nil) != (errAgain == nil) {
			t.Errorf("%q, %v from bytes, %q, %v from a stream", whole, err, again, errAgain)
		}
	})
}

func FuzzFile(f *testing.F) {
	f.Add([]byte("REDIS0003\xfe\x00\xfd\x01\x00\x00\x00\x00\x01k\x01v\xf8\x05\xf9\x07\xfb\x01\x00\xff"))
	for _, tc := range values {
		f.Add([]byte("REDIS0004" + string([]byte{byte(tc.t)}) + "\x01k" + tc.bytes + "\xff"))
	}
	f.Fuzz(func(_ *testing.T, b []byte) { readFile(b) })
}
