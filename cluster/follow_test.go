package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"dkv/cluster/raftlog"
	"dkv/cluster/replica"
	"dkv/cluster/shard"
	"dkv/engine/enginetest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// sourceNet serves replicas of nodes without sockets: what package server does on
// the port for clients.
type sourceNet struct {
	mu    sync.Mutex
	nodes map[string]*Node
	conns map[net.Conn]string
	wait  sync.WaitGroup
	// cutAfter, when above zero, breaks each connection after so many frames.
	cutAfter atomic.Int64
}

func newSourceNet() *sourceNet {
	return &sourceNet{nodes: make(map[string]*Node), conns: make(map[net.Conn]string)}
}

func (sn *sourceNet) set(addr string, n *Node) {
	sn.mu.Lock()
	defer sn.mu.Unlock()
	sn.nodes[addr] = n
	for c, to := range sn.conns {
		if to == addr {
			c.Close()
			delete(sn.conns, c)
		}
	}
}

// close ends all connections and waits for them.
func (sn *sourceNet) close() {
	sn.mu.Lock()
	clear(sn.nodes)
	for c := range sn.conns {
		c.Close()
	}
	sn.mu.Unlock()
	sn.wait.Wait()
}

func (sn *sourceNet) dial(_ context.Context, addr string) (net.Conn, error) {
	sn.mu.Lock()
	defer sn.mu.Unlock()
	n := sn.nodes[addr]
	if n == nil {
		return nil, errors.New("connection refused")
	}
	here, there := net.Pipe()
	sn.conns[there] = addr
	sn.wait.Go(func() {
		defer there.Close()
		_ = sn.serve(n, there) // the replica tries again
	})
	return here, nil
}

func (sn *sourceNet) serve(n *Node, c net.Conn) error {
	r := bufio.NewReader(c)
	id, own := "", ""
	for {
		args, err := readTestCommand(r)
		if err != nil {
			return err
		}
		switch args[0] {
		case "DKV.SYNC":
			return sn.sync(n, c, r, args[1:], id, own)
		case "REPLCONF":
			if args[1] == "dkv-id" {
				id = args[2]
				if len(args) > 6 && args[5] == "dkv-history" {
					own = args[6]
				}
			}
		}
		if _, err := io.WriteString(c, "+OK\r\n"); err != nil {
			return err
		}
	}
}

func (sn *sourceNet) sync(n *Node, c net.Conn, r *bufio.Reader, args []string, id, own string) error {
	req, err := replica.ParseRequest(args)
	req.Replica, req.Own = id, own
	var ss *replica.Session
	var reply string
	if err == nil {
		ss, reply, err = n.Source().Open(req)
	}
	if err != nil {
		_, err = fmt.Fprintf(c, "-%v\r\n", err)
		return err
	}
	ctx, cancel := context.WithCancel(n.ctx)
	defer cancel()
	go func() {
		defer cancel()
		for {
			args, err := readTestCommand(r)
			if err != nil {
				return
			}
			index, _ := strconv.ParseUint(args[2], 10, 64)
			ss.Ack(raftlog.Index(index), len(args) > 3 && args[3] == "FACK")
		}
	}()
	if ss == nil {
		_, err = fmt.Fprintf(c, "+%s\r\n", reply)
		return err
	}
	left := sn.cutAfter.Load()
	var buf []byte
	_, err = fmt.Fprintf(c, "+%s\r\n", reply)
	return errors.Join(err, ss.Run(ctx, func(frame []byte) error {
		if left--; left == 0 {
			return errors.New("cut")
		}
		buf = replica.AppendFrame(buf[:0], frame)
		_, err := c.Write(buf)
		return err
	}))
}

