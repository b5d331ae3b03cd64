package main

import (
	"errors"
	"fmt"
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

// engineResult is what one engine does. Rates are operations a second, sizes bytes.
type engineResult struct {
	engine string
	keys   int
	fill   float64 // SETs of new keys, a second

	// When the fill is over, flushed and compacted.
	disk          float64 // the engine's folder
	amplification float64 // bytes the engine wrote of bytes of keys and values
	// Until PING is answered: after SIGTERM, and after SIGKILL at the end of the overwriting.
	restart, recovery time.Duration

	rates map[string]float64 // of the loads

	restless int // how often it was not at rest before a run

	resident float64 // after the reads

	// SETs of keys that are there, and what is when they are over, flushed and compacted.
	overwrites             float64
	overwriteAmplification float64
	diskEnd, residentEnd   float64
}

// engineLoad is a workload of dkvbench.
type engineLoad struct {
	name, workload string
	pipeline       int
	flags          []string
}

const (
	mgetKeys  = 10
	scanCount = 100
)

// engineLoads are the loads on a store that has all keys.
func engineLoads() []engineLoad {
	return []engineLoad{
		{name: "GET `-P 1`", workload: "get", pipeline: 1},
		{name: "GET `-P 32`", workload: "get", pipeline: 32},
		{name: fmt.Sprintf("MGET of %d keys", mgetKeys), workload: "mget", pipeline: 1, flags: []string{"-mget-keys", strconv.Itoa(mgetKeys)}},
		{name: fmt.Sprintf("SCAN, COUNT %d", scanCount), workload: "scan", pipeline: 1, flags: []string{"-scan-count", strconv.Itoa(scanCount)}},
		{name: "SET `-P 1`", workload: "set", pipeline: 1},
		{name: "SET `-P 32`", workload: "set", pipeline: 32},
	}
}

// runEngines is `make bench-engines`.
func runEngines(c config) error {
	if err := os.RemoveAll(c.folder); err != nil {
		return err
	}
	defer os.RemoveAll(c.folder)
	began := time.Now()
	var results []*engineResult
	for _, engine := range c.rows {
		r, err := measureEngine(c, engine)
		if err != nil {
			return fmt.Errorf("%s: %w", engine, err)
		}
		results = append(results, r)
		if err := os.RemoveAll(filepath.Join(c.folder, engine)); err != nil {
			return err
		}
	}
	reportEngines(c, results, machine(), time.Since(began))
	return nil
}

// measureEngine fills one engine, alone on the machine, and measures it.
func measureEngine(c config, engine string) (*engineResult, error) {
	r := &engineResult{engine: engine, keys: c.keys, rates: map[string]float64{}}
	server, err := start(c, engine, func(dir string) (harness.Spec, error) {
		return harness.DkvSpec(dir, slices.Concat([]string{"-db-engine", engine, "-fsync", "everysec"}, c.dkvFlags)...)
	})
	if err != nil {
		return nil, err
	}
	defer server.Kill()
	e := &engineRun{c: c, r: r, server: server, folder: filepath.Join(c.folder, engine, "shards")}
	for _, step := range []struct {
		name string
		run  func() error
	}{{"fill", e.fill}, {"restart", e.restart}, {"loads", e.loads}, {"overwrite", e.overwrite}, {"recovery", e.recover}} {
		began := time.Now()
		if err := step.run(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", step.name, err, server.Logs())
		}
		fmt.Fprintf(c.progress, "%s: %s done in %v: %+v\n", engine, step.name, time.Since(began).Round(time.Second), *r)
	}
	return r, nil
}

// engineRun is the measurement of one engine.
type engineRun struct {
	c      config
	r      *engineResult
	server *harness.Server
	folder string // of the engine's files
}

func (e *engineRun) contenders() []contender {
	return []contender{{name: e.r.engine, server: e.server}}
}

// dataBytes is what keys of that number and their values have.
func dataBytes(keys float64) float64 { return keys * float64(valueBytes+len(keyOf(0))) }

func (e *engineRun) fill() (err error) {
	if e.r.fill, err = fillScattered(e.server, e.c.keys, valueBytes); err != nil {
		return err
	}
	written, err := e.rest()
	if err != nil {
		return err
	}
	e.r.amplification = written / dataBytes(float64(e.c.keys))
	e.r.disk, err = diskBytes(e.folder)
	return err
}

// rest flushes the engine, waits until it has compacted what it wants to, and returns
// what it has written since the process began.
func (e *engineRun) rest() (written float64, err error) {
	if _, err := call(e.server, "SAVE"); err != nil {
		return 0, err
	}
	if err := e.settle(); err != nil {
		return 0, err
	}
	return engineWritten(e.server)
}

// settle waits until the server is at rest. One that is not when the time is over is
// measured all the same, and the report says so; who was busy goes to the progress.
func (e *engineRun) settle() error {
	err := settle(e.contenders())
	if !errors.Is(err, errNoRest) {
		return err
	}
	e.r.restless++
	busy, err := busyThreads(e.server.PID())
	if err != nil {
		return err
	}
	fmt.Fprintf(e.c.progress, "%s: not at rest: %s\n", e.r.engine, busy)
	return nil
}

// busyThreads tells how long which threads of a process have run in a second, by name.
func busyThreads(pid int) (string, error) {
	before, err := threadTimes(pid)
	if err != nil {
		return "", err
	}
	time.Sleep(time.Second) // the length of the sample, not a guess
	after, err := threadTimes(pid)
	if err != nil {
		return "", err
	}
	var busy []string
	for name, ticks := range after {
		if ticks > before[name] {
			busy = append(busy, fmt.Sprintf("%s %d%%", name, (ticks-before[name])*100/ticksPerSecond))
		}
	}
	slices.Sort(busy)
	return strings.Join(busy, ", "), nil
}

// threadTimes sums up the processor time of a process's threads by their names, in clock
// ticks.
func threadTimes(pid int) (map[string]int, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		return nil, err
	}
	times := make(map[string]int)
	for _, path := range tasks {
		line, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		name, rest, ok := strings.Cut(string(line), ") ")
		fields := strings.Fields(rest)
		if _, after, found := strings.Cut(name, "("); ok && found && len(fields) > 12 {
			user, _ := strconv.Atoi(fields[11])
			system, _ := strconv.Atoi(fields[12])
			times[after] += user + system
		}
	}
	return times, nil
}

