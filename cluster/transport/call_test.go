package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
)

func (n *node) ask(ctx context.Context, to consensus.NodeID, payload []byte) ([]byte, error) {
	return n.Transport.Call(ctx, to, 5, 9, payload)
}

func TestCall(t *testing.T) {
	a, b := pair(t, nil)
	b.call = func(_ context.Context, from consensus.NodeID, kind CallKind, shard raftlog.ShardID, payload []byte) ([]byte, error) {
		if string(payload) == "fail" {
			return nil, errors.New("as asked")
		}
		return fmt.Appendf(nil, "%d %d %d %s", from, kind, shard, payload), nil
	}
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			got, err := a.ask(context.Background(), 2, fmt.Append(nil, i))
			if want := fmt.Sprintf("1 5 9 %d", i); err != nil || string(got) != want {
				t.Errorf("answer %q, error %v", got, err)
			}
		})
	}
	wg.Wait()
	var remote *RemoteError
	if _, err := a.ask(context.Background(), 2, []byte("fail")); !errors.As(err, &remote) || remote.Text != "as asked" {
		t.Errorf("error %v", err)
	}
	m := a.Metrics().Peers[0]
	if m.Calls != 201 || m.CallsBroken != 0 || m.CallsNotSent != 0 || m.CallsWaiting != 0 {
		t.Errorf("metrics %+v", m)
	}
}

func TestLargeCalls(t *testing.T) {
	a, b := pair(t, nil)
	b.call = func(_ context.Context, _ consensus.NodeID, _ CallKind, _ raftlog.ShardID, payload []byte) ([]byte, error) {
		return payload, nil
	}
	var wg sync.WaitGroup
	for i, size := range []int{0, 1, urgentBytes, urgentBytes + 1, frameTargetBytes, 4 << 20, 12 << 20, 3 << 20} {
		wg.Go(func() {
			payload := bytes.Repeat([]byte{byte(i)}, size)
			got, err := a.ask(context.Background(), 2, payload)
			if err != nil || !bytes.Equal(got, payload) {
				t.Errorf("%d bytes: got %d, error %v", size, len(got), err)
			}
		})
	}
	wg.Wait()
}

// At the bound callers wait for room, for their ctx or for the stream's end.
func TestCallWaitsForRoom(t *testing.T) {
	o := newOutbox(100, 100)
	ctx, cancel := context.WithCancelCause(context.Background())
	p := parcel{record: record{kind: kindReply, total: 80, body: make([]byte, 80)}}
	if err := o.pushWait(ctx, nil, p); err != nil {
		t.Fatal(err)
	}
	pushed := make(chan error, 1)
	push := func() { pushed <- o.pushWait(ctx, nil, p) }
	go push()
	eventually(t, "a caller that waits", func() bool { o.mu.Lock(); defer o.mu.Unlock(); return o.mu.room != nil })
	if f, records := o.next(nil); records != 1 {
		t.Errorf("%d records in %d bytes", records, len(f.bytes()))
	}
	if err := <-pushed; err != nil {
		t.Fatal(err)
	}
	cause := errors.New("gone")
	cancel(cause)
	if push(); <-pushed != cause {
		t.Error("it does not end with ctx")
	}
	ctx = context.Background()
	go push()
	eventually(t, "a caller that waits", func() bool { o.mu.Lock(); defer o.mu.Unlock(); return o.mu.room != nil })
	if left := o.close(); len(left) != 1 {
		t.Errorf("%d parcels were left", len(left))
	}
	if err := <-pushed; !errors.Is(err, errReplaced) {
		t.Errorf("after the end: %v", err)
	}
}

func TestCallEndsWithContext(t *testing.T) {
	a, b := pair(t, nil)
	release := make(chan struct{})
	b.call = func(context.Context, consensus.NodeID, CallKind, raftlog.ShardID, []byte) ([]byte, error) {
		b.event("called")
		<-release
		return []byte("late"), nil
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	ended := make(chan error, 1)
	go func() {
		_, err := a.ask(ctx, 2, nil)
		ended <- err
	}()
	b.waitEvent("called", 1)
	cause := errors.New("the client has gone")
	cancel(cause)
	if err := <-ended; !errors.Is(err, ErrBroken) || !errors.Is(err, cause) {
		t.Errorf("error %v", err)
	}
	close(release)
	if _, err := a.ask(ctx, 2, nil); !errors.Is(err, ErrNotSent) || !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended ctx: %v", err)
	}
	// The late answer went nowhere.
	if got, err := a.ask(context.Background(), 2, nil); err != nil || string(got) != "late" {
		t.Errorf("next call: %q, %v", got, err)
	}
	b.waitEvent("called", 2)
}

