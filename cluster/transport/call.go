package transport

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"

	"google.golang.org/grpc"
)

// callQueueBytes bounds the large requests, and as much again the small ones,
// that wait for one peer; the same for the answers. Callers wait at the bound.
const callQueueBytes = 64 << 20

// call is a request that waits for its answer.
type call struct {
	state  atomic.Int32    // a callState
	answer chan callAnswer // has room for one
}

type callAnswer struct {
	payload []byte
	err     error
}

// The states of a call. Who moves it away from queued or partial decides: the
// sending goroutine that it is sent, or its caller that it never will be.
const (
	callQueued    int32 = iota
	callPartial         // parts are sent, but not the last one: nothing runs yet
	callSent            // may run
	callAbandoned       // never runs
)

// sending is asked before a part of the request, or all of it, goes into a
// frame; false: leave it out.
func (c *call) sending(last bool) bool {
	next := callPartial
	if last {
		next = callSent
	}
	return c.state.CompareAndSwap(callQueued, next) || c.state.CompareAndSwap(callPartial, next)
}

// abandon gives the request up; false: it may have been sent.
func (c *call) abandon() bool {
	return c.state.CompareAndSwap(callQueued, callAbandoned) || c.state.CompareAndSwap(callPartial, callAbandoned)
}

// calls are the requests of one link.
type calls struct {
	out   *outbox
	done  <-chan struct{} // of the link
	limit uint64          // bytes of a request

	mu struct {
		sync.Mutex
		closed  bool
		last    uint64 // id
		pending map[uint64]*call
	}
}

func newCalls(done <-chan struct{}, limit int64) *calls {
	c := &calls{out: newOutbox(callQueueBytes, callQueueBytes), done: done, limit: uint64(limit)}
	c.mu.pending = map[uint64]*call{}
	return c
}

// Call sends a request to a member and waits for the answer. It is sent once or
// not at all. The errors are ErrNotSent, which also means that the peer is not
// connected, ErrBroken and *RemoteError, the first two with a cause wrapped. A
// ctx that ends while the request is on its way makes ErrBroken; the request is
// not called back. ErrNotSent that wraps ErrTooLarge is for good: the request
// has more than Options.MaxCallBytes.
//
// The payload is the transport's, even after Call has returned; the answer is
// the caller's.
func (t *Transport) Call(ctx context.Context, to consensus.NodeID, kind CallKind, shard raftlog.ShardID, payload []byte) ([]byte, error) {
	p := t.peer(to)
	if p == nil {
		return nil, fmt.Errorf("%w: node %d is not a member", ErrNotSent, to)
	}
	p.stats.calls.Add(1)
	var answer callAnswer
	if l := p.link.Load(); l == nil {
		answer.err = fmt.Errorf("%w: node %d is not connected", ErrNotSent, to)
	} else {
		answer = l.calls.do(ctx, record{
			kind: kindRequest, code: uint8(kind), shard: shard, total: uint64(len(payload)), body: payload,
		})
	}
	p.stats.countCall(answer.err)
	return answer.payload, answer.err
}

func (c *calls) do(ctx context.Context, r record) callAnswer {
	if err := ctx.Err(); err != nil {
		return callAnswer{err: fmt.Errorf("%w: %w", ErrNotSent, err)}
	}
	if r.total > c.limit {
		return callAnswer{err: fmt.Errorf("%w: %w", ErrNotSent, ErrTooLarge)}
	}
	waiting := &call{answer: make(chan callAnswer, 1)}
	id, err := c.register(waiting)
	if err != nil {
		return callAnswer{err: err}
	}
	r.id = id
	if err := c.out.pushWait(ctx, c.done, parcel{record: r, call: waiting}); err != nil {
		c.forget(id)
		return callAnswer{err: fmt.Errorf("%w: %w", ErrNotSent, err)}
	}
	select {
	case answer := <-waiting.answer:
		return answer
	case <-ctx.Done():
	}
	c.forget(id)
	select {
	case answer := <-waiting.answer: // both were there
		return answer
	default:
	}
	if waiting.abandon() {
		return callAnswer{err: fmt.Errorf("%w: %w", ErrNotSent, context.Cause(ctx))}
	}
	return callAnswer{err: fmt.Errorf("%w: %w", ErrBroken, context.Cause(ctx))}
}

// pushWait waits for room. It returns ctx's error, or errReplaced when the
// stream has ended.
func (o *outbox) pushWait(ctx context.Context, done <-chan struct{}, p parcel) error {
	for {
		room, ok := o.tryPush(p, true, true)
		if ok {
			return nil
		}
		if room == nil {
			return errReplaced
		}
		select {
		case <-room:
		case <-done:
			return errReplaced
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (c *calls) register(waiting *call) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.mu.closed:
		return 0, fmt.Errorf("%w: the connection broke", ErrNotSent)
	case len(c.mu.pending) >= maxCalls:
		return 0, fmt.Errorf("%w: %d calls are unanswered", ErrNotSent, maxCalls)
	}
	c.mu.last++
	c.mu.pending[c.mu.last] = waiting
	return c.mu.last, nil
}

func (c *calls) forget(id uint64) *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting := c.mu.pending[id]
	delete(c.mu.pending, id)
	return waiting
}

func (c *calls) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.mu.pending)
}

// close ends all calls: those that were sent are broken.
func (c *calls) close(cause error) {
	c.mu.Lock()
	c.mu.closed = true
	pending := c.mu.pending
	c.mu.pending = nil
	c.mu.Unlock()
	c.out.close()
	for _, waiting := range pending {
		if waiting.abandon() {
			waiting.answer <- callAnswer{err: fmt.Errorf("%w: %w", ErrNotSent, cause)}
		} else {
			waiting.answer <- callAnswer{err: fmt.Errorf("%w: %w", ErrBroken, cause)}
		}
	}
}

// receive takes the answers off the stream until it ends.
func (c *calls) receive(s grpc.ClientStream) error {
	var f frame
	var asm assembler
	for {
		if err := s.RecvMsg(&f); err != nil {
			return err
		}
		err := asm.frame(f.bytes(), c.answered)
		f.free()
		if err != nil {
			return err
		}
	}
}

func (c *calls) answered(r record, owned bool) error {
	if r.kind != kindReply && r.kind != kindFailure {
		return fmt.Errorf("%w: record of kind %d among answers", ErrFormat, r.kind)
	}
	waiting := c.forget(r.id)
	if waiting == nil {
		return nil // its caller has gone
	}
	if r.kind == kindFailure {
		waiting.answer <- callAnswer{err: &RemoteError{Text: string(r.body)}}
		return nil
	}
	if !owned {
		r.body = append(make([]byte, 0, len(r.body)), r.body...)
	}
	waiting.answer <- callAnswer{payload: r.body}
	return nil
}
