package consensus

import (
	"flag"
	"fmt"
	"math"
	"os"
	"strconv"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"
)

var (
	simSeed  = flag.Uint64("sim.seed", 0, "run the simulation with this seed only, and print its trace when it fails")
	simWrong = flag.Int("sim.mutant", 0, "make this mistake, a number of simMutant, with -sim.seed")
	simLease = flag.Bool("sim.lease", false, "leases in all schedules")
	simLines = flag.Int("sim.lines", 60, "lines of the trace to print on failure")
)

// envUint reads a number from the environment.
func envUint(name string, otherwise uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
		return n
	}
	return otherwise
}

// simulate runs one schedule and checks it. The bubble keeps the log's background
// goroutine from ever running, since its time stands still.
func simulate(t *testing.T, seed uint64, mutant simMutant) *world {
	w := &world{}
	synctest.Test(t, func(t *testing.T) {
		// Raft draws its election timeouts from crypto/rand.
		cryptotest.SetGlobalRandom(t, seed)
		w.play(seed, mutant)
	})
	if w.failed == "" {
		switch r := w.checkHistory(); r {
		case porcupine.Ok:
		case porcupine.Unknown:
			w.stats.Unchecked++
		default:
			w.failed = fmt.Sprintf("the history is not linearizable: %v", r)
		}
	}
	return w
}

// play is the schedule.
func (w *world) play(seed uint64, mutant simMutant) {
	w.plan(seed, mutant)
	w.truth.init(w)
	var voters []uint64
	for i := range w.nodeCount + w.joiners {
		n := &simNode{w: w, id: NodeID(i + 1), disk: newSimDisk(), rate: w.rate()}
		w.nodes = append(w.nodes, n)
		if i < w.nodeCount {
			voters = append(voters, uint64(n.id))
		}
	}
	for _, n := range w.nodes[:w.nodeCount] {
		n.member = true
		n.newDisk(voters)
		w.after(w.between(0, 300*time.Millisecond), n.start)
	}
	for i := range w.clientCount {
		c := &simClient{w: w, id: i, reads: []float64{0.1, 0.5, 0.95}[i%3]}
		if w.calm {
			c.reads = 0.97
		}
		w.clients = append(w.clients, c)
		w.after(w.around(w.think), c.next)
	}
	w.nextFault()
	w.after(w.length, func() {
		w.heal()
		w.watch()
	})
	w.run(time.Hour)
	if w.failed == "" {
		w.checkEnd()
	}
	for _, n := range w.nodes {
		if n.log != nil {
			n.disk.off = true
			_ = n.protect(n.log.Close)
		}
	}
	w.stats.Schedules = 1
}

// report says what failed and how to see it again.
func (w *world) report(t *testing.T) {
	t.Helper()
	t.Errorf("seed %d: %s\n%s\nto see it again: go test ./cluster/consensus -run 'TestSimulation$' -sim.seed=%d -sim.lease=%v",
		w.seed, w.failed, w.tail(*simLines), w.seed, *simLease)
}

// TestSimulation runs schedules: those of the seeds from DKV_SIM_FIRST on,
// DKV_SIM_SEEDS of them or as many as fit into DKV_SIM_TIME ("10m").
func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		simRing = 1 << 20
		if w := simulate(t, *simSeed, simMutant(*simWrong)); w.failed != "" {
			w.report(t)
		} else {
			t.Logf("%+v", w.stats)
		}
		return
	}
	first, count := envUint("DKV_SIM_FIRST", 1), envUint("DKV_SIM_SEEDS", simCount(simShort))
	var total simStats
	began := time.Now()
	length, err := time.ParseDuration(os.Getenv("DKV_SIM_TIME"))
	if err == nil {
		count = math.MaxUint64 - first
	}
	failures := 0
	for seed := first; seed < first+count && failures < 3 && (err != nil || time.Since(began) < length); seed++ {
		w := simulate(t, seed, mutantNone)
		total.add(w.stats)
		if w.failed != "" {
			w.report(t)
			failures++
		}
	}
	if total.Unchecked > 1+total.Schedules/200 {
		t.Errorf("%d histories of %d were too much for the checker", total.Unchecked, total.Schedules)
	}
	if total.Schedules >= simShort && !*simLease && (total.LoneRequests == 0 || total.Overtaken == 0) {
		t.Errorf("of %d requests of a member that is no majority with the leader %d came when others had committed more: the rule of confirm.go was not tried",
			total.LoneRequests, total.Overtaken)
	}
	t.Logf("seeds %d to %d in %v: %+v", first, first+uint64(total.Schedules)-1, time.Since(began).Round(time.Millisecond), total)
}

// simShort is how many schedules run without being asked for more.
const simShort = 300

// simCount is how many of a test's schedules run: fewer under the race detector,
// which finds nothing in a world of one goroutine.
func simCount(n uint64) uint64 {
	if raceEnabled {
		return n / 15
	}
	return n
}

// TestSimulationReplays: a seed is a schedule, down to the last byte of the last
// message.
func TestSimulationReplays(t *testing.T) {
	for seed := uint64(1); seed <= simCount(15); seed++ {
		a, b := simulate(t, seed, mutantNone), simulate(t, seed, mutantNone)
		if a.hash != b.hash || a.logs != b.logs || a.failed != b.failed {
			t.Errorf("seed %d: %d lines of trace with hash %x, then %d with %x", seed, a.logs, a.hash, b.logs, b.hash)
		}
	}
}

// simMutants are mistakes, and within how many schedules each must be found.
var simMutants = []struct {
	mutant simMutant
	name   string
	within uint64
}{
	{mutantNoBarrier, "reads do not ask", 40},
	{mutantUnconfirmed, "tasks that write nothing do not ask", 2000},
	{mutantEarlyAck, "acknowledged when proposed", 40},
	{mutantNoTermCheck, "proposed in another term", 2000},
	{mutantEarlyLead, "evaluates before its term's entry is applied", 400},
	{mutantNoPosition, "flushed without position", 40},
	{mutantOldConf, "flushed without membership", 40},
	{mutantNoFsync, "log not synced", 40},
	{mutantDefinite, "refused when stepping down", 40},
	{mutantSameSeed, "read index contexts repeat", 40},
	{mutantNoReset, "log not reset", 40},
	{mutantLateSnapshot, "raft snapshot later than its index", 40},
	{mutantSlowClock, "leases by a slow clock", 400},
	{mutantLoneConfirm, "a leader and one member pass for a majority", 400},
	{mutantLearnerConfirm, "a learner passes for a voter", 400},
	{mutantEarlyConfirm, "a member's request confirms a leader too early", 400},
}

// TestSimulationFindsMistakes proves that the checks bite: each mistake, made on
// purpose, is found.
func TestSimulationFindsMistakes(t *testing.T) {
	if raceEnabled {
		t.Skip("it proves the same without the race detector")
	}
	for _, m := range simMutants {
		began := time.Now()
		found := false
		for seed := uint64(1); seed <= m.within && !found; seed++ {
			if w := simulate(t, seed, m.mutant); w.failed != "" {
				found = true
				t.Logf("%s: found by seed %d in %v: %.150s", m.name, seed, time.Since(began), w.failed)
			}
		}
		if !found {
			t.Errorf("%s: not found by %d schedules", m.name, m.within)
		}
	}
}
