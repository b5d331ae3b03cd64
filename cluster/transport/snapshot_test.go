package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dkv/cluster/consensus"
)

// numbers is a source of count chunks; chunk i is i as 8 bytes and padding, and
// its position is i.
type numbers struct {
	count, size int
	calls       int
	err         error // instead of the last chunk
}

func (s *numbers) Next(after []byte) (chunk, position []byte, last bool, err error) {
	s.calls++
	i := uint64(0)
	if after != nil {
		i = binary.BigEndian.Uint64(after) + 1
	}
	if i >= uint64(s.count)-1 && s.err != nil {
		return nil, nil, false, s.err
	}
	if i >= uint64(s.count) {
		return nil, after, true, nil
	}
	position = binary.BigEndian.AppendUint64(nil, i)
	return append(bytes.Clone(position), make([]byte, s.size)...), position, i == uint64(s.count)-1, nil
}

// sink collects the numbers, over several streams.
type sink struct {
	mu       sync.Mutex
	got      []uint64
	position []byte
	complete bool
	open     atomic.Int32
	opened   int
	onChunk  func(i uint64) error
	tb       testing.TB
}

func (s *sink) begin() *sink {
	if s.open.Add(1) != 1 {
		s.tb.Error("two streams have the sink")
	}
	s.opened++
	return s
}

func (s *sink) Position() []byte { return s.position }

func (s *sink) Chunk(data, position []byte, last bool) error {
	if len(data) > 0 {
		i := binary.BigEndian.Uint64(data)
		if s.onChunk != nil {
			if err := s.onChunk(i); err != nil {
				return err
			}
		}
		s.got = append(s.got, i)
	}
	s.position = bytes.Clone(position)
	s.complete = s.complete || last
	return nil
}

func (s *sink) Close() error {
	s.open.Add(-1)
	return nil
}

func (s *sink) check(count int) {
	s.tb.Helper()
	for i := range count {
		if i >= len(s.got) || s.got[i] != uint64(i) {
			s.tb.Fatalf("got %v", s.got)
		}
	}
	if len(s.got) != count || !s.complete {
		s.tb.Errorf("%d chunks, complete %v", len(s.got), s.complete)
	}
}

func TestSnapshot(t *testing.T) {
	a, b := pair(t, nil)
	h := &SnapshotHeader{Shard: 3, ID: 77, Message: []byte("msg"), EstimatedBytes: 1000}
	s := &sink{tb: t}
	b.snapshot = func(from consensus.NodeID, got *SnapshotHeader) (SnapshotSink, error) {
		if from != 1 || got.Shard != 3 || got.ID != 77 || string(got.Message) != "msg" || got.EstimatedBytes != 1000 {
			t.Errorf("header %+v from %d", got, from)
		}
		return s.begin(), nil
	}
	if err := a.SendSnapshot(context.Background(), 2, h, &numbers{count: 100, size: 10000}); err != nil {
		t.Fatal(err)
	}
	s.check(100)
	// It is known to be complete.
	if err := a.SendSnapshot(context.Background(), 2, h, &numbers{err: errors.New("unused")}); err != nil || s.opened != 1 {
		t.Errorf("again: %v, %d streams", err, s.opened)
	}
	// Chunks larger than a frame.
	s2 := &sink{tb: t}
	b.snapshot = func(consensus.NodeID, *SnapshotHeader) (SnapshotSink, error) { return s2.begin(), nil }
	if err := a.SendSnapshot(context.Background(), 2, &SnapshotHeader{ID: 78}, &numbers{count: 3, size: 4 * frameTargetBytes}); err != nil {
		t.Fatal(err)
	}
	s2.check(3)
	m := a.Metrics().Peers[0]
	if m.SnapshotsSent != 3 || m.SnapshotAttempts != 3 || m.SnapshotSentBytes < 12*frameTargetBytes+100*10000 {
		t.Errorf("metrics %+v", m)
	}
	if m := b.Metrics().Peers[0]; m.SnapshotsReceived != 2 || m.SnapshotReceivedBytes < 12*frameTargetBytes {
		t.Errorf("metrics %+v", m)
	}
	eventually(t, "closed sinks", func() bool { return s.open.Load() == 0 && s2.open.Load() == 0 })
}

