package main

import (
	"bufio"
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

func TestParseRate(t *testing.T) {
	const out = `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
"SET","33444.82","0.781","0.200","0.767","0.911","1.215","3.007"
`
	if rate, err := parseRate(out); err != nil || rate != 33444.82 {
		t.Errorf("got %v, %v", rate, err)
	}
	for _, bad := range []string{"", "\"SET\"\n", "Could not connect\n", "\"SET\",\"x\"\n", "\"SET\",\"0\"\n"} {
		if rate, err := parseRate(bad); err == nil {
			t.Errorf("%q: got %v and no error", bad, rate)
		}
	}
}

func TestHeldBack(t *testing.T) {
	for info, want := range map[string]int64{
		"": 0, // Redis has no such section
		"# Dkv\r\nhot_dirty_records:3\r\nhot_dirty_bytes:9000000\r\nhot_dirty_capacity:5\r\n": 9_000_000,
		"# Dkv\r\nhot_cache_bytes:1\r\n": 0,
	} {
		if got := heldBack(info); got != want {
			t.Errorf("%q: %d, want %d", info, got, want)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 2, 3}, 2.5}} {
		given := slices.Clone(c.in)
		if got := median(c.in); got != c.want || !slices.Equal(c.in, given) {
			t.Errorf("median(%v) = %v, want %v", given, got, c.want)
		}
	}
}

func TestReport(t *testing.T) {
	var out bytes.Buffer
	rows := []*row{
		{name: "GET -P 1", unit: "requests/s", base: []float64{100, 90, 110}, dkv: []float64{80, 81, 79}, floor: 0.75, goal: 1},
		{name: "memory", unit: "MiB", base: []float64{1000}, dkv: []float64{200}, floor: 0.25, goal: 0.1, lessGood: true},
	}
	report(config{rounds: 3, seconds: 6, keys: 1000, out: &out}, rows, "a machine", time.Minute)
	for _, want := range []string{
		"| GET -P 1 (requests/s) | 100 | 80 | **0.80** | 0.75 met | 1.00 missed | 0.80 0.90 0.72 |",
		"| memory (MiB) | 1000 | 200 | **0.20** | 0.25 met | 0.10 missed | 0.20 |",
		"`redis-benchmark -c 50 -d 100 -r 1000 -P 32`",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestFlags(t *testing.T) {
	if c, err := parseFlags([]string{"-quick", "-memory"}); err != nil || c.rounds != 1 || !slices.Contains(c.rows, rowMemory) {
		t.Errorf("%+v, %v", c, err)
	}
	c, err := parseFlags([]string{"-rows", "get,queues,families"})
	if want := slices.Concat([]string{"get"}, queueRows(), familyRows()); err != nil || !slices.Equal(c.rows, want) {
		t.Errorf("%v, %v, want %v", c.rows, err, want)
	}
	for _, bad := range [][]string{{"-rows", "nosuch"}, {"-rounds", "0"}, {"extra"}} {
		if _, err := parseFlags(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// The whole of it, as small as it goes.
func TestMeasure(t *testing.T) {
	harness.NeedLong(t)
	harness.NeedProgram(t, "redis-server", "redis-server")
	harness.NeedProgram(t, "redis-benchmark", "redis-tools")
	var out bytes.Buffer
	c := config{rounds: 1, seconds: 0.1, keys: 1000, memoryKeys: 2000, folder: t.TempDir(), out: &out, progress: io.Discard,
		rows: []string{rowGet, rowSetEverysec, rowSetAlways, rowMemory}}
	results, err := measure(c)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 7 {
		t.Fatalf("%d rows, want 7", len(results))
	}
	for _, r := range results {
		if r.ratio() <= 0 {
			t.Errorf("%s: %v to %v", r.name, r.dkv, r.base)
		}
	}
}

// The rows of collections and scripts, likewise.
func TestMeasureFamilies(t *testing.T) {
	harness.NeedLong(t)
	harness.NeedProgram(t, "redis-server", "redis-server")
	harness.NeedProgram(t, "redis-benchmark", "redis-tools")
	var out bytes.Buffer
	c := config{rounds: 1, seconds: 0.05, keys: 1000, queueOps: 20_000, elements: 5000, folder: t.TempDir(), out: &out, progress: io.Discard,
		rows: []string{"zpopmin", "eval", "queue-zset", "large-zset"}}
	results, err := measure(c)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 4 {
		t.Fatalf("%d rows, want 4", len(results))
	}
	for _, r := range results {
		if r.ratio() <= 0 {
			t.Errorf("%s: %v to %v", r.name, r.dkv, r.base)
		}
	}
	queued, err := measureQueues(c)
	if err != nil || len(queued) != 1 {
		t.Fatalf("%d queues, %v", len(queued), err)
	}
	for i, s := range queued[0].slices {
		if n := s.latencies.TotalCount(); n == 0 {
			t.Errorf("no pipeline ended in part %d", i)
		}
	}
	deleted, err := measureCollections(c)
	if err != nil || len(deleted) != 1 || deleted[0].del <= 0 {
		t.Fatalf("%+v, %v", deleted, err)
	}
	printQueues(&out, queued)
	printCollections(&out, deleted)
	for _, want := range []string{"ZADD, ZPOPMIN, 20 clients", "| to 20000 |", "| large-zset |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestSkipReply(t *testing.T) {
	for in, good := range map[string]bool{":1\r\n": true, "$2\r\nab\r\n": true, "*2\r\n$1\r\na\r\n$1\r\n1\r\n": true,
		"$-1\r\n": false, "*0\r\n": false, "-ERR no\r\n": false, "x\r\n": false} {
		r := bufio.NewReader(strings.NewReader(in + ":7\r\n"))
		if err := skipReply(r); (err == nil) != good {
			t.Errorf("%q: %v", in, err)
		}
		if next, _ := r.ReadString('\n'); good && next != ":7\r\n" {
			t.Errorf("%q: %q is next", in, next)
		}
	}
}
