package cluster

import (
	"errors"
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