// cutter makes connections that can be cut.
type cutter struct {
	mu    sync.Mutex
	conns []net.Conn
}

func (c *cutter) dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.conns = append(c.conns, conn)
	}
	return conn, err
}

func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}

func TestSnapshotResumes(t *testing.T) {
	var cut cutter
	a, b := pair(t, func(o *Options) { o.Dial = cut.dial })
	s := &sink{tb: t}
	s.onChunk = func(i uint64) error {
		if i%30 == 10 {
			cut.cut()
		}
		return nil
	}
	b.snapshot = func(consensus.NodeID, *SnapshotHeader) (SnapshotSink, error) { return s.begin(), nil }
	src := &numbers{count: 200, size: 50000}
	if err := a.SendSnapshot(context.Background(), 2, &SnapshotHeader{ID: 1}, src); err != nil {
		t.Fatal(err)
	}
	s.check(200)
	if s.opened < 5 {
		t.Errorf("%d streams", s.opened)
	}
	if limit := 200 + (s.opened+1)*(snapshotWindow+1); src.calls > limit {
		t.Errorf("%d chunks were read, more than %d", src.calls, limit)
	}
}

func TestSnapshotErrors(t *testing.T) {
	a, b := pair(t, nil)
	ctx := context.Background()
	var remote *RemoteError
	b.snapshot = func(consensus.NodeID, *SnapshotHeader) (SnapshotSink, error) { return nil, errors.New("busy") }
	if err := a.SendSnapshot(ctx, 2, &SnapshotHeader{ID: 1}, &numbers{count: 3}); !errors.As(err, &remote) || remote.Text != "busy" {
		t.Errorf("refused: %v", err)
	}

	s := &sink{tb: t, onChunk: func(i uint64) error {
		if i == 5 {
			return errors.New("disk full")
		}
		return nil
	}}
	b.snapshot = func(consensus.NodeID, *SnapshotHeader) (SnapshotSink, error) { return s.begin(), nil }
	if err := a.SendSnapshot(ctx, 2, &SnapshotHeader{ID: 2}, &numbers{count: 1000}); !errors.As(err, &remote) || remote.Text != "disk full" {
		t.Errorf("sink: %v", err)
	}

	s2 := &sink{tb: t}
	b.snapshot = func(consensus.NodeID, *SnapshotHeader) (SnapshotSink, error) { return s2.begin(), nil }
	broken := errors.New("broken source")
	if err := a.SendSnapshot(ctx, 2, &SnapshotHeader{ID: 3}, &numbers{count: 30, err: broken}); !errors.Is(err, broken) {
		t.Errorf("source: %v", err)
	}

	stuck := make(chan struct{})
	s3 := &sink{tb: t, onChunk: func(uint64) error { b.event("chunk"); <-stuck; return nil }}
	b.snapshot = func(consensus.NodeID, *SnapshotHeader) (SnapshotSink, error) { return s3.begin(), nil }
	cctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	src := &numbers{count: 1000}
	go func() { ended <- a.SendSnapshot(cctx, 2, &SnapshotHeader{ID: 4}, src) }()
	b.waitEvent("chunk", 1)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if src.calls > snapshotWindow {
		t.Errorf("%d chunks were in flight", src.calls)
	}
	close(stuck)

	if err := a.SendSnapshot(ctx, 9, &SnapshotHeader{ID: 5}, src); !errors.Is(err, ErrNotSent) {
		t.Errorf("stranger: %v", err)
	}
	b.SetRemoved([]consensus.NodeID{1})
	var refused *RefusedError
	if err := a.SendSnapshot(ctx, 2, &SnapshotHeader{ID: 6}, src); !errors.As(err, &refused) || refused.Reason != RefusedRemoved {
		t.Errorf("removed: %v", err)
	}
}

