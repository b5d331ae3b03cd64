package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/engine/enginetest"
	"dkv/engine/keyspace"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// The history that these tests write is a chain: step i sets key "seq" to i and
// key "k<i mod chainKeys>" to i, in one task. So any state names the step that it
// is the result of, and can be compared with what that step must have left.
const chainKeys = 7

func chainStep(n *Node, i int) error {
	t := shard.Task{Eval: func(tx *keyspace.Tx) {
		putString(tx, "seq", strconv.Itoa(i))
		tx.Note(keyspace.ClassString, "set", 0, []byte("seq"))
		putString(tx, "k"+strconv.Itoa(i%chainKeys), strconv.Itoa(i))
	}}
	n.Submit(&t)
	return t.Wait()
}

// checkChain fails the test unless the node holds exactly the state after one
// step of the chain, which it returns.
func checkChain(t *testing.T, n *Node) int {
	t.Helper()
	read := func(key string) int {
		v, found := getString(t, n, key)
		if !found {
			return 0
		}
		i, err := strconv.Atoi(v)
		if err != nil {
			t.Fatalf("%s holds %q", key, v)
		}
		return i
	}
	last := read("seq")
	keys := 0
	for k := range chainKeys {
		want := 0
		for i := last; i > 0 && i > last-chainKeys; i-- {
			if i%chainKeys == k {
				want = i
			}
		}
		if got := read("k" + strconv.Itoa(k)); got != want {
			t.Fatalf("after step %d, k%d is %d, want %d: not a prefix of history", last, k, got, want)
		}
		if want != 0 {
			keys++
		}
	}
	if last > 0 {
		keys++
	}
	if got := n.Keyspace().Counts()[0].Keys; got != int64(keys) {
		t.Fatalf("after step %d the key count is %d, want %d", last, got, keys)
	}
	return last
}

// heldBack is a write buffer that is written down all the time.
const heldBack = 64 << 10

func openCrashNode(fs vfs.FS, mode raftlog.FsyncMode, writeBytes int64) (*Node, error) {
	n, err := Open(Options{
		Dir: "data", FS: fs, Fsync: mode,
		// Small, so that flushes, compactions and cuts of the log take part.
		MemtableBytes: 64 << 10, LogSegmentBytes: 32 << 10, LogRetainBytes: -1, MaxLogBytes: 64 << 10,
		BlockCacheBytes:  1 << 20,
		HotWriteBytes:    writeBytes,
		ReserveDiskBytes: -1,
	})
	if err == nil {
		n.Notifier().Set(keyspace.ClassAll | keyspace.ClassNew) // notes are part of the batches
	}
	return n, err
}

func seedOf(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("DKV_SEED"); s != "" {
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("DKV_SEED: %v", err)
		}
		seed = v
	}
	t.Logf("seed %d (set DKV_SEED to repeat)", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// crashPoint is a file system as a crash would have left it, and what had been
// acknowledged by then.
type crashPoint struct {
	fs    *enginetest.CrashFS
	acked int
	begun int
	op    string
}

// crasher takes a copy of the file system before every n-th change of it.
type crasher struct {
	mem    *enginetest.CrashFS
	rng    *rand.Rand
	every  int
	acked  atomic.Int64
	begun  atomic.Int64
	mu     sync.Mutex
	ops    int
	points []crashPoint
}

func (c *crasher) String() string { return "crasher" }

// MaybeError is called before each operation on the file system.
func (c *crasher) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ops++
	if c.ops%c.every != 0 {
		return nil
	}
	percent := []int{0, 50, 100}[c.rng.IntN(3)]
	// What is acknowledged is read before the copy, what has begun after it.
	p := crashPoint{acked: int(c.acked.Load()), op: fmt.Sprintf("op %d (kind %d on %s), %d%% of unsynced data kept", c.ops, op.Kind, op.Path, percent)}
	p.fs = c.mem.Crash(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(c.rng.Uint64(), 2))})
	p.begun = int(c.begun.Load())
	c.points = append(c.points, p)
	return nil
}

func (c *crasher) setEvery(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.every = n
}

func (c *crasher) take() []crashPoint {
	c.mu.Lock()
	defer c.mu.Unlock()
	points := c.points
	c.points = nil
	return points
}

