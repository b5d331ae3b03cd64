package main

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

func TestQuantile(t *testing.T) {
	ms := func(v ...time.Duration) []time.Duration {
		for i := range v {
			v[i] *= time.Millisecond
		}
		return v
	}
	for _, c := range []struct {
		in    []time.Duration
		share float64
		want  time.Duration
	}{
		{nil, 0.5, 0}, {ms(3), 0, 3}, {ms(3), 1, 3}, {ms(9, 1, 5), 0.5, 5}, {ms(9, 1, 5), 1, 9}, {ms(4, 1, 2, 3), 0.5, 3}, {ms(4, 1, 2, 3), 0, 1},
	} {
		if got := quantile(c.in, c.share); got != c.want*time.Millisecond {
			t.Errorf("quantile(%v, %v) = %v, want %v ms", c.in, c.share, got, c.want)
		}
	}
}

// A marker that the replica shows is counted with all before it, once, and not before
// the source has acknowledged it.
func TestMarkers(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	m := &markers{}
	for _, step := range []struct {
		name  string
		acked int // ms; 0: nothing more
		over  bool
		last  int
		now   int
		all   bool
		lags  []int
	}{
		{name: "none yet", last: -5, now: 1},
		{name: "acknowledged, not shown", acked: 10, last: -1, now: 11},
		{name: "two at once", acked: 15, last: 1, now: 20, lags: []int{10, 5}},
		{name: "shown again", last: 1, now: 30, lags: []int{10, 5}},
		{name: "shown before the source's reply", last: 2, now: 31, lags: []int{10, 5}},
		{name: "the clock of the reply is later", acked: 40, last: 2, now: 39, lags: []int{10, 5, 0}},
		{name: "the last one is missing", acked: 50, over: true, last: 2, now: 51, lags: []int{10, 5, 0}},
		{name: "all", over: true, last: 3, now: 57, all: true, lags: []int{10, 5, 0, 7}},
	} {
		if step.acked > 0 {
			m.mu.acked = append(m.mu.acked, at(step.acked))
		}
		m.mu.over = step.over
		all := m.saw(step.last, at(step.now))
		var lags []int
		for _, d := range m.lags {
			lags = append(lags, int(d/time.Millisecond))
		}
		if all != step.all || !slices.Equal(lags, step.lags) {
			t.Errorf("%s: %v, %v, want %v, %v", step.name, all, lags, step.all, step.lags)
		}
	}
}

