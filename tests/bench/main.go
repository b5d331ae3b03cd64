package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"dkv/tests/harness"
)

// config is what the flags say.
type config struct {
	rounds     int
	seconds    float64
	rows       []string
	keys       int
	memoryKeys int
	queueOps   int
	elements   int
	cluster    bool
	replicas   bool
	engines    bool
	ycsb       bool
	memoryMB   int
	pipeline   int
	json       string
	svg        string
	plot       string
	behind     int
	copyMB     int
	kills      int
	failures   float64 // share of a cluster's operations that may fail in a run
	folder     string
	dkvFlags   []string
	out        io.Writer
	progress   io.Writer
}

const (
	valueBytes    = 100
	clients       = 50
	defaultRounds = 3
	// defaultSeconds is how long one run takes at least.
	defaultSeconds = 6.0
	defaultKills   = 7
	soloKeys       = 1_000_000
	// clusterKeys are fewer: etcd takes its time to be filled.
	clusterKeys = 100_000
	engineKeys  = 10_000_000
	// defaultBehind and defaultCopyMB take a minute or so each.
	defaultBehind = 2_000_000
	defaultCopyMB = 1000
)

func main() {
	c, err := parseFlags(os.Args[1:])
	switch {
	case err != nil:
	case c.cluster:
		err = runCluster(c)
	case c.replicas:
		err = runReplicas(c)
	case c.engines:
		err = runEngines(c)
	case c.plot != "":
		err = plotFile(c.plot, c.svg)
	case c.ycsb:
		err = runYCSB(c)
	default:
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
	c := config{out: os.Stdout, progress: os.Stderr, failures: defaultFailures}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	quick := flags.Bool("quick", false, "one round of short runs: shows that it works, the figures mean little")
	flags.IntVar(&c.rounds, "rounds", defaultRounds, "rounds; a row is their median")
	flags.Float64Var(&c.seconds, "seconds", defaultSeconds, "length of one run")
	rows := flags.String("rows", "", "rows to measure: of get, set-everysec, set-always (these are the default), memory; of "+
		strings.Join(familyRows(), ", ")+"; of "+strings.Join(append(queueRows(), collectionRows()...), ", ")+"; families, queues and collections are all of these; of "+
		strings.Join(hotRows(), ", ")+"; hot is these with the default; "+
		"with -cluster: of "+strings.Join(clusterRows, ", ")+"; with -replicas: of "+strings.Join(replicaRows, ", ")+"; with -engines: of "+
		strings.Join(harness.Engines, ", ")+"; with -ycsb: of "+strings.Join(ycsbRows, ", ")+" (default: all)")
	memory := flags.Bool("memory", false, "also measure resident memory")
	flags.IntVar(&c.keys, "keys", 0, fmt.Sprintf("key space of the speed rows (default %d, with -cluster %d, with -engines %d, with -ycsb %d)", soloKeys, clusterKeys, engineKeys, ycsbKeys))
	flags.IntVar(&c.memoryKeys, "memory-keys", 10_000_000, "keys for the memory row")
	flags.IntVar(&c.queueOps, "queue-ops", 10_000_000, "operations of a queue row")
	flags.IntVar(&c.elements, "elements", 10_000_000, "elements of a collection row")
	flags.BoolVar(&c.cluster, "cluster", false, "measure three nodes instead, against etcd and one node")
	flags.BoolVar(&c.replicas, "replicas", false, "measure asynchronous replicas instead")
	flags.BoolVar(&c.engines, "engines", false, "measure the storage engines instead, one after the other")
	flags.BoolVar(&c.ycsb, "ycsb", false, "measure YCSB on more data than the caches hold instead, with and without the hot layer")
	flags.IntVar(&c.memoryMB, "memory-mb", ycsbMemoryMB, "with -ycsb: memory of a node, for everything")
	flags.IntVar(&c.pipeline, "pipeline", 1, "with -ycsb: commands in a pipeline")
	flags.StringVar(&c.json, "json", "", "with -ycsb: write everything measured to this `file`")
	flags.StringVar(&c.svg, "svg", "", "with -ycsb: draw the latencies of each second into this `file`")
	flags.StringVar(&c.plot, "plot", "", "measure nothing; draw -svg from this `file` of -json")
	flags.IntVar(&c.behind, "behind", defaultBehind, "how many writes a replica has to catch up with for the row "+rowCatchUp)
	flags.IntVar(&c.copyMB, "copy-mb", defaultCopyMB, "MB of data that are copied for the row "+rowCopy)
	flags.IntVar(&c.kills, "kills", defaultKills, "how often the leader is killed for the row "+rowOutage)
	flags.StringVar(&c.folder, "folder", "bench-data", "folder for both servers' data, removed afterwards")
	dkvFlags := flags.String("dkv-flags", "", "more flags for dkvsrv, separated by spaces")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if flags.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *quick {
		c.rounds, c.seconds, c.keys, c.memoryKeys, c.kills, c.behind, c.copyMB = 1, 1, clusterKeys, 500_000, 2, 200_000, 100
		c.queueOps, c.elements = 500_000, 500_000
	}
	if *quick && c.ycsb {
		c.keys, c.memoryMB = ycsbQuickKeys, ycsbQuickMB
	}
	c.dkvFlags = strings.Fields(*dkvFlags)
	known, chosen, keys := slices.Concat(soloRows, familyRows(), hotRows(), queueRows(), collectionRows()), soloDefault, soloKeys
	switch {
	case moreThanOne(c.cluster, c.replicas, c.engines, c.ycsb):
		return c, errors.New("only one of -cluster, -replicas, -engines, -ycsb")
	case c.plot != "" && c.svg == "":
		return c, errors.New("-plot needs -svg")
	case c.cluster:
		known, chosen, keys = clusterRows, clusterRows, clusterKeys
	case c.replicas:
		known, chosen = replicaRows, replicaRows
	case c.engines:
		known, chosen, keys = harness.Engines, harness.Engines, engineKeys
	case c.ycsb:
		known, chosen, keys = ycsbRows, ycsbRows, ycsbKeys
		if !secondsGiven(flags) && !*quick {
			c.seconds = ycsbSeconds
		}
	}
	if c.keys == 0 {
		c.keys = keys
	}
	c.rows = slices.Clone(chosen)
	if *rows != "" {
		c.rows = nil
		for _, row := range strings.Split(*rows, ",") {
			if group := rowGroups[row]; group != nil {
				c.rows = append(c.rows, group()...)
			} else {
				c.rows = append(c.rows, row)
			}
		}
	}
	if *memory {
		c.rows = append(c.rows, rowMemory)
	}
	for _, row := range c.rows {
		if !slices.Contains(known, row) {
			return c, fmt.Errorf("no row %q; there are: %s", row, strings.Join(known, ", "))
		}
	}
	if c.rounds < 1 || c.seconds <= 0 || min(c.keys, c.memoryKeys, c.kills, c.behind, c.copyMB, c.queueOps, c.elements, c.memoryMB, c.pipeline) < 1 {
		return c, errors.New("rounds, seconds, keys, kills, behind, copy-mb, queue-ops, elements, memory-mb and pipeline must be positive")
	}
	return c, nil
}

func moreThanOne(given ...bool) bool {
	n := 0
	for _, g := range given {
		if g {
			n++
		}
	}
	return n > 1
}

// secondsGiven reports whether -seconds was: -ycsb has a default of its own.
func secondsGiven(flags *flag.FlagSet) bool {
	given := false
	flags.Visit(func(f *flag.Flag) { given = given || f.Name == "seconds" })
	return given
}

// rowGroups are names that stand for several rows.
var rowGroups = map[string]func() []string{"families": familyRows, "queues": queueRows, "collections": collectionRows, "hot": hotGroup}

// has reports whether a row is to be measured.
func (c config) has(row string) bool { return slices.Contains(c.rows, row) }

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
	engines, err := measureEngineSpeed(c)
	if err != nil {
		return err
	}
	queued, err := measureQueues(c)
	if err != nil {
		return err
	}
	deleted, err := measureCollections(c)
	if err != nil {
		return err
	}
	report(c, results, machine()+", "+redisVersion(), time.Since(began))
	printEngineSpeed(c, engines)
	printQueues(c.out, queued)
	printCollections(c.out, deleted)
	return nil
}
