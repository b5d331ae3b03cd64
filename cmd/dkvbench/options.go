package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	defaultAddr     = "127.0.0.1:6379"
	defaultDuration = 10 * time.Second
	authEnv         = "DKVBENCH_AUTH"

	maxConns      = 100_000
	maxPipeline   = 100_000
	maxValueBytes = 512 << 20
	maxBatchBytes = 1 << 30         // one connection's pipeline
	maxKeys       = 999_999_999_999 // what keyDigits hold
)

// target is a server.
type target struct {
	addr string // host:port, or the path of a unix socket
	pass string
}

// config is what the flags ask for.
type config struct {
	target  target
	compare *target
	db      int

	workload  workload
	dist      string
	theta     float64
	mgetKeys  int
	scanCount int

	conns, pipeline    int
	valueMin, valueMax int
	compressible       float64
	keys               uint64

	count    uint64        // operations; 0: until duration is over
	duration time.Duration // 0: until count is reached
	rate     float64       // operations a second; 0: as fast as replies come
	load     bool
	warmup   time.Duration

	rounds   int
	pause    time.Duration
	seed     uint64
	threads  int
	json     string // a file, "-" for stdout, or none
	progress bool
}

// rawFlags are the flags whose value needs more than package flag's parsing.
type rawFlags struct {
	addr, pass, compare, comparePass string
	workload, dist, values           string
	ratio                            float64
	version                          bool
}

var errVersion = errors.New("version asked for")

// parseFlags reads the arguments. out gets the help. flag.ErrHelp and
// errVersion are not failures.
func parseFlags(args []string, out io.Writer, getenv func(string) string) (*config, error) {
	c, raw := &config{}, &rawFlags{}
	fs := flag.NewFlagSet("dkvbench", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are printed by the caller, once
	defineFlags(fs, c, raw, getenv)
	// Flags may stand before and after the workload's name.
	for rest := args; ; {
		if err := fs.Parse(rest); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				printHelp(fs, out)
			}
			return nil, err
		}
		if fs.NArg() == 0 {
			break
		}
		raw.workload, rest = fs.Arg(0), fs.Args()[1:]
	}
	if raw.version {
		return nil, errVersion
	}
	set := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if err := c.resolve(raw, set); err != nil {
		return nil, err
	}
	return c, c.validate()
}

func defineFlags(fs *flag.FlagSet, c *config, raw *rawFlags, getenv func(string) string) {
	for _, name := range []string{"a", "addr", "dkvAddr"} {
		fs.StringVar(&raw.addr, name, defaultAddr, "`host:port` of the server, or the path of a unix socket")
	}
	fs.StringVar(&raw.pass, "pass", getenv(authEnv), "`password`; better: the environment variable "+authEnv)
	fs.IntVar(&c.db, "db", 0, "`database` number")
	fs.StringVar(&raw.compare, "compare", "", "run a second server, at `host:port`, in turn, and print ratios")
	fs.StringVar(&raw.comparePass, "compare-pass", "", "the second server's `password`")
	fs.IntVar(&c.rounds, "rounds", 3, "with -compare: how often each server runs; medians are printed")
	fs.DurationVar(&c.pause, "pause", time.Second, "with -compare: rest between runs")

	fs.StringVar(&raw.workload, "w", "set", "the `workload`; may also stand alone")
	fs.Float64Var(&raw.ratio, "ratio", 0.5, "mixed: share of reads, 0 to 1")
	fs.IntVar(&c.mgetKeys, "mget-keys", 10, "mget: keys a command")
	fs.IntVar(&c.scanCount, "scan-count", 100, "scan: COUNT")
	fs.StringVar(&raw.dist, "dist", "", "key distribution: "+strings.Join(distributions, ", ")+" (default: the workload's)")
	fs.Float64Var(&c.theta, "theta", 0.99, "zipfian and latest: skew, above 0 and below 1")
	fs.Uint64Var(&c.keys, "r", 100_000, "key space: `records`")
	fs.StringVar(&raw.values, "d", "", "value `bytes`: a number, or a range such as 64-1024 (default: 100, YCSB 1000)")
	fs.Float64Var(&c.compressible, "compressible", 0, "share of each value that compresses away, 0 to 1")

	fs.IntVar(&c.conns, "c", 50, "`connections`")
	fs.IntVar(&c.pipeline, "P", 1, "`commands` in a pipeline")
	fs.Uint64Var(&c.count, "n", 0, "`operations` (default: as many as -duration allows)")
	fs.DurationVar(&c.duration, "duration", 0, "how long (default 10s, or until -n)")
	fs.Float64Var(&c.rate, "rate", 0, "`operations` a second, on a schedule that latencies count from (default: as fast as replies come)")
	fs.BoolVar(&c.load, "load", false, "first write every record of the key space once")
	fs.DurationVar(&c.warmup, "warmup", 0, "run for so long before measuring")

	fs.Uint64Var(&c.seed, "seed", rand.Uint64(), "of everything random (default: a new one, printed)")
	fs.IntVar(&c.threads, "threads", 0, "`CPUs` that the generator uses (default: half of them; with -rate at least 2)")
	fs.StringVar(&c.json, "json", "", "write everything measured to this `file`; - is stdout, instead of the report")
	fs.BoolVar(&c.progress, "progress", true, "a live line, when stderr is a terminal")
	fs.BoolVar(&raw.version, "version", false, "print the version")
}

