package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

// What the flags of a node add up to leaves room for the program and the collector.
func TestYCSBFlags(t *testing.T) {
	for _, mib := range []int64{96, 100, 256, 512, 4096, 65536} {
		for _, node := range []string{nodeLayer, nodePlain} {
			memory, sum, seen := mib<<20, int64(programBytes), map[string]int64{}
			flags := ycsbFlags(memory, node)
			for i := 0; i+1 < len(flags); i += 2 {
				n, err := strconv.ParseInt(flags[i+1], 10, 64)
				if flags[i] == "-fsync" {
					continue
				}
				if err != nil || n < 0 {
					t.Fatalf("%v: %s %q", flags, flags[i], flags[i+1])
				}
				seen[flags[i]] = n
				sum += n
			}
			sum += seen["-memtable-size"] // two are in use
			if sum = sum * 17 / 16; sum > memory+memory/16 || sum < memory-memory/16 {
				t.Errorf("%d MiB, %s: %v need %d", mib, node, flags, sum>>20)
			}
			if hot := seen["-hot-cache-size"] + seen["-hot-write-buffer-size"]; (hot > 0) != (node == nodeLayer) {
				t.Errorf("%s: %v", node, flags)
			}
		}
	}
}

func TestCheckpointSpans(t *testing.T) {
	info := "# Dkv\r\nhot_checkpoints:3\r\nhot_checkpoint_msec_avg:7\r\nhot_checkpoint_msec_last:1500\r\n"
	if n, last := parseCheckpoints(info); n != 3 || last != 1500*time.Millisecond {
		t.Errorf("%d, %v", n, last)
	}
	if n, _ := parseCheckpoints("# Dkv\r\nengine:pebble\r\n"); n != 0 {
		t.Errorf("%d of a node without a layer", n)
	}
	began := time.Unix(1000, 0)
	at := func(seconds float64, count int64, last time.Duration) ycsbSample {
		return ycsbSample{at: began.Add(time.Duration(seconds * float64(time.Second))), checkpoints: count, last: last}
	}
	got := checkpointSpans([]ycsbSample{at(0, 1, time.Hour), at(1, 1, time.Hour), at(2, 2, 3*time.Second), at(5, 2, 3*time.Second), at(6, 4, time.Second)}, began)
	if want := []ycsbSpan{{0, 2}, {5, 6}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// madeUpYCSB is a measurement of A and of a steady rate.
func madeUpYCSB() *ycsbDocument {
	d := &ycsbDocument{Machine: "a <machine>", Keys: 1000, ValueBytes: 200, MemoryBytes: 128 << 20, ProcessBytes: 100 << 20, Bounded: true, Pipeline: 1,
		Flags: map[string][]string{}, Peaks: map[string]float64{nodeLayer: 110 << 20, nodePlain: 120 << 20}}
	for i, w := range []string{"a", rowSteady} {
		for _, node := range []string{nodePlain, nodeLayer} {
			r := &ycsbRun{Workload: w, Node: node, Rate: 1000, Latency: ycsbLatency{P50: 1, P99: 2, P999: 3, Max: 4}}
			for s := range 4 {
				r.Series = append(r.Series, ycsbPoint{At: float64(s + 1), Rate: 1000, ycsbLatency: ycsbLatency{P50: 1, P99: float64(s + 1), P999: float64(10 * (s + 1))}})
			}
			if node == nodeLayer {
				r.Rate *= 2.5
				r.Checkpoints = []ycsbSpan{{From: 1.5, To: 2.5}}
			}
			if i > 0 {
				r.TargetRate = 500
			}
			d.Runs = append(d.Runs, r)
		}
	}
	return d
}

func TestYCSBReport(t *testing.T) {
	var out bytes.Buffer
	reportYCSB(config{out: &out, seconds: 4}, madeUpYCSB(), time.Minute)
	for _, want := range []string{
		"128 MiB for everything (with its page cache, in a control group; 100 MiB configured)",
		"| YCSB A | 1000 | 2500 | **2.50** | 2.00 met |",
		"| YCSB A | layer | 1.00 | 2.00 | 3.00 | 4.0 | 1 | 2.50, 2.50 | 25.00, 25.00 |",
		"| A at 500/s | plain | 1.00 | 2.00 | 3.00 | 4.0 | 0 | 2.50, - | 25.00, - |",
		"| layer | 110 | **1.10** | 1.15 met |",
		"| plain | 120 | **1.20** | 1.15 missed |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

// The plot is well formed, has two lines a run, and a stripe a checkpoint; what is read
// from a file of -json gives the same.
func TestYCSBPlot(t *testing.T) {
	d := madeUpYCSB()
	svg := plotYCSB(d)
	elements := map[string]int{}
	for in := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := in.Token()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v\n%s", err, svg)
		}
		if e, ok := token.(xml.StartElement); ok {
			elements[e.Name.Local]++
			if slices.ContainsFunc(e.Attr, func(a xml.Attr) bool { return a.Value == "checkpoint" }) {
				elements["checkpoint"]++
			}
		}
	}
	if elements["polyline"] != 8 || elements["checkpoint"] != 2 {
		t.Errorf("%v in\n%s", elements, svg)
	}
	from, to := filepath.Join(t.TempDir(), "y.json"), filepath.Join(t.TempDir(), "y.svg")
	if err := errors.Join(d.write(from), plotFile(from, to)); err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(to); err != nil || !bytes.Equal(again, svg) {
		t.Errorf("%v, %d bytes, not %d", err, len(again), len(svg))
	}
}

func TestYCSBParse(t *testing.T) {
	c, err := parseFlags([]string{"-ycsb", "-rows", "a,steady"})
	if err != nil || c.keys != ycsbKeys || c.seconds != ycsbSeconds || c.memoryMB != ycsbMemoryMB || !slices.Equal(c.rows, []string{"a", rowSteady}) {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := parseFlags([]string{"-ycsb", "-quick"}); err != nil || c.keys != ycsbQuickKeys || c.seconds != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := parseFlags([]string{"-ycsb", "-seconds", "7"}); err != nil || c.seconds != 7 {
		t.Errorf("%+v, %v", c, err)
	}
	for _, bad := range [][]string{{"-ycsb", "-engines"}, {"-ycsb", "-rows", "get"}, {"-plot", "x"}, {"-ycsb", "-memory-mb", "0"}} {
		if _, err := parseFlags(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// The whole of it, as small as it goes.
func TestMeasureYCSB(t *testing.T) {
	harness.NeedLong(t)
	harness.NeedItself(t)
	folder := t.TempDir()
	c := config{ycsb: true, rows: []string{"a", rowSteady}, seconds: 0.3, keys: 3000, memoryMB: ycsbQuickMB, pipeline: 4, folder: filepath.Join(folder, "data"),
		json: filepath.Join(folder, "y.json"), svg: filepath.Join(folder, "y.svg"), out: io.Discard, progress: io.Discard}
	if err := runYCSB(c); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(c.json)
	if err != nil {
		t.Fatal(err)
	}
	var d ycsbDocument
	if err := json.Unmarshal(text, &d); err != nil || len(d.Runs) != 4 {
		t.Fatalf("%d runs, %v", len(d.Runs), err)
	}
	for _, r := range d.Runs {
		if r.Rate <= 0 || len(r.Series) == 0 || r.Series[0].P999 <= 0 || len(r.Resident) == 0 {
			t.Errorf("%s on %s: %+v", r.Workload, r.Node, r)
		}
	}
	if d.Peaks[nodeLayer] <= 0 || d.Peaks[nodePlain] <= 0 {
		t.Errorf("resident: %v", d.Peaks)
	}
	if svg, err := os.ReadFile(c.svg); err != nil || bytes.Count(svg, []byte("<polyline")) != 8 {
		t.Errorf("%v\n%s", err, svg)
	}
	if _, err := os.Stat(c.folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data is left: %v", err)
	}
}
