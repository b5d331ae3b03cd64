package chaos

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"dkv/tests/harness"
	"dkv/tests/harness/wire"
)

// faultFullDisk is the fault that keeps a node from starting.
const faultFullDisk = "full disk"

// faultList is all that can happen, by the names that logs and Options.Faults use.
var faultList = []Fault{
	{Name: "kill leader", Hold: 4 * time.Second, Inject: func(n *nemesis) (func() error, error) { return kill(n, n.leader()) }},
	{Name: "kill follower", Hold: 4 * time.Second, Inject: func(n *nemesis) (func() error, error) { return kill(n, n.follower()) }},
	{Name: "kill all", Hold: 2 * time.Second, Inject: func(n *nemesis) (func() error, error) { return kill(n, n.cluster.Nodes()...) }},
	{Name: "kill two leaders in turn", Hold: 4 * time.Second, Inject: killInTurn},
	{Name: "stop leader", Hold: 3 * time.Second, Inject: terminate},
	{Name: "pause leader", Hold: 10 * time.Second, Inject: func(n *nemesis) (func() error, error) { return suspend(n.leader()) }},
	{Name: "pause follower", Hold: 10 * time.Second, Inject: func(n *nemesis) (func() error, error) { return suspend(n.follower()) }},
	{Name: "leader lags behind", Hold: 3 * time.Second, Inject: func(n *nemesis) (func() error, error) { return leaveBehind(n, n.leader()) }},
	{Name: "follower lags behind", Hold: 3 * time.Second, Inject: func(n *nemesis) (func() error, error) { return leaveBehind(n, n.follower()) }},

	{Name: "leader cut off", Needs: needWire, Hold: 8 * time.Second, Inject: func(n *nemesis) (func() error, error) {
		return network(n, func() { n.cluster.Isolate(n.leader()) })
	}},
	{Name: "follower cut off", Needs: needWire, Hold: 8 * time.Second, Inject: func(n *nemesis) (func() error, error) {
		return network(n, func() { n.cluster.Isolate(n.follower()) })
	}},
	{Name: "minority cut off", Needs: needWire, Hold: 8 * time.Second, Inject: func(n *nemesis) (func() error, error) {
		return network(n, func() { n.cluster.Isolate(minority(n)...) })
	}},
	{Name: "one link cut", Needs: needWire, Hold: 6 * time.Second, Inject: func(n *nemesis) (func() error, error) {
		return network(n, func() { n.cluster.Cut(n.leader(), n.follower(), true) })
	}},
	{Name: "leader heard by nobody", Needs: needWire, Hold: 6 * time.Second, Inject: func(n *nemesis) (func() error, error) {
		return network(n, func() { oneWay(n, n.leader(), false) })
	}},
	{Name: "leader hears nobody", Needs: needWire, Hold: 6 * time.Second, Inject: func(n *nemesis) (func() error, error) {
		return network(n, func() { oneWay(n, n.leader(), true) })
	}},
	{Name: "follower hears nobody", Needs: needWire, Hold: 6 * time.Second, Inject: func(n *nemesis) (func() error, error) {
		return network(n, func() { oneWay(n, n.follower(), true) })
	}},
	{Name: "all cut off", Needs: needWire, Hold: 4 * time.Second, Inject: func(n *nemesis) (func() error, error) {
		return network(n, func() { everyLink(n, wire.Link{Drop: true}) })
	}},
	{Name: "slow network", Needs: needWire, Hold: 6 * time.Second, Inject: func(n *nemesis) (func() error, error) {
		return network(n, func() { everyLink(n, wire.Link{Delay: 30 * time.Millisecond, Jitter: 60 * time.Millisecond}) })
	}},
	{Name: "lossy network", Needs: needWire, Hold: 6 * time.Second, Inject: func(n *nemesis) (func() error, error) {
		return network(n, func() { everyLink(n, wire.Link{Loss: 0.15}) })
	}},
	{Name: "slow node", Needs: needWire, Hold: 6 * time.Second, Inject: slowNode},
	{Name: faultFullDisk, Needs: needWire, Hold: 8 * time.Second, Inject: fullDisk},
	{Name: "clock jump", Needs: needClock, Hold: 5 * time.Second, Inject: jumpClock},
	{Name: "leadership moved", Hold: time.Second, Inject: moveLeader},
}

// kill ends nodes with SIGKILL, all at once, and starts them again together.
func kill(n *nemesis, nodes ...*harness.Node) (func() error, error) {
	for _, one := range nodes {
		one.Signal(syscall.SIGKILL)
	}
	for _, one := range nodes {
		one.Kill()
	}
	return func() error { return start(n, nodes...) }, nil
}

// start starts those of the nodes that do not run and are still members.
func start(n *nemesis, nodes ...*harness.Node) error {
	var down []*harness.Node
	for _, one := range nodes {
		if one.Running() || one.Gone() {
			continue
		}
		if one == n.members.leaving {
			one.Start() // it may be told at once that it was removed
			continue
		}
		down = append(down, one)
	}
	return harness.StartAll(down)
}

