package main

import (
	"bufio"
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
)

// requests lets the workload of args generate n operations, and returns the
// operations and their requests as a server reads them.
func requests(t *testing.T, n int, args ...string) (ops []op, reqs [][]string) {
	t.Helper()
	c := mustConfig(t, args...)
	ph := newPhase(t.Context(), c, c.target, newValues(c.valueMin, c.valueMax, 0, c.seed))
	g := newGenerator(ph, 0)
	for i := range n {
		ops = append(ops, g.next(uint64(i)))
	}
	in := bufio.NewReader(bytes.NewReader(g.buf))
	for range n {
		words, err := readRequest(in)
		if err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		reqs = append(reqs, words)
	}
	if in.Buffered() > 0 {
		t.Errorf("%q: more requests than operations", args)
	}
	return ops, reqs
}

func TestRequests(t *testing.T) {
	tests := []struct{ args, want string }{
		{"set -dist sequential -d 0 -r 3", "SET key:000000000000 |SET key:000000000001 |SET key:000000000002 |SET key:000000000000 "},
		{"get -dist sequential -r 999999999999", "GET key:000000000000|GET key:000000000001|GET key:000000000002|GET key:000000000003"},
		{"incr -dist sequential", "INCR key:000000000000|INCR key:000000000001|INCR key:000000000002|INCR key:000000000003"},
		{"mget -dist sequential -mget-keys 2 -r 3", "MGET key:000000000000 key:000000000001|MGET key:000000000002 key:000000000000|" +
			"MGET key:000000000001 key:000000000002|MGET key:000000000000 key:000000000001"},
		{"scan -scan-count 50", "SCAN 0 COUNT 50|SCAN 0 COUNT 50|SCAN 0 COUNT 50|SCAN 0 COUNT 50"},
	}
	for _, tt := range tests {
		_, reqs := requests(t, 4, strings.Fields(tt.args)...)
		var got []string
		for _, words := range reqs {
			got = append(got, strings.Join(words, " "))
		}
		if s := strings.Join(got, "|"); s != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.args, s, tt.want)
		}
	}
}

func TestKeyDigits(t *testing.T) {
	for n, want := range map[uint64]string{0: "000000000000", 7: "000000000007", 123456789012: "123456789012", maxKeys: "999999999999"} {
		g := generator{}
		g.key(n)
		if got := string(g.buf); got != "$16\r\nkey:"+want+"\r\n" || keyBytes != 16 {
			t.Errorf("%d: %q", n, got)
		}
	}
}

// The shares of a mix come out, and inserts get new keys.
func TestMixes(t *testing.T) {
	const n = 10_000
	for _, name := range []string{"mixed", "ycsb-a", "ycsb-b", "ycsb-c", "ycsb-d", "ycsb-e", "ycsb-f"} {
		ops, reqs := requests(t, n, name, "-r", "1000", "-d", "1")
		w, _ := findWorkload(name)
		counts := make([]int, len(w.parts))
		inserted := 0
		for i, o := range ops {
			counts[o.part]++
			if o.code == opInsert {
				if want := 1000 + inserted; !strings.HasSuffix(reqs[i][1], string(rune('0'+want%10))) || reqs[i][1] <= "key:000000000999" {
					t.Fatalf("%s: insert number %d has key %s", name, inserted, reqs[i][1])
				}
				inserted++
			}
			if o.code == opRange && (len(reqs[i])-1 != int(o.lookups) || o.lookups > maxRange || !slices.IsSorted(reqs[i][1:])) {
				t.Fatalf("%s: range %q", name, reqs[i])
			}
		}
		for i, p := range w.parts {
			if got := float64(counts[i]) / n; math.Abs(got-p.share) > 0.03 {
				t.Errorf("%s: %s is %.3f of the operations, want %.2f", name, p.label, got, p.share)
			}
		}
	}
}

func BenchmarkGenerate(b *testing.B) {
	for _, args := range []string{"set", "get", "ycsb-a"} {
		b.Run(args, func(b *testing.B) {
			c, err := parseFlags([]string{args}, nil, func(string) string { return "" })
			if err != nil {
				b.Fatal(err)
			}
			g := newGenerator(newPhase(b.Context(), c, c.target, newValues(c.valueMin, c.valueMax, 0, 1)), 0)
			b.ReportAllocs()
			for b.Loop() {
				g.buf = g.buf[:0]
				for i := range uint64(32) {
					g.next(i)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/32, "ns/request")
		})
	}
}
