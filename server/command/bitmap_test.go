package command

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
)

func TestBitmaps(t *testing.T) {
	c := newClient(t)
	const offset = "-ERR bit offset is not an integer or out of range"
	c.expect(
		"setbit k 7 1", "0", "get k", "\x01", "setbit k 7 0", "1", "get k", "\x00", "setbit k 23 0", "0", "strlen k", "3", "getbit k 7", "0", "getbit k 1000", "0",
		"getbit none 0", "0", "setbit k -1 1", offset, "setbit k x 1", offset, "setbit k 4294967296 1", offset, "setbit k #1 1", offset, "getbit k 4294967296", offset,
		"setbit k 0 2", "-ERR bit is not an integer or out of range", "setbit k 0 x", "-ERR bit is not an integer or out of range",
		"setbit k 99999999999 9", offset, "setbit none 9 0", "0", "strlen none", "2", "set n 7", "+OK", "object encoding n", "int", "setbit n 2 1", "1", "object encoding n", "raw", "get n", "7",
		"set k foobar EX 100", "+OK", "setbit k 0 1", "0", "ttl k", "100", "set k foobar", "+OK", "bitcount k", "26", "bitcount k 0 0", "4", "bitcount k 1 1", "6", "bitcount k 1 1 BYTE", "6",
		"bitcount k 5 30 BIT", "17", "bitcount k -3 -5", "0", "bitcount k 2 1", "0", "bitcount none", "0", "bitcount k 0", "-ERR syntax error", "bitcount k 0 0 BITS", "-ERR syntax error",
		"bitcount none x 0", "-ERR value is not an integer or out of range", "bitcount k 0 -1 BIT 0", "-ERR syntax error", "bitcount k -100 100", "26",
		"bitpos k 1", "1", "bitpos k 0", "0", "bitpos k 1 2 -1 BYTE", "17", "bitpos k 0 7 15 BIT", "7", "bitpos k 1 7 15 BIT", "9", "bitpos none 0", "0", "bitpos none 1", "-1", "bitpos k 1 100", "-1",
		"bitpos k 2", "-ERR The bit argument must be 1 or 0.", "bitpos k x", "-ERR value is not an integer or out of range", "bitpos k 1 0 1 BITS", "-ERR syntax error",
		"set ones \xff\xff", "+OK", "bitpos ones 0", "16", "bitpos ones 0 0 -1", "-1", "bitpos ones 0 5", "-1", "bitpos ones 0 1", "16", "set empty ''", "+OK", "bitpos empty 0", "-1", "bitcount empty", "0",
		"set a foobar", "+OK", "set b abcdef", "+OK", "bitop and d a b", "6", "get d", "`bc`ab", "bitop not d ones", "2", "get d", "\x00\x00", "bitop or d a none", "6", "get d", "foobar", "object encoding d", "raw",
		"bitop xor d a a", "6", "bitcount d", "0", "bitop and d gone", "0", "exists d", "0", "bitop nand d a", "-ERR syntax error", "bitop not d a b", "-ERR BITOP NOT must be called with a single source key.",
		"hset h f v", "1", "bitop or d a h", "-WRONGTYPE Operation against a key holding the wrong kind of value", "setbit h 0 1", "-WRONGTYPE Operation against a key holding the wrong kind of value",
		"bitcount h", "-WRONGTYPE Operation against a key holding the wrong kind of value", "bitop or h a", "6", "get h", "foobar",
	)
}

