package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dkv/tests/chaos/history"
	"dkv/tests/harness"
)

// Run starts a cluster and breaks it for Options.Time. The error is about the
// run itself; what the servers did wrong is in Result.Violations. A round in
// which something was found is the last.
func Run(o Options) (*Result, error) {
	o = o.withDefaults()
	result := &Result{Seed: o.Seed, Faults: make(map[string]int), Errors: make(map[string]int)}
	start := time.Now()
	defer func() { result.Elapsed = time.Since(start) }()

	co := harness.ClusterOptions{Nodes: o.Nodes, Dir: o.Dir, Wire: !o.Loopback, Flags: o.flags(), Program: o.Program, Clock: o.Clock}
	if co.Wire {
		co.DiskBytes = diskBytes
	}
	cluster, err := harness.NewCluster(co)
	if err != nil {
		return nil, err
	}
	defer cluster.Close()
	nemesis, err := newNemesis(cluster, o, result)
	if err != nil {
		return nil, err
	}
	r := &run{o: o, cluster: cluster, nemesis: nemesis, result: result, kept: make(map[string]history.Value)}
	if o.Each {
		r.round(nemesis.each)
	}
	for left := o.Time; left > 0 && !o.Each && len(result.Violations) == 0; left -= o.Round {
		r.round(func() {
			ctx, cancel := context.WithTimeout(context.Background(), min(left, o.Round))
			defer cancel()
			nemesis.run(ctx)
		})
	}
	result.Snapshots = cluster.CountLogged("a raft snapshot was received")
	if sign := cluster.SignOfBug(); sign != "" {
		result.violation("%s", sign)
	}
	if len(result.Violations) > 0 && o.Reports != "" {
		if err := cluster.WriteLogs(o.Reports); err != nil {
			return result, err
		}
	}
	return result, nil
}

type run struct {
	o       Options
	cluster *harness.Cluster
	nemesis *nemesis
	result  *Result
	// kept is what the keys of earlier rounds hold, which nobody changes any more.
	kept map[string]history.Value
}

// round loads the cluster while breakIt breaks it, then verifies everything.
func (r *run) round(breakIt func()) {
	r.result.Rounds++
	prefix := fmt.Sprintf("r%d:", r.result.Rounds)
	book := history.NewBook(prefix, history.Limits{})
	load := startLoad(r.cluster, book, r.o, r.o.Seed+uint64(r.result.Rounds))
	counters := startCounters(r.cluster, prefix, r.o.Seed+uint64(r.result.Rounds))

	breakIt()
	r.cluster.Heal()
	load.end()
	counters.end()
	r.collect(load)
	if len(r.result.Violations) == 0 {
		if err := r.restart(); err != nil {
			r.result.violation("restarting all nodes after round %d: %v", r.result.Rounds, err)
		}
	}
	if len(r.result.Violations) == 0 {
		r.readAll(book)
		if err := counters.final(r.readNumber); err != nil {
			r.result.violation("reading the counters in the end: %v", err)
		}
		if err := r.same(); err != nil {
			r.result.violation("%v", err)
		}
	}
	r.result.Violations = append(r.result.Violations, counters.mu.wrong...)
	r.check(book)
	r.o.Log("round %d: %d operations in %d groups, %d refused, %d unknown, %d stale reads, %d violations; longest gap between writes %.1f s",
		r.result.Rounds, load.mu.operations, len(book.Groups()), load.mu.nothing, load.mu.unknown, counters.mu.reads,
		len(r.result.Violations), load.mu.longestGap.Seconds())
}

// collect adds a round's load to the result.
func (r *run) collect(l *load) {
	r.result.Operations += l.mu.operations
	r.result.Nothing += l.mu.nothing
	r.result.Unknown += l.mu.unknown
	r.result.LongestGap = max(r.result.LongestGap, l.mu.longestGap)
	for word, n := range l.mu.errors {
		r.result.Errors[word] += n
	}
	r.result.Violations = append(r.result.Violations, l.mu.wrong...)
}

// restart ends all nodes, in order or not, and starts them again.
func (r *run) restart() error {
	nodes := r.cluster.Nodes()
	if r.nemesis.rng.IntN(2) == 0 {
		undo, _ := kill(r.nemesis, nodes...)
		if err := undo(); err != nil {
			return err
		}
	} else {
		const limit = 30 * time.Second
		for _, n := range nodes {
			if code, err := n.Terminate(limit); err != nil || code != 0 {
				return fmt.Errorf("SIGTERM to node %d: exit code %d, %v", n.Number, code, err)
			}
		}
		if err := start(r.nemesis, nodes...); err != nil {
			return err
		}
	}
	return r.cluster.AwaitWrites(restartLimit, nodes...)
}

