package transport

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

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// peer is a member that this node sends to. Its goroutine, run, keeps a link to
// it; the link is nil while there is none.
type peer struct {
	Peer
	t      *Transport
	id     consensus.NodeID
	ctx    context.Context
	cancel context.CancelFunc
	link   atomic.Pointer[link]
	kick   chan struct{} // the peer is there, or the identity changed: try now
	stats  *peerStats

	state peerState // of run
	tls   string    // the reason of the last *TLSError since there was a connection
}

type peerState uint8

const (
	peerUnknown peerState = iota
	peerUp
	peerDown
	peerRefused
)

// link is one connection to a peer and the two streams on it.
type link struct {
	peer     *peer
	identity *Identity
	ctx      context.Context
	cancel   context.CancelFunc
	messages *outbox
	calls    *calls
	stream   grpc.ClientStream // Peer
	answers  grpc.ClientStream // Calls
}

func (p *peer) wake() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// run connects until the peer is hung up.
func (p *peer) run() {
	defer p.hungUp()
	var b backoff
	for p.ctx.Err() == nil {
		if p.t.identity.Load() == nil {
			p.wait(nil)
			continue
		}
		began := time.Now()
		connected, err := p.connect()
		if p.ctx.Err() != nil {
			return
		}
		p.down(err)
		if connected && time.Since(began) >= steadyLink {
			b = 0
			continue
		}
		timer := time.NewTimer(b.next())
		p.wait(timer.C)
		timer.Stop()
	}
}

func (p *peer) wait(timer <-chan time.Time) {
	select {
	case <-timer:
	case <-p.kick:
	case <-p.ctx.Done():
	}
}

// hungUp is when this node itself ends it: nobody is told.
func (p *peer) hungUp() {
	if p.state == peerUp {
		p.t.o.Logger.Info("disconnected from a node", "node", uint64(p.id), "addr", p.Addr)
	}
}

// connect makes a link and uses it until it breaks. connected: there was one.
func (p *peer) connect() (connected bool, err error) {
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	cc, err := p.t.connect(ctx, p.Addr)
	if err != nil {
		return false, err
	}
	defer cc.close()
	l := &link{peer: p, identity: p.t.identity.Load(), ctx: ctx, cancel: cancel}
	if err := l.open(cc); err != nil {
		p.t.refusedUs(p.id, err)
		return false, cc.explain(err)
	}
	limit := p.t.o.QueueBytes
	l.messages = newOutbox(limit, max(limit/8, 1))
	l.calls = newCalls(ctx.Done(), p.t.o.MaxCallBytes)
	p.link.Store(l)
	defer p.link.Store(nil)
	// SetIdentity stores the identity first and then looks for links.
	if p.t.identity.Load() != l.identity {
		return false, errReplaced
	}
	p.up()
	err = l.run()
	p.link.Store(nil)
	for _, m := range l.messages.close() {
		p.stats.drop(m.size())
	}
	l.calls.close(err)
	return true, err
}

// open opens both streams and waits until they are accepted.
func (l *link) open(cc *conn) (err error) {
	timer := time.AfterFunc(handshakeTimeout, l.cancel)
	defer timer.Stop()
	if l.stream, err = l.peer.open(l.ctx, cc, l.identity, streamPeer); err != nil {
		return err
	}
	if l.answers, err = l.peer.open(l.ctx, cc, l.identity, streamCalls); err != nil {
		return err
	}
	if err := l.peer.accepted(l.stream); err != nil {
		return err
	}
	return l.peer.accepted(l.answers)
}

// open begins a stream and sends the hello.
func (p *peer) open(ctx context.Context, cc *conn, self *Identity, k streamKind) (grpc.ClientStream, error) {
	s, err := cc.NewStream(ctx, &streams[k], k.method())
	if err != nil {
		return nil, err
	}
	h := hello{
		version: ProtocolVersion, cluster: self.ClusterID, from: self.Node, incarnation: self.Incarnation,
		to: p.id, toIncarnation: p.Incarnation,
	}
	if err := sendRecord(s, nil, h.record()); err != nil && !errors.Is(err, io.EOF) {
		return nil, err // not an end of the stream, whose reason accepted finds
	}
	return s, nil
}

