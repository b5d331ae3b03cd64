package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
	"dkv/cluster/raftsnap"
	"dkv/cluster/replica"
	"dkv/cluster/shard"
	"dkv/cluster/transport"
	"dkv/engine"
	"dkv/engine/hot"
	"dkv/engine/keyspace"
	"dkv/engine/ramfs"
)

// Node is one process's part of a cluster: a folder, a log store, shards.
type Node struct {
	o         Options
	id        atomic.Pointer[identity]
	lock      io.Closer
	log       *raftlog.Log
	engines   engines              // what the shards' engines share
	transport *transport.Transport // nil: no peer address
	shards    atomic.Pointer[[]openShard]
	opened    chan struct{}                          // closed when shards is set
	flushed   [MaxShards]atomic.Pointer[shard.Shard] // for the engines' flush listeners
	down      atomic.Pointer[error]                  // why there are no shards
	table     atomic.Pointer[memberTable]            // the newest that was applied; nil: none yet
	connected sync.Map                               // of consensus.NodeID
	welcoming sync.Map                               // likewise: being told that they are members
	executor  atomic.Pointer[Executor]
	answering atomic.Int64  // requests of other nodes that are being run
	lastCall  atomic.Int64  // when the last one came, unix ns
	sending   chan struct{} // a slot for each raft snapshot being sent

	tableKick chan struct{} // the table may have changed
	strangers chan struct{} // a node that is no member, as far as is known, was refused
	removed   chan struct{} // a member says that this node is none
	welcomes  chan welcomeRequest
	removing  chan struct{} // a slot for the removal that is being decided
	heldUntil atomic.Int64  // unix ms: until then no leadership is moved for balance

	source   *replica.Source // serves those who follow this node
	follower follower        // this node's own following

	files     *ramfs.FS // of a diskless node, otherwise nil
	memory    memory
	otherLive otherLive

	messenger messenger
	notifier  keyspace.Notifier
	onNotes   atomic.Pointer[func(notes []byte)]
	changes   atomic.Pointer[changeListener]

	mu struct {
		sync.Mutex
		closed bool
		sent   []*sentSnapshot
		// failed counts the raft snapshots that could not be sent, since the last
		// one that could.
		failed map[snapshotWay]int
	}
	workers []*consensus.Worker // that drive the shards' groups, never changed
	ctx     context.Context     // ends when the node closes
	cancel  context.CancelFunc
	running sync.WaitGroup

	openedAt time.Time // by Options.Clock
	began    time.Time
	lastSave atomic.Int64 // unix seconds
	saving   atomic.Bool

	fatal     chan error
	fatalOnce sync.Once
	closeOnce sync.Once
	closeErr  error
}