// readAll reads every key of the round on one node after the other, as the
// last operations of their histories, and the keys of earlier rounds.
func (r *run) readAll(book *history.Book) {
	nodes := r.cluster.Nodes()
	for i, n := range nodes {
		client := 1000 + n.Number
		err := r.onNode(n, func(c *harness.Conn) error {
			for _, g := range book.Groups() {
				at := book.Now()
				reply, err := c.Call("MGET", g.Keys[0], g.Keys[1])
				if err != nil {
					return err
				}
				in := history.Input{Kind: history.MGet}
				out, what := parse(in, reply)
				if what != done {
					return fmt.Errorf("MGET %s: %s", g.Keys[0], reply)
				}
				g.Add(client, in, out, at, book.Now())
				if i == len(nodes)-1 {
					r.kept[g.Keys[0]], r.kept[g.Keys[1]] = out.Values[0], out.Values[1]
				}
			}
			return nil
		})
		if err != nil {
			r.result.violation("reading everything on node %d: %v", n.Number, err)
			return
		}
	}
	r.readKept(nodes[r.nemesis.rng.IntN(len(nodes))])
}

// readKept compares what earlier rounds left with what was read then.
func (r *run) readKept(n *harness.Node) {
	err := r.onNode(n, func(c *harness.Conn) error {
		for key, want := range r.kept {
			reply, err := c.Call("GET", key)
			if err != nil {
				return err
			}
			if reply.IsError() {
				return fmt.Errorf("GET %s: %s", key, reply)
			}
			if got := value(reply); got != want {
				r.result.violation("%s held %v at the end of its round, and %v now on node %d", key, want, got, n.Number)
			}
		}
		return nil
	})
	if err != nil {
		r.result.violation("reading what earlier rounds left: %v", err)
	}
}

func (r *run) readNumber(key string) (n int64, err error) {
	err = r.onNode(r.cluster.Nodes()[0], func(c *harness.Conn) error {
		reply, err := c.Call("GET", key)
		if err == nil && reply.IsError() {
			err = fmt.Errorf("%s", reply)
		}
		n, _ = reply.Int()
		return err
	})
	return n, err
}

func (r *run) onNode(n *harness.Node, f func(c *harness.Conn) error) error {
	c, err := n.Connect()
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Minute))
	return f(c)
}

// same waits until all nodes hold the same.
func (r *run) same() error {
	digests, err := r.cluster.AwaitSame(convergeLimit)
	if err != nil {
		return fmt.Errorf("the nodes' contents differ: %w", err)
	}
	_ = digests
	return nil
}

// check decides about the round's histories and reports those that are wrong.
func (r *run) check(book *history.Book) {
	for _, v := range history.Check(book.Groups(), checkLimit) {
		keys := strings.Join(v.Group.Keys[:], ", ")
		if v.Undecided {
			operations, unknown := v.Group.Size()
			r.result.violation("undecided after %v whether the history of %s is linearizable: %d operations, %d unknown",
				checkLimit, keys, operations, unknown)
		} else {
			r.result.violation("the history of %s is not linearizable", keys)
		}
		if err := r.report(v.Group); err != nil {
			r.o.Log("writing the history of %s: %v", keys, err)
		}
	}
}

func (r *run) report(g *history.Group) error {
	if r.o.Reports == "" {
		return nil
	}
	if err := os.MkdirAll(r.o.Reports, 0o755); err != nil {
		return err
	}
	name := filepath.Join(r.o.Reports, fmt.Sprintf("round-%d-group-%d", r.result.Rounds, g.Number))
	var page, lines strings.Builder
	if err := g.Write(&lines); err != nil {
		return err
	}
	if err := os.WriteFile(name+".txt", []byte(lines.String()), 0o644); err != nil {
		return err
	}
	if err := g.Visualize(&page, checkLimit); err != nil {
		return err
	}
	return os.WriteFile(name+".html", []byte(page.String()), 0o644)
}

// RandomSeed returns a seed to print.
func RandomSeed() uint64 { return rand.Uint64() }
