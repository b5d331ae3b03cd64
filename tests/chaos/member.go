package chaos

import (
	"fmt"
	"strings"
	"time"

	"dkv/tests/harness"
)

// members changes who belongs to the cluster. A change that was asked for in
// the middle of a fault may fail, or be carried out without an answer; it is
// asked for again when the fault is over, until there is an answer.
type members struct {
	want    int // how many there should be on average
	adding  *harness.Node
	leaving *harness.Node
}

const (
	// changeLimit is how long a change may take in the middle of a fault.
	changeLimit = 3 * time.Second
	// settleLimit is the same when all is well.
	settleLimit = 30 * time.Second
	// askLimit is how long one try of several may take then.
	askLimit = 10 * time.Second
)

// change adds a node or removes one, leader or not, as it comes.
func (m *members) change(n *nemesis) {
	if m.adding != nil || m.leaving != nil {
		return
	}
	nodes := n.cluster.Nodes()
	if grow := n.rng.IntN(2) == 0; (grow && len(nodes) < m.want+2) || len(nodes) <= m.want {
		one, err := n.cluster.Join()
		if err != nil {
			n.result.violation("starting a node that joins: %v", err)
			return
		}
		n.result.Faults["node added"]++
		m.adding = one
		m.ask(n, changeLimit, "ADDNODE", one)
		return
	}
	m.leaving = nodes[n.rng.IntN(len(nodes))]
	n.result.Faults["node removed"]++
	m.ask(n, changeLimit, "REMOVENODE", m.leaving)
}

// settled returns the members that nothing is being done to.
func (m *members) settled(n *nemesis) []*harness.Node {
	return n.cluster.Others(m.adding, m.leaving)
}

// settle completes changes that were begun.
func (m *members) settle(n *nemesis) error {
	if m.adding == nil && m.leaving == nil {
		return nil
	}
	deadline := time.Now().Add(settleLimit)
	for m.adding != nil || m.leaving != nil {
		var last string
		if m.adding != nil {
			last = m.ask(n, askLimit, "ADDNODE", m.adding)
		} else {
			last = m.ask(n, askLimit, "REMOVENODE", m.leaving)
		}
		if time.Now().After(deadline) && (m.adding != nil || m.leaving != nil) {
			return fmt.Errorf("a change of membership does not come to an end: %s", last)
		}
	}
	return n.cluster.AwaitWrites(recoverLimit, n.cluster.Nodes()...)
}

// ask sends a change to some member and takes note of it when it is done.
func (m *members) ask(n *nemesis, limit time.Duration, verb string, one *harness.Node) (answer string) {
	at := n.cluster.Others(m.adding)
	if limit > changeLimit { // all is well: not through the one that goes
		at = m.settled(n)
	}
	via := at[n.rng.IntN(len(at))]
	if !via.Running() {
		return fmt.Sprintf("node %d does not run", via.Number)
	}
	r, err := via.Call(limit, "CLUSTER", verb, one.URL())
	if err != nil {
		return err.Error()
	}
	// The second time it may be done already.
	text := strings.ToLower(string(r.Str))
	done := !r.IsError() || verb == "ADDNODE" && strings.Contains(text, "already") ||
		verb == "REMOVENODE" && (strings.Contains(text, "no member") || strings.Contains(text, "not a member") || strings.Contains(text, "unknown node"))
	if !done {
		time.Sleep(pause)
		return string(r.Str)
	}
	if verb == "ADDNODE" {
		m.adding = nil
		return text
	}
	m.leaving = nil
	n.cluster.Forget(one)
	return text
}
