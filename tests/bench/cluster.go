package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"dkv/tests/harness"
)

// Rows of -cluster. All but the last are sections, each a table of its own.
const (
	rowEtcd        = "etcd"
	rowReplication = "replication"
	rowShards      = "shards"
	rowOutage      = "outage"
)

var clusterRows = []string{rowEtcd, rowReplication, rowShards, rowOutage}

// section is one table: two subjects, and what is asked of both.
type section struct {
	name  string
	title string
	base  string // the head of the base's column
	dkv   string
	loads []clusterLoad
	start func(c config, dir string) (base, dkv *subject, err error)
}

// subject is one side of a section: servers that run, and how to put load on them.
type subject struct {
	servers []*harness.Server
	run     func(ctx context.Context, c config, l clusterLoad) (float64, error)
	stop    func()
}

// sections returns what the flags ask for. Floors and goals are the issue's; a
// goal of 0 is none.
func sections(rows []string) []section {
	load := func(name, op string, pipeline int, floor, goal float64) clusterLoad {
		r := &row{name: fmt.Sprintf("%s -P %d", name, pipeline), unit: "requests/s", floor: floor, goal: goal}
		return clusterLoad{row: r, op: op, pipeline: pipeline}
	}
	set := load("SET", opSet, 1, 3, 6)
	// etcd has no pipelines: what it does without is what it can do.
	pipelined := load("SET", opSet, 32, 20, 40)
	pipelined.baseOf = set.row
	all := []section{
		{name: rowEtcd, title: "Three nodes against three members of etcd", base: "etcd", dkv: "dkv", start: startEtcdAndDkv,
			loads: []clusterLoad{set, load("GET", opGet, 1, 4, 8), pipelined}},
		{name: rowReplication, title: "What replication costs", base: "one node", dkv: "three nodes", start: startOneAndThree,
			loads: []clusterLoad{load("SET", opSet, 1, 0.35, 0), load("SET", opSet, 32, 0.35, 0)}},
		{name: rowShards, title: "Four shards", base: "-shards 1", dkv: "-shards 4", start: startOneShardAndFour,
			loads: []clusterLoad{load("SET", opSet, 1, 1, 0), load("SET", opSet, 32, 1, 0), load("GET", opGet, 1, 1, 0)}},
	}
	return slices.DeleteFunc(all, func(s section) bool { return !slices.Contains(rows, s.name) })
}

// runCluster is `make bench-cluster`.
func runCluster(c config) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if _, err := exec.LookPath("etcd"); err != nil && slices.Contains(c.rows, rowEtcd) {
		return fmt.Errorf("%w (apt-get install etcd-server; then disable its service)", err)
	}
	if err := os.RemoveAll(c.folder); err != nil {
		return err
	}
	defer os.RemoveAll(c.folder)
	began := time.Now()
	done := sections(c.rows)
	for _, s := range done {
		if err := s.measure(ctx, c); err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
	}
	var outages []outage
	if slices.Contains(c.rows, rowOutage) {
		var err error
		if outages, err = measureOutages(ctx, c); err != nil {
			return err
		}
	}
	reportCluster(c, done, outages, clusterMachine(c), time.Since(began))
	return nil
}

// measure runs a section's loads on both sides in turn. Both run all the time.
func (s section) measure(ctx context.Context, c config) error {
	dir, err := filepath.Abs(filepath.Join(c.folder, s.name))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	fmt.Fprintf(c.progress, "%s: starting\n", s.name)
	base, dkv, err := s.start(c, dir)
	if err != nil {
		return err
	}
	defer base.stop()
	defer dkv.stop()
	both := []*subject{base, dkv}
	// GET has to find something, and SET is not measured on an empty server.
	for _, side := range both {
		rate, err := side.run(ctx, c, clusterLoad{op: opFill, pipeline: fillBatch})
		if err != nil {
			return err
		}
		fmt.Fprintf(c.progress, "%s: filled %s, %.0f/s\n", s.name, s.head(side == base), rate)
	}
	for round := range c.rounds {
		for _, l := range s.loads {
			for _, side := range both {
				if side == base && l.baseOf != nil {
					continue
				}
				if err := restBefore(ctx, s, base, dkv); err != nil {
					return err
				}
				rate, err := side.run(ctx, c, l)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", l.row.name, s.head(side == base), err)
				}
				fmt.Fprintf(c.progress, "%s: round %d: %-10s %-12s %9.0f/s\n", s.name, round+1, l.row.name, s.head(side == base), rate)
				if side == base {
					l.row.base = append(l.row.base, rate)
				} else {
					l.row.dkv = append(l.row.dkv, rate)
				}
			}
			if l.baseOf != nil {
				l.row.base = slices.Clone(l.baseOf.base)
			}
		}
		slices.Reverse(both)
	}
	return nil
}