func readTestCommand(r *bufio.Reader) ([]string, error) {
	var n int
	if _, err := fmt.Fscanf(r, "*%d\r\n", &n); err != nil {
		return nil, err
	}
	args := make([]string, n)
	for i := range args {
		var size int
		if _, err := fmt.Fscanf(r, "$%d\r\n", &size); err != nil {
			return nil, err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		args[i] = string(b[:size])
	}
	return args, nil
}

// openReplicating opens a node with small sizes, which follows addrs.
func openReplicating(sn *sourceNet, fs vfs.FS, mode raftlog.FsyncMode, addrs ...string) (*Node, error) {
	return Open(Options{
		Dir: "data", FS: fs, Fsync: mode, Shards: 1,
		MemtableBytes: 64 << 10, LogSegmentBytes: 32 << 10, LogRetainBytes: 64 << 10, MaxLogBytes: 256 << 10,
		BlockCacheBytes: 1 << 20, HotWriteBytes: heldBack, ReserveDiskBytes: -1,
		Follow: FollowOptions{Addrs: addrs, Dial: sn.dial},
	})
}

func (sn *sourceNet) open(t *testing.T, fs vfs.FS, addrs ...string) *Node {
	t.Helper()
	n, err := openReplicating(sn, fs, raftlog.FsyncAlways, addrs...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		sn.close()
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// waitStep waits until a replica has a step of the chain.
func waitStep(t *testing.T, n *Node, step int) {
	t.Helper()
	waitFor(t, func() bool {
		v, _ := getString(t, n, "seq")
		return v == strconv.Itoa(step)
	})
	checkChain(t, n)
}

func fullCopies(n *Node) (sum uint64) {
	if f, ok := n.Following(); ok {
		for _, l := range f.Links {
			sum += l.Full
		}
	}
	return sum
}

// TestFollow: a copy, then the stream; restarts of both; another replica behind the
// first; promotion, and back again.
func TestFollow(t *testing.T) {
	sn := newSourceNet()
	source := sn.open(t, vfs.NewMem())
	sn.set("s:1", source)
	step := 0
	write := func(n *Node, steps int) {
		t.Helper()
		for range steps {
			step++
			if err := chainStep(n, step); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(source, 30)
	disk := vfs.NewMem()
	r := sn.open(t, disk, "s:1")
	sn.set("r:1", r)
	waitStep(t, r, step)
	chained := sn.open(t, vfs.NewMem(), "r:1")
	write(source, 200)
	waitStep(t, r, step)
	waitStep(t, chained, step)
	if err := chainStep(r, step+1); !errors.Is(err, shard.ErrReadOnly) {
		t.Errorf("a client's write on a replica: %v", err)
	}
	waitFor(t, func() bool { return source.Source().Has([]raftlog.Index{source.Shard(0).Applied()}, true) == 1 })

	// The replica is away for a while that the log covers.
	sn.set("r:1", nil)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	write(source, 20)
	r = sn.open(t, disk, "s:1")
	sn.set("r:1", r)
	waitStep(t, r, step)
	write(source, 5)
	waitStep(t, chained, step)
	if got := fullCopies(r); got != 0 {
		t.Errorf("%d full copies after a restart", got)
	}
	if got := fullCopies(chained); got != 1 {
		t.Errorf("%d full copies of the second replica", got)
	}

	// Promoted. It is not demoted again by being started as before.
	if err := r.Unfollow(); err != nil {
		t.Fatal(err)
	}
	if at, ok := r.Shard(0).Source(); ok {
		t.Errorf("promoted, it knows its place in the source's log: %+v", at)
	}
	write(r, 10)
	waitStep(t, chained, step)
	sn.set("r:1", nil)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = sn.open(t, disk, "s:1")
	sn.set("r:1", r)
	if _, ok := r.Following(); ok {
		t.Fatal("it follows again after a restart")
	}
	write(r, 10)
	waitStep(t, chained, step)

	// What the old source has is another history now.
	step -= 20
	write(source, 5)
	if err := r.Follow([]string{"s:1"}); err != nil {
		t.Fatal(err)
	}
	waitStep(t, r, step)
	if got := fullCopies(r); got != 1 {
		t.Errorf("%d full copies of what has another history", got)
	}
	waitStep(t, chained, step)
}

// TestFollowCutOff: a replica that was away for longer than the log covers is copied
// again, and connections that break all the time do not keep a copy from ending.
func TestFollowCutOff(t *testing.T) {
	sn := newSourceNet()
	source := sn.open(t, vfs.NewMem())
	sn.set("s:1", source)
	big := string(make([]byte, 20<<10))
	for i := range 100 {
		if err := set(source, "big"+strconv.Itoa(i), big); err != nil {
			t.Fatal(err)
		}
	}
	sn.cutAfter.Store(4)
	r := sn.open(t, vfs.NewMem(), "no:1", "s:1")
	waitFor(t, func() bool { _, found := getString(t, r, "big99"); return found })
	if got := fullCopies(r); got != 1 {
		t.Errorf("%d full copies, want one that is resumed", got)
	}
	sn.cutAfter.Store(0)
	sn.set("s:1", nil)
	for i := range 50 {
		if err := set(source, "big"+strconv.Itoa(i), big+"2"); err != nil {
			t.Fatal(err)
		}
		if err := source.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	at, _ := r.Shard(0).Source()
	waitFor(t, func() bool { return !source.Shard(0).Has(at.Position) })
	sn.set("s:1", source)
	waitFor(t, func() bool { v, _ := getString(t, r, "big49"); return v == big+"2" })
	if got := fullCopies(r); got != 2 {
		t.Errorf("%d full copies, want another one", got)
	}
}

// TestReplicaCrashAnywhere loses a replica's unsynced data before the operations on
// its file system, one after the other, copies and switches included. What comes
// back is a prefix of the source's history, its position says which, and the
// replica goes on from there.
func TestReplicaCrashAnywhere(t *testing.T) {
	for _, mode := range []raftlog.FsyncMode{raftlog.FsyncAlways, raftlog.FsyncNo} {
		t.Run(mode.String(), func(t *testing.T) {
			rng := seedOf(t)
			sn := newSourceNet()
			source := sn.open(t, vfs.NewMem())
			sn.set("s:1", source)
			steps := map[raftlog.Index]int{source.Shard(0).Applied(): 0}
			step := 0
			write := func(n int) {
				for range n {
					step++
					if err := chainStep(source, step); err != nil {
						t.Fatal(err)
					}
					steps[source.Shard(0).Applied()] = step
				}
			}
			write(20)
			mem := enginetest.NewCrashFS()
			c := &crasher{mem: mem, rng: rand.New(rand.NewPCG(rng.Uint64(), 3)), every: 3}
			r, err := openReplicating(sn, errorfs.Wrap(mem, c), mode, "s:1")
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				waitStep(t, r, step)
				for range 5 {
					write(1 + rng.IntN(20))
					waitStep(t, r, step)
				}
				// Copied once more, as after it had been promoted.
				if err := r.Unfollow(); err != nil {
					t.Fatal(err)
				}
				if err := r.Follow([]string{"s:1"}); err != nil {
					t.Fatal(err)
				}
			}
			waitStep(t, r, step)
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			points := c.take()
			most := 80
			if testing.Short() {
				most = 20
			}
			for i, p := range points {
				if len(points) > most && i != 0 && rng.IntN(len(points)) >= most {
					continue
				}
				checkReplicaPoint(t, sn, p, mode, steps, step)
			}
			t.Logf("%d crash points", len(points))
		})
	}
}

func checkReplicaPoint(t *testing.T, sn *sourceNet, p crashPoint, mode raftlog.FsyncMode, steps map[raftlog.Index]int, last int) {
	t.Helper()
	// Nobody answers at first.
	n, err := openReplicating(sn, p.fs, mode, "nobody:1")
	if err != nil {
		t.Fatalf("crash before %s: restart: %v", p.op, err)
	}
	defer n.Close()
	have := checkChain(t, n)
	if at, ok := n.Shard(0).Source(); ok {
		want, known := steps[at.Index]
		if !known || want != have {
			t.Fatalf("crash before %s: the position is %d, that of step %d (%v), and the data is of step %d", p.op, at.Index, want, known, have)
		}
	}
	if err := n.Follow([]string{"s:1"}); err != nil {
		t.Fatal(err)
	}
	waitStep(t, n, last)
}

// TestReplicaTakesTheNumberOfShards: a new replica has as many as its source, for
// which it waits; one that has another number says so.
func TestReplicaTakesTheNumberOfShards(t *testing.T) {
	sn := newSourceNet()
	options := func(shards int, addrs ...string) Options {
		return Options{
			Dir: "data", FS: vfs.NewMem(), Shards: shards, BlockCacheBytes: 1 << 20, HotWriteBytes: heldBack, ReserveDiskBytes: -1,
			Follow: FollowOptions{Addrs: addrs, Dial: sn.dial},
		}
	}
	source := openNode(t, options(3))
	r := openNode(t, options(0, "s:1"))
	one := openNode(t, options(1, "s:1"))
	t.Cleanup(sn.close)
	if _, err := r.serving(0); err == nil || r.Follow([]string{"s:1"}) == nil {
		t.Error("it has shards before it can know how many")
	}
	for i := range 3 {
		task := putTask("k=v" + strconv.Itoa(i))
		source.Shard(raftlog.ShardID(i)).Submit(task)
		if err := task.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	sn.set("s:1", source)
	waitFor(t, func() bool {
		f, ok := r.Following()
		return ok && f.Up() && r.Shards() == 3
	})
	upTo := make([]raftlog.Index, 3)
	for i := range upTo {
		upTo[i] = source.Shard(raftlog.ShardID(i)).Applied()
	}
	waitFor(t, func() bool { return source.Source().Has(upTo, false) == 1 })
	waitFor(t, func() bool {
		f, _ := one.Following()
		return strings.Contains(f.Links[0].Err, "number of shards differs: this node has 3, the replica 1")
	})
}

// TestSourceLosesItsEnd: a source that a power failure has cost entries which its
// replica has got, and that then writes others under the same indexes, is copied:
// nothing is mixed.
func TestSourceLosesItsEnd(t *testing.T) {
	sn := newSourceNet()
	disk := enginetest.NewCrashFS()
	source, err := openReplicating(sn, disk, raftlog.FsyncNo)
	if err != nil {
		t.Fatal(err)
	}
	if err := set(source, "kept", "1"); err != nil {
		t.Fatal(err)
	}
	if err := source.SyncLog(); err != nil {
		t.Fatal(err)
	}
	sn.set("s:1", source)
	r := sn.open(t, vfs.NewMem(), "s:1")
	// A session begins with a sync.
	waitFor(t, func() bool { _, found := getString(t, r, "kept"); return found })
	for i := range 20 {
		if err := set(source, "gone"+strconv.Itoa(i), "1"); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, func() bool { _, found := getString(t, r, "gone19"); return found })
	crashed := disk.Crash(vfs.CrashCloneCfg{})
	sn.set("s:1", nil)
	if err := source.Close(); err != nil {
		t.Fatal(err)
	}
	again := sn.open(t, crashed)
	if _, found := getString(t, again, "gone19"); found {
		t.Fatal("the crash has lost nothing")
	}
	// Beyond what the replica has.
	for i := range 40 {
		if err := set(again, "new"+strconv.Itoa(i), "1"); err != nil {
			t.Fatal(err)
		}
	}
	sn.set("s:1", again)
	waitFor(t, func() bool { _, found := getString(t, r, "new39"); return found })
	for _, key := range []string{"gone0", "gone19"} {
		if _, found := getString(t, r, key); found {
			t.Errorf("%s is there: two histories were mixed", key)
		}
	}
	for _, key := range []string{"kept", "new0"} {
		if _, found := getString(t, r, key); !found {
			t.Errorf("%s is missing", key)
		}
	}
	if got := fullCopies(r); got != 2 {
		t.Errorf("%d full copies, want the first one and another", got)
	}
}
