package differential

import (
	"math/rand/v2"
	"os"
	"testing"

	"dkv/tests/harness"
)

// elsewhereSequences take some five seconds in each place.
const elsewhereSequences = 15

// Replies do not depend on the engine, nor on whether a node is alone or one of three:
// random sequences on the other engines, and on each node of a cluster, of which one
// leads and two send commands on.
func TestRandomElsewhere(t *testing.T) {
	harness.NeedItself(t)
	sequences, steps := number(t, "DKV_DIFF_ELSEWHERE", elsewhereSequences), number(t, "DKV_DIFF_STEPS", 400)
	if testing.Short() {
		sequences = min(sequences, 3)
	}
	seed := uint64(number(t, "DKV_DIFF_SEED", int(rand.Uint32())))
	if os.Getenv("DKV_DIFF_SEED") != "" {
		sequences = 1
	}
	for _, engine := range harness.Engines[1:] {
		t.Run(engine, func(t *testing.T) {
			harness.NeedEngine(t, engine)
			startPair(t, "-db-engine", engine).playRandom(t, seed, sequences, steps)
		})
	}
	t.Run("cluster", func(t *testing.T) {
		c := harness.StartCluster(t, harness.ClusterOptions{Flags: []string{"-fsync", "no", "-enable-debug-command", "local"}})
		redis := harness.Redis(t)
		for i, n := range c.Nodes() {
			p := &pair{t: t, redis: redis, dkv: n.Server, inCluster: true}
			p.playRandom(t, seed+uint64(i*sequences), max(sequences/len(c.Nodes()), 1), steps)
		}
	})
}
