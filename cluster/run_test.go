package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/cluster/transport"
)

// TestForwardOnce: every write through any node happens once and its errors keep
// what they are, while leaders come and go.
func TestForwardOnce(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, nil)
	var ran sync.Map // how often each write was evaluated with success
	for _, n := range list {
		n.SetExecutor(func(ctx context.Context, id raftlog.ShardID, payload []byte) ([]byte, error) {
			answer, err := n.execute(ctx, id, payload)
			if err == nil {
				count, _ := ran.LoadOrStore(string(payload), new(atomic.Int64))
				count.(*atomic.Int64).Add(1)
			}
			return answer, err
		})
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var done, uncertain atomic.Int64
	for w := range 6 {
		wg.Go(func() {
			n := list[w%3]
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				switch err := n.put(fmt.Sprint("w", w), fmt.Sprint(i)); {
				case err == nil:
					done.Add(1)
				case errors.Is(err, shard.ErrUncertain):
					uncertain.Add(1)
				default:
					t.Errorf("writer %d: %v", w, err)
					return
				}
			}
		})
	}
	terms, handovers := list[0].ClusterInfo().Term, uint64(6)
	for i := range handovers {
		before := done.Load()
		waitFor(t, func() bool { return done.Load() > before+20 || t.Failed() })
		if err := list[i%3].Failover(t.Context()); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
	ran.Range(func(pair, count any) bool {
		if n := count.(*atomic.Int64).Load(); n != 1 {
			t.Errorf("%s ran %d times", pair, n)
		}
		return true
	})
	// A handover is no reason not to know; an election on a machine that has other
	// things to do is.
	if elected := list[0].ClusterInfo().Term > terms+handovers; uncertain.Load() > 0 && !elected {
		t.Errorf("%d of %d writes ended as uncertain, though no leader died", uncertain.Load(), done.Load())
	}
}

// TestForwardedErrors keep their identity on the way.
func TestForwardedErrors(t *testing.T) {
	for _, want := range []error{shard.ErrNoSpace, shard.ErrNotWritable, shard.ErrTooBig, shard.ErrUncertain, shard.ErrNotLeader, shard.ErrClosed, shard.ErrWithdrawn} {
		for _, err := range []error{want, fmt.Errorf("while at it: %w", want)} {
			got := decodeError(&transport.RemoteError{Text: encodeError(err)})
			if !errors.Is(got, want) || got.Error() != err.Error() {
				t.Errorf("%v came as %v", err, got)
			}
		}
	}
	got := decodeError(&transport.RemoteError{Text: encodeError(errors.New("WRONGTYPE of something"))})
	if got.Error() != "WRONGTYPE of something" || errors.Is(got, shard.ErrUncertain) {
		t.Errorf("another error came as %v", got)
	}
	if err := decodeError(transport.ErrBroken); err != transport.ErrBroken {
		t.Errorf("the transport's error became %v", err)
	}
}

// TestInFlightForwards: what was sent to a leader that is cut off ends as uncertain
// once there is another one, and reads are sent again.
func TestInFlightForwards(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, nil)
	leader := c.leader(list...)
	asked := c.follower(list...)
	inFlight := make(chan struct{}, 2)
	release := make(chan struct{})
	defer close(release)
	leader.SetExecutor(func(ctx context.Context, _ raftlog.ShardID, _ []byte) ([]byte, error) {
		inFlight <- struct{}{}
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil, errors.New("too late")
	})
	outcome := make(chan error, 2)
	send := func(idempotent bool) {
		outcome <- asked.Run(t.Context(), 0, &Request{
			Task:       putTask("a=1"),
			Encode:     func() []byte { return []byte("a=1") },
			Decode:     func([]byte) error { return nil },
			Idempotent: idempotent,
		})
	}
	go send(false)
	<-inFlight
	// Leadership goes elsewhere while the called node, which is alive, hangs.
	if err := asked.Failover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-outcome; !errors.Is(err, shard.ErrUncertain) {
		t.Fatalf("%v, want ErrUncertain", err)
	}
	if err := leader.Failover(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return asked.list()[0].route.Load().leader == leader.identity().node() })
	go send(true)
	<-inFlight
	c.net.setCut(leader.addr, true)
	if err := <-outcome; err != nil {
		t.Fatalf("one that can be sent again: %v", err)
	}
}

// TestLeaderDies: writes flow again soon, nothing that was acknowledged is lost.
func TestLeaderDies(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, nil)
	for round := range 3 {
		leader := c.leader(list...)
		i := int(leader.identity().NodeID)
		rest := without(list, leader)
		key := fmt.Sprint("k", round)
		rest[0].mustPut(key, "v")
		leader.stopNode(true)
		began := time.Now()
		rest[1].mustPut(key, "w")
		t.Logf("writes flow again after %v", time.Since(began))
		rest[0].mustGet(key, "w")
		list = append(rest, c.start(i, nil))
		c.waitServing(list...)
		list[2].mustGet(key, "w")
	}
}

// TestCloseHandsOver: who closes in good order leaves no gap, and leaves nobody who
// sent it a request in doubt.
func TestCloseHandsOver(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, func(o *Options) { o.Shards = 2 })
	leader := c.leader(list...)
	if err := leader.Failover(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return leader.ClusterInfo().Led == 2 })
	rest := without(list, leader)
	var done, uncertain atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				switch err := rest[w%2].putIn(raftlog.ShardID(w/2%2), fmt.Sprint("w", w), fmt.Sprint(i)); {
				case err == nil:
					done.Add(1)
				case errors.Is(err, shard.ErrUncertain):
					uncertain.Add(1)
				default:
					t.Errorf("writer %d: %v", w, err)
					return
				}
			}
		})
	}
	waitFor(t, func() bool { return done.Load() > 100 || t.Failed() })
	terms := leader.ClusterInfo().Term
	leader.stopNode(false)
	after := done.Load()
	waitFor(t, func() bool { return done.Load() > after+100 || t.Failed() })
	close(stop)
	wg.Wait()
	if elected := rest[0].ClusterInfo().Term > terms+2; uncertain.Load() > 0 && !elected {
		t.Errorf("%d writes ended as uncertain, the terms went from %d to %d", uncertain.Load(), terms, rest[0].ClusterInfo().Term)
	}
}

// TestAnnounce: a node that comes back at other addresses is found there.
func TestAnnounce(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, nil)
	moved := c.follower(list...)
	i := int(moved.identity().NodeID)
	fs := moved.fs
	moved.stopNode(false)
	delete(c.nodes, moved.addr)
	c.net.mu.Lock()
	delete(c.net.real, moved.addr)
	c.net.mu.Unlock()
	n := c.start(8, func(o *Options) { o.FS = fs; o.ClientAddr = "client:1" })
	c.waitServing(n)
	list = append(without(list, moved), n)
	for _, at := range list {
		waitFor(t, func() bool {
			m := at.Members()[i-1]
			return m.PeerAddr == testAddr(8) && m.ClientAddr == "client:1" && m.Connected
		})
	}
	n.mustPut("a", "1")
}
