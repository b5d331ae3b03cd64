package command

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestHyperLogLog(t *testing.T) {
	c := newClient(t)
	c.expect(
		"pfadd h a b c d e f g", "1", "pfcount h", "7", "pfadd h a", "0", "pfadd h", "0", "pfadd new", "1", "pfcount new", "0", "pfcount none", "0", "strlen new", "18", "object encoding h", "raw",
		"pfadd g e f x y", "1", "pfcount h g none", "9", "pfmerge m h g", "+OK", "pfcount m", "9", "pfmerge m", "+OK", "pfmerge fresh", "+OK", "strlen fresh", "18",
		"pfdebug encoding h", "+sparse", "pfdebug todense h", "1", "pfdebug todense h", "0", "pfdebug encoding h", "+dense", "strlen h", "12304", "pfcount h", "7", "pfdebug decode h", "-ERR HLL encoding is not sparse",
		"pfdebug decode new", "Z:16384", "pfdebug nonsense new", "-ERR Unknown PFDEBUG subcommand 'nonsense'", "pfdebug encoding none", "-ERR The specified key does not exist",
		"pfmerge m h", "+OK", "pfdebug encoding m", "+dense", "pfcount m", "9", "expire m 100", "1", "pfadd m z", "1", "ttl m", "100",
		"set s v", "+OK", "pfadd s a", "-WRONGTYPE Key is not a valid HyperLogLog string value.", "pfcount s", "-WRONGTYPE Key is not a valid HyperLogLog string value.",
		"pfcount h s", "-WRONGTYPE Key is not a valid HyperLogLog string value.", "pfmerge none s", "-WRONGTYPE Key is not a valid HyperLogLog string value.", "exists none", "0",
		"pfdebug encoding s", "-WRONGTYPE Key is not a valid HyperLogLog string value.", "sadd set a", "1", "pfadd set a", "-WRONGTYPE Operation against a key holding the wrong kind of value",
		"pfcount set", "-WRONGTYPE Operation against a key holding the wrong kind of value", "pfmerge h set", "-WRONGTYPE Operation against a key holding the wrong kind of value",
	)
	if err := HLLSelfTest(); err != nil {
		t.Error(err)
	}
}

// Registers that do not add up are refused, and nothing is changed.
func TestCorruptHyperLogLogs(t *testing.T) {
	c := newClient(t)
	o := newOracle(t)
	const head = "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80"
	values := []string{head, head + "\x00", head + "\x7f\xfe", head + "\x7f\xff\x00", head + "\x7f\xff", head + "\x84\x7f\xff", head + "\x7f\xfe\xff", head + strings.Repeat("\x3f", 256),
		head + strings.Repeat("\x3f", 257), head + strings.Repeat("\xff", 4096), head + strings.Repeat("\xff", 4097), "HYLL\x02" + head[5:] + "\x7f\xff", "HYLL\x00" + head[5:] + "\x7f\xff", "HYLX" + head[4:] + "\x7f\xff",
		head[:15], head[:15] + "\x00\x00", "HYLL\x00" + head[5:] + strings.Repeat("\xff", hllDenseSize-hllHeader), "HYLL\x00" + head[5:] + strings.Repeat("\x00", hllDenseSize-hllHeader-1),
		"HYLL\x00" + head[5:] + strings.Repeat("\xf3\x3c\xcf", (hllDenseSize-hllHeader)/3)}
	for _, v := range values {
		for _, line := range []string{"pfcount k", "pfadd k a b c", "pfcount k none", "pfmerge d k", "pfdebug encoding k", "pfdebug todense k", "pfdebug getreg k"} {
			c.do("set", "k", v)
			o.do("set", "k", v)
			args := strings.Fields(line)
			if got, want := c.do(args...), o.do(args...); got != want {
				t.Errorf("%q, %s:\n got %.200q\nwant %.200q", v[:min(len(v), 40)], line, got, want)
			}
		}
	}
}

func TestEstimates(t *testing.T) {
	var all hllHistogram
	all[hllRankBits+1] = hllRegisters
	if got := all.estimate(); got != 1<<63 {
		t.Errorf("all registers full: %d", got)
	}
	if math.IsNaN(hllSigma(0)) || hllTau(0) != 0 || hllTau(1) != 0 {
		t.Error("ends of sigma and tau")
	}
}

func (g generator) hllElements() (list []string) {
	n := pick(g, 0, 1, 1, 2, 3, 5, 20)
	if g.IntN(30) == 0 {
		n = pick(g, 200, 1000, 3000)
	}
	for range n {
		list = append(list, pick(g, "a", "b", "", strings.Repeat("x", g.IntN(40)), "k\x00\r\n", strconv.Itoa(g.IntN(1000)), strconv.FormatUint(g.Uint64(), 36), strconv.FormatUint(g.Uint64(), 36)))
	}
	return list
}

