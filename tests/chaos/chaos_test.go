package chaos

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// TestChaos is the long form: make chaos CHAOSTIME=1h CHAOSSEED=n. Without a
// time there is nothing to do; tests/cluster has the short form.
func TestChaos(t *testing.T) {
	text := os.Getenv("DKV_CHAOS_TIME")
	if text == "" {
		t.Skip("skipped: make chaos runs it")
	}
	long, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Time: long, Seed: RandomSeed(), Dir: t.TempDir(), Log: t.Logf, Reports: os.Getenv("DKV_CHAOS_REPORTS")}
	if text := os.Getenv("DKV_CHAOS_SEED"); text != "" {
		if o.Seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	if text := os.Getenv("DKV_CHAOS_FAULTS"); text != "" {
		o.Faults = strings.Split(text, ",")
	}
	o.Flags = strings.Fields(os.Getenv("DKV_CHAOS_FLAGS"))
	if o.Reports == "" {
		o.Reports = Reports(t, o.Seed)
	}
	if os.Getenv("DKV_CHAOS_CLOCK") != "no" {
		o.Program, o.Clock = harness.ClockProgram(t), true
	}
	t.Logf("seed %d, %v", o.Seed, o.Time)
	result, err := Run(o)
	if err != nil {
		t.Fatal(err)
	}
	Report(t, result)
	if t.Failed() {
		t.Logf("histories and logs are in %s", o.Reports)
	}
}

// Every fault has a name of its own.
func TestFaultNames(t *testing.T) {
	var names []string
	for _, f := range faultList {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	if unique := slices.Compact(slices.Clone(names)); len(unique) != len(names) {
		t.Errorf("a fault's name is there twice: %v", names)
	}
	if _, err := newNemesis(nil, Options{Faults: []string{"rain"}}, nil); err == nil {
		t.Error("a fault that does not exist was accepted")
	}
	if n, err := newNemesis(nil, Options{Loopback: true}, nil); err != nil || len(n.faults) == len(faultList) {
		t.Errorf("without a network of its own: %d faults, %v", len(n.faults), err)
	}
}

// What errors say about the operation.
func TestErrorOutcome(t *testing.T) {
	for word, want := range map[string]outcome{"UNCERTAIN x": unknown, "CLUSTERDOWN no leader": nothing, "MISCONF disk": nothing, "WRONGTYPE x": wrong} {
		if got := errorOutcome(harness.Reply{Kind: '-', Str: []byte(word)}); got != want {
			t.Errorf("%s: %v, want %v", word, got, want)
		}
	}
}

// Reads that are only a little stale, on a cluster that nothing happens to, are
// noticed: what no violation means depends on it.
func TestStaleReadsAreNoticed(t *testing.T) {
	o := Options{Time: 4 * time.Second, Seed: RandomSeed(), Dir: t.TempDir(), Log: t.Logf,
		Loopback: true, Faults: []string{"leadership moved"}, NoMembership: true, staleReads: true}
	result, err := Run(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range result.Violations {
		if strings.Contains(v, "is not linearizable") {
			return
		}
	}
	t.Errorf("%d operations with stale reads, and violations are: %v", result.Operations, result.Violations)
}
