package transport

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// inbound is a stream that a member opened. There is one of each key; a newer
// one hangs up the older one, whose end may just not have been noticed.
type inbound struct {
	key    inboundKey
	peer   *peer
	self   *Identity
	stream grpc.ServerStream
	addr   string // of the dialer

	hangUp sync.Once
	cut    chan struct{} // closed: hang up
	done   chan struct{} // closed when its goroutine has ended
}

type inboundKey struct {
	kind  streamKind
	from  consensus.NodeID
	shard raftlog.ShardID // of a raft snapshot
}

func (in *inbound) close() { in.hangUp.Do(func() { close(in.cut) }) }

// serve is one stream's handler. gRPC ends a stream when its handler returns,
// and only then, so the work is done by another goroutine.
func (t *Transport) serve(kind streamKind, s grpc.ServerStream) error {
	in := &inbound{
		key: inboundKey{kind: kind}, stream: s,
		cut: make(chan struct{}), done: make(chan struct{}),
	}
	if p, ok := grpcpeer.FromContext(s.Context()); ok {
		in.addr = p.Addr.String()
	}
	ended := make(chan error, 1)
	t.wg.Go(func() {
		defer close(in.done)
		ended <- t.receive(in)
	})
	select {
	case err := <-ended:
		return err
	case <-in.cut:
		return status.Error(codes.Canceled, "hung up")
	}
}

// receive runs a stream until it ends.
func (t *Transport) receive(in *inbound) error {
	reader := recordReader{s: in.stream, asm: assembler{limit: maxHelloBytes}}
	defer reader.close()
	timer := time.AfterFunc(handshakeTimeout, in.close)
	defer timer.Stop()
	h, header, ok, err := t.greet(in, &reader)
	if err != nil || !ok {
		return err
	}
	defer t.leave(in)
	w := welcome{version: ProtocolVersion, cluster: in.self.ClusterID}
	if err := sendRecord(in.stream, nil, w.record()); err != nil {
		return err
	}
	timer.Stop()
	switch in.key.kind {
	case streamPeer:
		if p := t.peer(h.from); p != nil {
			p.wake() // it is there
		}
		err = t.receiveMessages(in)
	case streamCalls:
		err = t.answerCalls(in)
	case streamSnapshot:
		err = t.receiveSnapshot(in, header, &reader)
	}
	if errors.Is(err, ErrFormat) || errors.Is(err, ErrTooLarge) {
		t.malformed.Add(1)
		t.o.Logger.Warn("a node's stream is malformed", "node", uint64(h.from), "from", in.addr, "error", err)
	}
	return err
}

// greet reads the hello, and a raft snapshot's header, and registers the stream
// if it is accepted. Otherwise it says so to the dialer, and ok is false.
func (t *Transport) greet(in *inbound, reader *recordReader) (h hello, header *SnapshotHeader, ok bool, err error) {
	r, err := reader.next()
	if err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrTooLarge) {
		return h, nil, false, err
	}
	reason := Accepted
	if err == nil && r.kind == kindHello {
		h, err = parseHello(r.body)
	}
	if err != nil || r.kind != kindHello {
		reason = RefusedMalformed
	} else if in.key.kind == streamSnapshot && h.version == ProtocolVersion {
		reader.asm.limit = 0
		if r, err = reader.next(); err == nil {
			header, err = parseSnapshotHeader(r)
		}
		if err != nil {
			reason = RefusedMalformed
		}
	}
	w := welcome{version: ProtocolVersion}
	if reason == Accepted {
		reason, w.cluster = t.enter(in, h, header)
	}
	if reason == Accepted {
		return h, header, true, nil
	}
	t.refused(h, in.addr, reason)
	w.refusal = reason
	return h, nil, false, sendRecord(in.stream, nil, w.record())
}

// enter registers a stream if its hello is right. It hangs up an older one of
// the same kind, and waits for its end: a sink has one user at a time.
func (t *Transport) enter(in *inbound, h hello, header *SnapshotHeader) (reason Refusal, cluster string) {
	in.key.from = h.from
	if header != nil {
		in.key.shard = header.Shard
	}
	for {
		t.mu.Lock()
		p, reason := t.checkLocked(h)
		if reason >= RefusedNotMe {
			cluster = h.cluster
		}
		if reason != Accepted {
			t.mu.Unlock()
			return reason, cluster
		}
		older := t.mu.inbound[in.key]
		if older == nil {
			in.peer, in.self = p, t.identity.Load()
			t.mu.inbound[in.key] = in
			t.mu.Unlock()
			return Accepted, cluster
		}
		t.mu.Unlock()
		older.close()
		select {
		case <-older.done:
		case <-in.stream.Context().Done():
			return RefusedNotReady, cluster // nobody is there to hear it
		}
	}
}

func (t *Transport) leave(in *inbound) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.inbound[in.key] == in {
		delete(t.mu.inbound, in.key)
	}
}

