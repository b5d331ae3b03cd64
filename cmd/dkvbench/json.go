package main

import (
	"encoding/json"
	"io"
	"os"
)

// document is the JSON output. Times are seconds or, where the name says so,
// milliseconds.
type document struct {
	Tool       string          `json:"tool"`
	Version    string          `json:"version"`
	Config     documentConfig  `json:"config"`
	Servers    []documentHost  `json:"servers"`
	Runs       []runResult     `json:"runs"`
	Comparison *documentRatios `json:"comparison,omitempty"`
}

type documentConfig struct {
	Workload     string  `json:"workload"`
	Dist         string  `json:"distribution"`
	Theta        float64 `json:"theta"`
	Conns        int     `json:"connections"`
	Pipeline     int     `json:"pipeline"`
	ValueMin     int     `json:"value_bytes_min"`
	ValueMax     int     `json:"value_bytes_max"`
	Compressible float64 `json:"compressible"`
	Keys         uint64  `json:"records"`
	Count        uint64  `json:"operations"`
	Duration     float64 `json:"duration_seconds"`
	Rate         float64 `json:"rate"`
	Load         bool    `json:"load"`
	Warmup       float64 `json:"warmup_seconds"`
	Seed         uint64  `json:"seed"`
	Rounds       int     `json:"rounds"`
}

type documentHost struct {
	Addr string `json:"addr"`
	Info string `json:"info"`
}

type documentRatios struct {
	A      medianRun          `json:"a"`
	B      medianRun          `json:"b"`
	Ratios map[string]float64 `json:"a_over_b"`
}

func newDocument(c *config, servers []server, runs []runResult) *document {
	d := &document{
		Tool: "dkvbench", Version: version, Runs: runs,
		Config: documentConfig{
			Workload: c.workload.name, Dist: c.dist, Theta: c.theta, Conns: c.conns, Pipeline: c.pipeline,
			ValueMin: c.valueMin, ValueMax: c.valueMax, Compressible: c.compressible, Keys: c.keys, Count: c.count,
			Duration: c.duration.Seconds(), Rate: c.rate, Load: c.load, Warmup: c.warmup.Seconds(), Seed: c.seed, Rounds: 1,
		},
	}
	for _, s := range servers {
		d.Servers = append(d.Servers, documentHost{s.target.addr, s.info})
	}
	return d
}

// compare adds medians and their ratios; a ratio whose divisor is 0 is left out.
func (d *document) compare(rounds int, a, b medianRun) {
	d.Config.Rounds = rounds
	d.Comparison = &documentRatios{A: a, B: b, Ratios: map[string]float64{}}
	for name, pair := range map[string][2]float64{
		"operations_per_second": {a.OpsPerSec, b.OpsPerSec},
		"p50_ms":                {a.P50, b.P50},
		"p90_ms":                {a.P90, b.P90},
		"p99_ms":                {a.P99, b.P99},
		"p99.9_ms":              {a.P999, b.P999},
		"p99.99_ms":             {a.P9999, b.P9999},
		"max_ms":                {a.Max, b.Max},
	} {
		if pair[1] > 0 {
			d.Comparison.Ratios[name] = pair[0] / pair[1]
		}
	}
}

// write puts the document into the file, or on stdout for "-".
func (d *document) write(file string, stdout io.Writer) error {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if file == "-" {
		_, err = stdout.Write(text)
		return err
	}
	return os.WriteFile(file, text, 0o644)
}
