package replica

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"dkv/cluster/raftlog"
	"dkv/cluster/raftsnap"
	"dkv/cluster/shard"
)

// Limits of a link.
const (
	dialTimeout = 5 * time.Second
	// The pause before a link tries again grows from the one to the other.
	firstPause = 50 * time.Millisecond
	lastPause  = 3 * time.Second
	// queueBytes is how much a link reads ahead of what it applies, but at least
	// one frame; applyBytes how much becomes one entry of the replica's log.
	queueBytes = 8 << 20
	applyBytes = 4 << 20
)

// Local is the replica's side of a link: one shard of this node.
type Local interface {
	// Source is shard.Shard's.
	Source() (shard.SourcePosition, bool)
	// Apply returns when the batches are applied. An error leaves the shard as it was,
	// or, when it is shard.ErrUncertain, where Source says.
	Apply(ctx context.Context, b *shard.SourceBatch) error
	// BeginCopy begins to receive a state; EndCopy switches to what was received.
	BeginCopy(id uint64, at shard.SourcePosition, estimatedBytes uint64) (*raftsnap.Receiver, error)
	EndCopy(ctx context.Context, r *raftsnap.Receiver) error
}

// LinkOptions configures a Link.
type LinkOptions struct {
	Shard  raftlog.ShardID
	Shards int
	Local  Local
	// Addrs are the addresses of the source, host:port, which are tried in turn.
	Addrs []string
	// Replica names this node, Addr is where clients reach it ("" when not known).
	Replica string
	Addr    func() string
	// Auth returns the user ("" for the default one) and the password ("" for none).
	Auth func() (user, password string)
	// Timeout is how long the source may be silent.
	Timeout func() time.Duration
	// Interval is the least time between two batches; 0: as they come.
	Interval func() time.Duration
	// Dial connects; nil: TCP.
	Dial   func(ctx context.Context, addr string) (net.Conn, error)
	Clock  func() time.Time
	Logger *slog.Logger
}

// Link follows one shard of a source.
type Link struct {
	o    LinkOptions
	copy copyState
	mu   struct {
		sync.Mutex
		status LinkStatus
	}
}

// copyState is a copy that has begun and not ended. It outlives a connection.
type copyState struct {
	id string
	at shard.SourcePosition
	r  *raftsnap.Receiver
}

// LinkStatus is what a link knows of its source.
type LinkStatus struct {
	Addr string // that is connected, or is tried
	Up   bool   // it is being followed; not while it is copied
	// Copying: a full copy is under way, of about so many bytes.
	Copying               bool
	CopiedBytes, AllBytes uint64
	// At is what is applied here, Head what the source had applied when it last
	// said so.
	At, Head raftlog.Index
	Heard    time.Time // when it last said something, zero: never
	DownAt   time.Time // since when it is down
	Err      string    // why
	Partial  uint64    // sessions
	Full     uint64
}

// NewLink returns a link; Run runs it.
func NewLink(o LinkOptions) *Link {
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", addr)
		}
	}
	l := &Link{o: o}
	l.mu.status.DownAt = o.Clock()
	return l
}

// Status returns what the link knows.
func (l *Link) Status() LinkStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.status
}

func (l *Link) update(f func(st *LinkStatus)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(&l.mu.status)
}

