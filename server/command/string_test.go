package command

import (
	"fmt"
	"strings"
	"testing"

	"dkv/engine/keyspace"
	"dkv/resp"
)

func TestSet(t *testing.T) {
	c := newClient(t)
	c.expect(
		"set k v", "+OK", "get k", "v", "get missing", "nil",
		"set k w NX", "nil", "set k w XX", "+OK", "set new v XX", "nil", "set new v NX GET", "nil", "get new", "v",
		"set k x GET", "w", "set k y NX GET", "x", "get k", "x",
		"set k v NX XX", "-ERR syntax error", "set k v EX", "-ERR syntax error", "set k v EX 1 PX 1", "-ERR syntax error",
		"set k v EX 1 KEEPTTL", "-ERR syntax error", "set k v PERSIST", "-ERR syntax error",
		"set k v EX x", "-ERR value is not an integer or out of range",
		"set k v EX 0", "-ERR invalid expire time in 'set' command", "set k v PX -5", "-ERR invalid expire time in 'set' command",
		"set k v EX 9223372036854775807", "-ERR invalid expire time in 'set' command",
		"set k v PX 9223372036854775807", "-ERR invalid expire time in 'set' command",
		"set k v EX 10", "+OK", "ttl k", "10", "set k w KEEPTTL", "+OK", "pttl k", "10000", "set k w", "+OK", "ttl k", "-1",
		"set k v EX 10 EX 20", "+OK", "ttl k", "20",
		"set k v PXAT 1700000005000", "+OK", "pexpiretime k", "1700000005000", "set k v EXAT 1700000007", "+OK", "expiretime k", "1700000007",
		"set k gone PXAT 1", "+OK", "get k", "nil", "exists k", "0",
		"setnx k v", "1", "setnx k w", "0", "get k", "v",
		"setex k 10 v", "+OK", "ttl k", "10", "psetex k 1500 v", "+OK", "pttl k", "1500",
		"setex k 0 v", "-ERR invalid expire time in 'setex' command", "psetex k -1 v", "-ERR invalid expire time in 'psetex' command",
		"getset k w", "v", "ttl k", "-1", "getset missing v", "nil", "get missing", "v",
		"getdel k", "w", "getdel k", "nil", "exists k", "0",
	)
}

func TestGetex(t *testing.T) {
	c := newClient(t)
	c.expect(
		"getex missing EX x", "nil", "set k v", "+OK",
		"getex k", "v", "ttl k", "-1", "getex k EX 10", "v", "ttl k", "10", "getex k PERSIST", "v", "ttl k", "-1",
		"getex k PX x", "-ERR value is not an integer or out of range", "getex k EX 0", "-ERR invalid expire time in 'getex' command",
		"getex k PERSIST EX 1", "-ERR syntax error", "getex k NX", "-ERR syntax error",
		"getex k EXAT 1", "v", "exists k", "0",
	)
}

func TestMultipleKeys(t *testing.T) {
	c := newClient(t)
	c.expect(
		"mset a 1 b 2 a 3", "+OK", "mget a b c", "[3 2 nil]", "mset a", "-ERR wrong number of arguments for 'mset' command",
		"mset a 1 b", "-ERR wrong number of arguments for 'mset' command",
		"msetnx c 1 a 2", "0", "exists c", "0", "msetnx c 1 d 2 c 3", "1", "mget c d", "[3 2]",
	)
}

func TestIncr(t *testing.T) {
	c := newClient(t)
	c.expect(
		"incr n", "1", "incrby n 41", "42", "decr n", "41", "decrby n 1", "40", "get n", "40", "object encoding n", "int",
		"set n 9223372036854775807", "+OK", "incr n", "-ERR increment or decrement would overflow", "get n", "9223372036854775807",
		"decrby n -9223372036854775808", "-ERR decrement would overflow", "incrby n x", "-ERR value is not an integer or out of range",
		"set n 1 EX 10", "+OK", "incr n", "2", "ttl n", "10",
		"set n 01", "+OK", "incr n", "-ERR value is not an integer or out of range",
		"set f 10.50", "+OK", "incrbyfloat f 0.1", "10.6", "incrbyfloat f -5", "5.6", "set f 5.0e3", "+OK", "incrbyfloat f 2.0e2", "5200",
		"object encoding f", "embstr", "incr f", "5201", "incrbyfloat new 3.0", "3", "incrbyfloat new x", "-ERR value is not a valid float",
		"incrbyfloat new inf", "-ERR increment would produce NaN or Infinity", "incrbyfloat zero -0", "0",
		"set f 0.1", "+OK", "incrbyfloat f 0.2", "0.3", "set f 3.0", "+OK", "incrbyfloat f 1.00000000000000000001", "4",
	)
}

