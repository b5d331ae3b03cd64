package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"dkv/tests/harness"
)

// dkvbench runs a workload of this repository's own load generator and returns
// operations per second. It knows SCAN and MGET, and its values do not compress.
func dkvbench(s *harness.Server, c config, workload string, pipeline int, flags ...string) (float64, error) {
	run, err := runDkvbench(s, workload, append([]string{"-c", strconv.Itoa(clients), "-P", strconv.Itoa(pipeline), "-r", strconv.Itoa(c.keys),
		"-d", strconv.Itoa(valueBytes), "-duration", fmt.Sprintf("%gs", c.seconds)}, flags...)...)
	if err != nil {
		return 0, err
	}
	return run.Rate, nil
}

// benchRun is a run, as dkvbench tells of it.
type benchRun struct {
	Began   time.Time   `json:"began"`
	Seconds float64     `json:"seconds"`
	Rate    float64     `json:"operations_per_second"`
	Errors  int64       `json:"error_replies"`
	Lost    int64       `json:"lost"`
	Misses  int64       `json:"misses"`
	Latency ycsbLatency `json:"latency"`
	Series  []ycsbPoint `json:"series"`
}

// runDkvbench runs a workload of dkvbench with these flags.
func runDkvbench(s *harness.Server, workload string, flags ...string) (*benchRun, error) {
	program, err := harness.Program("dkvbench")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, append([]string{workload, "-a", s.Addr(), "-json", "-"}, flags...)...)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, s.Logs())
	}
	return parseDkvbench(out)
}

// parseDkvbench reads the one run in what dkvbench -json prints. A read that found
// nothing, and an error, make a figure worth nothing.
func parseDkvbench(out []byte) (*benchRun, error) {
	var d struct {
		Runs []benchRun `json:"runs"`
	}
	if err := json.Unmarshal(out, &d); err != nil {
		return nil, fmt.Errorf("dkvbench printed %.200q: %w", out, err)
	}
	if len(d.Runs) != 1 {
		return nil, fmt.Errorf("dkvbench tells of %d runs", len(d.Runs))
	}
	r := &d.Runs[0]
	if r.Rate <= 0 || r.Errors != 0 || r.Lost != 0 || r.Misses != 0 {
		return nil, fmt.Errorf("dkvbench: %.0f/s, %d errors, %d lost, %d keys not found", r.Rate, r.Errors, r.Lost, r.Misses)
	}
	return r, nil
}