// Open opens or creates the node's folder. A node that is a member, or alone,
// replays its log and, if it is alone, can serve when Open returns. One that is to
// form or join a cluster does so in the background: until then Shard returns nil
// and requests are answered with CLUSTERDOWN; if it cannot be, Fatal says why.
// Errors: ErrVersion, ErrEngine, ErrForeign, ErrShards, ErrRemoved, ErrRecovering,
// ErrPeerList, ErrBadAddr, engine.ErrLocked, ErrUnsupported, raftlog's and shard's,
// all wrapped.
func Open(o Options) (_ *Node, err error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	if err := o.normalizePeers(); err != nil {
		return nil, err
	}
	n := &Node{
		o: o, openedAt: o.Clock(), began: o.began,
		fatal:     make(chan error, 1),
		opened:    make(chan struct{}),
		tableKick: make(chan struct{}, 1),
		strangers: make(chan struct{}, 1),
		removed:   make(chan struct{}, 1),
		welcomes:  make(chan welcomeRequest),
		removing:  make(chan struct{}, 1),
		sending:   make(chan struct{}, maxSnapshotsSent),
		files:     o.files,
	}
	n.workers = newWorkers()
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.memory.changed = make(chan struct{}, 1)
	n.SetMaxMemory(o.MaxMemory)
	n.setDown("The node is being opened")
	n.source = n.newSource()
	if n.follower.id, err = randomID(); err != nil {
		return nil, err
	}
	if err := n.open(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	n.lastSave.Store(o.Clock().Unix())
	return n, nil
}

func (n *Node) open() error {
	if err := n.prepareEngines(); err != nil {
		return err
	}
	if err := n.openFolder(); err != nil {
		return err
	}
	if err := n.openLog(); err != nil {
		return err
	}
	if n.o.PeerAddr != "" {
		if err := n.listen(); err != nil {
			return err
		}
	}
	if id := n.identity(); id.State == stateReady || id.State == stateCreating {
		if err := n.openShards(); err != nil {
			return err
		}
	}
	if n.transport != nil {
		n.goes(n.keep)
	}
	n.goes(n.sweepCopies)
	n.goes(n.guardMemory)
	if n.identity().State == stateAwaiting {
		n.awaitSource()
		return nil
	}
	return n.goOnFollowing()
}

// listen starts the transport. Members are let in once there is an identity.
func (n *Node) listen() (err error) {
	o := transport.Options{
		Addr: n.o.PeerListen, Handler: &peerHandler{n}, Logger: n.o.Logger, Clock: n.o.Clock,
		SnapshotBytesPerSecond: n.o.SnapshotBytesPerSecond, MaxCallBytes: n.o.MaxCallBytes, Dial: n.o.dial,
	}
	if t := n.o.TLS; t != nil {
		o.TLS = &transport.TLS{CertFile: t.CertFile, KeyFile: t.KeyFile, CAFile: t.CAFile}
	}
	if n.transport, err = transport.Listen(o); err != nil {
		return fmt.Errorf("cluster: listen for peers on %s: %w", n.o.PeerListen, err)
	}
	return nil
}

// openShards opens all shards, makes them first where that is still to be done,
// and lets the other members in.
func (n *Node) openShards() error {
	id := n.identity()
	n.shareCaches(id.Shards)
	parent, err := n.shardsDir()
	if err != nil {
		return err
	}
	set := make([]openShard, id.Shards)
	for i := range set {
		s := &set[i]
		s.id, s.kicked = raftlog.ShardID(i), make(chan struct{}, 1)
		if s.store, err = n.openStore(parent, s.id); err != nil {
			return errors.Join(err, closeShards(set))
		}
		if id.State == stateCreating {
			if err := n.create(s.id, s.store.Engine()); err != nil {
				return errors.Join(err, closeShards(set))
			}
		}
	}
	if id.State == stateCreating {
		if err := n.created(*id); err != nil {
			return errors.Join(err, closeShards(set))
		}
	}
	for i := range set {
		if err := n.openShard(&set[i]); err != nil {
			return errors.Join(err, closeShards(set))
		}
	}
	n.serve(set)
	n.tellReplaced() // another cluster's, or those of another source
	return nil
}

// created makes a new node's identity ready, last of all.
func (n *Node) created(id identity) error {
	if err := n.log.Sync(); err != nil {
		return fmt.Errorf("cluster: create log: %w", err)
	}
	id.State = stateReady
	return n.setIdentity(id)
}

func (n *Node) openStore(parent string, id raftlog.ShardID) (*snapStore, error) {
	st, err := raftsnap.OpenStore(raftsnap.StoreOptions{
		FS: n.o.FS, Dir: parent, Name: shardName(id),
		Open:          func(dir string) (engine.Engine, error) { return n.openEngine(id, dir, true) },
		OpenReceiving: func(dir string) (engine.Engine, error) { return n.openEngine(id, dir, false) },
		FreeBytes:     n.freeBytes,
		Logger:        n.o.Logger,
	})
	if err != nil {
		return nil, err
	}
	return &snapStore{Store: st, closeFailed: func(err error) {
		n.o.Logger.Warn("cannot remove a shard's old state", "shard", id, "err", err)
	}}, nil
}

// freeBytes is how much of the disk a raft snapshot may take.
func (n *Node) freeBytes() uint64 {
	u, err := n.o.FS.GetDiskUsage(n.o.Dir)
	if err != nil {
		return 1 << 62 // not known: what does not fit fails by itself
	}
	reserve := uint64(max(n.o.ReserveDiskBytes, 0))
	if n.o.ReserveDiskBytes == 0 {
		reserve = min(defaultReserveBytes, u.TotalBytes/reserveFraction)
	}
	reserve *= 2 // the current engine must be able to go on
	if u.AvailBytes < reserve {
		return 0
	}
	return u.AvailBytes - reserve
}

func (n *Node) openShard(s *openShard) error {
	var out consensus.Transport
	if n.transport != nil {
		out = outbox{n, s.id}
	}
	var err error
	s.Shard, err = shard.Open(shard.Options{
		NodeID:        n.identity().node(),
		Engine:        s.store.Engine(),
		Log:           n.log.Shard(s.id),
		Transport:     out,
		Worker:        n.workers[int(s.id)%len(n.workers)],
		Store:         s.store,
		TickInterval:  n.o.TickInterval,
		ElectionTicks: n.o.ElectionTicks,
		Lease:         n.o.ReadMode == ReadLease,
		Seed:          rand.Uint64(),
		OnRecord:      func([]byte, []byte) { kick(n.tableKick) },
		OnRestore:     func() { kick(n.tableKick) },
		Clock:         n.o.Clock,
		Logger:        n.o.Logger,
		PinnedBytes:   func() int64 { return n.pinnedBytes(s.id) },
		MaxLogBytes:   n.o.MaxLogBytes,
		OnFatal:       n.stop,
		Following:     n.identity().follows(),
		Notifier:      &n.notifier,
		Tracker:       &n.memory.tracker,
		Gate:          n.memoryGate,
		OnNotes:       n.takeNotes,
		OnApplied:     n.tellApplied,
		OnReplaced:    n.tellReplaced,
	})
	if err != nil {
		return fmt.Errorf("cluster: open shard %d: %w", s.id, err)
	}
	if n.o.LogArchiveDir != "" {
		s.archiver = n.newArchiver(s) // before the log can be cut
	}
	n.flushed[s.id].Store(s.Shard)
	st := s.Group().Status()
	s.alone.Store(len(st.Voters) == 1 && st.Voters[0] == st.ID)
	return nil
}

// serve makes the shards known, to this node's clients and to the members.
func (n *Node) serve(set []openShard) {
	n.followTable(set)
	n.shards.Store(&set)
	close(n.opened)
	for i := range set {
		s := &set[i]
		n.goes(func(context.Context) { n.sweep(s) })
		if s.archiver != nil {
			n.goes(s.archiver.run)
		}
		n.goes(func(ctx context.Context) { n.watchLeader(ctx, s) })
		if n.transport != nil {
			n.goes(func(ctx context.Context) { n.reconcile(ctx, s) })
		}
	}
	if n.transport == nil {
		return
	}
	id := n.identity()
	n.transport.SetIdentity(transport.Identity{ClusterID: id.ClusterID, Node: id.node(), Incarnation: id.Incarnation})
	n.tellTransport()
	n.goes(n.balance)
}

// sweep removes what a crash left of raft snapshots.
func (n *Node) sweep(s *openShard) {
	if err := s.store.Sweep(); err != nil {
		n.o.Logger.Warn("cannot remove what is left of old states", "shard", s.id, "err", err)
	}
}

// goes runs f on a goroutine that Close waits for, unless the node is closed. f
// returns when its context ends.
func (n *Node) goes(f func(context.Context)) (started bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.closed {
		return false
	}
	n.running.Go(func() { f(n.ctx) })
	return true
}

// stop records what ended the node. Whoever runs the node reads it from Fatal.
func (n *Node) stop(err error) {
	n.fatalOnce.Do(func() {
		n.o.Logger.Error("the node cannot go on", "err", err)
		n.fatal <- err
	})
}

// Fatal receives the one error after which the node acknowledges nothing more: a
// failed sync of the log, for one, or a list of peers that contradicts theirs. The
// process should end.
func (n *Node) Fatal() <-chan error { return n.fatal }

// Shards is the number of shards. A node that joins learns it late, so it must
// be asked each time.
func (n *Node) Shards() int { return max(n.identity().Shards, 1) }

// Shard returns a shard, nil while the node has none: it waits for the others
// to form the cluster, or to be added to one, or was removed.
func (n *Node) Shard(id raftlog.ShardID) *shard.Shard {
	if set := n.shards.Load(); set != nil && int(id) < len(*set) {
		return (*set)[id].Shard
	}
	return nil
}

// serving is Shard with the reason why there is none, as a reply.
func (n *Node) serving(id raftlog.ShardID) (*openShard, error) {
	set := n.shards.Load()
	if set == nil {
		return nil, *n.down.Load()
	}
	if int(id) >= len(*set) {
		return nil, shard.ErrNotLeader
	}
	return &(*set)[id], nil
}

// setDown says why there are no shards.
func (n *Node) setDown(why string) {
	n.setDownReply("CLUSTERDOWN " + why)
}

func (n *Node) setDownReply(text string) {
	var err error = &remoteError{text, shard.ErrNotLeader}
	n.down.Store(&err)
}

// MaxCallBytes is the largest answer that an Executor can give.
func (n *Node) MaxCallBytes() int { return int(n.o.MaxCallBytes) }

// Warms says whether looking a key up leaves its record where the writer finds it
// faster.
func (n *Node) Warms() bool { return n.o.HotCacheBytes >= 0 }

// HotMetrics adds up what the shards' tables of hot records say.
func (n *Node) HotMetrics() (sum hot.Metrics) {
	for i := range n.list() {
		if e, ok := n.list()[i].store.Engine().(interface{ HotMetrics() hot.Metrics }); ok {
			sum.Add(e.HotMetrics())
		}
	}
	return sum
}

// list is the shards that are open.
func (n *Node) list() []openShard {
	if set := n.shards.Load(); set != nil {
		return *set
	}
	return nil
}
