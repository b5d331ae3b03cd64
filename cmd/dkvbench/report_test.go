package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// golden compares got with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; if that is intended: go test -rewrite\ngot:\n%s\nwant:\n%s", file, got, want)
	}
}

// madeUpRun is a run with figures that do not change.
func madeUpRun(server string, round int, paced bool, speed int64) *runResult {
	w, _ := findWorkload("ycsb-b")
	out := &outcome{began: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), total: newTally(2, paced), elapsed: 2 * time.Second}
	t := out.total
	for i := range int64(20_000) {
		part := 0
		if i%20 == 0 {
			part = 1
		}
		t.ops[part]++
		record(t.latency[part], (100+i)/speed, 1)
		if paced {
			record(t.service[part], (50+i/2)/speed, 1)
			record(t.lag, 20+i%7, 1)
		}
	}
	t.lookups, t.misses = 19_000, 190
	t.errors, t.lost = 3, 1
	t.addError("ERR something", 3)
	t.addError("connection: EOF", 1)
	if paced {
		t.late = 5
	}
	half := quantilesOf(t.allLatency())
	out.points = []point{
		{at: time.Second, width: time.Second, ops: 9_000, latency: half},
		{at: 2 * time.Second, width: time.Second, ops: 11_000, errors: 4, late: t.late, latency: half},
	}
	r := newRunResult(server, round, &w, out)
	return &r
}

func TestReportGolden(t *testing.T) {
	c := mustConfig(t, "ycsb-b", "-r", "1000", "-duration", "2s", "-seed", "42", "-d", "10-20", "-compressible", "0.5")
	a := server{target{addr: "127.0.0.1:6379"}, "dkv 0.1, redis 7.2.0"}
	b := server{target{addr: "127.0.0.1:6380"}, "redis 7.0.15"}

	var out bytes.Buffer
	printHeader(&out, c, []server{a})
	printRun(&out, madeUpRun(a.target.addr, 1, false, 1))
	golden(t, "run.txt", out.Bytes())

	out.Reset()
	c.rate = 10_000
	printHeader(&out, c, []server{a})
	printRun(&out, madeUpRun(a.target.addr, 1, true, 1))
	golden(t, "run_rate.txt", out.Bytes())

	out.Reset()
	printHeader(&out, c, []server{a, b})
	var runs []runResult
	for round := 1; round <= 2; round++ {
		ra, rb := madeUpRun(a.target.addr, round, false, 2), madeUpRun(b.target.addr, round, false, int64(round))
		printRound(&out, "A", ra)
		printRound(&out, "B", rb)
		runs = append(runs, *ra, *rb)
	}
	ma, mb := mediansOf([]runResult{runs[0], runs[2]}), mediansOf([]runResult{runs[1], runs[3]})
	printComparison(&out, ma, mb)
	golden(t, "compare.txt", out.Bytes())

	d := newDocument(c, []server{a, b}, runs[:2])
	d.compare(1, ma, mb)
	out.Reset()
	if err := d.write("-", &out); err != nil {
		t.Fatal(err)
	}
	golden(t, "compare.json", out.Bytes())
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	p := progress{out: &out, label: "get"}
	p.tick(point{at: 3 * time.Second, width: time.Second, ops: 1234, errors: 2, latency: quantiles{P50: 0.5, P99: 1, Max: 2}})
	p.clear()
	want := "\r\x1b[Kget    3s      1234 ops/s   p50 0.500 ms   p99 1.000 ms   max 2.000 ms   2 errors\r\x1b[K"
	if out.String() != want {
		t.Errorf("%q", out.String())
	}
	(&progress{}).tick(point{}) // prints nowhere
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{3, 1}, 2}, {[]float64{9, 1, 5}, 5}} {
		if got := median(tt.in); got != tt.want {
			t.Errorf("%v: %g", tt.in, got)
		}
	}
}