// Run follows the source until ctx ends.
func (l *Link) Run(ctx context.Context) {
	defer l.dropCopy()
	pause, said := firstPause, ""
	for i := 0; ctx.Err() == nil; i++ {
		addr := l.o.Addrs[i%len(l.o.Addrs)]
		l.update(func(st *LinkStatus) { st.Addr = addr })
		began, err := l.follow(ctx, addr)
		if ctx.Err() != nil {
			return
		}
		l.down(err)
		// One line a cause, however often it is tried.
		if text := addr + err.Error(); text != said || began {
			l.o.Logger.Warn("not connected to the source", "shard", l.o.Shard, "addr", addr, "err", err)
			said = text
		}
		if began {
			pause = firstPause
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
		if (i+1)%len(l.o.Addrs) == 0 {
			pause = min(2*pause, lastPause)
		}
	}
}

func (l *Link) down(err error) {
	l.update(func(st *LinkStatus) {
		if st.Up || st.Copying || st.DownAt.IsZero() {
			st.DownAt = l.o.Clock()
		}
		st.Up, st.Copying, st.Err = false, false, err.Error()
	})
}

// dropCopy removes what was received of a copy that is not going to be finished.
func (l *Link) dropCopy() {
	if l.copy.r != nil {
		if err := l.copy.r.Discard(); err != nil {
			l.o.Logger.Warn("cannot remove a half-received copy", "shard", l.o.Shard, "err", err)
		}
	}
	l.copy = copyState{}
}

// follow connects and follows until something fails. began says that the source
// has agreed to serve this replica.
func (l *Link) follow(ctx context.Context, addr string) (began bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	nc, err := l.o.Dial(ctx, addr)
	if err != nil {
		return false, err
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	c := &conversation{l: l, nc: nc, r: bufio.NewReaderSize(nc, 64<<10)}
	if err := c.handshake(addr); err != nil {
		return false, err
	}
	return true, c.run(ctx)
}

// conversation is one connection to the source.
type conversation struct {
	l       *Link
	nc      net.Conn
	r       *bufio.Reader
	out     []byte
	history string
	at      shard.SourcePosition // received and applied, what holds nothing included
	applied shard.SourcePosition // as the shard has it
}

// call sends a command and reads its status.
func (c *conversation) call(args ...string) (string, error) {
	if err := c.nc.SetDeadline(time.Now().Add(c.l.o.Timeout())); err != nil {
		return "", err
	}
	if _, err := c.nc.Write(appendCommand(nil, args...)); err != nil {
		return "", err
	}
	return readStatus(c.r)
}

// handshake introduces this node and agrees on where to begin.
func (c *conversation) handshake(addr string) error {
	user, password := c.l.o.Auth()
	if password != "" {
		args := []string{"AUTH", password}
		if user != "" {
			args = []string{"AUTH", user, password}
		}
		if _, err := c.call(args...); err != nil {
			return fmt.Errorf("AUTH: %w", err)
		}
	}
	if _, err := c.call("PING"); err != nil {
		return fmt.Errorf("PING: %w", err)
	}
	host, port, err := net.SplitHostPort(c.l.o.Addr())
	if err == nil {
		for _, args := range [][]string{{"REPLCONF", "listening-port", port}, {"REPLCONF", "ip-address", host}} {
			if _, err := c.call(args...); err != nil {
				return fmt.Errorf("REPLCONF: %w", err)
			}
		}
	}
	if _, err := c.call("REPLCONF", "dkv-id", c.l.o.Replica); err != nil {
		return fmt.Errorf("REPLCONF: %w", err)
	}
	return c.begin(addr)
}

// begin asks the source to serve this replica.
func (c *conversation) begin(addr string) error {
	l := c.l
	req := Request{Shards: l.o.Shards, Shard: l.o.Shard}
	req.From, _ = l.o.Local.Source()
	if l.copy.r != nil {
		req.CopyID, req.Place = l.copy.id, l.copy.r.Position()
	}
	status, err := c.call(append([]string{"DKV.SYNC"}, req.args()...)...)
	if err != nil {
		return fmt.Errorf("DKV.SYNC: %w", err)
	}
	f := strings.Fields(status)
	if len(f) < 3 || f[2] != strconv.Itoa(l.o.Shards) {
		return fmt.Errorf("%w: DKV.SYNC is answered with %q", errProtocol, status)
	}
	c.history = f[1]
	switch {
	case f[0] == "CONTINUE" && f[1] == req.From.History:
		l.dropCopy()
		c.at, c.applied = req.From, req.From
		l.o.Logger.Info("following the source", "shard", l.o.Shard, "addr", addr, "index", c.at.Index)
		l.update(func(st *LinkStatus) {
			st.Up, st.Err, st.DownAt, st.At = true, "", time.Time{}, c.at.Index
			st.Partial++
		})
		return nil
	case f[0] == "COPY" && len(f) >= 7:
		return c.beginCopy(addr, f[3:])
	}
	return fmt.Errorf("%w: DKV.SYNC is answered with %q", errProtocol, status)
}

// beginCopy reads id, index, term and bytes of a copy, and goes on with it or
// begins it.
func (c *conversation) beginCopy(addr string, f []string) error {
	l := c.l
	var n [4]uint64
	for i, base := range []int{16, 10, 10, 10} {
		var err error
		if n[i], err = strconv.ParseUint(f[i], base, 64); err != nil {
			return fmt.Errorf("%w: a copy %q", errProtocol, f)
		}
	}
	at := shard.SourcePosition{History: c.history, Position: shard.Position{Index: raftlog.Index(n[1]), Term: raftlog.Term(n[2])}}
	if l.copy.r == nil || l.copy.id != f[0] || l.copy.at != at {
		l.dropCopy()
		r, err := l.o.Local.BeginCopy(n[0], at, n[3])
		if err != nil {
			return fmt.Errorf("begin a full copy: %w", err)
		}
		l.copy = copyState{id: f[0], at: at, r: r}
		l.update(func(st *LinkStatus) { st.CopiedBytes = 0; st.Full++ })
	}
	l.o.Logger.Info("copying the source in full", "shard", l.o.Shard, "addr", addr, "index", at.Index, "estimated_bytes", n[3],
		"resumed", l.copy.r.Position() != nil)
	l.update(func(st *LinkStatus) { st.Copying, st.AllBytes, st.Err = true, n[3], "" })
	return nil
}

// run applies what the source sends until something fails.
func (c *conversation) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	q := newQueue(queueBytes)
	var reading sync.WaitGroup
	reading.Go(func() { q.fill(c.read) })
	defer reading.Wait()
	defer c.nc.Close()
	defer q.close(context.Canceled)
	defer cancel()
	for {
		frames, err := q.take(applyBytes)
		if err != nil {
			return err
		}
		if err := c.takeFrames(ctx, frames); err != nil {
			return err
		}
		if err := c.ack(); err != nil {
			return err
		}
		if d := c.l.o.Interval(); d > 0 {
			t := time.NewTimer(d)
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
				return ctx.Err()
			}
		}
	}
}

