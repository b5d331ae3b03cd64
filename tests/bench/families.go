package main

import (
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"dkv/tests/harness"
)

// familyFloor and familyFloorPiped are what rows of commands have to reach at -P 1
// and at -P 32, evalFloor what the script has to at either; hotFloorPiped and
// hotGoalPiped are for the commands that rowHotFamilies has.
const (
	familyFloor      = 0.8
	familyFloorPiped = 0.3
	evalFloor        = 0.5
	hotFloorPiped    = 0.6
	hotGoalPiped     = 1.0
)

// The keys that redis-benchmark's own tests use, and one for what it reads.
const (
	benchList  = "mylist"
	benchSet   = "myset"
	benchZset  = "myzset"
	benchHash  = "myhash"
	benchXlog  = "mystream"
	readList   = "readlist"
	readLength = 10_000
)

// threeCalls is a script as applications have them: it writes, counts and reads.
const threeCalls = "redis.call('set',KEYS[1],ARGV[1]) redis.call('incr',KEYS[2]) return redis.call('get',KEYS[1])"

// family is a command that is measured with fsync everysec.
type family struct {
	row  string
	test string // redis-benchmark's -t; empty: args
	args []string
	// fresh is deleted before each run, so that both servers begin each with nothing.
	fresh string
	// drained is the collection that the run takes its elements from: before each there
	// are as many as the run asks for.
	drained string
	// conns is redis-benchmark's -c; 0: as many as usual.
	conns int
	// hot says that rowHotFamilies has it.
	hot bool
}

var families = []family{
	{row: "lpush", test: "lpush", fresh: benchList, hot: true},
	{row: "rpop", test: "rpop", drained: benchList, hot: true},
	{row: "sadd", test: "sadd", fresh: benchSet, hot: true},
	{row: "spop", test: "spop", drained: benchSet},
	{row: "hset", test: "hset", fresh: benchHash, hot: true},
	{row: "zadd", test: "zadd", fresh: benchZset, hot: true},
	{row: "zpopmin", test: "zpopmin", drained: benchZset},
	{row: "incr", test: "incr", hot: true},
	{row: "mset", test: "mset"},
	{row: "lrange100", args: []string{"LRANGE", readList, "0", "99"}},
	{row: "xadd", args: []string{"XADD", benchXlog, "*", "myfield", strings.Repeat("x", valueBytes)}, fresh: benchXlog},
	{row: "eval", args: []string{"EVAL", threeCalls, "2", "key:__rand_int__", "counter:__rand_int__", strings.Repeat("x", valueBytes)}},
}

var familyTitles = map[string]string{"mset": "MSET (10 keys)", "lrange100": "LRANGE_100", "eval": "EVAL (three calls)"}

func (f family) title() string {
	if t := familyTitles[f.row]; t != "" {
		return t
	}
	return strings.ToUpper(f.row)
}

func (f family) floor(pipeline int) float64 {
	switch {
	case f.row == "eval":
		return evalFloor
	case pipeline == 1:
		return familyFloor
	case f.hot:
		return hotFloorPiped
	}
	return familyFloorPiped
}

// goal is 0 where there is none.
func (f family) goal(pipeline int) float64 {
	if f.hot && pipeline > 1 {
		return hotGoalPiped
	}
	return 0
}

// familyRows are their names.
func familyRows() []string {
	var names []string
	for _, f := range families {
		names = append(names, f.row)
	}
	return names
}