func printHelp(fs *flag.FlagSet, out io.Writer) {
	fmt.Fprintf(out, "Usage: dkvbench [workload] [flags]\n\nWorkloads: %s\n\nFlags:\n", strings.Join(workloadNames(), " "))
	fs.VisitAll(func(f *flag.Flag) {
		if f.Name == "addr" || f.Name == "w" { // spelled otherwise in what users type
			return
		}
		value, text := flag.UnquoteUsage(f)
		name := strings.TrimSpace("-" + f.Name + " " + value)
		if f.DefValue != "" && f.DefValue != "0" && f.DefValue != "0s" && f.DefValue != "false" && f.Name != "seed" && f.Name != "pass" {
			text += " (" + f.DefValue + ")"
		}
		fmt.Fprintf(out, "  %-26s %s\n", name, text)
	})
	fmt.Fprint(out, "\nExit codes: 0 done, 1 some operations failed, 2 usage, 3 no connection\n")
}

// resolve turns raw flags into config; set tells which flags were given.
func (c *config) resolve(raw *rawFlags, set map[string]bool) error {
	var err error
	var ok bool
	if c.workload, ok = findWorkload(raw.workload); !ok {
		return fmt.Errorf("unknown workload %q; there are: %s", raw.workload, strings.Join(workloadNames(), " "))
	}
	if c.target.addr, err = cleanAddr(raw.addr); err != nil {
		return err
	}
	c.target.pass = raw.pass
	if raw.compare != "" {
		c.compare = &target{pass: raw.comparePass}
		if c.compare.addr, err = cleanAddr(raw.compare); err != nil {
			return err
		}
	}
	if c.workload.name == "mixed" {
		if raw.ratio < 0 || raw.ratio > 1 {
			return errors.New("-ratio must be between 0 and 1")
		}
		c.workload.parts[0].share, c.workload.parts[1].share = raw.ratio, 1-raw.ratio
	} else if set["ratio"] {
		return errors.New("-ratio belongs to the workload mixed")
	}
	if c.dist = raw.dist; c.dist == "" {
		c.dist = c.workload.dist
	}
	c.valueMin, c.valueMax = c.workload.valueBytes, c.workload.valueBytes
	if raw.values != "" {
		if c.valueMin, c.valueMax, err = parseRange(raw.values); err != nil {
			return err
		}
	}
	if c.duration == 0 && c.count == 0 {
		c.duration = defaultDuration
	}
	return nil
}

func (c *config) validate() error {
	checks := []struct {
		ok   bool
		text string
	}{
		{slices.Contains(distributions, c.dist), "-dist must be one of " + strings.Join(distributions, ", ")},
		{c.theta > 0 && c.theta < 1, "-theta must be above 0 and below 1"},
		{c.keys >= 1 && c.keys <= maxKeys, fmt.Sprintf("-r must be between 1 and %d", int64(maxKeys))},
		{c.conns >= 1 && c.conns <= maxConns, fmt.Sprintf("-c must be between 1 and %d", maxConns)},
		{c.pipeline >= 1 && c.pipeline <= maxPipeline, fmt.Sprintf("-P must be between 1 and %d", maxPipeline)},
		{c.mgetKeys >= 1 && c.mgetKeys <= 1<<20, "-mget-keys must be between 1 and 1048576"},
		{c.scanCount >= 1, "-scan-count must be positive"},
		{c.compressible >= 0 && c.compressible <= 1, "-compressible must be between 0 and 1"},
		{int64(c.valueMax)*int64(c.pipeline) <= maxBatchBytes, "-d times -P is more than 1 GiB a connection"},
		{c.pipeline == 1 || !c.workload.has(opScan), "scan needs -P 1: each command takes the last one's cursor"},
		{c.rate >= 0 && c.rate <= 1e9, "-rate must be between 0 and 1e9"},
		{c.duration >= 0 && c.warmup >= 0 && c.pause >= 0, "durations must not be negative"},
		{c.rounds >= 1 && c.rounds <= 1000, "-rounds must be between 1 and 1000"},
		{c.threads >= 0, "-threads must not be negative"},
		{c.db >= 0, "-db must not be negative"},
	}
	for _, check := range checks {
		if !check.ok {
			return errors.New(check.text)
		}
	}
	return nil
}

// cpus is how many CPUs the generator uses: by default half of them, to leave
// the server its share. A schedule needs two, since the pacer's sleep keeps one
// from the connections for a while.
func (c *config) cpus() int {
	n := c.threads
	if n == 0 {
		n = max(1, runtime.NumCPU()/2)
	}
	if c.rate > 0 {
		n = max(n, 2)
	}
	return n
}

func cleanAddr(s string) (string, error) {
	if strings.HasPrefix(s, "/") {
		return s, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = strings.Trim(s, "[]"), "6379"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("address %q is not host:port", s)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// parseRange reads "100" or "64-1024".
func parseRange(s string) (low, high int, err error) {
	a, b, isRange := strings.Cut(s, "-")
	if !isRange {
		b = a
	}
	low, errLow := strconv.Atoi(a)
	high, errHigh := strconv.Atoi(b)
	if errLow != nil || errHigh != nil || low < 0 || low > high || high > maxValueBytes {
		return 0, 0, fmt.Errorf("-d %q is not a number of bytes up to 512 MiB, nor a range of them", s)
	}
	return low, high, nil
}