// read reads one frame.
func (c *conversation) read() (Frame, int, error) {
	if err := c.nc.SetReadDeadline(time.Now().Add(c.l.o.Timeout())); err != nil {
		return Frame{}, 0, err
	}
	data, err := readFrame(c.r)
	if err != nil {
		return Frame{}, 0, err
	}
	f, err := ParseFrame(data)
	return f, len(data), err
}

// takeFrames applies frames, those of entries together.
func (c *conversation) takeFrames(ctx context.Context, frames []Frame) error {
	b := shard.SourceBatch{From: c.applied}
	for i := range frames {
		f := &frames[i]
		c.heard(f)
		switch f.Type {
		case FrameEntries:
			if c.at.History == "" || f.Prev != c.at.Index {
				return fmt.Errorf("%w: entries after %d do not follow %d", ErrFrame, f.Prev, c.at.Index)
			}
			b.Batches = append(b.Batches, f.Batches...)
			c.at.Position = f.At
		case FrameChunk:
			if err := c.takeChunk(ctx, f); err != nil {
				return err
			}
			b.From = c.applied
		case FrameHeartbeat:
		}
	}
	if len(b.Batches) == 0 {
		return nil
	}
	b.To = c.at
	if err := c.l.o.Local.Apply(ctx, &b); err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	c.applied = c.at
	return nil
}

func (c *conversation) heard(f *Frame) {
	c.l.update(func(st *LinkStatus) { st.Heard, st.Head = c.l.o.Clock(), f.Head })
}

// takeChunk takes a piece of the copy, and switches to it after the last one.
func (c *conversation) takeChunk(ctx context.Context, f *Frame) error {
	cp := &c.l.copy
	if cp.r == nil || f.At != cp.at.Position {
		return fmt.Errorf("%w: a chunk of a copy that is not under way", ErrFrame)
	}
	if err := cp.r.Chunk(f.Chunk, f.Place, f.Last); err != nil {
		if !errors.Is(err, raftsnap.ErrCorruptChunk) && !errors.Is(err, raftsnap.ErrOutOfOrder) {
			*cp = copyState{} // it has ended by itself
		}
		return err
	}
	c.l.update(func(st *LinkStatus) { st.CopiedBytes += uint64(len(f.Chunk)) })
	if !f.Last {
		return nil
	}
	if err := c.l.o.Local.EndCopy(ctx, cp.r); err != nil {
		c.l.dropCopy()
		return fmt.Errorf("switch to the copy: %w", err)
	}
	c.at, c.applied = cp.at, cp.at
	*cp = copyState{}
	c.l.o.Logger.Info("copied the source in full", "shard", c.l.o.Shard, "index", c.at.Index)
	c.l.update(func(st *LinkStatus) {
		st.Copying, st.Up, st.DownAt, st.At = false, true, time.Time{}, c.at.Index
	})
	return nil
}

// ack tells the source how far this replica is.
func (c *conversation) ack() error {
	c.l.update(func(st *LinkStatus) { st.At = c.at.Index })
	if err := c.nc.SetWriteDeadline(time.Now().Add(c.l.o.Timeout())); err != nil {
		return err
	}
	c.out = appendCommand(c.out[:0], "REPLCONF", "ACK", strconv.FormatUint(uint64(c.at.Index), 10))
	_, err := c.nc.Write(c.out)
	return err
}
