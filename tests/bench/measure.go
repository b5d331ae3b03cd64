package main

import (
	"errors"
	"fmt"
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
	rowGet         = "get"
	rowSetEverysec = "set-everysec"
	rowSetAlways   = "set-always"
	rowMemory      = "memory"
)

// Rows without -cluster, and those that are measured unless others are asked for.
var (
	soloRows    = []string{rowGet, rowSetEverysec, rowSetAlways, rowMemory}
	soloDefault = []string{rowGet, rowSetEverysec, rowSetAlways}
)

// row is one line of the table.
type row struct {
	name     string
	unit     string
	base     []float64 // what dkv is measured against
	dkv      []float64
	floor    float64
	goal     float64
	lessGood bool // a smaller ratio is better
}

func (r row) ratio() float64 {
	return median(r.dkv) / median(r.base)
}

// met reports whether a ratio is at least as good as asked for.
func (r row) met(limit float64) bool {
	if r.lessGood {
		return r.ratio() <= limit
	}
	return r.ratio() >= limit
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if len(s) == 0 {
		return 0
	}
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// load is one thing that redis-benchmark is asked to do.
type load struct {
	row      *row
	test     string // "get" or "set"
	pipeline int
}

// measure runs all rows. Rows with the same durability share their servers.
func measure(c config) ([]*row, error) {
	var rows []*row
	for _, fsync := range []string{"everysec", "always"} {
		var loads []load
		add := func(name, test string, pipeline int, floor, goal float64) {
			r := &row{name: name, unit: "requests/s", floor: floor, goal: goal}
			rows = append(rows, r)
			loads = append(loads, load{row: r, test: test, pipeline: pipeline})
		}
		if fsync == "everysec" && slices.Contains(c.rows, rowGet) {
			add("GET -P 1", "get", 1, 0.85, 1)
			add("GET -P 32", "get", 32, 0.9, 1.2)
		}
		if fsync == "everysec" && slices.Contains(c.rows, rowSetEverysec) {
			add("SET everysec -P 1", "set", 1, 0.85, 1)
			add("SET everysec -P 32", "set", 32, 0.9, 1.2)
		}
		if fsync == "always" && slices.Contains(c.rows, rowSetAlways) {
			add("SET always -P 1", "set", 1, 0.8, 1.1)
			add("SET always -P 32", "set", 32, 0.8, 1.2)
		}
		if len(loads) == 0 {
			continue
		}
		if err := measureSpeed(c, fsync, loads); err != nil {
			return nil, err
		}
	}
	families, err := measureFamilies(c)
	if err != nil {
		return nil, err
	}
	rows = append(rows, families...)
	hot, err := measureHot(c)
	if err != nil {
		return nil, err
	}
	rows = append(rows, hot...)
	if slices.Contains(c.rows, rowMemory) {
		r, err := measureMemory(c)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// contender is a server that is measured.
type contender struct {
	name   string
	server *harness.Server
}

func startBoth(c config, fsync string) (redis, dkv contender, err error) {
	redis = contender{name: "redis"}
	if redis.server, err = start(c, "redis-"+fsync, func(dir string) (harness.Spec, error) {
		return harness.RedisSpec(dir, "--appendonly", "yes", "--appendfsync", fsync)
	}); err != nil {
		return
	}
	dkv = contender{name: "dkv"}
	dkv.server, err = start(c, "dkv-"+fsync, func(dir string) (harness.Spec, error) {
		return harness.DkvSpec(dir, append([]string{"-fsync", fsync}, c.dkvFlags...)...)
	})
	if err != nil {
		redis.server.Kill()
	}
	return
}

func start(c config, name string, spec func(dir string) (harness.Spec, error)) (*harness.Server, error) {
	dir, err := filepath.Abs(filepath.Join(c.folder, name))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	s, err := spec(dir)
	if err != nil {
		return nil, err
	}
	server := harness.NewServer(s)
	return server, server.Start()
}

func measureSpeed(c config, fsync string, loads []load) error {
	redis, dkv, err := startBoth(c, fsync)
	if err != nil {
		return err
	}
	defer redis.server.Kill()
	defer dkv.server.Kill()
	both := []contender{redis, dkv}

	// GET has to find something: each key is set with a probability of 95%.
	if err := fillByChance(c, both); err != nil {
		return err
	}
	rates := make(map[string]float64) // of earlier runs, to know how many requests fill the time
	for round := range c.rounds {
		for _, l := range loads {
			for _, s := range both {
				if err := settleAll(both); err != nil {
					return err
				}
				id := fmt.Sprint(s.name, l.test, l.pipeline)
				if rates[id] == 0 {
					if rates[id], err = redisBenchmark(s.server, c.keys, l.test, l.pipeline, 2000*l.pipeline*5); err != nil {
						return err
					}
				}
				rate, err := redisBenchmark(s.server, c.keys, l.test, l.pipeline, max(1000, int(rates[id]*c.seconds)))
				if err != nil {
					return err
				}
				rates[id] = rate
				fmt.Fprintf(c.progress, "round %d: %-20s %-6s %9.0f/s\n", round+1, l.row.name, s.name, rate)
				if s.name == "redis" {
					l.row.base = append(l.row.base, rate)
				} else {
					l.row.dkv = append(l.row.dkv, rate)
				}
			}
		}
		slices.Reverse(both)
	}
	return nil
}

// heldBackLeast is what a dkvsrv writes down when nobody has written for a second; less
// it keeps for longer.
const heldBackLeast = 8 << 20

// settleAll waits until what a run has left to do has been done: what a dkvsrv holds back
// has to be written down as well, a second after the run, or that falls into the run of
// whoever is next.
func settleAll(servers []contender) error {
	for _, s := range servers {
		if err := awaitWrittenDown(s, time.Now().Add(restLimit)); err != nil {
			return err
		}
	}
	return settle(servers)
}

func awaitWrittenDown(s contender, deadline time.Time) error {
	conn, err := s.server.Connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	tick := time.NewTicker(heldBackPoll)
	defer tick.Stop()
	for {
		info, err := ask(conn, "INFO", "dkv")
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", s.name, err, s.server.Logs())
		}
		if heldBack(info) < heldBackLeast {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: %s has not written down after %v", errNoRest, s.name, restLimit)
		}
		<-tick.C
	}
}

// heldBack is what a server has in memory and not in its engine yet; Redis has nothing.
func heldBack(info string) int64 {
	for line := range strings.SplitSeq(info, "\r\n") {
		if value, ok := strings.CutPrefix(line, "hot_dirty_bytes:"); ok {
			n, _ := strconv.ParseInt(value, 10, 64) // a number, or the server's tests fail
			return n
		}
	}
	return 0
}

const (
	restLimit = 3 * time.Minute
	// heldBackPoll is how often a server is asked what it holds back.
	heldBackPoll = 50 * time.Millisecond
	restSample   = 400 * time.Millisecond
	// restShare of one core is what a server at rest may use.
	restShare = 0.03
)

var errNoRest = errors.New("the servers are not at rest")

// settle waits until what the runs before left to do has been done: dirty pages
// are written, and the servers use next to no CPU time any more.
func settle(servers []contender) error {
	syscall.Sync()
	for deadline := time.Now().Add(restLimit); ; {
		before, err := cpuTime(servers)
		if err != nil {
			return err
		}
		time.Sleep(restSample) // the length of the sample, not a guess
		after, err := cpuTime(servers)
		if err != nil {
			return err
		}
		if after-before < time.Duration(float64(restSample)*restShare*float64(len(servers))) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w after %v", errNoRest, restLimit)
		}
	}
}