// accepted waits for the welcome. The error of a refusal is a *RefusedError.
func (p *peer) accepted(s grpc.ClientStream) error {
	reader := recordReader{s: s}
	defer reader.close()
	r, err := reader.next()
	if err != nil {
		return err
	}
	w, err := parseWelcome(r)
	switch {
	case r.kind != kindWelcome:
		return fmt.Errorf("%w: record of kind %d for a welcome", ErrFormat, r.kind)
	case w.refusal != Accepted:
		// Only a member of this cluster can say that we were removed from it.
		if self := p.t.identity.Load(); w.refusal == RefusedRemoved && (self == nil || w.cluster != self.ClusterID) {
			w.refusal = RefusedCluster
		}
		return &RefusedError{By: p.Addr, Reason: w.refusal}
	}
	return err
}

// run sends and receives until the first stream ends, and waits for the rest.
func (l *link) run() error {
	ended := make(chan error, 4)
	var wg sync.WaitGroup
	for _, f := range []func() error{
		func() error { return l.sendAll(l.stream, l.messages, l.peer.stats) },
		func() error { return l.sendAll(l.answers, l.calls.out, nil) },
		func() error { return l.calls.receive(l.answers) },
		func() error { // nothing comes on Peer but its end
			var f frame
			defer f.free()
			if err := l.stream.RecvMsg(&f); err != nil {
				return err
			}
			return fmt.Errorf("%w: a frame against the direction", ErrFormat)
		},
	} {
		wg.Go(func() { ended <- f() })
	}
	err := <-ended
	l.cancel()
	wg.Wait()
	if errors.Is(err, io.EOF) {
		err = errReplaced
	}
	return err
}

// sendAll sends what waits, a frame as soon as the last one is taken.
func (l *link) sendAll(s grpc.ClientStream, o *outbox, stats *peerStats) error {
	for {
		f, records := o.next(l.ctx.Done())
		if f == nil {
			return errReplaced
		}
		bytes := f.buf.Len()
		if err := s.SendMsg(f); err != nil {
			return err
		}
		if stats != nil {
			stats.sentFrames.Add(1)
			stats.sentMessages.Add(uint64(records))
			stats.sentBytes.Add(uint64(bytes))
		}
	}
}

// Send hands raft messages to their peers. It never blocks; what cannot wait is
// dropped and counted. The messages, and the entries in them, must not be
// changed afterwards. MsgSnap is not taken: see SendSnapshot.
func (t *Transport) Send(shard raftlog.ShardID, msgs []*pb.Message) {
	for _, m := range msgs {
		p := t.peer(consensus.NodeID(m.GetTo()))
		if p == nil {
			t.unroutable.Add(1)
			continue
		}
		p.send(shard, m)
	}
}

func (p *peer) send(shard raftlog.ShardID, m *pb.Message) {
	size := proto.Size(m)
	l := p.link.Load()
	if l == nil || size > MaxBytes || m.GetType() == pb.MsgSnap {
		p.stats.drop(size)
		return
	}
	urgent := m.GetType() != pb.MsgApp
	if !l.messages.push(parcel{record: record{kind: kindMessage, shard: shard, total: uint64(size)}, msg: m}, urgent) {
		p.stats.drop(size)
	}
}

func (p *peer) up() {
	p.state, p.tls = peerUp, ""
	p.stats.connects.Add(1)
	p.t.o.Logger.Info("connected to a node", "node", uint64(p.id), "addr", p.Addr)
	p.t.o.Handler.PeerUp(p.id)
}

func (p *peer) down(err error) {
	state := peerDown
	if isRefused(err) {
		state = peerRefused
	}
	// One that was down for another reason and then comes with a wrong certificate
	// is news.
	var refusal *TLSError
	news := errors.As(err, &refusal) && refusal.Reason != p.tls
	if news {
		p.tls = refusal.Reason
	}
	was := p.state
	p.state = state
	if news || was != state && (was == peerUp || was == peerUnknown) {
		p.t.o.Logger.Warn("no connection to a node", "node", uint64(p.id), "addr", p.Addr, "error", err)
	}
	if was != state {
		p.t.o.Handler.PeerDown(p.id, state == peerRefused)
	}
}

// backoff is the wait between attempts.
type backoff time.Duration

// next doubles the wait, and takes off up to a quarter so that nodes do not
// keep step.
func (b *backoff) next() time.Duration {
	*b = min(max(*b*2, backoff(minBackoff)), backoff(maxBackoff))
	return time.Duration(*b) - rand.N(time.Duration(*b)/4)
}