func TestBitfield(t *testing.T) {
	c := newClient(t)
	c.expect(
		"bitfield k INCRBY i5 100 1 GET u4 0", "[1 0]", "strlen k", "14", "bitfield m INCRBY u2 100 1 OVERFLOW SAT INCRBY u2 102 1", "[1 1]", "bitfield m INCRBY u2 100 1 OVERFLOW SAT INCRBY u2 102 1", "[2 2]",
		"bitfield m INCRBY u2 100 1 OVERFLOW SAT INCRBY u2 102 1", "[3 3]", "bitfield m INCRBY u2 100 1 OVERFLOW SAT INCRBY u2 102 1", "[0 3]", "bitfield m OVERFLOW FAIL INCRBY u2 102 1", "[nil]",
		"bitfield s SET i8 #0 100 SET i8 #1 200", "[0 0]", "get s", "d\xc8", "bitfield s GET i8 #0 GET i8 #1 GET u8 8", "[100 -56 200]", "bitfield s OVERFLOW SAT SET u8 0 -1 GET u8 0", "[100 255]",
		"bitfield s SET i64 0 -1 GET i64 0 GET u63 1", "[-15762598695796736 -1 9223372036854775807]",
		"bitfield s INCRBY i64 0 -9223372036854775808 OVERFLOW SAT INCRBY i64 0 9223372036854775807 INCRBY i64 0 9223372036854775807", "[9223372036854775807 9223372036854775807 9223372036854775807]",
		"bitfield s OVERFLOW SAT SET i4 0 -100 GET i4 0 SET i4 0 -9223372036854775808 GET i4 0", "[7 -8 -8 7]",
		"bitfield none", "[]", "exists none", "0", "bitfield none GET u8 0", "[0]", "exists none", "0", "bitfield none OVERFLOW FAIL SET u1 30 2", "[nil]", "strlen none", "4",
		"bitfield k GET u64 0", "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.", "bitfield k GET i65 0", "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
		"bitfield k GET u8 -1", "-ERR bit offset is not an integer or out of range", "bitfield k GET u8 #536870912", "-ERR bit offset is not an integer or out of range", "bitfield k SET u8 0 x", "-ERR value is not an integer or out of range",
		"bitfield k OVERFLOW never", "-ERR Invalid OVERFLOW type specified", "bitfield k GET u8", "-ERR syntax error", "bitfield k OVERFLOW", "-ERR syntax error", "sadd set a", "1", "bitfield set GET u8 0", "-WRONGTYPE Operation against a key holding the wrong kind of value",
		"bitfield set SET u8 0 1", "-WRONGTYPE Operation against a key holding the wrong kind of value",
	)
}

func TestBitfieldRO(t *testing.T) {
	c := newClient(t)
	for _, x := range []struct{ line, want string }{
		{"bitfield_ro k GET u8 0 OVERFLOW SAT", "[0]"}, {"bitfield_ro k SET u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand"},
		{"bitfield_ro k", "[]"}, {"bitfield_ro k INCRBY u8 0 x", "-ERR value is not an integer or out of range"},
	} {
		if got := shorten(c.do(strings.Fields(x.line)...)); got != x.want {
			t.Errorf("%s: %s, want %s", x.line, got, x.want)
		}
	}
}

// A bitmap can be as long as proto-max-bulk-len, and no longer.
func TestBitmapLimit(t *testing.T) {
	c := newClient(t)
	c.maxString = 1 << 20
	c.expect(
		"setbit k 8388607 1", "0", "strlen k", "1048576", "bitcount k", "1", "bitpos k 1", "8388607", "getbit k 8388607", "1",
		"setbit k 8388608 1", "-ERR bit offset is not an integer or out of range", "bitfield k SET u8 8388600 255", "[1]", "bitfield k SET u8 8388608 1", "-ERR bit offset is not an integer or out of range",
		"bitfield k GET u8 #1048575", "[255]", "bitfield k GET u8 #1048576", "-ERR bit offset is not an integer or out of range", "bitpos k 0 -1 -1", "-1", "bitpos k 0 -1", "8388608",
	)
}

// Ranges of bits, counted and searched, are what a look at each bit tells.
func TestBitRanges(t *testing.T) {
	g := generator{seed(t)}
	for range 20_000 {
		s := make([]byte, g.IntN(40))
		fill := pick(g, byte(0), byte(0xff))
		for i := range s {
			if s[i] = fill; g.IntN(12) == 0 {
				s[i] = byte(g.IntN(256))
			}
		}
		r := bitRange{0, -1}
		if len(s) > 0 {
			r.first = int64(g.IntN(8 * len(s)))
			r.last = r.first + int64(g.IntN(8*len(s)-int(r.first)))
		}
		count, found := int64(0), [2]int64{-1, -1}
		for at := r.first; at <= r.last; at++ {
			bit := s[at/8] >> (7 - at%8) & 1
			count += int64(bit)
			if found[bit] < 0 {
				found[bit] = at
			}
		}
		if got := countBits(s, r); got != count {
			t.Fatalf("%x %v: %d bits, want %d", s, r, got, count)
		}
		for bit, want := range found {
			if got := findBit(s, bit == 1, r); got != want {
				t.Fatalf("%x %v: %d first at %d, want %d", s, r, bit, got, want)
			}
		}
	}
}