// The digits are those of an x86 machine's strtold, long double and printf.
func TestLongDouble(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"0", "0"}, {"-0", "0"}, {"1", "1"}, {"0x1p4", "16"}, {"0X.8P1", "1"}, {"1e3", "1000"}, {".5", "0.5"}, {"5.", "5"}, {"+1", "1"},
		{"1e-17", "0.00000000000000001"}, {"1e-18", "0"}, {"-1e-30", "0"}, {"0e99999999999999", "0"}, {"1e0000000000002", "100"},
		{"0.1", "0.1"}, {"3.14159265358979323846264338327950288", "3.14159265358979324"},
		{"18446744073709551617", "18446744073709551616"}, {"123456789012345678901234567890", "123456789012345678899921813504"},
		{"", ""}, {" 1", ""}, {"1 ", ""}, {"nan", ""}, {"1e", ""}, {"1e+", ""}, {"0x", ""}, {"0x.", ""}, {".", ""}, {"1.2.3", ""}, {"--1", ""},
		{"1e4933", ""}, {"-1e99999999999999999999", ""}, {"1e-4960", ""}, {"0x1p16384", ""}, {"infinit", ""}, {"1\x00", ""}, {"1p2", ""},
		{strings.Repeat("1", maxLongDoubleText), ""},
	} {
		d, ok := parseLongDouble([]byte(c.text))
		got := ""
		if ok {
			got = string(d.appendTo(nil))
		}
		if got != c.want {
			t.Errorf("%.40q: %s, want %s", c.text, got, c.want)
		}
	}
	for _, text := range []string{"inf", "-Infinity", "1e4932", "0x1p16383", "1e-4950"} {
		if _, ok := parseLongDouble([]byte(text)); !ok {
			t.Errorf("%s was refused", text)
		}
	}
	huge, _ := parseLongDouble([]byte("1e4932"))
	if huge.add(huge) {
		t.Error("twice 1e4932 is not infinite")
	}
}

func FuzzLongDouble(f *testing.F) {
	for _, s := range []string{"1.5e3", "0x1p-3", "-inf", "1e-99999", ".e1"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, ok := parseLongDouble(b)
		if !ok || d.f.IsInf() {
			return
		}
		text := d.appendTo(nil)
		again, ok := parseLongDouble(text)
		if !ok && len(text) < maxLongDoubleText {
			t.Fatalf("%q became %q, which does not parse", b, text)
		}
		if ok && string(again.appendTo(nil)) != string(text) {
			t.Fatalf("%q became %q, then %q", b, text, again.appendTo(nil))
		}
	})
}

func TestRanges(t *testing.T) {
	c := newClient(t)
	c.maxString = 100
	c.expect(
		"append k Hello", "5", "object encoding k", "embstr", "append k _World", "11", "get k", "Hello World", "object encoding k", "raw",
		"append n 5", "1", "object encoding n", "int", "append n 5", "2", "object encoding n", "raw", "incr n", "56", "object encoding n", "int",
		"strlen k", "11", "strlen missing", "0",
		"getrange k 0 3", "Hell", "getrange k -3 -1", "rld", "getrange k 0 -1", "Hello World", "getrange k 5 1", "", "getrange k -1 -3", "",
		"getrange k 100 200", "", "getrange k -100 2", "Hel", "getrange missing 0 -1", "", "substr k 0 1", "He",
		"getrange k x 1", "-ERR value is not an integer or out of range",
		"setrange k 6 Redis", "11", "get k", "Hello Redis", "setrange k 3 ''", "11", "setrange missing 3 ''", "0", "exists missing", "0",
		"setrange new 2 ab", "4", "get new", "\x00\x00ab", "object encoding new", "raw", "setrange new 6 c", "7", "get new", "\x00\x00ab\x00\x00c",
		"setrange k -1 x", "-ERR offset is out of range",
		"setrange k 100 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)", "setrange k 99 x", "100",
		"append k x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)",
		"setrange k 9223372036854775807 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)",
		"setex t 10 v", "+OK", "append t w", "2", "ttl t", "10", "setrange t 0 x", "2", "ttl t", "10",
	)
}

func TestLCS(t *testing.T) {
	c := newClient(t)
	c.expect(
		"mset key1 ohmytext key2 mynewtext", "+OK",
		"lcs key1 key2", "mytext", "lcs key1 key2 LEN", "6",
		"lcs key1 key2 IDX", "[matches [[[4 7] [5 8]] [[2 3] [0 1]]] len 6]",
		"lcs key1 key2 IDX MINMATCHLEN 4 WITHMATCHLEN", "[matches [[[4 7] [5 8] 4]] len 6]",
		"lcs key1 missing", "", "lcs missing missing LEN", "0", "lcs key1 key2 IDX LEN", "-"+resp.ErrLCSBothLenIdx.Error(),
		"lcs key1 key2 MINMATCHLEN x", "-ERR value is not an integer or out of range", "lcs key1 key2 other", "-ERR syntax error",
	)
	c.proto = 3
	c.expect("lcs key1 key2 IDX MINMATCHLEN 5", "%[matches [] len 6]")
	c.maxString = 100
	c.expect("lcs key1 key2", "-"+resp.ErrLCSNoMemory.Error())
}

