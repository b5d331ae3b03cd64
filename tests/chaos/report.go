package chaos

import (
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"dkv/tests/harness"
)

// Reports returns the folder, below the module's root, for what a run with a
// seed finds.
func Reports(t testing.TB, seed uint64) string {
	t.Helper()
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "chaos-reports", strconv.FormatUint(seed, 10))
}

// Report logs a result, and fails the test if there is a violation in it.
func Report(t testing.TB, r *Result) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(r.Faults)) {
		t.Logf("fault: %4d x %s", r.Faults[name], name)
	}
	for _, word := range slices.Sorted(maps.Keys(r.Errors)) {
		t.Logf("clients were told %6d x %s", r.Errors[word], word)
	}
	t.Logf("seed %d: %d rounds in %.0f s, %d operations, %d refused, %d of unknown outcome, %d raft snapshots, longest gap between writes %.1f s",
		r.Seed, r.Rounds, r.Elapsed.Seconds(), r.Operations, r.Nothing, r.Unknown, r.Snapshots, r.LongestGap.Seconds())
	if len(r.Violations) == 0 {
		t.Log("verdict: no violation")
		return
	}
	for _, v := range r.Violations {
		t.Errorf("violation: %s", v)
	}
}
