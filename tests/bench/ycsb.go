package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"dkv/tests/harness"
)

const (
	ycsbKeys       = 20_000_000
	ycsbValueBytes = 200
	ycsbMemoryMB   = 512
	ycsbSeconds    = 40.0
	// With -quick: more than fits as well.
	ycsbQuickKeys = 300_000
	ycsbQuickMB   = 96
	// rowSteady is workload A at a rate that both nodes can keep up with: the latencies
	// of a server without a queue.
	rowSteady = "steady"
	// steadyShare is that rate, of what the slower node does at most.
	steadyShare = 0.5

	// ycsbFloor is what the layer has to gain in throughput, memoryFloor how much of
	// the memory that is configured a node may take.
	ycsbFloor   = 2.0
	memoryFloor = 1.15

	// Loading uses other pipelines than the workloads: it is not measured.
	loadConns, loadPipeline = 16, 64
	sampleInterval          = 200 * time.Millisecond
)

// ycsbRows are YCSB's core workloads of these letters, and rowSteady.
var ycsbRows = []string{"a", "b", "c", "f", rowSteady}

// The two nodes: with the hot layer, and with its memory given to the block cache.
const (
	nodeLayer = "layer"
	nodePlain = "plain"
)

// ycsbRun is one workload on one node. Times are seconds since it began.
type ycsbRun struct {
	Workload    string         `json:"workload"`
	Node        string         `json:"node"`
	TargetRate  float64        `json:"target_rate,omitempty"` // of rowSteady
	Rate        float64        `json:"operations_per_second"`
	ServerCPU   float64        `json:"server_cpu_us_per_operation"` // in user mode and the kernel
	Latency     ycsbLatency    `json:"latency"`
	Series      []ycsbPoint    `json:"series"`
	Checkpoints []ycsbSpan     `json:"checkpoints"` // of the hot layer
	Resident    []ycsbResident `json:"resident"`
}

type ycsbLatency struct {
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p99.9_ms"`
	Max  float64 `json:"max_ms"`
}

type ycsbPoint struct {
	At   float64 `json:"t"` // the end of the second
	Rate float64 `json:"operations_per_second"`
	ycsbLatency
}

type ycsbSpan struct {
	From float64 `json:"from"`
	To   float64 `json:"to"`
}

type ycsbResident struct {
	At    float64 `json:"t"`
	Bytes float64 `json:"bytes"`
}

// ycsbDocument is what -json writes and -plot reads.
type ycsbDocument struct {
	Machine     string `json:"machine"`
	Date        string `json:"date"`
	Keys        int    `json:"keys"`
	ValueBytes  int    `json:"value_bytes"`
	MemoryBytes int64  `json:"memory_bytes"`
	// ProcessBytes is what a node's flags add up to, and Bounded that nothing can take more
	// than MemoryBytes, with what the page cache has of its files.
	ProcessBytes int64               `json:"process_bytes"`
	Bounded      bool                `json:"bounded"`
	Pipeline     int                 `json:"pipeline"`
	Flags        map[string][]string `json:"flags"`
	Runs         []*ycsbRun          `json:"runs"`
	// Peaks are the highest resident memory of each node over all runs, warming up included.
	Peaks map[string]float64 `json:"peak_resident_bytes"`
	// Restless is how many runs began while a node still had something to do after restLimit.
	Restless int `json:"restless,omitempty"`
}

// run returns a workload's run on a node, nil if there is none.
func (d *ycsbDocument) run(workload, node string) *ycsbRun {
	for _, r := range d.Runs {
		if r.Workload == workload && r.Node == node {
			return r
		}
	}
	return nil
}

// programBytes is what a node takes beside the caches: the program, and what
// connections, batches and replies take. The collector needs a sixteenth besides.
const programBytes = 60 << 20

// pageCacheShare is the part of a node's memory that is left to the page cache, where
// that counts: tables are read through it, and the log is written through it.
const pageCacheShare = 8

// ycsbFlags divides memory among what a node keeps there, as docs/tuning.md says.
func ycsbFlags(memory int64, node string) []string {
	caches := max(memory*16/17-programBytes, 8<<20)
	parts := map[string]int64{"log-cache-size": min(max(caches/48, 1<<20), 64<<20)}
	if node == nodeLayer {
		parts["memtable-size"] = min(max(caches/48, 1<<20), 32<<20)
		rest := caches - parts["log-cache-size"] - 2*parts["memtable-size"]
		parts["block-cache-size"], parts["hot-write-buffer-size"] = rest/4, min(rest/4, 4<<30)
		parts["hot-cache-size"] = rest - parts["block-cache-size"] - parts["hot-write-buffer-size"]
	} else {
		parts["memtable-size"] = min(max(caches/12, 1<<20), 32<<20)
		parts["hot-cache-size"], parts["hot-write-buffer-size"] = 0, 0
		parts["block-cache-size"] = caches - parts["log-cache-size"] - 2*parts["memtable-size"]
	}
	flags := []string{"-fsync", "everysec"}
	for _, name := range []string{"hot-cache-size", "hot-write-buffer-size", "block-cache-size", "memtable-size", "log-cache-size"} {
		flags = append(flags, "-"+name, strconv.FormatInt(parts[name], 10))
	}
	return flags
}

