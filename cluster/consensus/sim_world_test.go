package consensus

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// The simulation runs a whole cluster on one goroutine: every node is a core on a
// real raftlog, and whatever happens to it (a tick, a message, a crash) is an event
// of one queue in virtual time. All chance comes from one seeded generator, so a
// seed is a schedule, and a schedule replays exactly.
//
//	sim_world_test.go    the queue of events, chance, the trace
//	sim_disk_test.go     a disk that loses what was not synced, and fills up
//	sim_node_test.go     a node: start, crash, stop, what runs on the group's goroutine
//	sim_state_test.go    its state machine: a small engine that flushes now and then
//	sim_writer_test.go   its single writer and its reads, as in package shard
//	sim_net_test.go      messages and raft snapshots on their way
//	sim_client_test.go   clients and their history
//	sim_fault_test.go    what goes wrong
//	sim_member_test.go   changes of the membership
//	sim_strand_test.go   leaders that are cut off together with a member that asks them
//	sim_check_test.go    what must always hold, and what must hold in the end
//	sim_test.go          the tests; mutants prove that the checks bite
//
// What is simulated of package shard (the single writer, reads, flushes) is written
// here once more, in small. What is tested is consensus and raftlog, and the rules
// by which shard uses them.

// world is one schedule.
type world struct {
	simPlan
	r      *rand.Rand
	now    time.Duration
	events simQueue
	seq    uint64
	stamp  int64 // orders what clients see
	failed string

	nodes   []*simNode
	clients []*simClient
	net     simNet
	truth   simTruth
	healed  time.Duration // when all faults ended; 0: they go on
	wrote   time.Duration // when the first write after that was acknowledged
	ended   bool
	joined  int    // joiners that were added
	starts  uint64 // of processes, over all nodes
	stats   simStats

	hash uint64
	ring []simTrace
	logs uint64
}

// simStats says what a schedule, or many, went through.
type simStats struct {
	Schedules, Events, Messages               int
	Acked, Refused, Unknown, Reads            int
	Crashes, Elections, Snapshots, ConfChange int
	MostEvents                                int
	Unchecked                                 int // histories that the checker gave up
	Restarts, NoSpace, Transfers, LeaseReads  int
	Strandings, LoneRequests, Overtaken       int           // see strand
	FirstWrite                                time.Duration // the longest wait for a write after healing
}

func (s *simStats) add(o simStats) {
	s.Schedules += o.Schedules
	s.Events += o.Events
	s.Unchecked += o.Unchecked
	s.Messages += o.Messages
	s.Acked += o.Acked
	s.Refused += o.Refused
	s.Unknown += o.Unknown
	s.Reads += o.Reads
	s.Crashes += o.Crashes
	s.Elections += o.Elections
	s.Snapshots += o.Snapshots
	s.ConfChange += o.ConfChange
	s.Restarts += o.Restarts
	s.NoSpace += o.NoSpace
	s.Transfers += o.Transfers
	s.LeaseReads += o.LeaseReads
	s.Strandings += o.Strandings
	s.LoneRequests += o.LoneRequests
	s.Overtaken += o.Overtaken
	s.FirstWrite = max(s.FirstWrite, o.FirstWrite)
	s.MostEvents = max(s.MostEvents, o.Events)
}

// simEvent is something that happens at a moment. Events of the same moment
// happen in the order in which they were planned.
type simEvent struct {
	at  time.Duration
	seq uint64
	do  func()
}

type simQueue []simEvent

func (q simQueue) Len() int { return len(q) }
func (q simQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q simQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *simQueue) Push(x any)   { *q = append(*q, x.(simEvent)) }
func (q *simQueue) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}

// after plans f.
func (w *world) after(d time.Duration, f func()) {
	w.seq++
	heap.Push(&w.events, simEvent{w.now + max(d, 0), w.seq, f})
}

// maxSimEvents ends a schedule that goes in circles.
const maxSimEvents = 80_000

