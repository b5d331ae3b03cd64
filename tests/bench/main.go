package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// config is what the flags say.
type config struct {
	rounds     int
	seconds    float64
	rows       []string
	keys       int
	memoryKeys int
	folder     string
	dkvFlags   []string
	out        io.Writer
	progress   io.Writer
}

const (
	valueBytes    = 100
	clients       = 50
	defaultRounds = 3
	// defaultSeconds is how long one run of redis-benchmark takes at least.
	defaultSeconds = 6.0
)

func main() {
	c, err := parseFlags(os.Args[1:])
	if err == nil {
		err = run(c)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseFlags(args []string) (config, error) {
	c := config{out: os.Stdout, progress: os.Stderr}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	quick := flags.Bool("quick", false, "one round of short runs: shows that it works, the figures mean little")
	flags.IntVar(&c.rounds, "rounds", defaultRounds, "rounds; a row is their median")
	flags.Float64Var(&c.seconds, "seconds", defaultSeconds, "length of one run")
	rows := flags.String("rows", "get,set-everysec,set-always", "rows to measure, of get, set-everysec, set-always, memory")
	memory := flags.Bool("memory", false, "also measure resident memory")
	flags.IntVar(&c.keys, "keys", 1_000_000, "key space of the speed rows")
	flags.IntVar(&c.memoryKeys, "memory-keys", 10_000_000, "keys for the memory row")
	flags.StringVar(&c.folder, "folder", "bench-data", "folder for both servers' data, removed afterwards")
	dkvFlags := flags.String("dkv-flags", "", "more flags for dkvsrv, separated by spaces")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if flags.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *quick {
		c.rounds, c.seconds, c.keys, c.memoryKeys = 1, 1, 100_000, 500_000
	}
	c.dkvFlags = strings.Fields(*dkvFlags)
	c.rows = strings.Split(*rows, ",")
	if *memory {
		c.rows = append(c.rows, rowMemory)
	}
	for _, row := range c.rows {
		if row != rowGet && row != rowSetEverysec && row != rowSetAlways && row != rowMemory {
			return c, fmt.Errorf("no row %q", row)
		}
	}
	if c.rounds < 1 || c.seconds <= 0 || c.keys < 1 || c.memoryKeys < 1 {
		return c, errors.New("rounds, seconds and keys must be positive")
	}
	return c, nil
}

func run(c config) error {
	for _, program := range []string{"redis-server", "redis-benchmark"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w (apt-get install redis-server redis-tools)", err)
		}
	}
	if err := os.RemoveAll(c.folder); err != nil {
		return err
	}
	defer os.RemoveAll(c.folder)
	began := time.Now()
	results, err := measure(c)
	if err != nil {
		return err
	}
	report(c, results, machine(), time.Since(began))
	return nil
}