// receiveMessages delivers raft messages until the stream ends.
func (t *Transport) receiveMessages(in *inbound) error {
	var f frame
	var asm assembler
	d := delivery{t: t, in: in}
	for {
		if err := in.stream.RecvMsg(&f); err != nil {
			return err
		}
		in.peer.stats.receivedBytes.Add(uint64(f.buf.Len()))
		err := asm.frame(f.bytes(), d.add)
		f.free()
		d.flush()
		if err != nil {
			return err
		}
	}
}

// delivery gathers the messages of a frame by shard: what came together is handed
// over together, so that the groups can deal with it in one go.
type delivery struct {
	t    *Transport
	in   *inbound
	list []Delivery
}

func (d *delivery) add(r record, owned bool) error {
	if r.kind != kindMessage {
		return fmt.Errorf("%w: record of kind %d among messages", ErrFormat, r.kind)
	}
	m, err := parseMessage(r.body, owned)
	if err != nil {
		return err
	}
	if m.GetFrom() != uint64(d.in.key.from) || m.GetTo() != uint64(d.in.self.Node) || m.GetType() == pb.MsgSnap {
		d.t.unroutable.Add(1)
		return nil
	}
	for i := range d.list {
		if d.list[i].Shard == r.shard {
			d.list[i].Messages = append(d.list[i].Messages, m)
			return nil
		}
	}
	d.list = append(d.list, Delivery{r.shard, []*pb.Message{m}})
	return nil
}

func (d *delivery) flush() {
	if len(d.list) == 0 {
		return
	}
	n := 0
	for i := range d.list {
		n += len(d.list[i].Messages)
	}
	d.in.peer.stats.receivedMessages.Add(uint64(n))
	d.t.o.Handler.Messages(d.in.key.from, d.list)
	clear(d.list) // the messages are the handler's
	d.list = d.list[:0]
}

// answerer runs the calls of one stream.
type answerer struct {
	t    *Transport
	in   *inbound
	ctx  context.Context
	out  *outbox
	work chan record // to an idle goroutine
	busy chan struct{}
}

// answerCalls takes requests until the stream ends.
func (t *Transport) answerCalls(in *inbound) error {
	ctx, cancel := context.WithCancel(in.stream.Context())
	a := &answerer{
		t: t, in: in, ctx: ctx, out: newOutbox(callQueueBytes, callQueueBytes),
		work: make(chan record), busy: make(chan struct{}, maxCalls),
	}
	sent := make(chan struct{})
	t.wg.Go(func() {
		defer close(sent)
		a.sendAll()
	})
	defer func() {
		cancel()
		a.out.close()
		<-sent
	}()
	var f frame
	var asm assembler
	for {
		if err := in.stream.RecvMsg(&f); err != nil {
			return err
		}
		err := asm.frame(f.bytes(), a.asked)
		f.free()
		if err != nil {
			return err
		}
	}
}

func (a *answerer) asked(r record, owned bool) error {
	if r.kind != kindRequest {
		return fmt.Errorf("%w: record of kind %d among requests", ErrFormat, r.kind)
	}
	if !owned {
		r.body = append(make([]byte, 0, len(r.body)), r.body...)
	}
	select {
	case a.busy <- struct{}{}:
	default:
		// The caller counts too, but its calls that it gave up still run here.
		a.fail(r.id, fmt.Sprintf("transport: %d calls are running", maxCalls))
		return nil
	}
	select {
	case a.work <- r:
	default:
		a.t.wg.Go(func() { a.answer(r) })
	}
	return nil
}

// answer runs one call, and then others for as long as the stream lives: a
// goroutine whose stack has grown is worth keeping.
func (a *answerer) answer(r record) {
	for {
		payload, err := a.t.o.Handler.Call(a.ctx, a.in.key.from, CallKind(r.code), r.shard, r.body)
		a.in.peer.stats.callsAnswered.Add(1)
		if err == nil && int64(len(payload)) > a.t.o.MaxCallBytes {
			err = ErrTooLarge
		}
		if err != nil {
			a.fail(r.id, err.Error())
		} else {
			a.push(record{kind: kindReply, id: r.id, total: uint64(len(payload)), body: payload})
		}
		<-a.busy
		select {
		case r = <-a.work:
		case <-a.ctx.Done():
			return
		}
	}
}

func (a *answerer) fail(id uint64, text string) {
	a.push(record{kind: kindFailure, id: id, total: uint64(len(text)), body: []byte(text)})
}

func (a *answerer) push(r record) {
	// The error means that the stream has ended; the caller knows.
	_ = a.out.pushWait(a.ctx, a.ctx.Done(), parcel{record: r})
}

func (a *answerer) sendAll() {
	for {
		f, _ := a.out.next(a.ctx.Done())
		if f == nil {
			return
		}
		if err := a.in.stream.SendMsg(f); err != nil {
			return // receiving fails too
		}
	}
}