// run lets time pass until the moment given. A node that waits for space on its
// disk calls it too, from within one of its own events.
func (w *world) run(until time.Duration) {
	for w.failed == "" && !w.ended && len(w.events) > 0 && w.events[0].at <= until {
		e := heap.Pop(&w.events).(simEvent)
		w.now = e.at
		if w.stats.Events++; w.stats.Events > maxSimEvents {
			w.fail("more than %d events", maxSimEvents)
			return
		}
		e.do()
	}
	if w.failed == "" && !w.ended {
		w.now = until
	}
}

// chance is true in the given share of cases.
func (w *world) chance(p float64) bool { return w.r.Float64() < p }

// between returns a duration from lo to hi.
func (w *world) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(w.r.Int64N(int64(hi-lo)+1))
}

// around returns a duration that is exponentially distributed about a mean, and not
// more than ten times as long.
func (w *world) around(mean time.Duration) time.Duration {
	return time.Duration(min(w.r.ExpFloat64(), 10) * float64(mean))
}

// fail ends the schedule.
func (w *world) fail(format string, args ...any) {
	if w.failed == "" {
		w.failed = fmt.Sprintf(format, args...)
	}
}

// simRing is how many lines of the trace are kept.
var simRing = 256

// simTrace is one line of the trace, of which the last are printed on failure.
type simTrace struct {
	at   time.Duration
	node NodeID
	what string
	args [4]uint64
	note string
	msg  *pb.Message
}

// log adds a line to the trace. All of it goes into the hash by which two runs of a
// seed are compared.
func (w *world) log(node NodeID, what string, args ...uint64) *simTrace {
	t := &w.ring[w.logs%uint64(len(w.ring))]
	w.logs++
	*t = simTrace{at: w.now, node: node, what: what}
	copy(t.args[:], args)
	w.mix(uint64(w.now), uint64(node), uint64(len(what)))
	w.mixBytes(what)
	w.mix(args...)
	return t
}

func (w *world) mix(values ...uint64) {
	for _, v := range values {
		w.hash = (w.hash^v)*0x9e3779b97f4a7c15 + w.hash>>29
	}
}

func (w *world) mixBytes(s string) {
	for len(s) >= 8 {
		w.mix(binary.LittleEndian.Uint64([]byte(s[:8])))
		s = s[8:]
	}
	for i := range len(s) {
		w.mix(uint64(s[i]))
	}
}

// logMessage traces a message with all its bytes, which it returns.
func (w *world) logMessage(what string, m *pb.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		w.fail("encode a message: %v", err)
	}
	t := w.log(NodeID(m.GetFrom()), what, m.GetTo())
	t.msg = m
	w.mixBytes(string(b))
	return b
}

// tail returns the last lines of the trace.
func (w *world) tail(lines int) string {
	var b strings.Builder
	n := min(w.logs, uint64(len(w.ring)), uint64(lines))
	for i := w.logs - n; i < w.logs; i++ {
		t := &w.ring[i%uint64(len(w.ring))]
		fmt.Fprintf(&b, "%10.3fms  %d  %-16s", float64(t.at)/1e6, t.node, t.what)
		if t.msg != nil {
			fmt.Fprintf(&b, " to %d %s", t.args[0], simMessage(t.msg))
		} else {
			fmt.Fprintf(&b, " %d", t.args)
		}
		fmt.Fprintf(&b, " %s\n", t.note)
	}
	return b.String()
}

func simMessage(m *pb.Message) string {
	s := fmt.Sprintf("%s term %d log %d/%d commit %d", m.GetType(), m.GetTerm(), m.GetLogTerm(), m.GetIndex(), m.GetCommit())
	if n := len(m.GetEntries()); n > 0 {
		s += fmt.Sprintf(" entries %d-%d", m.GetEntries()[0].GetIndex(), m.GetEntries()[n-1].GetIndex())
	}
	if m.GetReject() {
		s += fmt.Sprintf(" reject hint %d", m.GetRejectHint())
	}
	if len(m.GetContext()) > 0 {
		s += fmt.Sprintf(" context %x", m.GetContext())
	}
	if md := m.GetSnapshot().GetMetadata(); md != nil {
		s += fmt.Sprintf(" snapshot %d/%d", md.GetTerm(), md.GetIndex())
	}
	return s
}
