package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"
)

func TestFlags(t *testing.T) {
	c := mustConfig(t, "ycsb-b", "-c", "7", "--dkvAddr=:7000", "-rate", "100")
	if c.workload.name != "ycsb-b" || c.conns != 7 || c.target.addr != "127.0.0.1:7000" || c.rate != 100 ||
		c.dist != "zipfian" || c.valueMin != 1000 || c.duration != defaultDuration {
		t.Errorf("%+v", c)
	}
	c = mustConfig(t, "-c", "7", "mixed", "-ratio", "0.9", "-d", "64-128", "-n", "10", "-dist", "sequential", "-compare", "h")
	if c.workload.parts[0].share != 0.9 || c.valueMin != 64 || c.valueMax != 128 || c.count != 10 || c.duration != 0 ||
		c.dist != "sequential" || c.compare.addr != "h:6379" {
		t.Errorf("%+v", c)
	}
	if c := mustConfig(t, "-a", "/tmp/sock", "-duration", "3s", "-n", "5", "-d", "0"); c.duration != 3*time.Second || c.count != 5 || c.valueMax != 0 {
		t.Errorf("%+v", c)
	}
	for _, args := range []string{
		"nosuch", "-nosuch", "-c 0", "-P 0", "-r 0", "-d x", "-d 9-1", "-d 1073741824", "-dist normal", "-theta 1", "-theta 0",
		"get -ratio 0.5", "mixed -ratio 2", "scan -P 2", "-rate -1", "-duration -1s", "-rounds 0", "-a h:x", "-compare h:x",
		"-P 10000 -d 1048576", "-compressible 2", "-db -1", "-mget-keys 0",
	} {
		if c, err := parseFlags(strings.Fields(args), io.Discard, func(string) string { return "" }); err == nil {
			t.Errorf("%s: accepted as %+v", args, c)
		}
	}
}

func TestPasswordFromEnvironment(t *testing.T) {
	c, err := parseFlags([]string{"get"}, io.Discard, func(name string) string { return "from " + name })
	if err != nil || c.target.pass != "from DKVBENCH_AUTH" {
		t.Errorf("%q, %v", c.target.pass, err)
	}
	// The help must not print it.
	var help bytes.Buffer
	parseFlags([]string{"-help"}, &help, func(string) string { return "hunter2" })
	if !strings.Contains(help.String(), "-compare host:port") || strings.Contains(help.String(), "hunter2") {
		t.Errorf("help:\n%s", &help)
	}
}

func TestCPUs(t *testing.T) {
	if c := (config{threads: 1, rate: 1}); c.cpus() != 2 {
		t.Errorf("%d", c.cpus())
	}
	if c := (config{threads: 3}); c.cpus() != 3 {
		t.Errorf("%d", c.cpus())
	}
}