// TestCrashAnywhere loses unsynced data before the operations on the file
// system, one after the other, from the creation of the folder on. What comes
// back must be a prefix of history, and under `always` hold everything that was
// acknowledged.
func TestCrashAnywhere(t *testing.T) {
	for _, test := range []struct {
		name       string
		mode       raftlog.FsyncMode
		writeBytes int64
	}{
		{"always", raftlog.FsyncAlways, heldBack},
		{"everysec", raftlog.FsyncEverySec, heldBack},
		{"no", raftlog.FsyncNo, heldBack},
		{"always, much held back", raftlog.FsyncAlways, 64 << 20},
		{"always, nothing held back", raftlog.FsyncAlways, -1},
	} {
		mode := test.mode
		t.Run(test.name, func(t *testing.T) {
			rng := seedOf(t)
			mem := enginetest.NewCrashFS()
			c := &crasher{mem: mem, rng: rand.New(rand.NewPCG(rng.Uint64(), 3)), every: 1}
			n, err := openCrashNode(errorfs.Wrap(mem, c), mode, test.writeBytes)
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			points := c.take()
			c.setEvery(7)
			const steps = 600
			for i := 1; i <= steps; i++ {
				c.begun.Store(int64(i))
				if err := chainStep(n, i); err != nil {
					t.Fatal(err)
				}
				c.acked.Store(int64(i))
				if i%97 == 0 {
					if err := n.Save(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
			points = append(points, c.take()...)
			// Each restart costs milliseconds: a random part of the points, and
			// always the first and the last.
			most := 150
			if testing.Short() {
				most = 16
			}
			for i, p := range points {
				if len(points) > most && i != 0 && i != len(points)-1 && rng.IntN(len(points)) >= most {
					continue
				}
				checkCrashPoint(t, p, mode, test.writeBytes)
			}
		})
	}
}

func checkCrashPoint(t *testing.T, p crashPoint, mode raftlog.FsyncMode, writeBytes int64) {
	t.Helper()
	n, err := openCrashNode(p.fs, mode, writeBytes)
	if err != nil {
		t.Fatalf("crash before %s: restart: %v", p.op, err)
	}
	defer n.Close()
	last := checkChain(t, n)
	if last > p.begun {
		t.Fatalf("crash before %s: step %d is there, only %d had begun", p.op, last, p.begun)
	}
	if mode == raftlog.FsyncAlways && last < p.acked {
		t.Fatalf("crash before %s: step %d was acknowledged, only %d is there", p.op, p.acked, last)
	}
	// The node goes on from there, and once more after a clean restart.
	if err := chainStep(n, last+1); err != nil {
		t.Fatalf("crash before %s: write after the restart: %v", p.op, err)
	}
	if err := n.Close(); err != nil {
		t.Fatalf("crash before %s: close: %v", p.op, err)
	}
	again, err := openCrashNode(p.fs, mode, writeBytes)
	if err != nil {
		t.Fatalf("crash before %s: second restart: %v", p.op, err)
	}
	defer again.Close()
	if got := checkChain(t, again); got != last+1 {
		t.Fatalf("crash before %s: step %d after a clean restart, want %d", p.op, got, last+1)
	}
}

// TestCrashUnderLoad crashes a node over and over while several clients write,
// each its own chain of values, and checks each client's last acknowledged one.
func TestCrashUnderLoad(t *testing.T) {
	rng := seedOf(t)
	const clients = 8
	const rounds = 12
	mem := enginetest.NewCrashFS()
	var acked, begun [clients]atomic.Int64
	for round := range rounds {
		n, err := openCrashNode(mem, raftlog.FsyncAlways, heldBack)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for i := range clients {
			got := 0
			if v, found := getString(t, n, fmt.Sprint("client", i)); found {
				if got, err = strconv.Atoi(v); err != nil {
					t.Fatal(err)
				}
			}
			if int64(got) < acked[i].Load() || int64(got) > begun[i].Load() {
				t.Fatalf("round %d: client %d finds %d, acknowledged %d, begun %d", round, i, got, acked[i].Load(), begun[i].Load())
			}
			acked[i].Store(int64(got))
			begun[i].Store(int64(got))
		}
		var wg sync.WaitGroup
		var stop atomic.Bool
		progress := make(chan struct{}, 1)
		for i := range clients {
			wg.Go(func() {
				for v := acked[i].Load() + 1; !stop.Load(); v++ {
					task := shard.Task{Eval: func(tx *keyspace.Tx) {
						putString(tx, fmt.Sprint("client", i), strconv.FormatInt(v, 10))
					}}
					begun[i].Store(v)
					n.Submit(&task)
					if err := task.Wait(); err != nil {
						t.Errorf("client %d: %v", i, err)
						return
					}
					acked[i].Store(v)
					select {
					case progress <- struct{}{}:
					default:
					}
				}
			})
		}
		for range 50 + rng.IntN(200) {
			<-progress
		}
		// The clients go on during the copy: what each had acknowledged before it
		// must be there, what it begins after it cannot be.
		var ackedBefore [clients]int64
		for i := range clients {
			ackedBefore[i] = acked[i].Load()
		}
		crashed := mem.Crash(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		stop.Store(true)
		go func() {
			for range progress {
			}
		}()
		wg.Wait()
		close(progress)
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		for i := range clients {
			acked[i].Store(ackedBefore[i])
		}
		mem = crashed
	}
}

// TestFailedSyncStopsTheNode: after a failed sync nothing is acknowledged any
// more, and the write that needed it is answered as uncertain.
func TestFailedSyncStopsTheNode(t *testing.T) {
	mem := enginetest.NewCrashFS()
	var broken atomic.Bool
	failing := errors.New("injected sync failure")
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			if broken.Load() {
				return failing
			}
		}
		return nil
	}))
	n, err := openCrashNode(fs, raftlog.FsyncAlways, heldBack)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if err := chainStep(n, 1); err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	if err := chainStep(n, 2); !errors.Is(err, shard.ErrUncertain) {
		t.Fatalf("write during a failing sync: %v, want ErrUncertain", err)
	}
	if err := <-n.Fatal(); !errors.Is(err, failing) && !errors.Is(err, raftlog.ErrFailed) {
		t.Fatalf("fatal error: %v", err)
	}
	broken.Store(false)
	if err := chainStep(n, 3); err == nil {
		t.Fatal("a write was acknowledged after a failed sync")
	}
	after, err := openCrashNode(mem.Crash(vfs.CrashCloneCfg{}), raftlog.FsyncAlways, heldBack)
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	if last := checkChain(t, after); last < 1 || last > 2 {
		t.Fatalf("step %d after the crash", last)
	}
}