// engineWritten returns what a server's process has given the disk to write, but for its log.
func engineWritten(s *harness.Server) (float64, error) {
	all, err := procField(fmt.Sprintf("/proc/%d/io", s.PID()), "write_bytes:")
	if err != nil {
		return 0, err
	}
	total, err := strconv.ParseFloat(all, 64)
	if err != nil {
		return 0, err
	}
	log, err := infoNumber(s, "log_bytes_written")
	return total - log, err
}

func (e *engineRun) restart() error {
	if _, err := e.server.Terminate(stopLimit); err != nil {
		return err
	}
	began := time.Now()
	err := e.server.Start()
	e.r.restart = time.Since(began)
	return err
}

// loads runs what only reads, each load c.rounds times.
func (e *engineRun) loads() error {
	all := engineLoads()
	for _, l := range all {
		if l.workload == "set" {
			continue
		}
		if err := e.load(l); err != nil {
			return err
		}
	}
	var err error
	e.r.resident, err = residentBytes(e.server.PID())
	return err
}

func (e *engineRun) load(l engineLoad) error {
	var rates []float64
	for range e.c.rounds {
		if err := e.settle(); err != nil {
			return err
		}
		rate, err := dkvbench(e.server, e.c, l.workload, l.pipeline, l.flags...)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		rates = append(rates, rate)
	}
	e.r.rates[l.name] = median(rates)
	fmt.Fprintf(e.c.progress, "%s: %s %.0f/s of %.0f\n", e.r.engine, l.name, e.r.rates[l.name], rates)
	return nil
}

// overwrite sets keys that are there.
func (e *engineRun) overwrite() error {
	before, err := e.rest()
	if err != nil {
		return err
	}
	sets, err := infoNumber(e.server, "total_commands_processed")
	if err != nil {
		return err
	}
	for _, l := range engineLoads() {
		if l.workload != "set" {
			continue
		}
		if err := e.load(l); err != nil {
			return err
		}
	}
	after, err := e.rest()
	if err != nil {
		return err
	}
	setsAfter, err := infoNumber(e.server, "total_commands_processed")
	if err != nil {
		return err
	}
	e.r.overwrites = setsAfter - sets
	e.r.overwriteAmplification = (after - before) / dataBytes(e.r.overwrites)
	if e.r.diskEnd, err = diskBytes(e.folder); err != nil {
		return err
	}
	e.r.residentEnd, err = residentBytes(e.server.PID())
	return err
}

// recover kills the server when it has been written to, and starts it.
func (e *engineRun) recover() error {
	// Within the log that a start has to go through.
	if _, err := dkvbench(e.server, e.c, "set", 32); err != nil {
		return err
	}
	e.server.Kill()
	began := time.Now()
	err := e.server.Start()
	e.r.recovery = time.Since(began)
	return err
}

// blockUnit is what the kernel counts a file's blocks in.
const blockUnit = 512

// diskBytes returns what a folder takes on disk: blocks, since some files are sparse.
// Files that go meanwhile are not counted.
func diskBytes(folder string) (float64, error) {
	var total float64
	err := filepath.WalkDir(folder, func(_ string, d fs.DirEntry, err error) error {
		if err == nil {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				if st, ok := info.Sys().(*syscall.Stat_t); ok {
					total += float64(st.Blocks) * blockUnit
				}
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return total, err
}