func TestFields(t *testing.T) {
	g := generator{seed(t)}
	for range 20_000 {
		s := make([]byte, 20)
		for i := range s {
			s[i] = byte(g.IntN(256))
		}
		width, at := 1+g.IntN(64), int64(g.IntN(90))
		text := func() (b strings.Builder) {
			for _, x := range s {
				fmt.Fprintf(&b, "%08b", x)
			}
			return b
		}
		before := text()
		want, _ := strconv.ParseUint(before.String()[at:at+int64(width)], 2, 64)
		if got := getField(s, at, width); got != want {
			t.Fatalf("%x: %d bits at %d are %x, want %x", s, width, at, got, want)
		}
		set := g.Uint64()
		setField(s, at, width, set)
		digits := fmt.Sprintf("%064b", set)
		after := text()
		if want := before.String()[:at] + digits[64-width:] + before.String()[at+int64(width):]; after.String() != want {
			t.Fatalf("%d bits at %d set to %x:\n got %s\nwant %s", width, at, set, after.String(), want)
		}
	}
	if got := getField([]byte{0xff}, 4, 16); got != 0xf000 {
		t.Errorf("behind the end: %x", got)
	}
	if low, high := (fieldType{signed: true, width: 64}).limits(); low != math.MinInt64 || high != math.MaxInt64 {
		t.Errorf("i64 is %d to %d", low, high)
	}
	if got := combineBits([]byte{0xff}, bytes.Repeat([]byte{0xf0}, 20), func(a, b uint64) uint64 { return a & b }); !bytes.Equal(got, append([]byte{0xf0}, make([]byte, 19)...)) {
		t.Errorf("AND of strings of two lengths: %x", got)
	}
}

func (g generator) bitPlace() string {
	return pick(g, strconv.Itoa(g.IntN(100)), strconv.Itoa(g.IntN(100)), strconv.Itoa(g.IntN(5000)), "#"+strconv.Itoa(g.IntN(20)), "-1", "x", "", "4294967296", "9223372036854775807", "#-1", "#", "#4294967296")
}

func (g generator) bitfieldOps() (args []string) {
	field := func() string {
		return pick(g, "u", "i", "i", "u", "i", "u", "x") + pick(g, "1", "8", "16", "63", "64", "0", "65", "x", strconv.Itoa(1+g.IntN(64)), strconv.Itoa(1+g.IntN(64)), strconv.Itoa(1+g.IntN(64)))
	}
	number := func() string {
		return pick(g, g.integer(), strconv.FormatInt(int64(g.Uint64())>>g.IntN(64), 10), strconv.FormatInt(int64(g.Uint64())>>g.IntN(64), 10))
	}
	place := func() string {
		if g.IntN(8) == 0 {
			return g.bitPlace()
		}
		return pick(g, "", "#") + strconv.Itoa(g.IntN(12))
	}
	for range g.IntN(4) {
		switch g.IntN(4) {
		case 0:
			args = append(args, g.word("GET"), field(), place())
		case 1:
			args = append(args, "SET", field(), place(), number())
		case 2:
			args = append(args, g.word("OVERFLOW"), g.word("WRAP", "SAT", "FAIL", "SAT", "FAIL"))
			fallthrough
		default:
			args = append(args, "INCRBY", field(), place(), number())
		}
	}
	if g.IntN(20) == 0 && len(args) > 0 {
		args = args[:len(args)-1]
	}
	return args
}

func (g generator) bitCommand() []string {
	index := func() string { return pick(g, "0", "1", "-1", "-2", strconv.Itoa(g.IntN(20)), g.integer()) }
	switch g.IntN(12) {
	case 0, 1:
		return []string{"setbit", g.key(), g.bitPlace(), pick(g, "0", "1", "1", "1", "2", "x")}
	case 2:
		return []string{"getbit", g.key(), g.bitPlace()}
	case 3:
		args := []string{"bitcount", g.key(), index(), index(), g.word("BIT", "BYTE")}
		return args[:pick(g, 2, 3, 4, 4, 5, 5, 5)]
	case 4, 5:
		args := []string{"bitpos", g.key(), pick(g, "0", "1", "0", "1", "2", "x"), index(), index(), g.word("BIT", "BYTE")}
		return args[:pick(g, 3, 4, 5, 6, 6, 6)]
	case 6:
		args := []string{"bitop", g.word("AND", "OR", "XOR", "NOT", "NAND"), g.key(), g.key(), g.key(), g.key()}
		return args[:pick(g, 4, 4, 5, 6)]
	case 7, 8:
		return append([]string{pick(g, "bitfield", "bitfield", "bitfield_ro"), g.key()}, g.bitfieldOps()...)
	case 9:
		return []string{"set", g.key(), pick(g, strings.Repeat("\xff", g.IntN(30)), strings.Repeat("\x00", g.IntN(30)), g.value())}
	}
	return g.common()
}

func TestBitmapsAgainstRedis(t *testing.T) {
	g := generator{seed(t)}
	compareWithRedis(t, 15_000, func() []string {
		if g.IntN(12) == 0 {
			return g.hashCommand()
		}
		return g.bitCommand()
	})
}
