package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dkv/cluster/shard"
	"dkv/engine/enginetest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

func TestFormCluster(t *testing.T) {
	for _, order := range [][]int{{1, 2, 3}, {3, 1, 2}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			c := newTestCluster(t)
			var list []*testNode
			for _, i := range order {
				n := c.start(i, withPeers(3, func(o *Options) { o.ClientAddr = fmt.Sprintf("client%d:1", i) }))
				list = append(list, n)
				if len(list) == 3 {
					break
				}
				if err := n.put("a", "1"); !errors.Is(err, shard.ErrNotLeader) || !strings.HasPrefix(err.Error(), "CLUSTERDOWN ") {
					t.Fatalf("a write before the cluster is formed: %v", err)
				}
			}
			c.waitServing(list...)
			// Clients that ask who leads as soon as somebody does are told where.
			for _, n := range list {
				for _, m := range n.Members() {
					if want := fmt.Sprintf("client%d:1", m.ID); m.ClientAddr != want {
						t.Errorf("%s knows node %d at %q, want %q", n.addr, m.ID, m.ClientAddr, want)
					}
				}
			}
			for i, n := range list {
				key := fmt.Sprint("k", i)
				n.mustPut(key, "v")
				for _, other := range list {
					other.mustGet(key, "v")
				}
				n.waitMembers(1, 2, 3)
				if got := n.ClusterInfo().ClusterID; got != list[0].ClusterInfo().ClusterID {
					t.Fatalf("cluster %s at %s", got, n.addr)
				}
			}
		})
	}
}

func TestRestartOfAll(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, nil)
	list[1].mustPut("a", "1")
	for _, n := range list {
		n.stopNode(true)
	}
	for i := range list {
		// Neither the list nor the own address is needed again.
		list[i] = c.start(i+1, func(o *Options) { o.PeerAddr = "" })
	}
	c.waitServing(list...)
	for _, n := range list {
		n.mustGet("a", "1")
	}
}

func TestWrongLists(t *testing.T) {
	open := func(change func(*Options)) error {
		c := newTestCluster(t)
		_, err := c.tryStart(1, change)
		return err
	}
	if err := open(func(o *Options) { o.Peers = []string{testAddr(2), testAddr(3)} }); !errors.Is(err, ErrPeerList) {
		t.Errorf("a list without this node: %v", err)
	}
	if err := open(func(o *Options) { o.Peers = []string{testAddr(1), testAddr(2), "http://" + testAddr(2) + "/"} }); !errors.Is(err, ErrPeerList) {
		t.Errorf("an address twice: %v", err)
	}
	if err := open(func(o *Options) { o.Peers = []string{testAddr(1), "nonsense"} }); !errors.Is(err, ErrBadAddr) {
		t.Errorf("a list with something else: %v", err)
	}

	if err := open(func(o *Options) { o.PeerAddr = "0.0.0.0:7000" }); !errors.Is(err, ErrBadAddr) {
		t.Errorf("an address that nobody can reach: %v", err)
	}

	c := newTestCluster(t)
	longAgo := time.Now().Add(-2 * sameTime)
	first := c.start(1, withPeers(3, func(o *Options) { o.began = longAgo })) // it has been waiting
	wrong := c.start(2, func(o *Options) { o.Peers = testAddrs(2) })
	wrong.wantFatal(ErrContradiction)
	wrong.stopNode(false)
	shards := c.start(2, withPeers(3, func(o *Options) { o.Shards = 2 }))
	shards.wantFatal(ErrContradiction)
	shards.stopNode(false)
	// The one that waited goes on when the others are right.
	c.waitServing(first, c.start(2, withPeers(3, nil)), c.start(3, withPeers(3, nil)))
}

// TestTwoAddressesOfOneNode: a list with two names of the same node is refused.
func TestTwoAddressesOfOneNode(t *testing.T) {
	c := newTestCluster(t)
	n := c.start(1, withPeers(2, nil))
	c.net.mu.Lock()
	c.net.real[testAddr(2)] = c.net.real[testAddr(1)]
	c.net.mu.Unlock()
	n.wantFatal(ErrContradiction)
}

// TestLostFolder: a founder that lost its folder must not come back as who it was.
func TestLostFolder(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, nil)
	list[0].mustPut("a", "1")
	list[2].stopNode(true)
	delete(c.nodes, testAddr(3))
	lost := c.start(3, withPeers(3, nil))
	lost.wantFatal(ErrClusterExists)
	if err := lost.put("a", "2"); !errors.Is(err, shard.ErrNotLeader) {
		t.Fatalf("a write to a node that is of no cluster: %v", err)
	}
	list[1].mustGet("a", "1")
}

