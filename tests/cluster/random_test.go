package cluster

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"dkv/tests/chaos"
	"dkv/tests/harness"
	"dkv/tests/harness/wire"
)

// Random faults under load, checked for linearizability: the short form of
// `make chaos`.
func TestRandomFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		time  time.Duration
		flags []string
	}{
		{"one shard", 30 * time.Second, nil},
		{"four shards, leases", 20 * time.Second, []string{"-shards", "4", "-read-mode", "lease"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			harness.NeedItself(t)
			o := chaos.Options{Time: c.time, Seed: chaos.RandomSeed(), Dir: t.TempDir(), Log: t.Logf, Flags: c.flags}
			o.Reports = chaos.Reports(t, o.Seed)
			t.Logf("seed %d; again: make chaos CHAOSTIME=%v CHAOSSEED=%d CHAOSFLAGS='%s'", o.Seed, o.Time, o.Seed, strings.Join(c.flags, " "))
			result, err := chaos.Run(o)
			if errors.Is(err, wire.ErrUnavailable) {
				harness.Missing(t, err.Error())
			} else if err != nil {
				t.Fatal(err)
			}
			chaos.Report(t, result)
		})
	}
}

// Each fault once: in the middle of it a node is added or removed, and when it begins
// a follower that was far behind is being sent a raft snapshot. Clocks jump in
// TestClockJumps.
func TestEachFault(t *testing.T) {
	t.Parallel()
	harness.NeedItself(t)
	harness.NeedLong(t)
	seed := chaos.RandomSeed()
	if text := os.Getenv("DKV_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("DKV_SEED=%d", seed)
	o := chaos.Options{Each: true, Seed: seed, Dir: t.TempDir(), Log: t.Logf, Flags: []string{"-raft-snapshot-rate", "2mb"}}
	o.Reports = chaos.Reports(t, o.Seed)
	result, err := chaos.Run(o)
	if errors.Is(err, wire.ErrUnavailable) {
		harness.Missing(t, err.Error())
	} else if err != nil {
		t.Fatal(err)
	}
	chaos.Report(t, result)
	if result.Snapshots == 0 {
		t.Error("no follower was sent a raft snapshot, which this test is about")
	}
}