func (g generator) hllCommand() []string {
	keys := func(most int) (list []string) {
		for range 1 + g.IntN(most) {
			list = append(list, g.key())
		}
		return list
	}
	switch g.IntN(14) {
	case 0, 1, 2, 3, 4:
		return append([]string{"pfadd", g.key()}, g.hllElements()...)
	case 5, 6:
		return append([]string{"pfcount"}, keys(3)...)
	case 7:
		return append([]string{"pfmerge", g.key()}, keys(3)...)
	case 8:
		if g.IntN(10) == 0 {
			return []string{"pfdebug", "getreg", g.key()}
		}
		return []string{"pfdebug", g.word("DECODE", "DECODE", "ENCODING", "TODENSE"), g.key()}
	case 9, 10:
		return []string{"get", g.key()}
	case 11:
		return []string{"object", "encoding", g.key()}
	}
	for { // parts of such strings would differ
		if args := g.common(); !slices.Contains([]string{"getrange", "substr", "setrange", "lcs", "append"}, args[0]) {
			return args
		}
	}
}

// sameHyperLogLog compares but for the cached count, which dkv's PFCOUNT does not
// write.
func sameHyperLogLog(_ []string, got, want string) bool {
	cached := regexp.MustCompile(`(?s)(HYLL[\x00\x01]...)........`)
	return cached.ReplaceAllString(got, "$1") == cached.ReplaceAllString(want, "$1")
}

// The strings that hold HyperLogLogs are those that a real server makes.
func TestHyperLogLogsAgainstRedis(t *testing.T) {
	g := generator{seed(t)}
	compareWithRedis(t, 6000, g.hllCommand)
}

// A HyperLogLog that only grows has the same bytes, its cached count too.
func TestHyperLogLogBytes(t *testing.T) {
	g := generator{seed(t)}
	c, o := newClient(t), newOracle(t)
	for _, limit := range []string{"3000", "0", "100", "20000"} {
		o.do("config", "set", "hll-sparse-max-bytes", limit)
		c.limits = new(Limits)
		n, _ := strconv.ParseInt(limit, 10, 64)
		c.limits.HLLSparseBytes.Store(n)
		key := "h" + limit
		for i := range 3000 {
			args := []string{"pfadd", key, strconv.FormatUint(g.Uint64(), 36)}
			if got, want := c.do(args...), o.do(args...); got != want {
				t.Fatalf("limit %s, %d: %q, want %q", limit, i, got, want)
			}
			if got, want := c.do("get", key), o.do("get", key); i%100 == 0 && got != want {
				t.Fatalf("limit %s, %d:\n got %q\nwant %q", limit, i, got, want)
			}
		}
		if got, want := c.do("pfcount", key), o.do("pfcount", key); got != want {
			t.Errorf("limit %s: %q, want %q", limit, got, want)
		}
		// What a real server counted and cached is taken as it is.
		raw := o.do("get", key)
		_, raw, _ = strings.Cut(raw, "\r\n")
		c.do("set", key, strings.TrimSuffix(raw, "\r\n"))
		if got, want := c.do("pfcount", key), o.do("pfcount", key); got != want {
			t.Errorf("limit %s, with a cached count: %q, want %q", limit, got, want)
		}
	}
}

func FuzzHyperLogLog(f *testing.F) {
	f.Add([]byte(newHLL()), uint16(5), byte(3))
	f.Add([]byte("HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x84\x7f\xf0\xff\x40"), uint16(16383), byte(33))
	f.Add(append([]byte("HYLL\x00\x00\x00\x00"), make([]byte, hllDenseSize-8)...), uint16(16383), byte(51))
	f.Fuzz(func(t *testing.T, value []byte, register uint16, rank byte) {
		h := hll(value)
		if h.check() != nil {
			return
		}
		register %= hllRegisters
		rank = rank%(hllRankBits+1) + 1
		var before, after hllMax
		sound := h.mergeInto(&before) == nil
		if _, err := h.count(); (err == nil) != sound {
			t.Fatalf("counted: %v, merged: %v", err, sound)
		}
		if _, err := h.runsText(); !h.isDense() && (err == nil) != sound {
			t.Fatalf("decoded: %v, merged: %v", err, sound)
		}
		h, raised, err := h.set(int(register), rank, 3000)
		if !sound {
			return
		}
		if err != nil || h.check() != nil || h.mergeInto(&after) != nil {
			t.Fatalf("register %d, %d: %v, %q", register, rank, err, h)
		}
		if raised != (rank > before[register]) {
			t.Fatalf("register %d of %d set to %d: %v", register, before[register], rank, raised)
		}
		before[register] = max(before[register], rank)
		if before != after {
			t.Fatalf("register %d set to %d: others changed too", register, rank)
		}
	})
}