// measureFamilies measures the commands that c names, at -P 1 and -P 32.
func measureFamilies(c config) ([]*row, error) {
	var rows []*row
	var chosen []family
	for _, f := range families {
		if c.has(f.row) {
			chosen = append(chosen, f)
		}
	}
	if len(chosen) == 0 {
		return nil, nil
	}
	redis, dkv, err := startBoth(c, "everysec")
	if err != nil {
		return nil, err
	}
	defer redis.server.Kill()
	defer dkv.server.Kill()
	both := []contender{redis, dkv}
	for _, s := range both {
		if err := pushElements(s.server, readList, readLength); err != nil {
			return nil, err
		}
	}
	for _, pipeline := range []int{1, 32} {
		for _, f := range chosen {
			r := &row{name: fmt.Sprintf("%s -P %d", f.title(), pipeline), unit: "requests/s", floor: f.floor(pipeline), goal: f.goal(pipeline)}
			rows = append(rows, r)
			if err := measureFamily(c, f, pipeline, both, r); err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	return rows, nil
}

// measureFamily runs one command's rounds.
func measureFamily(c config, f family, pipeline int, both []contender, r *row) error {
	rates := map[string]float64{}
	for round := range c.rounds {
		for _, s := range both {
			if rates[s.name] == 0 {
				rate, err := f.run(c, s, both, pipeline, 5000+2000*pipeline)
				if err != nil {
					return err
				}
				rates[s.name] = rate
			}
			rate, err := f.run(c, s, both, pipeline, max(1000, int(rates[s.name]*c.seconds)))
			if err != nil {
				return err
			}
			rates[s.name] = rate
			fmt.Fprintf(c.progress, "round %d: %-24s %-6s %9.0f/s\n", round+1, r.name, s.name, rate)
			if s.name == "redis" {
				r.base = append(r.base, rate)
			} else {
				r.dkv = append(r.dkv, rate)
			}
		}
		slices.Reverse(both)
	}
	return nil
}

// run is one run of redis-benchmark, on servers at rest.
func (f family) run(c config, s contender, both []contender, pipeline, requests int) (float64, error) {
	if f.fresh != "" {
		if err := drop(s.server, f.fresh); err != nil {
			return 0, err
		}
	}
	if f.drained != "" {
		if err := pushElements(s.server, f.drained, requests); err != nil {
			return 0, err
		}
	}
	if err := settleAll(both); err != nil {
		return 0, err
	}
	args := benchmarkArgs(s.server.Port(), c.keys, f.test, pipeline, requests)
	if f.conns > 0 {
		args[slices.Index(args, "-c")+1] = strconv.Itoa(f.conns)
	}
	if f.test == "" {
		at := slices.Index(args, "-t")
		args = append(slices.Delete(args, at, at+2), f.args...)
	}
	cmd := exec.Command("redis-benchmark", args...)
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, s.server.Logs())
	}
	return parseRate(string(out))
}

// drop deletes a key.
func drop(s *harness.Server, key string) error {
	conn, err := s.Connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	if r, err := conn.Call("UNLINK", key); err != nil || r.IsError() {
		return fmt.Errorf("UNLINK: %s, %v", r, err)
	}
	return nil
}

// pushElements gives a collection of those above n new elements, unless it has as many.
func pushElements(s *harness.Server, key string, n int) error {
	conn, err := s.Connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	size, add := "LLEN", "LPUSH"
	switch key {
	case benchSet:
		size, add = "SCARD", "SADD"
	case benchZset:
		size, add = "ZCARD", "ZADD"
	}
	r, err := conn.Call(size, key)
	if err != nil {
		return err
	}
	has, ok := r.Int()
	switch {
	case !ok:
		return fmt.Errorf("%s: %s", size, r)
	case int(has) >= n:
		return nil
	}
	if err := drop(s, key); err != nil {
		return err
	}
	const batch = 500
	for next := 0; next < n; next += batch {
		args := []string{add, key}
		for i := next; i < min(n, next+batch); i++ {
			element := fmt.Sprintf("element:%012d", i)
			switch key {
			case benchSet:
				args = append(args, element)
			case benchZset:
				args = append(args, strconv.Itoa(i), element)
			default:
				args = append(args, element+strings.Repeat("x", valueBytes-len(element)))
			}
		}
		if r, err := conn.Call(args...); err != nil || r.IsError() {
			return fmt.Errorf("%s: %s, %v", add, r, err)
		}
	}
	return nil
}