func TestReportReplicas(t *testing.T) {
	var out bytes.Buffer
	ms := time.Millisecond
	r := replicaResults{
		lags: []lagRow{
			{pipeline: 32, rate: 1000, lags: []time.Duration{ms, 2 * ms, 1500 * ms}},
			{pipeline: 32, half: true, rate: 500, lags: []time.Duration{ms, 2 * ms, 1500 * ms}},
		},
		catchUp: &catchUp{writes: 1000, entries: 10, writeRate: 100, took: 8 * time.Second},
		copy:    &copied{data: 200e6, took: 4 * time.Second, disk: 40e6},
		sources: []*sourceRow{
			{pipeline: 1, rates: []float64{100}}, {pipeline: 32, rates: []float64{1000}},
			{pipeline: 1, replicas: 1, rates: []float64{90}, source: []float64{2}, others: []float64{3}}, {pipeline: 32, replicas: 1, rates: []float64{500}},
			{pipeline: 1, replicas: 2, rates: []float64{81}}, {pipeline: 32, replicas: 2, rates: []float64{400, 600, 500}},
		},
	}
	reportReplicas(config{out: &out}, r, "a machine", time.Minute)
	for _, want := range []string{
		"| `-P 32`, full load | 1000 | 2.0 ms | 1500.0 ms | 1500.0 ms | max 1s missed |",
		"| `-P 32`, half load | 500 | 2.0 ms | 1500.0 ms | 1500.0 ms | p50 10ms met |",
		"| 1000 SETs behind | 10 | 100/s | 8.0 s | 125/s | **1.25** | 1.00 met |",
		"| 200 MB in values of 1000 bytes | 4.0 s | **50 MB/s** | 40 MB/s | 100 MB/s, or the disk's met |",
		"| `-P 1`, 0 replicas | 100 | 1.00 | - |",
		"| `-P 1`, 1 replicas | 90 | 0.90 | 10% | 2.0 | 3.0 | 90 |",
		"| `-P 1`, 2 replicas | 81 | 0.81 | 10% |",
		"| `-P 32`, 2 replicas | 500 | 0.50 | 0% | 0.0 | 0.0 | 400 600 500 |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestReportEngines(t *testing.T) {
	var out bytes.Buffer
	reportEngines(config{rounds: 1, keys: 1000, out: &out}, []*engineResult{
		{engine: "pebble", fill: 10, disk: 1 << 20, amplification: 2.5, restart: 1500 * time.Millisecond, rates: map[string]float64{"GET `-P 1`": 77}},
		{engine: "badger", restless: 2, fill: 20, overwrites: 3e6, overwriteAmplification: 4, rates: map[string]float64{}},
	}, "a machine", time.Minute)
	for _, want := range []string{
		"|  | pebble | badger |\n| --- | ---: | ---: |\n", "| GET `-P 1`, /s | 77 | 0 |", "(data: 0 MiB) | 1 MiB | 0 MiB |",
		"| write amplification of filling | 2.5 | 0.0 |", "| 0.0 (0.0M SETs) | 4.0 (3.0M SETs) |", "| start after SIGTERM | 1.5 s | 0.0 s |",
		"| runs that began before it was at rest | 0 | 2 |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestParseDkvbench(t *testing.T) {
	const head = `{"runs": [{"operations_per_second": `
	if run, err := parseDkvbench([]byte(head + `1234.5, "misses": 0}]}`)); err != nil || run.Rate != 1234.5 {
		t.Errorf("got %+v, %v", run, err)
	}
	for _, bad := range []string{"", "{}", head + `0}]}`, head + `1, "misses": 3}]}`, head + `1, "error_replies": 3}]}`, head + `1, "lost": 3}]}`, head + `1}, {}]}`} {
		if rate, err := parseDkvbench([]byte(bad)); err == nil {
			t.Errorf("%q: got %v and no error", bad, rate)
		}
	}
}

func TestModes(t *testing.T) {
	c, err := parseFlags([]string{"-replicas"})
	if err != nil || !slices.Equal(c.rows, replicaRows) || c.keys != soloKeys || c.behind != defaultBehind {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = parseFlags([]string{"-engines", "-rows", "badger"}); err != nil || !slices.Equal(c.rows, []string{"badger"}) || c.keys != engineKeys {
		t.Errorf("%+v, %v", c, err)
	}
	for _, bad := range [][]string{{"-replicas", "-cluster"}, {"-engines", "-replicas"}, {"-engines", "-cluster"}, {"-replicas", "-rows", "get"}, {"-engines", "-rows", "lag"},
		{"-behind", "0"}, {"-copy-mb", "0"}} {
		if _, err := parseFlags(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// Each key is set once, whatever their number.
func TestFillScattered(t *testing.T) {
	harness.NeedLong(t)
	server := harness.Dkv(t)
	conn := server.Dial(t)
	for _, keys := range []int{1, 3, 4, 5, fillPipeline*fillConns + 7} {
		conn.OK("FLUSHALL")
		if rate, err := fillScattered(server, keys, valueBytes); err != nil || rate <= 0 {
			t.Fatalf("%d keys: %v, %v", keys, rate, err)
		}
		if n := conn.DoInt("DBSIZE"); n != int64(keys) {
			t.Errorf("%d keys, want %d", n, keys)
		}
		if n := conn.DoInt("STRLEN", keyOf(keys-1)); n != valueBytes {
			t.Errorf("the last of %d keys has %d bytes", keys, n)
		}
	}
	// A server that refuses is noticed.
	conn.OK("CONFIG", "SET", "min-replicas-to-write", "1")
	if _, err := fillScattered(server, 100, valueBytes); err == nil || !strings.Contains(err.Error(), "NOREPLICAS") {
		t.Errorf("SETs that are refused: %v", err)
	}
}

// A load at a rate is no faster than that.
func TestPacedLoad(t *testing.T) {
	harness.NeedLong(t)
	server := harness.Dkv(t)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	const asked = 2000
	rate, err := pacedLoad(ctx, server, 100, 4, asked)
	// Each connection's first pipeline is due at once.
	if limit := asked + 2*float64(clients*4); err != nil || rate <= 0 || rate > limit {
		t.Errorf("%v/s, %v; asked for %d, at most %v", rate, err, asked, limit)
	}
}

// All rows, as small as they go.
func TestMeasureReplicas(t *testing.T) {
	harness.NeedLong(t)
	harness.NeedItself(t)
	harness.NeedProgram(t, "redis-benchmark", "redis-tools")
	c := tiny(t)
	c.behind, c.copyMB = 2000, 70
	lags, err := measureLag(c)
	if err != nil || len(lags) != 4 {
		t.Fatalf("%d rows, %v", len(lags), err)
	}
	for _, r := range lags {
		if r.rate <= 0 || len(r.lags) == 0 {
			t.Errorf("%+v", r)
		}
	}
	if r, err := measureCatchUp(c); err != nil || r.rate() <= 0 || r.writeRate <= 0 || r.entries <= 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := measureCopy(c); err != nil || r.took <= 0 || r.disk <= 0 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, sinks := range []bool{false, true} {
		c.rounds = 2 // replicas and sinks go on where they were
		rows, err := measureSources(c, sinks)
		if err != nil || len(rows) != 2*(maxReplicas+1) {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		for _, r := range rows {
			if len(r.rates) != c.rounds || r.rates[0] <= 0 || r.source[0] < 0 {
				t.Errorf("%+v", *r)
			}
		}
	}
}

func TestMeasureEngines(t *testing.T) {
	harness.NeedLong(t)
	for _, engine := range harness.Engines {
		t.Run(engine, func(t *testing.T) {
			harness.NeedEngine(t, engine)
			r, err := measureEngine(tiny(t), engine)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range engineLoads() {
				if r.rates[l.name] <= 0 {
					t.Errorf("%s: %v/s", l.name, r.rates[l.name])
				}
			}
			if r.fill <= 0 || r.disk <= 0 || r.amplification == 0 || r.overwrites <= 0 || r.resident <= 0 || r.restart <= 0 || r.recovery <= 0 {
				t.Errorf("%+v", *r)
			}
		})
	}
}

func TestBusyThreads(t *testing.T) {
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	busy, err := busyThreads(os.Getpid())
	close(stop)
	<-done
	if err != nil || !strings.Contains(busy, "bench.test ") {
		t.Errorf("%q, %v", busy, err)
	}
}
