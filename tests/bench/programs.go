package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"dkv/tests/harness"
)

// redisBenchmark runs redis-benchmark and returns requests per second.
func redisBenchmark(s *harness.Server, keys int, test string, pipeline, requests int) (float64, error) {
	cmd := exec.Command("redis-benchmark", benchmarkArgs(s.Port(), keys, test, pipeline, requests)...)
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, s.Logs())
	}
	return parseRate(string(out))
}

func benchmarkArgs(port, keys int, test string, pipeline, requests int) []string {
	return []string{"-p", strconv.Itoa(port), "-c", strconv.Itoa(clients), "-d", strconv.Itoa(valueBytes),
		"-r", strconv.Itoa(keys), "-P", strconv.Itoa(pipeline), "-n", strconv.Itoa(requests), "-t", test, "--csv"}
}

// parseRate reads the second column of the last line that redis-benchmark --csv
// prints: "SET","33444.82","0.78",...
func parseRate(out string) (float64, error) {
	records, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || len(records) == 0 || len(records[len(records)-1]) < 2 {
		return 0, fmt.Errorf("redis-benchmark printed %q (%v)", out, err)
	}
	rate, err := strconv.ParseFloat(records[len(records)-1][1], 64)
	if err != nil || rate <= 0 {
		return 0, fmt.Errorf("redis-benchmark printed %q", out)
	}
	return rate, nil
}

// ticksPerSecond is the unit of times in /proc/<pid>/stat on every Linux.
const ticksPerSecond = 100

// cpuTime returns the CPU time that the servers have used together, with that
// of children such as the one that rewrites Redis's AOF.
func cpuTime(servers []contender) (time.Duration, error) {
	var total time.Duration
	for _, s := range servers {
		pids := append(children(s.server.PID()), s.server.PID())
		for i, pid := range pids {
			ticks, err := processTicks(pid)
			if err != nil && i == len(pids)-1 {
				return 0, fmt.Errorf("%s is gone: %w\n%s", s.name, err, s.server.Logs())
			}
			total += time.Duration(ticks) * time.Second / ticksPerSecond
		}
	}
	return total, nil
}

func processTicks(pid int) (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold anything; fields are counted after it.
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	const utime, stime = 11, 12
	if len(fields) <= stime {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, data)
	}
	user, err1 := strconv.ParseInt(fields[utime], 10, 64)
	system, err2 := strconv.ParseInt(fields[stime], 10, 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, data)
	}
	return user + system, nil
}

func children(pid int) []int {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	var out []int
	for _, file := range files {
		data, _ := os.ReadFile(file)
		for word := range strings.FieldsSeq(string(data)) {
			if child, err := strconv.Atoi(word); err == nil {
				out = append(out, child)
			}
		}
	}
	return out
}

// residentBytes returns the resident memory of a process.
func residentBytes(pid int) (float64, error) {
	kib, err := procField(fmt.Sprintf("/proc/%d/status", pid), "VmRSS:")
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseFloat(strings.TrimSuffix(kib, " kB"), 64)
	return n * 1024, err
}

// machine describes where the figures come from.
func machine() string {
	model, err := procField("/proc/cpuinfo", "model name")
	if err != nil {
		model = runtime.GOARCH
	}
	memory, _ := procField("/proc/meminfo", "MemTotal:")
	kib, _ := strconv.ParseFloat(strings.TrimSuffix(memory, " kB"), 64)
	return fmt.Sprintf("%s, %d cores, %.0f GiB, %s, %s", strings.TrimSpace(strings.TrimPrefix(model, ":")),
		runtime.NumCPU(), kib/(1<<20), runtime.GOOS, runtime.Version())
}

func redisVersion() string {
	if out, err := exec.Command("redis-server", "--version").Output(); err == nil {
		for word := range strings.FieldsSeq(string(out)) {
			if v, ok := strings.CutPrefix(word, "v="); ok {
				return "Redis " + v
			}
		}
	}
	return "redis-server of unknown version"
}

// procField returns what follows name in a file of lines "name: value".
func procField(file, name string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		if value, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("%s has no %s", file, name)
}