// killInTurn kills the leader, and when it is back and writes flow the next
// one, at once.
func killInTurn(n *nemesis) (func() error, error) {
	first := n.leader()
	first.Kill()
	// Not for long: another fault may leave no majority now.
	if err := n.cluster.AwaitWrites(callLimit, running(n, first)...); err != nil {
		return func() error { return start(n, first) }, err
	}
	if err := first.Start(); err != nil { // on a full disk
		return func() error { return start(n, first) }, err
	}
	return kill(n, n.leader())
}

// terminate has the leader shut down in order, which hands on its leadership. Where
// the fault before killed all, there is none.
func terminate(n *nemesis) (func() error, error) {
	leader := n.leader()
	if !leader.Running() {
		return nil, nil
	}
	const limit = 30 * time.Second
	if code, err := leader.Terminate(limit); err != nil || code != 0 {
		n.result.violation("SIGTERM to node %d: exit code %d, %v", leader.Number, code, err)
	}
	return func() error { return start(n, leader) }, nil
}

func suspend(one *harness.Node) (func() error, error) {
	err := one.Pause()
	return func() error {
		if !one.Running() || one.Gone() {
			return nil
		}
		return one.Resume()
	}, err
}

// leaveBehind kills a node and writes more than the others keep in their logs,
// so that it needs a raft snapshot.
func leaveBehind(n *nemesis, one *harness.Node) (func() error, error) {
	undo, _ := kill(n, one)
	const megabytes = 12
	err := burst(n, running(n, one), megabytes)
	return undo, err
}

// burst writes over the same few keys.
func burst(n *nemesis, nodes []*harness.Node, megabytes int) error {
	const valueBytes, keys = 64 << 10, 32
	if len(nodes) == 0 {
		return errors.New("burst: no node runs")
	}
	conn, err := nodes[n.rng.IntN(len(nodes))].Connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(recoverLimit))
	value := make([]byte, valueBytes)
	for i := range value {
		value[i] = byte('!' + n.rng.IntN(90))
	}
	for i := range megabytes << 20 / valueBytes {
		r, err := conn.Call("SET", fmt.Sprintf("burst:%d", i%keys), string(value[i%1000:]))
		if err != nil {
			return fmt.Errorf("burst: %w", err)
		}
		if r.IsError() { // no majority, or a full disk
			return fmt.Errorf("burst: %s", r)
		}
	}
	return nil
}

// running returns the nodes whose processes run, without one.
func running(n *nemesis, without *harness.Node) []*harness.Node {
	var out []*harness.Node
	for _, one := range n.cluster.Others(without) {
		if one.Running() {
			out = append(out, one)
		}
	}
	return out
}

func network(n *nemesis, cut func()) (func() error, error) {
	cut()
	return func() error { n.cluster.Wire.Heal(); return nil }, nil
}

func everyLink(n *nemesis, rule wire.Link) {
	nodes := n.cluster.Nodes()
	for i, a := range nodes {
		for _, b := range nodes[:i] {
			n.cluster.Wire.SetBoth(a.Host.Number, b.Host.Number, rule)
		}
	}
}

// oneWay cuts one direction of all of a node's links to others.
func oneWay(n *nemesis, one *harness.Node, deaf bool) {
	for _, other := range n.cluster.Others(one) {
		if deaf {
			n.cluster.Cut(other, one, false)
		} else {
			n.cluster.Cut(one, other, false)
		}
	}
}

// minority returns as many nodes as the others can do without, perhaps with
// the leader among them.
func minority(n *nemesis) []*harness.Node {
	first := n.either()
	out := []*harness.Node{first}
	for _, other := range n.cluster.Others(first) {
		if len(out) < (len(n.cluster.Nodes())-1)/2 {
			out = append(out, other)
		}
	}
	return out
}

// slowNode has one follower hear everything at a modem's speed.
func slowNode(n *nemesis) (func() error, error) {
	one := n.follower()
	return network(n, func() {
		for _, other := range n.cluster.Others(one) {
			n.cluster.Wire.SetLink(other.Host.Number, one.Host.Number, wire.Link{BytesPerSecond: 32 << 10, Delay: 20 * time.Millisecond})
		}
	})
}

func fullDisk(n *nemesis) (func() error, error) {
	one := n.either()
	left := int64(0)
	if n.rng.IntN(2) == 0 {
		left = 4 << 20
	}
	return func() error {
		if one.Gone() {
			return nil
		}
		return one.FreeDisk()
	}, one.FillDisk(left)
}

func jumpClock(n *nemesis) (func() error, error) {
	one := n.either()
	const most = 30 * time.Minute
	off := rand64(n.rng, 2*most) - most
	return func() error { return one.JumpClock(0) }, one.JumpClock(off)
}

// moveLeader asks a node to become the leader.
func moveLeader(n *nemesis) (func() error, error) {
	r, err := n.follower().Call(callLimit, "CLUSTER", "FAILOVER")
	if err == nil && r.IsError() {
		err = errors.New(string(r.Str))
	}
	return nil, err
}
