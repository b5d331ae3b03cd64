package cluster

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"dkv/cluster/shard"
	"dkv/engine/keyspace"
)

// fill sets n keys of a KiB, many a task.
func fill(t *testing.T, n *Node, from, keys int) {
	t.Helper()
	noise := rand.NewChaCha8([32]byte{5})
	value := make([]byte, 1024)
	const many = 100
	for i := from; i < from+keys; i += many {
		task := shard.Task{Eval: func(tx *keyspace.Tx) {
			for j := range many {
				noise.Read(value)
				putString(tx, fmt.Sprintf("k%d", i+j), string(value))
			}
		}}
		n.Submit(&task)
		if err := task.Wait(); err != nil {
			t.Fatal(err)
		}
	}
}

func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// Data comes down to its limit, in memory and on a disk, with keys left; a bound that
// is lowered while the node runs is kept too, and one that is taken away evicts no more.
func TestEvictToTheLimit(t *testing.T) {
	if testing.Short() {
		t.Skip("minutes under the race detector, where TestFull does the same on a small scale")
	}
	for name, o := range map[string]Options{
		"pebble in memory": {Diskless: true},
		"badger in memory": {Diskless: true, Engine: EngineBadger},
		"on disk":          {MemtableBytes: 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			bound := MaxMemory{Bytes: 96 << 20, Policy: keyspace.AllKeysRandom, Samples: 5, LogFactor: 10, DecayMinutes: 1}
			if o.Diskless {
				o.MaxMemory = bound
			} else {
				o.Dir, bound.Bytes = t.TempDir(), 30<<20
			}
			n := openNode(t, o)
			n.SetMaxMemory(bound)
			fill(t, n, 0, 60_000)
			within := func() bool { m := n.Memory(); return m.Limit > 0 && m.Data <= m.Limit && m.ExceededNow == 0 }
			await(t, "the data to be within its limit", within)
			m, keys := n.Memory(), n.Keyspace().Counts()[0].Keys
			if int64(m.Evicted) != 60_000-keys || m.Evicted == 0 || keys < 5000 || m.Full || m.Exceeded == 0 {
				t.Errorf("%d keys of 60000 are left, %+v", keys, m)
			}
			bound.Bytes -= bound.Bytes / 4
			n.SetMaxMemory(bound)
			await(t, "the data to be within a lower limit", within)
			if now := n.Keyspace().Counts()[0].Keys; now > keys || now < 3000 {
				t.Errorf("%d keys of %d are left with a lower bound", now, keys)
			}
			n.SetMaxMemory(MaxMemory{Policy: keyspace.AllKeysRandom, Samples: 5})
			await(t, "the bound to be gone", func() bool { return n.Memory().Limit == 0 })
			evicted := n.Memory().Evicted
			fill(t, n, 100_000, 20_000)
			if now := n.Memory().Evicted; now != evicted {
				t.Errorf("%d keys were evicted without a bound", now-evicted)
			}
		})
	}
}

// A bound below what the process takes leaves a small cache that works: writes do not wait
// for room that cannot come.
func TestTinyMaxMemory(t *testing.T) {
	all := 30_000
	if testing.Short() {
		all = 15_000
	}
	for _, engine := range []string{EnginePebble, EngineBadger} {
		t.Run(engine, func(t *testing.T) {
			n := openNode(t, Options{Diskless: true, Engine: engine,
				MaxMemory: MaxMemory{Bytes: 1 << 20, Policy: keyspace.AllKeysLRU, Samples: 5}})
			began := time.Now()
			fill(t, n, 0, all)
			await(t, "the data to be within its limit", func() bool {
				m := n.Memory()
				return m.Limit > 0 && m.Data <= m.Limit && m.ExceededNow == 0
			})
			keys := n.Keyspace().Counts()[0].Keys
			if m := n.Memory(); m.Evicted == 0 || keys < 1000 || m.Full {
				t.Errorf("%d keys of %d are left, %+v", keys, all, m)
			}
			// A task that waited for room waited a second.
			if took, tasks := time.Since(began), all/100; took > time.Duration(tasks)*time.Second/2 {
				t.Errorf("%d tasks took %v", tasks, took)
			}
		})
	}
}

// With noeviction, or nothing that the policy may evict, the node is full instead; on a
// disk noeviction is no bound.
func TestFull(t *testing.T) {
	for policy, diskless := range map[keyspace.Policy]bool{keyspace.NoEviction: true, keyspace.VolatileTTL: true, keyspace.VolatileLRU: false} {
		t.Run(policy.String(), func(t *testing.T) {
			if testing.Short() && policy == keyspace.VolatileTTL {
				t.Skip("as with noeviction, in half a minute under the race detector")
			}
			bound := MaxMemory{Bytes: 80 << 20, Policy: policy, Samples: 5}
			o := Options{Diskless: diskless, MaxMemory: bound}
			if !diskless {
				o.Dir, o.MaxMemory.Bytes, o.MemtableBytes = t.TempDir(), 20<<20, 1<<20
			}
			n := openNode(t, o)
			for i := 0; !n.OutOfMemory(); i++ {
				if i > 600 {
					t.Fatalf("not full, %+v", n.Memory())
				}
				fill(t, n, i*1000, 1000)
			}
			if n.Memory().Evicted != 0 {
				t.Errorf("keys without an expiry were evicted")
			}
			bound.Policy, bound.Bytes = keyspace.AllKeysLRU, o.MaxMemory.Bytes
			n.SetMaxMemory(bound)
			await(t, "room", func() bool { return !n.OutOfMemory() && n.Memory().Evicted > 0 })
		})
	}
	n := openNode(t, Options{Dir: t.TempDir(), MaxMemory: MaxMemory{Bytes: 1 << 20}})
	fill(t, n, 0, 5000)
	if m := n.Memory(); n.bounded() != nil || m.Full || m.Limit != 0 || m.Evicted != 0 {
		t.Errorf("noeviction on a disk: %+v", m)
	}
}