// runYCSB is `make bench-ycsb`.
func runYCSB(c config) error {
	began := time.Now()
	d, err := measureYCSB(c)
	if err != nil {
		return err
	}
	reportYCSB(c, d, time.Since(began))
	if c.json != "" {
		if err := d.write(c.json); err != nil {
			return err
		}
	}
	if c.svg != "" {
		return os.WriteFile(c.svg, plotYCSB(d), 0o644)
	}
	return nil
}

// bound makes a control group for each node, so that what it is given is all that it
// has. Where there are none, or for whom they are not, what misses a node's caches is
// found in a page cache as large as the machine, and the report says so.
func (d *ycsbDocument) bound(c config) (groups map[string]*memoryGroup, remove func() error) {
	groups = map[string]*memoryGroup{}
	remove = func() (err error) {
		for _, g := range groups {
			err = errors.Join(err, g.remove())
		}
		clear(groups)
		return err
	}
	for _, name := range []string{nodePlain, nodeLayer} {
		g, err := newMemoryGroup(name, d.MemoryBytes)
		if err != nil {
			fmt.Fprintf(c.progress, "the page cache is not bounded: %v\n", errors.Join(err, remove()))
			return groups, remove
		}
		groups[name] = g
	}
	d.Bounded, d.ProcessBytes = true, d.MemoryBytes-d.MemoryBytes/pageCacheShare
	return groups, remove
}

// measureYCSB loads one folder, which both nodes begin with, and measures both.
func measureYCSB(c config) (d *ycsbDocument, err error) {
	if err := os.RemoveAll(c.folder); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.folder)) }()
	d = &ycsbDocument{Machine: machine(), Date: time.Now().UTC().Format(time.DateOnly), Keys: c.keys, ValueBytes: ycsbValueBytes,
		MemoryBytes: int64(c.memoryMB) << 20, ProcessBytes: int64(c.memoryMB) << 20, Pipeline: c.pipeline, Flags: map[string][]string{}, Peaks: map[string]float64{}}
	groups, remove := d.bound(c)
	defer func() { err = errors.Join(err, remove()) }()
	if err := loadYCSB(c, d.Bounded); err != nil {
		return nil, fmt.Errorf("loading: %w", err)
	}
	var nodes []*ycsbNode
	for _, name := range []string{nodePlain, nodeLayer} {
		d.Flags[name] = slices.Concat(ycsbFlags(d.ProcessBytes, name), c.dkvFlags)
		server, err := start(c, name, func(dir string) (harness.Spec, error) {
			spec, err := harness.DkvSpec(dir, d.Flags[name]...)
			if g := groups[name]; g != nil {
				spec = g.run(spec)
			}
			return spec, err
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		n := &ycsbNode{contender: contender{name: name, server: server}, group: groups[name]}
		nodes = append(nodes, n)
		defer n.stop()
		if err := n.watch(); err != nil {
			return nil, err
		}
	}
	y := &ycsb{c: c, d: d, nodes: nodes}
	if err := y.runAll(); err != nil {
		for _, n := range nodes {
			err = errors.Join(err, n.killed())
		}
		return nil, err
	}
	for _, n := range nodes {
		samples, err := n.stop()
		if err != nil {
			return nil, err
		}
		for _, s := range samples {
			d.Peaks[n.name] = max(d.Peaks[n.name], s.resident)
		}
	}
	return d, nil
}

// loadYCSB makes the folders of both nodes: one is loaded, the other a copy.
func loadYCSB(c config, bounded bool) error {
	server, err := start(c, nodeLayer, func(dir string) (harness.Spec, error) {
		return harness.DkvSpec(dir, slices.Concat([]string{"-fsync", "everysec"}, c.dkvFlags)...)
	})
	if err != nil {
		return err
	}
	defer server.Kill()
	fmt.Fprintf(c.progress, "loading %d keys\n", c.keys)
	began := time.Now()
	if _, err := runDkvbench(server, "ycsb-c", "-load", "-n", "1", "-c", strconv.Itoa(loadConns), "-P", strconv.Itoa(loadPipeline),
		"-r", strconv.Itoa(c.keys), "-d", strconv.Itoa(ycsbValueBytes)); err != nil {
		return err
	}
	if _, err := call(server, "SAVE"); err != nil {
		return err
	}
	if err := settle([]contender{{name: "load", server: server}}); err != nil {
		return err
	}
	if code, err := server.Terminate(stopLimit); err != nil || code != 0 {
		return fmt.Errorf("stopping: exit code %d, %w", code, err)
	}
	if err := copyFolder(filepath.Join(c.folder, nodeLayer), filepath.Join(c.folder, nodePlain), !bounded); err != nil {
		return err
	}
	fmt.Fprintf(c.progress, "loaded and copied in %v\n", time.Since(began).Round(time.Second))
	syscall.Sync()
	return nil
}

// copyFolder copies a data folder of Pebble's. Nobody changes a table, so they can be
// linked, and both nodes then share what the page cache has of them.
func copyFolder(from, to string, link bool) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		switch {
		case e.IsDir():
			return os.MkdirAll(target, 0o755)
		case link && filepath.Ext(path) == ".sst":
			return os.Link(path, target)
		}
		return copyFile(path, target)
	})
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