// TestFolderOfAnotherCluster: a folder that was mixed up is refused.
func TestFolderOfAnotherCluster(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, nil)
	alone := c.start(4, func(o *Options) { o.Peers = nil })
	c.waitServing(alone)
	fs := alone.fs
	alone.stopNode(false)
	list[2].stopNode(true)
	mixed, err := c.tryStart(3, withPeers(3, func(o *Options) { o.FS = fs }))
	if err != nil {
		t.Fatal(err)
	}
	mixed.wantFatal(ErrOtherCluster)
	list[0].mustPut("a", "1")
}

func TestShardCountIsFixed(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, func(o *Options) { o.Shards = 4 })
	if got := list[0].Shards(); got != 4 {
		t.Fatalf("%d shards", got)
	}
	for i := range 4 {
		for _, n := range list {
			n.mustPutIn(list[0].list()[i].id, "a", "1")
		}
	}
	list[0].stopNode(false)
	if _, err := c.tryStart(1, withPeers(3, func(o *Options) { o.Shards = 2 })); !errors.Is(err, ErrShards) {
		t.Fatalf("another number of shards: %v", err)
	}
	c.waitServing(c.start(1, nil))
}

// TestCrashWhileForming crashes one node before each of its first changes of the
// disk; it comes back and the same cluster is formed.
func TestCrashWhileForming(t *testing.T) {
	rng := seedOf(t)
	ops := []int{3, 6, 10, 16, 25, 40, 60}
	for _, op := range ops {
		t.Run(fmt.Sprint("op ", op), func(t *testing.T) {
			c := newTestCluster(t)
			first := c.start(1, withPeers(3, nil))
			mem := enginetest.NewCrashFS()
			var mu sync.Mutex
			count, crashed := 0, (*enginetest.CrashFS)(nil)
			fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(o errorfs.Op) error {
				if o.Kind.ReadOrWrite() != errorfs.OpIsWrite {
					return nil
				}
				mu.Lock()
				defer mu.Unlock()
				if count++; count == op {
					// From here on nobody hears from it.
					c.net.setCut(testAddr(2), true)
					crashed = mem.Crash(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
				}
				return nil
			}))
			crashes := c.start(2, withPeers(3, func(o *Options) { o.FS = fs }))
			last := c.start(3, withPeers(3, nil))
			waitFor(t, func() bool {
				mu.Lock()
				defer mu.Unlock()
				return crashed != nil
			})
			crashes.stopNode(true)
			again := c.start(2, withPeers(3, func(o *Options) { o.FS = crashed }))
			c.waitServing(first, again, last)
			again.mustPut("a", "1")
			for _, n := range []*testNode{first, again, last} {
				n.waitMembers(1, 2, 3)
				n.mustGet("a", "1")
			}
		})
	}
}

// TestDecide goes through crashes in the middle of forming, without nodes.
func TestDecide(t *testing.T) {
	peers := testAddrs(3)
	fresh := func(inc string) identity {
		return identity{Incarnation: inc, State: stateForming, Shards: 1, Peers: peers}
	}
	say := func(i int, id identity) *hello {
		return &hello{State: id.State, ClusterID: id.ClusterID, NodeID: id.NodeID, PeerAddr: peers[i], Incarnation: id.Incarnation,
			Shards: id.Shards, Peers: id.Peers, Agreed: id.Agreed, Founders: id.Founders}
	}
	ids := []identity{fresh("x"), fresh("y"), fresh("z")}
	round := func(i int, without ...int) (waits []string, err error) {
		heard := make(map[string]*hello)
		for j := range ids {
			if j != i && !slices.Contains(without, j) {
				heard[peers[j]] = say(j, ids[j])
			}
		}
		ids[i], waits, err = decide(ids[i], peers[i], 0, heard)
		return waits, err
	}
	must := func(i int, state string, agreed bool, without ...int) {
		t.Helper()
		if _, err := round(i, without...); err != nil {
			t.Fatal(err)
		}
		if ids[i].State != state || (ids[i].Agreed != "") != agreed {
			t.Fatalf("node %d is %+v", i, ids[i])
		}
	}
	must(0, stateForming, false, 2) // one is missing
	must(0, stateForming, true)
	must(0, stateForming, true) // the others have not agreed
	must(1, stateForming, true)
	must(2, stateForming, true)
	// Node 2 has agreed, and loses its folder: what was agreed to cannot be.
	ids[2] = fresh("new")
	must(0, stateForming, true)
	must(1, stateForming, true)
	must(0, stateForming, true)
	must(2, stateForming, true)
	must(0, stateCreating, false)
	// Node 0 has formed the cluster: who hears of it needs nobody else.
	must(1, stateCreating, false, 2)
	must(2, stateCreating, false, 1)
	for i, id := range ids {
		if id.ClusterID != ids[0].ClusterID || id.NodeID != uint64(i+1) || len(id.Founders) != 3 {
			t.Fatalf("node %d is %+v", i, id)
		}
	}
	// A node that lost its folder now is refused.
	ids[2] = fresh("newer")
	if _, err := round(2); !errors.Is(err, ErrClusterExists) {
		t.Fatalf("a founder without its folder: %v", err)
	}
}
