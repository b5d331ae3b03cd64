package main

import (
	"fmt"
	"slices"
	"strings"

	"dkv/tests/harness"
)

// Rows of commands whose speed the hot layer decides, beside those of speed itself.
const (
	rowMSet        = "mset10"
	rowMGet        = "mget10"
	rowManyClients = "get-c1000"
	rowHotFamilies = "hot-families"
	rowEngineSpeed = "engines-p32"
)

const (
	multiKeys   = 10
	manyClients = 1000
	// engineFloor and engineGoal are of the share that another engine reaches of what
	// the same node does on Pebble.
	engineFloor = 0.9
	engineGoal  = 1.0
)

func hotRows() []string {
	return []string{rowHotFamilies, rowMSet, rowMGet, rowManyClients, rowEngineSpeed}
}

// hotGroup is what the hot layer has to reach, all of it.
func hotGroup() []string { return slices.Concat(soloDefault, hotRows()) }

// hotRow is a command that is measured at one length of pipeline.
type hotRow struct {
	row         string
	name        string
	family      family
	pipeline    int
	floor, goal float64
	// filled says that there have to be keys to find.
	filled bool
}

// hotTable has the rows that need a key space last: it is filled only then.
func hotTable() []hotRow {
	var table []hotRow
	for _, f := range families {
		if f.hot {
			table = append(table, hotRow{row: rowHotFamilies, name: f.title() + " -P 32", family: f, pipeline: 32, floor: f.floor(32), goal: f.goal(32)})
		}
	}
	mget := slices.Concat([]string{"MGET"}, slices.Repeat([]string{"key:__rand_int__"}, multiKeys))
	return append(table,
		hotRow{row: rowMSet, name: fmt.Sprintf("MSET of %d -P 1", multiKeys), family: family{test: "mset"}, pipeline: 1, floor: 0.9, goal: 1.2, filled: true},
		hotRow{row: rowMGet, name: fmt.Sprintf("MGET of %d -P 1", multiKeys), family: family{args: mget}, pipeline: 1, floor: 0.9, goal: 1.2, filled: true},
		hotRow{row: rowManyClients, name: fmt.Sprintf("GET -c %d -P 1", manyClients), family: family{test: "get", conns: manyClients}, pipeline: 1,
			floor: 0.85, goal: 1, filled: true})
}

// measureHot measures the rows of hotTable that c names, with fsync everysec.
func measureHot(c config) ([]*row, error) {
	chosen := slices.DeleteFunc(hotTable(), func(h hotRow) bool { return !c.has(h.row) })
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
	var rows []*row
	filled := false
	for _, h := range chosen {
		if h.filled && !filled {
			if err := fillByChance(c, both); err != nil {
				return nil, err
			}
			filled = true
		}
		r := &row{name: h.name, unit: "requests/s", floor: h.floor, goal: h.goal}
		rows = append(rows, r)
		if err := measureFamily(c, h.family, h.pipeline, both, r); err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return rows, nil
}

// fillByChance sets each key of the key space with a probability of 95%.
func fillByChance(c config, servers []contender) error {
	for _, s := range servers {
		fmt.Fprintf(c.progress, "filling %s\n", s.name)
		if _, err := redisBenchmark(s.server, c.keys, "set", 32, 3*c.keys); err != nil {
			return err
		}
	}
	return nil
}

// measureEngineSpeed measures the node on each storage engine, all of them beside
// each other and in turn. A row is an engine's share of what Pebble's node does.
func measureEngineSpeed(c config) ([]*row, error) {
	if !c.has(rowEngineSpeed) {
		return nil, nil
	}
	var all []contender
	defer func() {
		for _, s := range all {
			s.server.Kill()
		}
	}()
	for _, engine := range harness.Engines {
		server, err := start(c, "speed-"+engine, func(dir string) (harness.Spec, error) {
			return harness.DkvSpec(dir, slices.Concat([]string{"-db-engine", engine, "-fsync", "everysec"}, c.dkvFlags)...)
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", engine, err)
		}
		all = append(all, contender{name: engine, server: server})
	}
	if err := fillByChance(c, all); err != nil {
		return nil, err
	}
	var rows []*row
	for _, test := range []string{"set", "get"} {
		rates := map[string][]float64{}
		for round := range c.rounds {
			for _, s := range all {
				rate, err := engineSpeed(c, test, s, all, rates[s.name])
				if err != nil {
					return nil, err
				}
				fmt.Fprintf(c.progress, "round %d: %s -P 32 %-8s %9.0f/s\n", round+1, test, s.name, rate)
				rates[s.name] = append(rates[s.name], rate)
			}
			slices.Reverse(all)
		}
		for _, engine := range harness.Engines {
			if engine != basisEngine {
				rows = append(rows, &row{name: strings.ToUpper(test) + " -P 32, " + engine, unit: "requests/s", base: rates[basisEngine],
					dkv: rates[engine], floor: engineFloor, goal: engineGoal})
			}
		}
	}
	return rows, nil
}

// basisEngine is the engine that the others are measured against.
const basisEngine = "pebble"

// engineSpeed is one run; earlier has the rates of those before, to know how many
// requests fill the time.
func engineSpeed(c config, test string, s contender, all []contender, earlier []float64) (float64, error) {
	const pipeline = 32
	if err := settleAll(all); err != nil {
		return 0, err
	}
	if len(earlier) == 0 {
		rate, err := redisBenchmark(s.server, c.keys, test, pipeline, 2000*pipeline*5)
		if err != nil {
			return 0, err
		}
		earlier = []float64{rate}
	}
	return redisBenchmark(s.server, c.keys, test, pipeline, max(1000, int(earlier[len(earlier)-1]*c.seconds)))
}

// printEngineSpeed prints the rows of measureEngineSpeed.
func printEngineSpeed(c config, rows []*row) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprint(c.out, "\nThe same node on another storage engine:\n\n")
	printTable(c.out, basisEngine, "the engine", rows)
}