func TestCallBroken(t *testing.T) {
	a, b := pair(t, nil)
	b.call = func(ctx context.Context, _ consensus.NodeID, _ CallKind, _ raftlog.ShardID, _ []byte) ([]byte, error) {
		b.event("called")
		<-ctx.Done()
		return []byte("nobody hears it"), nil
	}
	ended := make(chan error, 10)
	for range cap(ended) {
		go func() {
			_, err := a.ask(context.Background(), 2, nil)
			ended <- err
		}()
	}
	b.waitEvent("called", cap(ended))
	_ = b.Close()
	for range cap(ended) {
		if err := <-ended; !errors.Is(err, ErrBroken) {
			t.Errorf("error %v", err)
		}
	}
	a.waitEvent("down 2", 1)
	if _, err := a.ask(context.Background(), 2, nil); !errors.Is(err, ErrNotSent) {
		t.Errorf("error %v", err)
	}
	if m := a.Metrics().Peers[0]; m.CallsBroken != uint64(cap(ended)) || m.CallsNotSent != 1 {
		t.Errorf("metrics %+v", m)
	}
}

// A request whose caller gives up between its parts never runs.
func TestCallGivenUpBetweenParts(t *testing.T) {
	o := newOutbox(64<<20, 1<<20)
	body := make([]byte, 4*frameTargetBytes)
	push := func(id uint64) *call {
		c := &call{answer: make(chan callAnswer, 1)}
		o.push(parcel{record: record{kind: kindRequest, id: id, total: uint64(len(body)), body: body}, call: c}, false)
		return c
	}
	c1, c2, c3 := push(1), push(2), push(3)
	var asm assembler
	var got []uint64
	next := func() {
		f, _ := o.next(nil)
		if err := asm.frame(f.bytes(), func(r record, _ bool) error { got = append(got, r.id); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	next()
	if !c1.abandon() {
		t.Fatal("the call counts as sent")
	}
	if !c2.abandon() {
		t.Fatal("a call that waits counts as sent")
	}
	for len(got) == 0 {
		next()
	}
	if len(got) != 1 || got[0] != 3 {
		t.Errorf("arrived: %v", got)
	}
	if c3.abandon() {
		t.Error("a call that was sent can be abandoned")
	}
	if n, bytes := o.waiting(); n != 0 || bytes != 0 {
		t.Errorf("%d parcels, %d bytes left", n, bytes)
	}
}

// Connections break all the time while calls are made: each call runs at most
// once, exactly once if it was answered, and not at all if it was not sent.
func TestCallRunsOnce(t *testing.T) {
	var mu sync.Mutex
	var conns []net.Conn
	a := listen(t, 1, func(o *Options) {
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
			mu.Lock()
			defer mu.Unlock()
			conns = append(conns, c)
			return c, err
		}
	})
	b := listen(t, 2, nil)
	const calls = 4000
	var runs [calls]atomic.Int32
	b.call = func(_ context.Context, _ consensus.NodeID, _ CallKind, _ raftlog.ShardID, payload []byte) ([]byte, error) {
		runs[int(payload[0])<<8|int(payload[1])].Add(1)
		return payload, nil
	}
	meet(t, a, b)
	var next, answered, broken, notSent atomic.Int32
	var outcome [calls]error
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= calls {
					return
				}
				// A few are large, and break between their parts.
				size := 2
				if i%100 == 0 {
					size = 4 << 20
				}
				payload := make([]byte, size)
				payload[0], payload[1] = byte(i>>8), byte(i)
				_, err := a.ask(context.Background(), 2, payload)
				outcome[i] = err
				switch {
				case err == nil:
					answered.Add(1)
				case errors.Is(err, ErrBroken):
					broken.Add(1)
				case errors.Is(err, ErrNotSent):
					notSent.Add(1)
					// Or this spins.
					a.wait("a connection", func() bool { return a.events[len(a.events)-1] == "up 2" })
				}
				if i%200 == 199 {
					mu.Lock()
					_ = conns[len(conns)-1].Close()
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	_ = a.Close()
	_ = b.Close()
	for i := range calls {
		n := runs[i].Load()
		if n > 1 || outcome[i] == nil && n != 1 || errors.Is(outcome[i], ErrNotSent) && n != 0 {
			t.Errorf("call %d ran %d times, outcome %v", i, n, outcome[i])
		}
	}
	t.Logf("%d answered, %d broken, %d not sent", answered.Load(), broken.Load(), notSent.Load())
	if answered.Load() == 0 {
		t.Error("no call was answered")
	}
}

func TestAdmin(t *testing.T) {
	a, b := listen(t, 1, nil), listen(t, 2, nil)
	b.admin = func(method string, payload []byte) ([]byte, error) {
		if method == "fail" {
			return nil, errors.New("as asked")
		}
		return fmt.Appendf(nil, "%s:%s", method, payload), nil
	}
	ctx := context.Background()
	if got, err := a.Transport.Admin(ctx, b.Addr(), "probe", []byte("x")); err != nil || string(got) != "probe:x" {
		t.Errorf("%q, %v", got, err)
	}
	var remote *RemoteError
	if _, err := a.Transport.Admin(ctx, b.Addr(), "fail", nil); !errors.As(err, &remote) || remote.Text != "as asked" {
		t.Errorf("error %v", err)
	}
	if _, err := a.Transport.Admin(ctx, unusedAddr(t), "probe", nil); !errors.Is(err, ErrNotSent) || !isRefused(err) {
		t.Errorf("error %v", err)
	}
	if _, err := b.Transport.admin(ctx, []byte{77}); err == nil {
		t.Error("another version was accepted")
	}
}