// ycsb is the measurement, when both nodes run.
type ycsb struct {
	c     config
	d     *ycsbDocument
	nodes []*ycsbNode
}

// runAll warms both nodes up, and runs each workload on both.
func (y *ycsb) runAll() error {
	for _, n := range y.nodes {
		fmt.Fprintf(y.c.progress, "%s: warming up\n", n.name)
		if _, err := y.dkvbench(n, "ycsb-c"); err != nil {
			return err
		}
	}
	for _, workload := range ycsbRows {
		if !y.c.has(workload) {
			continue
		}
		name, flags, target := "ycsb-"+workload, []string(nil), 0.0
		if workload == rowSteady {
			name = "ycsb-a"
			var err error
			if target, err = y.steadyRate(); err != nil {
				return err
			}
			flags = []string{"-rate", strconv.FormatFloat(target, 'f', 0, 64)}
		}
		for _, n := range y.nodes {
			if err := y.settle(); err != nil {
				return err
			}
			before, err := cpuTime([]contender{n.contender})
			if err != nil {
				return err
			}
			out, err := y.dkvbench(n, name, flags...)
			if err != nil {
				return err
			}
			after, err := cpuTime([]contender{n.contender})
			if err != nil {
				return err
			}
			r := out.ycsbRun(workload, n)
			r.TargetRate = target
			r.ServerCPU = float64((after - before).Microseconds()) / (out.Rate * out.Seconds)
			y.d.Runs = append(y.d.Runs, r)
			fmt.Fprintf(y.c.progress, "%s: %-6s %8.0f/s, p50 %.3f, p99 %.3f, p99.9 %.3f ms, %d checkpoints\n", n.name, workload, r.Rate,
				r.Latency.P50, r.Latency.P99, r.Latency.P999, len(r.Checkpoints))
		}
		slices.Reverse(y.nodes)
	}
	return nil
}

// steadyRate is a share of what the slower node has done of A; without its row, of a
// run for the purpose.
func (y *ycsb) steadyRate() (float64, error) {
	lowest := 0.0
	for _, n := range y.nodes {
		r := y.d.run("a", n.name)
		if r == nil {
			out, err := y.dkvbench(n, "ycsb-a")
			if err != nil {
				return 0, err
			}
			r = out.ycsbRun("a", n)
		}
		if lowest == 0 || r.Rate < lowest {
			lowest = r.Rate
		}
	}
	return max(1, lowest*steadyShare), nil
}

// settle waits until both nodes are at rest. The data was loaded by a node with other
// memory, so that each of these may have tables to merge for a while: a run begins all
// the same then, and the report says so.
func (y *ycsb) settle() error {
	err := settleAll(y.contenders())
	if !errors.Is(err, errNoRest) {
		return err
	}
	y.d.Restless++
	for _, n := range y.nodes {
		busy, err := busyThreads(n.server.PID())
		if err != nil {
			return err
		}
		compactions, err := infoNumber(n.server, "shard0_compactions")
		if err != nil {
			return err
		}
		fmt.Fprintf(y.c.progress, "%s: not at rest: %s; %.0f compactions\n", n.name, busy, compactions)
	}
	return nil
}

func (y *ycsb) contenders() []contender {
	var all []contender
	for _, n := range y.nodes {
		all = append(all, n.contender)
	}
	return all
}

// dkvbench runs a workload on all keys.
func (y *ycsb) dkvbench(n *ycsbNode, workload string, flags ...string) (*benchRun, error) {
	return runDkvbench(n.server, workload, append([]string{"-c", strconv.Itoa(clients), "-P", strconv.Itoa(y.c.pipeline),
		"-r", strconv.Itoa(y.c.keys), "-d", strconv.Itoa(ycsbValueBytes), "-duration", fmt.Sprintf("%gs", y.c.seconds)}, flags...)...)
}