func (s section) head(base bool) string {
	if base {
		return s.base
	}
	return s.dkv
}

// restBefore waits until all servers of both sides are at rest.
func restBefore(ctx context.Context, s section, base, dkv *subject) error {
	var all []contender
	for _, server := range base.servers {
		all = append(all, contender{name: s.base, server: server})
	}
	for _, server := range dkv.servers {
		all = append(all, contender{name: s.dkv, server: server})
	}
	if err := settle(all); err != nil {
		return err
	}
	return ctx.Err()
}

func startEtcdAndDkv(c config, dir string) (base, dkv *subject, err error) {
	e, err := startEtcd(c, filepath.Join(dir, "etcd"))
	if err != nil {
		return nil, nil, err
	}
	base = &subject{servers: e.members, run: e.run, stop: e.stop}
	dkv, err = startNodes(c, filepath.Join(dir, "dkv"))
	return withBoth(base, dkv, err)
}

func startOneAndThree(c config, dir string) (base, dkv *subject, err error) {
	if base, err = startAlone(c, filepath.Join(dir, "one")); err != nil {
		return nil, nil, err
	}
	dkv, err = startNodes(c, filepath.Join(dir, "three"))
	return withBoth(base, dkv, err)
}

func startOneShardAndFour(c config, dir string) (base, dkv *subject, err error) {
	if base, err = startNodes(c, filepath.Join(dir, "shards-1"), "-shards", "1"); err != nil {
		return nil, nil, err
	}
	dkv, err = startNodes(c, filepath.Join(dir, "shards-4"), "-shards", "4")
	return withBoth(base, dkv, err)
}

// withBoth returns both sides, or neither.
func withBoth(base, dkv *subject, err error) (*subject, *subject, error) {
	if err != nil {
		base.stop()
		return nil, nil, err
	}
	return base, dkv, nil
}

// startNodes starts a cluster of three nodes.
func startNodes(c config, dir string, flags ...string) (*subject, error) {
	nodes, err := newCluster(c, dir, flags...)
	if err != nil {
		return nil, err
	}
	var servers []*harness.Server
	for _, n := range nodes.Nodes() {
		servers = append(servers, n.Server)
	}
	return newSubject(servers, nodes.Close), nil
}

func newCluster(c config, dir string, flags ...string) (*harness.Cluster, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return harness.NewCluster(harness.ClusterOptions{Dir: dir, Flags: slices.Concat(durability, flags, c.dkvFlags)})
}

// durability of all that is measured here: a write is on disk before its reply.
var durability = []string{"-fsync", "always"}

// startAlone starts a standalone node.
func startAlone(c config, dir string) (*subject, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	spec, err := harness.DkvSpec(dir, slices.Concat(durability, c.dkvFlags)...)
	if err != nil {
		return nil, err
	}
	server := harness.NewServer(spec)
	if err := server.Start(); err != nil {
		return nil, err
	}
	return newSubject([]*harness.Server{server}, server.Kill), nil
}

func newSubject(servers []*harness.Server, stop func()) *subject {
	var addrs []string
	for _, s := range servers {
		addrs = append(addrs, s.Addr())
	}
	return &subject{servers: servers, stop: stop, run: func(ctx context.Context, c config, l clusterLoad) (float64, error) {
		rate, err := runLoad(ctx, c, addrs, l)
		if err != nil && !errors.Is(err, context.Canceled) {
			for _, s := range servers {
				err = fmt.Errorf("%w\n---- %s\n%s", err, s.Addr(), s.Logs())
			}
		}
		return rate, err
	}}
}
