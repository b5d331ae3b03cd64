package transport

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"dkv/cluster/consensus"

	"google.golang.org/grpc"
)

// Transport is a node's connections to the other nodes. Its methods can be
// called concurrently.
type Transport struct {
	o        Options
	tls      *tlsFiles
	listener net.Listener
	server   *grpc.Server
	limiter  *limiter
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup // all goroutines that are not gRPC's
	closing  sync.Once

	identity   atomic.Pointer[Identity]
	peers      atomic.Pointer[map[consensus.NodeID]*peer] // never changed, replaced under mu
	unroutable atomic.Uint64
	malformed  atomic.Uint64

	mu struct {
		sync.Mutex
		closed   bool
		members  map[consensus.NodeID]Peer
		removed  map[consensus.NodeID]struct{}
		inbound  map[inboundKey]*inbound
		refused  map[Refusal]uint64
		logged   map[refusalKey]struct{}
		told     map[consensus.NodeID]struct{} // that we are removed, by whom
		tls      map[tlsRefusal]time.Time      // when it was logged
		complete map[inboundKey]uint64         // last raft snapshot taken, by id
	}
}

// Listen starts to serve. Until SetIdentity, only Admin requests are answered;
// until SetPeers, nobody is a member.
func Listen(o Options) (*Transport, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	t := &Transport{o: o, limiter: newLimiter(o.SnapshotBytesPerSecond, o.Clock)}
	if o.TLS != nil {
		var err error
		if t.tls, err = loadTLS(*o.TLS); err != nil {
			return nil, err
		}
	}
	t.peers.Store(&map[consensus.NodeID]*peer{})
	t.mu.inbound = map[inboundKey]*inbound{}
	t.mu.refused = map[Refusal]uint64{}
	t.mu.logged = map[refusalKey]struct{}{}
	t.mu.told = map[consensus.NodeID]struct{}{}
	t.mu.tls = map[tlsRefusal]time.Time{}
	t.mu.complete = map[inboundKey]uint64{}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	var err error
	if t.listener, err = net.Listen("tcp", o.Addr); err != nil {
		t.cancel()
		return nil, fmt.Errorf("transport: %w", err)
	}
	t.server = grpc.NewServer(t.serverOptions()...)
	t.register()
	t.wg.Go(func() {
		if err := t.server.Serve(t.listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.o.Logger.Error("no longer listening to other nodes", "addr", t.Addr(), "error", err)
		}
	})
	return t, nil
}

// Addr is where the Transport listens, as host:port.
func (t *Transport) Addr() string { return t.listener.Addr().String() }

// peer returns a member, or nil.
func (t *Transport) peer(id consensus.NodeID) *peer { return (*t.peers.Load())[id] }

// SetIdentity says who this node is. Another identity than before ends all
// streams; those to peers are opened anew.
func (t *Transport) SetIdentity(id Identity) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := t.identity.Load(); old != nil && *old == id {
		return
	}
	t.identity.Store(&id)
	clear(t.mu.told)
	t.setPeersLocked(t.mu.members) // which of them is this node?
	for _, p := range *t.peers.Load() {
		if l := p.link.Load(); l != nil {
			l.cancel()
		}
		p.wake()
	}
	for _, in := range t.mu.inbound {
		in.close()
	}
}

// SetPeers says who the members are; this node itself may be among them.
// Connections to new ones are made, those to and from nodes that are gone, or
// that have another address or incarnation than before, are ended. PeerDown is
// not called for them.
func (t *Transport) SetPeers(members map[consensus.NodeID]Peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.members = maps.Clone(members)
	t.setPeersLocked(members)
}

func (t *Transport) setPeersLocked(members map[consensus.NodeID]Peer) {
	if t.mu.closed {
		return
	}
	old := *t.peers.Load()
	peers := make(map[consensus.NodeID]*peer, len(members))
	var self consensus.NodeID
	if id := t.identity.Load(); id != nil {
		self = id.Node
	}
	var fresh []*peer
	for id, m := range members {
		if id == self {
			continue
		}
		p := old[id]
		if p == nil || p.Peer != m {
			p = t.newPeer(id, m, p)
			fresh = append(fresh, p)
		}
		peers[id] = p
	}
	t.peers.Store(&peers)
	for id, p := range old {
		if peers[id] != p {
			p.cancel()
		}
	}
	t.hangUpLocked()
	for _, p := range fresh {
		t.wg.Go(p.run)
	}
}

func (t *Transport) newPeer(id consensus.NodeID, m Peer, old *peer) *peer {
	p := &peer{Peer: m, t: t, id: id, kick: make(chan struct{}, 1), stats: new(peerStats)}
	if old != nil {
		p.stats = old.stats
	}
	p.ctx, p.cancel = context.WithCancel(t.ctx)
	return p
}

// SetRemoved says which ids were members once and never will be again. It
// replaces what was said before.
func (t *Transport) SetRemoved(ids []consensus.NodeID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.removed = make(map[consensus.NodeID]struct{}, len(ids))
	for _, id := range ids {
		t.mu.removed[id] = struct{}{}
	}
	t.hangUpLocked()
}

// hangUpLocked ends the streams that would be refused now.
func (t *Transport) hangUpLocked() {
	for _, in := range t.mu.inbound {
		_, removed := t.mu.removed[in.key.from]
		if removed || t.peer(in.key.from) != in.peer {
			in.close()
		}
	}
	for key := range t.mu.complete {
		if t.peer(key.from) == nil {
			delete(t.mu.complete, key)
		}
	}
}

// refusedUs tells, logs once, and passes on that a peer does not take us.
func (t *Transport) refusedUs(by consensus.NodeID, err error) {
	var refused *RefusedError
	if !errors.As(err, &refused) {
		return
	}
	if refused.Reason != RefusedNotReady && t.firstTime(refusalKey{by, refused.Reason, false}) {
		t.o.Logger.Warn("refused by a node", "node", uint64(by), "addr", refused.By, "reason", refused.Reason.String())
	}
	if refused.Reason != RefusedRemoved {
		return
	}
	t.mu.Lock()
	_, told := t.mu.told[by]
	t.mu.told[by] = struct{}{}
	t.mu.Unlock()
	if !told {
		t.o.Handler.Removed(by)
	}
}

// Metrics returns the figures of now.
func (t *Transport) Metrics() Metrics {
	var m Metrics
	t.mu.Lock()
	m.Refused = maps.Clone(t.mu.refused)
	t.mu.Unlock()
	m.Malformed, m.Unroutable = t.malformed.Load(), t.unroutable.Load()
	peers := *t.peers.Load()
	for _, id := range slices.Sorted(maps.Keys(peers)) {
		m.Peers = append(m.Peers, peers[id].metrics())
	}
	return m
}

// Close ends all streams and waits for everything that runs, the Handler's
// methods included. It can be called twice.
func (t *Transport) Close() error {
	t.closing.Do(func() {
		t.mu.Lock()
		t.mu.closed = true
		t.mu.Unlock()
		t.cancel()
		t.server.Stop() // waits for the handlers, not for what they started
	})
	t.wg.Wait()
	return nil
}