func TestCAS(t *testing.T) {
	c := newClient(t)
	c.expect(
		"dkv.cas k '' new", "0", "exists k", "0", "dkv.cas k '' v1 ABSENT", "1", "get k", "v1", "dkv.cas k '' v2 ABSENT", "0",
		"dkv.cas k other v2", "0", "dkv.cas k v1 v2", "1", "get k", "v2", "dkv.cas k v2 v3 PX 5000", "1", "pttl k", "5000",
		"dkv.cas k v3 v4", "1", "pttl k", "5000", "dkv.cas k v4 ABSENT", "1", "get k", "ABSENT", "dkv.cas k ABSENT ''", "1", "dkv.cas k '' x", "1",
		"dkv.cas k x y ABSENT", "-ERR syntax error", "dkv.cas k x y PX", "-ERR syntax error", "dkv.cas k x y EX 5", "-ERR syntax error",
		"dkv.cas k x y PX 0", "-ERR invalid expire time in 'dkv.cas' command", "dkv.cas k x y PX z", "-ERR value is not an integer or out of range",
		"dkv.cas k x", "-ERR wrong number of arguments for 'dkv.cas' command", "dkv.cas new '' v PX 100 ABSENT", "1", "pttl new", "100",
	)
}

// GET and SET allocate nothing, once their buffers have grown.
func TestNoAllocations(t *testing.T) {
	c := newClient(t)
	var out resp.Writer
	x := Ctx{Out: &out}
	keys, value := manyKeys(64), []byte(strings.Repeat("v", 100))
	run := func(name string, args ...[]byte) func() {
		n, spec := 0, Lookup([]byte(name))
		args = append([][]byte{[]byte(name), nil}, args...)
		return func() {
			n++
			args[1] = keys[n%len(keys)]
			out.Reset()
			x.Args, x.Spec = args, spec
			if err := spec.Handler(&x); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.store.Write(func(tx *keyspace.Tx) {
		x.Tx = tx
		for _, f := range []func(){
			run("set", value), run("get"), run("set", value, []byte("PX"), []byte("100000")), run("getex"), run("exists"), run("ttl"),
			run("del"), run("incr"), run("incr"),
		} {
			if n := testing.AllocsPerRun(2000, f); n != 0 {
				t.Errorf("%s allocates %v times", x.Args[0], n)
			}
		}
	})
}

func manyKeys(n int) [][]byte {
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "key:%012d", i)
	}
	return keys
}

// A batch of SETs, from evaluation to what readers see.
func BenchmarkSet(b *testing.B) {
	const batch = 100
	c := newClient(b)
	var out resp.Writer
	x := Ctx{Out: &out, Args: [][]byte{[]byte("set"), nil, make([]byte, 100)}, Spec: Lookup([]byte("set"))}
	keys := manyKeys(100_000)
	b.ReportAllocs()
	for n := 0; n < b.N; n += batch {
		c.store.Write(func(tx *keyspace.Tx) {
			x.Tx = tx
			for i := range batch {
				x.Args[1] = keys[(n+i)*7919%len(keys)]
				out.Reset()
				tx.Mark()
				if err := x.Spec.Handler(&x); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Evaluation alone: SETs of keys that the batch has already.
func BenchmarkSetEvaluate(b *testing.B) {
	c := newClient(b)
	var out resp.Writer
	x := Ctx{Out: &out, Args: [][]byte{[]byte("set"), nil, make([]byte, 100)}, Spec: Lookup([]byte("set"))}
	keys := manyKeys(1000)
	b.ReportAllocs()
	c.store.Write(func(tx *keyspace.Tx) {
		x.Tx = tx
		first := tx.Mark()
		mark := first
		for n := range b.N {
			if n%len(keys) == 0 {
				tx.Rollback(mark)
			}
			x.Args[1] = keys[n%len(keys)]
			out.Reset()
			if err := x.Spec.Handler(&x); err != nil {
				b.Fatal(err)
			}
		}
		tx.Rollback(first)
	})
}

func BenchmarkGet(b *testing.B) {
	c := newClient(b)
	keys := manyKeys(100_000)
	c.store.Write(func(tx *keyspace.Tx) {
		for _, key := range keys {
			e, err := tx.Find(0, key)
			if err != nil {
				b.Fatal(err)
			}
			tx.SetString(&e, make([]byte, 100), 0, keyspace.FormAuto)
		}
	})
	var out resp.Writer
	x := Ctx{Out: &out, Args: [][]byte{[]byte("get"), nil}, Spec: Lookup([]byte("get"))}
	b.ReportAllocs()
	b.ResetTimer()
	c.store.ReadLive(func(tx *keyspace.Tx) {
		x.Tx = tx
		for n := range b.N {
			x.Args[1] = keys[n*7919%len(keys)]
			out.Reset()
			if err := x.Spec.Handler(&x); err != nil {
				b.Fatal(err)
			}
		}
	})
}