// An older stream of the same sender has to end before the next gets the sink.
func TestSnapshotReplacesOlderStream(t *testing.T) {
	a, b := pair(t, nil)
	s := &sink{tb: t}
	first := make(chan struct{})
	s.onChunk = func(i uint64) error {
		if i == 0 && s.opened == 1 {
			b.event("chunk")
			<-first
		}
		return nil
	}
	b.snapshot = func(consensus.NodeID, *SnapshotHeader) (SnapshotSink, error) { return s.begin(), nil }
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.SendSnapshot(ctx, 2, &SnapshotHeader{ID: 4}, &numbers{count: 50}) }()
	b.waitEvent("chunk", 1)
	cancel()
	<-ended
	go func() { ended <- a.SendSnapshot(context.Background(), 2, &SnapshotHeader{ID: 4}, &numbers{count: 50}) }()
	eventually(t, "the second attempt", func() bool { return a.Metrics().Peers[0].SnapshotAttempts >= 2 })
	close(first)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	s.check(50)
}

// flipper changes a byte of the pattern in what is written, once for each that is
// left: in one of the chunks of a stream, or the first would end it before the other
// is looked at.
type flipper struct {
	net.Conn
	left *atomic.Int32
}

func (f flipper) Write(b []byte) (int, error) {
	if i := bytes.Index(b, []byte("PATTERN!")); i >= 0 && f.left.Add(-1) >= 0 {
		b = bytes.Clone(b)
		b[i] ^= 0x20
	}
	return f.Conn.Write(b)
}

type patternSource struct{ n int }

func (s *patternSource) Next(after []byte) ([]byte, []byte, bool, error) {
	s.n++
	i := 0
	if after != nil {
		_, _ = fmt.Sscan(string(after), &i)
	}
	return []byte("................PATTERN!"), fmt.Append(nil, i+1), i == 4, nil
}

type patternSink struct {
	got      []string
	position []byte
}

func (s *patternSink) Position() []byte { return s.position }
func (s *patternSink) Close() error     { return nil }
func (s *patternSink) Chunk(data, position []byte, _ bool) error {
	s.got = append(s.got, string(data))
	s.position = bytes.Clone(position)
	return nil
}

func TestSnapshotChecksum(t *testing.T) {
	var left, streams atomic.Int32
	a, b := pair(t, func(o *Options) {
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
			return flipper{c, &left}, err
		}
	})
	var s patternSink
	b.snapshot = func(consensus.NodeID, *SnapshotHeader) (SnapshotSink, error) {
		if streams.Add(1) <= 2 {
			left.Store(1)
		}
		return &s, nil
	}
	if err := a.SendSnapshot(context.Background(), 2, &SnapshotHeader{ID: 1}, &patternSource{}); err != nil {
		t.Fatal(err)
	}
	if len(s.got) != 5 || slices.ContainsFunc(s.got, func(c string) bool { return c != "................PATTERN!" }) {
		t.Errorf("got %q", s.got)
	}
	if n := b.Metrics().Peers[0].SnapshotDamaged; n != 2 {
		t.Errorf("%d damaged chunks", n)
	}
}

func TestLimiter(t *testing.T) {
	now := time.Unix(1, 0)
	l := newLimiter(1000, func() time.Time { return now })
	var waited time.Duration
	for range 50 {
		d := l.reserve(100)
		waited += d
		now = now.Add(d)
	}
	if waited < 4800*time.Millisecond || waited > 5*time.Second {
		t.Errorf("5000 bytes took %v", waited)
	}
	now = now.Add(-time.Hour) // the clock is set back
	if d := l.reserve(100); d > time.Second {
		t.Errorf("%v after the clock was set back", d)
	}
	now = now.Add(time.Hour)
	if d := l.reserve(100); d != 0 {
		t.Errorf("%v after an idle hour", d)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.wait(ctx, 1<<20); !errors.Is(err, context.Canceled) {
		t.Errorf("wait: %v", err)
	}
}
