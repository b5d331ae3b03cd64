package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"dkv/tests/harness"
)

// Fault is something that can happen to a cluster.
type Fault struct {
	Name string
	// Needs is what the run must have for it.
	Needs need
	// Inject brings it about and returns how to take it back, nil when there is
	// nothing to take back. It does not wait for the cluster to notice.
	Inject func(n *nemesis) (undo func() error, err error)
	// Hold is how long it goes on, at most; a part of it is chosen by the seed.
	Hold time.Duration
}

type need uint8

const (
	needNothing need = iota
	needWire
	needClock
)

// nemesis breaks a cluster. One goroutine uses it.
type nemesis struct {
	cluster *harness.Cluster
	rng     *rand.Rand
	o       Options
	result  *Result
	faults  []*Fault
	members members
	steps   uint64
}

// reseed has the next choices depend on the seed and on how many steps were
// before, not on what came out of those.
func (n *nemesis) reseed() {
	n.steps++
	n.rng = rand.New(rand.NewPCG(n.o.Seed, n.steps))
}

func newNemesis(c *harness.Cluster, o Options, result *Result) (*nemesis, error) {
	n := &nemesis{cluster: c, o: o, result: result}
	n.reseed()
	n.members.want = o.Nodes
	wanted := make(map[string]bool)
	for _, name := range o.Faults {
		wanted[name] = true
	}
	for i := range faultList {
		f := &faultList[i]
		possible := f.Needs == needNothing || f.Needs == needWire && !o.Loopback || f.Needs == needClock && o.Clock
		if possible && (len(o.Faults) == 0 || wanted[f.Name]) {
			n.faults = append(n.faults, f)
		}
		delete(wanted, f.Name)
	}
	for name := range wanted {
		return nil, fmt.Errorf("no fault is called %q", name)
	}
	if len(n.faults) == 0 {
		return nil, errors.New("none of the wanted faults is possible here")
	}
	return n, nil
}

// run brings about one fault after the other until ctx ends. It returns early
// when the cluster does not recover.
func (n *nemesis) run(ctx context.Context) {
	for ctx.Err() == nil {
		n.hold(ctx, time.Second) // of peace
		if ctx.Err() != nil {
			return
		}
		if !n.step(ctx) {
			return
		}
	}
}

// step brings about one fault, perhaps a second one or a change of membership
// in the middle. It reports whether the cluster recovered.
func (n *nemesis) step(ctx context.Context) bool {
	n.reseed()
	first := n.faults[n.rng.IntN(len(n.faults))]
	second := n.faults[n.rng.IntN(len(n.faults))]
	hold := first.Hold/4 + rand64(n.rng, first.Hold*3/4)
	change := !n.o.NoMembership && n.rng.IntN(3) == 0
	if n.rng.IntN(4) > 0 || second == first {
		second = nil
	}
	return n.bring(ctx, first, second, change, hold)
}

// eachHold is how long a fault goes on before the membership changes, and after.
const eachHold = 500 * time.Millisecond

// each brings about one fault after the other. It returns early when the cluster
// does not recover.
func (n *nemesis) each() {
	ctx := context.Background()
	for _, f := range n.faults {
		n.reseed()
		behind := n.follower()
		start, err := leaveBehind(n, behind)
		if err == nil {
			err = start()
		}
		if err != nil {
			n.result.violation("leaving node %d behind before %s: %v", behind.Number, f.Name, err)
			return
		}
		if !n.bring(ctx, f, nil, !n.o.NoMembership, 2*eachHold) {
			return
		}
	}
}

// bring brings a fault about, and a second one when it is half over, or a change of
// membership, and takes all back. It reports whether the cluster recovered.
func (n *nemesis) bring(ctx context.Context, first, second *Fault, change bool, hold time.Duration) bool {
	double := second != nil
	name := first.Name
	if double {
		name += " + " + second.Name
	}
	if change {
		name += " + membership"
	}
	start := time.Now()
	undos := []func() error{n.inject(first)}
	if double {
		n.hold(ctx, hold/2)
		undos = append(undos, n.inject(second))
		hold /= 2
	}
	if n.o.Each {
		n.hold(ctx, hold/2)
		hold /= 2
	}
	if change {
		n.members.change(n)
	}
	n.hold(ctx, hold)
	if err := takeBack(undos, strings.Contains(name, faultFullDisk)); err != nil {
		n.result.violation("%s: taking it back: %v", name, err)
		return false
	}
	back := time.Now()
	err := n.recovered()
	n.o.Log("%-44s %5.1f s, writes everywhere %5.1f s after", name, back.Sub(start).Seconds(), time.Since(back).Seconds())
	if err != nil {
		n.result.violation("after %s: %v", name, err)
		return false
	}
	return true
}

// takeBack ends faults, the last one first. A node that was killed on a full disk may
// not start before there is space: its supervisor would go on trying.
func takeBack(undos []func() error, again bool) error {
	var failed []func() error
	for i := len(undos) - 1; i >= 0; i-- {
		if undos[i] == nil {
			continue
		}
		if err := undos[i](); err != nil {
			if !again {
				return err
			}
			failed = append(failed, undos[i])
		}
	}
	for _, undo := range failed {
		if err := undo(); err != nil {
			return err
		}
	}
	return nil
}

func (n *nemesis) inject(f *Fault) func() error {
	n.result.Faults[f.Name]++
	undo, err := f.Inject(n)
	if err != nil {
		n.o.Log("%s: %v", f.Name, err)
	}
	return undo
}

// recovered waits until the cluster is whole again: every member takes writes,
// and membership changes that were begun are settled.
func (n *nemesis) recovered() error {
	if err := n.cluster.AwaitWrites(recoverLimit, n.members.settled(n)...); err != nil {
		return err
	}
	return n.members.settle(n)
}

// hold lets time pass.
func (n *nemesis) hold(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// leader returns the node that leads the first shard; any when there is none.
func (n *nemesis) leader() *harness.Node {
	if l := n.cluster.Leader(0); l != nil {
		return l
	}
	nodes := n.cluster.Nodes()
	return nodes[n.rng.IntN(len(nodes))]
}

// follower returns a node that does not lead the first shard.
func (n *nemesis) follower() *harness.Node {
	others := n.cluster.Others(n.leader())
	return others[n.rng.IntN(len(others))]
}

// either returns the leader as often as a follower.
func (n *nemesis) either() *harness.Node {
	if n.rng.IntN(2) == 0 {
		return n.leader()
	}
	return n.follower()
}

func rand64(rng *rand.Rand, d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(rng.Int64N(int64(d)))
}
